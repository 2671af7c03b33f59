//! What `run` and `status` say: one object per period, in order, with the words that a program relies on.
//!
//! In: the small company, closed from the outside. Out: the JSON of DESIGN §11 and the words for a person. Never two
//! answers to one question.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use super::says;
use crate::support::{CATALOG, ENGINES, Ended, Engine, TENANTS, USAGE, Workspace, csv_rows, files};

const KEYS: [&str; 7] = ["run_id", "period", "status", "verdict", "reasons", "counts", "reports_dir"];
const COUNTS: [&str; 8] =
    ["tenants", "closed", "parked", "not_billed", "pending_before", "pushed", "errors", "pending_after"];

/// One object a line; each with all promised keys.
fn outcomes(ended: &Ended) -> Vec<Value> {
    assert!(ended.stdout.is_empty() || ended.stdout.ends_with('\n'), "{:?}", ended.stdout);
    let outcomes: Vec<Value> = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for outcome in &outcomes {
        let keys: BTreeSet<&str> = outcome.as_object().unwrap().keys().map(String::as_str).collect();
        assert!(KEYS.iter().all(|key| keys.contains(key)), "{outcome}");
        let counts = outcome["counts"].as_object().unwrap();
        assert!(
            COUNTS.iter().all(|name| counts[*name].is_u64()) && counts.len() == COUNTS.len(),
            "{outcome}"
        );
        assert!(outcome["reasons"].is_array(), "{outcome}");
    }
    outcomes
}

/// The month of now, by another clock reader than ours. Should the month end meanwhile, it stays open for two hours.
fn this_month() -> String {
    now("%Y-%m")
}

fn now(format: &str) -> String {
    let output = Command::new("date").args(["-u", &format!("+{format}")]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// How much of everything is written, but for the lease, whose term grows with each run.
fn written(workspace: &Workspace) -> Vec<i64> {
    ["runs", "billing_windows", "window_lines", "window_usage", "run_exceptions", "audit_log", "usage_ledger"]
        .map(|table| workspace.number(&format!("SELECT COUNT(*) FROM {table}")))
        .to_vec()
}

#[test]
fn one_wake_closes_every_due_period_oldest_first_and_a_second_wake_only_looks_at_the_open_one() {
    for engine in ENGINES {
        let workspace = watched(engine);
        let wake = outcomes(&workspace.run(&["run", "--json"]).expect(0));
        let (open, closed) = wake.split_last().unwrap();
        let periods: Vec<&str> = closed.iter().map(|outcome| outcome["period"].as_str().unwrap()).collect();
        assert_eq!(periods[..2], ["2026-09", "2026-10"]);
        assert!(periods.is_sorted() && !periods.contains(&this_month().as_str()), "{periods:?}");
        assert_is_open(open);
        // Each with its own: in September a third and more used their whole quota, in October next to nothing was used.
        let verdicts = closed[..2].iter().map(|outcome| &outcome["verdict"]);
        assert_eq!(verdicts.collect::<Vec<_>>(), ["REVIEW", "NO_GO"]);
        for outcome in closed {
            assert_eq!(outcome["status"], "closed");
            let folder = workspace.path(outcome["reports_dir"].as_str().unwrap());
            assert!(folder.ends_with(outcome["run_id"].as_str().unwrap()), "{outcome}");
            assert!(files(&folder).contains_key("manifest.json"));
        }
        let committed = "SELECT details FROM audit_log WHERE event = 'run_committed' ORDER BY position";
        for (details, period) in workspace.sql(committed).concat().iter().zip(&periods) {
            assert!(details.contains(period), "{details}");
        }
        let before = written(&workspace);
        let second = outcomes(&workspace.run(&["run", "--json"]).expect(0));
        let [open] = second.as_slice() else { panic!("{second:?}") };
        assert_is_open(open);
        // The run itself, and that its reports are there.
        let grown: Vec<i64> =
            written(&workspace).iter().zip(&before).map(|(now, before)| now - before).collect();
        assert_eq!(grown, [1, 0, 0, 0, 0, 1, 0]);
    }
}

/// The company, whose two months were pushed in time.
fn watched(engine: Engine) -> Workspace {
    let workspace = Workspace::with_watched_company(engine);
    workspace.watch("2026-10");
    workspace
}

#[track_caller]
fn assert_is_open(outcome: &Value) {
    let named = [&outcome["period"], &outcome["status"], &outcome["verdict"]];
    assert_eq!(named, [&Value::from(this_month()), &"open".into(), &Value::Null], "{outcome}");
    assert_eq!((&outcome["counts"]["closed"], &outcome["reasons"]), (&0.into(), &serde_json::json!([])));
}

/// Before the first tenant's start nothing has begun.
#[test]
fn a_wake_before_the_first_period_has_nothing_to_do_and_says_so() {
    for engine in ENGINES {
        let workspace = Workspace::with_company(engine);
        let early = workspace.run(&["run", "--json", "--as-of", "2026-08-31T23:59:59Z"]).expect(0);
        assert_eq!(early.stdout, "");
        says(&early, "no billing period is due");
        assert_eq!(workspace.number("SELECT COUNT(*) FROM runs"), 0);
    }
}

#[test]
fn a_closed_period_prints_its_run_again_and_writes_nothing() {
    for engine in ENGINES {
        let workspace = Workspace::with_watched_company(engine);
        let run = || outcomes(&workspace.run(&["run", "--period", "2026-09", "--json"]).expect(0));
        let first = run();
        let (before, set) = (written(&workspace), files(&workspace.report_folder("2026-09")));
        // What was pushed was pushed by the run that watched; nothing is left to be.
        assert_eq!(run(), first);
        assert_eq!(written(&workspace), before);
        assert_eq!(files(&workspace.report_folder("2026-09")), set);
    }
}

#[test]
fn a_period_keeps_its_figures_whatever_is_imported_after_its_close() {
    for engine in ENGINES {
        let workspace = Workspace::with_watched_company(engine);
        workspace.run(&["run", "--period", "2026-09"]).expect(0);
        let lines = "SELECT tenant_id, meter, CAST(amount_minor AS TEXT) FROM window_lines ORDER BY 1, 2, 3";
        let folder = workspace.report_folder("2026-09");
        let before = (workspace.sql(lines), files(&folder));
        workspace.write("late.csv", USAGE.replace(",a-", ",late-a-"));
        workspace.write("dear.toml", CATALOG.replace("\"700\"", "\"900\""));
        workspace.run(&["import", "usage", "late.csv"]).expect(0);
        workspace.run(&["import", "catalog", "dear.toml"]).expect(0);
        // The usage is told beside the figures, at the price of then: 30 requests and 130 more.
        let late = workspace.run(&["run", "--period", "2026-09", "--json"]).expect(3).json();
        assert_eq!((workspace.sql(lines), files(&folder)), before);
        let after = files(&workspace.path(late["reports_dir"].as_str().unwrap()));
        for name in ["lines.csv", "summary.csv", "reconciliation.csv", "decision.csv"] {
            assert_eq!(after[name], before.1[name], "{name}");
        }
        let adjusted = csv_rows(&after["adjustments.csv"]);
        assert_eq!((&*adjusted[0]["original_amount"], &*adjusted[0]["late_amount"]), ("210.00", "910.00"));
    }
}

#[test]
fn an_open_period_has_provisional_figures_and_no_verdict_and_is_not_closed() {
    for engine in ENGINES {
        let workspace = Workspace::with_company(engine);
        let header = USAGE.lines().next().unwrap();
        let instant = now("%Y-%m-%dT%H:%M:%SZ");
        workspace.write("now.csv", format!("{header}\nacme,b2b.match_request,107,{instant},now-1\n"));
        workspace.run(&["import", "usage", "now.csv"]).expect(0);
        let month = &instant[.."2026-11".len()];
        let run = workspace.run(&["run", "--period", month, "--json"]).expect(0);
        let outcome = &outcomes(&run)[0];
        assert_eq!((&outcome["status"], &outcome["verdict"]), (&"open".into(), &Value::Null));
        assert_eq!(outcome["reasons"], serde_json::json!([]));
        assert_eq!((&outcome["counts"]["tenants"], &outcome["counts"]["closed"]), (&4.into(), &0.into()));
        assert_eq!(
            (&outcome["counts"]["pushed"], &outcome["counts"]["pending_after"]),
            (&1.into(), &0.into())
        );
        let lines = csv_rows(&workspace.data_files(month)["lines.csv"]);
        assert!(lines.iter().all(|line| line["window_status"] == "open"));
        assert!(lines.iter().any(|line| line["tier"] == "2" && line["quantity"] == "7"));
        let words = workspace.run(&["run", "--period", month]).expect(0).stdout;
        assert!(words.contains("provisional") && words.contains("no verdict yet"), "{words}");
        assert_eq!(workspace.number("SELECT COUNT(*) FROM billing_windows"), 0);
        let jobs = workspace.sql("SELECT period, status FROM billing_period_jobs");
        assert_eq!(jobs, [[month, "open"]]);
    }
}

/// Closes the month while Cold is parked, so that it is looked at again; then gives a tenant another anchor, whose
/// windows lie across those that are closed; then wakes again.
fn anchor_moves_after_the_close(engine: Engine, row: &str) -> (Workspace, Ended) {
    let workspace = Workspace::new(engine);
    let tenants = TENANTS.replace("cold,Cold,pro", "cold,Cold,gold");
    let tenants = format!("{tenants}idle,Idle,starter,try,,,active,,2026-09-01T00:00:00Z,\n");
    workspace.import(CATALOG, &tenants, USAGE);
    workspace.run(&["run", "--period", "2026-09"]).expect(3);
    workspace.write("moved.csv", tenants.replace(row, &format!("{row}2026-09-15T00:00:00Z")));
    workspace.run(&["import", "tenants", "moved.csv"]).expect(0);
    let wake = workspace.run(&["run"]);
    (workspace, wake)
}

#[test]
fn a_tenant_whose_anchor_moves_after_its_close_pays_for_no_day_twice() {
    for engine in ENGINES {
        let (workspace, _) = anchor_moves_after_the_close(engine, "idle,Idle,starter,try,,,active,");
        let overlaps = "SELECT COUNT(*) FROM billing_windows one JOIN billing_windows other
            ON one.tenant_id = other.tenant_id AND one.status = 'closed' AND other.status = 'closed'
            AND one.window_start < other.window_start AND other.window_start < one.window_end";
        assert_eq!(workspace.number(overlaps), 0, "{engine:?}");
    }
}

#[test]
fn a_tenant_whose_anchor_moves_after_its_close_blocks_nobody() {
    for engine in ENGINES {
        let (workspace, wake) =
            anchor_moves_after_the_close(engine, "acme,Acme,pro,try,cus_acme,sub_acme,active,");
        let closed = "SELECT COUNT(*) FROM billing_windows WHERE tenant_id = 'beta' AND status = 'closed'";
        assert!(workspace.number(closed) >= 2, "{engine:?}: {wake:?}");
        wake.expect(3);
    }
}

#[test]
fn a_tenant_without_a_start_needs_a_first_period_or_a_named_one() {
    for engine in ENGINES {
        let workspace = Workspace::new(engine);
        workspace.import(
            CATALOG,
            &TENANTS.replace(
                "cold,Cold,pro,try,cus_cold,sub_cold,active,,2026-09-01T00:00:00Z,",
                "cold,Cold,pro,try,cus_cold,sub_cold,active,,,",
            ),
            USAGE,
        );
        for arguments in [&["run"][..], &["run", "--dry-run"]] {
            let ended = workspace.run(arguments).expect(78);
            for words in ["`cold`", "started_at", "first_period", "--period"] {
                says(&ended, words);
            }
        }
        assert_eq!(workspace.number("SELECT COUNT(*) FROM runs"), 0);
        workspace.watch("2026-09");
        workspace.watch("2026-10");
        outcomes(&workspace.run(&["run", "--period", "2026-09", "--json"]).expect(0));
        workspace.write("billrecon.toml", "first_period = \"2026-10\"\n");
        let wake = outcomes(&workspace.run(&["run", "--json"]).expect(0));
        assert_eq!(wake[0]["period"], "2026-10");
        workspace.run(&["run", "--period", "2026-09"]).expect(2);
    }
}

#[test]
fn status_shows_what_is_due_then_what_is_closed() {
    for engine in ENGINES {
        let workspace = Workspace::with_company(engine);
        let words = workspace.run(&["status"]).expect(0).stdout;
        assert!(words.contains("NOT PINNED"), "{words}");
        let status = || workspace.run(&["status", "--json"]).expect(0).json();
        let before = status();
        assert_eq!((&before["tenants"], &before["quarantined"]), (&4.into(), &0.into()));
        assert_eq!(before["due"].as_array().unwrap()[..2], ["2026-09", "2026-10"]);
        assert_eq!((&before["periods"], &before["lease"]), (&serde_json::json!([]), &Value::Null));
        let words = workspace.run(&["status"]).expect(0).stdout;
        assert!(words.contains("2026-09 first") && words.contains("lease: free"), "{words}");
        workspace.watch("2026-09");
        let run = workspace.run(&["run", "--period", "2026-09", "--json"]).expect(0).json();
        let after = status();
        assert_eq!((&run["mode"], &after["mode"]), (&"SANDBOX".into(), &"SANDBOX".into()));
        assert_eq!(after["due"][0], "2026-10");
        let period = &after["periods"][0];
        assert_eq!((&period["period"], &period["status"]), (&"2026-09".into(), &"closed".into()));
        assert_eq!((&period["run_id"], &after["runs"][0]["run_id"]), (&run["run_id"], &run["run_id"]));
        assert_eq!(after["runs"][0]["state"], "finished");
    }
}

#[test]
fn status_names_the_holder_of_the_lease_but_not_one_whose_lease_has_expired() {
    for engine in ENGINES {
        let workspace = Workspace::with_company(engine);
        let lease = |expires_at: i64| {
            workspace.sql("DELETE FROM lease");
            workspace
                .sql(&format!("INSERT INTO lease VALUES ('run', 'elsewhere/1', 41, 1, 1, {expires_at})"));
        };
        lease(99_999_999_999_999);
        let status = workspace.run(&["status", "--json"]).expect(0).json();
        assert_eq!(
            (&status["lease"]["holder"], &status["lease"]["fence"]),
            (&"elsewhere/1".into(), &41.into())
        );
        assert!(workspace.run(&["status"]).expect(0).stdout.contains("elsewhere/1"));
        lease(1);
        assert_eq!(workspace.run(&["status", "--json"]).expect(0).json()["lease"], Value::Null);
    }
}

/// The words are a table: what stands below a heading begins where the heading does, or ends where it ends.
#[test]
fn status_lines_up_its_columns_and_fits_a_terminal() {
    let workspace = watched(Engine::Sqlite);
    workspace.run(&["run"]).expect(0);
    let words = workspace.run(&["status"]).expect(0).stdout;
    let head = words.lines().find(|line| line.starts_with("period")).unwrap();
    let row = words.lines().find(|line| line.starts_with("2026-09")).unwrap();
    assert_eq!(row.find("closed"), head.find("status"), "{words}");
    assert_eq!(row.find("20"), head.find("period"), "{words}");
    assert!(words.lines().all(|line| line.chars().count() <= 80), "{words}");
}
