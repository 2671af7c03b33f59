//! What each status of a subscription comes to (`docs/subscriptions.md`).
//!
//! In: tenants of February 2026 with one status each, or with one that changes in the month. Out: their lines, what is
//! excluded, what Stripe's side shows for it.

use super::{MATCH, Month, Used, run, usage_rows};
use crate::support::{CATALOG, ENGINES, Engine, Workspace};

const LINE: [&str; 4] = ["kind", "tier", "quantity", "amount"];
const BILLED: [&str; 3] = ["base  1 999.00", "usage 1 100 0.00", "usage 2 7 49.00"];

/// Rows `tenant_id,status,started_at,ended_at,trial_end` on the plan `pro`.
fn tenant_rows(rows: &[&str]) -> String {
    let row = |row: &&str| {
        let tenant = row.split(',').next().unwrap();
        format!("{row},pro,try,cus_{tenant},sub_{tenant}\n")
    };
    let columns = "tenant_id,status,started_at,ended_at,trial_end,plan,currency";
    let rows: String = rows.iter().map(row).collect();
    format!("{columns},stripe_customer_id,stripe_subscription_id\n{rows}")
}

fn company(engine: Engine, tenants: &[&str], usage: &[Used<'_>]) -> Workspace {
    let workspace = Workspace::new(engine);
    workspace.import(CATALOG, &tenant_rows(tenants), &usage_rows(usage));
    workspace
}

fn counts(month: &Month) -> [u64; 4] {
    ["tenants", "closed", "not_billed", "parked"].map(|name| month.json["counts"][name].as_u64().unwrap())
}

#[test]
fn statuses_that_stripe_invoices_are_billed_and_the_others_are_excluded_and_named() {
    const BILLED_STATUSES: [&str; 4] = ["active", "past_due", "trialing", "unpaid"];
    const EXCLUDED: [&str; 3] = ["incomplete", "incomplete_expired", "paused"];
    let name = |status: &str| status.replace('_', "-");
    let all: Vec<String> = BILLED_STATUSES.iter().chain(&EXCLUDED).map(|status| name(status)).collect();
    let usage: Vec<Used<'_>> =
        all.iter().map(|tenant| (tenant.as_str(), MATCH, "107", "2026-02-10T00:00:00Z")).collect();
    // A trial that is over leaves the word `trialing` behind in a file that is not exported every day.
    let row = |status: &&str| match *status {
        "trialing" => "trialing,trialing,2026-01-01,,2026-02-01".to_owned(),
        status => format!("{},{status},2026-02-01,,", name(status)),
    };
    let rows: Vec<String> = BILLED_STATUSES.iter().chain(&EXCLUDED).map(row).collect();
    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
    for engine in ENGINES {
        let workspace = company(engine, &rows, &usage);
        let month = run(&workspace, "2026-02", 0);
        assert_eq!((month.status(), counts(&month)), ("closed", [7, 4, 3, 0]));
        for status in BILLED_STATUSES {
            assert_eq!(month.lines(&name(status), &LINE), BILLED, "{status}");
        }
        for status in EXCLUDED {
            let tenant = name(status);
            assert!(month.lines(&tenant, &LINE).is_empty(), "{status}");
            assert!(month.comparison(&tenant).is_empty(), "{status}");
            let sql = format!("SELECT COUNT(*) FROM intents WHERE tenant_id = '{tenant}'");
            assert_eq!(workspace.number(&sql), 0, "{status}: nothing is sent");
        }
        assert_eq!(
            month.exceptions(),
            EXCLUDED.map(|status| {
                format!("{} excluded inactive_subscription pro {MATCH} 1 107", name(status))
            })
        );
        assert!(
            month.rows("exceptions.csv").iter().all(|row| row["next_step"].contains("paused or incomplete"))
        );
        month.assert_matched();
        // What is excluded is not billed a cycle later either.
        assert_eq!(month.control(MATCH, "excluded"), ("3".to_owned(), "321".to_owned()));
    }
}

/// Stripe leaves it to a person to finalize what it makes for an unpaid subscription.
#[test]
fn an_unpaid_window_closes_by_the_clock_although_its_invoice_stays_a_draft() {
    let usage = [("acme", MATCH, "107", "2026-02-10T00:00:00Z")];
    for engine in ENGINES {
        let workspace = company(engine, &["acme,unpaid,2026-02-01,,"], &usage);
        workspace.watch("2026-02");
        let at = |instant: &str| {
            let arguments = ["run", "--period", "2026-02", "--as-of", instant, "--json"];
            workspace.run(&arguments).expect(0).json()["status"].as_str().unwrap().to_owned()
        };
        assert_eq!([at("2026-03-01T01:59:59Z"), at("2026-03-01T02:00:00Z")], ["open", "closed"]);
    }
    // The same for one that pays.
    let workspace = company(Engine::Sqlite, &["acme,active,2026-02-01,,"], &usage);
    workspace.watch("2026-02");
    let arguments = ["run", "--period", "2026-02", "--as-of", "2026-03-01T01:00:00Z", "--json"];
    assert_eq!(workspace.run(&arguments).expect(0).json()["status"], "closed");
}

#[test]
fn a_pause_in_the_middle_of_a_month_bills_until_then_and_excludes_the_rest() {
    let usage: [Used<'_>; 2] =
        [("acme", MATCH, "107", "2026-02-10T00:00:00Z"), ("acme", MATCH, "40", "2026-02-20T00:00:00Z")];
    let rows = ["acme,active,2026-02-01,2026-02-15,", "acme,paused,2026-02-15,,"];
    for engine in ENGINES {
        let workspace = company(engine, &rows, &usage);
        workspace.watch_at("2026-02", "2026-02-14T00:00:00Z");
        workspace.watch("2026-02");
        let month = run(&workspace, "2026-02", 0);
        assert_eq!((month.status(), counts(&month)), ("closed", [1, 1, 0, 0]));
        assert_eq!(month.lines("acme", &LINE), BILLED);
        assert_eq!(month.exceptions(), [format!("acme excluded inactive_subscription pro {MATCH} 1 40")]);
        month.assert_matched();
        let march = run(&workspace, "2026-03", 0);
        assert_eq!((march.status(), counts(&march)), ("closed", [1, 0, 1, 0]));
    }
}

#[test]
fn a_trial_that_ends_in_a_pause_has_no_invoice_and_nothing_to_pay() {
    let usage: [Used<'_>; 2] =
        [("acme", MATCH, "107", "2026-02-10T00:00:00Z"), ("acme", MATCH, "40", "2026-02-20T00:00:00Z")];
    // One row that says what is, or two that say when it changed.
    for rows in [
        &["acme,paused,2026-02-01,,2026-02-15"][..],
        &["acme,trialing,2026-02-01,2026-02-15,2026-02-15", "acme,paused,2026-02-15,,2026-02-15"],
    ] {
        for engine in ENGINES {
            let workspace = company(engine, &["acme,trialing,2026-02-01,,2026-02-15"], &usage);
            workspace.watch_at("2026-02", "2026-02-14T00:00:00Z");
            workspace.write("tenants.csv", tenant_rows(rows));
            workspace.run(&["import", "tenants", "tenants.csv"]).expect(0);
            workspace.watch_at("2026-02", "2026-02-15T00:00:00Z");
            let month = run(&workspace, "2026-02", 0);
            assert_eq!(month.lines("acme", &LINE), ["usage  107 0.00"]);
            assert_eq!(month.exceptions(), [format!("acme excluded inactive_subscription pro {MATCH} 1 40")]);
            assert_eq!(
                month.comparison("acme")[..2],
                [
                    format!("{MATCH} meter_total matched 107 107 "),
                    format!("{MATCH} invoice missing_in_stripe 107 0 trial"),
                ]
            );
        }
    }
}

/// Nobody looked between the middle of February and March: one draft was missed, and of the other tenant there was none.
#[test]
fn a_window_without_an_invoice_has_no_draft_that_somebody_could_have_missed() {
    let usage =
        [("acme", MATCH, "107", "2026-02-10T00:00:00Z"), ("pays", MATCH, "107", "2026-02-10T00:00:00Z")];
    let workspace = company(
        Engine::Sqlite,
        &["acme,trialing,2026-02-01,,2026-02-15", "pays,active,2026-02-01,,"],
        &usage,
    );
    workspace.watch_at("2026-02", "2026-02-14T00:00:00Z");
    workspace.write("tenants.csv", tenant_rows(&["acme,paused,2026-02-01,,2026-02-15"]));
    workspace.run(&["import", "tenants", "tenants.csv"]).expect(0);
    // The trial has ended, and no invoice of it is there.
    workspace.watch_at("2026-02", "2026-02-15T00:00:00Z");
    assert_eq!(run(&workspace, "2026-02", 0).status(), "closed");
    let status = workspace.run(&["status", "--json"]).expect(0).json();
    let missed = serde_json::json!([{"period": "2026-02", "windows": 1, "seen": 0}]);
    assert_eq!(status["missed_drafts"], missed);
}

/// The file says what is now; Stripe has made an invoice for February.
#[test]
fn a_window_that_stripe_has_billed_is_not_called_paused_afterwards() {
    let usage = [("acme", MATCH, "107", "2026-02-10T00:00:00Z")];
    for engine in ENGINES {
        let workspace = company(engine, &["acme,active,2026-02-01,,"], &usage);
        workspace.watch("2026-02");
        workspace.watch_at("2026-02", "2026-03-01T00:30:00Z");
        workspace.write("tenants.csv", tenant_rows(&["acme,paused,2026-02-01,,"]));
        workspace.run(&["import", "tenants", "tenants.csv"]).expect(0);
        let month = run(&workspace, "2026-02", 3);
        assert_eq!(month.status(), "partial");
        assert!(month.exceptions().contains(&"acme parked mapping pro  1".to_owned()));
    }
}
