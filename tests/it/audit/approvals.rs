//! Approvals: who may say that a run is right, and where it is seen.
//!
//! In: a closed month and a person's word. Out: a row of the audit log, or a refusal that leaves none.

use std::fs;

use super::Closed;
use crate::support::{ENGINES, Engine};

const APPROVED: &str = "SELECT COUNT(*) FROM audit_log WHERE event = 'run_approved'";

fn approve<'a>(run_id: &'a str, by: &'a str) -> [&'a str; 6] {
    ["approve", run_id, "--by", by, "--note", "invoices seen"]
}

#[test]
fn an_approval_is_a_row_that_verify_and_status_show() {
    for engine in ENGINES {
        let closed = Closed::new(engine);
        let (workspace, run_id) = (&closed.workspace, closed.run_id.as_str());
        let told = workspace.run(&approve(run_id, "Ada Finance")).expect(0).stdout;
        assert!(told.contains("by Ada Finance") && told.contains("the period is closed"), "{told}");
        workspace.run(&approve(run_id, "Bob Audit")).expect(0);
        // The same person's word again adds nothing.
        assert!(workspace.run(&approve(run_id, "Ada Finance")).expect(0).stdout.contains("said before"));
        assert_eq!(workspace.number(APPROVED), 2);
        let proof = closed.proof();
        let by: Vec<&str> =
            proof["approvals"].as_array().unwrap().iter().map(|one| one["by"].as_str().unwrap()).collect();
        assert_eq!(by, ["Ada Finance", "Bob Audit"]);
        assert_eq!(proof["holds"], true);
        let status = workspace.run(&["status", "--json"]).expect(0).json();
        assert_eq!(status["approvals"], proof["approvals"]);
        assert!(workspace.run(&["status"]).expect(0).stdout.contains("by Bob Audit"));
    }
}

#[test]
fn what_does_not_hold_is_not_approved() {
    for engine in ENGINES {
        let closed = Closed::new(engine);
        let file = closed.folder().join("lines.csv");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replacen('1', "2", 1)).unwrap();
        let told = closed.workspace.run(&approve(&closed.run_id, "Ada")).expect(65).stderr;
        assert!(told.contains("does not hold: lines.csv"), "{told}");
        assert_eq!(closed.workspace.number(APPROVED), 0);
    }
}

#[test]
fn only_a_run_that_closed_something_can_be_approved() {
    let closed = Closed::new(Engine::Sqlite);
    let looked = closed.workspace.sql("SELECT run_id FROM runs ORDER BY fence")[0][0].clone();
    assert_ne!(looked, closed.run_id);
    for run_id in [looked.as_str(), "nobody"] {
        closed.workspace.run(&approve(run_id, "Ada")).expect(2);
    }
    for note in ["", "two\nlines"] {
        closed.workspace.run(&["approve", &closed.run_id, "--by", "Ada", "--note", note]).expect(2);
    }
    assert_eq!(closed.workspace.number(APPROVED), 0);
}

#[test]
fn the_one_who_ran_may_be_refused_as_approver() {
    for engine in ENGINES {
        let closed = Closed::new(engine);
        closed.workspace.write("billrecon.toml", "[approval]\nrunner_may_approve = false\n");
        let told = closed.workspace.run(&approve(&closed.run_id, "Somebody Else")).expect(77).stderr;
        assert!(told.contains("another person has to approve it"), "{told}");
        assert_eq!(closed.workspace.number(APPROVED), 0);
        // Who ran stands in the manifest, and not by a variable's word.
        let manifest = fs::read_to_string(closed.folder().join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        assert!(manifest["run"]["os_user"].as_str().unwrap().contains("uid "), "{manifest}");
        closed.workspace.write("billrecon.toml", "[approval]\nrunner_may_approve = true\n");
        closed.workspace.run(&approve(&closed.run_id, "Somebody Else")).expect(0);
    }
}

#[test]
fn an_approval_waits_for_the_lease() {
    let closed = Closed::new(Engine::Sqlite);
    closed
        .workspace
        .sql("UPDATE lease SET holder = 'other/1', expires_at = 99999999999999 WHERE name = 'run'");
    closed.workspace.run(&approve(&closed.run_id, "Ada")).expect(11);
    assert_eq!(closed.workspace.number(APPROVED), 0);
}

/// Whoever waits for the lease should not wait for a proof as well: it is made before.
#[test]
fn what_does_not_hold_is_told_while_somebody_else_works() {
    let closed = Closed::new(Engine::Sqlite);
    let file = closed.folder().join("lines.csv");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen('1', "2", 1)).unwrap();
    closed
        .workspace
        .sql("UPDATE lease SET holder = 'other/1', expires_at = 99999999999999 WHERE name = 'run'");
    closed.workspace.run(&approve(&closed.run_id, "Ada")).expect(65);
}

/// A lease that is taken over leaves a row in the log, so the log has grown since the run was verified.
#[test]
fn a_run_is_verified_once_more_when_the_log_has_grown_meanwhile() {
    for (engine, is_changed) in [(Engine::Sqlite, false), (Engine::Postgres, false), (Engine::Sqlite, true)] {
        let closed = Closed::new(engine);
        let workspace = &closed.workspace;
        if is_changed {
            // At that very moment somebody changes a closed line.
            workspace.unprotect("window_lines");
            workspace.sql(
                "CREATE TRIGGER sneaks AFTER INSERT ON audit_log WHEN NEW.event = 'lease_taken_over'
                 BEGIN UPDATE window_lines SET tier = 3 WHERE tier = 2; END",
            );
        }
        workspace
            .sql("UPDATE lease SET holder = 'other/1', expires_at = 1 WHERE name = 'run' RETURNING name");
        let code = if is_changed { 65 } else { 0 };
        workspace.run(&approve(&closed.run_id, "Ada")).expect(code);
        let taken_over = "SELECT COUNT(*) FROM audit_log WHERE event = 'lease_taken_over'";
        let rows = (workspace.number(taken_over), workspace.number(APPROVED));
        assert_eq!(rows, (1, i64::from(!is_changed)), "{engine:?}");
    }
}
