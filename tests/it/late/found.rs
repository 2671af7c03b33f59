//! A closed period notices what comes for it, once, and keeps what it has said.
//!
//! In: late records around wakes, crashes and dry runs. Out: which runs adjust, with which exit code, and how often.

use super::{adjusted, closed, company, control, import, of, set, wake};
use crate::support::{ENGINES, Workspace, csv_rows};

const LATE: [&str; 2] = ["acme calls 20.5 2026-09-20 success a2", "beta calls 10.5 2026-09-01 success b2"];

/// 50.5 x 7.00 less 30 x 7.00; and 110 calls are 10 above Beta's quota.
const ADJUSTED: [&str; 2] = [
    "acme pro calls 1 130 20.5 150.5 21000 14350 35350 try",
    "beta pro calls 1 99.5 10.5 110 0 7000 7000 try",
];

#[test]
fn late_usage_is_valued_by_rating_its_own_window_again_and_no_closed_file_changes() {
    let mut data = Vec::new();
    for engine in ENGINES {
        let workspace = company(engine);
        let first = wake(&workspace, "2026-10-05T00:00:00Z", 0);
        let before = set(&workspace, of(&first, "2026-09"));
        assert!(adjusted(&before).is_empty());
        import(&workspace, &LATE);
        let second = wake(&workspace, "2026-10-06T00:00:00Z", 3);
        let september = of(&second, "2026-09");
        assert_eq!((&september["status"], &september["verdict"]), (&"closed".into(), &first[0]["verdict"]));
        assert_eq!(september["counts"], first[0]["counts"]);
        assert_ne!(september["run_id"], first[0]["run_id"]);
        let after = set(&workspace, september);
        assert_eq!(adjusted(&after), ADJUSTED);
        for name in ["lines.csv", "summary.csv", "decision.csv", "accruals.csv"] {
            assert_eq!(before[name], after[name], "{name}");
        }
        // What was new when its window closed is known to later runs; all else of the comparison stays.
        let compared = |set: &std::collections::BTreeMap<String, Vec<u8>>| {
            let mut rows = csv_rows(&set["reconciliation.csv"]);
            for row in &mut rows {
                row.retain(|name, _| name != "change");
            }
            rows
        };
        assert_eq!(compared(&before), compared(&after));
        assert_eq!(control(&after, "calls", "late"), "2 31");
        assert_eq!(control(&after, "calls", "in_window"), "2 229.5");
        assert_eq!(control(&after, "calls", "accepted"), "4 260.5");
        // Nothing of it goes into another window.
        let october = set(&workspace, of(&second, "2026-10"));
        assert!(adjusted(&october).is_empty());
        assert!(csv_rows(&october["lines.csv"]).iter().all(|row| row["kind"] != "usage"));
        data.push(after["adjustments.csv"].clone());
    }
    assert_eq!(data[0], data[1], "the two databases differ");
}

#[test]
fn late_usage_is_adjusted_once_and_what_comes_later_still_is_added_to_it() {
    for engine in ENGINES {
        let workspace = closed(engine);
        import(&workspace, &LATE);
        wake(&workspace, "2026-10-06T00:00:00Z", 3);
        let rows = "SELECT COUNT(*) FROM adjustments";
        assert_eq!(workspace.number(rows), 2);
        for hour in ["01", "02"] {
            let again = wake(&workspace, &format!("2026-10-06T{hour}:00:00Z"), 0);
            assert!(again.iter().all(|one| one["period"] != "2026-09"), "{again:?}");
        }
        assert_eq!((workspace.number(rows), workspace.report_folders("2026-09").len()), (2, 2));
        // By name one looks again, and there is nothing new.
        workspace.run(&["run", "--period", "2026-09", "--as-of", "2026-10-06T03:00:00Z"]).expect(0);
        import(&workspace, &["acme calls 1 2026-09-30 success a3"]);
        let more = wake(&workspace, "2026-10-07T00:00:00Z", 3);
        let more = set(&workspace, of(&more, "2026-09"));
        assert_eq!(adjusted(&more)[0], "acme pro calls 2 130 21.5 151.5 21000 15050 36050 try");
        assert_eq!(adjusted(&more)[1], ADJUSTED[1]);
        assert_eq!(workspace.number(rows), 3);
    }
}

#[test]
fn a_verdict_is_told_once_and_an_adjustment_is_in_the_audit_log() {
    for engine in ENGINES {
        let workspace = closed(engine);
        import(&workspace, &LATE);
        let ended = workspace.run(&["run", "--as-of", "2026-10-06T00:00:00Z"]).expect(3);
        assert!(!ended.stderr.contains("the message would be"), "{}", ended.stderr);
        let told = "late: acme on calls, 20.5 (1 record, worth 143.50 TRY): bill it by hand";
        assert!(ended.stdout.contains(told), "{}", ended.stdout);
        let events = workspace.sql("SELECT details FROM audit_log WHERE event = 'usage_adjusted'");
        let expected = r#"{"adjustments":"2","period":"2026-09","records":"2"}"#;
        assert_eq!(events, [[expected]]);
    }
}

#[test]
fn a_run_that_dies_between_its_commit_and_its_files_adjusts_nothing_twice() {
    for engine in ENGINES {
        let workspace = closed(engine);
        import(&workspace, &LATE);
        workspace.write("no-folder", "");
        workspace.run(&["run", "--as-of", "2026-10-06T00:00:00Z", "--reports", "no-folder"]).expect(73);
        let run_id = workspace.sql("SELECT run_id FROM runs WHERE state = 'committed'")[0][0].clone();
        wake(&workspace, "2026-10-06T01:00:00Z", 0);
        assert_eq!(workspace.number("SELECT COUNT(*) FROM adjustments"), 2);
        let folders = workspace.report_folders("2026-09");
        let folder = folders.iter().find(|folder| folder.ends_with(&run_id)).unwrap();
        assert_eq!(adjusted(&crate::support::files(folder)), ADJUSTED);
    }
}

#[test]
fn a_dry_run_says_what_would_be_adjusted_and_writes_nothing() {
    for engine in ENGINES {
        let workspace = closed(engine);
        import(&workspace, &LATE);
        let ended = workspace.run(&["run", "--dry-run", "--as-of", "2026-10-06T00:00:00Z"]).expect(3);
        assert!(ended.stdout.contains("would adjust 2 closed figures"), "{}", ended.stdout);
        assert_eq!(workspace.number("SELECT COUNT(*) FROM adjustments"), 0);
        let real = wake(&workspace, "2026-10-06T00:00:00Z", 3);
        assert_eq!(adjusted(&set(&workspace, of(&real, "2026-09"))), ADJUSTED);
    }
}

/// Three months are closed; late usage comes for the oldest two.
#[test]
fn what_lies_further_back_than_late_usage_periods_is_said_and_left_until_it_is_asked_for() {
    for engine in ENGINES {
        let workspace = company(engine);
        workspace.write("billrecon.toml", "late_usage_periods = 2\n[push]\nmode = \"observe\"\n");
        wake(&workspace, "2026-12-05T00:00:00Z", 0);
        import(&workspace, &["acme calls 1 2026-09-20 success a2", "acme calls 1 2026-10-20 success a3"]);
        let ended = workspace.run(&["run", "--as-of", "2026-12-06T00:00:00Z"]).expect(3);
        assert!(ended.stderr.contains("usage came for 2026-09, which lies further back"), "{}", ended.stderr);
        let periods = "SELECT DISTINCT period FROM adjustments ORDER BY period";
        assert_eq!(workspace.sql(periods), [["2026-10"]]);
        workspace.run(&["run", "--period", "2026-09", "--as-of", "2026-12-07T00:00:00Z"]).expect(3);
        assert_eq!(workspace.sql(periods), [["2026-09"], ["2026-10"]]);
        let ended = workspace.run(&["run", "--as-of", "2026-12-08T00:00:00Z"]).expect(0);
        assert!(!ended.stderr.contains("further back"), "{}", ended.stderr);
    }
}

/// An older database says nothing of how a period was looked at.
#[test]
fn a_period_that_was_closed_before_such_looks_were_kept_is_looked_at_once() {
    for engine in ENGINES {
        let workspace = closed(engine);
        import(&workspace, &LATE);
        forget_looks(&workspace);
        let first = wake(&workspace, "2026-10-06T00:00:00Z", 3);
        assert_eq!(adjusted(&set(&workspace, of(&first, "2026-09"))), ADJUSTED);
        let again = wake(&workspace, "2026-10-07T00:00:00Z", 0);
        assert!(again.iter().all(|one| one["period"] != "2026-09"), "{again:?}");
    }
}

/// And nothing of how its windows were laid out, nor of what has arrived.
fn forget_looks(workspace: &Workspace) {
    let arrived = "UPDATE billing_period_jobs SET arrived = NULL WHERE period = '2026-09' RETURNING period";
    assert_eq!(workspace.sql(arrived).len(), 1);
    workspace.unprotect("billing_windows");
    let stretches = "UPDATE billing_windows SET stretches = '' WHERE period = '2026-09' RETURNING period";
    assert_eq!(workspace.sql(stretches).len(), 3);
    workspace.sql("DELETE FROM arrivals RETURNING CAST(records AS TEXT)");
}
