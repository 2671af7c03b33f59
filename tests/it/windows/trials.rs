//! Trials: windows of their own that cost nothing, and the windows that follow from their end.
//!
//! In: tenants with `trial_end`, on plans that Stripe really charges (`billing = "live"`), so that amounts are compared as
//! well. Out: lines, comparisons and counts of the months around the trial's end.

use super::{MATCH, Month, Row, STORAGE, Used, run, usage_rows};
use crate::support::{CATALOG, ENGINES, Engine, Workspace};

const LINE: [&str; 6] = ["window_start", "window_end", "kind", "tier", "quantity", "amount"];

/// 10.00 a month, 100 units at 0.50, then 7.00 each; and 5.00 for each unit. Charged by Stripe.
const LIVE: &str = r#"
[[plan]]
key = "live"
currency = "try"
amount = 1000
  [[plan.usage]]
  meter = "b2b.match_request"
  billing = "live"
  price = { billing_scheme = "tiered", tiers_mode = "graduated", tiers = [
            { up_to = 100, unit_amount_decimal = "50" },
            { up_to = "inf", unit_amount_decimal = "700" } ] }

[[plan]]
key = "flat"
currency = "try"
  [[plan.usage]]
  meter = "b2b.match_request"
  billing = "live"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "500" }
"#;

/// Rows `tenant_id,plan,billing_anchor,trial_end,started_at,ended_at,status`.
fn company(engine: Engine, tenants: &[&str], usage: &[Used<'_>]) -> Workspace {
    let row = |row: &&str| {
        let tenant = row.split(',').next().unwrap();
        format!("{row},try,cus_{tenant},sub_{tenant}\n")
    };
    let columns = "tenant_id,plan,billing_anchor,trial_end,started_at,ended_at,status,currency";
    let rows: String = tenants.iter().map(row).collect();
    let workspace = Workspace::new(engine);
    workspace.import(
        &format!("{CATALOG}\n{LIVE}"),
        &format!("{columns},stripe_customer_id,stripe_subscription_id\n{rows}"),
        &usage_rows(usage),
    );
    workspace
}

/// `source window_start class ledger Stripe reason` of the amounts of each comparison that has one.
fn amounts(month: &Month) -> Vec<String> {
    let columns = ["source", "window_start", "class", "ledger_amount_minor", "stripe_amount_minor", "reason"];
    let usage = |row: &Row| !row["meter"].is_empty() && !row["ledger_amount_minor"].is_empty();
    let rows = month.rows("reconciliation.csv").into_iter().filter(usage);
    rows.map(|row| columns.map(|name| row[name].clone()).join(" ")).collect()
}

const TRIAL: &str = "acme,live,,2026-02-17T04:05:06Z,2026-02-03T04:05:06Z,,";

#[test]
fn a_trial_closes_with_nothing_to_pay_and_the_first_paid_window_stands_beside_it() {
    let usage: [Used<'_>; 4] = [
        ("acme", MATCH, "30", "2026-02-03T04:05:06Z"),
        ("acme", MATCH, "100", "2026-02-17T04:05:05.999999999Z"),
        ("acme", MATCH, "107", "2026-02-17T04:05:06Z"),
        ("acme", MATCH, "1000", "2026-03-17T04:05:06Z"),
    ];
    for engine in ENGINES {
        let workspace = company(engine, &[TRIAL], &usage);
        workspace.watch_at("2026-02", "2026-02-17T04:30:00Z");
        // The trial's invoice has left draft, so the trial closes; the paid window goes on.
        let arguments = ["run", "--period", "2026-02", "--as-of", "2026-02-20T00:00:00Z", "--json"];
        let closing = workspace.run(&arguments).expect(0).json();
        assert_eq!((&closing["status"], &closing["counts"]["tenants"]), (&"closing".into(), &1.into()));
        assert_eq!(closing["counts"]["closed"], 0, "its month is not over");
        workspace.watch("2026-02");
        let month = run(&workspace, "2026-02", 0);
        assert_eq!(
            month.lines("acme", &LINE),
            [
                "2026-02-17T04:05:06Z 2026-03-17T04:05:06Z base  1 10.00",
                "2026-02-03T04:05:06Z 2026-02-17T04:05:06Z usage  130 0.00",
                "2026-02-17T04:05:06Z 2026-03-17T04:05:06Z usage 1 100 50.00",
                "2026-02-17T04:05:06Z 2026-03-17T04:05:06Z usage 2 7 49.00",
            ]
        );
        month.assert_matched();
        assert_eq!(
            amounts(&month),
            ["invoice 2026-02-03T04:05:06Z matched 0 0 ", "invoice 2026-02-17T04:05:06Z matched 9900 9900 "]
        );
        assert_eq!(month.exceptions(), Vec::<String>::new());
        assert_eq!(month.control(MATCH, "free").1, "130");
        let counts = &month.json["counts"];
        assert_eq!(
            (&counts["tenants"], &counts["closed"], &counts["parked"]),
            (&1.into(), &1.into(), &0.into())
        );
        let next = run(&workspace, "2026-03", 0);
        assert_eq!(
            next.lines("acme", &LINE)[1],
            "2026-03-17T04:05:06Z 2026-04-17T04:05:06Z usage 1 100 50.00"
        );
    }
}

#[test]
fn a_trial_that_ends_on_the_31st_is_followed_by_stripes_own_windows() {
    let usage: [Used<'_>; 3] = [
        ("acme", MATCH, "1", "2026-01-30T23:59:59Z"),
        ("acme", MATCH, "10", "2026-02-27T23:59:59Z"),
        ("acme", MATCH, "100", "2026-02-28T00:00:00Z"),
    ];
    for engine in ENGINES {
        // Whatever its anchor was.
        let acme = "acme,flat,2026-01-05T06:07:08Z,2026-01-31T00:00:00Z,2026-01-05T06:07:08Z,,";
        let workspace = company(engine, &[acme], &usage);
        workspace.watch_at("2026-01", "2026-01-31T00:00:00Z");
        let january = run(&workspace, "2026-01", 0);
        assert_eq!(
            january.lines("acme", &LINE),
            [
                "2026-01-05T06:07:08Z 2026-01-31T00:00:00Z usage  1 0.00",
                "2026-01-31T00:00:00Z 2026-02-28T00:00:00Z usage  10 50.00",
            ]
        );
        january.assert_matched();
        let february = run(&workspace, "2026-02", 0);
        assert_eq!(
            february.lines("acme", &LINE),
            ["2026-02-28T00:00:00Z 2026-03-31T00:00:00Z usage  100 500.00"]
        );
        february.assert_matched();
    }
}

#[test]
fn a_plan_change_in_a_trial_is_a_segment_that_costs_nothing_either() {
    let usage: [Used<'_>; 2] =
        [("acme", MATCH, "130", "2026-02-05T00:00:00Z"), ("acme", MATCH, "5", "2026-02-15T00:00:00Z")];
    let tenants = [
        "acme,flat,,2026-02-20T00:00:00Z,2026-02-03T00:00:00Z,2026-02-10T00:00:00Z,",
        "acme,live,,2026-02-20T00:00:00Z,2026-02-10T00:00:00Z,,",
    ];
    for engine in ENGINES {
        let workspace = company(engine, &tenants, &usage);
        workspace.watch_at("2026-02", "2026-02-09T00:00:00Z");
        workspace.watch_at("2026-02", "2026-02-19T00:00:00Z");
        let month = run(&workspace, "2026-02", 0);
        let columns = ["plan", "segment_start", "window_end", "kind", "quantity", "amount"];
        assert_eq!(
            month.lines("acme", &columns),
            [
                "flat 2026-02-03T00:00:00Z 2026-02-20T00:00:00Z usage 130 0.00",
                "live 2026-02-20T00:00:00Z 2026-03-20T00:00:00Z base 1 10.00",
                "live 2026-02-10T00:00:00Z 2026-02-20T00:00:00Z usage 5 0.00",
            ]
        );
        assert_eq!(month.control(MATCH, "billed").1, "0");
        // The first plan's item is gone from the subscription, and with it its usage from the trial's invoice.
        assert_eq!(
            month.comparison("acme")[..2],
            [
                format!("{MATCH} meter_total matched 135 135 "),
                format!("{MATCH} invoice quantity_mismatch 135 5 mid_cycle_change"),
            ]
        );
    }
}

#[test]
fn a_subscription_that_ends_in_its_trial_pays_nothing_and_has_no_window_after_it() {
    let usage: [Used<'_>; 2] =
        [("acme", MATCH, "130", "2026-02-05T00:00:00Z"), ("acme", MATCH, "5", "2026-02-15T00:00:00Z")];
    let acme = "acme,live,,2026-02-20T00:00:00Z,2026-02-03T00:00:00Z,2026-02-10T00:00:00Z,canceled";
    for engine in ENGINES {
        let workspace = company(engine, &[acme], &usage);
        workspace.watch_at("2026-02", "2026-02-09T00:00:00Z");
        let month = run(&workspace, "2026-02", 0);
        assert_eq!(month.status(), "closed");
        let line = "2026-02-03T00:00:00Z 2026-02-20T00:00:00Z usage  130 0.00";
        assert_eq!(month.lines("acme", &LINE), [line]);
        assert_eq!(month.exceptions(), ["acme excluded outside_subscription  b2b.match_request 1 5"]);
        month.assert_matched();
    }
}

#[test]
fn a_trial_whose_start_or_end_nobody_knows_parks_its_tenant_alone() {
    let usage: [Used<'_>; 1] = [("good", MATCH, "5", "2026-02-05T00:00:00Z")];
    let tenants = [
        "good,flat,,,2026-02-01,,",
        "noend,flat,,,2026-02-01,,trialing",
        "nostart,flat,,2026-03-10T00:00:00Z,,,trialing",
        "gone,flat,,,2026-02-01,,canceled",
    ];
    for engine in ENGINES {
        let workspace = company(engine, &tenants, &usage);
        let month = run(&workspace, "2026-02", 3);
        assert_eq!(month.status(), "partial");
        assert_eq!(
            month.exceptions(),
            ["gone parked canceled_without_end   0", "noend parked trial   0", "nostart parked trial   0"]
        );
        let rows = month.rows("exceptions.csv");
        assert!(rows[1]["next_step"].contains("trial_end and start_date"), "{rows:?}");
        assert_eq!(month.lines("good", &["quantity", "amount"]), ["5 25.00"]);
    }
}

/// A trial is in no metric: it is left out of the plan's population, and counted.
#[test]
fn a_trial_is_left_out_of_the_metrics() {
    let usage: [Used<'_>; 2] =
        [("good", MATCH, "150", "2026-02-05T00:00:00Z"), ("acme", MATCH, "5", "2026-02-05T00:00:00Z")];
    let tenants = ["good,pro,,,2026-02-01,,", "acme,pro,,2026-02-15T00:00:00Z,2026-02-01,,"];
    for engine in ENGINES {
        let workspace = company(engine, &tenants, &usage);
        workspace.watch_at("2026-02", "2026-02-14T00:00:00Z");
        workspace.watch_at("2026-02", "2026-02-28T12:00:00Z");
        let month = run(&workspace, "2026-02", 0);
        let rows = month.rows("decision.csv");
        let value = |metric: &str| {
            let of_metric = rows.iter().find(|row| row["metric"] == metric && row["plan"] == "pro");
            of_metric.map(|row| row["value"].clone())
        };
        // The paid window of the tenant that was in a trial is a whole one.
        assert_eq!(
            (value("tenants"), value("tenants_left_out")),
            (Some("2".into()), Some("1".into())),
            "{rows:?}"
        );
        month.assert_matched();
    }
}

/// Somebody else's events on one meter stop the other meter too, in the trial and in the window beside it.
#[test]
fn a_tenant_that_is_set_aside_in_both_windows_of_a_month_is_sent_nothing_in_either() {
    let of_storage: [Used<'_>; 2] =
        [("acme", STORAGE, "30", "2026-02-05T00:00:00Z"), ("acme", STORAGE, "40", "2026-02-17T05:00:00Z")];
    let of_both = [
        of_storage[0],
        of_storage[1],
        ("acme", MATCH, "5", "2026-02-05T00:00:00Z"),
        ("acme", MATCH, "6", "2026-02-17T04:10:00Z"),
    ];
    let acme = ["acme,pro,,2026-02-17T04:05:06Z,2026-02-03T04:05:06Z,,"];
    let others = company(Engine::Sqlite, &acme, &of_storage);
    others.watch_at("2026-02", "2026-02-16T00:00:00Z");
    others.watch_at("2026-02", "2026-02-17T04:20:00Z");
    for engine in ENGINES {
        let workspace = company(engine, &acme, &of_both);
        let journal = if engine == Engine::Sqlite { "billrecon.db.sandbox" } else { "billrecon.sandbox" };
        std::fs::copy(others.path("billrecon.db.sandbox"), workspace.path(journal)).unwrap();
        let arguments = ["run", "--period", "2026-02", "--as-of", "2026-02-17T04:30:00Z", "--json"];
        let run = workspace.run(&arguments).expect(3).json();
        let counts = &run["counts"];
        assert_eq!([&counts["tenants"], &counts["parked"], &counts["pending_after"]], [1, 1, 1]);
        assert_eq!(workspace.number("SELECT COUNT(*) FROM intents"), 0);
    }
}
