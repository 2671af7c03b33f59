//! Usage files that are wrong as a whole: headers, quotes, lengths, encodings, missing files.
//!
//! In: files whose fault is not one line's. Out: one error with file and line and its exit code; what was read before
//! the fault is kept, and the mended file completes it. Never a silently shortened file.

use super::{HEADER, calm, import_usage, ledger, receipt, says, without_usage};
use crate::support::{ENGINES, Engine, USAGE, Workspace};

fn line(id: &str) -> String {
    format!("beta,b2b.match_request,1,2026-09-10T00:00:00Z,{id}\n")
}

#[test]
fn a_wrong_header_is_an_error_with_file_and_line_and_imports_nothing() {
    let workspace = without_usage(Engine::Sqlite);
    let misspelt = HEADER.replace("quantity", "quantiy");
    let capital = HEADER.replace("quantity", "Quantity");
    let twice = HEADER.replace('\n', ",meter\n");
    let semicolons = HEADER.replace(',', ";");
    let utf_16: Vec<u8> = format!("\u{feff}{HEADER}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let cases: [(&str, &[u8], &str); 7] = [
        ("misspelt.csv", misspelt.as_bytes(), "`quantity` (is `quantiy` meant?)"),
        ("capital.csv", capital.as_bytes(), "`quantity` (is `Quantity` meant?)"),
        ("twice.csv", twice.as_bytes(), "`meter` twice"),
        ("semicolons.csv", semicolons.as_bytes(), "lacks `tenant_id`"),
        ("headless.csv", USAGE.split_once('\n').unwrap().1.as_bytes(), "lacks `tenant_id`"),
        ("other.csv", b"a,b\n1,2\n", "lacks `tenant_id`"),
        ("utf16.csv", &utf_16, "not UTF-8"),
    ];
    for (name, bytes, words) in cases {
        let ended = import_usage(&workspace, name, bytes).expect(65);
        says(&ended, &format!("{name}: line 1: "));
        says(&ended, words);
    }
    assert!(ledger(&workspace).is_empty());
}

#[test]
fn an_empty_file_is_an_error_and_a_file_with_a_header_only_is_not() {
    let workspace = without_usage(Engine::Sqlite);
    for (name, bytes) in [("empty.csv", ""), ("blank.csv", " \n\n\t\n"), ("bom.csv", "\u{feff}")] {
        says(&import_usage(&workspace, name, bytes).expect(65), &format!("{name}: is empty"));
    }
    assert_eq!(receipt(&import_usage(&workspace, "header.csv", HEADER).expect(0)), [0, 0, 0, 0]);
}

#[test]
fn a_missing_file_and_a_folder_cannot_be_read() {
    let workspace = without_usage(Engine::Sqlite);
    for name in ["missing.csv", "missing/usage.csv", "."] {
        for kind in ["usage", "tenants", "catalog"] {
            says(&calm(workspace.run(&["import", kind, name])).expect(74), name);
        }
    }
}

#[test]
fn an_open_quote_that_swallows_a_mebibyte_is_an_error_and_the_mended_file_completes_the_import() {
    for engine in ENGINES {
        let workspace = without_usage(engine);
        let rest: String = (0..6_000).map(|number| line(&format!("r-{number:0>200}"))).collect();
        let broken = format!("{HEADER}{}{}{rest}", line("first"), line("\"second"));
        let ended = import_usage(&workspace, "usage.csv", &broken).expect(65);
        says(&ended, "usage.csv: line 3: ");
        says(&ended, "quote");
        // What came before the fault is safe.
        assert_eq!(workspace.number("SELECT COUNT(*) FROM usage_ledger"), 1);
        let mended = import_usage(&workspace, "usage.csv", broken.replace('"', "")).expect(0);
        assert_eq!(receipt(&mended), [6_002, 6_001, 1, 0]);
    }
}

/// The lines behind the quote would vanish in a property, and nobody would be told.
#[test]
fn an_open_quote_in_the_last_column_never_swallows_other_records_silently() {
    for engine in ENGINES {
        let workspace = without_usage(engine);
        let header = HEADER.replace('\n', ",note\n");
        let broken = format!("{header}{},\"oops\n{},fine\n", line("y").trim_end(), line("z").trim_end());
        let ended = import_usage(&workspace, "usage.csv", &broken);
        assert!(matches!(ended.code, Some(3 | 65)), "{ended:?}");
        let mended = import_usage(&workspace, "usage.csv", broken.replace('"', "")).expect(0);
        assert_eq!(receipt(&mended)[0], 2);
        assert_eq!(workspace.number("SELECT COUNT(*) FROM usage_ledger"), 2);
    }
}

#[test]
fn a_line_of_json_longer_than_any_record_is_an_error_with_its_line() {
    for engine in ENGINES {
        let workspace = without_usage(engine);
        let json = |id: &str| {
            format!(
                "{{\"tenant_id\":\"beta\",\"meter\":\"b2b.match_request\",\"quantity\":1,\
                 \"occurred_at\":\"2026-09-10T00:00:00Z\",\"source_event_id\":\"{id}\"}}\n"
            )
        };
        let broken = format!("{}\n{}{}", json("first"), json(&"x".repeat(3 << 20)), json("last"));
        let ended = import_usage(&workspace, "usage.ndjson", broken).expect(65);
        says(&ended, "usage.ndjson: line 3: ");
        assert_eq!(workspace.number("SELECT COUNT(*) FROM usage_ledger"), 1);
        let mended = import_usage(&workspace, "usage.ndjson", json("first") + &json("last")).expect(0);
        assert_eq!(receipt(&mended), [2, 1, 1, 0]);
    }
}

#[test]
fn a_record_of_almost_a_mebibyte_is_read_and_judged() {
    let workspace = without_usage(Engine::Sqlite);
    let header = HEADER.replace('\n', ",note\n");
    let note = "n".repeat(900_000);
    let file = format!("{header}{}{}", line(&format!("big,{note}")).trim_end(), "\n");
    assert_eq!(receipt(&import_usage(&workspace, "usage.csv", file).expect(0)), [1, 1, 0, 0]);
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_change_nothing() {
    let plain = without_usage(Engine::Sqlite);
    import_usage(&plain, "usage.csv", USAGE).expect(0);
    let variants = [
        format!("\u{feff}{USAGE}"),
        USAGE.replace('\n', "\r\n"),
        format!("\u{feff}{}", USAGE.replace('\n', "\r\n")),
        USAGE.trim_end().to_owned(),
        USAGE.replace('\n', "\n\n"),
        USAGE.replace("acme", "\"acme\""),
    ];
    for variant in variants {
        let other = without_usage(Engine::Sqlite);
        assert_eq!(receipt(&import_usage(&other, "usage.csv", &variant).expect(0)), [6, 6, 0, 0]);
        assert_eq!(ledger(&other), ledger(&plain), "{variant:?}");
    }
}

#[test]
fn columns_may_stand_in_any_order_and_others_become_properties() {
    for engine in ENGINES {
        let workspace = without_usage(engine);
        let file = "note,source_event_id,occurred_at,outcome,quantity,meter,tenant_id,region\n\
             \"two\nlines, \"\"quoted\"\"\",e-1,2026-09-10T00:00:00Z,success,1,b2b.match_request,beta,\n\
             x,e-2,2026-09-10,success,1,b2b.match_request,beta,eu\n";
        let ended = import_usage(&workspace, "usage.csv", file).expect(3);
        // The quoted newline counts as a line of the file.
        says(&ended, "usage.csv: line 4: bad_timestamp");
        let properties = r#"{"note":"two\nlines, \"quoted\""}"#;
        let row = ["beta", "e-1", "b2b.match_request", "1788998400000000000", "success", "", properties];
        assert_eq!(ledger(&workspace), [row]);
    }
}

#[test]
fn usage_before_a_catalog_is_refused_with_the_next_step() {
    for engine in ENGINES {
        for workspace in [Workspace::new(engine), Workspace::fresh(engine)] {
            let ended = import_usage(&workspace, "usage.csv", USAGE).expect(78);
            says(&ended, "billrecon import catalog FILE");
            let ended = calm(workspace.run(&["run"])).expect(78);
            says(&ended, "billrecon import catalog FILE");
        }
    }
}
