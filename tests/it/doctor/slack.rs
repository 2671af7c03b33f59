//! A Slack that does not know us, messages that wait, certificates that are missing.
//!
//! In: a server that stands for Slack, with an answer. Out: the finding, and requests that post nothing.

use std::process::Command;

use billrecon::job::doctor::Check;
use secrecy::ExposeSecret as _;

use super::finding;
use crate::slack::server::{Answer, FakeSlack};
use crate::support::{Ended, Engine, Workspace};

const TOKEN: &str = "xoxb-c4n4ry-0";

fn with_webhook(workspace: &Workspace, slack: &FakeSlack) -> Ended {
    let mut command = workspace.command(&["doctor"]);
    Ended::of(command.env("BILLRECON_SLACK_WEBHOOK_URL", slack.webhook().expose_secret()).output().unwrap())
}

fn with_bot(workspace: &Workspace, slack: &FakeSlack) -> Ended {
    let text =
        format!("[slack]\nchannel = \"C024BE91L\"\napi_base = \"http://127.0.0.1:{}/api\"\n", slack.port());
    workspace.write("billrecon.toml", text);
    Ended::of(workspace.command(&["doctor"]).env("BILLRECON_SLACK_BOT_TOKEN", TOKEN).output().unwrap())
}

#[test]
fn a_webhook_that_slack_knows_is_well_and_gets_no_message() {
    let workspace = Workspace::new(Engine::Sqlite);
    for answer in [Answer::Status(400, "no_text", ""), Answer::Status(400, "invalid_payload", "")] {
        let slack = FakeSlack::start(&[answer]);
        assert_eq!(with_webhook(&workspace, &slack).expect(0).stdout, "");
        let requests = slack.requests();
        assert_eq!((requests.len(), requests[0].body.as_str()), (1, "{}"));
    }
    for answer in [
        Answer::Status(404, "no_service", ""),
        Answer::Status(403, "invalid_token", ""),
        Answer::Status(500, "", ""),
    ] {
        let ended = with_webhook(&workspace, &FakeSlack::start(&[answer])).expect(75);
        let line = finding(&ended, "error", Check::Slack);
        assert!(!line.contains("c4n4ry"), "{line}");
    }
}

#[test]
fn a_bot_is_asked_who_it_is() {
    let workspace = Workspace::new(Engine::Sqlite);
    let json = "Content-Type: application/json\r\n";
    let slack = FakeSlack::start(&[Answer::Status(200, r#"{"ok":true,"user_id":"U1"}"#, json)]);
    assert_eq!(with_bot(&workspace, &slack).expect(0).stdout, "");
    assert!(slack.requests()[0].line.starts_with("POST /api/auth.test "), "{:?}", slack.requests());
    let slack = FakeSlack::start(&[Answer::Status(200, r#"{"ok":false,"error":"invalid_auth"}"#, json)]);
    let line = finding(&with_bot(&workspace, &slack).expect(75), "error", Check::Slack);
    assert!(line.contains("invalid_auth") && !line.contains("c4n4ry"), "{line}");
}

#[test]
fn messages_that_wait_in_the_outbox_are_found() {
    let workspace = Workspace::with_watched_company(Engine::Sqlite);
    let broken = FakeSlack::start(&[Answer::Status(404, "no_service", "")]);
    let mut run = workspace.command(&["run", "--period", "2026-09", "--as-of", "2026-11-05T00:00:00Z"]);
    run.env("BILLRECON_SLACK_WEBHOOK_URL", broken.webhook().expose_secret());
    let ended = Ended::of(run.output().unwrap());
    assert!(ended.stderr.contains("Slack"), "{ended:?}");
    let slack = FakeSlack::start(&[Answer::Status(400, "no_text", "")]);
    let line = finding(&with_webhook(&workspace, &slack).expect(3), "warning", Check::Outbox);
    assert!(line.contains("1 messages were tried and have not arrived"), "{line}");
}

#[test]
fn a_machine_without_certificates_and_a_stripe_that_does_not_answer_are_found() {
    let workspace = Workspace::new(Engine::Sqlite);
    let stripe = |command: &mut Command| {
        Ended::of(command.env("BILLRECON_STRIPE_API_KEY", "rk_test_c4n4ry").output().unwrap())
    };
    workspace.write("none.pem", "");
    let mut command = workspace.command(&["doctor"]);
    let empty = workspace.path("empty");
    std::fs::create_dir(&empty).unwrap();
    command.env("SSL_CERT_FILE", workspace.path("none.pem")).env("SSL_CERT_DIR", empty);
    command.env("BILLRECON_STRIPE_API_BASE", "https://127.0.0.1:1/");
    finding(&stripe(&mut command).expect(78), "error", Check::Certificates);
    let mut command = workspace.command(&["doctor"]);
    finding(
        &stripe(command.env("BILLRECON_STRIPE_API_BASE", "http://127.0.0.1:1/")).expect(75),
        "error",
        Check::StripeReach,
    );
    let refused = crate::support::account::serve(
        401,
        r#"{"error":{"type":"invalid_request_error","message":"Invalid API Key"}}"#,
    );
    let mut command = workspace.command(&["doctor"]);
    let ended = stripe(command.env("BILLRECON_STRIPE_API_BASE", refused)).expect(78);
    let line = finding(&ended, "error", Check::StripeAccount);
    assert!(!line.contains("c4n4ry"), "{line}");
}
