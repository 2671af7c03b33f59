//! Change one digit: of a file, of a stored row. Each time it is named.
//!
//! In: a closed month, a place. Out: 65 with the file, line and column, or the table. After each change the old text is put
//! back and everything holds again, so that no fault hides behind another.

use std::fs;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{Closed, check, fault, other_digit};
use crate::support::{ENGINES, Engine, Workspace, files};

#[test]
fn one_digit_of_any_file_is_named() {
    for engine in ENGINES {
        let closed = Closed::new(engine);
        closed.verify().expect(0);
        for (name, bytes) in files(&closed.folder()) {
            for at in [0, 7, usize::MAX] {
                fs::write(closed.folder().join(&name), other_bytes(&bytes, at)).unwrap();
                let told = fault(&closed.verify().expect(65));
                assert!(told.starts_with(&name), "{name}, digit {at}: {told}");
            }
            fs::write(closed.folder().join(&name), bytes).unwrap();
        }
        closed.verify().expect(0);
    }
}

/// Another digit in a text; in what is no text another byte.
fn other_bytes(bytes: &[u8], at: usize) -> Vec<u8> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return other_digit(text, at).into_bytes();
    }
    let mut bytes = bytes.to_vec();
    let place = at % bytes.len();
    bytes[place] ^= 1;
    bytes
}

#[test]
fn a_digit_of_a_data_file_is_named_with_line_and_column() {
    let closed = Closed::new(Engine::Sqlite);
    let set = files(&closed.folder());
    let names: Vec<String> = set.keys().filter(|name| name.contains(".csv")).cloned().collect();
    let mut runner = TestRunner::new(Config { cases: 48, ..Config::default() });
    let place = (0..names.len(), any::<prop::sample::Index>());
    let outcome = runner.run(&place, |(file, at)| {
        let name = &names[file];
        let text = String::from_utf8(set[name].clone()).unwrap();
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        // A comparison or a decision may have no rows, and a header no digits.
        prop_assume!(digits > 0);
        let changed = other_digit(&text, at.index(digits));
        fs::write(closed.folder().join(name), &changed).unwrap();
        let proof = closed.proof();
        fs::write(closed.folder().join(name), &text).unwrap();
        let place = text.bytes().zip(changed.bytes()).position(|(one, other)| one != other).unwrap();
        let line = text[..place].matches('\n').count() + 1;
        let (finding, words) = check(&proof, "made_again");
        prop_assert_eq!(&finding, "fails");
        prop_assert!(words.starts_with(&format!("{name}, line {line}, column ")), "{}", words);
        prop_assert_eq!(proof["first_fault"].as_str().unwrap().starts_with(name.as_str()), true);
        Ok(())
    });
    outcome.unwrap();
    closed.verify().expect(0);
}

/// Every column of one row of each table; the ledger's and the log's too.
const TABLES: [(&str, &str); 13] = [
    ("audit_log", "position = (SELECT MAX(position) FROM audit_log)"),
    ("billing_windows", "tenant_id = 'acme'"),
    ("window_usage", "tenant_id = 'acme' AND position = 1"),
    ("window_lines", "tenant_id = 'acme' AND position = (SELECT MAX(position) FROM window_lines)"),
    ("reconciliation", "position = (SELECT MAX(position) FROM reconciliation)"),
    ("run_exceptions", "tenant_id = 'dodo'"),
    ("run_control_totals", "measure = 'used'"),
    ("run_evidence", "position = (SELECT MAX(position) FROM run_evidence)"),
    ("run_decisions", "position = (SELECT MAX(position) FROM run_decisions)"),
    ("import_receipts", "accepted > 0"),
    ("catalog_versions", "version = 1"),
    ("usage_ledger", "tenant_id = 'dodo'"),
    ("runs", "period_status = 'closed'"),
];

fn columns(workspace: &Workspace, engine: Engine, table: &str) -> Vec<String> {
    let rows = workspace.sql(&match engine {
        Engine::Sqlite => format!("SELECT name FROM pragma_table_info('{table}') ORDER BY cid"),
        Engine::Postgres => format!(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = '{table}'::regclass AND attnum > 0 ORDER BY attnum"
        ),
    });
    rows.into_iter().map(|mut row| row.remove(0)).collect()
}

/// What finds a row again although `column` changes. SQLite's ledger has no row ids.
fn finder(engine: Engine, table: &str, column: &str) -> &'static str {
    match (engine, table, column) {
        (Engine::Postgres, _, _) => "ctid",
        (Engine::Sqlite, "usage_ledger", "source_event_id") => "tenant_id",
        (Engine::Sqlite, "usage_ledger", _) => "source_event_id",
        (Engine::Sqlite, _, _) => "rowid",
    }
}

/// Sets a cell and tells where the row is now, which a changed key may move.
fn set(
    workspace: &Workspace,
    finder: &str,
    (table, place): (&str, &str),
    column: &str,
    text: &str,
) -> String {
    let text = text.replace('\'', "''");
    let rows = workspace.sql(&format!(
        "UPDATE {table} SET {column} = '{text}' WHERE {place} RETURNING CAST({finder} AS TEXT)"
    ));
    format!("{finder} = '{}'", rows[0][0])
}

/// Changes a digit in the first columns of a table that hold something, one after the other; how many were changed and named.
fn columns_are_named(
    closed: &Closed,
    engine: Engine,
    (table, condition): (&str, &str),
    most: usize,
) -> usize {
    let workspace = &closed.workspace;
    let mut changed = 0;
    for column in columns(workspace, engine, table) {
        let cell = format!("SELECT COALESCE(CAST({column} AS TEXT), 'NULL') FROM {table} WHERE {condition}");
        let old = workspace.sql(&cell)[0][0].clone();
        // A word of ours that is none stops the reading of runs before anything can be named.
        let is_word = table == "runs" && ["state", "period", "period_status"].contains(&column.as_str());
        if old == "NULL" || is_word || changed == most {
            continue;
        }
        let finder = finder(engine, table, &column);
        let first = format!("SELECT CAST({finder} AS TEXT) FROM {table} WHERE {condition}");
        let place = format!("{finder} = '{}'", workspace.sql(&first)[0][0]);
        let place = set(workspace, finder, (table, &place), &column, &other_digit(&old, 0));
        let told = fault(&workspace.run(&["verify", "--all"]).expect(65));
        assert!(told.contains(table), "{engine:?}, {table}.{column}: {told}");
        set(workspace, finder, (table, &place), &column, &old);
        changed += 1;
    }
    workspace.run(&["verify", "--all"]).expect(0);
    changed
}

#[test]
fn one_digit_of_any_column_of_any_table_is_named() {
    let closed = Closed::new(Engine::Sqlite);
    let mut changed = 0;
    for table in TABLES {
        closed.workspace.unprotect(table.0);
        changed += columns_are_named(&closed, Engine::Sqlite, table, usize::MAX);
    }
    assert!(changed > 110, "{changed} columns were changed");
}

#[test]
fn one_digit_of_each_table_is_named_on_postgresql_too() {
    let closed = Closed::new(Engine::Postgres);
    for table in TABLES {
        closed.workspace.unprotect(table.0);
        assert_eq!(columns_are_named(&closed, Engine::Postgres, table, 2), 2, "{table:?}");
    }
}

#[test]
fn a_changed_line_is_named_with_its_tenant_and_column() {
    for engine in ENGINES {
        let closed = Closed::new(engine);
        closed.workspace.unprotect("window_lines");
        closed.workspace.unprotect("window_usage");
        let free = if engine == Engine::Sqlite { "free_floor" } else { "free" };
        closed.workspace.sql("UPDATE window_lines SET tier = 3 WHERE tenant_id = 'acme' AND tier = 2");
        let told = closed.fault();
        assert!(told.contains("lines.csv, line ") && told.contains("column tier (tenant_id acme"), "{told}");
        closed.workspace.sql("UPDATE window_lines SET tier = 2 WHERE tenant_id = 'acme' AND tier = 3");
        closed.workspace.sql(&format!(
            "UPDATE window_usage SET {free} = {free} + 1 WHERE tenant_id = 'acme' AND meter = 'b2b.match_request'"
        ));
        let told = closed.fault();
        assert!(told.contains("window_usage") && told.contains("b2b.match_request, free"), "{told}");
    }
}

#[test]
fn a_changed_record_of_the_ledger_is_named_with_its_tenant_window_and_meter() {
    for engine in ENGINES {
        let closed = Closed::new(engine);
        closed.workspace.unprotect("usage_ledger");
        let column = if engine == Engine::Sqlite { "quantity_floor" } else { "quantity" };
        closed
            .workspace
            .sql(&format!("UPDATE usage_ledger SET {column} = {column} + 1 WHERE source_event_id = 'a-1'"));
        let (finding, words) = check(&closed.proof(), "control_totals");
        assert_eq!(finding, "fails");
        assert!(words.contains("tenant acme, window 2026-09-01T00:00:00Z"), "{words}");
        assert!(words.contains("meter b2b.match_request: 130 units in 2 records were closed"), "{words}");
        assert!(closed.fault().starts_with("usage_ledger: the records of import "), "{}", closed.fault());
    }
}
