//! Windows whose edges are no whole minutes, where the application sends: Stripe's totals hold more than the window, and the
//! ledger knows what.
//!
//! In: tenants with an anchor at odd seconds, usage on either side of both edges. Out: rows of the comparison, and evidence.

use std::fs;

use serde_json::Value;

use super::server::seconds;
use super::world::{METER, Row, SHADOW, World, compared, folder, outcome, table};
use crate::support::{ENGINES, Engine};

/// The window of October: `[10-05T07:31:17, 11-05T07:31:17)`.
const ANCHOR: &str = "2026-09-05T07:31:17Z";
const BEFORE: &str = "2026-10-05T07:31:10Z";
const INSIDE: &str = "2026-10-20T00:00:00Z";
const LAST: &str = "2026-11-05T07:31:16Z";
const AFTER: &str = "2026-11-05T07:31:59Z";
const OPEN: &str = "2026-10-20T10:00:00Z";
const FINAL: &str = "2026-11-05T09:31:17Z";

/// Tenant, units, instant.
type Used<'a> = (&'a str, &'a str, &'a str);

fn tenants(ids: &[&str]) -> String {
    let head =
        "tenant_id,plan,currency,stripe_customer_id,stripe_subscription_id,billing_anchor,started_at\n";
    let row = |id: &&str| format!("{id},pro,try,cus_{id},sub_{id},{ANCHOR},{ANCHOR}\n");
    head.to_owned() + &ids.iter().map(row).collect::<String>()
}

fn usage(records: &[Used<'_>]) -> String {
    let head = "tenant_id,meter,quantity,occurred_at,source_event_id\n".to_owned();
    let row = |(id, units, at): &Used<'_>| format!("{id},{METER},{units},{at},{at}\n");
    head + &records.iter().map(row).collect::<String>()
}

/// The application sends each record at once, with its own instant.
fn send(world: &World, records: &[Used<'_>]) {
    for (id, units, at) in records {
        let form = format!(
            "event_name=b2b_match_request&identifier={id}-{at}&timestamp={}&payload[value]={units}\
             &payload[stripe_customer_id]=cus_{id}",
            seconds(at)
        );
        world.sandbox().move_to(at);
        world.sandbox().post("/v1/billing/meter_events", &form);
    }
}

fn evidence(outcome: &Value, tenant: &str, source: &str) -> Vec<String> {
    let text = fs::read_to_string(folder(outcome).join("evidence.ndjson")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_tenant = lines.filter(|line| line["tenant_id"] == tenant && line["source"] == source);
    of_tenant.map(|line| line["answer"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_used_in_the_minutes_that_the_edges_cut_is_taken_off_the_meters_total_and_told() {
    for engine in ENGINES {
        let of = |id| [(id, "5", BEFORE), (id, "50", INSIDE), (id, "10", LAST), (id, "3.5", AFTER)];
        let (both, none) = (of("both"), [("none", "60", INSIDE)]);
        // The application has lost what lies beside the window, or the ledger has.
        let (unsent, unknown) = (of("unsent"), of("unknown"));
        let ledger = [&both[..], &none, &unsent, &unknown[1..3]].concat();
        let mut world = World::remote(
            engine,
            SHADOW,
            &tenants(&["both", "none", "unknown", "unsent"]),
            &usage(&ledger),
            BEFORE,
        );
        world.workspace.write("billrecon.toml", "[push]\nmode = \"observe\"\n");
        world.connect(&world.sandbox().url());
        let mut sent = [&both[..], &none, &unsent[1..3], &unknown].concat();
        sent.sort_by_key(|(_, _, at)| *at);
        let (early, late) = sent.split_at(sent.partition_point(|(_, _, at)| *at <= INSIDE));
        send(&world, early);
        world.run(OPEN).expect(0);
        send(&world, late);
        let closed = outcome(&world.run(FINAL).expect(0), "2026-10");

        let row = |tenant: &str| compared(&closed, tenant).remove(1);
        assert_eq!(compared(&closed, "both"), ["invoice matched 60 60", "meter_total matched 60 60"]);
        assert_eq!(row("none"), "meter_total matched 60 60");
        assert_eq!(row("unsent"), "meter_total quantity_mismatch 60 51.5 period_boundary");
        assert_eq!(row("unknown"), "meter_total quantity_mismatch 60 68.5");
        let told = evidence(&closed, "both", "edge_minutes");
        assert!(told.len() == 1 && told[0].starts_with("8.5 units beside the window"), "{told:?}");
        assert_eq!(evidence(&closed, "both", "meter_total"), ["68.5"]);
        assert!(evidence(&closed, "none", "edge_minutes").is_empty());
        let lasts = |row: &Row| !row["evidence"].contains("units");
        assert!(table(&closed, "reconciliation").iter().all(lasts), "lasting ids only");
    }
}

#[test]
fn a_gauges_total_may_show_a_reading_that_lies_beside_the_window() {
    let gauge = SHADOW.replace("aggregation = \"sum\"", "aggregation = \"last\"");
    let readings = |id| [(id, "5", BEFORE), (id, "50", INSIDE), (id, "3.5", AFTER)];
    let (agrees, differs) = (readings("agrees"), readings("differs"));
    let ledger = usage(&[&agrees[..], &differs].concat());
    let mut world = World::remote(Engine::Sqlite, &gauge, &tenants(&["agrees", "differs"]), &ledger, BEFORE);
    world.workspace.write("billrecon.toml", "[push]\nmode = \"observe\"\n");
    world.connect(&world.sandbox().url());
    let mut sent = [&agrees[..], &differs[..2], &[("differs", "9", AFTER)]].concat();
    sent.sort_by_key(|(_, _, at)| *at);
    send(&world, &sent);
    let closed = outcome(&world.run(FINAL).expect(0), "2026-10");
    assert_eq!(compared(&closed, "agrees"), ["invoice matched 50 50", "meter_total matched 50 50"]);
    // Neither 50 nor 3.5 is 9: what lies beside the window accounts for nothing of it.
    assert_eq!(compared(&closed, "differs")[1], "meter_total quantity_mismatch 50 9");
    assert!(evidence(&closed, "agrees", "edge_minutes")[0].starts_with("a reading of 3.5 beside the window"));
}
