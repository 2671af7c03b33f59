//! Drafts that differ and are not wrong yet: what a run has still to push, what Stripe brings up to date itself; and what
//! only looks like it.
//!
//! In: push mode, usage that comes after the last run, a stale draft. Out: in which group each is told, and with what code.

use serde_json::{Value, json};

use super::{found, guard, live, named, nobody};
use crate::billing::server::Act;
use crate::billing::world::{DRAFT, FINAL, OPEN, Row, World, outcome, table, tenants, usage};
use crate::support::Engine;

/// All usage of October, pushed in mid-October.
fn pushed(ids: &[&str]) -> World {
    let records = usage(ids.iter().map(|id| (*id, "130")));
    let world = World::remote(Engine::Sqlite, &live(), &tenants(ids.iter().copied()), &records, OPEN);
    world.run(OPEN).expect(0);
    world
}

#[test]
fn what_is_still_to_be_pushed_needs_a_run_before_the_draft_is_final_and_is_not_wrong() {
    let world = pushed(&["a", "b"]);
    world.import_usage(&usage([("a", "20")]));
    world.sandbox().move_to(DRAFT);
    let all = found(&world, DRAFT, 3);
    assert_eq!(named(&all, "needs_run"), ["a -140.00 not_pushed"], "{all}");
    nobody(&all, &["wrong", "uncompared", "settles"]);
    let text = guard(&world, DRAFT, &[]).expect(3).stdout;
    assert!(text.contains("a run is needed before 01:00 UTC, in 30 min"), "{text}");
    assert!(!text.contains("hold it:"), "{text}");
    // Nothing was pushed by looking, and the run mends it.
    assert_eq!(world.at_stripe("a"), "130");
    // Where pushing is switched off no run mends it.
    world.workspace.write("billrecon.off", "");
    assert_eq!(named(&found(&world, DRAFT, 3), "wrong"), ["a -140.00 not_pushed"]);
    std::fs::remove_file(world.workspace.path("billrecon.off")).unwrap();
    world.run(DRAFT).expect(0);
    nobody(&found(&world, DRAFT, 0), &["wrong", "needs_run", "uncompared", "settles"]);
    // Once it is final there is nothing left to guard.
    world.sandbox().move_to(FINAL);
    assert_eq!(found(&world, FINAL, 0)["drafts"], 0);
}

#[test]
fn what_somebody_else_sent_is_wrong_and_no_run_is_asked_for() {
    let world = pushed(&["a", "b"]);
    world.sandbox().send_event("cus_b", "5", "foreign");
    world.sandbox().move_to(DRAFT);
    let all = found(&world, DRAFT, 3);
    // What was sent once by others is nothing that billrecon has sent twice: a run would set the tenant aside.
    assert_eq!(named(&all, "wrong"), ["b 35.00 "], "{all}");
    assert!(all["wrong"][0]["why"].as_str().unwrap().contains("foreign_usage"), "{all}");
    nobody(&all, &["needs_run", "uncompared", "settles"]);
    // So it does, also if it comes when the invoice is final: the window waits for a person.
    let closed = outcome(&world.run(FINAL).expect(3), "2026-10");
    let parked = table(&closed, "exceptions").into_iter().find(|row| row["kind"] == "parked").unwrap();
    assert_eq!((&*parked["tenant_id"], &*parked["reason"]), ("b", "foreign_usage"));
    assert_eq!((&closed["status"], &closed["counts"]["closed"]), (&json!("partial"), &json!(1)));
}

#[test]
fn a_stale_draft_whose_meter_agrees_settles_by_itself() {
    let mut world = pushed(&["a"]);
    world.sandbox().move_to(DRAFT);
    let proxy = world.through_proxy();
    proxy.rule(|asked| if asked.path.starts_with("/v1/invoices?") { Act::Change(stale) } else { Act::Pass });
    let all = found(&world, DRAFT, 0);
    assert_eq!(named(&all, "settles"), ["a -210.00 draft_stale"], "{all}");
    nobody(&all, &["wrong", "needs_run", "uncompared"]);
}

/// Stripe makes no invoice of an unpaid subscription final: the window closes by the clock.
#[test]
fn the_draft_of_an_unpaid_subscription_is_not_said_to_come_up_to_date() {
    let tenants = tenants(["a"]).replace(",active,", ",unpaid,");
    let mut world = World::remote(Engine::Sqlite, &live(), &tenants, &usage([("a", "130")]), OPEN);
    world.run(OPEN).expect(0);
    let proxy = world.through_proxy();
    proxy.rule(|asked| if asked.path.starts_with("/v1/invoices?") { Act::Change(stale) } else { Act::Pass });
    for (instant, status, step) in [
        (DRAFT, "open", "nobody yet: Stripe brings the draft up to date"),
        ("2026-11-01T02:30:00Z", "closed", "finance: the draft stays as it is until a person makes it final"),
    ] {
        let outcome = outcome(&world.run(instant), "2026-10");
        assert_eq!(outcome["status"], status);
        let is_it = |row: &Row| row["source"] == "invoice" && !row["meter"].is_empty();
        let row = table(&outcome, "reconciliation").into_iter().find(is_it).unwrap();
        assert_eq!((&*row["reason"], &*row["explained_amount_minor"]), ("draft_stale", "-21000"));
        assert!(row["next_step"].starts_with(step), "{row:?}");
    }
}

/// It has no usage yet, and charges 50.00 for it.
#[test]
fn a_stale_draft_whose_money_is_not_that_of_its_units_is_wrong() {
    let mut world = pushed(&["a"]);
    world.sandbox().move_to(DRAFT);
    let proxy = world.through_proxy();
    proxy.rule(|asked| if asked.path.starts_with("/v1/invoices?") { Act::Change(dear) } else { Act::Pass });
    let all = found(&world, DRAFT, 3);
    assert_eq!(named(&all, "wrong"), ["a -160.00 draft_stale"], "{all}");
    nobody(&all, &["settles", "needs_run", "uncompared"]);
}

fn dear(list: &mut Value) {
    stale(list);
    let mut all = list["data"].as_array_mut().unwrap().iter_mut().flat_map(lines);
    let first = all.find(|line| line["pricing"]["unit_amount_decimal"] == Value::Null).unwrap();
    first["amount"] = json!(5_000);
}

/// Of 180 units Stripe counts 130; 30 more it has taken and does not show.
#[test]
fn what_was_sent_and_is_not_seen_excuses_only_its_own_units() {
    let mut world = pushed(&["a"]);
    let proxy = world.through_proxy();
    proxy.rule(|asked| if asked.is_push() { Act::Answer(200, taken(&asked.body)) } else { Act::Pass });
    world.import_usage(&usage([("a", "30")]));
    world.run("2026-10-31T23:30:00Z");
    proxy.rule(|_| Act::Pass);
    world.sandbox().move_to(DRAFT);
    assert_eq!(named(&found(&world, DRAFT, 3), "needs_run"), ["a -210.00 latency_pending"]);
    // The rest goes out with the next run, unless pushing is switched off.
    world.import_usage(&usage([("a", "20")]));
    assert_eq!(named(&found(&world, DRAFT, 3), "needs_run"), ["a -350.00 latency_pending"]);
    world.workspace.write("billrecon.off", "");
    let all = found(&world, DRAFT, 3);
    assert_eq!(named(&all, "wrong"), ["a -350.00 latency_pending"], "{all}");
    assert!(all["wrong"][0]["why"].as_str().unwrap().contains("switched off"), "{all}");
    nobody(&all, &["needs_run", "uncompared", "settles"]);
}

/// Stripe's word that it has taken the event of this request.
fn taken(form: &str) -> &'static str {
    let identifier = form.split('&').find_map(|field| field.strip_prefix("identifier=")).unwrap();
    // An answer lives as long as the test's process.
    json!({"object": "billing.meter_event", "identifier": identifier, "livemode": false}).to_string().leak()
}

/// As it was before any usage came.
fn stale(list: &mut Value) {
    for line in list["data"].as_array_mut().unwrap().iter_mut().flat_map(lines) {
        if line["pricing"]["unit_amount_decimal"] == Value::Null {
            (line["quantity"], line["quantity_decimal"], line["amount"]) = (json!(0), json!("0"), json!(0));
        }
    }
}

fn lines(invoice: &mut Value) -> impl Iterator<Item = &mut Value> {
    invoice["lines"]["data"].as_array_mut().unwrap().iter_mut()
}

#[test]
fn a_draft_that_a_person_holds_is_still_told_and_no_command_is_given() {
    let mut world = pushed(&["a"]);
    world.sandbox().send_event("cus_a", "5", "foreign");
    world.sandbox().move_to(DRAFT);
    let proxy = world.through_proxy();
    proxy.rule(|asked| if asked.path.starts_with("/v1/invoices?") { Act::Change(held) } else { Act::Pass });
    let all = found(&world, DRAFT, 3);
    let one = &all["wrong"][0];
    assert_eq!((&one["minutes_left"], &one["hold"]), (&Value::Null, &Value::Null), "{one}");
    let text = guard(&world, DRAFT, &[]).expect(3).stdout;
    assert!(text.contains("stays a draft until a person finalizes it"), "{text}");
}

fn held(list: &mut Value) {
    for invoice in list["data"].as_array_mut().unwrap() {
        invoice["automatically_finalizes_at"] = Value::Null;
        invoice["auto_advance"] = false.into();
    }
}

#[test]
fn a_draft_of_a_tenant_that_bills_no_window_of_it_or_is_set_aside_is_listed_apart() {
    let world = pushed(&["a", "b"]);
    world.sandbox().move_to(DRAFT);
    // a's row says that it ended in September; b's plan is none of the catalog's.
    let rows = tenants(["a", "b"]);
    let rows = rows.replace("sub_a,active,2026-10-01T00:00:00Z", "sub_a,active,2026-11-01T00:20:00Z");
    world.workspace.write("tenants.csv", rows.replace("Name of b,pro", "Name of b,nowhere"));
    world.workspace.run(&["import", "tenants", "tenants.csv"]).expect(0);
    world.workspace.write("billrecon.toml", "first_period = \"2026-10\"\n");
    let all = found(&world, DRAFT, 3);
    nobody(&all, &["wrong", "needs_run", "settles"]);
    let why: Vec<&str> =
        all["uncompared"].as_array().unwrap().iter().map(|one| one["why"].as_str().unwrap()).collect();
    assert!(why.iter().any(|why| why.contains("unknown_plan")), "{all}");
    assert!(why.contains(&"it bills no window of the tenant"), "{all}");
}
