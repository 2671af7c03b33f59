//! Mistakes in figures: tiers, rounding, flat fees, units of money, what stands beside the usage, edges of windows.

use serde_json::Value;

use super::{lines, live, money, tiers};
use crate::billing::server::Act;
use crate::billing::world::{
    DRAFT, FINAL, METER, OPEN, SHADOW, World, compared, outcome, table, tenants, usage,
};
use crate::support::{ENGINES, Engine};

/// Pushed while October was open; the close.
fn closed(world: &World) -> Value {
    world.run(OPEN).expect(0);
    outcome(&world.run(FINAL).expect(0), "2026-10")
}

/// Meteroid: 99.5 lies above 99 and below 100, and cost nothing.
#[test]
fn mistake_4_an_amount_between_two_tiers_falls_into_a_hole() {
    let graduated =
        tiers("graduated", &["up_to = 99, unit_amount = 0", "up_to = \"inf\", unit_amount = 700"]);
    for engine in ENGINES {
        let world = World::new(engine, &live("try", &graduated), &tenants(["a"]), &usage([("a", "99.5")]));
        let closed = closed(&world);
        assert_eq!(lines(&closed, "a"), ["usage 1 99 0 0.00", "usage 2 0.5 350 3.50"]);
        assert_eq!(money(&closed, "a"), ["invoice matched 350 350"]);
    }
}

/// `OpenMeter`: the sixth unit brings all of them into a cheaper tier. Nothing that is closed changes: the lower price is an
/// adjustment, and it is shown as what it is.
#[test]
fn mistake_5_one_late_unit_of_a_volume_price_lowers_the_bill() {
    let volume = tiers("volume", &["up_to = 5, unit_amount = 500", "up_to = \"inf\", unit_amount = 400"]);
    for engine in ENGINES {
        let world = World::new(engine, &live("try", &volume), &tenants(["a"]), &usage([("a", "5")]));
        let closed = closed(&world);
        assert_eq!(lines(&closed, "a"), ["usage 1 5 2500 25.00"]);
        world.import_usage(&usage([("a", "5"), ("a", "1")]));
        let late = outcome(&world.run("2026-11-01T03:30:00Z").expect(3), "2026-10");
        assert_eq!(lines(&late, "a"), ["usage 1 5 2500 25.00"], "what is closed stays");
        let [row] = &table(&late, "adjustments")[..] else { panic!("one unit came late: {late}") };
        let shown = ["late_quantity", "original_amount_minor", "late_amount_minor", "restated_amount_minor"];
        assert_eq!(shown.map(|name| &*row[name]), ["1", "2500", "-100", "2400"], "{engine:?}");
    }
}

/// `OpenMeter`: 0.33 and 0.33 instead of 0.67. Two pushes of one unit at 0.4 each are 0 twice, or 1 together.
#[test]
fn mistake_6_each_slice_is_rounded_and_the_slices_are_added() {
    let price = "{ billing_scheme = \"per_unit\", unit_amount_decimal = \"0.4\" }";
    for engine in ENGINES {
        let world = World::new(engine, &live("try", price), &tenants(["a"]), &usage([("a", "1")]));
        world.run(OPEN).expect(0);
        world.import_usage(&usage([("a", "1"), ("a", "1")]));
        world.run(DRAFT).expect(0);
        assert_eq!(world.identifiers().len(), 2, "two slices");
        let closed = outcome(&world.run(FINAL).expect(0), "2026-10");
        assert_eq!(lines(&closed, "a"), ["usage  2 1 0.01"]);
        assert_eq!(money(&closed, "a"), ["invoice matched 1 1"]);
    }
}

/// Lago and `OpenMeter` charge it, `MeterGuard` does not. Stripe does, and so does the ledger's side.
#[test]
fn mistake_7_the_flat_fee_is_skipped_at_zero_usage() {
    let first = "up_to = 10, unit_amount = 0, flat_amount = 500";
    for mode in ["graduated", "volume"] {
        let price = tiers(mode, &[first, "up_to = \"inf\", unit_amount = 700"]);
        let world = World::new(Engine::Sqlite, &live("try", &price), &tenants(["a"]), &usage([]));
        let closed = closed(&world);
        let flat: Vec<String> =
            lines(&closed, "a").into_iter().filter(|line| line.starts_with("flat")).collect();
        assert_eq!(flat, ["flat 1 0 500 5.00"], "{mode}");
        assert_eq!(money(&closed, "a"), ["invoice matched 500 500"], "{mode}");
    }
}

/// farm.js: minor units taken for whole ones, or the reverse. Some currencies have no minor unit, others three digits.
#[test]
fn mistake_8_cents_are_taken_for_currency_units() {
    let price = "{ billing_scheme = \"per_unit\", unit_amount_decimal = \"700\" }";
    for (currency, amount) in [("try", "210.00"), ("jpy", "21000"), ("kwd", "21.000")] {
        let ids = tenants(["a"]).replace(",try,", &format!(",{currency},"));
        let world = World::new(Engine::Sqlite, &live(currency, price), &ids, &usage([("a", "30")]));
        let closed = closed(&world);
        assert_eq!(lines(&closed, "a"), [format!("usage  30 21000 {amount}")]);
        assert_eq!(money(&closed, "a"), ["invoice matched 21000 21000"]);
    }
    // Stripe's side a hundred times too much is a difference, whatever the text looks like.
    let mut world =
        World::remote(Engine::Sqlite, &live("try", price), &tenants(["a"]), &usage([("a", "30")]), OPEN);
    let proxy = world.through_proxy();
    world.run(OPEN).expect(0);
    proxy.rule(
        |asked| if asked.path.starts_with("/v1/invoices?") { Act::Change(times_hundred) } else { Act::Pass },
    );
    let closed = outcome(&world.run(FINAL).expect(0), "2026-10");
    assert_eq!(money(&closed, "a"), ["invoice amount_mismatch 21000 2100000"]);
}

fn times_hundred(list: &mut Value) {
    for invoice in list["data"].as_array_mut().unwrap() {
        for line in invoice["lines"]["data"].as_array_mut().unwrap() {
            line["amount"] = (line["amount"].as_i64().unwrap() * 100).into();
        }
    }
}

/// argos: a local estimate said $100, and Stripe's preview $150. It is listed with its money, and the
/// usage still agrees.
#[test]
fn mistake_9_an_add_on_exists_only_at_stripe() {
    for engine in ENGINES {
        let world = World::remote(engine, SHADOW, &tenants(["a"]), &usage([("a", "60")]), OPEN);
        let sandbox = world.sandbox();
        let form = "currency=try&unit_amount=5000&recurring[interval]=month&product_data[name]=Support";
        let price = sandbox.post("/v1/prices", form);
        let form = format!("items[0][price]={}", price["id"].as_str().unwrap());
        sandbox.post("/v1/subscriptions/sub_a", &form);
        let open = outcome(&world.run(OPEN).expect(0), "2026-10");
        assert_eq!(compared(&open, "a"), ["meter_total matched 60 60", "preview matched 60 60"]);
        let rows = table(&open, "reconciliation");
        let beside = rows.iter().filter(|row| row["class"] == "out_of_scope");
        let amounts = beside.map(|row| row["stripe_amount_minor"].parse::<i64>().unwrap());
        // The base fee and the add-on, in one row or in two.
        assert_eq!(amounts.sum::<i64>(), 99_900 + 5_000);
    }
}

/// unkey: `period_end - 1 s` names the month. With a cycle that turns at half past two, each instant has one window.
#[test]
fn mistake_10_the_period_key_is_one_second_before_an_end_that_is_not_midnight() {
    let ids = "tenant_id,plan,currency,stripe_customer_id,stripe_subscription_id,billing_anchor,started_at\n\
               a,pro,try,cus_a,sub_a,2026-09-01T14:30:00Z,2026-09-01T14:30:00Z\n\
               m,pro,try,cus_m,sub_m,2026-08-31T23:59:59Z,2026-08-31T23:59:59Z\n";
    let records = format!(
        "tenant_id,meter,quantity,occurred_at,source_event_id\n\
         a,{METER},1,2026-09-01T14:30:00Z,1\na,{METER},20,2026-10-01T14:29:59.999Z,2\n\
         a,{METER},300,2026-10-01T14:30:00Z,3\n\
         m,{METER},4,2026-09-30T23:59:58Z,1\nm,{METER},50,2026-09-30T23:59:59Z,2\n"
    );
    for engine in ENGINES {
        let world = World::new(engine, SHADOW, ids, &records);
        let ended = world.run("2026-10-20T00:00:00Z");
        let found = ["2026-08", "2026-09", "2026-10"].map(|period| windows(&outcome(&ended, period)));
        let (august, ours) = (
            "m 2026-08-31T23:59:59Z 2026-09-30T23:59:59Z 4",
            "a 2026-09-01T14:30:00Z 2026-10-01T14:30:00Z 21",
        );
        let next = "m 2026-09-30T23:59:59Z 2026-10-31T23:59:59Z 50";
        assert_eq!(found[0], [august]);
        assert_eq!(found[1], [ours, next]);
        assert_eq!(found[2], ["a 2026-10-01T14:30:00Z 2026-11-01T14:30:00Z 300"]);
    }
}

/// `tenant start end units` of each window, whatever its tiers.
fn windows(outcome: &Value) -> Vec<String> {
    let rows = table(outcome, "reconciliation");
    let totals = rows.iter().filter(|row| row["source"] == "meter_total");
    let shown = totals
        .map(|row| ["tenant_id", "window_start", "window_end", "ledger_quantity"].map(|name| &*row[name]));
    shown.map(|cells| cells.join(" ")).collect()
}

/// estuary: a credit balance that moves between two readings makes a total differ that has nothing to do with usage.
#[test]
fn mistake_13_the_credit_balance_changes_between_compute_and_check() {
    let price = "{ billing_scheme = \"per_unit\", unit_amount_decimal = \"700\" }";
    let play = |changes: bool| {
        let catalog = live("try", price);
        let mut world = World::remote(Engine::Sqlite, &catalog, &tenants(["a"]), &usage([("a", "30")]), OPEN);
        let proxy = world.through_proxy();
        if changes {
            proxy.rule(
                |asked| if asked.path.starts_with("/v1/invoices") { Act::Change(credit) } else { Act::Pass },
            );
        }
        let open = outcome(&world.run(OPEN).expect(0), "2026-10");
        let closed = outcome(&world.run(FINAL).expect(0), "2026-10");
        [&open, &closed].map(|outcome| (compared(outcome, "a"), money(outcome, "a")))
    };
    let (still, moved) = (play(false), play(true));
    assert_eq!(still[1].1, ["invoice matched 21000 21000"]);
    assert_eq!(still, moved);
}

/// All of what is due is paid from a balance.
fn credit(body: &mut Value) {
    let pay = |invoice: &mut Value| {
        let total = invoice["total"].as_i64().unwrap_or(0);
        invoice["starting_balance"] = (-total).into();
        invoice["ending_balance"] = 0.into();
        invoice["amount_due"] = 0.into();
    };
    match body["data"].as_array_mut() {
        Some(invoices) => invoices.iter_mut().for_each(pay),
        None => pay(body),
    }
}
