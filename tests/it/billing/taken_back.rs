//! Units that are taken back after Stripe was shown them, and units that it is never shown.
//!
//! In: usage with corrections before and after the invoice is final, counts, hard caps. Out: what Stripe's meter shows, what
//! the invoice bills, and what is left to a person. Each run does what a dry run printed.

use serde_json::Value;

use super::world::{DRAFT, FINAL, METER, OPEN, SHADOW, World, compared, outcome, table, tenants};
use crate::support::{ENGINES, Engine};

const HEADER: &str = "tenant_id,meter,quantity,occurred_at,source_event_id,kind,corrects\n";

/// `quantity id` of each record, with the id that it corrects.
fn records(all: &[&str]) -> String {
    let row = |record: &&str| {
        let parts: Vec<&str> = record.split(' ').collect();
        let correction = parts.get(2).map_or(",".to_owned(), |id| format!("correction,{id}"));
        format!("a,{METER},{},2026-10-05T00:00:00Z,{},{correction}\n", parts[0], parts[1])
    };
    HEADER.to_owned() + &all.iter().map(row).collect::<String>()
}

fn live() -> String {
    SHADOW.replace("free_quota = 100", "free_quota = 100\n  billing = \"live\"")
}

fn world(engine: Engine, catalog: &str, all: &[&str]) -> World {
    World::new(engine, catalog, &tenants(["a"]), &records(all))
}

#[track_caller]
fn run_as_planned(world: &World, as_of: &str) -> Value {
    let planned = outcome(&world.run_with(as_of, &["--dry-run"]).expect(0), "2026-10");
    let done = outcome(&world.run(as_of).expect(0), "2026-10");
    assert_eq!(done["pushes"], planned["pushes"], "{as_of}");
    done
}

fn exceptions(outcome: &Value) -> Vec<String> {
    let cells = ["kind", "quantity", "records", "amount"];
    let rows = table(outcome, "exceptions");
    rows.iter().map(|row| cells.map(|name| &*row[name]).join(" ").trim_end().to_owned()).collect()
}

#[test]
fn what_corrections_take_back_is_taken_back_at_stripe_while_the_invoice_is_a_draft() {
    for engine in ENGINES {
        let world = world(engine, &live(), &["60 e1", "80.5 e2"]);
        run_as_planned(&world, OPEN);
        assert_eq!(world.at_stripe("a"), "140.5");
        world.import_usage(&records(&["-30.5 c1 e2"]));
        let open = run_as_planned(&world, "2026-10-21T10:00:00Z");
        assert_eq!(compared(&open, "a"), ["meter_total matched 110 110", "preview matched 110 110"]);
        world.import_usage(&records(&["-20 c2 e1", "5 e3"]));
        run_as_planned(&world, DRAFT);
        assert_eq!(world.at_stripe("a"), "95");
        world.import_usage(&records(&["25 e4"]));
        run_as_planned(&world, "2026-11-01T00:40:00Z");
        let closed = run_as_planned(&world, FINAL);
        assert_eq!(closed["status"], "closed", "{closed}");
        assert_eq!(compared(&closed, "a"), ["invoice matched 120 120", "meter_total matched 120 120"]);
        assert_eq!(world.intents(), [("confirmed".to_owned(), 4)]);
        assert_eq!((world.identifiers().len(), exceptions(&closed)), (4, Vec::new()));
    }
}

#[test]
fn a_correction_that_comes_when_the_invoice_is_final_is_left_to_a_person_with_its_money() {
    for engine in ENGINES {
        let world = world(engine, &live(), &["60 e1", "80 e2"]);
        run_as_planned(&world, OPEN);
        world.import_usage(&records(&["-30 c1 e2"]));
        let closed = outcome(&world.run(FINAL).expect(3), "2026-10");
        assert_eq!(exceptions(&closed), ["unbillable -30 1 -210.00"]);
        let row = |source: &str| format!("{source} quantity_mismatch 110 140 correction_after_close");
        assert_eq!(compared(&closed, "a"), [row("invoice"), row("meter_total")]);
        assert_eq!(world.intents(), [("confirmed".to_owned(), 1), ("unbillable".to_owned(), 1)]);
        // Nothing of it is sent later, and what comes later still is an adjustment.
        world.import_usage(&records(&["-5 c2 e1"]));
        let late = outcome(&world.run("2026-11-02T00:00:00Z").expect(3), "2026-10");
        assert_eq!(table(&late, "adjustments")[0]["late_amount"], "-35.00");
        world.run("2026-11-02T01:00:00Z").expect(0);
        assert_eq!((world.at_stripe("a"), world.identifiers().len()), ("140".to_owned(), 1));
    }
}

#[test]
fn records_are_counted_and_a_correction_takes_one_back() {
    for engine in ENGINES {
        let counted = live().replace("\"sum\"", "\"count\"").replace("free_quota = 100", "free_quota = 1");
        let counted = counted.replace("up_to = 100,", "up_to = 1,");
        let world = world(engine, &counted, &["60 e1", "0.5 e2", "7 e3"]);
        run_as_planned(&world, OPEN);
        assert_eq!(world.at_stripe("a"), "3");
        world.import_usage(&records(&["-60 c1 e1"]));
        run_as_planned(&world, DRAFT);
        let closed = run_as_planned(&world, FINAL);
        assert_eq!(compared(&closed, "a"), ["invoice matched 2 2", "meter_total matched 2 2"]);
        let amounts: Vec<String> =
            table(&closed, "lines").iter().map(|line| line["amount"].clone()).collect();
        assert_eq!(amounts, ["999.00", "0.00", "7.00"]);
    }
}

#[test]
fn a_total_below_nothing_is_billed_as_nothing_on_both_sides() {
    for engine in ENGINES {
        let world = world(engine, &live(), &["110 e1"]);
        run_as_planned(&world, OPEN);
        world.import_usage(&records(&["-120.25 c1 e1"]));
        run_as_planned(&world, DRAFT);
        assert_eq!(world.at_stripe("a"), "0");
        let closed = run_as_planned(&world, FINAL);
        assert_eq!(compared(&closed, "a"), ["invoice matched 0 0", "meter_total matched 0 0"]);
    }
}

#[test]
fn where_the_application_sends_the_correction_a_total_below_nothing_matches_as_well() {
    let all = records(&["5 e1", "-8 c1 e1"]);
    let world = World::remote(Engine::Sqlite, &live(), &tenants(["a"]), &all, OPEN);
    world.workspace.write("billrecon.toml", "[push]\nmode = \"observe\"\n");
    world.sandbox().move_to(OPEN);
    world.sandbox().send_event("cus_a", "5", "app-1");
    world.sandbox().send_event("cus_a", "-8", "app-2");
    assert_eq!(world.at_stripe("a"), "-3");
    let open = outcome(&world.run(OPEN).expect(0), "2026-10");
    assert_eq!(compared(&open, "a"), ["meter_total matched 0 0", "preview matched 0 0"]);
}

#[test]
fn a_total_below_nothing_that_is_not_ours_parks_the_tenant() {
    let world = World::remote(Engine::Sqlite, &live(), &tenants(["a"]), &records(&["5 e1"]), OPEN);
    world.sandbox().move_to(OPEN);
    world.sandbox().send_event("cus_a", "-8", "app-1");
    let open = outcome(&world.run(OPEN).expect(3), "2026-10");
    assert_eq!(table(&open, "exceptions")[0]["reason"], "foreign_usage");
    assert_eq!(world.at_stripe("a"), "-8");
}

#[test]
fn usage_that_vanishes_without_a_correction_is_not_taken_back() {
    let world = world(Engine::Sqlite, &live(), &["60 e1", "80 e2"]);
    run_as_planned(&world, OPEN);
    // As after a restored backup.
    world.workspace.unprotect("usage_ledger");
    world.workspace.sql("DELETE FROM usage_ledger WHERE source_event_id = 'e2'");
    world.import_usage(&records(&["-10 c1 e1"]));
    let parked = outcome(&world.run("2026-10-21T10:00:00Z").expect(3), "2026-10");
    assert_eq!(table(&parked, "exceptions")[0]["reason"], "stripe_ahead_of_ledger");
    assert_eq!((world.at_stripe("a"), world.identifiers().len()), ("140".to_owned(), 1));
}

#[test]
fn stripe_sees_no_more_of_a_capped_plan_than_it_sells() {
    for engine in ENGINES {
        let capped = live().replace("amount = 99900", "amount = 99900\nhard_cap = true");
        let world = world(engine, &capped, &["60 e1"]);
        run_as_planned(&world, OPEN);
        world.import_usage(&records(&["70.5 e2"]));
        run_as_planned(&world, DRAFT);
        assert_eq!(world.at_stripe("a"), "100");
        let closed = run_as_planned(&world, FINAL);
        assert_eq!(compared(&closed, "a"), ["invoice matched 100 100", "meter_total matched 100 100"]);
        assert_eq!(exceptions(&closed), ["capped 30.5 2"]);
    }
}
