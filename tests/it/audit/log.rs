//! The log itself: any character of any row, rows that are missing, rows that changed places.
//!
//! In: a closed month whose log was written to with the triggers off. Out: the position, or what misses its row; and what
//! nobody can find from inside, found by a head that was kept elsewhere.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::{Closed, check, fault};
use crate::support::{ENGINES, Engine};

const COLUMNS: [&str; 5] = ["recorded_at", "run_id", "event", "details", "hash"];

/// Another character at `at`, in a cell that has one there.
fn other_character(text: &str, at: usize) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    characters[at] = if characters[at] == '7' { '8' } else { '7' };
    characters.into_iter().collect()
}

#[test]
fn one_character_anywhere_in_the_log_is_named_by_its_position() {
    let closed = Closed::new(Engine::Sqlite);
    closed.workspace.unprotect("audit_log");
    let rows = closed.workspace.number("SELECT COUNT(*) FROM audit_log");
    assert!(rows >= 6, "{rows}");
    let mut runner = TestRunner::new(Config { cases: 40, ..Config::default() });
    let place = (1..=rows, 0..COLUMNS.len(), any::<prop::sample::Index>());
    let outcome = runner.run(&place, |(position, column, at)| {
        let column = COLUMNS[column];
        let cell = format!("SELECT CAST({column} AS TEXT) FROM audit_log WHERE position = {position}");
        let old = closed.workspace.sql(&cell)[0][0].clone();
        prop_assume!(!old.is_empty());
        // The first digit of an instant could leave the range of 64 bits.
        let skipped = usize::from(column == "recorded_at");
        let at = skipped + at.index(old.chars().count() - skipped);
        let set = |text: &str| {
            let text = text.replace('\'', "''");
            closed
                .workspace
                .sql(&format!("UPDATE audit_log SET {column} = '{text}' WHERE position = {position}"));
        };
        set(&other_character(&old, at));
        let told = fault(&closed.verify());
        set(&old);
        let expected = format!("audit_log: the row at position {position} was changed");
        prop_assert!(told.starts_with(&expected), "{column} of {position}: {told}");
        Ok(())
    });
    outcome.unwrap();
    closed.verify().expect(0);
}

#[test]
fn a_swapped_pair_a_gap_and_a_row_more_are_named() {
    for engine in ENGINES {
        let closed = Closed::new(engine);
        closed.workspace.unprotect("audit_log");
        let swap = |one: &str, other: &str| {
            for (from, to) in [(one, "99"), (other, one), ("99", other)] {
                closed
                    .workspace
                    .sql(&format!("UPDATE audit_log SET position = {to} WHERE position = {from}"));
            }
        };
        swap("3", "4");
        assert!(
            closed.fault().starts_with("audit_log: the row at position 3 was changed"),
            "{}",
            closed.fault()
        );
        swap("3", "4");
        closed.workspace.run(&["verify", "--all"]).expect(0);
        closed.workspace.sql("UPDATE audit_log SET position = position + 100 WHERE position = 2");
        assert!(
            closed.fault().starts_with("audit_log: the row at position 2 is missing"),
            "{}",
            closed.fault()
        );
        closed.workspace.sql("UPDATE audit_log SET position = 2 WHERE position = 102");
        closed.workspace.sql(
            "INSERT INTO audit_log (position, recorded_at, run_id, event, details, hash)
             SELECT MAX(position) + 1, 0, '', 'run_approved', '{}', 'x' FROM audit_log",
        );
        assert!(closed.fault().contains("was changed"), "{}", closed.fault());
    }
}

/// Whatever stands at the end of the log told of something that is still there, and misses its row.
#[test]
fn a_log_without_its_last_rows_is_named_by_what_misses_them() {
    for engine in ENGINES {
        let closed = Closed::new(engine);
        closed.workspace.unprotect("audit_log");
        for event in [
            "reports_written",
            "run_committed",
            "reports_written",
            "usage_imported",
            "tenants_imported",
            "catalog_imported",
        ] {
            let last = "(SELECT MAX(position) FROM audit_log)";
            let gone = closed
                .workspace
                .sql(&format!("DELETE FROM audit_log WHERE position = {last} RETURNING event"));
            assert_eq!(gone, [[event]]);
            let told = closed.fault();
            assert!(
                told.starts_with("audit_log: ") && told.contains("no row reports_written"),
                "{event}: {told}"
            );
        }
    }
}

/// An approval or a taken-over lease leaves nothing but its row. So the head is printed, to be kept elsewhere.
#[test]
fn what_cannot_be_found_from_inside_is_found_by_a_head_that_was_kept() {
    for engine in ENGINES {
        let closed = Closed::new(engine);
        let (workspace, run_id) = (&closed.workspace, closed.run_id.as_str());
        workspace.run(&["approve", run_id, "--by", "Ada", "--note", "seen"]).expect(0);
        let head = closed.proof()["head"].as_str().unwrap().to_owned();
        let (_, words) = check(&closed.proof(), "audit_log");
        assert!(words.contains(&head), "{words}");
        workspace.run(&["verify", run_id, "--head", &head]).expect(0);
        workspace.unprotect("audit_log");
        workspace.sql("DELETE FROM audit_log WHERE event = 'run_approved'");
        closed.verify().expect(0);
        let told = fault(&workspace.run(&["verify", run_id, "--head", &head]).expect(65));
        assert!(told.contains("its last rows are missing"), "{told}");
        // Somebody else's word in its place makes a chain that holds, with another head.
        workspace.run(&["approve", run_id, "--by", "Bob", "--note", "seen"]).expect(0);
        closed.verify().expect(0);
        let told = fault(&workspace.run(&["verify", run_id, "--head", &head]).expect(65));
        assert!(told.contains("has another hash than the head that was kept"), "{told}");
    }
}

#[test]
fn a_run_a_receipt_or_a_catalog_that_is_taken_away_is_missed_by_the_log() {
    for (table, words) in [
        ("runs", "runs: run "),
        ("import_receipts", "import_receipts: receipt "),
        ("catalog_versions", "catalog_versions: the catalog of audit position "),
    ] {
        let closed = Closed::new(Engine::Sqlite);
        closed.workspace.unprotect(table);
        closed.workspace.sql(&format!("DELETE FROM {table}"));
        let told = closed.fault();
        assert!(told.starts_with(words) && told.contains("missing"), "{told}");
    }
}
