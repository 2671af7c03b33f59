//! Alerts: what the team hears beside the verdicts, once, and what it does not hear where it wants quiet.
//!
//! In: the real binary where something is wrong, a Slack that is well. Out: the messages, one for each thing that is wrong.

use serde_json::Value;

use super::server::{FakeSlack, LONG_PATH};
use crate::billing::world::{DRAFT, OPEN, SHADOW, World, tenants, usage};
use crate::support::{CATALOG, ENGINES, Ended, Engine, TENANTS, USAGE, Workspace};

const FINAL: &str = "2026-11-01T03:00:00Z";

fn webhook(slack: &FakeSlack) -> String {
    format!("http://127.0.0.1:{}{LONG_PATH}", slack.port())
}

fn run(workspace: &Workspace, slack: &FakeSlack, arguments: &[&str]) -> Ended {
    let mut command = workspace.command(arguments);
    Ended::of(command.env("BILLRECON_SLACK_WEBHOOK_URL", webhook(slack)).output().unwrap())
}

/// The first line of each message.
fn headlines(slack: &FakeSlack) -> Vec<String> {
    let headline = |body: &str| {
        let message: Value = serde_json::from_str(body).unwrap();
        message["blocks"][0]["text"]["text"].as_str().unwrap().to_owned()
    };
    slack.requests().iter().map(|request| headline(&request.body)).collect()
}

#[test]
fn a_wake_that_fails_is_told_once_a_day_with_the_failure() {
    for engine in ENGINES {
        // No catalog: nothing can be run.
        let workspace = Workspace::new(engine);
        let slack = FakeSlack::start(&[]);
        for now in ["2026-10-01T03:00:00Z", "2026-10-01T04:00:00Z", "2026-10-02T03:00:00Z"] {
            // The machine's clock is behind none of them: the sandbox may look ahead.
            run(&workspace, &slack, &["run", "--as-of", now]).expect(78);
        }
        let told = headlines(&slack);
        assert!(told.iter().all(|line| line.starts_with("❌ RUN FAILED · all periods")), "{told:?}");
        assert_eq!(told.len(), 2, "{told:?}");
        let body = &slack.requests()[0].body;
        assert!(body.contains("no catalog has been imported"), "{body}");
        // Somebody asked for what cannot be; nobody else has to hear of it.
        workspace.import(CATALOG, TENANTS, USAGE);
        run(&workspace, &slack, &["run", "--period", "2099-01", "--as-of", FINAL]).expect(2);
        assert_eq!(slack.requests().len(), 2);
    }
}

#[test]
fn a_period_that_fails_is_told_and_the_others_are_judged() {
    let workspace = Workspace::with_watched_company(Engine::Sqlite);
    let slack = FakeSlack::start(&[]);
    // A file stands where September's folder is to be.
    std::fs::create_dir(workspace.path("reports")).unwrap();
    workspace.write("reports/2026-09", "in the way");
    run(&workspace, &slack, &["run", "--as-of", "2026-11-01T03:00:00Z"]).expect(73);
    let told = headlines(&slack);
    assert!(told.contains(&"❌ RUN FAILED · 2026-09 · SANDBOX".to_owned()), "{told:?}");
    assert!(told.iter().any(|line| line.contains("· 2026-10 ·")), "{told:?}");
    let before = told.len();
    run(&workspace, &slack, &["run", "--as-of", "2026-11-01T04:00:00Z"]).expect(73);
    assert_eq!(headlines(&slack).len(), before, "the same is not told again");
}

/// In shadow mode; the application is to send its usage, and sends none.
fn silent_application(engine: Engine) -> World {
    let world =
        World::remote(engine, SHADOW, &tenants(["a", "b"]), &usage([("a", "130"), ("b", "20")]), OPEN);
    world.workspace.write("billrecon.toml", "[push]\nmode = \"observe\"\n");
    world
}

#[test]
fn differences_of_an_open_period_are_told_when_they_stay_and_only_once() {
    let mut world = silent_application(Engine::Sqlite);
    let slack = FakeSlack::start(&[]);
    world.set("BILLRECON_SLACK_WEBHOOK_URL", &webhook(&slack));
    // The application has sent nothing; a first look may be too early.
    let told: Vec<usize> = ["2026-10-20T10:00:00Z", "2026-10-20T11:00:00Z", "2026-10-20T12:00:00Z"]
        .iter()
        .map(|now| {
            world.sandbox().move_to(now);
            Ended::of(world.command(&["run", "--as-of", now]).output().unwrap()).expect(0);
            headlines(&slack).len()
        })
        .collect();
    assert_eq!(told, [0, 1, 1]);
    let headline = &headlines(&slack)[0];
    assert!(headline.starts_with("⚠️ DIFFERENCES · 2026-10") && headline.ends_with("SANDBOX"), "{headline}");
    assert!(slack.requests()[0].body.contains("• a, "), "{}", slack.requests()[0].body);
}

#[test]
fn drafts_that_would_go_out_wrong_are_told_once_and_the_guard_still_prints_them() {
    let mut world = silent_application(Engine::Postgres);
    let slack = FakeSlack::start(&[]);
    world.sandbox().move_to(DRAFT);
    let guard =
        |world: &World| Ended::of(world.command(&["guard", "--as-of", DRAFT, "--json"]).output().unwrap());
    let silent = guard(&world).expect(3);
    world.set("BILLRECON_SLACK_WEBHOOK_URL", &webhook(&slack));
    let ended = guard(&world).expect(3);
    assert_eq!(ended.stdout, silent.stdout);
    let told = headlines(&slack);
    assert_eq!(told.len(), 1, "{told:?} {}", ended.stderr);
    assert!(told[0].starts_with("⚠️ WRONG DRAFTS · "), "{told:?}");
    guard(&world).expect(3);
    assert_eq!(headlines(&slack).len(), 1);
}

#[test]
fn a_close_that_nobody_saw_in_time_is_told_by_its_verdict_or_where_that_is_quiet_by_itself() {
    for (notify, wanted) in [("all", "❔ INSUFFICIENT_DATA"), ("changes", "⏰ MISSED CLOSE")] {
        let workspace = Workspace::new(Engine::Sqlite);
        workspace.import(CATALOG, TENANTS, USAGE);
        let slack = FakeSlack::start(&[]);
        run(&workspace, &slack, &["run", "--period", "2026-09", "--as-of", "2026-10-01T03:00:00Z"]);
        let before = headlines(&slack);
        assert!(before.len() == 1 && before[0].starts_with("❔ INSUFFICIENT_DATA · 2026-09"), "{before:?}");
        workspace.write("billrecon.toml", format!("[slack]\nnotify = \"{notify}\"\n"));
        run(&workspace, &slack, &["run", "--period", "2026-10", "--as-of", FINAL]);
        let told = headlines(&slack).split_off(1);
        assert!(told.len() == 1 && told[0].starts_with(wanted), "{notify}: {told:?}");
    }
}

#[test]
fn who_wants_to_hear_of_problems_hears_nothing_of_a_go() {
    let workspace = Workspace::with_watched_company(Engine::Sqlite);
    workspace.watch("2026-10");
    workspace.write("billrecon.toml", "[slack]\nnotify = \"problems\"\n");
    let slack = FakeSlack::start(&[]);
    let ended = run(&workspace, &slack, &["run", "--as-of", FINAL, "--json"]).expect(0);
    let problems = ended.stdout.lines().filter(|line| {
        let outcome: Value = serde_json::from_str(line).unwrap();
        !outcome["verdict"].is_null() && (outcome["verdict"] != "GO" || outcome["status"] == "partial")
    });
    assert_eq!(slack.requests().len(), problems.count(), "{}", ended.stdout);
}
