//! SIGKILL around a push, at three points that a proxy holds open: whatever was lost, the next run ends with what the
//! ledger says at Stripe, and no identifier twice.
//!
//! A test never guesses where the kill hits: it reads the intents and Stripe's total while the process is held.

use std::collections::BTreeSet;
use std::process::Stdio;

use super::server::{Act, Proxy, SandboxProcess};
use super::world::{METER, OPEN, SHADOW, World, compared, outcome, tenants, usage};
use crate::support::{ENGINES, Engine};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Point {
    /// The request has left, and Stripe has not seen it.
    BeforeRequest,
    /// Stripe has it, and the answer was not saved.
    BeforeAnswer,
    /// The answer was saved: the next request is held.
    AfterSave,
}

/// A company whose first push was killed at a point.
struct Killed {
    world: World,
    proxy: Proxy,
}

impl Killed {
    fn at(engine: Engine, point: Point) -> Self {
        Self::on(engine, SHADOW, point)
    }

    fn on(engine: Engine, catalog: &str, point: Point) -> Self {
        let ids = tenants(["a", "b"]);
        let mut world = World::remote(engine, catalog, &ids, &usage([("a", "60"), ("b", "130")]), OPEN);
        // So that the lease of a killed process is soon over.
        world.workspace.write("billrecon.toml", "[lease]\nttl = \"1s\"\n");
        let proxy = world.through_proxy();
        let mut pushed = false;
        proxy.rule(move |asked| {
            let held = match point {
                Point::BeforeRequest | Point::BeforeAnswer => asked.is_push() && asked.body.contains("cus_a"),
                Point::AfterSave => pushed && asked.is_total(),
            };
            pushed |= asked.is_push();
            match (held, point) {
                (false, _) => Act::Pass,
                (true, Point::BeforeAnswer) => Act::HoldAfter,
                (true, Point::BeforeRequest | Point::AfterSave) => Act::HoldBefore,
            }
        });
        world.sandbox().move_to(OPEN);
        let mut command = world.command(&["run", "--as-of", OPEN]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let held = proxy.held();
        assert_eq!(held.is_push(), point != Point::AfterSave, "{}", held.path);
        assert_point_was_hit(&world, point);
        child.kill().unwrap();
        child.wait().unwrap();
        proxy.rule(|_| Act::Pass);
        proxy.take();
        Self { world, proxy }
    }

    /// Runs again, once the dead holder's lease is over.
    fn run_again(&self, as_of: &str) -> serde_json::Value {
        outcome(&self.world.run_with(as_of, &["--lock-wait", "5m"]).expect(0), "2026-10")
    }

    /// Stripe has this of both, in events that each have a name of their own.
    #[track_caller]
    fn assert_stripe_has(&self, a: &str, b: &str, events: usize) {
        assert_eq!((self.world.at_stripe("a"), self.world.at_stripe("b")), (a.to_owned(), b.to_owned()));
        let taken = self.world.identifiers();
        let distinct: BTreeSet<&String> = taken.iter().collect();
        assert_eq!((taken.len(), distinct.len()), (events, events), "{taken:?}");
    }
}

/// What the database and Stripe hold of tenant `a` while the process is held.
fn assert_point_was_hit(world: &World, point: Point) {
    let sql = "SELECT state, CASE WHEN attempted_at IS NULL THEN 'never asked' ELSE 'asked' END FROM intents
        WHERE tenant_id = 'a'";
    let state = world.workspace.sql(sql);
    let (expected, total) = match point {
        Point::BeforeRequest => (["planned", "asked"], "0"),
        Point::BeforeAnswer => (["planned", "asked"], "60"),
        Point::AfterSave => (["sent", "asked"], "60"),
    };
    assert_eq!((state, world.at_stripe("a")), (vec![expected.map(str::to_owned).to_vec()], total.to_owned()));
}

/// The same company with a gauge: its newest reading counts.
fn gauge() -> String {
    SHADOW.replace("\"sum\"", "\"last\"")
}

fn killed_and_run_again(point: Point) {
    for engine in ENGINES {
        for catalog in [SHADOW, &gauge()] {
            let killed = Killed::on(engine, catalog, point);
            let again = killed.run_again("2026-10-20T11:00:00Z");
            killed.assert_stripe_has("60", "130", 2);
            assert_eq!(compared(&again, "a"), ["meter_total matched 60 60", "preview matched 60 60"]);
            assert_eq!(killed.world.intents(), [("confirmed".to_owned(), 2)]);
        }
    }
}

#[test]
fn a_push_killed_before_stripe_saw_it_is_sent_once() {
    killed_and_run_again(Point::BeforeRequest);
}

#[test]
fn a_push_killed_before_its_answer_was_saved_is_not_billed_twice() {
    killed_and_run_again(Point::BeforeAnswer);
}

#[test]
fn a_push_killed_after_its_answer_was_saved_is_not_sent_again() {
    killed_and_run_again(Point::AfterSave);
}

#[test]
fn usage_that_comes_between_the_kill_and_the_next_run_is_sent_once_too() {
    // Of two readings of one instant that with the greater id is the newer one.
    for (catalog, total) in [(SHADOW, "67.5"), (&gauge(), "7.5")] {
        for point in [Point::BeforeRequest, Point::BeforeAnswer, Point::AfterSave] {
            between(catalog, point, &usage([("a", "60"), ("b", "130"), ("a", "7.5")]), total);
        }
    }
}

#[test]
fn a_correction_that_comes_between_the_kill_and_the_next_run_is_taken_back_once() {
    let correction = format!(
        "tenant_id,meter,quantity,occurred_at,source_event_id,kind,corrects\n\
         a,{METER},-7.5,2026-10-05T00:00:00Z,c1,correction,60-0\n"
    );
    for point in [Point::BeforeRequest, Point::BeforeAnswer, Point::AfterSave] {
        between(SHADOW, point, &correction, "52.5");
    }
}

/// One run settles the doubt and sends the rest, as a dry run has printed: in a draft hour there is no other.
#[track_caller]
fn between(catalog: &str, point: Point, more: &str, total: &str) {
    let killed = Killed::on(Engine::Sqlite, catalog, point);
    killed.world.import_usage(more);
    let planned = killed.world.run_with("2026-10-20T11:00:00Z", &["--dry-run"]);
    let again = killed.run_again("2026-10-20T11:00:00Z");
    killed.assert_stripe_has(total, "130", 3);
    assert_eq!(outcome(&planned, "2026-10")["pushes"], again["pushes"], "{point:?}");
    let rows = ["meter_total", "preview"].map(|source| format!("{source} matched {total} {total}"));
    assert_eq!(compared(&again, "a"), rows, "{point:?}");
}

/// Stripe has forgotten identifiers and keys by then.
const DAYS_LATER: &str = "2026-10-22T10:00:00Z";

fn first_identifier(sandbox: &World) -> String {
    let sql = "SELECT identifier FROM intents WHERE tenant_id = 'a' AND sequence = 1";
    sandbox.workspace.sql(sql)[0][0].clone()
}

#[test]
fn a_doubt_older_than_a_day_whose_push_never_arrived_goes_out_under_another_name() {
    for engine in ENGINES {
        let killed = Killed::at(engine, Point::BeforeRequest);
        let first = first_identifier(&killed.world);
        killed.run_again(DAYS_LATER);
        killed.assert_stripe_has("60", "130", 2);
        assert!(!killed.world.identifiers().contains(&first));
        assert_eq!(killed.world.intents(), [("confirmed".to_owned(), 2), ("rejected".to_owned(), 1)]);
    }
}

#[test]
fn a_doubt_older_than_a_day_whose_push_arrived_is_confirmed_by_reading() {
    for engine in ENGINES {
        let killed = Killed::at(engine, Point::BeforeAnswer);
        let first = first_identifier(&killed.world);
        killed.run_again(DAYS_LATER);
        killed.assert_stripe_has("60", "130", 2);
        assert!(killed.world.identifiers().contains(&first));
        // Stripe would take the forgotten name again, and bill it twice: nothing of this tenant was even asked.
        let pushes = killed.proxy.take().into_iter().filter(super::server::Asked::is_push);
        assert_eq!(pushes.filter(|push| push.body.contains("cus_a")).count(), 0);
        assert_eq!(killed.world.intents(), [("confirmed".to_owned(), 2)]);
    }
}

#[test]
fn the_sandbox_bills_a_name_twice_that_comes_again_after_a_day() {
    // What the two tests above rely on.
    let world = World::remote(Engine::Sqlite, SHADOW, &tenants(["a"]), &usage([]), OPEN);
    let sandbox: &SandboxProcess = world.sandbox();
    sandbox.move_to("2026-10-20T10:00:00Z");
    sandbox.send_event("cus_a", "5", "name");
    sandbox.move_to(DAYS_LATER);
    sandbox.send_event("cus_a", "5", "name");
    assert_eq!(world.at_stripe("a"), "10");
}
