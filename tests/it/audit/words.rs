//! People's words about tenants, of which each has its row in the log: a forged one is named before a run acts on it unseen.
//!
//! In: holds and releases that were said, and rows that somebody put into their tables. Out: 65 with table and position.

use super::fault;
use crate::billing::world::{OPEN, SHADOW, World, tenants, usage};
use crate::support::{ENGINES, Ended, Engine};

fn say(world: &World, arguments: &[&str]) {
    let signed = ["--note", "seen by hand", "--by", "ada"];
    Ended::of(world.command(&[arguments, &signed].concat()).output().unwrap()).expect(0);
}

fn verify(world: &World) -> Ended {
    Ended::of(world.command(&["verify", "--all"]).output().unwrap())
}

/// A hold that has ended, one that goes on, and a release.
fn spoken(engine: Engine) -> World {
    let world = World::remote(engine, SHADOW, &tenants(["a", "b"]), &usage([("a", "130")]), OPEN);
    world.sandbox().move_to(OPEN);
    world.sandbox().send_event("cus_a", "104", "app-1");
    world.run(OPEN).expect(3);
    say(&world, &["unpark", "a", "--period", "2026-10", "--reason", "foreign_usage"]);
    say(&world, &["park", "b"]);
    say(&world, &["unpark", "b"]);
    say(&world, &["park", "b", "--period", "2026-10"]);
    verify(&world).expect(0);
    world
}

#[test]
fn a_word_that_nobody_said_to_billrecon_is_named() {
    for engine in ENGINES {
        for (table, columns, word) in [
            (
                "holds",
                "tenant_id, period, held, held_by, note, recorded_at",
                "'b', '2026-10', 0, 'ada', 'x', 1",
            ),
            (
                "releases",
                "tenant_id, period, window_start, window_end, reason, released_by, note, recorded_at",
                "'b', '2026-10', 1, 2, 'foreign_usage', 'ada', 'x', 1",
            ),
        ] {
            let world = spoken(engine);
            let forged = format!(
                "INSERT INTO {table} (position, {columns}) SELECT MAX(position) + 1, {word} FROM {table} RETURNING note"
            );
            assert_eq!(world.workspace.sql(&forged).len(), 1);
            let told = fault(&verify(&world).expect(65));
            let position = if table == "holds" { 4 } else { 2 };
            assert!(
                told.starts_with(&format!("{table}, position {position} (tenant `b`): no row ")),
                "{told}"
            );
        }
    }
}

#[test]
fn a_word_that_was_changed_or_taken_away_is_named() {
    let world = spoken(Engine::Sqlite);
    for (table, column) in [
        ("holds", "tenant_id"),
        ("holds", "period"),
        ("holds", "held"),
        ("holds", "held_by"),
        ("holds", "note"),
        ("holds", "recorded_at"),
        ("releases", "tenant_id"),
        ("releases", "window_start"),
        ("releases", "window_end"),
        ("releases", "released_by"),
        ("releases", "note"),
        ("releases", "recorded_at"),
    ] {
        world.workspace.unprotect(table);
        let cell = |value: &str| {
            world.workspace.sql(&format!(
                "UPDATE {table} SET {column} = {value} WHERE position = 1 RETURNING CAST({column} AS TEXT)"
            ))
        };
        let old = world
            .workspace
            .sql(&format!("SELECT CAST({column} AS TEXT), typeof({column}) FROM {table} WHERE position = 1"));
        let number = old[0][1] == "integer";
        let other = match column {
            "period" => "'2031-01'".to_owned(),
            "held" => "0".to_owned(),
            _ if number => format!("{} + 1", old[0][0]),
            _ => "'somebody'".to_owned(),
        };
        cell(&other);
        let told = fault(&verify(&world).expect(65));
        assert!(told.starts_with(&format!("{table}, position 1")), "{table}.{column}: {told}");
        cell(&if number { old[0][0].clone() } else { format!("'{}'", old[0][0]) });
    }
    verify(&world).expect(0);
    world.workspace.sql("DELETE FROM releases RETURNING note");
    assert!(fault(&verify(&world).expect(65)).starts_with("releases: the word that audit position "));
}
