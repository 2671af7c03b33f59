//! A subscription that lacks one of the prices that its plan sells.
//!
//! In: a plan with two meters, of which Stripe bills one. Out: that nothing is sent while the window is open, and that guard and
//! close name the same cause.

use super::{found, item, named, nobody};
use crate::billing::world::{DRAFT, FINAL, METER, OPEN, Row, SHADOW, World, outcome, table, tenants, usage};
use crate::support::Engine;

const SECOND: &str = "calls";

/// A second meter, of which each unit is charged 2 TRY.
fn two_meters() -> String {
    let price = "price = { billing_scheme = \"per_unit\", unit_amount_decimal = \"200\" }";
    format!(
        "[[meter]]\nkey = \"{SECOND}\"\naggregation = \"sum\"\nevent_name = \"{SECOND}\"\n{SHADOW}  [[plan.usage]]\n  \
         meter = \"{SECOND}\"\n  billing = \"live\"\n  {price}\n"
    )
}

fn world() -> World {
    let records = usage([("a", "130")]) + &format!("a,{SECOND},7,2026-10-05T00:00:00Z,second\n");
    World::remote(Engine::Sqlite, &two_meters(), &tenants(["a"]), &records, OPEN)
}

/// Takes the second meter's item off the subscription.
fn take_off(world: &World) {
    let sandbox = world.sandbox();
    let listed = sandbox.get("/v1/prices?limit=100");
    let dear =
        listed["data"].as_array().unwrap().iter().find(|price| {
            price["recurring"]["usage_type"] == "metered" && price["unit_amount_decimal"] == "200"
        });
    let of_second = item(sandbox, "sub_a", dear.unwrap()["id"].as_str().unwrap());
    let form = format!("items[0][id]={of_second}&items[0][deleted]=true&proration_behavior=none");
    sandbox.post("/v1/subscriptions/sub_a", &form);
}

fn rows(outcome: &serde_json::Value, meter: &str) -> Vec<Row> {
    let rows = table(outcome, "reconciliation").into_iter();
    rows.filter(|row| row["tenant_id"] == "a" && row["meter"] == meter && row["source"] == "invoice")
        .collect()
}

#[test]
fn while_the_window_is_open_nothing_is_sent_to_a_subscription_that_lacks_a_price() {
    let world = world();
    world.sandbox().move_to(OPEN);
    take_off(&world);
    let open = outcome(&world.run(OPEN).expect(3), "2026-10");
    let parked = table(&open, "exceptions").into_iter().find(|row| row["kind"] == "parked").unwrap();
    assert_eq!((&*parked["tenant_id"], &*parked["reason"]), ("a", "mapping"));
    assert!(world.identifiers().is_empty());
}

#[test]
fn a_bill_without_a_line_of_the_meter_is_a_fault_of_mapping_for_the_guard_and_for_the_close() {
    let world = world();
    world.run(OPEN).expect(0);
    take_off(&world);
    world.sandbox().move_to(DRAFT);
    let all = found(&world, DRAFT, 3);
    assert_eq!(named(&all, "wrong"), ["a -14.00 mapping"], "{all}");
    nobody(&all, &["needs_run", "uncompared", "settles"]);
    world.run(DRAFT);
    let closed = outcome(&world.run(FINAL), "2026-10");
    assert_eq!(closed["status"], "closed", "{closed}");
    let [row] = &rows(&closed, SECOND)[..] else { panic!("{closed}") };
    let shown =
        ["class", "reason", "explained_quantity", "explained_amount_minor", "unexplained_amount_minor"];
    assert_eq!(shown.map(|name| &*row[name]), ["missing_in_stripe", "mapping", "-7", "-1400", "0"]);
    assert_eq!(rows(&closed, METER)[0]["class"], "matched");
}
