//! A lease that hangs: its process is gone or stands still, and somebody must go on now.

use std::process::{Child, Stdio};
use std::sync::mpsc::{Sender, channel};

use serde_json::Value;

use super::{audited, status};
use crate::billing::server::{Act, Proxy};
use crate::billing::world::{OPEN, SHADOW, World, outcome, tenants, usage};
use crate::support::{ENGINES, Ended, Engine};

/// A run that stands still in the middle of its first push, with a lease of a minute.
struct Hung {
    world: World,
    child: Child,
    /// Lets the push go on.
    go_on: Sender<()>,
    _proxy: Proxy,
}

fn hung(engine: Engine) -> Hung {
    let mut world = World::remote(engine, SHADOW, &tenants(["a"]), &usage([("a", "60")]), OPEN);
    let proxy = world.through_proxy();
    let (comes, is_there) = channel();
    let (go_on, goes_on) = channel();
    proxy.rule(move |asked| {
        if asked.is_push() {
            comes.send(()).unwrap();
            // The test may have ended.
            let _nobody: Result<(), _> = goes_on.recv();
        }
        Act::Pass
    });
    world.sandbox().move_to(OPEN);
    let mut command = world.command(&["run", "--as-of", OPEN]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    is_there.recv().unwrap();
    Hung { world, child, go_on, _proxy: proxy }
}

fn unlock(world: &World, arguments: &[&str]) -> Ended {
    Ended::of(world.command(&[&["unlock"], arguments].concat()).output().unwrap())
}

#[test]
fn a_living_lease_is_ended_only_for_who_names_its_holder() {
    for engine in ENGINES {
        let Hung { world, mut child, go_on, _proxy } = hung(engine);
        child.kill().unwrap();
        child.wait().unwrap();
        go_on.send(()).unwrap();
        let holder = status(&world)["lease"]["holder"].as_str().unwrap().to_owned();
        let refused = unlock(&world, &["--force"]).expect(11);
        assert!(refused.stderr.contains(&format!("--holder {holder}")), "{}", refused.stderr);
        unlock(&world, &["--holder", "somebody/1"]).expect(11);
        unlock(&world, &[]).expect(2);
        unlock(&world, &["--force", "--holder", &holder]).expect(2);
        // Refusing changed nothing.
        assert_eq!(status(&world)["lease"]["holder"], holder.as_str());
        let unlocked = unlock(&world, &["--holder", &holder]).expect(0);
        assert!(unlocked.stdout.contains(&holder), "{}", unlocked.stdout);
        assert_eq!(status(&world)["lease"], Value::Null);
        assert_eq!(audited(&world, "lease_unlocked")[0]["holder"], holder.as_str());
        // Nobody waits, and nothing is sent twice.
        let again = world.run("2026-10-20T11:00:00Z").expect(0);
        assert_eq!(outcome(&again, "2026-10")["counts"]["pending_after"], 0);
        assert_eq!((world.at_stripe("a"), world.identifiers().len()), ("60".to_owned(), 1));
        let nothing = unlock(&world, &["--force"]).expect(0);
        assert!(nothing.stdout.contains("nothing to unlock"), "{}", nothing.stdout);
        assert_eq!(audited(&world, "lease_unlocked").len(), 1);
    }
}

#[test]
fn a_process_that_was_unlocked_and_lives_can_write_nothing_any_more() {
    for engine in ENGINES {
        let Hung { world, child, go_on, _proxy } = hung(engine);
        let holder = status(&world)["lease"]["holder"].as_str().unwrap().to_owned();
        let before = world.workspace.number("SELECT COUNT(*) FROM audit_log");
        unlock(&world, &["--holder", &holder]).expect(0);
        let intents = "SELECT state, CAST(attempted_at AS TEXT) FROM intents";
        let known = world.workspace.sql(intents);
        // Stripe takes the push; whatever the process makes of it, it may not be written.
        go_on.send(()).unwrap();
        let ended = Ended::of(child.wait_with_output().unwrap()).expect(11);
        assert!(ended.stderr.contains("the lease was lost"), "{}", ended.stderr);
        assert_eq!(world.workspace.sql(intents), known);
        assert_eq!(world.workspace.number("SELECT COUNT(*) FROM audit_log"), before + 1);
        world.run("2026-10-20T11:00:00Z").expect(0);
        assert_eq!((world.at_stripe("a"), world.identifiers().len()), ("60".to_owned(), 1));
    }
}

#[test]
fn a_lease_that_has_expired_is_ended_by_force() {
    for engine in ENGINES {
        let world = World::remote(engine, SHADOW, &tenants(["a"]), &usage([("a", "60")]), OPEN);
        world.run(OPEN).expect(0);
        world.workspace.sql("UPDATE lease SET holder = 'gone/1', expires_at = 1");
        let shown = Ended::of(world.command(&["status"]).output().unwrap()).expect(0).stdout;
        assert!(shown.contains("lease: free; gone/1 let it expire"), "{shown}");
        let fence = || world.workspace.number("SELECT fence FROM lease");
        let before = fence();
        unlock(&world, &["--force"]).expect(0);
        assert_eq!(fence(), before + 1);
        world.workspace.sql("UPDATE lease SET holder = 'gone/1', expires_at = 1");
        unlock(&world, &["--holder", "gone/2"]).expect(11);
        unlock(&world, &["--holder", "gone/1"]).expect(0);
    }
}
