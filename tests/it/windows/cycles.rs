//! Where windows begin and end: anchors, years, calendar months of a zone.
//!
//! In: records on both sides of every edge, each a power of ten, so that a sum tells which of them were billed. Out:
//! windows and quantities of `lines.csv`.

use super::{MATCH, Used, company, run};
use crate::support::{ENGINES, Workspace};

const WINDOW: [&str; 3] = ["window_start", "window_end", "quantity"];

/// Yearly plans without a quota.
const YEARLY: &str = r#"
[[plan]]
key = "pro"
currency = "try"
interval = "year"
amount = 999000
  [[plan.usage]]
  meter = "b2b.match_request"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "650" }
"#;

/// A monthly plan without a quota, so that a window has one usage line.
const FLAT: &str = r#"
[[plan]]
key = "flat"
currency = "try"
  [[plan.usage]]
  meter = "b2b.match_request"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "700" }
"#;

#[test]
fn an_anchor_on_the_31st_bills_from_the_28th_of_february_to_the_31st_of_march() {
    let usage: [Used<'_>; 6] = [
        ("acme", MATCH, "1", "2026-01-31T09:30:15Z"),
        ("acme", MATCH, "10", "2026-02-28T09:30:14.999999999Z"),
        ("acme", MATCH, "100", "2026-02-28T09:30:15Z"),
        ("acme", MATCH, "1000", "2026-03-31T09:30:14.999999999Z"),
        ("acme", MATCH, "10000", "2026-03-31T09:30:15Z"),
        ("acme", MATCH, "100000", "2026-04-30T09:30:14.999999999Z"),
    ];
    for engine in ENGINES {
        let acme = ["acme,flat,2026-01-31T09:30:15Z,2026-01-31T09:30:15Z,,"];
        let workspace = company(Workspace::new(engine), FLAT, &acme, &usage);
        for (period, window) in [
            ("2026-01", "2026-01-31T09:30:15Z 2026-02-28T09:30:15Z 11"),
            ("2026-02", "2026-02-28T09:30:15Z 2026-03-31T09:30:15Z 1100"),
            ("2026-03", "2026-03-31T09:30:15Z 2026-04-30T09:30:15Z 110000"),
        ] {
            let month = run(&workspace, period, 0);
            assert_eq!((month.status(), month.lines("acme", &WINDOW)), ("closed", vec![window.to_owned()]));
            month.assert_matched();
        }
    }
}

#[test]
fn a_yearly_window_closes_once_under_the_label_of_its_last_month() {
    let usage: [Used<'_>; 5] = [
        ("anna", MATCH, "1", "2025-02-15T12:00:00Z"),
        ("anna", MATCH, "10", "2026-02-15T11:59:59.999999999Z"),
        ("anna", MATCH, "100", "2026-02-15T12:00:00Z"),
        ("cala", MATCH, "1", "2025-01-01T00:00:00Z"),
        ("cala", MATCH, "10", "2025-12-31T23:59:59.999999999Z"),
    ];
    let tenants =
        ["anna,pro,2025-02-15T12:00:00Z,2025-02-15T12:00:00Z,,year", "cala,pro,,2025-01-01T00:00:00Z,,year"];
    let columns = ["window_start", "window_end", "kind", "quantity", "amount", "interval"];
    for engine in ENGINES {
        let workspace = company(Workspace::new(engine), YEARLY, &tenants, &usage);
        let december = run(&workspace, "2025-12", 0);
        assert_eq!(
            december.lines("cala", &columns),
            [
                "2025-01-01T00:00:00Z 2026-01-01T00:00:00Z base 1 9990.00 year",
                "2025-01-01T00:00:00Z 2026-01-01T00:00:00Z usage 11 71.50 year",
            ]
        );
        assert!(december.lines("anna", &columns).is_empty());
        december.assert_matched();
        let january = run(&workspace, "2026-01", 0);
        assert_eq!(
            january.lines("anna", &columns),
            [
                "2025-02-15T12:00:00Z 2026-02-15T12:00:00Z base 1 9990.00 year",
                "2025-02-15T12:00:00Z 2026-02-15T12:00:00Z usage 11 71.50 year",
            ]
        );
        assert!(january.lines("cala", &columns).is_empty());
        january.assert_matched();
        // A month in which no window ends has nothing to close, and its usage is nobody's exception.
        let june = run(&workspace, "2025-06", 0);
        assert_eq!((june.status(), june.rows("lines.csv"), june.exceptions()), ("open", vec![], vec![]));
    }
}

#[test]
fn calendar_months_begin_at_midnight_of_the_billing_time_zone() {
    let usage: [Used<'_>; 4] = [
        ("acme", MATCH, "1", "2026-01-31T21:00:00Z"),
        ("acme", MATCH, "10", "2026-02-28T20:59:59.999999999Z"),
        ("acme", MATCH, "100", "2026-02-28T21:00:00Z"),
        ("anna", MATCH, "1", "2026-02-28T20:59:59.999999999Z"),
    ];
    // A bare date is its first instant in the zone; an anchor stays in UTC, as Stripe counts.
    let tenants = ["acme,flat,,2026-02-01,,", "anna,flat,2026-02-01T00:00:00Z,2026-02-01T00:00:00Z,,"];
    for engine in ENGINES {
        let workspace = Workspace::new(engine);
        workspace.write("billrecon.toml", "time_zone = \"Europe/Istanbul\"\n");
        let workspace = company(workspace, FLAT, &tenants, &usage);
        let february = run(&workspace, "2026-02", 0);
        assert_eq!(february.lines("acme", &WINDOW), ["2026-01-31T21:00:00Z 2026-02-28T21:00:00Z 11"]);
        assert_eq!(february.lines("anna", &WINDOW), ["2026-02-01T00:00:00Z 2026-03-01T00:00:00Z 1"]);
        february.assert_matched();
        let march = run(&workspace, "2026-03", 0);
        assert_eq!(march.lines("acme", &WINDOW), ["2026-02-28T21:00:00Z 2026-03-31T21:00:00Z 100"]);
        march.assert_matched();
    }
}

/// Clocks go forward in Berlin on 29 March 2026: the month is an hour short.
#[test]
fn a_month_with_a_change_to_summer_time_has_an_hour_less() {
    let usage: [Used<'_>; 3] = [
        ("acme", MATCH, "1", "2026-02-28T23:00:00Z"),
        ("acme", MATCH, "10", "2026-03-31T21:59:59.999999999Z"),
        ("acme", MATCH, "100", "2026-03-31T22:00:00Z"),
    ];
    for engine in ENGINES {
        let workspace = Workspace::new(engine);
        workspace.write("billrecon.toml", "time_zone = \"Europe/Berlin\"\n");
        let workspace = company(workspace, FLAT, &["acme,flat,,2026-03-01,,"], &usage);
        let march = run(&workspace, "2026-03", 0);
        assert_eq!(march.lines("acme", &WINDOW), ["2026-02-28T23:00:00Z 2026-03-31T22:00:00Z 11"]);
        march.assert_matched();
    }
}

#[test]
fn the_window_in_which_the_first_tenant_starts_is_due_whatever_month_it_is_labelled_with() {
    // Started in the second month of its anchored window; and at an instant that is February in the billing zone.
    for (zone, anchor, started_at, at) in [
        ("UTC", "2026-01-31T09:30:15Z", "2026-02-10T00:00:00Z", "2026-02-20T00:00:00Z"),
        ("Europe/Istanbul", "2026-01-31T22:00:00Z", "2026-01-31T22:00:00Z", "2026-02-20T00:00:00Z"),
    ] {
        for engine in ENGINES {
            let workspace = Workspace::new(engine);
            workspace.write("billrecon.toml", format!("time_zone = \"{zone}\"\n"));
            let acme = format!("acme,flat,{anchor},{started_at},,");
            let workspace = company(workspace, FLAT, &[&acme], &[("acme", MATCH, "10", at)]);
            // A look while its invoice takes usage; then by the clock.
            workspace.run(&["run", "--as-of", "2026-02-21T00:00:00Z", "--reports", "watched"]).expect(0);
            workspace.run(&["run"]).expect(0);
            assert_eq!(
                workspace.report_folders("2026-01").len(),
                1,
                "{zone}: its first window was never due"
            );
        }
    }
}
