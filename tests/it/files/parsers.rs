//! Names that break a careless writer, read back by parsers that are not ours.
//!
//! In: a table whose names are formulas, quotes, line ends, NUL, marks of direction, emoji and 10,000 characters. Out: the same names
//! but for the escape, by Rust's csv, Python's csv and LibreOffice. The last two are judges.

use std::fs;
use std::path::Path;
use std::process::Command;

use billrecon::domain::report::{Cell, CsvFormat, Delimiter, Table};
use billrecon::render::csv_text;

use crate::support::Ended;

/// Each name, and as it is to be read.
pub(super) fn names() -> Vec<(String, String)> {
    let long = "ä".repeat(10_000);
    let pairs = [
        ("acme", "acme"),
        ("=HYPERLINK(\"http://x\")", "'=HYPERLINK(\"http://x\")"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("＝1", "'＝1"),
        ("'quoted", "'quoted"),
        ("a,b;c|d", "a,b;c|d"),
        ("q\"u\"\"o", "q\"u\"\"o"),
        ("\"", "\""),
        ("two\nlines", "two\u{fffd}lines"),
        ("two\r\nlines\r", "two\u{fffd}\u{fffd}lines\u{fffd}"),
        ("\t=1", "\u{fffd}=1"),
        ("nul\0x", "nul\u{fffd}x"),
        ("\u{1b}[31m\u{7f}\u{9b}", "\u{fffd}[31m\u{fffd}\u{fffd}"),
        ("\u{202e}evil\u{2066}\u{200f}", "\u{fffd}evil\u{fffd}\u{fffd}"),
        ("zero\u{200b}width\u{feff}", "zero\u{fffd}width\u{fffd}"),
        ("\u{feff}=1", "\u{fffd}=1"),
        ("line\u{2028}paragraph\u{2029}", "line\u{fffd}paragraph\u{fffd}"),
        ("👩\u{200d}🚀 🧾", "👩\u{200d}🚀 🧾"),
        ("שלום مرحبا", "שלום مرحبا"),
        ("00123", "00123"),
        ("1e5", "1e5"),
        ("12345678901234567890", "12345678901234567890"),
        ("_x0041_", "_x0041_"),
        (" spaced ", " spaced "),
        (&long, &long),
    ];
    pairs.map(|(name, shown)| (name.to_owned(), shown.to_owned())).into()
}

fn table(names: &[(String, String)]) -> Table<'_> {
    let row = |(name, _): &(String, String)| {
        vec![
            Cell::Text(name.clone().into()),
            Cell::Number("-0.50".to_owned()),
            Cell::Text(name.clone().into()),
        ]
    };
    Table {
        name: "hostile",
        columns: &["tenant_id", "quantity", "tenant_name"],
        rows: Box::new(names.iter().map(row)),
    }
}

const DELIMITERS: [Delimiter; 4] = [Delimiter::Comma, Delimiter::Semicolon, Delimiter::Tab, Delimiter::Pipe];

#[test]
fn hostile_names_survive_unchanged_but_for_the_escape() {
    let names = names();
    for delimiter in DELIMITERS {
        let text = csv_text(table(&names), CsvFormat { bom: false, delimiter }).unwrap();
        assert!(!text.contains("\n\n") && text.matches('\n').count() == names.len() + 1);
        let mut reader = csv::ReaderBuilder::new();
        let mut reader = reader.delimiter(delimiter.byte()).from_reader(text.as_bytes());
        for (row, (_, shown)) in reader.records().zip(&names) {
            assert_eq!(row.unwrap(), vec![shown.as_str(), "-0.50", shown]);
        }
    }
}

#[test]
fn two_parsers_of_others_read_the_same_names() {
    if std::env::var_os("BILLRECON_TEST_JUDGES").is_none() {
        return;
    }
    let python = std::env::var("BILLRECON_TEST_PYTHON").expect("scripts/test --judges sets it");
    let (names, folder) = (names(), tempfile::tempdir().unwrap());
    let shown: Vec<&str> = names.iter().map(|(_, shown)| shown.as_str()).collect();
    fs::write(folder.path().join("expected.json"), serde_json::to_string(&shown).unwrap()).unwrap();
    for delimiter in DELIMITERS {
        let text = csv_text(table(&names), CsvFormat { bom: true, delimiter }).unwrap();
        fs::write(folder.path().join(format!("{}.csv", delimiter.byte())), text).unwrap();
    }
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/files/parsers.py");
    let ended = Command::new(python).arg(script).current_dir(folder.path()).output().unwrap();
    let ended = Ended::of(ended).expect(0);
    assert!(ended.stdout.ends_with("all as expected\n"), "{}", ended.stdout);
}
