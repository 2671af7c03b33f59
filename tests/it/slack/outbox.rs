//! The job tells Slack what it has decided, and nothing that Slack does changes what was decided.
//!
//! In: the real binary on a small company, and a Slack that is well, down, busy, silent or has revoked the webhook. Out:
//! messages as they arrive, exit codes, every row of the database, every data file. No test depends on how long a wait
//! takes.

use std::collections::BTreeMap;

use serde_json::Value;

use super::server::{Answer, FakeSlack, LONG_PATH, Request};
use crate::support::{CATALOG, ENGINES, Ended, Engine, TENANTS, USAGE, Workspace};

/// September and October are final then.
const FINAL: &str = "2026-11-01T03:00:00Z";
/// Port 1 is never given to anybody.
const REFUSED: &str = "http://127.0.0.1:1";
/// Differs from run to run, whatever the Slack: ids and hashes over them, processes, the machine's time.
const OF_ONE_RUN: [&str; 11] = [
    "run_id",
    "receipt",
    "holder",
    "hash",
    "details",
    "manifest_sha256",
    "ledger_recorded_at",
    "recorded_at",
    "acquired_at",
    "renewed_at",
    "expires_at",
];

/// A run with a webhook at this origin.
fn run(workspace: &Workspace, origin: &str, flags: &[&str]) -> Ended {
    let mut command = workspace.command(&[&["run", "--as-of", FINAL], flags].concat());
    command.env("BILLRECON_SLACK_WEBHOOK_URL", format!("{origin}{LONG_PATH}"));
    Ended::of(command.output().unwrap())
}

fn origin(slack: &FakeSlack) -> String {
    format!("http://127.0.0.1:{}", slack.port())
}

/// Both months were looked at in time: closing them finds nothing wrong.
fn watched(engine: Engine) -> Workspace {
    let workspace = Workspace::with_watched_company(engine);
    workspace.watch("2026-10");
    workspace
}

/// State, tries and problem of each message, oldest first.
fn outbox(workspace: &Workspace) -> Vec<(String, i64, String)> {
    let sql = "SELECT outbox.state, CAST(attempts AS TEXT), problem FROM outbox, runs WHERE outbox.run_id = runs.run_id \
               ORDER BY period";
    let row = |row: Vec<String>| (row[0].clone(), row[1].parse().unwrap(), row[2].clone());
    workspace.sql(sql).into_iter().map(row).collect()
}

/// The runs that have judged, oldest period first.
fn judges(workspace: &Workspace) -> Vec<String> {
    let rows = workspace.sql("SELECT run_id FROM runs WHERE verdict <> '' ORDER BY period");
    rows.into_iter().flatten().collect()
}

/// The run that a message is about.
fn run_of(request: &Request) -> String {
    let message: Value = serde_json::from_str(&request.body).unwrap();
    let context = message["blocks"].as_array().unwrap().last().unwrap();
    let text = context["elements"][0]["text"].as_str().unwrap();
    text.strip_prefix("run ").unwrap().to_owned()
}

fn runs_of(slack: &FakeSlack) -> Vec<String> {
    slack.requests().iter().map(run_of).collect()
}

/// Every row of every table but the outbox.
fn database(workspace: &Workspace) -> BTreeMap<String, Vec<Vec<String>>> {
    let columns = if workspace.url.starts_with("sqlite:") {
        "SELECT tables.name, columns.name FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns
         WHERE tables.type = 'table' ORDER BY tables.name, columns.cid"
    } else {
        "SELECT CAST(table_name AS TEXT), CAST(column_name AS TEXT) FROM information_schema.columns
         WHERE table_schema = 'public' ORDER BY table_name, ordinal_position"
    };
    let mut tables: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for row in workspace.sql(columns) {
        if row[0] != "outbox" && !row[0].starts_with("_sqlx") && !OF_ONE_RUN.contains(&&*row[1]) {
            tables.entry(row[0].clone()).or_default().push(format!("COALESCE(CAST({} AS TEXT), '')", row[1]));
        }
    }
    let rows = |(table, columns): (String, Vec<String>)| {
        let places: Vec<String> = (1..=columns.len()).map(|place| place.to_string()).collect();
        let (columns, places) = (columns.join(", "), places.join(", "));
        let mut rows = workspace.sql(&format!("SELECT {columns} FROM {table} ORDER BY {places}"));
        if table == "run_evidence" {
            for row in &mut rows {
                forget_request(&mut row[1]);
            }
            rows.sort();
        }
        (table, rows)
    };
    tables.into_iter().map(rows).collect()
}

/// Requests go out side by side, so their ids fall differently from run to run.
fn forget_request(evidence: &mut String) {
    let mut body: Value = serde_json::from_str(evidence).unwrap();
    assert!(body.as_object_mut().unwrap().remove("request_id").is_some());
    *evidence = body.to_string();
}

/// Closes two months with this Slack and with a healthy one. All is the same but for the outbox and a warning, and the
/// next run sends what was not sent.
#[track_caller]
fn changes_nothing(engine: Engine, ill: &str, problem: &str) {
    let well = FakeSlack::start(&[]);
    let (healthy, tried) = (watched(engine), watched(engine));
    let expected = run(&healthy, &origin(&well), &["--json"]).expect(0);
    let ended = run(&tried, ill, &["--json"]).expect(0);
    assert!(ended.stderr.contains("WARN") && ended.stderr.contains(problem), "{}", ended.stderr);
    assert!(!expected.stderr.contains("WARN"), "{}", expected.stderr);
    for part in LONG_PATH.split('/').filter(|part| part.len() > 8) {
        assert!(!ended.stderr.contains(part) && !ended.stdout.contains(part), "{}", ended.stderr);
        assert!(!outbox(&tried).iter().any(|row| row.2.contains(part)));
    }
    for period in ["2026-09", "2026-10"] {
        assert!(tried.data_files(period) == healthy.data_files(period), "{period}");
    }
    let of_healthy = database(&healthy);
    for (table, rows) in database(&tried) {
        assert_eq!(rows, of_healthy[&table], "{table}");
    }
    let sent = ("sent".to_owned(), 1, String::new());
    assert_eq!(outbox(&healthy), [sent.clone(), sent.clone()]);
    let kept = outbox(&tried);
    assert_eq!((&*kept[0].0, kept[0].1, &*kept[1].0, kept[1].1), ("planned", 1, "planned", 0));
    assert!(kept[0].2.contains(problem) && kept[1].2.is_empty(), "{kept:?}");

    let again = FakeSlack::start(&[]);
    for _wake in 0..2 {
        run(&tried, &origin(&again), &[]).expect(0);
        assert_eq!(runs_of(&again), judges(&tried));
    }
    assert_eq!(outbox(&tried), [("sent".to_owned(), 2, String::new()), sent]);
}

#[test]
fn a_slack_that_is_down_changes_nothing_and_gets_the_message_from_the_next_run() {
    for engine in ENGINES {
        changes_nothing(engine, REFUSED, "cannot be reached");
    }
}

#[test]
fn a_slack_that_always_fails_changes_nothing_and_gets_the_message_from_the_next_run() {
    let failing = FakeSlack::start(&[Answer::Status(500, "internal_error", ""); 9]);
    changes_nothing(Engine::Sqlite, &origin(&failing), "is failing: status 500");
    assert_eq!(failing.requests().len(), 3);
}

#[test]
fn a_slack_that_is_busy_changes_nothing_and_gets_the_message_from_the_next_run() {
    let busy = FakeSlack::start(&[Answer::Status(429, "rate_limited", "Retry-After: 3600\r\n"); 9]);
    changes_nothing(Engine::Sqlite, &origin(&busy), "asks for fewer messages");
    assert_eq!(busy.requests().len(), 1);
}

/// The one slow case: it takes the ten seconds that the program waits for an answer.
#[test]
fn a_slack_that_says_nothing_changes_nothing_and_gets_the_message_from_the_next_run() {
    let silent = FakeSlack::start(&[Answer::Hang; 9]);
    changes_nothing(Engine::Sqlite, &origin(&silent), "did not answer in time");
    assert_eq!(silent.requests().len(), 1);
}

/// All texts of a message, in the order in which they are read.
fn texts(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) => found.push(text.clone()),
        Value::Array(elements) => elements.iter().for_each(|one| texts(one, found)),
        Value::Object(members) => members.values().for_each(|one| texts(one, found)),
        _ => {}
    }
}

#[test]
fn each_judged_period_is_told_once_verdict_first_and_in_ids_only() {
    for engine in ENGINES {
        let workspace = Workspace::new(engine);
        let tenants =
            TENANTS.replace("acme,Acme", "<!channel>,Canary Ltd").replace(",Beta", ",Canary & Sons");
        // Nothing was pushed in time, so that every tenant with usage is named.
        workspace.import(CATALOG, &tenants, &USAGE.replace("acme,", "<!channel>,"));
        let slack = FakeSlack::start(&[]);
        let ended = run(&workspace, &origin(&slack), &["--json"]).expect(3);
        let outcomes: Vec<Value> =
            ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let judged: Vec<&Value> = outcomes.iter().filter(|one| !one["verdict"].is_null()).collect();
        let requests = slack.requests();
        assert_eq!((judged.len(), requests.len()), (2, 2), "{}", ended.stdout);
        for (outcome, request) in judged.iter().zip(&requests) {
            let (verdict, period) =
                (outcome["verdict"].as_str().unwrap(), outcome["period"].as_str().unwrap());
            let message: Value = serde_json::from_str(&request.body).unwrap();
            assert_eq!(message["blocks"][0]["type"], "header");
            let header = message["blocks"][0]["text"]["text"].as_str().unwrap();
            let fallback = message["text"].as_str().unwrap().lines().next().unwrap();
            for first in [header, fallback] {
                let (_symbol, words) = first.split_once(' ').unwrap();
                assert_eq!(words, format!("{verdict} · {period} · SANDBOX"));
            }
            assert_eq!(run_of(request), outcome["run_id"]);
            let mut read = Vec::new();
            texts(&message, &mut read);
            assert!(!read.iter().any(|text| text.contains("Canary")), "{read:#?}");
            assert!(!read.iter().any(|text| text.contains("<!")), "{read:#?}");
        }
        let september = &requests[0].body;
        assert!(september.contains("&lt;!channel&gt;") && september.contains("beta"), "{september}");
        // Told once: the next wake has nothing to say.
        run(&workspace, &origin(&slack), &[]);
        assert_eq!(slack.requests().len(), 2);
        assert!(outbox(&workspace).iter().all(|row| *row == ("sent".to_owned(), 1, String::new())));
    }
}

#[test]
fn of_an_open_period_slack_hears_nothing() {
    for engine in ENGINES {
        let workspace = Workspace::with_company(engine);
        let slack = FakeSlack::start(&[]);
        let arguments = ["run", "--as-of", "2026-09-20T00:00:00Z", "--json"];
        let mut command = workspace.command(&arguments);
        command.env("BILLRECON_SLACK_WEBHOOK_URL", format!("{}{LONG_PATH}", origin(&slack)));
        let outcome = Ended::of(command.output().unwrap()).expect(0).json();
        assert_eq!((&outcome["status"], &outcome["verdict"]), (&"open".into(), &Value::Null));
        assert_ne!(outcome["counts"]["pushed"], 0);
        assert!(slack.requests().is_empty() && outbox(&workspace).is_empty());
    }
}

#[test]
fn without_a_webhook_the_message_is_on_stderr_and_stdout_holds_json_only() {
    for engine in ENGINES {
        let workspace = watched(engine);
        let ended = workspace.run(&["run", "--as-of", FINAL, "--json"]).expect(0);
        let outcomes: Vec<Value> =
            ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for outcome in outcomes.iter().filter(|one| !one["verdict"].is_null()) {
            let line = format!(
                "{} · {} · SANDBOX",
                outcome["verdict"].as_str().unwrap(),
                outcome["period"].as_str().unwrap()
            );
            assert_eq!(ended.stderr.matches(&line).count(), 1, "{}", ended.stderr);
        }
        assert_eq!(judges(&workspace).len(), 2);
        // Read by a person already: a webhook that is set later does not hear of it.
        let slack = FakeSlack::start(&[]);
        run(&workspace, &origin(&slack), &[]).expect(0);
        assert!(slack.requests().is_empty() && outbox(&workspace).is_empty());
    }
}

#[test]
fn a_message_that_slack_refuses_holds_up_no_other() {
    for engine in ENGINES {
        let workspace = watched(engine);
        let slack = FakeSlack::start(&[Answer::Status(400, "invalid_blocks", "")]);
        let ended = run(&workspace, &origin(&slack), &[]).expect(0);
        assert!(ended.stderr.contains("refused the message with status 400"), "{}", ended.stderr);
        let states: Vec<String> = outbox(&workspace).into_iter().map(|row| row.0).collect();
        assert_eq!(
            (runs_of(&slack), states),
            (judges(&workspace), ["planned", "sent"].map(str::to_owned).to_vec())
        );
        // Slack may think better of it.
        run(&workspace, &origin(&slack), &[]).expect(0);
        assert_eq!(run_of(&slack.requests()[2]), judges(&workspace)[0]);
        assert!(outbox(&workspace).iter().all(|row| row.0 == "sent" && row.2.is_empty()));
    }
}

#[test]
fn a_revoked_webhook_keeps_the_message_for_a_new_one() {
    let workspace = watched(Engine::Sqlite);
    let revoked = FakeSlack::start(&[Answer::Status(404, "no_service", ""); 9]);
    let ended = run(&workspace, &origin(&revoked), &[]).expect(0);
    assert!(ended.stderr.contains("BILLRECON_SLACK_WEBHOOK_URL"), "{}", ended.stderr);
    let kept = outbox(&workspace);
    assert_eq!((kept.len(), &*kept[0].0, revoked.requests().len()), (2, "planned", 1));
    assert!(kept[0].2.contains("no longer knows the webhook"), "{kept:?}");
    // A dry run sends nothing, not even this.
    let new = FakeSlack::start(&[]);
    run(&workspace, &origin(&new), &["--dry-run"]).expect(0);
    assert_eq!((new.requests().len(), outbox(&workspace)), (0, kept));
    run(&workspace, &origin(&new), &[]).expect(0);
    assert_eq!(runs_of(&new), judges(&workspace));
}
