//! Closing a month, from the outside: import, run, read the files.

use crate::support::{CATALOG, ENGINES, TENANTS, USAGE, Workspace, csv_rows};

#[test]
fn a_pro_tenant_with_130_requests_owes_the_base_fee_and_thirty_times_seven_lira() {
    for engine in ENGINES {
        let workspace = Workspace::with_watched_company(engine);
        let run = workspace.run(&["run", "--period", "2026-09", "--json"]).expect(0).json();
        assert_eq!((&run["status"], &run["verdict"]), (&"closed".into(), &"REVIEW".into()));
        let lines = csv_rows(&workspace.data_files("2026-09")["lines.csv"]);
        let acme: Vec<(&str, &str, &str, &str)> = lines
            .iter()
            .filter(|line| line["tenant_id"] == "acme" && line["meter"] != "storage_gb")
            .map(|line| (&*line["kind"], &*line["tier"], &*line["quantity"], &*line["amount"]))
            .collect();
        assert_eq!(
            acme,
            [("base", "", "1", "999.00"), ("usage", "1", "100", "0.00"), ("usage", "2", "30", "210.00")]
        );
    }
}

#[test]
fn an_anchor_moved_after_a_close_never_bills_an_instant_twice() {
    for engine in ENGINES {
        let workspace = Workspace::with_watched_company(engine);
        workspace.run(&["run", "--period", "2026-08"]).expect(2);
        workspace.run(&["run", "--period", "2026-09"]).expect(0);
        // September is closed as a calendar month; from the 15th on, a window would hold its second half again.
        workspace.import(CATALOG, &anchored("sub_beta_15th", "2026-09-15T00:00:00Z"), USAGE);
        let run = workspace.run(&["run", "--period", "2026-10", "--json"]).expect(0).json();
        // Dodo is the fourth: not billed through Stripe, so counted apart.
        assert_eq!((&run["status"], &run["counts"]["closed"]), (&"closed".into(), &3.into()));
        assert_eq!(run["counts"]["not_billed"], 1);
        let october = csv_rows(&workspace.data_files("2026-10")["lines.csv"]);
        let beta = october.iter().find(|line| line["tenant_id"] == "beta").unwrap();
        assert_eq!(beta["window_start"], "2026-10-15T00:00:00Z");
        // August, asked for now, would reach from the 10th into the closed September.
        workspace.import(
            CATALOG,
            &anchored("sub_beta_10th", "2026-08-10T00:00:00Z").replace("2026-09-01", "2026-08-01"),
            USAGE,
        );
        let august = workspace.run(&["run", "--period", "2026-08", "--json"]).expect(3).json();
        assert_eq!((&august["status"], &august["counts"]["parked"]), (&"partial".into(), &1.into()));
        let exceptions = csv_rows(&workspace.data_files("2026-08")["exceptions.csv"]);
        assert_eq!((&*exceptions[0]["tenant_id"], &*exceptions[0]["reason"]), ("beta", "window_change"));
    }
}

/// The company's tenants, Beta with an anchor. At Stripe another anchor takes another subscription, and another customer as
/// long as the old one lives.
fn anchored(subscription: &str, anchor: &str) -> String {
    let before = "beta,Beta,pro,try,cus_beta,sub_beta,active,,";
    assert!(TENANTS.contains(before));
    TENANTS
        .replace(before, &format!("beta,Beta,pro,try,cus_of_{subscription},{subscription},active,{anchor},"))
}

/// Acme has calendar months, Mid is anchored on the 20th, Gold waits for a plan that the catalog lacks.
#[test]
fn a_period_closes_window_by_window_and_holds_up_no_later_one() {
    for engine in ENGINES {
        let workspace = Workspace::new(engine).observing();
        let header = TENANTS.lines().next().unwrap();
        let tenants = format!(
            "{header}\nacme,Acme,pro,try,cus_acme,sub_acme,active,,2026-09-01T00:00:00Z,\n\
             gold,Gold,gold,try,cus_gold,sub_gold,active,,2026-09-01T00:00:00Z,\n\
             mid,Mid,pro,try,cus_mid,sub_mid,active,2026-09-20T00:00:00Z,2026-09-20T00:00:00Z,\n"
        );
        workspace.import(CATALOG, &tenants, USAGE.lines().next().unwrap());
        let run = |as_of: &str, code: i32| {
            let as_of = format!("2026-{as_of}T00:00:00Z");
            workspace.run(&["run", "--as-of", &as_of]).expect(code);
            let periods = "SELECT period, status FROM billing_period_jobs ORDER BY period";
            workspace.sql(periods).into_iter().map(|row| row.join(" ")).collect::<Vec<_>>()
        };
        assert_eq!(run("09-25", 3), ["2026-09 open"]);
        assert_eq!(run("10-05", 3), ["2026-09 closing", "2026-10 open"]);
        assert_eq!(run("10-25", 3), ["2026-09 partial", "2026-10 open"]);
        // October waits for nobody but its own tenants.
        assert_eq!(run("11-25", 3), ["2026-09 partial", "2026-10 partial", "2026-11 open"]);
        let closed =
            "SELECT period, tenant_id, run_id FROM billing_windows WHERE status = 'closed' ORDER BY 1, 2";
        let before = workspace.sql(closed);
        let gold = CATALOG.replace("key = \"starter\"", "key = \"gold\"");
        workspace.write("catalog.toml", gold);
        workspace.run(&["import", "catalog", "catalog.toml"]).expect(0);
        assert_eq!(run("11-26", 0), ["2026-09 closed", "2026-10 closed", "2026-11 open"]);
        let after = workspace.sql(closed);
        assert_eq!((before.len(), after.len()), (4, 6));
        assert!(before.iter().all(|window| after.contains(window)), "{before:?}\n{after:?}");
        // Each window was closed by a run of its own time; those of October together.
        let runs: std::collections::BTreeSet<&String> = after.iter().map(|row| &row[2]).collect();
        assert_eq!(runs.len(), 5, "{after:?}");
    }
}

/// What was closed, by which rules, from which ledger and to which sum: an auditor finds it in the run and in its manifest.
#[test]
fn catalog_rules_snapshot_and_totals_are_kept_with_a_close() {
    for engine in ENGINES {
        let workspace = Workspace::with_watched_company(engine);
        let run = workspace.run(&["run", "--period", "2026-09", "--json"]).expect(0).json();
        let folder = workspace.report_folder("2026-09");
        let manifest: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.join("manifest.json")).unwrap()).unwrap();
        let run_id = run["run_id"].as_str().unwrap();
        let stored = workspace.sql(&format!(
            "SELECT r.catalog_hash, r.rules_hash, CAST(r.ledger_records AS TEXT), t.currency, t.base_minor, t.usage_minor
             FROM runs r JOIN run_totals t ON t.run_id = r.run_id WHERE r.run_id = '{run_id}'"
        ));
        let [stored] = &stored[..] else { panic!("{stored:?}") };
        let text = |value: &serde_json::Value| value.as_str().map_or(value.to_string(), str::to_owned);
        let total = &manifest["totals"][0];
        let told = [
            &manifest["run"]["catalog_hash"],
            &manifest["run"]["rules_hash"],
            &manifest["ledger"]["records"],
            &total["currency"],
            &total["base_amount_minor"],
            &total["usage_amount_minor"],
        ];
        assert_eq!(*stored, told.map(text));
        // Five records in September; three times 999.00 and once 499.00; 30 requests and a minor unit of storage.
        assert_eq!(stored[2..], ["5", "try", "349600", "21001"]);
    }
}
