//! The batch: every line gets one answer, in its order, with its id as it was written.
//!
//! In: lines of JSON, right and wrong. Out: amounts, or the path of the fault. Nothing that one line holds may stop
//! another, and nothing that Stripe's API returns beside the price may be in the way.

use serde_json::{Value, json};

use super::{batch_of, folder, lines_of, piped};
use crate::support::memory;

/// A price as `GET /v1/prices/…?expand[]=tiers` returns it.
fn full_object() -> Value {
    json!({
        "id": "price_1MoBy5LkdIwHu7ixZhnattbh", "object": "price", "active": true, "billing_scheme": "tiered",
        "created": 1_679_431_181, "currency": "usd", "currency_options": null, "custom_unit_amount": null,
        "livemode": false, "lookup_key": null, "metadata": {"billing_scheme": "per_unit"}, "nickname": null,
        "product": "prod_NZKdYqrwEYx6iK", "tax_behavior": "unspecified", "tiers_mode": "graduated",
        "recurring": {"interval": "month", "interval_count": 1, "meter": "mtr_1", "trial_period_days": null, "usage_type": "metered"},
        "tiers": [
            {"flat_amount": null, "flat_amount_decimal": null, "unit_amount": 0, "unit_amount_decimal": "0", "up_to": 100},
            {"flat_amount": 50, "flat_amount_decimal": "50", "unit_amount": null, "unit_amount_decimal": "0.5", "up_to": null}
        ],
        "transform_quantity": null, "type": "recurring", "unit_amount": null, "unit_amount_decimal": null
    })
}

fn ask(price: &Value) -> String {
    json!({"id": "x", "currency": "usd", "price": price, "quantity": "103"}).to_string()
}

#[test]
fn a_price_as_the_api_returns_it_is_rated() {
    let answers = batch_of(&[ask(&full_object())]);
    assert_eq!(lines_of(&answers[0]), [("100".into(), 0), ("3".into(), 2), ("0".into(), 50)]);
    assert_eq!(
        (&answers[0]["amount_minor"], &answers[0]["exact_amount_minor"]),
        (&52.into(), &"51.5".into())
    );
}

#[test]
fn every_line_of_an_answer_says_how_it_came_about() {
    let price = json!({"unit_amount": 4000, "transform_quantity": {"divide_by": 10, "round": "up"}});
    let answers =
        batch_of(&[json!({"id": 7, "currency": "USD", "price": price, "quantity": 23}).to_string()]);
    let expected = json!({
        "id": 7, "currency": "usd", "amount_minor": 12_000, "exact_amount_minor": "12000",
        "lines": [{
            "kind": "usage", "tier": null, "quantity": "23", "priced_quantity": "3", "unit_amount_decimal": "4000",
            "exact_amount_minor": "12000", "amount_minor": 12_000
        }]
    });
    assert_eq!(answers, [expected]);
}

/// What to change in the full object, and how the error must begin.
const FAULTS: &[(&str, &str, &str)] = &[
    ("/billing_scheme", "\"tierd\"", "price.billing_scheme: `tierd` is none of"),
    ("/billing_scheme", "null", "price.tiers: a per_unit price has no tiers"),
    ("/tiers_mode", "null", "price.tiers_mode: is missing"),
    ("/tiers_mode", "\"step\"", "price.tiers_mode: `step` is none of"),
    ("/tiers", "null", "price.tiers: is missing"),
    ("/tiers", "[]", "price.tiers: has no tier"),
    ("/tiers", "{}", "price.tiers: must be a list"),
    ("/tiers/0", "5", "price.tiers[0]: must be a table"),
    ("/tiers/0/up_to", "null", "price.tiers[0].up_to: only the last tier can be open"),
    ("/tiers/0/up_to", "2.5", "price.tiers[0].up_to: must be a whole number"),
    ("/tiers/0/up_to", "-1", "price.tiers[0].up_to: must not be negative"),
    ("/tiers/0/up_to", "0", "price.tiers[0].up_to: tiers must ascend"),
    ("/tiers/1/up_to", "100", "price.tiers[1].up_to: the last tier must be open"),
    ("/tiers/1/unit_amount", "1", "price.tiers[1].unit_amount_decimal: is 0.5, but unit_amount is 1"),
    ("/tiers/1/unit_amount", "-1", "price.tiers[1].unit_amount: must not be negative"),
    ("/tiers/1/unit_amount", "0.5", "price.tiers[1].unit_amount: `0.5` is no integer"),
    ("/tiers/1/unit_amount_decimal", "\"0.0000000000001\"", "price.tiers[1].unit_amount_decimal: "),
    (
        "/tiers/1/unit_amount_decimal",
        "\"half\"",
        "price.tiers[1].unit_amount_decimal: `half` is not a decimal",
    ),
    ("/tiers/1/flat_amount_decimal", "\"-50\"", "price.tiers[1].flat_amount_decimal: must not be negative"),
    ("/tiers/1/flat_amount_decimal", "\"51\"", "price.tiers[1].flat_amount_decimal: is 51, but"),
    ("/transform_quantity", "{\"divide_by\":5,\"round\":\"up\"}", "price.transform_quantity: "),
    ("/unit_amount", "5", "price.unit_amount: a tiered price has its unit amounts in its tiers"),
    ("/unit_amount_decimal", "\"5\"", "price.unit_amount_decimal: a tiered price"),
    ("/currency", "\"eur\"", "price.currency: is eur, but the line's currency is usd"),
    ("/currency", "\"zzz\"", "price.currency: "),
    ("/custom_unit_amount", "{\"minimum\":5}", "price.custom_unit_amount: must be null"),
];

#[test]
fn what_stripe_refuses_is_refused_with_its_path() {
    let wrong = |(pointer, value, _): &(&str, &str, &str)| {
        let mut price = full_object();
        *price.pointer_mut(pointer).unwrap() = serde_json::from_str(value).unwrap();
        ask(&price)
    };
    let answers = batch_of(&FAULTS.iter().map(wrong).collect::<Vec<_>>());
    for (answer, (pointer, value, begin)) in answers.iter().zip(FAULTS) {
        let error = answer["error"].as_str().unwrap_or_else(|| panic!("{pointer} {value}: {answer}"));
        assert!(error.starts_with(begin), "{pointer} {value}: {error}");
        assert_eq!(answer.as_object().unwrap().len(), 2, "{answer}");
    }
    assert_eq!(answers.len(), FAULTS.len());
}

/// Lines that are wrong themselves, and how the error must begin.
const LINES: &[(&str, &str)] = &[
    ("{\"id\":\"x\",\"price\":{\"unit_amount\":1},\"quantity\":1}", "currency: is missing"),
    ("{\"id\":\"x\",\"currency\":\"usd\",\"quantity\":1}", "price: is missing"),
    ("{\"id\":\"x\",\"currency\":\"usd\",\"price\":{\"unit_amount\":1}}", "quantity: is missing"),
    ("{\"id\":\"x\",\"currency\":\"usd\",\"price\":5,\"quantity\":1}", "price: must be a table"),
    ("{\"id\":\"x\",\"currency\":\"usd\",\"price\":{},\"quantity\":1}", "price.unit_amount: is missing"),
    (
        "{\"id\":\"x\",\"currency\":\"usd\",\"price\":{\"unit_amount\":1},\"quantity\":\"1,5\"}",
        "quantity: `1,5` is not",
    ),
    (
        "{\"id\":\"x\",\"currency\":\"usd\",\"price\":{\"unit_amount\":1},\"quantity\":true}",
        "quantity: must be",
    ),
    (
        "{\"id\":\"x\",\"currency\":\"usd\",\"price\":{\"unit_amount\":1},\"quantity\":1e15}",
        "quantity: `1e15` is too large",
    ),
    ("{\"id\":\"x\",\"curency\":\"usd\"}", "curency: the key `curency` is unknown: did you mean `currency`?"),
    (
        "{\"id\":\"x\",\"currency\":\"usd\",\"price\":{\"unit_amont\":1},\"quantity\":1}",
        "price.unit_amont: the key `unit_amont` is unknown: did you mean `unit_amount`?",
    ),
    (
        "{\"id\":\"x\",\"currency\":\"usd\",\"price\":{\"unit_amount\":1,\"unit_amount\":2},\"quantity\":1}",
        "price: the field `unit_amount` stands twice",
    ),
    (
        "{\"id\":\"x\",\"currency\":\"usd\",\"price\":{\"unit_amount\":999999999},\"quantity\":999999999999999}",
        "amount does not fit 64 bits",
    ),
];

#[test]
fn a_wrong_line_says_what_is_wrong_and_the_lines_around_it_are_rated() {
    let right = "{\"id\":0,\"price\":{\"unit_amount\":2,\"currency\":\"jpy\"},\"quantity\":\"1.5\"}";
    let lines: Vec<String> = LINES.iter().flat_map(|(line, _)| [*line, right]).map(str::to_owned).collect();
    let answers = batch_of(&lines);
    assert_eq!(answers.len(), lines.len());
    for (pair, (line, begin)) in answers.chunks(2).zip(LINES) {
        let error = pair[0]["error"].as_str().unwrap_or_else(|| panic!("{line}: {}", pair[0]));
        assert!(error.starts_with(begin), "{line}: {error}");
        assert_eq!(pair[0]["id"], "x");
        assert_eq!((&pair[1]["amount_minor"], &pair[1]["currency"]), (&3.into(), &"jpy".into()));
    }
}

#[test]
fn an_id_comes_back_as_it_was_written_and_null_where_the_line_has_none() {
    let price = "\"currency\":\"usd\",\"price\":{\"unit_amount\":1},\"quantity\":1";
    let ids = ["1.0", "\"a\\u0000\"", "{\"b\": [1e5, null]}", "12345678901234567890123", "true", "null"];
    let mut input: String = ids.iter().map(|id| format!("{{\"id\":{id},{price}}}\r\n")).collect();
    input.push_str(&format!("\n{{{price}}}\n[1]\nnonsense\n{{\"id\":1,\"id\":2}}"));
    let ended = piped(&[b"\xef\xbb\xbf", input.as_bytes(), b"\n\xff\xfe{}\n"].concat()).expect(0);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(lines.len(), ids.len() + 5, "{lines:?}");
    for (line, id) in lines.iter().zip(ids) {
        assert!(line.starts_with(&format!("{{\"id\":{id},\"amount_minor\":1,")), "{id}: {line}");
    }
    assert!(lines[ids.len()].starts_with("{\"id\":null,\"amount_minor\":1,"), "{lines:?}");
    for line in &lines[ids.len() + 1..] {
        assert!(line.starts_with("{\"id\":null,\"error\":\"the line"), "{line}");
    }
}

/// A number keeps the digits that a binary float would lose.
#[test]
fn a_quantity_keeps_every_digit_as_a_number_and_as_text() {
    for quantity in
        ["999999999999.000000000001", "\"999999999999.000000000001\"", "9.99999999999000000000001e11"]
    {
        let line = format!(
            "{{\"currency\":\"usd\",\"price\":{{\"unit_amount_decimal\":\"0.000000000003\"}},\"quantity\":{quantity}}}"
        );
        let answer = &batch_of(&[line])[0];
        assert_eq!(answer["lines"][0]["quantity"], "999999999999.000000000001");
        assert_eq!(answer["exact_amount_minor"], "2.999999999997000000000003");
        assert_eq!(answer["amount_minor"], 3);
    }
}

/// The same price with its decimal as text, as a number, and as both of Stripe's fields.
#[test]
fn a_decimal_of_a_price_may_be_text_or_a_number() {
    for price in [
        "\"unit_amount_decimal\":\"7.000\"",
        "\"unit_amount_decimal\":7",
        "\"unit_amount\":7,\"unit_amount_decimal\":7.0",
    ] {
        let line = format!("{{\"currency\":\"usd\",\"price\":{{{price}}},\"quantity\":0.5}}");
        let answer = &batch_of(&[line])[0];
        assert_eq!(
            (&answer["exact_amount_minor"], &answer["amount_minor"]),
            (&"3.5".into(), &4.into()),
            "{price}"
        );
    }
}

#[test]
fn a_batch_that_cannot_be_read_is_an_error_and_an_empty_one_is_none() {
    assert_eq!(piped(b"").expect(0).stdout, "");
    let workspace = folder(&[]);
    workspace.run(&["rate", "--batch", "none.ndjson"]).expect(74);
    // A directory opens as a file does; only reading it fails.
    let ended = workspace.run(&["rate", "--batch", "."]).expect(74);
    assert!(ended.stderr.starts_with("billrecon: .: "), "{}", ended.stderr);
    workspace.run(&["rate"]).expect(2);
    workspace.run(&["rate", "--batch", "-", "--catalog", "c.toml", "--plan", "pro"]).expect(2);
}

/// A line may have 1 MiB without its end; one more byte and it is told as too long, whatever comes after it.
#[test]
fn a_line_that_is_too_long_is_an_answer_and_the_lines_after_it_are_rated() {
    let padded = |bytes: usize| {
        let line = "{\"id\":\"x\",\"price\":{\"unit_amount\":2,\"currency\":\"jpy\"},\"quantity\":3";
        format!("{line}{}}}", " ".repeat(bytes - line.len() - 1))
    };
    let lines = [1 << 20, (1 << 20) + 1, 100, 64 << 20, 100, (1 << 20) + 1].map(padded);
    let workspace = folder(&[("long.ndjson", &lines.join("\n"))]);
    let (told, peak_mib) = memory::run(workspace.command(&["rate", "--batch", "long.ndjson"]));
    let too_long = "{\"id\":null,\"error\":\"the line is longer than 1 MiB\"}";
    let told: Vec<&str> = told.lines().collect();
    assert_eq!(told.len(), lines.len(), "{told:?}");
    for (line, is_right) in told.iter().zip([true, false, true, false, true, false]) {
        let right = "{\"id\":\"x\",\"amount_minor\":6,";
        assert!(if is_right { line.starts_with(right) } else { *line == too_long }, "{line}");
    }
    assert!(peak_mib < 48, "{peak_mib} MiB");
}

#[test]
fn a_line_with_a_key_twice_keeps_its_id() {
    let line = "{\"id\":\"dup\",\"currency\":\"usd\",\"price\":{\"unit_amount\":1},\"quantity\":\"1\",\"quantity\":\"2\"}";
    let expected = json!({"id": "dup", "error": "the line: the field `quantity` stands twice"});
    assert_eq!(batch_of(&[line.to_owned()]), [expected]);
}

/// What the request has that makes a price, and the price itself has not.
#[test]
fn a_price_as_it_is_sent_to_the_api_is_rated() {
    let mut price = full_object();
    price["product_data"] = json!({"name": "Calls"});
    price["transfer_lookup_key"] = true.into();
    assert_eq!(batch_of(&[ask(&price)])[0]["amount_minor"], 52);
}

/// Whoever asks and waits, one line at a time, is answered before the next line.
#[test]
fn an_answer_does_not_wait_for_the_next_question() {
    use std::io::{BufRead, BufReader, Write};
    let workspace = folder(&[]);
    let mut command = workspace.command(&["rate", "--batch", "-"]);
    let mut child =
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    for quantity in 1..4 {
        let line =
            json!({"id": quantity, "currency": "usd", "price": {"unit_amount": 5}, "quantity": quantity});
        writeln!(stdin, "{line}").unwrap();
        let mut answer = String::new();
        stdout.read_line(&mut answer).unwrap();
        let answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(answer["amount_minor"], 5 * quantity);
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}
