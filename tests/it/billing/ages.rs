//! From run to run: a difference is new once, then known with its days, and gone once it agrees.
//!
//! In: an application that forgets units and sends them later. Out: columns of the comparison, a row for what is gone, and
//! the same bytes where a run is repeated.

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

/// `tenant source change first_seen age` of each difference.
fn ages(outcome: &Value) -> Vec<String> {
    let columns = ["tenant_id", "source", "change", "first_seen", "age_days"];
    let rows = table(outcome, "reconciliation");
    let aged = rows.iter().filter(|row| !row["first_seen"].is_empty());
    aged.map(|row| columns.map(|name| &*row[name]).join(" ")).collect()
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
fn a_difference_is_new_then_known_with_its_days_and_gone_when_it_agrees() {
    for engine in ENGINES {
        let world = watched(engine, &[("a", "60"), ("b", "120")]);
        let first = outcome(&world.run(OPEN).expect(0), "2026-10");
        let of_b = |source: &str, rest: &str| format!("b {source} {rest}");
        let new = format!("new {OPEN} 0");
        assert_eq!(ages(&first), [of_b("preview", &new), of_b("meter_total", &new)]);
        assert_eq!((counted(&first), resolved(&first).len()), ((2, 0), 0));

        let second = outcome(&world.run(DAYS_LATER).expect(0), "2026-10");
        let known = format!("known {OPEN} 3");
        assert_eq!(ages(&second), [of_b("preview", &known), of_b("meter_total", &known)]);
        assert_eq!(counted(&second), (0, 0));

        world.sandbox().send_event("cus_b", "10", "app-late");
        world.sandbox().send_event("cus_a", "1", "app-twice");
        let third = outcome(&world.run("2026-10-24T00:00:00Z").expect(0), "2026-10");
        assert!(ages(&third).iter().all(|row| row.starts_with("a ") && row.contains(" new ")));
        assert_eq!(counted(&third), (2, 2));
        assert_eq!(resolved(&third), ["b pro b2b.match_request"; 2]);

        let last = outcome(&world.run("2026-10-25T00:00:00Z").expect(0), "2026-10");
        assert_eq!((counted(&last), resolved(&last).len()), ((0, 0), 0), "it is told once");
    }
}

#[test]
fn a_closed_window_keeps_the_run_that_saw_its_difference_first() {
    let world = watched(Engine::Sqlite, &[("a", "60"), ("b", "120")]);
    world.run(OPEN).expect(0);
    let closed = outcome(&world.run(FINAL).expect(0), "2026-10");
    // The total was known since 20 October, eleven days and some hours; the invoice is new, and tells for the preview.
    let expected = [format!("b meter_total known {OPEN} 11"), format!("b invoice new {FINAL} 0")].to_vec();
    assert_eq!(ages(&closed), expected);
    assert_eq!((counted(&closed), resolved(&closed).len()), ((1, 1), 1));
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
    assert!(ages(&back).iter().all(|row| row.ends_with(&format!("known {OPEN} 2"))), "{:?}", ages(&back));
}
