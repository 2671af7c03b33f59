//! `unpark` of what safety checks have set aside: what Stripe shows stands, and nothing is ever sent again.

use serde_json::Value;

use super::{audited, exceptions, say};
use crate::billing::server::Act;
use crate::billing::world::{DRAFT, FINAL, OPEN, SHADOW, World, compared, outcome, table, tenants, usage};
use crate::support::{ENGINES, Engine};

const TWO_DAYS_LATER: &str = "2026-10-22T10:00:00Z";
const AFTER: &str = "2026-11-01T02:30:00Z";
/// Each unit above 100 is charged 7 lira.
fn live() -> String {
    SHADOW.replace("free_quota = 100", "billing = \"live\"\n  free_quota = 100")
}

fn parked(ended: &crate::support::Ended) -> Vec<String> {
    exceptions(&outcome(ended, "2026-10"))
}

fn unpark(world: &World, reason: &str) {
    let ended = say(world, &["unpark", "a", "--period", "2026-10", "--reason", reason, "--json"]).expect(0);
    assert_eq!(ended.json()["released"][0]["reason"], reason);
    // Given again before the next run it changes nothing.
    let again = say(world, &["unpark", "a", "--json"]).expect(0).json();
    assert_eq!(
        (&again["released"], &again["released_before"][0]["reason"]),
        (&Value::Array(Vec::new()), &reason.into())
    );
    assert_eq!(audited(world, "tenant_released").len(), 1);
}

/// Through the draft hour to the close: quantity and money that are given up.
fn closed(world: &World) -> (Value, Vec<(String, String)>) {
    let draft = outcome(&world.run(DRAFT).expect(0), "2026-10");
    assert_eq!(draft["counts"]["pending_after"], 0, "{draft}");
    let closed = outcome(&world.run(FINAL), "2026-10");
    assert_eq!(closed["status"], "closed", "{closed}");
    let rows = table(&closed, "exceptions");
    let unbillable = rows.iter().filter(|row| row["kind"] == "unbillable");
    let unbillable = unbillable.map(|row| (row["quantity"].clone(), row["amount"].clone())).collect();
    world.run(AFTER).expect(0);
    (closed, unbillable)
}

/// Nothing is ever sent for what a person has let stand.
fn asks_nobody_to_send(outcome: &Value) {
    let rows = table(outcome, "reconciliation");
    let lacking: Vec<&str> = rows
        .iter()
        .filter(|row| row["tenant_id"] == "a" && row["reason"] == "not_pushed")
        .map(|row| &*row["next_step"])
        .collect();
    assert!(!lacking.is_empty(), "{rows:?}");
    assert!(lacking.iter().all(|step| step.starts_with("finance: a person let stand")), "{lacking:?}");
}

fn pair(quantity: &str, amount: &str) -> (String, String) {
    (quantity.to_owned(), amount.to_owned())
}

#[test]
fn foreign_usage_that_stands_is_billed_and_only_what_stripe_lacks_is_given_up() {
    for engine in ENGINES {
        let records = usage([("a", "130"), ("b", "60")]);
        let world = World::remote(engine, &live(), &tenants(["a", "b"]), &records, OPEN);
        world.sandbox().move_to(OPEN);
        world.sandbox().send_event("cus_a", "104", "app-1");
        assert_eq!(parked(&world.run(OPEN).expect(3)), ["a parked foreign_usage"]);
        unpark(&world, "foreign_usage");
        // It is no longer parked, and no longer due a push.
        let open = outcome(&world.run(TWO_DAYS_LATER).expect(0), "2026-10");
        assert_eq!((&open["counts"]["parked"], &open["counts"]["pending_after"]), (&0.into(), &0.into()));
        assert_eq!(compared(&open, "a")[0], "meter_total quantity_mismatch 130 104 not_pushed");
        asks_nobody_to_send(&open);
        world.import_usage(&usage([("a", "6")]));
        let (closed, unbillable) = closed(&world);
        asks_nobody_to_send(&closed);
        // 36 units are billed by the ledger, 4 of them stand at Stripe.
        assert_eq!(unbillable, [pair("32", "224.00")]);
        let rows = table(&closed, "reconciliation");
        let invoice = rows
            .iter()
            .find(|row| row["tenant_id"] == "a" && row["source"] == "invoice" && !row["meter"].is_empty());
        let invoice = invoice.unwrap();
        assert_eq!(
            (&*invoice["difference_quantity"], &*invoice["difference_amount_minor"]),
            ("-32", "-22400")
        );
        assert_eq!((world.at_stripe("a"), world.at_stripe("b")), ("104".to_owned(), "60".to_owned()));
        assert_eq!(world.identifiers().iter().filter(|one| one.starts_with("app-")).count(), 1);
        assert_eq!(world.identifiers().len(), 2);
    }
}

#[test]
fn a_release_is_for_its_window_and_the_next_one_is_looked_at_anew() {
    let world = World::remote(Engine::Sqlite, SHADOW, &tenants(["a"]), &usage([("a", "130")]), OPEN);
    world.sandbox().move_to(OPEN);
    world.sandbox().send_event("cus_a", "4", "app-1");
    world.run(OPEN).expect(3);
    unpark(&world, "foreign_usage");
    closed(&world);
    let november = crate::billing::server::seconds("2026-11-05T00:00:00Z");
    world.sandbox().move_to("2026-11-06T00:00:00Z");
    let form = format!(
        "event_name=b2b_match_request&identifier=app-2&timestamp={november}&payload[value]=3&payload[stripe_customer_id]=cus_a"
    );
    world.sandbox().post("/v1/billing/meter_events", &form);
    let ended = world.run("2026-11-06T00:00:00Z").expect(3);
    assert_eq!(exceptions(&outcome(&ended, "2026-11")), ["a parked foreign_usage"]);
}

/// Stripe's word that it has taken the event of this request.
fn taken(form: &str) -> &'static str {
    let identifier = form.split('&').find_map(|field| field.strip_prefix("identifier=")).unwrap();
    let event =
        serde_json::json!({"object": "billing.meter_event", "identifier": identifier, "livemode": false});
    // An answer lives as long as the test's process.
    event.to_string().leak()
}

/// Stripe says yes to pushes and counts them nowhere, or hears nothing of them.
fn lost(engine: Engine, is_answered: bool) -> World {
    let mut world = World::remote(engine, &live(), &tenants(["a"]), &usage([("a", "160")]), OPEN);
    let proxy = world.through_proxy();
    proxy.rule(move |asked| match (asked.is_push(), is_answered) {
        (true, true) => Act::Answer(200, taken(&asked.body)),
        (true, false) => Act::Answer(500, "{}"),
        (false, _) => Act::Pass,
    });
    world.run(OPEN);
    proxy.rule(|_| Act::Pass);
    world
}

#[test]
fn what_stripe_took_and_does_not_show_is_not_sent_again_after_a_release() {
    for engine in ENGINES {
        let world = lost(engine, true);
        assert_eq!(parked(&world.run(TWO_DAYS_LATER).expect(3)), ["a parked rejected_async"]);
        unpark(&world, "rejected_async");
        let open = outcome(&world.run("2026-10-22T11:00:00Z").expect(0), "2026-10");
        assert_eq!(open["counts"]["pending_after"], 0, "{open}");
        assert_eq!(world.intents(), [("parked".to_owned(), 1)]);
        let (closed, unbillable) = closed(&world);
        assert_eq!(unbillable, [pair("160", "420.00")]);
        assert_eq!(compared(&closed, "a")[1], "meter_total quantity_mismatch 160 0 rejected_async");
        assert_eq!((world.at_stripe("a"), world.identifiers().len()), ("0".to_owned(), 0));
    }
}

#[test]
fn what_shows_late_after_a_release_is_confirmed_and_not_given_up() {
    let world = lost(Engine::Sqlite, true);
    world.run(TWO_DAYS_LATER).expect(3);
    unpark(&world, "rejected_async");
    world.run("2026-10-22T11:00:00Z").expect(0);
    // Very late, the event counts after all.
    let sql = "SELECT identifier FROM intents";
    let identifier = world.workspace.sql(sql)[0][0].clone();
    world.sandbox().send_event("cus_a", "160", &identifier);
    let (closed, unbillable) = closed(&world);
    assert_eq!((unbillable, world.intents()), (Vec::new(), vec![("confirmed".to_owned(), 1)]));
    assert_eq!(compared(&closed, "a"), ["invoice matched 160 160", "meter_total matched 160 160"]);
}

#[test]
fn a_doubt_that_no_total_settles_ends_with_what_stripe_shows() {
    for engine in ENGINES {
        let world = lost(engine, false);
        world.sandbox().move_to(TWO_DAYS_LATER);
        world.sandbox().send_event("cus_a", "130", "app-1");
        assert_eq!(parked(&world.run(TWO_DAYS_LATER).expect(3)), ["a parked unknown_push"]);
        unpark(&world, "unknown_push");
        let (closed, unbillable) = closed(&world);
        assert_eq!(unbillable, [pair("30", "210.00")]);
        assert_eq!(compared(&closed, "a")[1], "meter_total quantity_mismatch 160 130 not_pushed");
        // The push in doubt, and the rest that was given up.
        assert_eq!(evidence(&closed), identifiers(&world, "state IN ('parked', 'unbillable')"));
        assert_eq!((world.at_stripe("a"), world.identifiers()), ("130".to_owned(), vec!["app-1".to_owned()]));
    }
}

/// The ids that prove the reason of the meter's total.
fn evidence(outcome: &Value) -> Vec<String> {
    let rows = table(outcome, "reconciliation");
    let total = rows.iter().find(|row| row["tenant_id"] == "a" && row["source"] == "meter_total");
    total.unwrap()["evidence"].split(' ').skip(1).map(str::to_owned).collect()
}

/// Of the intents that a condition picks, the first ones first.
fn identifiers(world: &World, condition: &str) -> Vec<String> {
    let sql = format!("SELECT identifier FROM intents WHERE {condition} ORDER BY sequence");
    world.workspace.sql(&sql).concat()
}

#[test]
fn what_was_not_pushed_names_the_intents_that_lack_and_none_that_another_has_replaced() {
    for engine in ENGINES {
        let mut world = World::remote(engine, &live(), &tenants(["a"]), &usage([("a", "60")]), OPEN);
        world.run(OPEN).expect(0);
        world.import_usage(&usage([("a", "100")]));
        let proxy = world.through_proxy();
        let refused = r#"{"error": {"type": "invalid_request_error", "code": "no", "message": "no"}}"#;
        proxy.rule(move |asked| if asked.is_push() { Act::Answer(400, refused) } else { Act::Pass });
        for hour in ["11", "12"] {
            let open = outcome(&world.run(&format!("2026-10-20T{hour}:00:00Z")).expect(3), "2026-10");
            assert_eq!(compared(&open, "a")[0], "meter_total quantity_mismatch 160 60 not_pushed");
            let newest = identifiers(&world, "state = 'rejected'").pop().unwrap();
            assert_eq!(evidence(&open), [newest]);
        }
        assert_eq!(identifiers(&world, "state = 'rejected'").len(), 2);
    }
}

#[test]
fn what_was_planned_and_never_asked_for_is_given_up() {
    let world = World::remote(Engine::Sqlite, &live(), &tenants(["a"]), &usage([("a", "160")]), OPEN);
    let off = world.workspace.write("billrecon.off", "");
    world.run(OPEN).expect(3);
    assert_eq!(world.intents(), [("planned".to_owned(), 1)]);
    world.sandbox().send_event("cus_a", "1", "app-1");
    std::fs::remove_file(off).unwrap();
    assert_eq!(parked(&world.run("2026-10-20T11:00:00Z").expect(3)), ["a parked foreign_usage"]);
    unpark(&world, "foreign_usage");
    world.run("2026-10-20T12:00:00Z").expect(0);
    assert_eq!((world.intents(), world.at_stripe("a")), (vec![("rejected".to_owned(), 1)], "1".to_owned()));
    assert_eq!(closed(&world).1, [pair("159", "420.00")]);
}

#[test]
fn usage_that_the_ledger_lost_stands_as_it_was_sent() {
    let world =
        World::remote(Engine::Sqlite, &live(), &tenants(["a"]), &usage([("a", "120"), ("a", "40")]), OPEN);
    world.run(OPEN).expect(0);
    // As after a restored backup.
    world.workspace.unprotect("usage_ledger");
    world.workspace.sql("DELETE FROM usage_ledger WHERE quantity_floor = 40");
    assert_eq!(parked(&world.run(TWO_DAYS_LATER).expect(3)), ["a parked stripe_ahead_of_ledger"]);
    unpark(&world, "stripe_ahead_of_ledger");
    // New usage is not sent either: it is in what Stripe has too much.
    world.import_usage(&usage([("a", "10")]));
    let (closed, unbillable) = closed(&world);
    assert!(unbillable.is_empty(), "{unbillable:?}");
    assert_eq!(compared(&closed, "a")[1], "meter_total quantity_mismatch 130 160");
    assert_eq!((world.at_stripe("a"), world.identifiers().len()), ("160".to_owned(), 1));
}

#[test]
fn a_release_holds_when_the_window_is_laid_out_anew() {
    let world = lost(Engine::Sqlite, true);
    world.run(TWO_DAYS_LATER).expect(3);
    unpark(&world, "rejected_async");
    world.run("2026-10-22T11:00:00Z").expect(0);
    // The row now ends in the middle of the window, and the release is older than that.
    let moved = tenants(["a"]).replace("status,started_at\n", "status,started_at,ended_at\n");
    let moved =
        moved.replace("active,2026-10-01T00:00:00Z", "canceled,2026-10-01T00:00:00Z,2026-10-25T00:00:00Z");
    world.workspace.write("tenants.csv", moved);
    world.workspace.run(&["import", "tenants", "tenants.csv"]).expect(0);
    world.run("2026-10-23T11:00:00Z");
    world.run("2026-10-24T11:00:00Z");
    assert_eq!((world.at_stripe("a"), world.identifiers().len()), ("0".to_owned(), 0));
}

#[test]
fn what_is_to_be_mended_is_not_released() {
    let ids = format!("{}lost,Lost,pro,try,,,active,2026-10-01T00:00:00Z\n", tenants(["a"]));
    let world = World::new(Engine::Sqlite, SHADOW, &ids, &usage([("lost", "1")]));
    world.run(OPEN).expect(3);
    let ended = say(&world, &["unpark", "lost"]).expect(65);
    assert!(
        ended.stderr.contains("no_stripe_mapping") && ended.stderr.contains("stripe_customer_id"),
        "{}",
        ended.stderr
    );
    for wrong in
        [&["unpark"][..], &["unpark", "--period", "2026-10"], &["unpark", "--reason", "period_bound"]]
    {
        say(&world, wrong).expect(2);
    }
    say(&world, &["unpark", "a", "--reason", "nonsense"]).expect(2);
    say(&world, &["unpark", "a"]).expect(0);
    say(&world, &["unpark", "--period", "2026-10", "--reason", "period_bound"]).expect(0);
    assert_eq!(world.workspace.number("SELECT COUNT(*) FROM releases"), 0);
}
