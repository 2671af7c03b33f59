//! Tenants whose windows move: another interval, another anchor, another zone, before and after a window has closed.
//!
//! In: plan changes that put a tenant in two cycles, and rows or settings that change once figures are closed. Out: no
//! unit billed twice, closed lines as they were, and everybody else's month closed whatever is wrong with one tenant.

use super::{MATCH, Month, Used, company, import_more, run, run_to_one_of, scaled, tenant_rows};
use crate::support::{ENGINES, Workspace};

const LINE: [&str; 4] = ["kind", "tier", "quantity", "amount"];
const GOOD: &str = "good,pro,,2025-01-01,,";

/// A plan without a quota, per month and per year.
const FLAT: &str = r#"
[[plan]]
key = "flat"
currency = "try"
  [[plan.usage]]
  meter = "b2b.match_request"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "700" }

[[plan]]
key = "flat"
currency = "try"
interval = "year"
  [[plan.usage]]
  meter = "b2b.match_request"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "650" }
"#;

/// Closes a period in which `good` used 107 units; something may be parked, but `good` is billed all the same.
#[track_caller]
fn good_is_billed(workspace: &Workspace, period: &str) -> Month {
    import_more(workspace, &[("good", MATCH, "107", &format!("{period}-10T00:00:00Z"))]);
    let month = run_to_one_of(workspace, period, &[0, 3]);
    assert_eq!(month.lines("good", &LINE), ["base  1 999.00", "usage 1 100 0.00", "usage 2 7 49.00"]);
    month
}

/// The usage units that all reports of a workspace bill to a tenant, the last one of each period.
fn billed_units(months: &[Month], tenant: &str) -> i128 {
    let quantities = months.iter().flat_map(|month| month.lines(tenant, &["quantity"]));
    quantities.map(|quantity| scaled(&quantity)).sum()
}

/// Without January's usage nothing is wrong with December's totals; the windows still begin at the same instant.
#[test]
fn a_monthly_and_a_yearly_window_of_one_tenant_may_begin_at_the_same_instant() {
    let tenants = [GOOD, "year,flat,,2025-01-01,2025-02-01,", "year,flat,,2025-02-01,,year"];
    for engine in ENGINES {
        let workspace = company(Workspace::new(engine), FLAT, &tenants, &[]);
        good_is_billed(&workspace, "2025-01");
        good_is_billed(&workspace, "2025-12");
    }
}

#[test]
fn a_new_billing_time_zone_bills_no_unit_a_second_time() {
    // In UTC it belongs to February, in Istanbul to March.
    let usage: [Used<'_>; 1] = [("acme", MATCH, "10", "2026-02-28T22:00:00Z")];
    for engine in ENGINES {
        let workspace = company(Workspace::new(engine), FLAT, &["acme,flat,,2026-02-01,,"], &usage);
        let february = run(&workspace, "2026-02", 0);
        workspace.write("billrecon.toml", "time_zone = \"Europe/Istanbul\"\n");
        assert_nothing_twice(&workspace, february, "2026-03");
    }
}

#[test]
fn a_tenant_that_loses_its_anchor_is_billed_for_no_unit_a_second_time() {
    let usage: [Used<'_>; 1] = [("acme", MATCH, "10", "2026-03-10T00:00:00Z")];
    for engine in ENGINES {
        let anchored = ["acme,flat,2026-02-15T00:00:00Z,2026-02-15,,"];
        let workspace = company(Workspace::new(engine), FLAT, &anchored, &usage);
        let february = run(&workspace, "2026-02", 0);
        workspace.write("tenants.csv", tenant_rows(&["acme,flat,,2026-02-15,,"]));
        workspace.run(&["import", "tenants", "tenants.csv"]).expect(0);
        assert_nothing_twice(&workspace, february, "2026-03");
    }
}

/// All ten units were billed in the month before; the next one may park the tenant or be refused, but not bill them
/// again.
fn assert_nothing_twice(workspace: &Workspace, before: Month, period: &str) {
    assert_eq!(billed_units(std::slice::from_ref(&before), "acme"), scaled("10"));
    if workspace.run(&["run", "--period", period, "--dry-run"]).code == Some(78) {
        return;
    }
    let after = run_to_one_of(workspace, period, &[0, 3]);
    assert_eq!(billed_units(&[before, after], "acme"), scaled("10"), "billed twice");
}
