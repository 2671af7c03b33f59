//! Plans of a catalog: found by name, every meter rated, the base fee beside them.
//!
//! In: a small catalog and what was used. Out: lines, a total, a table; or what to say instead.

use serde_json::json;

use super::folder;
use crate::support::{Ended, Workspace};

const CATALOG: &str = r#"
[[meter]]
key = "calls"
aggregation = "sum"
[[meter]]
key = "storage_gb"
aggregation = "max"

[[plan]]
key = "pay as you go"
currency = "usd"
  [[plan.usage]]
  meter = "calls"
  price = { billing_scheme = "tiered", tiers_mode = "volume", tiers = [
            { up_to = 10, unit_amount = 0, flat_amount = 300 }, { up_to = "inf", unit_amount_decimal = "0.5" } ] }
  [[plan.usage]]
  meter = "storage_gb"
  price = { unit_amount = 50, transform_quantity = { divide_by = 1, round = "up" } }

[[plan]]
key = "pro"
currency = "kwd"
amount = 5120
  [[plan.usage]]
  meter = "calls"
  free_quota = 100
  price = { unit_amount_decimal = "0.3" }

[[plan]]
key = "pro"
currency = "kwd"
interval = "year"
amount = 51200

[[plan]]
key = "free"
currency = "jpy"
hard_cap = true
  [[plan.usage]]
  meter = "calls"
  free_quota = 100
"#;

fn rate(arguments: &[&str]) -> (Ended, Workspace) {
    let workspace = folder(&[("c.toml", CATALOG)]);
    let ended = workspace.run(&[&["rate", "--catalog", "c.toml"], arguments].concat());
    // No database, no reports: the folder holds the catalog and nothing else.
    assert_eq!(std::fs::read_dir(workspace.folder.path()).unwrap().count(), 1);
    (ended, workspace)
}

fn json_of(arguments: &[&str]) -> serde_json::Value {
    rate(&[arguments, &["--json"]].concat()).0.expect(0).json()
}

#[test]
fn a_plan_has_its_base_fee_and_a_line_for_everything_it_sells() {
    let quote = json_of(&["--plan", "pro", "--interval", "month", "--use", "calls=102.5"]);
    assert_eq!(
        (&quote["amount_minor"], &quote["amount"], &quote["currency"]),
        (&5_121.into(), &"5.121".into(), &"kwd".into())
    );
    assert_eq!((&quote["plan"], &quote["interval"]), (&"pro".into(), &"month".into()));
    let lines = json!([
        {"kind": "base", "meter": "", "tier": null, "quantity": "1", "priced_quantity": "1", "unit_amount_decimal": "5120",
         "exact_amount_minor": "5120", "amount_minor": 5_120},
        {"kind": "usage", "meter": "calls", "tier": 1, "quantity": "100", "priced_quantity": "100",
         "unit_amount_decimal": "0", "exact_amount_minor": "0", "amount_minor": 0},
        {"kind": "usage", "meter": "calls", "tier": 2, "quantity": "2.5", "priced_quantity": "2.5",
         "unit_amount_decimal": "0.3", "exact_amount_minor": "0.75", "amount_minor": 1},
    ]);
    assert_eq!(quote["lines"], lines);
    let units = json!([{"meter": "calls", "used": "102.5", "free": "100", "billed": "2.5", "capped": "0"}]);
    assert_eq!(quote["units"], units);
}

#[test]
fn one_use_may_name_several_meters() {
    let of = |used: &[&str]| json_of(&[&["--plan", "pay as you go"], used].concat());
    let apart = of(&["--use", "storage_gb=2.5", "--use", "calls=4"]);
    assert_eq!(of(&["--use", "storage_gb=2.5", "calls=4"]), apart);
    assert_eq!(apart["amount"], "4.50");
}

/// A fee of a first tier is due although nobody spoke of the meter.
#[test]
fn a_meter_that_is_not_named_was_not_used() {
    let quote = json_of(&["--plan", "PAY_AS-you go", "--use", "storage_gb=2.5"]);
    assert_eq!((&quote["plan"], &quote["amount"]), (&"pay as you go".into(), &"4.50".into()));
    let storage = quote["lines"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&storage["quantity"], &storage["priced_quantity"]), (&"2.5".into(), &"3".into()));
}

#[test]
fn a_capped_plan_bills_nothing_above_its_quota() {
    let quote = json_of(&["--plan", "free", "--use", "calls=130"]);
    assert_eq!((&quote["amount_minor"], &quote["amount"]), (&0.into(), &"0".into()));
    assert_eq!((&quote["units"][0]["free"], &quote["units"][0]["capped"]), (&"100".into(), &"30".into()));
}

#[test]
fn a_table_tells_a_person_the_same() {
    let table =
        rate(&["--plan", "pay as you go", "--use", "storage_gb=2.5", "--use", "calls=4"]).0.expect(0).stdout;
    let words: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    for row in [
        &["calls,", "fee", "1", "300", "300", "3.00"][..],
        &["storage_gb", "2.5", "3", "packages", "50", "150", "1.50"],
        &["total", "4.50"],
        &["storage_gb:", "2.5", "used", "=", "0", "free", "+", "2.5", "billed"],
    ] {
        assert!(words.iter().any(|line| line == row), "{row:?} is missing in:\n{table}");
    }
    let capped = rate(&["--plan", "free", "--use", "calls=130"]).0.expect(0).stdout;
    assert!(capped.contains("130 used = 100 free + 0 billed + 30 capped"), "{capped}");
}

/// What was said wrongly, the exit code, and words of the answer.
#[test]
fn what_the_catalog_does_not_have_is_told_with_what_it_has() {
    for (arguments, code, words) in [
        (
            &["--plan", "por", "--interval", "month"][..],
            65,
            "no plan `por`: did you mean `pro`?; it has: free (month, jpy)",
        ),
        (
            &["--plan", "gold"],
            65,
            "it has: free (month, jpy), pay as you go (month, usd), pro (month, kwd), pro (year, kwd)",
        ),
        (&["--plan", "pro"], 2, "say which with --interval and --currency"),
        (&["--plan", "free", "--currency", "usd"], 65, "no plan `free`"),
        (
            &["--plan", "free", "--use", "storage_gb=1"],
            65,
            "does not sell the meter `storage_gb`; it sells: calls",
        ),
        (&["--plan", "free", "--use", "call=1"], 65, "`call`: did you mean `calls`?"),
        (&["--plan", "free", "--use", "calls=1", "--use", "calls=2"], 2, "names the meter `calls` twice"),
        (&["--plan", "free", "--use", "calls"], 2, "write a meter and a quantity"),
        (&["--plan", "free", "--use", "calls=many"], 2, "is not a decimal number"),
        (&["--plan", "free", "--interval", "week"], 2, "write month or year"),
        (&["--plan", "free", "--currency", "xyz"], 2, "is not an ISO 4217"),
        (&[], 2, "--plan"),
        (&["--plan", "pay as you go", "--use", "storage_gb=999999999999999"], 0, "total"),
    ] {
        let ended = rate(arguments).0.expect(code);
        let said = if code == 0 { &ended.stdout } else { &ended.stderr };
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

#[test]
fn a_catalog_that_is_missing_or_wrong_is_told_as_at_import() {
    let workspace = folder(&[
        ("bad.toml", "[[plan]]\nkey = \"a\"\ncurrency = \"usd\"\namuont = 1\n"),
        ("no.toml", "x = "),
    ]);
    let ended = workspace.run(&["rate", "--catalog", "bad.toml", "--plan", "a"]).expect(65);
    assert!(ended.stderr.contains("bad.toml: line 4, column 1: plan[0].amuont: "), "{}", ended.stderr);
    assert!(ended.stderr.contains("did you mean `amount`?"), "{}", ended.stderr);
    workspace.run(&["rate", "--catalog", "no.toml", "--plan", "a"]).expect(65);
    workspace.run(&["rate", "--catalog", "none.toml", "--plan", "a"]).expect(74);
}

/// docs.stripe.com/currencies: three decimals of which the last is 0, and ISK, whose amounts keep two that are always 0.
#[test]
fn a_total_that_stripe_cannot_charge_is_told() {
    let catalog = |currency: &str, amount: u32| {
        format!("[[plan]]\nkey = \"flat\"\ncurrency = \"{currency}\"\namount = {amount}\n")
    };
    for (currency, amount, total, step) in [
        ("kwd", 5124, "5.124", Some("0.010")),
        ("kwd", 5120, "5.120", None),
        ("isk", 550, "5.50", Some("1.00")),
        ("usd", 1, "0.01", None),
    ] {
        let workspace = folder(&[("catalog.toml", &catalog(currency, amount))]);
        let table = workspace.run(&["rate", "--catalog", "catalog.toml", "--plan", "flat"]).expect(0).stdout;
        assert!(table.contains(total), "{table}");
        let told =
            step.map(|step| format!("Stripe charges {} in steps of {step} only", currency.to_uppercase()));
        assert_eq!(table.contains("in steps of"), told.is_some(), "{table}");
        assert!(told.is_none_or(|told| table.contains(&told)), "{table}");
    }
}

#[test]
fn a_mark_that_turns_the_reading_direction_is_escaped_in_json() {
    let plan = "p\u{202e}ro";
    let catalog = format!("[[plan]]\nkey = \"{plan}\"\ncurrency = \"usd\"\namount = 1000\n");
    let workspace = folder(&[("c.toml", &catalog)]);
    let ended = workspace.run(&["rate", "--catalog", "c.toml", "--plan", plan, "--json"]).expect(0);
    assert!(ended.stdout.contains("p\\u202ero"), "{}", ended.stdout);
    assert_eq!(ended.json()["plan"], plan);
}
