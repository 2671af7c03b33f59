//! Why a meter's total differs: what the application did wrong is named from days, neighbours and single records, and what
//! somebody did to our pushes from the pushes.
//!
//! In: ledger files, events sent over HTTP. Out: causes, what they explain, and the ids that prove it.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;

use super::server::{Act, seconds};
use super::world::{
    FINAL, METER, OPEN, Row, SHADOW, World, compared, folder, outcome, table, tenants, usage as october_usage,
};
use crate::support::{ENGINES, Engine};

const START: &str = "2026-10-01T00:00:00Z";

/// Tenant, units, instant of use, instant that the event says.
type Used<'a> = (&'a str, &'a str, &'a str, Option<&'a str>);

/// What the application did with each record, by tenant. An event that says nothing was never sent.
const MONTH: [Used<'static>; 12] = [
    ("agrees", "60", "2026-10-05T08:00:00Z", Some("2026-10-05T08:00:00Z")),
    ("edge", "40", "2026-10-05T08:00:01Z", Some("2026-10-05T08:00:01Z")),
    ("edge", "7", "2026-10-31T22:00:00Z", Some("2026-11-01T01:00:00Z")),
    ("lost", "10", "2026-10-05T08:00:02Z", Some("2026-10-05T08:00:02Z")),
    ("lost", "25", "2026-10-06T08:00:02Z", None),
    ("lost", "5", "2026-10-06T09:00:02Z", Some("2026-10-06T09:00:02Z")),
    ("never", "9.5", "2026-10-05T08:00:03Z", None),
    ("shifted", "30", "2026-10-10T08:00:04Z", Some("2026-11-01T00:10:00Z")),
    ("shifted", "11", "2026-10-11T08:00:04Z", Some("2026-10-11T08:00:04Z")),
    ("twice", "10", "2026-10-05T08:00:05Z", Some("2026-10-05T08:00:05Z")),
    ("twice", "25", "2026-10-05T09:00:05Z", Some("2026-10-05T09:00:05Z")),
    ("unit", "2500", "2026-10-05T08:00:06Z", Some("2026-10-05T08:00:06Z")),
];

fn usage(records: &[Used<'_>]) -> String {
    let head = "tenant_id,meter,quantity,occurred_at,source_event_id\n".to_owned();
    let row = |(id, units, at, _): &Used<'_>| format!("{id},{METER},{units},{at},{id}-{at}\n");
    head + &records.iter().map(row).collect::<String>()
}

fn send(world: &World, customer: &str, units: &str, at: &str, identifier: &str) {
    let form = format!(
        "event_name=b2b_match_request&identifier={identifier}&timestamp={}&payload[value]={units}\
         &payload[stripe_customer_id]={customer}",
        seconds(at)
    );
    world.sandbox().move_to(at);
    world.sandbox().post("/v1/billing/meter_events", &form);
}

/// The application sends, each event at the instant that it says.
fn send_month(world: &World) {
    let mut events: Vec<(&str, &str, &str, String)> = Vec::new();
    for (id, units, at, said) in MONTH {
        let units = if id == "unit" { "2.5" } else { units };
        events.extend(said.map(|said| (said, id, units, format!("{id}-{at}"))));
    }
    let (at, id, units) = ("2026-10-05T09:00:05Z", "twice", "25");
    events.push((at, id, units, "again".to_owned()));
    events.sort_unstable();
    for (at, id, units, identifier) in events {
        send(world, &format!("cus_{id}"), units, at, &identifier);
    }
}

fn observed(engine: Engine) -> World {
    let ids = ["agrees", "edge", "lost", "never", "shifted", "twice", "unit"];
    let world = World::remote(engine, SHADOW, &tenants(ids), &usage(&MONTH), START);
    world.workspace.write("billrecon.toml", "[push]\nmode = \"observe\"\n");
    world
}

fn total(outcome: &Value, tenant: &str) -> Row {
    let rows = table(outcome, "reconciliation");
    let is_it = |row: &&Row| row["tenant_id"] == tenant && row["source"] == "meter_total";
    rows.iter().find(is_it).unwrap().clone()
}

/// `reason explained unexplained id id`.
fn named(row: &Row) -> String {
    let ids: Vec<&str> = row["evidence"].split(' ').skip(1).collect();
    let numbers = ["reason", "explained_quantity", "unexplained_quantity"].map(|name| &*row[name]);
    [&numbers[..], &ids].concat().join(" ")
}

#[test]
fn what_an_application_did_wrong_is_named_with_what_it_explains_and_the_records_that_prove_it() {
    for engine in ENGINES {
        let mut world = observed(engine);
        send_month(&world);
        world.connect(&world.sandbox().url());
        let closed = outcome(&world.run(FINAL).expect(0), "2026-10");
        let causes = [
            ("edge", "period_boundary -7 0 edge-2026-10-31T22:00:00Z"),
            ("lost", "not_pushed -25 0 lost-2026-10-06T08:00:02Z"),
            ("never", "not_pushed -9.5 0"),
            ("shifted", "timestamp_shift -30 0"),
            ("twice", "duplicate_push 25 0 twice-2026-10-05T09:00:05Z"),
            ("unit", "aggregation_mismatch -2497.5 0"),
        ];
        assert_eq!(compared(&closed, "agrees"), ["invoice matched 60 60", "meter_total matched 60 60"]);
        assert_eq!(total(&closed, "agrees")["next_step"], "");
        for (tenant, expected) in causes {
            assert_eq!(named(&total(&closed, tenant)), expected, "{tenant}");
            // The invoice shows what the meter shows, and has its cause.
            let rows = table(&closed, "reconciliation");
            let of_tenant = rows.iter().filter(|row| row["tenant_id"] == tenant && !row["meter"].is_empty());
            let reasons: Vec<_> = of_tenant.map(|row| (&*row["reason"], &*row["next_step"])).collect();
            assert!(reasons.len() == 2 && reasons[0] == reasons[1], "{reasons:?}");
            assert!(reasons[0].1.starts_with("engineering: "), "{reasons:?}");
        }
    }
}

#[test]
fn a_second_look_that_fails_names_no_cause_and_does_not_stop_the_run() {
    let mut world = observed(Engine::Sqlite);
    let proxy = world.through_proxy();
    send_month(&world);
    let by_day = |path: &str| path.contains("value_grouping_window=day");
    proxy.rule(move |asked| if by_day(&asked.path) { Act::Answer(400, "{}") } else { Act::Pass });
    let closed = outcome(&world.run(FINAL).expect(0), "2026-10");
    assert_eq!(closed["status"], "closed", "{closed}");
    assert!(proxy.take().iter().any(|asked| by_day(&asked.path)));
    for tenant in ["edge", "lost", "never", "shifted", "twice", "unit"] {
        let row = total(&closed, tenant);
        assert_eq!((&*row["reason"], &*row["explained_quantity"]), ("", "0"), "{tenant}");
        assert_eq!(row["unexplained_quantity"], row["difference_quantity"]);
    }
    let looks = looks(&closed);
    assert_eq!(looks.len(), 6);
    assert!(looks.values().all(|answer| answer.starts_with("no cause is looked for: ")), "{looks:?}");
}

#[test]
fn source_event_ids_of_any_kind_can_be_told_apart() {
    let hostile = ["call 7, \"a\"", "=cmd|' /C calc'!A0", "50%20off %", "\u{a0}x\u{2028}y;\u{1f4de}  z"];
    for engine in ENGINES {
        let mut world = World::remote(engine, SHADOW, &tenants(["a"]), &usage(&[]), START);
        world.workspace.write("billrecon.toml", "[push]\nmode = \"observe\"\n");
        let mut csv = usage(&[]);
        for (number, id) in hostile.iter().enumerate() {
            let id = id.replace('"', "\"\"");
            csv += &format!("a,{METER},{},2026-10-05T0{number}:00:00Z,\"{id}\"\n", number + 1);
        }
        world.import_usage(&csv);
        // The records together are there again, and with them each of their ids.
        for (number, units) in ["10", "10"].iter().enumerate() {
            send(&world, "cus_a", units, "2026-10-05T10:00:00Z", &format!("app-{number}"));
        }
        world.connect(&world.sandbox().url());
        let row = total(&outcome(&world.run(FINAL).expect(0), "2026-10"), "a");
        assert_eq!((&*row["reason"], &*row["explained_quantity"]), ("duplicate_push", "10"));
        let ids = row["evidence"]
            .split(' ')
            .skip(1)
            .map(|id| id.replace("%20", " ").replace("%E2%80%A8", "\u{2028}").replace("%25", "%"));
        assert_eq!(ids.collect::<Vec<_>>(), hostile, "{}", row["evidence"]);
    }
}

/// What the second look says of each tenant, by `evidence.ndjson`.
fn looks(outcome: &Value) -> BTreeMap<String, String> {
    let evidence = fs::read_to_string(folder(outcome).join("evidence.ndjson")).unwrap();
    let lines = evidence.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let text = |line: &Value, name: &str| line[name].as_str().unwrap().to_owned();
    let looks = lines.filter(|line| line["source"] == "second_look");
    looks.map(|line| (text(&line, "tenant_id"), text(&line, "answer"))).collect()
}

#[test]
fn a_run_looks_once_more_at_those_with_the_most_money_and_names_the_others() {
    let ids: Vec<String> = (0..203).map(|number| format!("t{number:03}")).collect();
    // The first has the least that is charged, and most units that are not; the last has no usage at all.
    let units = |id: &str| match id {
        "t000" => "100.5",
        "t001" => "101",
        _ => "130",
    };
    let records: Vec<(&str, &str)> = ids[..202].iter().map(|id| (&**id, units(id))).collect();
    let live = SHADOW.replace("free_quota = 100", "billing = \"live\"\n  free_quota = 100");
    let rows = tenants(ids.iter().map(|id| &**id));
    let world = World::remote(Engine::Sqlite, &live, &rows, &october_usage(records), START);
    world.workspace.write("billrecon.toml", "[push]\nmode = \"observe\"\n");
    let ended = world.run(FINAL).expect(0);
    let closed = outcome(&ended, "2026-10");
    assert_eq!(closed["counts"]["closed"], 203);
    let looks = looks(&closed);
    assert_eq!(looks.len(), 202);
    for id in &ids[..202] {
        let row = total(&closed, id);
        let is_left = ["t000", "t001"].contains(&&**id);
        assert_eq!(row["reason"], if is_left { "" } else { "not_pushed" }, "{id}");
        assert_eq!(
            looks[id].contains("a run looks at 200 tenants once more"),
            is_left,
            "{id}: {}",
            looks[id]
        );
    }
    assert!(ended.stderr.contains("2 tenants differ for no reason that is known"), "{}", ended.stderr);
    assert!(ended.stderr.contains("the worst of them: t001"), "{}", ended.stderr);
}

#[test]
fn more_records_than_are_looked_at_one_by_one_are_told_of_and_name_no_cause() {
    let world = observed(Engine::Sqlite);
    // In the month before; of the window itself there is one.
    let record = |number: usize| format!("never,{METER},1,2026-09-20T00:00:00Z,old-{number}\n");
    let head = "tenant_id,meter,quantity,occurred_at,source_event_id\n".to_owned();
    world.import_usage(&(head + &(0..50_000).map(record).collect::<String>()));
    let closed = outcome(&world.run(FINAL).expect(0), "2026-10");
    let looks = looks(&closed);
    assert_eq!(
        looks["never"],
        "no cause is looked for: it has more than 50000 records with those beside it, and no more are looked at \
         one by one"
    );
    assert_eq!((&*total(&closed, "never")["reason"], &*total(&closed, "edge")["reason"]), ("", "not_pushed"));
}

/// Stripe says that it has the push, and counts it for somebody else.
#[test]
fn a_push_whose_identifier_somebody_else_has_used_is_named() {
    for engine in ENGINES {
        let records: [Used<'_>; 1] = [("a", "60", "2026-10-05T08:00:00Z", None)];
        let world = World::remote(engine, SHADOW, &tenants(["a"]), &usage(&records), START);
        let planned = outcome(&world.run_with(OPEN, &["--dry-run"]).expect(0), "2026-10");
        let identifier = planned["pushes"][0]["identifier"].as_str().unwrap();
        let other = world.sandbox().post("/v1/customers", "name=other");
        send(&world, other["id"].as_str().unwrap(), "1", OPEN, identifier);
        let open = outcome(&world.run(OPEN).expect(3), "2026-10");
        assert_eq!(named(&total(&open, "a")), format!("duplicate_rejected -60 0 {identifier}"));
        assert_eq!(world.intents(), [("sent".to_owned(), 1)]);
    }
}
