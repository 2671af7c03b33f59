//! Runs that hold: older ones, those that closed nothing, those whose files are gone; and both databases alike.
//!
//! In: months with a history. Out: what `verify` says of each run, and what it does not check.

use std::collections::BTreeMap;
use std::fs;

use super::{Closed, check, fault};
use crate::support::{ENGINES, Engine, Workspace};

#[test]
fn a_closed_run_holds_in_every_check_and_reads_only() {
    for engine in ENGINES {
        let closed = Closed::new(engine);
        let before = closed.workspace.number("SELECT COUNT(*) FROM audit_log");
        let proof = closed.proof();
        for name in ["audit_log", "closed_records", "control_totals", "files", "made_again", "figures"] {
            assert_eq!(check(&proof, name).0, "holds", "{name}: {proof}");
        }
        assert_eq!((&proof["holds"], &proof["first_fault"]), (&true.into(), &serde_json::Value::Null));
        assert_eq!(proof["run_id"], closed.run_id.as_str());
        let by_period = closed.workspace.run(&["verify", "--period", "2026-09", "--json"]).expect(0).json();
        assert_eq!(by_period, proof);
        assert_eq!(closed.workspace.number("SELECT COUNT(*) FROM audit_log"), before);
    }
}

/// A tenant that comes late gets its window in a second run; late usage changes nothing that was closed.
#[test]
fn an_older_run_still_holds_after_later_ones_of_its_period() {
    for engine in ENGINES {
        let closed = Closed::new(engine);
        let workspace = &closed.workspace;
        let late = "tenant_id,name,plan,currency,stripe_customer_id,stripe_subscription_id,status,billing_anchor,\
                    started_at,ended_at\nzeta,Zeta,starter,try,,,active,,2026-09-01T00:00:00Z,\n\
                    eta,Eta,pro,try,,,active,,2026-09-01T00:00:00Z,\n";
        workspace.write("late.csv", late);
        workspace.run(&["import", "tenants", "late.csv"]).expect(0);
        let usage = "tenant_id,meter,quantity,occurred_at,source_event_id\n\
                     acme,b2b.match_request,5,2026-09-20T00:00:00Z,late-1\n";
        workspace.write("more.csv", usage);
        workspace.run(&["import", "usage", "more.csv"]).expect(0);
        let second = workspace.run(&["run", "--period", "2026-09", "--json"]).expect(3).json();
        let second = second["run_id"].as_str().unwrap().to_owned();
        assert_ne!(second, closed.run_id);
        closed.verify().expect(0);
        workspace.run(&["verify", &second]).expect(0);
        let by_period = workspace.run(&["verify", "--period", "2026-09", "--json"]).expect(0).json();
        assert_eq!(by_period["run_id"], second.as_str());
        workspace.run(&["verify", "--all"]).expect(0);
    }
}

#[test]
fn of_a_run_that_closed_nothing_only_the_files_are_checked() {
    let closed = Closed::new(Engine::Sqlite);
    let looked = closed.workspace.report_folders("2026-09");
    let looked = looked.iter().find(|folder| **folder != closed.folder()).unwrap();
    let run_id = looked.file_name().unwrap().to_str().unwrap();
    let proof = closed.workspace.run(&["verify", run_id, "--json"]).expect(0).json();
    for name in ["closed_records", "control_totals", "made_again"] {
        let (finding, words) = check(&proof, name);
        assert_eq!(finding, "not_checked");
        assert!(words.contains("closed nothing"), "{words}");
    }
    for name in ["audit_log", "files", "figures"] {
        assert_eq!(check(&proof, name).0, "holds", "{name}: {proof}");
    }
    let file = looked.join("lines.csv");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen('1', "2", 1)).unwrap();
    assert!(fault(&closed.workspace.run(&["verify", run_id]).expect(65)).starts_with("lines.csv"));
}

#[test]
fn a_folder_that_is_gone_is_said_with_65_and_an_unknown_run_with_2() {
    let closed = Closed::new(Engine::Sqlite);
    fs::rename(closed.folder(), closed.workspace.path("elsewhere")).unwrap();
    let told = fault(&closed.verify().expect(65));
    assert!(told.contains(&closed.run_id) && told.contains("is not there"), "{told}");
    assert_eq!(check(&closed.proof(), "closed_records").0, "holds");
    closed.workspace.run(&["verify", "nobody"]).expect(2);
    closed.workspace.run(&["verify", "--period", "2020-01"]).expect(2);
    closed.workspace.run(&["verify"]).expect(2);
    closed.workspace.run(&["verify", "--all", "--period", "2026-09"]).expect(2);
}

#[test]
fn records_of_an_import_that_was_killed_are_counted_and_no_fault() {
    let closed = Closed::new(Engine::Sqlite);
    closed.workspace.sql(
        "INSERT INTO usage_ledger SELECT tenant_id, 'stray', meter, quantity_floor, quantity_rest, occurred_at, 1, outcome,
            source, properties FROM usage_ledger WHERE source_event_id = 'b-2'",
    );
    let told = closed.workspace.run(&["verify", "--all"]).expect(0).stdout;
    assert!(told.contains("6 records are those that were imported; 1 have no receipt"), "{told}");
}

/// By table, the hash in the audit log; evidence and the run's own row tell of one run only.
fn hashes(workspace: &Workspace) -> BTreeMap<String, String> {
    let details = workspace.sql("SELECT details FROM audit_log WHERE event = 'run_committed'");
    let details: serde_json::Value = serde_json::from_str(&details[0][0]).unwrap();
    let tables = details["records"].as_str().unwrap().split(' ').map(|table| {
        let (name, proof) = table.split_once(':').unwrap();
        (name.to_owned(), proof.to_owned())
    });
    tables.filter(|(name, _)| name != "runs" && name != "run_evidence").collect()
}

#[test]
fn both_databases_leave_the_same_hashes_of_the_same_figures() {
    let [sqlite, postgres] = ENGINES.map(|engine| hashes(&Closed::new(engine).workspace));
    assert!(sqlite.len() >= 7, "{sqlite:?}");
    assert_eq!(sqlite, postgres);
}

/// What a meter counts says the catalog of the close: without that meter five units of a record would be five.
#[test]
fn a_closed_window_is_counted_by_the_meters_of_its_close() {
    for engine in ENGINES {
        let workspace = Workspace::new(engine).observing();
        let hits = "[[meter]]\nkey = \"hits\"\naggregation = \"count\"\n";
        let calls = "[[meter]]\nkey = \"calls\"\naggregation = \"sum\"\n";
        let plan = |meter: &str| {
            format!(
                "[[plan]]\nkey = \"pro\"\ncurrency = \"try\"\namount = 0\n[[plan.usage]]\nmeter = \"{meter}\"\n\
                 price = {{ billing_scheme = \"per_unit\", unit_amount_decimal = \"7\" }}\n"
            )
        };
        let catalog = |text: String| {
            workspace.write("catalog.toml", text);
            workspace.run(&["import", "catalog", "catalog.toml"]).expect(0);
        };
        catalog(format!("{hits}{}", plan("hits")));
        let header = "tenant_id,name,plan,currency,stripe_customer_id,stripe_subscription_id,started_at";
        workspace
            .write("tenants.csv", format!("{header}\nacme,Acme,pro,try,cus_a,sub_a,2026-09-01T00:00:00Z\n"));
        workspace.run(&["import", "tenants", "tenants.csv"]).expect(0);
        let records = "acme,hits,5,2026-09-10T00:00:00Z,h1\nacme,hits,5,2026-09-11T00:00:00Z,h2\n";
        workspace
            .write("usage.csv", format!("tenant_id,meter,quantity,occurred_at,source_event_id\n{records}"));
        workspace.run(&["import", "usage", "usage.csv"]).expect(0);
        workspace.run(&["run", "--period", "2026-09", "--as-of", "2026-10-05T00:00:00Z"]).expect(0);
        catalog(format!("{calls}{}", plan("calls")));
        workspace.run(&["verify", "--all"]).expect(0);
    }
}

/// Somebody took the tenant's rows away; its records and its closed windows are there all the same.
#[test]
fn records_and_windows_of_a_tenant_that_is_gone_are_proved_too() {
    for engine in ENGINES {
        let closed = Closed::new(engine);
        closed.workspace.sql("DELETE FROM tenants WHERE tenant_id IN ('acme', 'dodo') RETURNING tenant_id");
        closed.workspace.run(&["verify", "--all"]).expect(0);
        closed.workspace.unprotect("usage_ledger");
        closed.workspace.sql("DELETE FROM usage_ledger WHERE source_event_id = 'a-1' RETURNING meter");
        let told = fault(&closed.workspace.run(&["verify", "--all"]).expect(65));
        assert!(told.starts_with("usage_ledger: the records of import "), "{told}");
        let (finding, words) = check(&closed.proof(), "control_totals");
        assert!(finding == "fails" && words.contains("tenant acme"), "{words}");
    }
}
