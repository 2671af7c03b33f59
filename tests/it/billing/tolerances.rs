//! Tolerances: what differs by no more than somebody has allowed is matched, told, and judged as agreement.
//!
//! In: an application that sends a little less, or a lot. Out: rows, verdicts, exit codes, the manifest and stderr.

use std::fs;

use serde_json::Value;

use super::world::{FINAL, OPEN, Row, SHADOW, World, folder, outcome, table, tenants, usage};
use crate::support::{ENGINES, Engine};

const OBSERVE: &str = "[push]\nmode = \"observe\"\n";

/// In observe mode with these tolerances; of the 130 units of b as many are sent as is said.
fn watched(engine: Engine, tolerance: &str, sent: &str) -> World {
    let records = usage([("a", "60"), ("b", "130")]);
    let mut world = World::remote(engine, SHADOW, &tenants(["a", "b"]), &records, OPEN);
    world.workspace.write("billrecon.toml", format!("{OBSERVE}{tolerance}"));
    world.connect(&world.sandbox().url());
    world.sandbox().move_to(OPEN);
    world.sandbox().send_event("cus_a", "60", "app-a");
    world.sandbox().send_event("cus_b", sent, "app-b");
    world
}

fn of_b(outcome: &Value) -> Vec<Row> {
    let rows = table(outcome, "reconciliation");
    rows.into_iter().filter(|row| row["tenant_id"] == "b" && !row["meter"].is_empty()).collect()
}

fn manifest(outcome: &Value) -> Value {
    serde_json::from_slice(&fs::read(folder(outcome).join("manifest.json")).unwrap()).unwrap()
}

#[test]
fn what_is_within_tolerance_is_matched_with_its_difference_and_no_difference_to_anybody() {
    for engine in ENGINES {
        // A tenth of 130.
        let tolerance = "[tolerance]\nquantity = \"0.5\"\nquantity_relative = \"0.1\"\n";
        let world = watched(engine, tolerance, "117");
        let open = world.run_with(OPEN, &["--detailed-exitcode"]).expect(0);
        let words = "quantity 0.5 or 0.1 of the ledger's";
        assert!(open.stderr.contains(&format!("tolerances: {words}")), "{}", open.stderr);
        let rows = of_b(&outcome(&open, "2026-10"));
        assert_eq!(rows.len(), 2);
        for row in &rows {
            let shown = ["class", "difference_quantity", "reason", "within_tolerance", "change", "age_runs"];
            assert_eq!(shown.map(|name| &*row[name]), ["matched", "-13", "", "true", "", ""]);
        }
        let closed = outcome(&world.run(FINAL).expect(0), "2026-10");
        let reasons = closed["reasons"].to_string();
        assert!(!reasons.contains("differ"), "{reasons}");
        let manifest = manifest(&closed);
        assert_eq!(manifest["run"]["tolerances"], words);
        assert_eq!(manifest["differences"], 0);
        assert!(
            of_b(&closed).iter().all(|row| row["within_tolerance"] == "true"),
            "they come back from the database"
        );
    }
}

#[test]
fn one_unit_in_the_last_place_more_is_a_difference() {
    let world = watched(Engine::Sqlite, "[tolerance]\nquantity = \"13\"\n", "116.999999999999");
    let open = world.run_with(OPEN, &["--detailed-exitcode"]).expect(21);
    for row in of_b(&outcome(&open, "2026-10")) {
        assert_eq!((&*row["class"], &*row["within_tolerance"]), ("quantity_mismatch", ""));
    }
}

#[test]
fn without_tolerances_nothing_is_said_of_them_but_in_the_manifest() {
    let world = watched(Engine::Sqlite, "", "130");
    let open = world.run(OPEN).expect(0);
    assert!(!open.stderr.contains("tolerances"), "{}", open.stderr);
    let open = outcome(&open, "2026-10");
    assert_eq!(manifest(&open)["run"]["tolerances"], "none");
    assert!(of_b(&open).iter().all(|row| row["within_tolerance"].is_empty()));
}
