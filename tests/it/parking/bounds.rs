//! Safety bounds: nothing more is sent for who is above them, until a person has looked.

use std::fs;

use super::{audited, exceptions, say};
use crate::billing::world::{DRAFT, FINAL, OPEN, SHADOW, World, outcome, table, tenants, usage};
use crate::support::{ENGINES, Engine};

/// Each unit above 100 is charged 7 lira.
fn live() -> String {
    SHADOW.replace("free_quota = 100", "billing = \"live\"\n  free_quota = 100")
}

fn world(engine: Engine, catalog: &str, bounds: &str, records: &[(&str, &str)]) -> World {
    let ids: Vec<&str> = records.iter().map(|(id, _)| *id).collect();
    let world = World::remote(engine, catalog, &tenants(ids), &usage(records.iter().copied()), OPEN);
    world.workspace.write("billrecon.toml", bounds);
    world
}

fn at_stripe(world: &World, ids: &[&str]) -> Vec<String> {
    ids.iter().map(|id| world.at_stripe(id)).collect()
}

const CAP: &str = "[bounds.try]\ntenant_amount_minor = 21000\n";

#[test]
fn a_tenant_above_its_cap_gets_nothing_sent_and_the_others_go_on() {
    for engine in ENGINES {
        // 30 units above the quota are 210.00.
        let world = world(engine, &live(), CAP, &[("a", "130.001"), ("b", "130"), ("c", "60")]);
        let planned = outcome(&world.run_with(OPEN, &["--dry-run"]).expect(3), "2026-10");
        let open = outcome(&world.run(OPEN).expect(3), "2026-10");
        assert_eq!(planned["pushes"], open["pushes"]);
        assert_eq!(exceptions(&open), ["a parked overage_bound"]);
        assert_eq!(at_stripe(&world, &["a", "b", "c"]), ["0", "130", "60"]);
        assert_eq!(open["counts"]["pending_after"], 1);
        let released = say(&world, &["unpark", "a"]).expect(0);
        assert!(released.stdout.contains("overage_bound"), "{}", released.stdout);
        world.run(DRAFT).expect(0);
        assert_eq!(at_stripe(&world, &["a"]), ["130.001"]);
        assert_eq!(outcome(&world.run(FINAL).expect(0), "2026-10")["status"], "closed");
    }
}

#[test]
fn what_was_sent_before_a_bound_was_reached_stays_and_the_rest_waits() {
    let world = world(Engine::Sqlite, &live(), CAP, &[("a", "120")]);
    world.run(OPEN).expect(0);
    world.import_usage(&usage([("a", "50")]));
    let open = outcome(&world.run("2026-10-21T10:00:00Z").expect(3), "2026-10");
    assert_eq!(
        (exceptions(&open), at_stripe(&world, &["a"])),
        (vec!["a parked overage_bound".to_owned()], vec!["120".to_owned()])
    );
    // Not released in time: it waits, whatever becomes of the invoice.
    world.run(DRAFT).expect(3);
    let partial = outcome(&world.run(FINAL).expect(3), "2026-10");
    assert_eq!(
        (&partial["status"], exceptions(&partial)),
        (&"partial".into(), vec!["a parked overage_bound".to_owned()])
    );
    say(&world, &["unpark", "a"]).expect(0);
    let closed = outcome(&world.run("2026-11-01T03:00:00Z").expect(3), "2026-10");
    let rows = table(&closed, "exceptions");
    assert_eq!((&*rows[0]["quantity"], &*rows[0]["amount"]), ("50", "350.00"));
    assert_eq!(rows[0]["reason"], "not sent while the tenant was parked, and now the invoice is final");
}

#[test]
fn in_shadow_nothing_is_charged_and_nothing_is_bound() {
    let bounds = "[bounds.try]\ntenant_amount_minor = 0\nperiod_amount_minor = 0\n";
    let world = world(Engine::Sqlite, SHADOW, bounds, &[("a", "100000")]);
    world.run(OPEN).expect(0);
    assert_eq!(at_stripe(&world, &["a"]), ["100000"]);
}

#[test]
fn where_the_application_sends_there_is_nothing_to_stop() {
    let bounds = format!("{CAP}[push]\nmode = \"observe\"\n");
    let world = world(Engine::Sqlite, &live(), &bounds, &[("a", "100000")]);
    let open = outcome(&world.run(OPEN).expect(0), "2026-10");
    assert!(exceptions(&open).is_empty());
}

#[test]
fn above_the_periods_cap_nobody_with_overage_is_sent_until_the_period_is_released() {
    for engine in ENGINES {
        let bounds = "[bounds.try]\nperiod_amount_minor = 42000\n";
        let world = world(engine, &live(), bounds, &[("a", "130"), ("b", "131"), ("c", "60")]);
        let open = outcome(&world.run(OPEN).expect(3), "2026-10");
        assert_eq!(exceptions(&open), ["a parked period_bound", "b parked period_bound"]);
        assert_eq!(at_stripe(&world, &["a", "b", "c"]), ["0", "0", "60"]);
        // One tenant's word is not enough.
        let refused = say(&world, &["unpark", "a"]).expect(2);
        assert!(
            refused.stderr.contains("unpark --period 2026-10 --reason period_bound"),
            "{}",
            refused.stderr
        );
        say(&world, &["unpark", "--period", "2026-10", "--reason", "period_bound"]).expect(0);
        assert_eq!(audited(&world, "tenant_released")[0]["tenant_id"], "");
        world.run(DRAFT).expect(0);
        assert_eq!(at_stripe(&world, &["a", "b"]), ["130", "131"]);
        assert_eq!(outcome(&world.run(FINAL).expect(0), "2026-10")["status"], "closed");
    }
}

#[test]
fn bounds_are_part_of_the_rules_and_stand_in_the_manifest() {
    let world = world(Engine::Sqlite, &live(), CAP, &[("a", "60")]);
    let manifest = |outcome: &serde_json::Value| -> serde_json::Value {
        let folder = outcome["reports_dir"].as_str().unwrap().to_owned();
        serde_json::from_slice(&fs::read(format!("{folder}/manifest.json")).unwrap()).unwrap()
    };
    let capped = manifest(&outcome(&world.run(OPEN).expect(0), "2026-10"));
    assert_eq!(capped["run"]["bounds"], "overage_factor=10 try.tenant_amount_minor=21000");
    world.workspace.write("billrecon.toml", "[bounds]\noverage_factor = 0\n");
    let free = manifest(&outcome(&world.run("2026-10-21T10:00:00Z").expect(0), "2026-10"));
    assert_eq!(free["run"]["bounds"], "overage_factor=0");
    assert_ne!(capped["run"]["rules_hash"], free["run"]["rules_hash"]);
}

#[test]
fn bounds_that_are_none_are_refused_with_their_place() {
    let world = world(Engine::Sqlite, &live(), "", &[("a", "60")]);
    for (text, place) in [
        ("[bounds]\noverage_factor = -1\n", "bounds.overage_factor"),
        ("[bounds]\noverage_factor = 2.5\n", "bounds.overage_factor"),
        ("[bounds]\nfactor = 2\n", "bounds.factor"),
        ("[bounds.ytl]\ntenant_amount_minor = 1\n", "bounds.ytl"),
        ("[bounds.try]\ntenant_amount_minor = -1\n", "bounds.try.tenant_amount_minor"),
        ("[bounds.try]\namount = 1\n", "bounds.try.amount"),
    ] {
        world.workspace.write("billrecon.toml", text);
        let ended = world.workspace.run(&["status"]).expect(78);
        assert!(ended.stderr.contains(place), "{text}: {}", ended.stderr);
    }
}
