//! Gauges over a month: Stripe is shown what they stand at, whether that rises or falls.
//!
//! In: readings of two clusters, runs while the month is open, in the draft hour and after it. Out: what Stripe's meter and
//! invoice show, and what each run sends, planned by a dry run first.

use serde_json::Value;

use super::world::{DRAFT, FINAL, OPEN, World, compared, decided, outcome, table, tenants};
use crate::support::{ENGINES, Engine};

const HEADER: &str = "tenant_id,meter,quantity,occurred_at,source_event_id,source\n";

/// Five devices are in the base fee, and each more costs 5.00.
fn catalog(aggregation: &str, more: &str) -> String {
    format!(
        r#"
[[meter]]
key = "devices"
aggregation = "{aggregation}"
per = "source"

[[plan]]
key = "pro"
currency = "try"
amount = 2900
  [[plan.usage]]
  meter = "devices"
  billing = "live"
  free_quota = 5
  price = {{ unit_amount = 500 }}
{more}
"#
    )
}

/// `source quantity instant` of each reading.
fn readings(all: &[&str]) -> String {
    let row = |reading: &&str| {
        let parts: Vec<&str> = reading.split(' ').collect();
        let (source, quantity, at) = (parts[0], parts[1], parts[2]);
        format!("a,devices,{quantity},{at},{source}-{at},{source}\n")
    };
    HEADER.to_owned() + &all.iter().map(row).collect::<String>()
}

/// A run that sends exactly what a dry run printed before, which left nothing behind.
#[track_caller]
fn run_as_planned(world: &World, as_of: &str) -> Value {
    let before = world.identifiers();
    let planned = outcome(&world.run_with(as_of, &["--dry-run"]).expect(0), "2026-10");
    assert_eq!(world.identifiers(), before);
    let done = outcome(&world.run(as_of).expect(0), "2026-10");
    assert_eq!(done["pushes"], planned["pushes"], "{as_of}");
    done
}

/// A month of one tenant: before each run these readings come, and then Stripe shows this.
type Month<'a> = [(&'a str, &'a [&'a str], &'a str); 5];

#[track_caller]
fn play(engine: Engine, catalog: &str, month: Month<'_>, events: usize) -> (World, Value) {
    let world = World::new(engine, catalog, &tenants(["a"]), HEADER);
    let mut last = Value::Null;
    for (as_of, come, shown) in month {
        world.import_usage(&readings(come));
        last = run_as_planned(&world, as_of);
        let total = compared(&last, "a").into_iter().find(|row| row.starts_with("meter_total"));
        assert_eq!(total.unwrap(), format!("meter_total matched {shown} {shown}"), "{as_of}");
        assert_eq!(world.at_stripe("a"), shown, "{as_of}");
    }
    assert_eq!(world.identifiers().len(), events);
    // The next event is always the later one.
    let order = "SELECT COUNT(*) FROM intents one JOIN intents two ON one.sequence < two.sequence
        AND one.event_at >= two.event_at";
    assert_eq!(world.workspace.number(order), 0);
    assert_eq!(world.intents(), [("confirmed".to_owned(), i64::try_from(events).unwrap())]);
    assert_eq!((&last["status"], &last["counts"]["pending_after"]), (&"closed".into(), &0.into()), "{last}");
    // A reading that changes nothing has arrived as well.
    assert_eq!(decided(&last, "push_error_rate"), ("0".to_owned(), "true".to_owned()));
    (world, last)
}

#[track_caller]
fn assert_billed(closed: &Value, quantity: &str, minor: &str) {
    let rows = table(closed, "reconciliation");
    let row = rows.iter().find(|row| row["source"] == "invoice" && !row["meter"].is_empty()).unwrap();
    let shown = ["class", "stripe_quantity", "stripe_amount_minor", "ledger_amount_minor"];
    assert_eq!(shown.map(|name| &*row[name]), ["matched", quantity, minor, minor]);
}

#[test]
fn the_newest_readings_of_two_clusters_are_shown_as_they_rise_and_fall_up_to_the_last_draft_hour() {
    for engine in ENGINES {
        let month: Month<'_> = [
            (OPEN, &["east 5 2026-10-05T00:00:00Z", "west 3.5 2026-10-06T00:00:00Z"], "8.5"),
            ("2026-10-21T10:00:00Z", &["east 2 2026-10-20T12:00:00Z"], "5.5"),
            // Back to what it was, and twice while the invoice is a draft.
            ("2026-11-01T00:20:00Z", &["east 5 2026-10-31T23:00:00Z"], "8.5"),
            (DRAFT, &["west 6 2026-10-31T23:30:00Z"], "11"),
            (FINAL, &[], "11"),
        ];
        let (_world, closed) = play(engine, &catalog("last", ""), month, 4);
        assert_billed(&closed, "11", "3000");
    }
}

#[test]
fn the_highest_readings_of_two_clusters_never_fall() {
    for engine in ENGINES {
        let month: Month<'_> = [
            (OPEN, &["east 5 2026-10-05T00:00:00Z", "west 3 2026-10-06T00:00:00Z"], "8"),
            ("2026-10-21T10:00:00Z", &["east 2 2026-10-20T12:00:00Z"], "8"),
            ("2026-11-01T00:20:00Z", &["west 4 2026-10-31T23:00:00Z"], "9"),
            (DRAFT, &["west 7 2026-10-01T00:00:00Z"], "12"),
            (FINAL, &["west 1 2026-10-31T23:50:00Z"], "12"),
        ];
        let (_world, closed) = play(engine, &catalog("max", ""), month, 3);
        assert_billed(&closed, "12", "3500");
    }
}

#[test]
fn where_only_overage_is_pushed_stripe_sees_what_the_gauge_has_above_the_quota() {
    for engine in ENGINES {
        let month: Month<'_> = [
            (OPEN, &["east 4 2026-10-05T00:00:00Z"], "0"),
            ("2026-10-21T10:00:00Z", &["east 8 2026-10-20T12:00:00Z"], "3"),
            ("2026-11-01T00:20:00Z", &["east 3 2026-10-31T23:00:00Z"], "0"),
            (DRAFT, &["east 7 2026-10-31T23:30:00Z"], "2"),
            (FINAL, &[], "2"),
        ];
        let (_world, closed) = play(engine, &catalog("last", "  push = \"overage\"\n"), month, 3);
        assert_billed(&closed, "2", "1000");
    }
}

#[test]
fn a_reading_that_comes_when_the_invoice_is_final_is_unbillable_for_the_difference() {
    for (quantity, difference, worth) in [("11", "3", "15.00"), ("6", "-2", "-10.00")] {
        let known = readings(&["east 8 2026-10-05T00:00:00Z"]);
        let world = World::new(Engine::Sqlite, &catalog("last", ""), &tenants(["a"]), &known);
        world.run(OPEN).expect(0);
        world.import_usage(&readings(&[&format!("east {quantity} 2026-10-31T23:00:00Z")]));
        let closed = outcome(&world.run(FINAL).expect(3), "2026-10");
        let exceptions = table(&closed, "exceptions");
        let shown: Vec<_> =
            exceptions.iter().map(|row| ["kind", "quantity", "amount"].map(|name| &*row[name])).collect();
        assert_eq!(shown, [["unbillable", difference, worth]]);
        let row = |source: &str| format!("{source} quantity_mismatch {quantity} 8 late_usage");
        assert_eq!(compared(&closed, "a"), [row("invoice"), row("meter_total")]);
    }
}

/// Devices cost more on it.
const PLUS: &str = r#"
[[plan]]
key = "plus"
currency = "try"
amount = 9900
  [[plan.usage]]
  meter = "devices"
  billing = "live"
  free_quota = 5
  price = { unit_amount = 700 }
"#;

#[test]
fn after_a_plan_change_the_level_of_the_new_plan_counts_even_where_it_is_the_old_one() {
    let head =
        "tenant_id,name,plan,currency,stripe_customer_id,stripe_subscription_id,status,started_at,ended_at\n";
    let row =
        |plan: &str, start: &str, end: &str| format!("a,A,{plan},try,cus_a,sub_a,active,{start},{end}\n");
    let half = "2026-10-20T00:00:00Z";
    let rows = [row("pro", "2026-10-01T00:00:00Z", half), row("plus", half, "")].concat();
    for engine in ENGINES {
        let known = readings(&["east 9 2026-10-05T00:00:00Z"]);
        let world = World::new(engine, &catalog("max", PLUS), &(head.to_owned() + &rows), &known);
        run_as_planned(&world, "2026-10-10T00:00:00Z");
        assert_eq!(world.at_stripe("a"), "9");
        world.import_usage(&readings(&["east 9 2026-10-21T00:00:00Z"]));
        // Both plans' money is owed, and Stripe bills an item that is there at the end.
        let shown = |last: &str, level: &str| {
            let total = format!("meter_total matched {level} {level}");
            let bill = format!("{last} amount_mismatch {level} {level} mid_cycle_change");
            if last == "preview" { [total, bill] } else { [bill, total] }
        };
        let open = run_as_planned(&world, "2026-10-25T00:00:00Z");
        assert_eq!(compared(&open, "a"), shown("preview", "9"));
        world.import_usage(&readings(&["east 6 2026-10-19T00:00:00Z", "east 11 2026-10-30T00:00:00Z"]));
        run_as_planned(&world, DRAFT);
        let closed = run_as_planned(&world, FINAL);
        assert_eq!(compared(&closed, "a"), shown("invoice", "11"));
        assert_eq!(world.intents(), [("confirmed".to_owned(), 3)]);
        assert_eq!(decided(&closed, "push_error_rate"), ("0".to_owned(), "true".to_owned()));
    }
}

#[test]
fn a_gauge_whose_readings_are_gone_from_the_ledger_is_parked() {
    let known = readings(&["east 8 2026-10-05T00:00:00Z"]);
    let world = World::new(Engine::Sqlite, &catalog("max", ""), &tenants(["a"]), &known);
    world.run(OPEN).expect(0);
    // As after a restored backup: the ledger holds less than was sent.
    world.workspace.unprotect("usage_ledger");
    world.workspace.sql("DELETE FROM usage_ledger");
    world.import_usage(&readings(&["east 7 2026-10-05T00:00:00Z"]));
    let parked = outcome(&world.run("2026-10-21T10:00:00Z").expect(3), "2026-10");
    let exceptions = table(&parked, "exceptions");
    assert_eq!(exceptions[0]["reason"], "stripe_ahead_of_ledger");
    assert_eq!(world.at_stripe("a"), "8");
}
