//! The life of a month: previewed and pushed while it is open, pushed to the end while its invoice is a draft, compared,
//! closed and judged when the invoice is final.

use serde_json::Value;

use super::world::{DRAFT, FINAL, OPEN, SHADOW, World, compared, decided, outcome, table, tenants, usage};
use crate::support::{ENGINES, Engine};

/// The metered price that the subscription has at Stripe.
fn price_in_force(world: &World, tenant: &str) -> String {
    let path = format!("/v1/subscriptions/sub_{tenant}");
    let shown = world.ask(|sandbox| sandbox.get(&path));
    let items = shown["items"]["data"].as_array().unwrap().clone();
    let metered = |item: &&Value| !item["price"]["recurring"]["meter"].is_null();
    items.iter().find(metered).unwrap()["price"]["id"].as_str().unwrap().to_owned()
}

#[test]
fn a_month_is_previewed_while_open_pushed_to_the_end_in_the_draft_hour_and_judged_when_final() {
    for engine in ENGINES {
        let world = World::new(engine, SHADOW, &tenants(["a", "b"]), &usage([("a", "60")]));

        let open = outcome(&world.run(OPEN).expect(0), "2026-10");
        assert_eq!((&open["status"], &open["verdict"]), (&"open".into(), &Value::Null), "{open}");
        assert_eq!(compared(&open, "a"), ["meter_total matched 60 60", "preview matched 60 60"]);
        assert_eq!(compared(&open, "b"), ["meter_total matched 0 0", "preview matched 0 0"]);
        assert_eq!(world.at_stripe("a"), "60");

        world.import_usage(&usage([("a", "60"), ("a", "70")]));
        let draft = outcome(&world.run(DRAFT).expect(0), "2026-10");
        assert_eq!((&draft["status"], &draft["verdict"]), (&"open".into(), &Value::Null), "{draft}");
        assert_eq!(compared(&draft, "a")[1], "meter_total matched 130 130");
        assert_eq!(world.at_stripe("a"), "130");

        let closed = outcome(&world.run(FINAL).expect(0), "2026-10");
        assert_eq!((&closed["status"], &closed["verdict"]), (&"closed".into(), &"REVIEW".into()), "{closed}");
        assert_eq!(compared(&closed, "a"), ["invoice matched 130 130", "meter_total matched 130 130"]);
        assert_eq!(decided(&closed, "full_cycle"), ("1".to_owned(), "true".to_owned()));
        assert_eq!(world.intents(), [("confirmed".to_owned(), 2)]);
        // Nothing of it is sent again.
        world.run("2026-11-02T00:00:00Z").expect(0);
        assert_eq!(world.identifiers().len(), 2);
    }
}

/// Usage of two Novembers' days.
const NOVEMBER: &str = "\
tenant_id,meter,quantity,occurred_at,source_event_id
b,b2b.match_request,55,2026-11-01T00:00:00Z,n-1
";

#[test]
fn a_month_first_seen_when_it_is_final_is_unbillable_with_its_money_and_holds_up_no_other() {
    for engine in ENGINES {
        let records = usage([("a", "60"), ("b", "100"), ("b", "30")]);
        let world = World::new(engine, SHADOW, &tenants(["a", "b", "c"]), &records);
        world.import_usage(NOVEMBER);
        let first = world.run(FINAL).expect(3);

        let october = outcome(&first, "2026-10");
        assert_eq!(
            (&october["status"], &october["verdict"]),
            (&"closed".into(), &"INSUFFICIENT_DATA".into())
        );
        assert_eq!(decided(&october, "full_cycle"), ("0".to_owned(), "false".to_owned()));
        let exceptions = table(&october, "exceptions");
        let shown: Vec<String> = exceptions
            .iter()
            .map(|row| {
                ["kind", "tenant_id", "quantity", "records", "amount", "currency"].map(|name| &*row[name])
            })
            .map(|cells| cells.join(" "))
            .collect();
        assert_eq!(shown, ["unbillable a 60 1 0.00 try", "unbillable b 130 2 210.00 try"]);
        let late = |quantity: &str| {
            let row = |source: &str| format!("{source} quantity_mismatch {quantity} 0 late_usage");
            vec![row("invoice"), row("meter_total")]
        };
        assert_eq!((compared(&october, "a"), compared(&october, "b")), (late("60"), late("130")));
        assert_eq!(world.intents(), [("confirmed".to_owned(), 1), ("unbillable".to_owned(), 2)]);
        assert_eq!((world.at_stripe("a"), world.at_stripe("b")), ("0".to_owned(), "0".to_owned()));

        let november = outcome(&first, "2026-11");
        assert_eq!(compared(&november, "b"), ["meter_total matched 55 55", "preview matched 55 55"]);
        let later = outcome(&world.run("2026-12-01T01:30:00Z").expect(0), "2026-11");
        assert_eq!((&later["status"], &later["verdict"]), (&"closed".into(), &"NO_GO".into()), "{later}");
        assert_eq!(decided(&later, "full_cycle"), ("1".to_owned(), "true".to_owned()));
        assert_eq!(decided(&later, "differences"), ("0".to_owned(), "true".to_owned()));
    }
}

/// Plays October to its close with 130 requests; the world, the outcome and what the renewal invoice bills of usage.
fn month_of_130(engine: Engine, catalog: &str) -> (World, Value, (i64, i64)) {
    let world = World::new(engine, catalog, &tenants(["a"]), &usage([("a", "50"), ("a", "80")]));
    world.run(OPEN).expect(0);
    let closed = outcome(&world.run(FINAL).expect(0), "2026-10");
    let price = price_in_force(&world, "a");
    let invoiced = world.ask(|sandbox| sandbox.invoiced("sub_a", &price));
    (world, closed, invoiced)
}

/// Minor units of the usage lines, and the ledger's and Stripe's money on the renewal invoice.
fn money(closed: &Value) -> (i64, String, String) {
    let lines = table(closed, "lines");
    let of_usage = lines.iter().filter(|line| line["kind"] == "usage");
    let would_be = of_usage.map(|line| line["amount_minor"].parse::<i64>().unwrap()).sum();
    let rows = table(closed, "reconciliation");
    let row = rows.iter().find(|row| row["source"] == "invoice" && row["class"] == "matched").unwrap();
    (would_be, row["ledger_amount_minor"].clone(), row["stripe_amount_minor"].clone())
}

#[test]
fn a_tenant_with_130_requests_is_shown_130_at_0_in_shadow_and_would_owe_210() {
    for engine in ENGINES {
        let (_world, closed, invoiced) = month_of_130(engine, SHADOW);
        assert_eq!(invoiced, (130, 0));
        assert_eq!(compared(&closed, "a"), ["invoice matched 130 130", "meter_total matched 130 130"]);
        assert_eq!(money(&closed), (21_000, "0".to_owned(), "0".to_owned()));
        let lines = table(&closed, "lines");
        let amounts: Vec<&str> = lines.iter().map(|line| &*line["amount"]).collect();
        assert_eq!(amounts, ["999.00", "0.00", "210.00"]);
    }
}

#[test]
fn the_same_tenant_owes_210_on_both_sides_when_the_graduated_price_is_live() {
    for engine in ENGINES {
        let live = SHADOW.replace("free_quota = 100", "free_quota = 100\n  billing = \"live\"");
        let (_world, closed, invoiced) = month_of_130(engine, &live);
        assert_eq!(invoiced, (130, 21_000));
        assert_eq!(compared(&closed, "a"), ["invoice matched 130 130", "meter_total matched 130 130"]);
        assert_eq!(money(&closed), (21_000, "21000".to_owned(), "21000".to_owned()));
    }
}

/// The quota is taken off before the push, and each unit above it costs 7 TRY.
const OVERAGE: &str = r#"
[[meter]]
key = "b2b.match_request"
aggregation = "sum"
event_name = "b2b_match_request"

[[plan]]
key = "pro"
currency = "try"
interval = "month"
amount = 99900
  [[plan.usage]]
  meter = "b2b.match_request"
  free_quota = 100
  push = "overage"
  billing = "live"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "700" }
"#;

#[test]
fn where_only_overage_is_pushed_stripe_sees_30_units_and_the_same_210() {
    for engine in ENGINES {
        let (world, closed, invoiced) = month_of_130(engine, OVERAGE);
        assert_eq!((invoiced, world.at_stripe("a")), ((30, 21_000), "30".to_owned()));
        assert_eq!(compared(&closed, "a"), ["invoice matched 30 30", "meter_total matched 30 30"]);
        assert_eq!(money(&closed), (21_000, "21000".to_owned(), "21000".to_owned()));
    }
}
