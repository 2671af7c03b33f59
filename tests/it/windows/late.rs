//! What comes too late and what is too much: closed figures never change, one absurd tenant stops nobody.
//!
//! In: records that arrive after their window has closed; totals and amounts beyond what a bill can hold. Out: control
//! totals that say so, and everybody else's lines as they were.

use super::{MATCH, STORAGE, Used, company, import_more, run, usage_rows};
use crate::support::{CATALOG, ENGINES, Workspace};

const LINE: [&str; 4] = ["kind", "tier", "quantity", "amount"];

fn pair(records: &str, quantity: &str) -> (String, String) {
    (records.to_owned(), quantity.to_owned())
}

/// A plan with nothing but a base fee and free requests.
fn plan(key: &str) -> String {
    format!(
        "[[plan]]\nkey = \"{key}\"\ncurrency = \"try\"\n  [[plan.usage]]\n  meter = \"{MATCH}\"\n  \
         price = {{ billing_scheme = \"per_unit\", unit_amount_decimal = \"0\" }}\n"
    )
}

/// Acme can close; Gold and Platinum wait for their plans, so the month stays partial for two more runs.
const TENANTS: [&str; 4] = [
    "acme,pro,,2026-02-01,,",
    "gold,gold,,2026-02-01,,",
    "plat,platinum,,2026-02-01,,",
    "dodo,starter,,2026-02-01,2026-02-20,",
];
const USAGE: [Used<'_>; 5] = [
    ("acme", MATCH, "130", "2026-02-10T00:00:00Z"),
    ("gold", MATCH, "5", "2026-02-10T00:00:00Z"),
    ("plat", MATCH, "7.25", "2026-02-10T00:00:00Z"),
    ("dodo", MATCH, "11", "2026-02-10T00:00:00Z"),
    ("dodo", MATCH, "13", "2026-02-25T00:00:00Z"),
];
/// To a closed window, to a parked one, and to a meter that the closed one did not have.
const LATE: [Used<'_>; 3] = [
    ("acme", MATCH, "0.000000000001", "2026-02-28T23:59:59.999999999Z"),
    ("gold", MATCH, "1000", "2026-02-01T00:00:00Z"),
    ("acme", STORAGE, "2.5", "2026-02-02T00:00:00Z"),
];

/// Looked at before Dodo's last invoice, which is made on the 20th.
fn watched(workspace: Workspace) -> Workspace {
    workspace.watch_at("2026-02", "2026-02-15T00:00:00Z");
    workspace
}

fn add_plans(workspace: &Workspace, keys: &[&str]) {
    let plans: String = keys.iter().map(|key| plan(key)).collect();
    workspace.write("catalog.toml", format!("{CATALOG}\n{plans}"));
    workspace.run(&["import", "catalog", "catalog.toml"]).expect(0);
}

#[test]
fn a_late_record_changes_no_closed_figure_and_is_counted_as_late() {
    for engine in ENGINES {
        let workspace = watched(company(Workspace::new(engine), "", &TENANTS, &USAGE));
        let first = run(&workspace, "2026-02", 3);
        assert_eq!(first.control(MATCH, "late"), pair("0", "0"));
        assert_eq!(first.lines("acme", &LINE), ["base  1 999.00", "usage 1 100 0.00", "usage 2 30 210.00"]);
        import_more(&workspace, &LATE);
        add_plans(&workspace, &["gold"]);
        let second = run(&workspace, "2026-02", 3);
        assert_eq!(second.status(), "partial");
        assert_eq!(second.raw_lines("acme"), first.raw_lines("acme"));
        // Gold was not closed yet: what came meanwhile is in its window.
        assert_eq!(second.lines("gold", &LINE), ["usage  1005 0.00"]);
        assert_eq!(second.control(MATCH, "late"), pair("1", "0.000000000001"));
        assert_eq!(second.control(STORAGE, "late"), pair("1", "2.5"));
        add_plans(&workspace, &["gold", "platinum"]);
        // What nobody knew in time is closed and named, so that a person bills it.
        let third = run(&workspace, "2026-02", 3);
        assert_eq!(third.exceptions().iter().filter(|one| one.contains("unbillable")).count(), 2);
        assert_eq!((third.status(), third.control(MATCH, "late")), ("closed", pair("1", "0.000000000001")));
        for tenant in ["acme", "gold"] {
            assert_eq!(third.raw_lines(tenant), second.raw_lines(tenant));
        }
    }
}

/// Every measure at once, each number from the records above.
#[test]
fn control_totals_say_where_every_record_and_every_unit_is() {
    for engine in ENGINES {
        let workspace = watched(company(Workspace::new(engine), "", &TENANTS, &USAGE));
        run(&workspace, "2026-02", 3);
        import_more(&workspace, &LATE);
        add_plans(&workspace, &["gold"]);
        let month = run(&workspace, "2026-02", 3);
        for (measure, expected) in [
            ("accepted", pair("7", "1166.250000000001")),
            ("in_window", pair("3", "1135")),
            ("late", pair("1", "0.000000000001")),
            ("excluded", pair("2", "24")),
            ("parked", pair("1", "7.25")),
            ("used", pair("", "1142.25")),
            ("free", pair("", "100")),
            ("billed", pair("", "1035")),
            ("capped", pair("", "0")),
        ] {
            assert_eq!(month.control(MATCH, measure), expected, "{measure}");
        }
        assert_eq!(month.rows("control_totals.csv").len(), 18);
    }
}

const GOOD: &str = "good,pro,,2026-02-01,,";
const GOOD_USAGE: Used<'_> = ("good", MATCH, "107", "2026-02-10T00:00:00Z");

#[test]
fn a_total_that_no_bill_can_hold_parks_its_tenant_and_everybody_else_is_closed() {
    let second =
        |number: i32| format!("2026-02-10T{:02}:{:02}:{:02}Z", number / 3600, number / 60 % 60, number % 60);
    let instants: Vec<String> = (0..2_000).map(second).collect();
    let mut usage: Vec<Used<'_>> =
        instants.iter().map(|at| ("huge", MATCH, "999999999999999", at.as_str())).collect();
    usage.push(GOOD_USAGE);
    for engine in ENGINES {
        let workspace = company(Workspace::new(engine), "", &[GOOD, "huge,pro,,2026-02-01,,"], &usage);
        let month = run(&workspace, "2026-02", 3);
        assert_eq!(month.status(), "partial");
        assert_eq!(month.exceptions(), ["huge parked overflow pro  2000"]);
        assert_eq!(month.control(MATCH, "parked"), pair("2000", "1999999999999998000"));
        assert_eq!(month.lines("good", &LINE), ["base  1 999.00", "usage 1 100 0.00", "usage 2 7 49.00"]);
        assert!(month.lines("huge", &LINE).is_empty());
    }
}

#[test]
fn an_amount_that_no_bill_can_hold_parks_its_tenant_and_everybody_else_is_closed() {
    let dear = plan("dear").replace("\"0\"", "\"100000\"");
    let usage = [GOOD_USAGE, ("huge", MATCH, "999999999999999", "2026-02-10T00:00:00Z")];
    for engine in ENGINES {
        let workspace = company(Workspace::new(engine), &dear, &[GOOD, "huge,dear,,2026-02-01,,"], &usage);
        let month = run(&workspace, "2026-02", 3);
        assert_eq!(month.exceptions(), ["huge parked overflow dear  1"]);
        assert_eq!(month.control(MATCH, "parked"), pair("1", "999999999999999"));
        assert_eq!(month.lines("good", &LINE).len(), 3);
    }
}

#[test]
fn a_record_that_comes_twice_is_counted_once_in_every_control_total() {
    for engine in ENGINES {
        let workspace = company(Workspace::new(engine), "", &[GOOD], &[GOOD_USAGE]);
        workspace.write("again.csv", usage_rows(&[GOOD_USAGE, GOOD_USAGE]));
        let receipt = workspace.run(&["import", "usage", "again.csv", "--json"]).expect(0).json();
        assert_eq!((&receipt["accepted"], &receipt["duplicate"]), (&0.into(), &2.into()));
        let month = run(&workspace, "2026-02", 0);
        assert_eq!(month.control(MATCH, "accepted"), pair("1", "107"));
    }
}

#[test]
fn a_period_with_damaged_figures_does_not_keep_later_periods_from_closing() {
    for engine in ENGINES {
        let workspace = company(Workspace::new(engine), "", &TENANTS, &USAGE);
        run(&workspace, "2026-02", 3);
        workspace.unprotect("window_lines");
        workspace.sql(
            "UPDATE window_lines SET amount_minor = amount_minor + 1 WHERE tier = 2 RETURNING tenant_id",
        );
        workspace.run(&["run"]).expect(65);
        assert_eq!(workspace.report_folders("2026-03").len(), 1, "March was not closed");
    }
}

#[test]
fn a_bad_line_that_is_mended_further_down_in_the_same_file_waits_for_nobody() {
    for engine in ENGINES {
        let workspace = company(Workspace::new(engine), "", &[GOOD], &[]);
        let mended = usage_rows(&[GOOD_USAGE]);
        let bad = mended.lines().last().unwrap().replace(",107,", ",1O7,");
        let (header, record) = mended.split_once('\n').unwrap();
        workspace.write("both.csv", format!("{header}\n{bad}\n{record}"));
        workspace.run(&["import", "usage", "both.csv"]).expect(3);
        assert_eq!(run(&workspace, "2026-02", 0).exceptions(), [""; 0]);
    }
}
