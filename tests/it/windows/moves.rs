//! Tenants whose windows move: another interval, another anchor, another zone, before and after a window has closed.
//!
//! In: plan changes that put a tenant in two cycles, and rows or settings that change once figures are closed. Out: no
//! unit billed twice, closed lines as they were, and everybody else's month closed whatever is wrong with one tenant.

use super::{FLAT, MATCH, Month, Used, company, import_more, run, run_to_one_of, scaled, tenant_rows};
use crate::support::{CATALOG, ENGINES, Workspace};

const LINE: [&str; 4] = ["kind", "tier", "quantity", "amount"];
const GOOD: &str = "good,pro,,2025-01-01,,";

/// Closes a period in which `good` used 107 units; something may be parked, but `good` is billed all the same.
#[track_caller]
fn good_is_billed(workspace: &Workspace, period: &str) -> Month {
    import_more(workspace, &[("good", MATCH, "107", &format!("{period}-10T00:00:00Z"))]);
    let month = run_to_one_of(workspace, period, &[0, 3]);
    assert_eq!(month.lines("good", &LINE), ["base  1 999.00", "usage 1 100 0.00", "usage 2 7 49.00"]);
    month
}

/// A period that closes for the first time has nothing late: what belongs to another window is not this one's.
#[track_caller]
fn assert_nothing_late(month: &Month) {
    assert_eq!(month.control(MATCH, "late"), ("0".to_owned(), "0".to_owned()));
}

/// The usage units that all reports of a workspace bill to a tenant, the last one of each period.
fn billed_units(months: &[Month], tenant: &str) -> i128 {
    let quantities = months.iter().flat_map(|month| month.lines(tenant, &["quantity"]));
    quantities.map(|quantity| scaled(&quantity)).sum()
}

#[test]
fn a_tenant_in_two_cycles_of_one_month_is_parked_with_usage_in_either_and_stops_nobody() {
    let tenants = [GOOD, "turn,flat,,2026-02-01,2026-02-10,", "turn,flat,2026-02-10T00:00:00Z,2026-02-10,,"];
    // The last one lies in the second cycle and outside of the first.
    let usage: [Used<'_>; 3] = [
        ("turn", MATCH, "1", "2026-02-05T00:00:00Z"),
        ("turn", MATCH, "10", "2026-02-15T00:00:00Z"),
        ("turn", MATCH, "100", "2026-03-05T00:00:00Z"),
    ];
    for engine in ENGINES {
        let workspace = company(Workspace::new(engine), FLAT, &tenants, &usage);
        let month = good_is_billed(&workspace, "2026-02");
        assert_eq!(month.status(), "partial");
        assert!(month.exceptions().iter().any(|one| one.starts_with("turn parked window_change")));
    }
}

#[test]
fn a_change_from_a_monthly_to_a_yearly_plan_stops_nobody_in_the_month_of_the_change() {
    let tenants = [GOOD, "year,flat,,2025-01-01,2025-02-10,", "year,flat,,2025-02-10,,year"];
    let usage: [Used<'_>; 2] =
        [("year", MATCH, "1", "2025-02-05T00:00:00Z"), ("year", MATCH, "10", "2025-02-20T00:00:00Z")];
    for engine in ENGINES {
        let workspace = company(Workspace::new(engine), FLAT, &tenants, &usage);
        let february = good_is_billed(&workspace, "2025-02");
        assert_nothing_late(&february);
        assert!(billed_units(&[february], "year") <= scaled("1"));
    }
}

#[test]
fn a_change_from_a_monthly_to_a_yearly_plan_stops_nobody_when_the_year_ends() {
    let tenants = [GOOD, "year,flat,,2025-01-01,2025-02-01,", "year,flat,,2025-02-01,,year"];
    let usage: [Used<'_>; 2] =
        [("year", MATCH, "1", "2025-01-05T00:00:00Z"), ("year", MATCH, "10", "2025-02-20T00:00:00Z")];
    for engine in ENGINES {
        let workspace = company(Workspace::new(engine), FLAT, &tenants, &usage);
        let january = good_is_billed(&workspace, "2025-01");
        assert_eq!(january.lines("year", &LINE), ["usage  1 7.00"]);
        let december = good_is_billed(&workspace, "2025-12");
        assert_nothing_late(&december);
        assert!(billed_units(&[january, december], "year") <= scaled("11"));
    }
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
fn a_tenant_whose_rows_move_after_its_window_closed_keeps_its_lines_and_stops_nobody() {
    let usage: [Used<'_>; 2] =
        [("move", MATCH, "10", "2026-02-20T00:00:00Z"), ("wait", MATCH, "5", "2026-02-20T00:00:00Z")];
    let wait = "wait,plus,,2026-02-01,,";
    let plus = "[[plan]]\nkey = \"plus\"\ncurrency = \"try\"\n";
    for engine in ENGINES {
        let before = [GOOD, wait, "move,flat,,2026-02-01,,"];
        let workspace = company(Workspace::new(engine), FLAT, &before, &usage);
        let first = good_is_billed(&workspace, "2026-02");
        assert_eq!(first.status(), "partial");
        let moved = [GOOD, wait, "move,flat,2026-02-10T00:00:00Z,2026-02-01,,"];
        workspace.write("tenants.csv", tenant_rows(&moved));
        workspace.run(&["import", "tenants", "tenants.csv"]).expect(0);
        workspace.write("catalog.toml", format!("{CATALOG}{FLAT}{plus}"));
        workspace.run(&["import", "catalog", "catalog.toml"]).expect(0);
        let second = run_to_one_of(&workspace, "2026-02", &[0, 3]);
        assert_eq!(second.raw_lines("move"), first.raw_lines("move"));
        assert_eq!(second.raw_lines("good"), first.raw_lines("good"));
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
