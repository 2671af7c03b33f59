//! `--excel` and `--delimiter`: the same cells in another dress.
//!
//! In: one company, closed with and without the flags. Out: files that a reader told of the format reads alike, and an auditor
//! that finds the format in the manifest.

use super::is_csv;
use crate::support::{Engine, Workspace, files};

/// Header and rows.
fn cells(bytes: &[u8], delimiter: u8) -> Vec<Vec<String>> {
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.has_headers(false).delimiter(delimiter).from_reader(bytes);
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

#[test]
fn the_flags_change_the_mark_and_what_stands_between_cells_and_nothing_else() {
    let plain = Workspace::with_watched_company(Engine::Sqlite);
    plain.run(&["run", "--period", "2026-09"]).expect(0);
    let plain = plain.data_files("2026-09");
    for (flags, byte, shown, bom) in [
        (&["--excel"][..], b',', ",", true),
        (&["--delimiter", ";"], b';', ";", false),
        (&["--excel", "--delimiter", "tab"], b'\t', "\t", true),
        (&["--delimiter", "|"], b'|', "|", false),
    ] {
        let workspace = Workspace::with_watched_company(Engine::Sqlite);
        workspace.run(&[&["run", "--period", "2026-09"], flags].concat()).expect(0);
        let folder = workspace.report_folder("2026-09");
        let set = files(&folder);
        for (name, bytes) in plain.iter().filter(|(name, _)| is_csv(name)) {
            let marked = set[name].strip_prefix("\u{feff}".as_bytes());
            assert_eq!(marked.is_some(), bom, "{flags:?}: {name}");
            assert_eq!(cells(marked.unwrap_or(&set[name]), byte), cells(bytes, b','), "{flags:?}: {name}");
        }
        let manifest: serde_json::Value = serde_json::from_slice(&set["manifest.json"]).unwrap();
        assert_eq!(manifest["csv"], serde_json::json!({"bom": bom, "delimiter": shown}));
        workspace.run(&["verify", "--period", "2026-09"]).expect(0);
        workspace.run(&["verify", "--files", folder.to_str().unwrap()]).expect(0);
    }
}

#[test]
fn a_digit_that_is_changed_is_found_in_any_format() {
    let workspace = Workspace::with_watched_company(Engine::Sqlite);
    workspace.run(&["run", "--period", "2026-09", "--excel", "--delimiter", ";"]).expect(0);
    let path = workspace.report_folder("2026-09").join("lines.csv");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen(";99900;", ";99901;", 1)).unwrap();
    let told = workspace.run(&["verify", "--period", "2026-09"]).expect(65).stdout;
    assert!(told.contains("made_again") && told.contains("column unit_amount_decimal"), "{told}");
}

#[test]
fn another_delimiter_is_wrong_usage() {
    let workspace = Workspace::new(Engine::Sqlite);
    for wrong in ["", ":", ";;", "x", "\"", "\n"] {
        for command in [&["run"][..], &["report", "--period", "2026-09"]] {
            let ended = workspace.run(&[command, &["--delimiter", wrong]].concat()).expect(2);
            assert!(ended.stderr.contains("semicolon"), "{}", ended.stderr);
        }
    }
}

/// The wake after a crash writes what the run was asked for, whatever it is asked for itself.
#[test]
fn a_run_that_is_taken_up_keeps_its_format() {
    let workspace = Workspace::with_watched_company(Engine::Sqlite);
    workspace.write("file", "");
    let asked = ["run", "--period", "2026-09", "--delimiter", ";"];
    workspace.run(&[&asked[..], &["--reports", "file"]].concat()).expect(73);
    workspace.run(&["run", "--period", "2026-09"]).expect(0);
    let lines = &workspace.data_files("2026-09")["lines.csv"];
    assert!(lines.starts_with(b"period;tenant_id;plan"), "{:?}", String::from_utf8_lossy(lines));
}
