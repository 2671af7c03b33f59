//! What a run says of what it has left, and what it does not ask for again.

use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;

use crate::billing::server::{Act, Asked};
use crate::billing::world::{FINAL, OPEN, SHADOW, World, compared, outcome, tenants, usage};
use crate::support::{ENGINES, Ended, Engine};

const BROKEN: &str = r#"{"error": {"type": "invalid_request_error", "message": "no"}}"#;

fn three() -> World {
    let records = usage([("a", "60"), ("b", "70"), ("c", "80")]);
    World::remote(Engine::Sqlite, SHADOW, &tenants(["a", "b", "c"]), &records, OPEN)
}

/// The words of a run, as a person reads them.
fn words(world: &World, as_of: &str) -> Ended {
    world.sandbox().move_to(as_of);
    Ended::of(world.command(&["run", "--as-of", as_of]).output().unwrap())
}

#[test]
fn totals_that_cannot_be_read_are_one_warning_and_pushes_that_wait_for_them_are_pending() {
    let mut world = three();
    let proxy = world.through_proxy();
    let is_refused = |asked: &Asked| asked.is_total() && !asked.path.contains("cus_c");
    proxy.rule(move |asked| if is_refused(asked) { Act::Answer(400, BROKEN) } else { Act::Pass });
    let ended = words(&world, OPEN).expect(3);
    assert_eq!(ended.stderr.matches("could not be read").count(), 1, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("2 tenants' meter totals could not be read; the first: tenant a"),
        "{}",
        ended.stderr
    );
    assert!(ended.stdout.contains("unfinished: 2 pushes wait"), "{}", ended.stdout);
    assert!(!ended.stdout.contains("exceptions.csv"), "{}", ended.stdout);
    assert_eq!(world.workspace.number("SELECT pending_after FROM billing_period_jobs"), 2);
    // What has been sent and is still unread is not due again.
    proxy.rule(|_| Act::Pass);
    world.run("2026-10-20T11:00:00Z").expect(0);
    proxy.rule(|asked| if asked.is_total() { Act::Answer(400, BROKEN) } else { Act::Pass });
    let ended = words(&world, "2026-10-20T12:00:00Z").expect(3);
    assert!(ended.stdout.contains("comparisons lack an answer of Stripe's"), "{}", ended.stdout);
    assert_eq!(world.workspace.number("SELECT pending_after FROM billing_period_jobs"), 0);
}

#[test]
fn what_is_unfinished_is_told_by_what_it_is() {
    let ids = format!("{}lost,Lost,pro,try,,,active,2026-10-01T00:00:00Z\n", tenants(["a"]));
    let world = World::new(Engine::Sqlite, SHADOW, &ids, &usage([("a", "60"), ("lost", "1")]));
    let ended = Ended::of(world.command(&["run", "--as-of", OPEN]).output().unwrap()).expect(3);
    assert!(ended.stdout.contains("unfinished: 1 tenant is parked; billrecon status"), "{}", ended.stdout);
    world.import_usage(&usage([("a", "1")]));
    let ended = Ended::of(world.command(&["run", "--as-of", FINAL]).output().unwrap()).expect(3);
    assert!(ended.stdout.contains("1 push came too late; exceptions.csv has the money"), "{}", ended.stdout);
}

#[test]
fn what_a_run_adjusts_or_finds_closed_is_not_called_refused() {
    let world = World::remote(Engine::Sqlite, SHADOW, &tenants(["a"]), &usage([("a", "60")]), OPEN);
    world.run(OPEN).expect(0);
    world.import_usage(&usage([("a", "5")]));
    let closed = words(&world, FINAL).expect(3);
    assert!(closed.stdout.contains("pushed 0, refused 0, too late 1, pending 0"), "{}", closed.stdout);
    // Stripe refused nothing, and the push that came too late has been told of.
    world.import_usage(&usage([("a", "7")]));
    let adjusts = words(&world, "2026-11-02T00:00:00Z").expect(3);
    let left: Vec<&str> = adjusts.stdout.lines().filter(|line| line.contains("unfinished: ")).collect();
    assert!(left.len() == 1 && left[0].contains("1 closed figure has late usage"), "{}", adjusts.stdout);
    assert!(
        adjusts.stdout.contains("  before: pushed 0, refused or too late 1, pending 0"),
        "{}",
        adjusts.stdout
    );
    let again = ["run", "--as-of", "2026-11-02T01:00:00Z", "--period", "2026-10"];
    let again = Ended::of(world.command(&again).output().unwrap()).expect(0);
    assert!(again.stdout.contains("nothing to do: closed by the run below"), "{}", again.stdout);
    assert!(!again.stdout.contains("unfinished"), "{}", again.stdout);
    assert!(again.stdout.contains("  before: pushed 0, refused or too late 1"), "{}", again.stdout);
}

#[test]
fn a_dry_run_counts_what_it_would_push_and_takes_it_that_it_arrives() {
    for engine in ENGINES {
        let records = usage([("a", "60"), ("b", "70")]);
        let world = World::remote(engine, SHADOW, &tenants(["a", "b"]), &records, OPEN);
        // One push is planned already, and waits.
        let off = world.workspace.write("billrecon.off", "");
        world.run(OPEN).expect(3);
        std::fs::remove_file(off).unwrap();
        world.import_usage(&usage([("b", "5")]));
        let dry = outcome(&world.run_with("2026-10-20T11:00:00Z", &["--dry-run"]).expect(0), "2026-10");
        let real = outcome(&world.run("2026-10-20T11:00:00Z").expect(0), "2026-10");
        assert_eq!((&dry["counts"], &dry["pushes"]), (&real["counts"], &real["pushes"]));
        assert_eq!(dry["counts"]["pushed"], dry["pushes"].as_array().unwrap().len());
    }
}

#[test]
fn a_push_in_doubt_is_not_repeated_once_the_wake_itself_has_grown_old() {
    let mut world = World::remote(Engine::Sqlite, SHADOW, &tenants(["a"]), &usage([("a", "60")]), OPEN);
    let proxy = world.through_proxy();
    proxy.rule(|asked| if asked.is_push() { Act::Answer(500, "{}") } else { Act::Pass });
    world.run(OPEN).expect(3);
    assert_eq!(world.intents(), [("unknown".to_owned(), 1)]);
    // A second before it is too old to be asked for again, the wake begins; and then it reads for two seconds.
    proxy.take();
    proxy.rule(|asked| {
        if asked.is_total() {
            sleep(Duration::from_secs(2));
        }
        Act::Pass
    });
    let ended = world.run("2026-10-21T08:59:59Z").expect(3);
    assert!(ended.stderr.contains("too old by now to be repeated"), "{}", ended.stderr);
    assert!(!proxy.take().iter().any(Asked::is_push));
    // A day later the total proves that it never came, and it goes out under another name.
    proxy.rule(|_| Act::Pass);
    let sent = outcome(&world.run("2026-10-22T10:00:00Z").expect(0), "2026-10");
    assert_eq!(
        (world.at_stripe("a"), compared(&sent, "a")[0].as_str()),
        ("60".to_owned(), "meter_total matched 60 60")
    );
}

#[test]
fn a_push_in_doubt_is_repeated_by_a_wake_that_is_quick() {
    // What the test above relies on.
    let mut world = World::remote(Engine::Sqlite, SHADOW, &tenants(["a"]), &usage([("a", "60")]), OPEN);
    let proxy = world.through_proxy();
    proxy.rule(|asked| if asked.is_push() { Act::Answer(500, "{}") } else { Act::Pass });
    world.run(OPEN).expect(3);
    proxy.rule(|_| Act::Pass);
    let sent = outcome(&world.run("2026-10-21T08:00:00Z").expect(0), "2026-10");
    assert_eq!((world.at_stripe("a"), &sent["counts"]["pushed"]), ("60".to_owned(), &Value::from(1)));
}
