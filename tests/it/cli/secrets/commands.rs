//! Every command with a key, a webhook and a password that are right, at trace level.
//!
//! In: a company, `billrecon sandbox` behind it, a Slack that listens. Out: neither what they print nor what they leave behind
//! holds a secret, and no command of the program is left out.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{CANARY, KEY, scanner};
use crate::billing::world::{FINAL, OPEN, SHADOW, World, tenants, usage};
use crate::cli::run;
use crate::dry_run::known;
use crate::processes::wait_until;
use crate::slack::server::FakeSlack;
use crate::support::{ENGINES, Ended, Engine, signal};

/// Stands for the run that has closed the month.
const RUN: &str = "RUN";
/// In an order in which each has something to do.
const COMMANDS: &[&[&str]] = &[
    &["init", "fresh"],
    &["config", "show", "--origin"],
    &["config", "show", "--json"],
    &["doctor", "--json"],
    &["import", "catalog", "catalog.toml", "--dry-run"],
    &["import", "catalog", "catalog.toml"],
    &["import", "tenants", "tenants.csv", "--json"],
    &["import", "usage", "usage.csv"],
    &["rate", "--catalog", "catalog.toml", "--plan", "pro", "--use", "b2b.match_request=250"],
    &["run", "--dry-run", "--as-of", OPEN],
    &["run", "--json", "--as-of", OPEN],
    &["run", "--what-if", "--as-of", OPEN],
    &["run", "--json", "--as-of", FINAL],
    &["explain", "a", "--period", "2026-10", "--records"],
    &["report", "--period", "2026-10", "--restated"],
    &["decide", "--period", "2026-10"],
    &["verify", "--period", "2026-10"],
    &["verify", "--all", "--json"],
    &["price", "suggest"],
    &["price", "simulate", "--prices", "5,6"],
    &["approve", RUN, "--by", "Ada", "--note", "seen"],
    &["park", "b", "--note", "asked for"],
    &["unpark", "b", "--note", "settled"],
    &["unlock", "--force"],
    &["guard", "--json"],
    &["status"],
    &["status", "--json"],
    &["demo"],
    &["completions", "bash"],
    &["man"],
    &["help", "run"],
];
/// They stay until they are told to end; what each says when it is at work.
const STAYING: &[(&[&str], &str)] = &[
    (&["serve", "--schedule", "0 0 1 1 *"], "the next wake is at"),
    (&["sandbox", "--state", "other.sandbox"], "http://"),
];

#[test]
fn no_command_of_the_program_is_left_out() {
    let folder = tempfile::tempdir().unwrap();
    let help = run(folder.path(), &["--help"]).expect(0).stdout;
    let listed = help.split("Commands:\n").nth(1).unwrap().lines().take_while(|line| !line.is_empty());
    let names = listed.filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let mut watched = COMMANDS.iter().chain(STAYING.iter().map(|(command, _)| command));
    let missing: Vec<&str> =
        names.filter(|name| !name.is_empty() && watched.clone().all(|command| command[0] != *name)).collect();
    assert_eq!(missing, [""; 0]);
    assert!(watched.all(|command| help.contains(&format!("\n  {} ", command[0]))));
}

#[test]
fn no_command_shows_a_secret_that_is_right() {
    for engine in ENGINES {
        let records = usage([("a", "130"), ("b", "20"), ("a", "1"), ("a", "2"), ("b", "3")]);
        let mut world = World::remote(engine, SHADOW, &tenants(["a", "b"]), &records, OPEN);
        let slack = FakeSlack::start(&[]);
        let with_password = world.workspace.url.replacen("billrecon@", &format!("billrecon:{CANARY}@"), 1);
        assert_eq!(with_password.contains(CANARY), engine == Engine::Postgres);
        world.set("BILLRECON_DATABASE_URL", &with_password);
        world.set("BILLRECON_STRIPE_API_KEY", &format!("rk_test_{KEY}"));
        world.set(
            "BILLRECON_SLACK_WEBHOOK_URL",
            &format!("http://127.0.0.1:{}{}", slack.port(), crate::slack::server::LONG_PATH),
        );
        let check = FakeSlack::start(&[]);
        world.set(
            "BILLRECON_PING_URL",
            &format!("http://127.0.0.1:{}{}", check.port(), crate::slack::server::LONG_PATH),
        );
        for command in COMMANDS {
            if let [.., "--as-of", instant] = command {
                world.sandbox().move_to(instant);
            }
            // The open month was looked at before.
            let closed = || world.workspace.report_folders("2026-10").pop().unwrap();
            let run_id = if command.contains(&RUN) { closed() } else { PathBuf::new() };
            let run_id = run_id.file_name().unwrap_or_default();
            let given: Vec<&str> =
                command.iter().map(|one| if *one == RUN { run_id.to_str().unwrap() } else { *one }).collect();
            let ended = Ended::of(traced(&world, &given).output().unwrap()).expect(0);
            // The help has no log.
            assert!(ended.stderr.contains("TRACE") || !["run", "demo"].contains(&command[0]), "{command:?}");
            scanner().clears(&ended);
        }
        // One month, and those of the demo.
        assert!(slack.requests().len() > 1, "{:?}", slack.requests());
        for (command, at_work) in STAYING {
            stay(&world, command, at_work);
        }
        // `serve` at its start; the runs before looked back, as far as the command line tells.
        assert!(!check.requests().is_empty());
        assert!(!world.workspace.report_folders("2026-10").is_empty());
        scanner().clears_files(world.workspace.folder.path());
        if engine == Engine::Postgres {
            assert_eq!(scanner().find(format!("{:?}", known(&world.workspace)).as_bytes()), [""; 0]);
        }
    }
}

fn traced(world: &World, command: &[&str]) -> Command {
    world.command(&[&["--log", "trace"], command].concat())
}

/// What it says goes to files beside the others.
fn stay(world: &World, command: &[&str], at_work: &str) {
    let path = |stream: &str| world.workspace.path(&format!("{}.{stream}", command[0]));
    let mut to_files = traced(world, command);
    to_files.stdout(File::create(path("stdout")).unwrap()).stderr(File::create(path("stderr")).unwrap());
    let mut child = to_files.stdin(Stdio::null()).spawn().unwrap();
    let said = || ["stdout", "stderr"].map(|stream| fs::read_to_string(path(stream)).unwrap()).concat();
    wait_until(at_work, || said().contains(at_work).then_some(()));
    if command[0] == "sandbox" {
        let url = fs::read_to_string(path("stdout")).unwrap().trim().to_owned();
        let mut asking = traced(world, &["run", "--dry-run", "--as-of", FINAL]);
        asking.env("BILLRECON_STRIPE_API_BASE", url);
        // It has none of the company's prices.
        scanner().clears(&Ended::of(asking.output().unwrap()).expect(78));
    }
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143), "{}", said());
}
