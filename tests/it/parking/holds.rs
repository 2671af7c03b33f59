//! `park` and `unpark` of a tenant that nothing is wrong with.

use super::{audited, exceptions, say, status};
use crate::billing::server::Act;
use crate::billing::world::{
    DRAFT, FINAL, OPEN, Row, SHADOW, World, compared, outcome, table, tenants, usage,
};
use crate::support::{ENGINES, Engine};

const LATER: &str = "2026-11-01T02:30:00Z";

fn two(engine: Engine) -> World {
    World::remote(engine, SHADOW, &tenants(["a", "b"]), &usage([("a", "160"), ("b", "130")]), OPEN)
}

fn totals(world: &World) -> (String, String) {
    (world.at_stripe("a"), world.at_stripe("b"))
}

fn pair(a: &str, b: &str) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

#[test]
fn nothing_of_a_held_tenant_is_sent_or_closed_and_the_others_go_on() {
    for engine in ENGINES {
        let world = two(engine);
        say(&world, &["park", "a"]).expect(0);
        let planned = outcome(&world.run_with(OPEN, &["--dry-run"]).expect(3), "2026-10");
        let open = outcome(&world.run(OPEN).expect(3), "2026-10");
        assert_eq!(planned["pushes"], open["pushes"]);
        assert_eq!(exceptions(&open), ["a parked held"]);
        assert_eq!((totals(&world), open["counts"]["pending_after"].as_i64()), (pair("0", "130"), Some(1)));
        world.run(DRAFT).expect(3);
        let closed = outcome(&world.run(FINAL).expect(3), "2026-10");
        assert_eq!((&closed["status"], &closed["counts"]["closed"]), (&"partial".into(), &1.into()));
        // While it is held every wake says the same.
        world.run(LATER).expect(3);
        assert_eq!(totals(&world), pair("0", "130"));

        say(&world, &["unpark", "a"]).expect(0);
        let done = outcome(&world.run(LATER).expect(3), "2026-10");
        assert_eq!(done["status"], "closed");
        // What was kept back did not come late.
        let reason = "not sent while the tenant was parked, and now the invoice is final";
        assert_eq!(exceptions(&done), [format!("a unbillable {reason}")]);
        assert_eq!(table(&done, "exceptions")[0]["amount"], "420.00");
        let rows =
            ["invoice quantity_mismatch 160 0 not_pushed", "meter_total quantity_mismatch 160 0 not_pushed"];
        assert_eq!(compared(&done, "a"), rows);
        world.run(LATER).expect(0);
        assert_eq!(totals(&world), pair("0", "130"));
    }
}

#[test]
fn what_was_kept_back_is_not_late_because_an_answer_was_missing_in_between() {
    for engine in ENGINES {
        let mut world = two(engine);
        let proxy = world.through_proxy();
        say(&world, &["park", "a"]).expect(0);
        for wake in [OPEN, DRAFT, FINAL] {
            world.run(wake).expect(3);
        }
        say(&world, &["unpark", "a"]).expect(0);
        proxy.rule(|asked| if asked.is_total() { Act::Answer(400, "{}") } else { Act::Pass });
        // Twice: the second run knows of no other reason than this one.
        for wake in [LATER, "2026-11-01T03:30:00Z"] {
            assert_eq!(exceptions(&outcome(&world.run(wake).expect(3), "2026-10")), ["a parked incomplete"]);
        }
        proxy.rule(|_| Act::Pass);
        let done = outcome(&world.run("2026-11-01T04:30:00Z").expect(3), "2026-10");
        let reason = "not sent while the tenant was parked, and now the invoice is final";
        assert_eq!(exceptions(&done), [format!("a unbillable {reason}")]);
        assert_eq!(compared(&done, "a")[1], "meter_total quantity_mismatch 160 0 not_pushed");
    }
}

#[test]
fn a_tenant_that_may_go_on_in_time_is_sent_whole() {
    for engine in ENGINES {
        let world = two(engine);
        say(&world, &["park", "a", "--period", "2026-10"]).expect(0);
        world.run(OPEN).expect(3);
        say(&world, &["unpark", "a", "--period", "2026-10"]).expect(0);
        world.run(DRAFT).expect(0);
        assert_eq!(totals(&world), pair("160", "130"));
        let closed = outcome(&world.run(FINAL).expect(0), "2026-10");
        assert_eq!(closed["status"], "closed");
        assert_eq!(compared(&closed, "a"), ["invoice matched 160 160", "meter_total matched 160 160"]);
    }
}

/// What is parked is stored with the rules of then, and counted by those of now.
#[test]
fn a_window_that_was_parked_closes_by_the_rules_that_hold_when_it_closes() {
    for engine in ENGINES {
        let world = two(engine);
        say(&world, &["park", "a"]).expect(0);
        for wake in [OPEN, DRAFT, FINAL] {
            world.run(wake).expect(3);
        }
        let ruled = SHADOW
            .replace("aggregation = \"sum\"", "aggregation = \"sum\"\nbillable = [\"outcome = success\"]");
        world.workspace.write("ruled.toml", ruled);
        world.workspace.run(&["import", "catalog", "ruled.toml"]).expect(0);
        say(&world, &["unpark", "a"]).expect(0);
        let done = outcome(&world.run(LATER).expect(0), "2026-10");
        assert_eq!(done["status"], "closed");
        // No record says `success`; what closed before stands.
        assert_eq!(exceptions(&done), ["a excluded not_billable"]);
        assert_eq!(compared(&done, "a"), ["invoice matched 0 0", "meter_total matched 0 0"]);
        let lines = table(&done, "lines");
        let usage = |row: &&Row| row["kind"] == "usage";
        let usage = lines.iter().filter(usage).map(|row| [&*row["tenant_id"], &*row["quantity"]].join(" "));
        assert_eq!(usage.collect::<Vec<_>>(), ["b 100", "b 30"]);
    }
}

#[test]
fn a_hold_of_one_period_leaves_the_next_alone() {
    let world = two(Engine::Sqlite);
    say(&world, &["park", "a", "--period", "2026-10"]).expect(0);
    let november = "tenant_id,meter,quantity,occurred_at,source_event_id\n\
                    a,b2b.match_request,7,2026-11-01T00:10:00Z,n1\n";
    world.import_usage(november);
    let ended = world.run(DRAFT).expect(3);
    assert_eq!(exceptions(&outcome(&ended, "2026-10")), ["a parked held"]);
    assert_eq!(outcome(&ended, "2026-11")["counts"]["pushed"], 1);
    // Held for good, November stops too.
    say(&world, &["park", "a"]).expect(0);
    let ended = world.run(FINAL).expect(3);
    assert_eq!(exceptions(&outcome(&ended, "2026-11")), ["a parked held"]);
    let ended = say(&world, &["unpark", "a", "--period", "2026-11"]).expect(2);
    assert!(ended.stderr.contains("held in every period"), "{}", ended.stderr);
    // One word ends both.
    say(&world, &["unpark", "a"]).expect(0);
    world.run(FINAL).expect(3);
    assert_eq!(outcome(&world.run(LATER).expect(0), "2026-11")["counts"]["parked"], 0);
}

#[test]
fn a_word_given_twice_is_written_once() {
    for engine in ENGINES {
        let world = two(engine);
        let first = say(&world, &["park", "a", "--json"]).expect(0).json();
        let second = say(&world, &["park", "a", "--json"]).expect(0).json();
        assert_eq!((&first["is_new"], &second["is_new"]), (&true.into(), &false.into()));
        assert_eq!(first["since"], second["since"]);
        assert_eq!(world.workspace.number("SELECT COUNT(*) FROM holds"), 1);
        say(&world, &["unpark", "a"]).expect(0);
        let nothing = say(&world, &["unpark", "a"]).expect(0);
        assert!(nothing.stdout.contains("nothing to release"), "{}", nothing.stdout);
        assert_eq!(world.workspace.number("SELECT COUNT(*) FROM holds"), 2);
        let (held, released) = (audited(&world, "tenant_held"), audited(&world, "tenant_released"));
        assert_eq!((held.len(), released.len()), (1, 1));
        assert_eq!((&held[0]["by"], &held[0]["note"]), (&"ada".into(), &"seen by hand".into()));
        assert_eq!((&released[0]["tenant_id"], &released[0]["reason"]), (&"a".into(), &"held".into()));
    }
}

#[test]
fn who_is_not_there_cannot_be_held_and_a_word_needs_a_note() {
    let world = two(Engine::Sqlite);
    for command in ["park", "unpark"] {
        let ended = say(&world, &[command, "nobody"]).expect(2);
        assert!(ended.stderr.contains("there is no tenant `nobody`"), "{}", ended.stderr);
        world.workspace.run(&[command, "a"]).expect(2);
        world.workspace.run(&[command, "a", "--note", " "]).expect(2);
    }
    let named = world.command(&["park", "a", "--note", "x"]).env("USER", "grace").output().unwrap();
    assert!(named.status.success());
    assert_eq!(status(&world)["new_holds"][0]["by"], "grace");
}
