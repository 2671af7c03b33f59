//! A stage that takes long, on a terminal and elsewhere.

use std::fs;
use std::process::{Command, Stdio};

use super::watched;
use crate::billing::server::{Act, Asked};
use crate::billing::world::{OPEN, SHADOW, World, tenants, usage};
use crate::processes::hold::Lock;
use crate::processes::wait_until;
use crate::support::Engine;

const WORDS: &str = "opening the database";

/// The same command on a terminal of its own of forty columns, whose screen goes to a file.
pub fn on_a_terminal(command: &Command, screen: &str) -> Command {
    let mut line = format!("stty cols 40 rows 24; exec '{}'", command.get_program().to_str().unwrap());
    for argument in command.get_args() {
        line += &format!(" '{}'", argument.to_str().unwrap());
    }
    let mut script = Command::new("script");
    script.args(["--quiet", "--flush", "--return", "--command", &line, screen]);
    script.current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    script.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    script
}

/// Nobody can read the schema's version; who opens the database waits.
#[test]
fn a_stage_that_takes_long_is_shown_on_a_terminal_until_it_ends() {
    let workspace = watched(Engine::Postgres);
    let lock = Lock::postgres(&workspace, "_sqlx_migrations");
    let mut child =
        on_a_terminal(&workspace.command(&["run", "--period", "2026-09"]), "screen").spawn().unwrap();
    let screen =
        || String::from_utf8_lossy(&fs::read(workspace.path("screen")).unwrap_or_default()).into_owned();
    wait_until(WORDS, || screen().contains(WORDS).then_some(()));
    drop(lock);
    assert_eq!(child.wait().unwrap().code(), Some(0), "{}", screen());
    let after = screen().rsplit_once(WORDS).unwrap().1.to_owned();
    assert!(after.contains("closed"), "{after}");
}

/// Of two questions or pushes the second one is not answered.
#[test]
fn a_stage_whose_steps_are_counted_shows_how_many_of_them_are_done() {
    let is_steps: [fn(&Asked) -> bool; 3] = [Asked::is_total, Asked::is_preview, Asked::is_push];
    let words = ["reading from Stripe", "reading from Stripe", "pushing usage"];
    for (number, (is_step, words)) in is_steps.into_iter().zip(words).enumerate() {
        let usage = usage([("a", "130"), ("b", "20")]);
        let mut world = World::remote(Engine::Sqlite, SHADOW, &tenants(["a", "b"]), &usage, OPEN);
        let proxy = world.through_proxy();
        proxy.rule(move |asked| {
            let is_of_b =
                ["cus_b", "sub_b"].iter().any(|id| asked.path.contains(id) || asked.body.contains(id));
            if is_step(asked) && is_of_b { Act::HoldBefore } else { Act::Pass }
        });
        let mut child = on_a_terminal(&world.command(&["run", "--as-of", OPEN]), "screen").spawn().unwrap();
        let is_shown = || {
            let screen = fs::read(world.workspace.path("screen")).unwrap_or_default();
            let screen = String::from_utf8_lossy(&screen).into_owned();
            screen.split(['\r', '\n']).any(|line| line.contains(words) && line.contains("1/2"))
        };
        wait_until(&format!("{words} ({number})"), || is_shown().then_some(()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

#[test]
fn without_a_terminal_or_with_json_nothing_is_shown() {
    for arguments in [&["run", "--period", "2026-09"][..], &["run", "--period", "2026-09", "--json"]] {
        let workspace = watched(Engine::Postgres);
        let lock = Lock::postgres(&workspace, "_sqlx_migrations");
        let is_json = arguments.contains(&"--json");
        let command = workspace.command(arguments);
        let child = if is_json {
            on_a_terminal(&command, "screen").spawn().unwrap()
        } else {
            let mut command = command;
            let to = fs::File::create(workspace.path("screen")).unwrap();
            command.stdout(Stdio::null()).stderr(to).spawn().unwrap()
        };
        wait_until("it waits", || {
            crate::processes::hold::waits_for(&workspace, "_sqlx_migrations").then_some(())
        });
        // Longer than a stage is silent for; a machine that stands still only makes the test weaker.
        std::thread::sleep(std::time::Duration::from_millis(1600));
        drop(lock);
        let ended = child.wait_with_output().unwrap();
        let screen = fs::read(workspace.path("screen")).unwrap();
        let screen = String::from_utf8_lossy(&screen);
        assert_eq!(ended.status.code(), Some(0), "{screen}");
        assert!(!screen.contains(WORDS), "{screen}");
    }
}
