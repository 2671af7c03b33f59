//! Logs as JSON: one object a line, with what each line concerns.

use super::{json_lines, watched};
use crate::billing::server::Act;
use crate::billing::world::{OPEN, SHADOW, World, tenants, usage};
use crate::slack::channel::{CHANNEL, Channel, TOKEN};
use crate::support::{ENGINES, Ended, Engine, Workspace};

const JSON: &[&str] = &["--log-format", "json"];

#[test]
fn each_line_of_a_period_names_it_and_the_run_as_soon_as_there_is_one() {
    for engine in ENGINES {
        let workspace = watched(engine);
        let arguments = ["run", "--period", "2026-09", "--json", "--log", "billrecon=debug"];
        let ended = workspace.run(&[JSON, &arguments].concat()).expect(0);
        let run_id = ended.json()["run_id"].as_str().unwrap().to_owned();
        let lines = json_lines(&ended.stderr);
        for line in &lines {
            let (time, level) = (line["time"].as_str().unwrap(), line["level"].as_str().unwrap());
            assert!(time.parse::<jiff::Timestamp>().is_ok(), "{time}");
            assert!(["DEBUG", "INFO", "WARN", "ERROR"].contains(&level) && line.contains_key("message"));
        }
        let stage = |name: &str| {
            let of_stage = lines.iter().filter(|line| line.get("stage").is_some_and(|stage| stage == name));
            of_stage.collect::<Vec<_>>()
        };
        // Before the run has its id; the database's thread may hold the stage open for a moment longer, until the run has it.
        assert!(
            stage("observe")
                .iter()
                .all(|line| line["period"] == "2026-09" && line.get("run_id").is_none_or(|id| id == &run_id)),
            "{}",
            ended.stderr
        );
        for name in ["compare", "commit", "files"] {
            let lines = stage(name);
            assert!(!lines.is_empty(), "{name}: {}", ended.stderr);
            assert!(
                lines.iter().all(|line| line["period"] == "2026-09" && line["run_id"] == *run_id),
                "{name}: {}",
                ended.stderr
            );
        }
        let lease =
            lines.iter().find(|line| line["message"].as_str().unwrap().starts_with("lease won")).unwrap();
        assert!(!lease.contains_key("period"), "{lease:?}");
    }
}

#[test]
fn a_line_about_a_tenant_names_it() {
    let mut world = World::remote(
        Engine::Sqlite,
        SHADOW,
        &tenants(["a", "b"]),
        &usage([("a", "130"), ("b", "20")]),
        OPEN,
    );
    let proxy = world.through_proxy();
    let refused = r#"{"error":{"type":"invalid_request_error","code":"x","message":"no\u001b[2J\u202eway"}}"#;
    proxy.rule(move |asked| {
        if asked.is_push() && asked.body.contains("cus_b") { Act::Answer(400, refused) } else { Act::Pass }
    });
    world.set("BILLRECON_LOG_FORMAT", "json");
    let ended = world.run(OPEN).expect(3);
    let lines = json_lines(&ended.stderr);
    let about: Vec<_> = lines.iter().filter(|line| line.contains_key("tenant")).collect();
    let [one] = &about[..] else { panic!("{}", ended.stderr) };
    assert_eq!((one["tenant"].as_str(), one["period"].as_str()), (Some("b"), Some("2026-10")));
    assert!(one["message"].as_str().unwrap().contains("is rejected"), "{one:?}");
    assert!(!ended.stderr.contains(['\u{1b}', '\u{202e}']), "{:?}", ended.stderr);
}

#[test]
fn what_is_said_beside_the_logs_is_an_object_too() {
    let workspace = Workspace::with_company(Engine::Sqlite);
    let failed = workspace.run(&[JSON, &["run", "--period", "2099-01"]].concat()).expect(2);
    let lines = json_lines(&failed.stderr);
    assert!(lines.last().unwrap()["message"].as_str().unwrap().starts_with("billrecon: "), "{lines:?}");
    let done = workspace.run(&[JSON, &["run", "--period", "2026-09"]].concat());
    assert!(matches!(done.code, Some(0 | 3)));
    json_lines(&done.stderr);
}

#[test]
fn text_is_for_a_person_and_another_format_is_refused() {
    let workspace = watched(Engine::Sqlite);
    let ended = workspace.run(&["run", "--period", "2026-09"]).expect(0);
    assert!(!ended.stderr.contains("period{") && !ended.stderr.contains('{'), "{}", ended.stderr);
    let ended = workspace.run(&["run", "--log-format", "xml"]).expect(78);
    assert!(ended.stderr.contains("log_format is neither text nor json"), "{}", ended.stderr);
    workspace.write("billrecon.toml", "log_format = \"json\"\n");
    json_lines(&workspace.run(&["run"]).expect(0).stderr);
}

/// An address of Slack's to which anybody may upload must not be in a log, whatever its level.
#[test]
fn an_address_for_uploads_is_not_logged() {
    let slack = Channel::start();
    let workspace = watched(Engine::Sqlite);
    workspace.write(
        "billrecon.toml",
        format!("[slack]\nchannel = \"{CHANNEL}\"\napi_base = \"{}\"\n", slack.api_base()),
    );
    let mut command = workspace.command(&["run", "--period", "2026-09", "--log", "trace"]);
    let ended = Ended::of(command.env("BILLRECON_SLACK_BOT_TOKEN", TOKEN).output().unwrap()).expect(0);
    assert!(!slack.files().is_empty() && ended.stderr.contains("TRACE"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("/upload/"), "{}", ended.stderr);
}
