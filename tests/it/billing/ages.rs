//! From run to run: a difference is new once, then known with the runs that saw it, and gone once it agrees.
//!
//! In: an application that forgets units and sends them later. Out: columns of the comparison, an exception for what no
//! row tells of any more, and the same bytes where a run is repeated.

use std::fs;

use serde_json::Value;

use super::world::{FINAL, OPEN, SHADOW, World, folder, outcome, table, tenants, usage};
use crate::support::{ENGINES, Engine};

const DAYS_LATER: &str = "2026-10-23T11:00:00Z";

/// In observe mode; the application has sent what is said.
fn watched(engine: Engine, sent: &[(&str, &str)]) -> World {
    let records = usage([("a", "60"), ("b", "130")]);
    let mut world = World::remote(engine, SHADOW, &tenants(["a", "b"]), &records, OPEN);
    world.workspace.write("billrecon.toml", "[push]\nmode = \"observe\"\n");
    world.connect(&world.sandbox().url());
    world.sandbox().move_to(OPEN);
    for (number, (tenant, units)) in sent.iter().enumerate() {
        world.sandbox().send_event(&format!("cus_{tenant}"), units, &format!("app-{number}"));
    }
    world
}

/// `tenant source change age_runs` of each difference.
fn ages(outcome: &Value) -> Vec<String> {
    let columns = ["tenant_id", "source", "change", "age_runs"];
    let rows = table(outcome, "reconciliation");
    let aged = rows.iter().filter(|row| !row["age_runs"].is_empty());
    aged.map(|row| columns.map(|name| &*row[name]).join(" ")).collect()
}

/// What `evidence.ndjson` tells of the differences that are known for longer.
fn evidence(outcome: &Value) -> Vec<Value> {
    let text = fs::read_to_string(folder(outcome).join("evidence.ndjson")).unwrap();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["source"] == "difference").collect()
}

fn resolved(outcome: &Value) -> Vec<String> {
    let rows = table(outcome, "exceptions");
    let resolved = rows.iter().filter(|row| row["kind"] == "resolved");
    resolved.map(|row| [&*row["tenant_id"], &*row["plan"], &*row["meter"]].join(" ")).collect()
}

fn counted(outcome: &Value) -> (u64, u64) {
    (outcome["differences_new"].as_u64().unwrap(), outcome["differences_gone"].as_u64().unwrap())
}

#[test]
fn a_difference_is_new_then_known_with_its_runs_and_gone_when_it_agrees() {
    for engine in ENGINES {
        let world = watched(engine, &[("a", "60"), ("b", "120")]);
        let first = outcome(&world.run(OPEN).expect(0), "2026-10");
        assert_eq!(ages(&first), ["b preview new 1", "b meter_total new 1"]);
        assert_eq!((counted(&first), resolved(&first).len()), ((2, 0), 0));
        assert!(evidence(&first).is_empty());

        let second = outcome(&world.run(DAYS_LATER).expect(0), "2026-10");
        assert_eq!(ages(&second), ["b preview known 2", "b meter_total known 2"]);
        assert_eq!(counted(&second), (0, 0));
        let told = evidence(&second);
        assert_eq!(told.len(), 2);
        for line in &told {
            assert_eq!((&line["tenant_id"], &line["request_id"]), (&"b".into(), &"".into()));
            assert_eq!(line["window_start"], "2026-10-01T00:00:00Z");
            assert_eq!(line["answer"], format!("seen since {OPEN}, 2 runs"));
            let id = line["id"].as_str().unwrap();
            assert!(!id.is_empty() && !id.contains(' '), "{line}");
        }

        world.sandbox().send_event("cus_b", "10", "app-late");
        world.sandbox().send_event("cus_a", "1", "app-twice");
        let third = outcome(&world.run("2026-10-24T00:00:00Z").expect(0), "2026-10");
        let expected = ["a preview new 1", "a meter_total new 1", "b preview gone 2", "b meter_total gone 2"];
        assert_eq!(ages(&third), expected);
        assert_eq!((counted(&third), resolved(&third).len()), ((2, 2), 0));

        let last = outcome(&world.run("2026-10-25T00:00:00Z").expect(0), "2026-10");
        assert_eq!(ages(&last), ["a preview known 2", "a meter_total known 2"], "it is told once");
        assert_eq!(counted(&last), (0, 0));
    }
}

#[test]
fn a_closed_window_keeps_the_runs_that_saw_its_difference_and_its_invoice_tells_for_the_preview() {
    let world = watched(Engine::Sqlite, &[("a", "60"), ("b", "120")]);
    world.run(OPEN).expect(0);
    let closed = outcome(&world.run(FINAL).expect(0), "2026-10");
    assert_eq!(ages(&closed), ["b meter_total known 2", "b invoice new 1"]);
    assert_eq!((counted(&closed), resolved(&closed).len()), ((1, 0), 0));
}

#[test]
fn an_orphan_that_is_a_tenants_again_is_resolved_in_a_row_of_its_own() {
    for engine in ENGINES {
        let world = watched(engine, &[("a", "60"), ("b", "120")]);
        world.run(OPEN).expect(0);
        let import = |text: &str| {
            world.workspace.write("moved.csv", text);
            world.workspace.run(&["import", "tenants", "moved.csv"]).expect(0);
        };
        import(&tenants(["a", "b"]).replace("cus_b,sub_b", ","));
        let without = outcome(&world.run(DAYS_LATER).expect(3), "2026-10");
        assert_eq!(ages(&without), [" subscription new 1"], "its subscription is nobody's");
        assert_eq!((counted(&without), resolved(&without).len()), ((1, 0), 0), "b is parked");
        import(&tenants(["a", "b"]));
        let back = outcome(&world.run("2026-10-24T00:00:00Z").expect(0), "2026-10");
        assert_eq!(ages(&back), ["b preview known 2", "b meter_total known 2"]);
        assert_eq!((counted(&back), resolved(&back)), ((0, 1), vec!["  b2b.match_request".to_owned()]));
    }
}

/// As one that was killed after its notes: an open period is looked at again, a closed one gets its files from the database.
#[test]
fn a_run_that_is_repeated_at_its_own_instant_writes_the_same_bytes() {
    for instant in [DAYS_LATER, FINAL] {
        let world = watched(Engine::Sqlite, &[("a", "60"), ("b", "120")]);
        world.run(OPEN).expect(0);
        world.sandbox().send_event("cus_b", "10", "app-late");
        world.sandbox().send_event("cus_a", "1", "app-twice");
        let undisturbed = outcome(&world.run(instant).expect(0), "2026-10");
        let bytes = |outcome: &Value| {
            ["reconciliation.csv", "exceptions.csv"].map(|name| fs::read(folder(outcome).join(name)).unwrap())
        };
        let expected = bytes(&undisturbed);
        if instant == FINAL {
            // Committed, and its files not written.
            fs::remove_dir_all(folder(&undisturbed)).unwrap();
            world.workspace.sql("UPDATE runs SET state = 'committed' WHERE state = 'finished' AND verdict <> '' RETURNING run_id");
            world.run(instant).expect(0);
            assert_eq!(bytes(&undisturbed), expected);
        } else {
            let again = outcome(&world.run(instant).expect(0), "2026-10");
            assert_ne!(again["run_id"], undisturbed["run_id"]);
            assert_eq!(bytes(&again), expected);
        }
    }
}

#[test]
fn a_parked_tenants_difference_is_neither_there_nor_gone() {
    let world = watched(Engine::Sqlite, &[("a", "60"), ("b", "120")]);
    world.run(OPEN).expect(0);
    let moved = tenants(["a", "b"]).replace("b,Name of b,pro,try,cus_b", "b,Name of b,pro,try,cus_a");
    let import = |text: &str| {
        world.workspace.write("moved.csv", text);
        world.workspace.run(&["import", "tenants", "moved.csv"]).expect(0);
    };
    import(&moved);
    let parked = outcome(&world.run("2026-10-21T10:00:00Z").expect(3), "2026-10");
    assert_eq!((ages(&parked).len(), counted(&parked)), (0, (0, 0)));
    import(&tenants(["a", "b"]));
    let back = outcome(&world.run("2026-10-22T10:00:00Z").expect(0), "2026-10");
    assert!(ages(&back).iter().all(|row| row.ends_with(" known 2")), "{:?}", ages(&back));
}
