//! What is read of Stripe: how many requests a company costs, and customers and subscriptions that are not as expected.
//!
//! In: companies behind a proxy that counts requests and changes an answer. Out: the number of requests of each kind, and what
//! the run says of the tenants.

use serde_json::{Value, json};

use super::server::{Act, Asked, Proxy};
use super::world::{FINAL, OPEN, SHADOW, World, compared, outcome, table, tenants, usage};
use crate::support::{ENGINES, Engine};

/// A company with these tenants whose usage was pushed while October was open, and a proxy that has counted nothing yet.
fn pushed(engine: Engine, catalog: &str, ids: &[String]) -> (World, Proxy) {
    let records: Vec<(&str, &str)> = ids.iter().map(|id| (&**id, "60")).collect();
    let rows = tenants(ids.iter().map(|id| &**id));
    let mut world = World::remote(engine, catalog, &rows, &usage(records), OPEN);
    let proxy = world.through_proxy();
    world.run(OPEN).expect(0);
    proxy.take();
    (world, proxy)
}

/// How many requests went to paths with this beginning.
fn count(asked: &[Asked], path: &str) -> usize {
    asked.iter().filter(|one| one.path.starts_with(path)).count()
}

#[test]
fn closing_three_hundred_tenants_costs_a_total_each_and_few_pages_of_all_else() {
    let ids: Vec<String> = (0..300).map(|number| format!("t{number:03}")).collect();
    let (world, proxy) = pushed(Engine::Sqlite, SHADOW, &ids);
    let closed = outcome(&world.run_with(FINAL, &["--period", "2026-10"]).expect(0), "2026-10");
    assert_eq!((&closed["status"], &closed["counts"]["closed"]), (&"closed".into(), &300.into()), "{closed}");
    let asked = proxy.take();
    let counts = |path| count(&asked, path);
    assert_eq!(asked.iter().filter(|one| one.is_total()).count(), 300);
    assert_eq!(
        counts("/v1/invoices"),
        6,
        "two calls per 100 tenants: what was made in the month, and the renewals of its end"
    );
    assert_eq!(counts("/v1/prices"), 2);
    // The shadow price has three pages of subscriptions, the other one none.
    assert_eq!((counts("/v1/subscriptions"), counts("/v1/subscription_items")), (4, 0));
    let rest = asked.len() - 300 - counts("/v1/invoices") - 2 - 4;
    assert!(
        rest <= 3,
        "{:?}",
        asked.iter().map(|one| &one.path).filter(|path| !path.contains("event_summ")).collect::<Vec<_>>()
    );
}

#[test]
fn a_price_that_several_plans_name_is_asked_for_once() {
    let named = SHADOW.replace(
        "free_quota = 100",
        "free_quota = 100\n  shadow_price_id = \"price_shadow\"\n  overage_price_id = \"price_overage\"",
    );
    let plan = named.split_once("[[plan]]").unwrap().1.replace("\"pro\"", "\"team\"");
    let both = format!("{named}\n[[plan]]{plan}");
    let (_world, proxy) = {
        let records = usage([("a", "60")]);
        let mut world = World::remote(Engine::Sqlite, &both, &tenants(["a"]), &records, OPEN);
        let proxy = world.through_proxy();
        world.run(OPEN).expect(0);
        (world, proxy)
    };
    let mut asked: Vec<String> =
        proxy.take().into_iter().map(|one| one.path).filter(|path| path.starts_with("/v1/prices")).collect();
    asked.sort();
    assert_eq!(asked.len(), 2, "{asked:?}");
}

const NO_CUSTOMER: &str = r#"{"error": {"type": "invalid_request_error", "code": "resource_missing", "param": "customer",
    "message": "No such customer: 'cus_b'"}}"#;

fn parked(outcome: &Value) -> Vec<String> {
    let rows = table(outcome, "exceptions");
    rows.iter().map(|row| ["tenant_id", "kind", "reason"].map(|name| &*row[name]).join(" ")).collect()
}

#[test]
fn a_tenant_whose_customer_stripe_does_not_have_is_parked_as_such_and_the_others_close() {
    for engine in ENGINES {
        for (status, mode) in [(404, "push"), (400, "observe")] {
            let (world, proxy) = pushed(engine, SHADOW, &["a".to_owned(), "b".to_owned()]);
            world.workspace.write("billrecon.toml", format!("[push]\nmode = \"{mode}\"\n"));
            proxy.rule(move |asked| {
                let is_b = asked.is_total() && asked.path.contains("customer=cus_b");
                if is_b { Act::Answer(status, NO_CUSTOMER) } else { Act::Pass }
            });
            let partial = outcome(&world.run(FINAL).expect(3), "2026-10");
            assert_eq!(parked(&partial), ["b parked customer_deleted"]);
            assert_eq!((&partial["status"], compared(&partial, "b").len()), (&"partial".into(), 0));
            assert_eq!(compared(&partial, "a"), ["invoice matched 60 60", "meter_total matched 60 60"]);
            let step = &table(&partial, "exceptions")[0]["next_step"];
            assert!(step.contains("no such customer"), "{step}");
        }
    }
}

#[test]
fn a_tenant_whose_customer_was_deleted_in_the_month_is_parked_as_such() {
    let (world, _proxy) = pushed(Engine::Sqlite, SHADOW, &["a".to_owned(), "b".to_owned()]);
    world.sandbox().delete("/v1/customers/cus_b");
    // Stripe makes no renewal invoice for it, so its window is final by the clock.
    for (at, status) in [(OPEN, "open"), ("2026-11-01T02:30:00Z", "partial")] {
        let outcome = outcome(&world.run(at).expect(3), "2026-10");
        assert_eq!(
            (parked(&outcome), &outcome["status"]),
            (vec!["b parked customer_deleted".to_owned()], &status.into())
        );
    }
}

/// The subscription of a tenant in a list of them.
fn of_b(list: &mut Value, change: fn(&mut Value)) {
    let elements = list["data"].as_array_mut().unwrap().iter_mut();
    elements.filter(|one| one["id"] == "sub_b").for_each(change);
}

fn lists_subscriptions(asked: &Asked) -> bool {
    asked.path.starts_with("/v1/subscriptions?")
}

#[test]
fn a_subscription_whose_customer_is_shown_as_deleted_parks_its_tenant() {
    let (world, proxy) = pushed(Engine::Sqlite, SHADOW, &["a".to_owned(), "b".to_owned()]);
    proxy.rule(|asked| {
        let delete: fn(&mut Value) =
            |list| of_b(list, |one| one["customer"] = json!({"id": "cus_b", "deleted": true}));
        if lists_subscriptions(asked) { Act::Change(delete) } else { Act::Pass }
    });
    let partial = outcome(&world.run(FINAL).expect(3), "2026-10");
    assert_eq!(parked(&partial), ["b parked customer_deleted"]);
    assert!(!proxy.take().iter().any(|one| one.path.contains("cus_b")), "nothing of it is asked for");
}

#[test]
fn only_the_items_of_our_meters_must_have_our_window() {
    // Flexible billing: the base fee of a year beside the usage of a month.
    let yearly: fn(&mut Value) =
        |list| of_b(list, |one| add_item(one, "price_year", 1_759_276_800, 1_790_812_800));
    let shorter: fn(&mut Value) = |list| of_b(list, shorten);
    for (change, code, rows, set_aside) in [
        (yearly, 0, vec!["meter_total matched 60 60", "preview matched 60 60"], vec![]),
        (shorter, 3, vec![], vec!["b parked window_mismatch"]),
    ] {
        let (world, proxy) = pushed(Engine::Sqlite, SHADOW, &["a".to_owned(), "b".to_owned()]);
        proxy.rule(move |asked| if lists_subscriptions(asked) { Act::Change(change) } else { Act::Pass });
        let open = outcome(&world.run(OPEN).expect(code), "2026-10");
        assert_eq!(compared(&open, "b"), rows as Vec<&str>);
        assert_eq!(parked(&open), set_aside as Vec<&str>);
    }
}

/// Every item ends a day before our window.
fn shorten(subscription: &mut Value) {
    for item in subscription["items"]["data"].as_array_mut().unwrap() {
        item["current_period_end"] = json!(1_793_404_800);
    }
}

/// Adds an item with a period of its own.
fn add_item(subscription: &mut Value, price: &str, start: i64, end: i64) {
    let item = json!({"id": "si_other", "price": {"id": price}, "current_period_start": start, "current_period_end": end});
    subscription["items"]["data"].as_array_mut().unwrap().push(item);
}

#[test]
fn a_strange_subscription_is_missing_in_the_ledger_also_where_not_all_of_it_is_understood() {
    let strange: [fn(&mut Value); 5] = [
        |list| add_strange(list, |_| {}),
        |list| add_strange(list, |one| one["status"] = "hibernating".into()),
        // Its items cannot be read to the end, and the one that it was found by is not among the first.
        |list| add_strange(list, |one| one["items"] = json!({"data": [], "has_more": true})),
        |list| add_strange(list, |one| one["items"]["has_more"] = true.into()),
        |list| add_strange(list, |one| one["items"] = Value::Null),
    ];
    for (index, add) in strange.into_iter().enumerate() {
        let (world, proxy) = pushed(Engine::Sqlite, SHADOW, &["b".to_owned()]);
        proxy.rule(move |asked| match asked {
            _ if asked.path.starts_with("/v1/subscription_items") => Act::Answer(404, NO_PATH),
            _ if lists_subscriptions(asked) => Act::Change(add),
            _ => Act::Pass,
        });
        // What cannot be read at all may be one that has ended.
        let (code, class) = if index == 4 { (3, "incomplete") } else { (0, "missing_in_ledger") };
        let open = outcome(&world.run(OPEN).expect(code), "2026-10");
        let rows = table(&open, "reconciliation");
        let strange: Vec<(&str, &str)> = rows
            .iter()
            .filter(|row| row["source"] == "subscription")
            .map(|row| (&*row["class"], &*row["evidence"]))
            .collect();
        assert_eq!(strange, [(class, "sub_strange")], "{index}");
    }
}

const NO_PATH: &str =
    r#"{"error": {"type": "invalid_request_error", "message": "Unrecognized request URL"}}"#;

/// A copy of b's subscription that belongs to nobody.
fn add_strange(list: &mut Value, change: fn(&mut Value)) {
    let elements = list["data"].as_array_mut().unwrap();
    let copy = elements.iter().find(|one| one["id"] == "sub_b").cloned();
    elements.extend(copy.map(|mut one| {
        one["id"] = "sub_strange".into();
        one["customer"] = "cus_strange".into();
        change(&mut one);
        one
    }));
}

#[test]
fn a_meter_or_price_of_ours_that_is_not_understood_ends_the_run_and_a_strangers_does_not() {
    let strangers: fn(&mut Value) =
        |list| list["data"].as_array_mut().unwrap().push(json!({"id": "mtr_x", "event_name": 7}));
    let ours: fn(&mut Value) = |list| list["data"][0]["status"] = Value::Null;
    let price: fn(&mut Value) = |price| price["billing_scheme"] = "by_mood".into();
    for (path, change, code, expected) in [
        ("/v1/billing/meters?", strangers, 0, vec!["mtr_x", "event_name is not a text"]),
        ("/v1/billing/meters?", ours, 75, vec!["req_proxy", "one of the catalog's", "status is missing"]),
        ("/v1/prices/", price, 75, vec!["req_proxy", "plan `pro`, meter `b2b.match_request`", "by_mood"]),
    ] {
        let (world, proxy) = pushed(Engine::Sqlite, SHADOW, &["a".to_owned()]);
        proxy.rule(move |asked| if asked.path.starts_with(path) { Act::Change(change) } else { Act::Pass });
        let ended = world.run(OPEN).expect(code);
        assert!(expected.iter().all(|words| ended.stderr.contains(words)), "{}", ended.stderr);
    }
}
