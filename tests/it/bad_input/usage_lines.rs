//! Usage lines that are no usage: each is quarantined with its reason and place, and everybody else is billed.
//!
//! In: one line for each fault that DESIGN §5 names. Out: what the receipt, stderr, the table `quarantine` and the report
//! files say of it. Never a bill that a bad line has changed.

use std::collections::BTreeMap;

use super::{HEADER, calm, import_usage, receipt, says, without_usage};
use crate::support::{ENGINES, Engine, USAGE, Workspace, csv_rows};

/// A line that must not enter the ledger, and the reason under which it is set aside.
struct Bad {
    line: Vec<u8>,
    reason: &'static str,
}

fn bad(line: impl AsRef<[u8]>, reason: &'static str) -> Bad {
    Bad { line: line.as_ref().to_vec(), reason }
}

/// A line of Beta's with this quantity.
fn quantity(text: &str, reason: &'static str) -> Bad {
    bad(format!("beta,b2b.match_request,{text},2026-09-10T00:00:00Z,x-quantity-{text}"), reason)
}

/// A line of Beta's at this instant.
fn at(text: &str, reason: &'static str) -> Bad {
    bad(format!("beta,b2b.match_request,1,{text},x-at-{text}"), reason)
}

/// One line per fault. The last one takes the id of a record that is billed, so it has to come after that record.
fn bad_lines() -> Vec<Bad> {
    let long_id = "x".repeat(300);
    vec![
        quantity("-5", "negative"),
        quantity("-0.000000000001", "negative"),
        quantity("NaN", "bad_quantity"),
        quantity("Infinity", "bad_quantity"),
        quantity("-inf", "bad_quantity"),
        quantity("1e400", "bad_quantity"),
        quantity("1e-400", "bad_quantity"),
        quantity("1000000000000000", "bad_quantity"),
        quantity("0.1234567890123", "bad_quantity"),
        quantity("twelve", "bad_quantity"),
        quantity("0x10", "bad_quantity"),
        quantity("1_000", "bad_quantity"),
        quantity(" 5", "bad_quantity"),
        quantity("٣", "bad_quantity"),
        quantity("", "missing_field"),
        at("2099-01-01T00:00:00Z", "future"),
        at("2026-09-10", "bad_timestamp"),
        at("2026-09-10T00:00:00", "bad_timestamp"),
        at("2026-02-30T00:00:00Z", "bad_timestamp"),
        at("0001-01-01T00:00:00Z", "bad_timestamp"),
        at("1999-12-31T23:59:59Z", "bad_timestamp"),
        at("99999-01-01T00:00:00Z", "bad_timestamp"),
        at("1789000000", "bad_timestamp"),
        at("yesterday", "bad_timestamp"),
        at("", "missing_field"),
        bad(",b2b.match_request,1,2026-09-10T00:00:00Z,x-no-tenant", "missing_field"),
        bad("beta,,1,2026-09-10T00:00:00Z,x-no-meter", "missing_field"),
        bad("beta,b2b.match_request,1,2026-09-10T00:00:00Z,", "missing_field"),
        bad("beta,b2b.match_requests,1,2026-09-10T00:00:00Z,x-meter", "unknown_meter"),
        bad("BETA,b2b.match_request,1,2026-09-10T00:00:00Z,x-tenant", "unknown_tenant"),
        bad("beta,b2b.match_request,1", "malformed"),
        bad("beta,b2b.match_request,1,2026-09-10T00:00:00Z,x-more,6", "malformed"),
        bad(b"beta,b2b.match_request,1,2026-09-10T00:00:00Z,x-\xff\xfe", "malformed"),
        bad("beta,b2b.match_request,1,2026-09-10T00:00:00Z,x-\0nul", "bad_text"),
        bad("beta,b2b.match_request,1,2026-09-10T00:00:00Z,x-\u{7}bell", "bad_text"),
        bad("beta,b2b.match_request,1,2026-09-10T00:00:00Z,x-\u{85}c1", "bad_text"),
        bad("beta,b2b.match_request,1,2026-09-10T00:00:00Z,\"x-\nnewline\"", "bad_text"),
        bad(format!("beta,b2b.match_request,1,2026-09-10T00:00:00Z,{long_id}"), "bad_text"),
        bad(format!("{long_id},b2b.match_request,1,2026-09-10T00:00:00Z,x-long"), "bad_text"),
        bad("acme,b2b.match_request,61,2026-09-01T00:00:00Z,a-1", "conflict"),
    ]
}

/// The company's usage with every bad line in it: one before each of the first good lines, the rest behind.
fn usage_with_bad_lines() -> Vec<u8> {
    let mut bad_lines = bad_lines().into_iter();
    let mut file = HEADER.as_bytes().to_vec();
    for good in USAGE.lines().skip(1) {
        if let Some(bad) = bad_lines.next() {
            file.extend([bad.line, b"\n".to_vec()].concat());
        }
        file.extend([good.as_bytes(), b"\n"].concat());
    }
    for bad in bad_lines {
        file.extend([bad.line, b"\n".to_vec()].concat());
    }
    file
}

/// Reasons with how many lines of the table have them.
fn table(workspace: &Workspace) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for mut row in workspace.sql("SELECT reason FROM quarantine") {
        *counts.entry(row.remove(0)).or_default() += 1;
    }
    counts
}

fn unresolved(workspace: &Workspace) -> i64 {
    workspace.number("SELECT COUNT(*) FROM quarantine WHERE resolved_at IS NULL")
}

fn quarantined_rows(exceptions: &[u8]) -> Vec<BTreeMap<String, String>> {
    csv_rows(exceptions).into_iter().filter(|row| row["kind"] == "quarantined").collect()
}

#[test]
fn each_bad_line_is_quarantined_with_its_reason_its_file_and_its_line() {
    let workspace = without_usage(Engine::Sqlite);
    import_usage(&workspace, "good.csv", USAGE).expect(0);
    for (number, Bad { line, reason }) in bad_lines().into_iter().enumerate() {
        let name = format!("bad-{number}.csv");
        // A known record before it, so that the line's number is not always the same as the first one's.
        let known = b"acme,b2b.match_request,60,2026-09-01T00:00:00Z,a-1\n";
        let file = [HEADER.as_bytes(), known, &line, b"\n"].concat();
        let ended = import_usage(&workspace, &name, file).expect(3);
        assert_eq!(receipt(&ended), [2, 0, 1, 1], "{name}: {}", String::from_utf8_lossy(&line));
        says(&ended, &format!("{name}: line 3: {reason}: "));
        let place = format!("SELECT reason, CAST(line AS TEXT) FROM quarantine WHERE file = '{name}'");
        assert_eq!(workspace.sql(&place), [[reason, "3"]], "{name}");
    }
}

#[test]
fn everybody_is_billed_as_if_the_bad_lines_were_not_there() {
    let mut reasons = BTreeMap::new();
    for Bad { reason, .. } in bad_lines() {
        *reasons.entry(reason.to_owned()).or_default() += 1;
    }
    let set_aside = bad_lines().len() as u64;
    for engine in ENGINES {
        let twin = Workspace::with_watched_company(engine);
        let workspace = without_usage(engine);
        let ended = import_usage(&workspace, "usage.csv", usage_with_bad_lines()).expect(3);
        assert_eq!(receipt(&ended), [6 + set_aside, 6, 0, set_aside]);
        assert_eq!(table(&workspace), reasons);
        workspace.watch("2026-09");
        twin.run(&["run", "--period", "2026-09"]).expect(0);
        calm(workspace.run(&["run", "--period", "2026-09"])).expect(3);
        let (expected, found) = (twin.data_files("2026-09"), workspace.data_files("2026-09"));
        for name in ["lines.csv", "summary.csv", "control_totals.csv", "reconciliation.csv", "decision.csv"] {
            assert_eq!(found[name], expected[name], "{engine:?}: {name}");
        }
        assert!(quarantined_rows(&expected["exceptions.csv"]).is_empty());
        // Only lines whose instant can be read belong to a month.
        let named = quarantined_rows(&found["exceptions.csv"]);
        assert!(named.iter().any(|row| row["tenant_id"] == "BETA" && row["reason"] == "unknown_tenant"));
        assert!(named.iter().any(|row| row["tenant_id"] == "acme" && row["reason"] == "conflict"));
    }
}

#[test]
fn the_same_bad_file_again_quarantines_nothing_new() {
    for engine in ENGINES {
        let workspace = without_usage(engine);
        let first = import_usage(&workspace, "usage.csv", usage_with_bad_lines()).expect(3);
        let rows =
            "SELECT body_hash, CAST(line AS TEXT), CAST(recorded_at AS TEXT) FROM quarantine ORDER BY 1";
        let before = workspace.sql(rows);
        let again = import_usage(&workspace, "other-name.csv", usage_with_bad_lines()).expect(3);
        assert_eq!(workspace.sql(rows), before);
        let [read, accepted, _, quarantined] = receipt(&first);
        assert_eq!(receipt(&again), [read, 0, accepted, quarantined]);
        let untied = "SELECT COUNT(*) FROM import_receipts
            WHERE records_read <> accepted + duplicate + quarantined";
        assert_eq!(workspace.number("SELECT COUNT(*) FROM import_receipts"), 2);
        assert_eq!(workspace.number(untied), 0);
    }
}

#[test]
fn a_mended_line_is_billed_and_leaves_the_exceptions() {
    for engine in ENGINES {
        let workspace = without_usage(engine);
        import_usage(&workspace, "good.csv", USAGE).expect(0);
        let line =
            |quantity: &str| format!("{HEADER}beta,b2b.match_request,{quantity},2026-09-10T00:00:00Z,x-1\n");
        import_usage(&workspace, "bad.csv", line("-5")).expect(3);
        assert_eq!(unresolved(&workspace), 1);
        // A look, because the month has not ended yet: its exceptions name the line.
        let look = ["run", "--period", "2026-09", "--as-of", "2026-09-30T12:00:00Z"];
        workspace.run(&look).expect(3);
        let exceptions = &workspace.data_files("2026-09")["exceptions.csv"];
        assert_eq!(quarantined_rows(exceptions).len(), 1);
        import_usage(&workspace, "mended.csv", line("5")).expect(0);
        assert_eq!((unresolved(&workspace), table(&workspace)["negative"]), (0, 1));
        // The old file again: the line is known and settled, so it does not wait for anybody.
        let again = import_usage(&workspace, "bad.csv", line("-5")).expect(3);
        assert_eq!((receipt(&again), unresolved(&workspace)), ([1, 0, 0, 1], 0));
        workspace.watch("2026-09");
        let close = workspace.run(&["run", "--period", "2026-09", "--json"]).expect(0).json();
        let folder = workspace.path(close["reports_dir"].as_str().unwrap());
        let files = crate::support::files(&folder);
        assert!(quarantined_rows(&files["exceptions.csv"]).is_empty());
        let lines = String::from_utf8(files["lines.csv"].clone()).unwrap();
        // Beta: 99.5 within the quota before, so 100 free and 4.5 beyond it now.
        assert!(lines.contains(",2,usage,4.5,700,3150,3150,31.50,"), "{lines}");
    }
}

#[test]
fn a_line_of_an_unknown_tenant_is_accepted_once_the_tenant_is_imported() {
    for engine in ENGINES {
        let workspace = without_usage(engine);
        let file = format!("{HEADER}newco,b2b.match_request,5,2026-09-10T00:00:00Z,n-1\n");
        import_usage(&workspace, "usage.csv", &file).expect(3);
        workspace.write("more.csv", "tenant_id,plan,currency,started_at\nnewco,pro,try,2026-09-01\n");
        workspace.run(&["import", "tenants", "more.csv"]).expect(0);
        let ended = import_usage(&workspace, "usage.csv", &file).expect(0);
        assert_eq!((receipt(&ended), unresolved(&workspace)), ([1, 1, 0, 0], 0));
    }
}

#[test]
fn a_conflict_waits_for_a_person_even_when_the_right_body_comes_again() {
    for engine in ENGINES {
        let workspace = without_usage(engine);
        import_usage(&workspace, "good.csv", USAGE).expect(0);
        let other = USAGE.replace("acme,b2b.match_request,60", "acme,b2b.match_request,61");
        let ended = import_usage(&workspace, "other.csv", other).expect(3);
        assert_eq!(receipt(&ended), [6, 0, 5, 1]);
        let ended = import_usage(&workspace, "good.csv", USAGE).expect(0);
        assert_eq!((receipt(&ended), unresolved(&workspace)), ([6, 0, 6, 0], 1));
    }
}
