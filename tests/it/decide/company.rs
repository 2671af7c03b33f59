//! The company's money and movement: MRR, ARPU, churn, upgrades, conversion, each at its edge.

use super::{CATALOG, Row, TENANTS, USAGE, close_september, table, tenant, used, value};
use crate::support::{ENGINES, Engine, Workspace};

/// A yearly plan, another currency, a free plan, and one that costs by use alone.
const MORE_PLANS: &str = r#"
[[plan]]
key = "pro"
interval = "year"
currency = "try"
amount = 1000001
  [[plan.usage]]
  meter = "b2b.match_request"
  free_quota = 1200
  price = { billing_scheme = "per_unit", unit_amount_decimal = "700" }

[[plan]]
key = "pro"
currency = "usd"
amount = 2900
  [[plan.usage]]
  meter = "b2b.match_request"
  free_quota = 100
  price = { billing_scheme = "per_unit", unit_amount_decimal = "20" }

[[plan]]
key = "free"
currency = "try"
amount = 0

[[plan]]
key = "by-use"
currency = "try"
amount = 0
  [[plan.usage]]
  meter = "b2b.match_request"
  billing = "live"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "100" }
"#;

fn row(id: &str, plan: &str, currency: &str, status: &str, from: &str, to: &str, rest: &str) -> String {
    format!("{id},{plan},{currency},cus_{id},sub_{id},{status},{from},{to},{rest}\n")
}

fn closed(engine: Engine, tenants: &str, usage: &str) -> Vec<Row> {
    let workspace = Workspace::new(engine);
    workspace.write("billrecon.toml", "first_period = \"2026-09\"\n");
    workspace.import(
        &format!("{CATALOG}{MORE_PLANS}"),
        &format!("{TENANTS}{tenants}"),
        &format!("{USAGE}{usage}"),
    );
    close_september(&workspace);
    table(&workspace, "2026-09", "decision")
}

/// Until the last instant of September counts, and from the first of October does not.
#[test]
fn who_pays_at_the_two_ends_of_the_period_is_counted_in_their_last_instant() {
    let since = "2026-01-01";
    let tenants = [
        row("stays", "pro", "try", "active", since, "", ","),
        row("yearly", "pro", "try", "active", "2026-09-01", "", "year,"),
        row("dollar", "pro", "usd", "active", "2026-09-01", "", ","),
        row("due", "enterprise", "try", "past_due", since, "", ","),
        // Left in the month, at its very end (which is October's churn), and before it began.
        row("left", "pro", "try", "canceled", since, "2026-09-15", ","),
        row("leaves", "pro", "try", "canceled", since, "2026-10-01", ","),
        row("gone", "pro", "try", "canceled", since, "2026-09-01", ","),
        row("later", "pro", "try", "active", "2026-10-01", "", ","),
        row("unpaid", "pro", "try", "unpaid", since, "", ","),
        row("freed", "free", "try", "active", since, "", ","),
        row("byuse", "by-use", "try", "active", since, "", ","),
        // From free to paid, and from Pro to Enterprise.
        row("converts", "free", "try", "active", since, "2026-09-10", ","),
        row("converts", "pro", "try", "active", "2026-09-10", "", ","),
        row("upgrades", "pro", "try", "active", since, "2026-09-10", ","),
        row("upgrades", "enterprise", "try", "active", "2026-09-10", "", ","),
        row("trial", "pro", "try", "trialing", "2026-09-20", "", ",2026-10-04T00:00:00Z"),
    ]
    .concat();
    for engine in ENGINES {
        let rows = closed(engine, &tenants, "");
        let is = |metric: &str, expected: &str| assert_eq!(value(&rows, metric), expected, "{metric}");
        // stays + leaves + converts on Pro at 999.00, yearly 10,000.01 / 12; due + upgrades on Enterprise at 2,499.00.
        is("mrr_minor_try", "882833.416667");
        is("plan_mrr_minor_try", "383033.416667");
        is("mrr_minor_usd", "2900");
        is("arpu_minor_usd", "2900");
        // With the one that pays by use: seven in lira.
        is("arpu_minor_try", "126119.059524");
        // At the start: stays, due, left, leaves, upgrades, gone (until then), by-use: seven, of whom one has left and gone...
        is("churn_rate", "0.285714");
        is("upgrade_rate", "0.2");
        is("conversion_rate", "0.5");
        let population =
            |metric: &str| rows.iter().find(|row| row["metric"] == metric).unwrap()["population"].clone();
        assert_eq!(
            [population("churn_rate"), population("conversion_rate"), population("mrr_minor_try")],
            ["7", "2", "7"]
        );
        assert!(rows.iter().all(|row| row["metric"] != "mrr_minor_eur"));
    }
}

#[test]
fn would_be_overage_and_its_shares_are_by_currency() {
    let tenants = [
        row("a", "pro", "try", "active", "2026-09-01", "", ","),
        row("b", "pro", "usd", "active", "2026-09-01", "", ","),
    ]
    .concat();
    let usage = [used("a", "130", "2026-09"), used("b", "110.5", "2026-09")].concat();
    let rows = closed(Engine::Sqlite, &tenants, &usage);
    for (metric, expected) in [
        ("would_be_overage_minor_try", "21000"),
        ("would_be_overage_minor_usd", "210"),
        ("overage_share_of_mrr_try", "0.21021"),
        ("overage_share_of_plan_mrr_usd", "0.072414"),
        ("tenants_at_a_quota", "2"),
        ("mean_overage_units_at_100", "20.25"),
    ] {
        assert_eq!(value(&rows, metric), expected, "{metric}");
    }
}

#[test]
fn of_a_company_without_tenants_that_pay_nothing_is_known() {
    let tenants = row("f", "free", "try", "active", "2026-09-01", "", ",");
    let rows = closed(Engine::Sqlite, &tenants, "");
    for metric in ["churn_rate", "upgrade_rate", "accuracy", "success_rate", "mean_used_units", "share_at_80"]
    {
        assert_eq!(value(&rows, metric), "n/a", "{metric}");
    }
    assert!(rows.iter().all(|row| !row["metric"].starts_with("mrr")));
}

/// What the next plan would save: 130 requests do not, 400 do (999 + 300 x 7 = 3,099 against 2,499).
#[test]
fn candidates_for_the_next_plan_are_told_with_their_savings() {
    let tenants = [tenant("a", "pro"), tenant("b", "pro"), tenant("c", "pro"), tenant("d", "pro")].concat();
    let usage =
        [used("a", "130", "2026-09"), used("b", "400", "2026-09"), used("c", "315", "2026-09")].concat();
    let rows = closed(Engine::Sqlite, &tenants, &usage);
    for (metric, expected) in [
        ("enterprise_candidates", "2"),
        ("enterprise_candidate_share", "0.5"),
        ("enterprise_savings_minor_try", "60500"),
    ] {
        assert_eq!(value(&rows, metric), expected, "{metric}");
    }
}
