//! A bot instead of a webhook: its message, its thread, its files, and what it says anew.
//!
//! In: the real binary on a small company, a stand-in for Slack's Web API. Out: the channel as a person sees it; each part of
//! each run once, whatever fails in between.

use serde_json::Value;

use super::channel::{CHANNEL, Channel, TOKEN};
use super::server::{Answer, FakeSlack, LONG_PATH};
use crate::support::{CATALOG, ENGINES, Ended, Engine, TENANTS, USAGE, Workspace};

const FINAL: &str = "2026-11-01T03:00:00Z";

/// Settings for the bot of this channel.
fn settings(channel: &Channel, more: &str) -> String {
    format!("[slack]\nchannel = \"{CHANNEL}\"\napi_base = \"{}\"\n{more}", channel.api_base())
}

/// A company whose two months are final.
fn company(engine: Engine, channel: &Channel, more: &str) -> Workspace {
    let workspace = Workspace::with_watched_company(engine);
    workspace.watch("2026-10");
    workspace.write("billrecon.toml", settings(channel, more));
    workspace
}

fn run(workspace: &Workspace, flags: &[&str]) -> Ended {
    let mut command = workspace.command(&[&["run", "--as-of", FINAL], flags].concat());
    Ended::of(command.env("BILLRECON_SLACK_BOT_TOKEN", TOKEN).output().unwrap())
}

fn text(post: &Value) -> &str {
    post["text"].as_str().unwrap()
}

fn periods(channel: &Channel) -> Vec<String> {
    let period = |post: super::channel::Post| text(&post.content).split(" · ").nth(1).unwrap().to_owned();
    channel.messages().into_iter().map(period).collect()
}

#[test]
fn each_judged_period_is_a_message_with_its_files_in_the_thread() {
    for engine in ENGINES {
        let channel = Channel::start();
        let workspace = company(engine, &channel, "owner = \"U024BE7LH\"\n");
        let ended = run(&workspace, &["--json"]).expect(0);
        assert!(!ended.stderr.contains("WARN"), "{}", ended.stderr);
        let messages = channel.messages();
        assert_eq!(periods(&channel), ["2026-09", "2026-10"]);
        assert!(messages.iter().all(|post| post.content["blocks"][0]["type"] == "header"));
        // The owner is the one who is mentioned.
        let blocks = messages[0].content["blocks"].to_string();
        assert!(blocks.contains("<@U024BE7LH>") && blocks.contains("SANDBOX"), "{blocks}");
        let files = channel.files();
        for (post, period) in messages.iter().zip(["2026-09", "2026-10"]) {
            let of_thread: Vec<&str> =
                files.iter().filter(|file| file.thread == post.ts).map(|file| file.name.as_str()).collect();
            let folder = workspace.report_folder(period);
            assert_eq!(of_thread, ["report.html", "report.xlsx"]);
            for file in files.iter().filter(|file| file.thread == post.ts) {
                assert_eq!(file.length as u64, folder.join(&file.name).metadata().unwrap().len());
            }
        }
        assert_eq!(channel.strangers(), 0);
        // Told once.
        let calls = channel.calls().len();
        run(&workspace, &[]).expect(0);
        assert_eq!(channel.calls().len(), calls);
        assert!(!ended.stderr.contains("s3cr3t") && !ended.stdout.contains("s3cr3t"), "{}", ended.stderr);
    }
}

#[test]
fn details_are_in_the_thread_by_ids_only() {
    let channel = Channel::start();
    let workspace = Workspace::new(Engine::Sqlite);
    // Nothing was pushed in time, so that there is something to tell.
    workspace.import(CATALOG, &TENANTS.replace(",Beta", ",Canary & Sons"), USAGE);
    workspace.write("billrecon.toml", settings(&channel, ""));
    run(&workspace, &[]).expect(3);
    let replies = channel.replies();
    let first = &channel.messages()[0];
    let details = replies.iter().find(|reply| reply.thread == first.ts).unwrap();
    let shown = details.content["blocks"].to_string();
    assert!(!details.is_broadcast && shown.contains("*Differences*") && shown.contains("beta"), "{shown}");
    assert!(!shown.contains("Canary"), "{shown}");
}

#[test]
fn what_failed_in_between_is_taken_up_where_it_ended_and_each_part_arrives_once() {
    let busy = Answer::Status(
        429,
        "{\"ok\":false,\"error\":\"ratelimited\"}",
        "Retry-After: 3600\r\nContent-Type: application/json\r\n",
    );
    let failing = Answer::Status(500, "internal_error", "");
    let cut = Answer::Close;
    for (before, method, reply, times) in [
        (0, "chat.postMessage", busy, 1),
        (0, "chat.postMessage", failing, 3),
        (0, "chat.postMessage", cut, 1),
        (0, "files.getUploadURLExternal", busy, 1),
        (0, "files.getUploadURLExternal", failing, 3),
        (0, "upload", failing, 3),
        (0, "files.completeUploadExternal", cut, 1),
        // The first file is there.
        (1, "files.getUploadURLExternal", failing, 3),
        (1, "files.completeUploadExternal", cut, 1),
    ] {
        let channel = Channel::start();
        let workspace = company(Engine::Sqlite, &channel, "");
        channel.fail_after(before, method, reply);
        for _time in 1..times {
            channel.fail(method, reply);
        }
        run(&workspace, &["--json"]).expect(0);
        run(&workspace, &[]).expect(0);
        run(&workspace, &[]).expect(0);
        assert_eq!(periods(&channel), ["2026-09", "2026-10"], "{method} {reply:?}");
        let mut names: Vec<(String, String)> =
            channel.files().into_iter().map(|file| (file.thread, file.name)).collect();
        names.sort();
        let all = names.len();
        names.dedup();
        assert_eq!((all, names.len()), (4, 4), "{method} {reply:?}: {names:?}");
        let states = workspace.sql("SELECT DISTINCT outbox.state FROM outbox");
        assert_eq!(states, [["sent"]], "{method} {reply:?}");
    }
}

#[test]
fn without_the_scope_for_files_the_message_arrives_all_the_same() {
    let channel = Channel::start();
    let workspace = company(Engine::Sqlite, &channel, "");
    for _period in 0..2 {
        let refused = "{\"ok\":false,\"error\":\"missing_scope\"}";
        channel.fail(
            "files.getUploadURLExternal",
            Answer::Status(200, refused, "Content-Type: application/json\r\n"),
        );
    }
    let ended = run(&workspace, &[]).expect(0);
    assert_eq!((periods(&channel).len(), channel.files().len()), (2, 0));
    assert!(ended.stderr.contains("files:write"), "{}", ended.stderr);
    let calls = channel.calls().len();
    run(&workspace, &[]).expect(0);
    assert_eq!(channel.calls().len(), calls);
}

#[test]
fn files_stay_here_where_the_settings_say_so() {
    let channel = Channel::start();
    let workspace = company(Engine::Sqlite, &channel, "files = false\n");
    run(&workspace, &[]).expect(0);
    assert_eq!((periods(&channel).len(), channel.files().len()), (2, 0));
    assert!(!channel.calls().iter().any(|call| call.starts_with("files.")));
}

#[test]
fn a_token_that_slack_refuses_changes_nothing_and_is_told_with_its_remedy() {
    for word in ["invalid_auth", "token_revoked", "not_in_channel", "<b>&unknown"] {
        let channel = Channel::start();
        let workspace = company(Engine::Sqlite, &channel, "");
        let body: &'static str = format!("{{\"ok\":false,\"error\":\"{word}\"}}").leak();
        for _period in 0..2 {
            channel.fail("chat.postMessage", Answer::Status(200, body, "Content-Type: application/json\r\n"));
        }
        let ended = run(&workspace, &[]).expect(0);
        let expected = match word {
            "not_in_channel" => "slack.channel",
            "<b>&unknown" => "an unknown word",
            _ => "BILLRECON_SLACK_BOT_TOKEN",
        };
        assert!(ended.stderr.contains(expected) && !ended.stderr.contains("<b>"), "{}", ended.stderr);
        run(&workspace, &[]).expect(0);
        run(&workspace, &[]).expect(0);
        assert_eq!(periods(&channel), ["2026-09", "2026-10"]);
    }
}

/// A tenant without a Stripe customer: the month is partial until somebody mends it.
fn unmapped() -> String {
    TENANTS.replace("cus_beta", "").replace("sub_beta", "")
}

#[test]
fn when_a_period_goes_on_its_message_is_changed_and_the_thread_says_so() {
    for gone in [false, true] {
        let channel = Channel::start();
        let workspace = Workspace::new(Engine::Sqlite);
        workspace.import(CATALOG, &unmapped(), USAGE);
        workspace.watch("2026-09");
        workspace.write("billrecon.toml", settings(&channel, ""));
        let close = |code: i32| {
            let mut command =
                workspace.command(&["run", "--period", "2026-09", "--as-of", "2026-10-01T03:00:00Z"]);
            Ended::of(command.env("BILLRECON_SLACK_BOT_TOKEN", TOKEN).output().unwrap()).expect(code)
        };
        close(3);
        let before = channel.messages();
        assert!(before.len() == 1 && text(&before[0].content).contains("partial"), "{before:?}");
        if gone {
            channel.forget_messages();
        }
        workspace.write("tenants.csv", TENANTS);
        workspace.run(&["import", "tenants", "tenants.csv"]).expect(0);
        let mut command =
            workspace.command(&["run", "--period", "2026-09", "--as-of", "2026-10-01T04:00:00Z"]);
        let ended = Ended::of(command.env("BILLRECON_SLACK_BOT_TOKEN", TOKEN).output().unwrap());
        let after = channel.messages();
        assert_eq!(after.len(), 1, "{after:?} {}", ended.stderr);
        assert_eq!(after[0].edits, usize::from(!gone));
        assert!(text(&after[0].content).contains("closed:"), "{after:?}");
        let told: Vec<bool> = channel.replies().iter().map(|reply| reply.is_broadcast).collect();
        assert_eq!(told.contains(&true), !gone, "{told:?}");
    }
}

#[test]
fn where_a_webhook_is_set_as_well_the_bot_is_used() {
    let (channel, webhook) = (Channel::start(), FakeSlack::start(&[]));
    let workspace = company(Engine::Sqlite, &channel, "");
    let mut command = workspace.command(&["run", "--as-of", FINAL]);
    command.env("BILLRECON_SLACK_BOT_TOKEN", TOKEN);
    command.env("BILLRECON_SLACK_WEBHOOK_URL", format!("http://127.0.0.1:{}{LONG_PATH}", webhook.port()));
    Ended::of(command.output().unwrap()).expect(0);
    assert_eq!((channel.messages().len(), webhook.requests().len()), (2, 0));
}

#[test]
fn a_bot_needs_a_channel_and_a_channel_is_an_id() {
    let workspace = Workspace::with_company(Engine::Sqlite);
    for (settings, wanted) in [
        ("", "slack.channel"),
        ("[slack]\nchannel = \"#billing\"\n", "slack.channel"),
        ("[slack]\nchannel = \"C1\"\napi_base = \"http://slack.com/api\"\n", "slack.api_base"),
        ("[slack]\nchannel = \"C1\"\nnotify = \"some\"\n", "slack.notify"),
        ("[slack]\nchannel = \"C1\"\nalert_again = \"soon\"\n", "slack.alert_again"),
        ("[slack]\nchanel = \"C1\"\n", "chanel"),
    ] {
        workspace.write("billrecon.toml", settings);
        let mut command = workspace.command(&["status"]);
        let ended = Ended::of(command.env("BILLRECON_SLACK_BOT_TOKEN", TOKEN).output().unwrap()).expect(78);
        assert!(ended.stderr.contains(wanted), "{}", ended.stderr);
    }
}
