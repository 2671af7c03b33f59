//! `status`: who waits for a person, since when, why, what it is worth, and what to do.

use serde_json::Value;

use super::{say, status};
use crate::billing::world::{DRAFT, FINAL, OPEN, SHADOW, World, tenants, usage};
use crate::support::{ENGINES, Ended, Engine};

const LATER: &str = "2026-10-21T10:00:00Z";

fn text(world: &World) -> String {
    Ended::of(world.command(&["status"]).output().unwrap()).expect(0).stdout
}

fn parked(world: &World) -> Vec<Value> {
    status(world)["parked"].as_array().unwrap().clone()
}

/// `a` and `b` have usage that others sent, `c` is held, `d` is all right.
fn company(engine: Engine, catalog: &str) -> World {
    let records = usage([("a", "110"), ("b", "130"), ("c", "120"), ("d", "60")]);
    let world = World::remote(engine, catalog, &tenants(["a", "b", "c", "d"]), &records, OPEN);
    world.sandbox().move_to(OPEN);
    world.sandbox().send_event("cus_a", "4", "app-1");
    world.sandbox().send_event("cus_b", "4", "app-2");
    say(&world, &["park", "c"]).expect(0);
    world
}

#[test]
fn who_is_parked_is_told_with_reason_time_money_and_command_worst_first() {
    for engine in ENGINES {
        let world = company(engine, SHADOW);
        assert_eq!(status(&world)["new_holds"][0]["tenant_id"], "c");
        world.run(OPEN).expect(3);
        world.run(LATER).expect(3);
        let all = parked(&world);
        let shown =
            |one: &Value| ["tenant_id", "reason", "since"].map(|key| one[key].as_str().unwrap().to_owned());
        let expected = [["b", "foreign_usage", OPEN], ["c", "held", OPEN], ["a", "foreign_usage", OPEN]];
        assert_eq!(all.iter().map(shown).collect::<Vec<_>>(), expected.map(|one| one.map(str::to_owned)));
        let money = |one: &Value| {
            let stake = &one["at_stake"];
            let text = |key: &str| stake[key].as_str().unwrap().to_owned();
            (text("currency"), text("candidate_amount_minor"), text("in_force_amount_minor"))
        };
        // In shadow Stripe charges nothing.
        assert_eq!(money(&all[0]), ("try".to_owned(), "21000".to_owned(), "0".to_owned()));
        assert_eq!(status(&world)["at_stake"][0]["candidate_amount_minor"], "42000");
        let command = "billrecon unpark b --period 2026-10 --reason foreign_usage --note TEXT";
        assert_eq!(
            (&all[0]["command"], &all[1]["command"]),
            (&command.into(), &"billrecon unpark c --note TEXT".into())
        );
        assert_eq!((&all[1]["hold"]["by"], &all[1]["hold"]["note"]), (&"ada".into(), &"seen by hand".into()));
        assert!(all[0]["next_step"].as_str().unwrap().contains("who else sends"));
        assert_eq!(status(&world)["new_holds"], Value::Array(Vec::new()));
        // Names are for people.
        assert!(!status(&world).to_string().contains("Name of"));
        let text = text(&world);
        for line in [
            "parked: 3 windows wait for a person",
            "b (Name of b), 2026-10: foreign_usage since",
            command,
            "by ada at",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
    }
}

#[test]
fn another_reason_begins_anew_and_what_is_released_says_so_until_the_next_run() {
    let world = company(
        Engine::Sqlite,
        &SHADOW.replace("free_quota = 100", "billing = \"live\"\n  free_quota = 100"),
    );
    world.run(OPEN).expect(3);
    // At the price in force it is the same money now.
    assert_eq!(parked(&world)[0]["at_stake"]["in_force_amount_minor"], "21000");
    say(&world, &["park", "b"]).expect(0);
    world.run(LATER).expect(3);
    let all = parked(&world);
    let b = all.iter().find(|one| one["tenant_id"] == "b").unwrap();
    assert_eq!((&b["reason"], &b["since"]), (&"held".into(), &LATER.into()));
    say(&world, &["unpark", "b"]).expect(0);
    let all = parked(&world);
    let b = all.iter().find(|one| one["tenant_id"] == "b").unwrap();
    assert_eq!((&b["is_released"], &b["command"]), (&true.into(), &"billrecon run --period 2026-10".into()));
    world.run("2026-10-22T10:00:00Z").expect(3);
    let all = parked(&world);
    let b = all.iter().find(|one| one["tenant_id"] == "b").unwrap();
    assert_eq!((&b["reason"], &b["since"]), (&"foreign_usage".into(), &"2026-10-22T10:00:00Z".into()));
}

#[test]
fn a_month_whose_draft_hour_nobody_saw_is_named() {
    for engine in ENGINES {
        let missed = |wakes: &[&str]| {
            let world = World::remote(engine, SHADOW, &tenants(["a", "b"]), &usage([("a", "60")]), OPEN);
            for wake in wakes {
                world.run(wake).expect(0);
            }
            (status(&world)["missed_drafts"].clone(), text(&world))
        };
        let (seen, words) = missed(&[OPEN, DRAFT, FINAL]);
        assert_eq!(seen, Value::Array(Vec::new()));
        assert!(!words.contains("draft hour"), "{words}");
        // Seen before its end is not seen while its invoice was a draft.
        let (seen, words) = missed(&[OPEN, FINAL]);
        assert_eq!(seen[0], serde_json::json!({"period": "2026-10", "windows": 2, "seen": 0}));
        assert!(words.contains("warning: no wake fell into a draft hour of 2026-10"), "{words}");
    }
}
