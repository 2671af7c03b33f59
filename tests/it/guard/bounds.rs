//! Drafts that lack usage which the next run would not send, because it is above a safety bound.
//!
//! In: live prices, bounds, usage that comes after the last run. Out: that no run is promised, and that the run does as was said.

use super::{found, live, named, nobody};
use crate::billing::world::{DRAFT, OPEN, World, outcome, table, tenants, usage};
use crate::support::Engine;

/// 30 units above the quota are 210.00 for each, and are pushed in mid-October.
fn bounded(bounds: &str, ids: &[&str]) -> World {
    let records = usage(ids.iter().map(|id| (*id, "130")));
    let world = World::remote(Engine::Sqlite, &live(), &tenants(ids.iter().copied()), &records, OPEN);
    world.workspace.write("billrecon.toml", bounds);
    world.run(OPEN).expect(0);
    world
}

#[track_caller]
fn is_held_back(world: &World, reason: &str) {
    world.import_usage(&usage([("a", "20")]));
    world.sandbox().move_to(DRAFT);
    let all = found(world, DRAFT, 3);
    assert_eq!(named(&all, "uncompared"), ["a -140.00 not_pushed"], "{all}");
    assert!(all["uncompared"][0]["why"].as_str().unwrap().contains(reason), "{all}");
    nobody(&all, &["wrong", "needs_run", "settles"]);
    let run = outcome(&world.run(DRAFT).expect(3), "2026-10");
    let parked = table(&run, "exceptions").into_iter().filter(|row| row["kind"] == "parked");
    let parked: Vec<String> = parked.map(|row| row["tenant_id"].clone() + " " + &row["reason"]).collect();
    assert!(parked.contains(&format!("a {reason}")), "{parked:?}");
    assert_eq!(world.at_stripe("a"), "130");
}

#[test]
fn no_run_is_promised_to_a_tenant_that_is_above_its_cap() {
    let world = bounded("[bounds.try]\ntenant_amount_minor = 30000\n", &["a", "b"]);
    is_held_back(&world, "overage_bound");
    world.workspace.run(&["unpark", "a", "--note", "it is so"]).expect(0);
    let all = found(&world, DRAFT, 3);
    assert_eq!(named(&all, "needs_run"), ["a -140.00 not_pushed"], "{all}");
    nobody(&all, &["wrong", "uncompared", "settles"]);
}

/// The drafts of the others agree, and their money counts.
#[test]
fn no_run_is_promised_where_the_period_is_above_its_cap() {
    let world = bounded("[bounds.try]\nperiod_amount_minor = 70000\n", &["a", "b", "c"]);
    is_held_back(&world, "period_bound");
}
