//! Which plan bills which usage: plan changes, gaps, meters without a price, plans that nobody knows.
//!
//! In: tenants of February 2026 whose plans change or are missing. Out: lines by segment, exceptions with their reason,
//! and the proof that nobody else's bill depends on them.

use super::{MATCH, Month, STORAGE, Used, company, run};
use crate::support::{CATALOG, ENGINES, Workspace};

const LINE: [&str; 5] = ["plan", "kind", "tier", "quantity", "amount"];

/// Two plans with a quota of their own.
const PLUS: &str = r#"
[[plan]]
key = "plus"
currency = "try"
amount = 199900
  [[plan.usage]]
  meter = "b2b.match_request"
  free_quota = 50
  price = { billing_scheme = "per_unit", unit_amount_decimal = "500" }
"#;

#[test]
fn a_plan_change_cuts_the_month_into_segments_with_a_quota_each() {
    let usage: [Used<'_>; 4] = [
        ("acme", MATCH, "60", "2026-02-01T00:00:00Z"),
        ("acme", MATCH, "70", "2026-02-15T12:00:00.123456788Z"),
        ("acme", MATCH, "130", "2026-02-15T12:00:00.123456789Z"),
        ("acme", MATCH, "0.5", "2026-02-28T23:59:59.999999999Z"),
    ];
    // The later row first: rows are sorted by time, not by their place in the file.
    let tenants = [
        "acme,plus,,2026-02-15T12:00:00.123456789Z,,",
        "acme,pro,,2026-02-01T00:00:00Z,2026-02-15T12:00:00.123456789Z,",
    ];
    for engine in ENGINES {
        let workspace = company(Workspace::new(engine), PLUS, &tenants, &usage);
        // Looked at on either plan, so that Stripe's subscription changes in between as well.
        workspace.watch_at("2026-02", "2026-02-10T00:00:00Z");
        let arrived = "SELECT COUNT(*) FROM intents WHERE state = 'confirmed'";
        assert_ne!(workspace.number(arrived), 0, "the subscription is there from its first row's start");
        workspace.watch("2026-02");
        let month = run(&workspace, "2026-02", 0);
        // All has arrived at the meters; the invoice lacks what was used on the first plan's item, and says why.
        assert_eq!(
            month.comparison("acme"),
            [
                format!("{MATCH} meter_total matched 260.5 260.5 "),
                format!("{MATCH} invoice quantity_mismatch 260.5 130.5 mid_cycle_change"),
                format!("{STORAGE} meter_total matched 0 0 "),
                format!("{STORAGE} invoice matched 0 0 "),
            ]
        );
        let mut columns = LINE.to_vec();
        columns.extend(["segment_start", "segment_end"]);
        let first = "2026-02-01T00:00:00Z 2026-02-15T12:00:00.123456789Z";
        let second = "2026-02-15T12:00:00.123456789Z 2026-03-01T00:00:00Z";
        assert_eq!(
            month.lines("acme", &columns),
            [
                // One base fee, from the plan at the window's end.
                format!("plus base  1 1999.00 {second}"),
                format!("plus usage 1 50 0.00 {second}"),
                format!("plus usage 2 80.5 402.50 {second}"),
                format!("pro usage 1 100 0.00 {first}"),
                format!("pro usage 2 30 210.00 {first}"),
            ]
        );
        let windows = month.lines("acme", &["window_start", "window_end"]);
        assert_eq!(windows, vec!["2026-02-01T00:00:00Z 2026-03-01T00:00:00Z"; 5]);
        assert_eq!(month.control(MATCH, "free").1, "150");
        assert_eq!(month.control(MATCH, "billed").1, "110.5");
    }
}

#[test]
fn two_plan_changes_in_one_month_make_three_segments_with_a_quota_each() {
    let tenants =
        ["acme,pro,,2026-02-01,2026-02-08,", "acme,plus,,2026-02-08,2026-02-20,", "acme,pro,,2026-02-20,,"];
    let usage: [Used<'_>; 3] = [
        ("acme", MATCH, "101", "2026-02-07T23:59:59.999999999Z"),
        ("acme", MATCH, "52", "2026-02-08T00:00:00Z"),
        ("acme", MATCH, "103", "2026-02-20T00:00:00Z"),
    ];
    for engine in ENGINES {
        let workspace = company(Workspace::new(engine), PLUS, &tenants, &usage);
        for day in ["2026-02-07T12:00:00Z", "2026-02-19T12:00:00Z", "2026-02-28T12:00:00Z"] {
            workspace.watch_at("2026-02", day);
        }
        let month = run(&workspace, "2026-02", 0);
        let mut columns = vec!["segment_start"];
        columns.extend(LINE);
        assert_eq!(
            month.lines("acme", &columns),
            [
                "2026-02-08T00:00:00Z plus usage 1 50 0.00",
                "2026-02-08T00:00:00Z plus usage 2 2 10.00",
                // One base fee, from the plan at the window's end.
                "2026-02-20T00:00:00Z pro base  1 999.00",
                "2026-02-01T00:00:00Z pro usage 1 100 0.00",
                "2026-02-01T00:00:00Z pro usage 2 1 7.00",
                "2026-02-20T00:00:00Z pro usage 1 100 0.00",
                "2026-02-20T00:00:00Z pro usage 2 3 21.00",
            ]
        );
        assert_eq!(month.comparison("acme")[0], format!("{MATCH} meter_total matched 256 256 "));
        assert_eq!(
            (month.control(MATCH, "free").1, month.control(MATCH, "billed").1),
            ("250".into(), "6".into())
        );
    }
}

#[test]
fn a_plan_change_at_the_edge_of_a_window_gives_each_window_one_plan_and_agrees_with_stripe() {
    const CHANGE: &str = "2026-02-28T09:30:15Z";
    let tenants = [
        format!("acme,plus,2026-01-31T09:30:15Z,2026-01-31T09:30:15Z,{CHANGE},"),
        format!("acme,pro,2026-01-31T09:30:15Z,{CHANGE},,"),
    ];
    let usage: [Used<'_>; 2] =
        [("acme", MATCH, "51", "2026-02-28T09:30:14.999999999Z"), ("acme", MATCH, "101", CHANGE)];
    for engine in ENGINES {
        let tenants = tenants.each_ref().map(String::as_str);
        let workspace = company(Workspace::new(engine), PLUS, &tenants, &usage);
        workspace.watch_at("2026-01", "2026-02-28T09:30:14Z");
        workspace.watch_at("2026-01", "2026-02-28T09:45:00Z");
        let january = run(&workspace, "2026-01", 0);
        assert_eq!(
            january.lines("acme", &LINE),
            ["plus base  1 1999.00", "plus usage 1 50 0.00", "plus usage 2 1 5.00"]
        );
        january.assert_matched();
        let february = run(&workspace, "2026-02", 0);
        assert_eq!(
            february.lines("acme", &LINE),
            ["pro base  1 999.00", "pro usage 1 100 0.00", "pro usage 2 1 7.00"]
        );
        february.assert_matched();
    }
}

/// A tenant that nobody's trouble may touch.
const GOOD: &str = "good,pro,,2026-02-01T00:00:00Z,,";
const GOOD_USAGE: Used<'_> = ("good", MATCH, "107", "2026-02-10T00:00:00Z");
const GOOD_LINES: [&str; 3] = ["pro base  1 999.00", "pro usage 1 100 0.00", "pro usage 2 7 49.00"];

fn assert_good_is_billed(month: &Month) {
    assert_eq!(month.lines("good", &LINE), GOOD_LINES);
}

#[test]
fn usage_outside_of_any_plan_is_excluded_with_its_reason_and_never_billed() {
    let usage: [Used<'_>; 6] = [
        GOOD_USAGE,
        ("acme", MATCH, "1", "2026-02-02T23:59:59.999999999Z"),
        ("acme", MATCH, "10", "2026-02-03T00:00:00Z"),
        ("acme", MATCH, "100", "2026-02-20T00:00:00Z"),
        ("acme", STORAGE, "1.5", "2026-02-28T23:59:59.999999999Z"),
        // This one's plan begins a month later: its tenant has no window of its own.
        ("next", MATCH, "1000", "2026-02-10T00:00:00Z"),
    ];
    let tenants = [GOOD, "acme,pro,,2026-02-03,2026-02-20,", "next,pro,,2026-03-01,,"];
    for engine in ENGINES {
        let workspace = company(Workspace::new(engine), "", &tenants, &usage);
        // Acme's last invoice is made on the 20th; whoever looks later is too late.
        workspace.watch_at("2026-02", "2026-02-15T00:00:00Z");
        let month = run(&workspace, "2026-02", 0);
        assert_eq!(month.status(), "closed");
        assert_good_is_billed(&month);
        assert_eq!(month.lines("acme", &LINE), ["pro base  1 999.00", "pro usage 1 10 0.00"]);
        // Its last invoice speaks of the time until it ended, and of nothing after.
        assert_eq!(
            month.comparison("acme"),
            [
                format!("{MATCH} meter_total matched 10 10 "),
                format!("{MATCH} invoice matched 10 10 "),
                format!("{STORAGE} meter_total matched 0 0 "),
                format!("{STORAGE} invoice matched 0 0 "),
            ]
        );
        assert!(month.lines("next", &LINE).is_empty());
        assert_eq!(
            month.exceptions(),
            [
                // The gap before and the gap after the plan.
                "acme excluded outside_subscription  b2b.match_request 1 1",
                "acme excluded outside_subscription  b2b.match_request 1 100",
                "acme excluded outside_subscription  storage_gb 1 1.5",
                "next excluded outside_subscription  b2b.match_request 1 1000",
            ]
        );
        assert_eq!(month.control(MATCH, "excluded"), ("3".to_owned(), "1101".to_owned()));
        assert_eq!(month.control(STORAGE, "excluded"), ("1".to_owned(), "1.5".to_owned()));
    }
}

#[test]
fn usage_that_the_plan_sells_no_access_to_is_excluded_and_the_base_fee_stays() {
    let usage = [GOOD_USAGE, ("dodo", MATCH, "3", "2026-02-15T12:00:00Z")];
    for engine in ENGINES {
        let workspace = company(Workspace::new(engine), "", &[GOOD, "dodo,starter,,2026-02-01,,"], &usage);
        let month = run(&workspace, "2026-02", 0);
        assert_good_is_billed(&month);
        assert_eq!(month.lines("dodo", &LINE), ["starter base  1 499.00"]);
        assert_eq!(month.exceptions(), ["dodo excluded no_access starter b2b.match_request 1 3"]);
        assert_eq!(month.control(MATCH, "excluded"), ("1".to_owned(), "3".to_owned()));
    }
}

#[test]
fn an_unknown_plan_parks_its_tenant_until_the_catalog_has_it_and_changes_no_other_line() {
    let usage = [GOOD_USAGE, ("gold", MATCH, "5", "2026-02-15T12:00:00Z")];
    for engine in ENGINES {
        let workspace = company(Workspace::new(engine), "", &[GOOD, "gold,plus,,2026-02-01,,"], &usage);
        let parked = run(&workspace, "2026-02", 3);
        assert_eq!(parked.status(), "partial");
        assert_eq!(
            (&parked.json["counts"]["closed"], &parked.json["counts"]["parked"]),
            (&1.into(), &1.into())
        );
        assert_eq!(parked.exceptions(), ["gold parked unknown_plan plus  1"]);
        assert_eq!(parked.control(MATCH, "parked"), ("1".to_owned(), "5".to_owned()));
        assert!(parked.lines("gold", &LINE).is_empty());
        assert_good_is_billed(&parked);
        // Nothing has changed, so nothing is written: the same run answers.
        let again = run(&workspace, "2026-02", 3);
        assert_eq!((&again.json, &again.files), (&parked.json, &parked.files));
        assert_eq!(workspace.report_folders("2026-02").len(), 1);

        workspace.write("catalog.toml", format!("{CATALOG}{PLUS}"));
        workspace.run(&["import", "catalog", "catalog.toml"]).expect(0);
        // Nobody knew it while its invoice took usage, so what it used is settled, named, and for a person to bill.
        let closed = run(&workspace, "2026-02", 3);
        let named = vec![
            "gold unbillable not sent while the tenant was parked, and now the invoice is final plus b2b.match_request 1 5"
                .to_owned(),
        ];
        assert_eq!((closed.status(), closed.exceptions()), ("closed", named));
        assert_eq!(closed.lines("gold", &LINE), ["plus base  1 1999.00", "plus usage 1 5 0.00"]);
        assert_eq!(closed.raw_lines("good"), parked.raw_lines("good"));
        assert_eq!(closed.raw_lines("good").len(), 3);
        // The first run's files are not touched.
        assert_eq!(run_files(&workspace, &parked), parked.files);
    }
}

fn run_files(workspace: &Workspace, month: &Month) -> std::collections::BTreeMap<String, Vec<u8>> {
    crate::support::files(&workspace.path(month.json["reports_dir"].as_str().unwrap()))
}

#[test]
fn two_cycles_in_one_month_park_their_tenant_alone() {
    let usage = [GOOD_USAGE, ("turn", MATCH, "5", "2026-02-05T12:00:00Z")];
    let tenants = [GOOD, "turn,pro,,2026-02-01,2026-02-10,", "turn,pro,2026-02-10T00:00:00Z,2026-02-10,,"];
    for engine in ENGINES {
        let workspace = company(Workspace::new(engine), "", &tenants, &usage);
        let month = run(&workspace, "2026-02", 3);
        assert_eq!(month.status(), "partial");
        assert_eq!(month.exceptions(), ["turn parked window_change pro  1"]);
        assert_good_is_billed(&month);
    }
}

#[test]
fn a_change_to_a_plan_without_a_meter_closes_and_names_what_no_invoice_bills() {
    let tenants = [GOOD, "down,pro,,2026-02-01,2026-02-20,", "down,starter,,2026-02-20,,"];
    let usage = [GOOD_USAGE, ("down", MATCH, "10", "2026-02-05T00:00:00Z")];
    for engine in ENGINES {
        let workspace = company(Workspace::new(engine), "", &tenants, &usage);
        workspace.watch_at("2026-02", "2026-02-10T00:00:00Z");
        workspace.watch("2026-02");
        let month = run(&workspace, "2026-02", 0);
        assert_eq!((month.status(), month.exceptions()), ("closed", vec![]));
        assert_eq!(month.lines("down", &LINE), ["pro usage 1 10 0.00", "starter base  1 499.00"]);
        // With the plan its item has gone from the subscription, and with the item its usage from the invoice.
        assert_eq!(
            month.comparison("down"),
            [
                format!("{MATCH} meter_total matched 10 10 "),
                format!("{MATCH} invoice missing_in_stripe 10 0 mid_cycle_change"),
                format!("{STORAGE} meter_total matched 0 0 "),
                format!("{STORAGE} invoice matched 0 0 "),
            ]
        );
    }
}

#[test]
fn usage_found_after_the_last_invoice_of_a_tenant_that_left_is_named_and_never_sent() {
    let usage = [GOOD_USAGE, ("acme", MATCH, "10", "2026-02-05T00:00:00Z")];
    for engine in ENGINES {
        let workspace =
            company(Workspace::new(engine), "", &[GOOD, "acme,pro,,2026-02-03,2026-02-20,"], &usage);
        // The month goes on, but its invoice was final on the 20th.
        workspace.watch("2026-02");
        let month = run(&workspace, "2026-02", 3);
        assert_eq!(month.status(), "closed");
        assert_eq!(month.exceptions(), ["acme unbillable the invoice is final pro b2b.match_request 1 10"]);
        assert_eq!(
            month.comparison("acme")[..2],
            [
                format!("{MATCH} meter_total quantity_mismatch 10 0 late_usage"),
                format!("{MATCH} invoice quantity_mismatch 10 0 late_usage"),
            ]
        );
        assert_good_is_billed(&month);
    }
}
