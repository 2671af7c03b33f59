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
