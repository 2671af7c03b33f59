//! Windows that are laid out anew after a close, or vanish: nothing of them is forgotten.
//!
//! In: a closed or partial month; a time zone or a tenants file that was changed since. Out: late usage that is adjusted all
//! the same, and a month that ends.

use super::{TENANTS, adjusted, closed, company, import, of, set, wake};
use crate::support::{ENGINES, Workspace};

#[test]
fn late_usage_belongs_to_the_windows_that_closed_whatever_the_time_zone_is_now() {
    for engine in ENGINES {
        let workspace = closed(engine);
        workspace.write("billrecon.toml", "time_zone = \"Europe/Istanbul\"\n[push]\nmode = \"observe\"\n");
        import(&workspace, &["acme calls 20 2026-09-20 success a2"]);
        let ended = workspace.run(&["run", "--as-of", "2026-10-06T00:00:00Z", "--json"]).expect(3);
        let words = "2026-09 is closed, and 3 of its windows lie otherwise than when it closed";
        assert!(ended.stderr.contains(words), "{}", ended.stderr);
        let september = serde_json::from_str(ended.stdout.lines().next().unwrap()).unwrap();
        let files = set(&workspace, &september);
        assert_eq!(adjusted(&files), ["acme pro calls 1 130 20 150 21000 14000 35000 try"]);
        // The windows of October overlap those that closed, so they wait for a person; September has been looked at.
        let again = wake(&workspace, "2026-10-06T01:00:00Z", 3);
        assert!(again.iter().all(|one| one["period"] != "2026-09"), "{again:?}");
    }
}

/// Gold waits for a plan that the catalog lacks.
fn partial(engine: crate::support::Engine) -> Workspace {
    let workspace = company(engine);
    tenant(&workspace, "gold,Gold,gold,try,cus_gold,sub_gold,2026-09-01T00:00:00Z");
    let outcomes = wake(&workspace, "2026-10-05T00:00:00Z", 3);
    assert_eq!(of(&outcomes, "2026-09")["status"], "partial");
    workspace
}

/// What the run of an outcome has made of its period for good.
fn run_closed(workspace: &Workspace, outcome: &serde_json::Value) -> String {
    let run_id = outcome["run_id"].as_str().unwrap();
    workspace.sql(&format!("SELECT period_status FROM runs WHERE run_id = '{run_id}'"))[0][0].clone()
}

fn tenant(workspace: &Workspace, row: &str) {
    let header = TENANTS.lines().next().unwrap();
    workspace.write("one.csv", format!("{header}\n{row}\n"));
    workspace.run(&["import", "tenants", "one.csv"]).expect(0);
}

#[test]
fn a_partial_month_closes_when_the_tenant_that_was_parked_in_it_starts_later() {
    for engine in ENGINES {
        let workspace = partial(engine);
        tenant(&workspace, "gold,Gold,pro,try,cus_gold,sub_gold,2026-10-01T00:00:00Z");
        let outcomes = wake(&workspace, "2026-10-06T00:00:00Z", 0);
        let september = of(&outcomes, "2026-09");
        assert_eq!((&september["status"], &september["counts"]["parked"]), (&"closed".into(), &0.into()));
        assert_ne!(september["verdict"], serde_json::Value::Null);
        assert_eq!(run_closed(&workspace, september), "closed");
        assert_eq!(workspace.number("SELECT COUNT(*) FROM billing_windows WHERE status = 'parked'"), 0);
        assert_eq!(workspace.run(&["status", "--json"]).expect(0).json()["parked"], serde_json::json!([]));
        let again = wake(&workspace, "2026-10-07T00:00:00Z", 0);
        assert!(again.iter().all(|one| one["period"] != "2026-09"), "{again:?}");
    }
}

#[test]
fn of_two_parked_tenants_the_one_whose_window_is_gone_is_parked_no_more() {
    for engine in ENGINES {
        let workspace = partial(engine);
        tenant(&workspace, "lead,Lead,lead,try,cus_lead,sub_lead,2026-09-01T00:00:00Z");
        wake(&workspace, "2026-10-06T00:00:00Z", 3);
        tenant(&workspace, "gold,Gold,pro,try,cus_gold,sub_gold,2026-10-01T00:00:00Z");
        let outcomes = wake(&workspace, "2026-10-07T00:00:00Z", 3);
        let september = of(&outcomes, "2026-09");
        assert_eq!((&september["status"], &september["counts"]["parked"]), (&"partial".into(), &1.into()));
        let parked = workspace.sql("SELECT tenant_id FROM parked_windows WHERE period = '2026-09'");
        assert_eq!(parked, [["lead"]]);
    }
}

/// One is anchored on the 20th, so the month is closing; then it turns out to start in October.
#[test]
fn a_closing_month_is_over_when_its_open_windows_are_gone() {
    for engine in ENGINES {
        let workspace = company(engine);
        let header = format!("{},billing_anchor", TENANTS.lines().next().unwrap());
        let late = |start: &str| {
            let row = format!("late,Late,pro,try,cus_late,sub_late,{start},{start}");
            workspace.write("late.csv", format!("{header}\n{row}\n"));
            workspace.run(&["import", "tenants", "late.csv"]).expect(0);
        };
        late("2026-09-20T00:00:00Z");
        let first = wake(&workspace, "2026-10-05T00:00:00Z", 0);
        assert_eq!(of(&first, "2026-09")["status"], "closing");
        late("2026-10-20T00:00:00Z");
        let second = wake(&workspace, "2026-10-06T00:00:00Z", 0);
        assert_eq!(of(&second, "2026-09")["status"], "closed");
        assert_eq!(run_closed(&workspace, of(&second, "2026-09")), "closed");
    }
}
