//! What was used by a month's end in windows that are still open then.
//!
//! In: tenants with anchors, with years and with calendar months. Out: `accruals.csv`, each number made by hand.

use super::{TENANTS, adjusted, company, import, of, set, wake};
use crate::support::{ENGINES, Workspace, csv_rows};

/// Beside the company: one anchored on the 20th, one on a year that ends in June, one in its trial over the month's end.
const ANCHORED: &str = "\
mid,Mid,pro,month,try,cus_mid,sub_mid,2026-09-20T00:00:00Z,2026-09-20T00:00:00Z,
year,Year,flat,year,try,cus_year,sub_year,2026-07-01T00:00:00Z,2026-07-01T00:00:00Z,
trial,Trial,pro,month,try,cus_trial,sub_trial,2026-09-10T00:00:00Z,,2026-10-10T00:00:00Z
";

const YEARLY: &str = r#"
[[plan]]
key = "flat"
currency = "try"
interval = "year"
amount = 0
  [[plan.usage]]
  meter = "calls"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "2.5" }
"#;

fn anchored(engine: crate::support::Engine) -> Workspace {
    let workspace = company(engine);
    workspace.write("catalog.toml", format!("{}{YEARLY}", super::CATALOG));
    workspace.run(&["import", "catalog", "catalog.toml"]).expect(0);
    let header = "tenant_id,name,plan,interval,currency,stripe_customer_id,stripe_subscription_id,started_at,\
                  billing_anchor,trial_end\n";
    workspace.write("anchored.csv", format!("{header}{ANCHORED}"));
    workspace.run(&["import", "tenants", "anchored.csv"]).expect(0);
    import(
        &workspace,
        &[
            "mid calls 120 2026-09-25 success m1",
            "mid calls 50 2026-10-02 success m2",
            "mid tokens 9 2026-09-26 failure m3",
            "year calls 31 2026-07-15 success y1",
            "year calls 10 2026-09-30 success y2",
            "year calls 99 2026-10-01 success y3",
            "trial calls 300 2026-09-15 success t2",
        ],
    );
    workspace
}

fn accrued(workspace: &Workspace, outcome: &serde_json::Value) -> Vec<String> {
    let columns = [
        "tenant_id",
        "plan",
        "meter",
        "window_start",
        "accrued_until",
        "records",
        "quantity",
        "amount_minor",
        "amount",
        "currency",
    ];
    let rows = csv_rows(&set(workspace, outcome)["accruals.csv"]).into_iter();
    rows.map(|row| columns.map(|name| row[name].replace("T00:00:00Z", "")).join(" ")).collect()
}

#[test]
fn what_was_used_of_open_windows_by_the_end_of_a_month_is_told_at_the_candidate_price() {
    let mut data = Vec::new();
    for engine in ENGINES {
        let workspace = anchored(engine);
        // September has not ended: nothing is accrued.
        let before = wake(&workspace, "2026-09-30T00:00:00Z", 0);
        assert!(accrued(&workspace, of(&before, "2026-09")).is_empty());
        let after = wake(&workspace, "2026-10-05T00:00:00Z", 0);
        let september = of(&after, "2026-09");
        // 20 above the quota; 41 x 2.5 = 102.5, a half away from zero; a trial costs nothing. Calendar months have ended.
        let expected = [
            "mid pro calls 2026-09-20 2026-10-01 1 120 14000 140.00 try",
            "trial pro calls 2026-09-10 2026-10-01 1 300 0 0.00 try",
            "year flat calls 2026-07-01 2026-10-01 2 41 103 1.03 try",
        ];
        assert_eq!(accrued(&workspace, september), expected);
        data.push(set(&workspace, september)["accruals.csv"].clone());
    }
    assert_eq!(data[0], data[1], "the two databases differ");
}

#[test]
fn what_was_accrued_stays_when_late_usage_is_adjusted() {
    for engine in ENGINES {
        let workspace = anchored(engine);
        let closed = wake(&workspace, "2026-10-25T00:00:00Z", 0);
        let closed = of(&closed, "2026-09").clone();
        assert_eq!(closed["status"], "closed");
        import(&workspace, &["mid calls 30 2026-09-28 success m4", "acme calls 1 2026-09-28 success a2"]);
        let outcomes = wake(&workspace, "2026-10-26T00:00:00Z", 3);
        let again = of(&outcomes, "2026-09");
        assert_eq!(accrued(&workspace, again), accrued(&workspace, &closed));
        assert_eq!(adjusted(&set(&workspace, again)).len(), 2);
    }
}

#[test]
fn a_company_of_calendar_months_has_nothing_to_accrue() {
    for engine in ENGINES {
        let workspace = company(engine);
        assert_eq!(TENANTS.lines().count(), 4);
        let outcomes = wake(&workspace, "2026-10-05T00:00:00Z", 0);
        assert!(accrued(&workspace, of(&outcomes, "2026-09")).is_empty());
    }
}

/// 1,100 records of nearly 10¹⁵ units are more than a bill can hold.
#[test]
fn an_accrual_that_no_bill_can_hold_is_named_also_when_late_usage_is_adjusted() {
    for engine in ENGINES {
        let workspace = anchored(engine);
        let huge: Vec<String> = (0..1_100)
            .map(|number| format!("year calls 999999999999999 2026-09-26 success h{number}"))
            .collect();
        import(&workspace, &huge.iter().map(String::as_str).collect::<Vec<_>>());
        let closed = wake(&workspace, "2026-10-25T00:00:00Z", 0);
        let closed = of(&closed, "2026-09").clone();
        import(&workspace, &["acme calls 1 2026-09-28 success a2"]);
        let outcomes = wake(&workspace, "2026-10-26T00:00:00Z", 3);
        for outcome in [&closed, of(&outcomes, "2026-09")] {
            assert_eq!(outcome["status"], "closed");
            assert!(accrued(&workspace, outcome).iter().all(|row| !row.starts_with("year ")));
            let rows = csv_rows(&set(&workspace, outcome)["exceptions.csv"]).into_iter();
            let named: Vec<String> = rows
                .filter(|row| row["kind"] == "not_accrued")
                .map(|row| ["tenant_id", "plan", "meter", "reason"].map(|name| row[name].clone()).join(" "))
                .collect();
            assert_eq!(named, ["year flat calls overflow"]);
        }
    }
}
