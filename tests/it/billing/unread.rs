//! Answers of Stripe's with one thing in them that is not understood: it concerns those whose it may be, and the others go on.
//!
//! In: a company whose October is to close, and a proxy that spoils one object of a list. Out: who is parked and why, what is
//! told with which request id, and that all is well again once Stripe's answer is.

use std::fs;

use serde_json::Value;

use super::server::{Act, Asked, Proxy};
use super::world::{DRAFT, FINAL, OPEN, SHADOW, World, compared, folder, outcome, table, tenants, usage};
use crate::support::{ENGINES, Ended, Engine};

const SETTLED: &str = "2026-11-01T02:30:00Z";
const LATER: &str = "2026-11-01T03:30:00Z";

/// `a`, `b` and `c`, each with usage, pushed while October was open.
fn company(engine: Engine) -> (World, Proxy) {
    let records = usage([("a", "60"), ("b", "70"), ("c", "80")]);
    let mut world = World::remote(engine, SHADOW, &tenants(["a", "b", "c"]), &records, OPEN);
    let proxy = world.through_proxy();
    world.run(OPEN).expect(0);
    (world, proxy)
}

fn spoil(proxy: &Proxy, of: fn(&Asked) -> bool, change: fn(&mut Value)) {
    proxy.rule(move |asked| if of(asked) { Act::Change(change) } else { Act::Pass });
}

fn lists_invoices(asked: &Asked) -> bool {
    asked.path.starts_with("/v1/invoices?")
}

fn lists_subscriptions(asked: &Asked) -> bool {
    asked.path.starts_with("/v1/subscriptions?")
}

/// The elements of a list whose text holds an id.
fn with_id<'a>(list: &'a mut Value, id: &'a str) -> impl Iterator<Item = &'a mut Value> {
    let elements = list["data"].as_array_mut().unwrap().iter_mut();
    elements.filter(move |one| one.to_string().contains(&format!("\"{id}\"")))
}

fn october(ended: &Ended) -> Value {
    outcome(ended, "2026-10")
}

/// Tenant and reason of all that are parked.
fn parked(outcome: &Value) -> Vec<String> {
    let rows = table(outcome, "exceptions");
    let parked = rows.iter().filter(|row| row["kind"] == "parked");
    parked.map(|row| format!("{} {}", row["tenant_id"], row["reason"])).collect()
}

/// Tenant, source and id of the evidence lines of the proxy's own answers that say why something is not understood.
fn told(outcome: &Value) -> Vec<String> {
    let text = fs::read_to_string(folder(outcome).join("evidence.ndjson")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let spoiled = lines.filter(|line| line["request_id"] == "req_proxy" && line["window_start"] == "");
    let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    spoiled.map(|line| ["tenant_id", "source", "answer"].map(|name| text(&line, name)).join(" ")).collect()
}

#[test]
fn an_invoice_with_a_status_of_next_year_keeps_only_its_own_tenant_from_closing() {
    for engine in ENGINES {
        let (world, proxy) = company(engine);
        spoil(&proxy, lists_invoices, |list| {
            with_id(list, "sub_b").for_each(|one| one["status"] = "melted".into());
        });
        // While it may be a draft the rest is pushed as ever.
        world.import_usage(&usage([("b", "5")]));
        let draft = october(&world.run(DRAFT).expect(3));
        assert_eq!(
            compared(&draft, "b"),
            ["invoice incomplete 75  incomplete_data", "meter_total matched 75 75"]
        );
        assert_eq!(world.at_stripe("b"), "75");
        // When it would be final, nobody can say what came too late.
        world.import_usage(&usage([("b", "2")]));
        let partial = october(&world.run(SETTLED).expect(3));
        assert_eq!(
            (&partial["status"], &partial["verdict"]),
            (&"partial".into(), &"INSUFFICIENT_DATA".into())
        );
        assert_eq!(parked(&partial), ["b incomplete"]);
        assert_eq!(compared(&partial, "c"), ["invoice matched 80 80", "meter_total matched 80 80"]);
        let told = told(&partial);
        let why = "b invoice data[1].status is not an invoice status that we know: `\"melted\"`";
        // Its first invoice and its renewal.
        let is_told = |one: &String| one.starts_with("b invoice data[") && one.ends_with(&why[17..]);
        assert!(told.len() == 2 && told.iter().all(is_told), "{told:?}");
        assert_eq!(world.intents(), [("confirmed".to_owned(), 4)], "nothing of b is called unbillable");

        proxy.rule(|_| Act::Pass);
        let closed = october(&world.run(LATER).expect(3));
        assert_eq!((&closed["status"], parked(&closed).len()), (&"closed".into(), 0), "{closed}");
        assert_eq!(world.intents(), [("confirmed".to_owned(), 4), ("unbillable".to_owned(), 1)]);
    }
}

#[test]
fn an_invoice_of_nobody_knows_whom_concerns_those_that_found_none_of_their_own() {
    let (world, proxy) = company(Engine::Sqlite);
    spoil(&proxy, lists_invoices, |list| {
        with_id(list, "sub_b").for_each(|one| {
            one["id"] = 7.into();
            one["parent"] = "sub_b?".into();
        });
    });
    let partial = october(&world.run(SETTLED).expect(3));
    assert_eq!(parked(&partial), ["b incomplete"]);
    assert_eq!(compared(&partial, "a"), ["invoice matched 60 60", "meter_total matched 60 60"]);
    assert!(told(&partial)[0].starts_with(" invoice data["), "{:?}", told(&partial));
    proxy.rule(|_| Act::Pass);
    assert_eq!(october(&world.run(LATER).expect(0))["status"], "closed");
}

/// What is done to a list, and what is then told.
type Spoil = (fn(&mut Value), &'static str);

#[test]
fn a_subscription_that_is_not_understood_parks_its_tenant_and_tells_the_request() {
    let spoils: [Spoil; 4] = [
        (|list| b(list, |one| one["items"] = Value::Null), "items is missing"),
        (|list| b(list, |one| one["status"] = "hibernating".into()), "its status is none that we know"),
        (
            |list| b(list, |one| one["items"]["data"][0]["current_period_end"] = "soon".into()),
            "is not a decimal number",
        ),
        // All of its items are to be read, and that list fails.
        (|list| b(list, |one| one["items"]["has_more"] = true.into()), "its items cannot be read to the end"),
    ];
    for (change, expected) in spoils {
        let (world, proxy) = company(Engine::Sqlite);
        proxy.rule(move |asked| match asked {
            _ if asked.path.starts_with("/v1/subscription_items") => Act::Answer(404, NO_PATH),
            _ if lists_subscriptions(asked) => Act::Change(change),
            _ => Act::Pass,
        });
        let partial = october(&world.run(FINAL).expect(3));
        assert_eq!(
            (&partial["status"], &partial["verdict"]),
            (&"partial".into(), &"INSUFFICIENT_DATA".into())
        );
        assert_eq!(parked(&partial), ["b incomplete"], "{expected}");
        assert_eq!(compared(&partial, "b"), ["subscription incomplete   incomplete_data"]);
        let told = told(&partial);
        assert!(!told.is_empty() && told.iter().all(|one| one.starts_with("b subscription ")), "{told:?}");
        assert!(told[0].contains(expected), "{told:?}");
        proxy.rule(|_| Act::Pass);
        assert_eq!(october(&world.run(SETTLED).expect(0))["status"], "closed");
    }
}

const NO_PATH: &str =
    r#"{"error": {"type": "invalid_request_error", "message": "Unrecognized request URL"}}"#;

/// Changes b's subscription in a list of them.
fn b(list: &mut Value, change: fn(&mut Value)) {
    with_id(list, "sub_b").for_each(change);
}
