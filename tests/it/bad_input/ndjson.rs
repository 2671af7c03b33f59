//! Usage as NDJSON: a number keeps its text, and a line that is no record is quarantined like one of a CSV file.
//!
//! In: JSON lines, right and wrong. Out: receipts, reasons, and a bill to the last digit. Never a number that went
//! through a binary float.

use super::{import_usage, ledger, receipt, says, without_usage};
use crate::support::{ENGINES, Engine, csv_rows};

/// A record with one field replaced by other JSON text, or left out.
fn record(id: &str, replaced: &str, json: &str) -> String {
    let id = format!("\"{id}\"");
    let fields = [
        ("tenant_id", "\"beta\""),
        ("meter", "\"storage_gb\""),
        ("quantity", "1"),
        ("occurred_at", "\"2026-09-10T00:00:00Z\""),
        ("source_event_id", &id),
    ];
    let text = |(name, value): &(&str, &str)| {
        let value = if *name == replaced { json } else { value };
        (!value.is_empty()).then(|| format!("\"{name}\":{value}"))
    };
    let fields: Vec<String> = fields.iter().filter_map(text).collect();
    format!("{{{}}}\n", fields.join(","))
}

fn good(id: &str, quantity: &str) -> String {
    record(id, "quantity", quantity)
}

#[test]
fn a_number_keeps_its_text_so_no_digit_is_lost() {
    for engine in ENGINES {
        // Stripe takes 15 significant digits, so this is seen in the ledger only.
        let workspace = without_usage(engine).observing();
        // The last one has more digits than a binary float.
        let small = ["0.1000", "1e-7", "\"0.000000000001\"", "1.0E+2"];
        let numbers = small.into_iter().chain(["999999999999999", "123456789012345.123456789012"]);
        let file: String = (0..).zip(numbers).map(|(id, number)| good(&format!("n-{id}"), number)).collect();
        assert_eq!(receipt(&import_usage(&workspace, "usage.ndjson", file).expect(0)), [6, 6, 0, 0]);
        workspace.run(&["run", "--period", "2026-09"]).expect(0);
        let lines = csv_rows(&workspace.data_files("2026-09")["lines.csv"]);
        let line = lines.iter().find(|line| line["meter"] == "storage_gb").unwrap();
        assert_eq!(line["quantity"], "1123456789012444.223456889013");
        // The price is 0.000000000001 of a minor unit.
        assert_eq!(line["exact_amount_minor"], "1123.456789012444223456889013");
    }
}

#[test]
fn the_same_number_in_another_spelling_is_a_duplicate() {
    for engine in ENGINES {
        let workspace = without_usage(engine);
        import_usage(&workspace, "usage.ndjson", good("n-1", "0.1")).expect(0);
        let spellings: String =
            ["0.1000", "1e-1", "\"0.1\"", "10E-2"].iter().map(|text| good("n-1", text)).collect();
        assert_eq!(receipt(&import_usage(&workspace, "again.ndjson", spellings).expect(0)), [4, 0, 4, 0]);
    }
}

#[test]
fn each_line_that_is_no_record_is_quarantined_with_its_reason_and_line() {
    let workspace = without_usage(Engine::Sqlite);
    let twice = good("x", "1").replace('}', ",\"quantity\":2}");
    let cases = [
        (good("x", "{\"value\":1}"), "bad_quantity"),
        (good("x", "[1]"), "bad_quantity"),
        (good("x", "true"), "bad_quantity"),
        (good("x", "1e400"), "bad_quantity"),
        (good("x", "0.1234567890123"), "bad_quantity"),
        (good("x", "-1"), "negative"),
        (good("x", "null"), "missing_field"),
        (good("x", "\"\""), "missing_field"),
        (good("x", ""), "missing_field"),
        (good("x", "NaN"), "malformed"),
        (good("x", "01"), "malformed"),
        (record("x", "tenant_id", "null"), "missing_field"),
        (record("x", "tenant_id", "{\"id\":\"beta\"}"), "unknown_tenant"),
        (record("x", "occurred_at", "1788998400"), "bad_timestamp"),
        (record("x\\u0000y", "", ""), "bad_text"),
        (twice, "malformed"),
        ("{\"tenant_id\":\"beta\"\n".to_owned(), "malformed"),
        ("{} {}\n".to_owned(), "malformed"),
        ("[1]\n".to_owned(), "malformed"),
        ("\"beta\"\n".to_owned(), "malformed"),
        ("beta,storage_gb,1,2026-09-10T00:00:00Z,x\n".to_owned(), "malformed"),
    ];
    for (number, (line, reason)) in cases.into_iter().enumerate() {
        let name = format!("bad-{number}.ndjson");
        // The first line says that the file is NDJSON; the empty one counts as a line.
        let ended = import_usage(&workspace, &name, format!("{}\n{line}", good("ok", "1"))).expect(3);
        says(&ended, &format!("{name}: line 3: {reason}: "));
        let [read, _, _, quarantined] = receipt(&ended);
        assert_eq!((read, quarantined), (2, 1), "{line}");
    }
}

#[test]
fn a_line_that_is_not_utf_8_is_quarantined() {
    let workspace = without_usage(Engine::Sqlite);
    let file =
        [good("ok", "1").as_bytes(), b"{\"tenant_id\":\"\xff\"}\n", good("ok-2", "1").as_bytes()].concat();
    let ended = import_usage(&workspace, "usage.ndjson", file).expect(3);
    says(&ended, "usage.ndjson: line 2: malformed: the line is not UTF-8");
    assert_eq!(receipt(&ended), [3, 2, 0, 1]);
}

#[test]
fn half_of_a_surrogate_pair_is_no_id() {
    let workspace = without_usage(Engine::Sqlite);
    let ended = import_usage(&workspace, "usage.ndjson", record("\\ud800", "", "")).expect(3);
    assert_eq!(receipt(&ended), [1, 0, 0, 1]);
}

#[test]
fn other_fields_become_properties_and_null_is_no_field() {
    for engine in ENGINES {
        let workspace = without_usage(engine);
        let others = ",\"outcome\":\"success\",\"ms\":12.50,\"tags\":[1, 2],\"gone\":null,\"empty\":\"\"}";
        let file = good("n-1", "1").replace('}', others);
        import_usage(&workspace, "usage.ndjson", file).expect(0);
        let properties = r#"{"ms":"12.50","tags":"[1, 2]"}"#;
        let row = ["beta", "n-1", "storage_gb", "1788998400000000000", "success", "", properties];
        assert_eq!(ledger(&workspace), [row]);
    }
}

#[test]
fn a_byte_order_mark_windows_line_ends_and_empty_lines_change_nothing() {
    let workspace = without_usage(Engine::Sqlite);
    let file = good("n-1", "1") + &good("n-2", "2");
    import_usage(&workspace, "usage.ndjson", &file).expect(0);
    let variants = [
        format!("\u{feff}{file}"),
        file.replace('\n', "\r\n"),
        format!("\n  \n{}", file.replace('\n', "\n\n")),
        file.trim_end().to_owned(),
    ];
    for variant in variants {
        let ended = import_usage(&workspace, "again.ndjson", &variant).expect(0);
        assert_eq!(receipt(&ended), [2, 0, 2, 0], "{variant:?}");
    }
}

#[test]
fn a_line_that_is_too_long_refuses_the_file() {
    let workspace = without_usage(Engine::Sqlite);
    let file =
        format!("{}{{\"tenant_id\":\"{}\"}}\n{}", good("n-1", "1"), "x".repeat(2 << 20), good("n-2", "1"));
    let ended = import_usage(&workspace, "usage.ndjson", file).expect(65);
    says(&ended, "usage.ndjson: line 2: record is longer than 1 MiB");
}
