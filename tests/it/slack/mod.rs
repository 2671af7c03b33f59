//! Posting to Slack, seen from the other side: a server on this machine that answers as Slack does, or badly.
//!
//! In: scripted answers. Out: what arrived, how often, and which error the caller got. Never an error or a log line with
//! the webhook's path in it.

mod alerts;
mod bot;
pub mod channel;
mod outbox;
mod payloads;
mod reminders;
pub mod server;

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use billrecon::domain::decide::VerdictWord;
use billrecon::notify::slack::{Patience, SlackError, post, post_within, render};
use billrecon::notify::{Notice, Topic};
use secrecy::SecretString;
use serde_json::Value;

use crate::support::block_on;
use server::{Answer, FakeSlack, LONG_PATH};

/// Short pauses, so that a test does not wait; the limits themselves are far away.
fn patience() -> Patience {
    Patience {
        attempt: Duration::from_mins(1),
        total: Duration::from_mins(2),
        attempts: 3,
        first_pause: Duration::from_millis(1),
        longest_pause: Duration::from_secs(2),
    }
}

fn body() -> String {
    render(&Notice {
        reasons: vec!["<!channel> & \"friends\"".to_owned()],
        ..Notice::new(Topic::Verdict(VerdictWord::NoGo), "2026-10".to_owned(), "SANDBOX".to_owned())
    })
    .json
}

fn posted(answers: &[Answer]) -> (FakeSlack, Result<(), SlackError>) {
    posted_within(answers, &patience())
}

fn posted_within(answers: &[Answer], patience: &Patience) -> (FakeSlack, Result<(), SlackError>) {
    let slack = FakeSlack::start(answers);
    let result = block_on(post_within(&slack.webhook(), &body(), patience));
    (slack, result)
}

#[test]
fn a_body_arrives_once_and_as_it_was_rendered() {
    let slack = FakeSlack::start(&[Answer::Ok]);
    assert_eq!(block_on(post(&slack.webhook(), &body())), Ok(()));
    let requests = slack.requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].line, format!("POST {LONG_PATH} HTTP/1.1"));
    assert!(requests[0].headers.contains("content-type: application/json"), "{}", requests[0].headers);
    let (sent, kept): (Value, Value) =
        (serde_json::from_str(&requests[0].body).unwrap(), serde_json::from_str(&body()).unwrap());
    assert_eq!(sent, kept);
}

#[test]
fn slacks_ok_counts_with_any_content_type_and_with_none() {
    for answer in [
        Answer::Status(200, "ok", "Content-Type: text/html\r\n"),
        Answer::Status(200, "ok", ""),
        Answer::Status(200, "{\"ok\":true}", "Content-Type: application/json\r\n"),
        Answer::Status(204, "", ""),
    ] {
        let (slack, result) = posted(&[answer]);
        assert_eq!((result, slack.requests().len()), (Ok(()), 1), "{answer:?}");
    }
}

#[test]
fn a_failing_slack_is_asked_again_and_at_most_three_times() {
    let failing = Answer::Status(500, "internal_error", "");
    let (slack, result) = posted(&[failing, Answer::Status(503, "<html>", ""), Answer::Ok]);
    assert_eq!((result, slack.requests().len()), (Ok(()), 3));
    let bodies: Vec<String> = slack.requests().into_iter().map(|request| request.body).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    let (slack, result) = posted(&[failing, failing, failing, Answer::Ok]);
    assert_eq!((result, slack.requests().len()), (Err(SlackError::Failing { status: 500 }), 3));
}

#[test]
fn a_pause_that_slack_asks_for_is_kept() {
    let (slack, result) = posted(&[Answer::Status(429, "rate_limited", "Retry-After: 1\r\n"), Answer::Ok]);
    assert_eq!(result, Ok(()));
    let requests = slack.requests();
    assert_eq!(requests.len(), 2);
    assert!(requests[1].at.duration_since(requests[0].at) >= Duration::from_secs(1));
    // JSON, and no pause named: ours is used.
    let json = Answer::Status(429, "{\"ok\":false}", "Content-Type: application/json\r\n");
    let (slack, result) = posted(&[json, json, Answer::Ok]);
    assert_eq!((result, slack.requests().len()), (Ok(()), 3));
}

#[test]
fn a_pause_that_is_too_long_is_not_waited_for() {
    let limited = Answer::Status(429, "rate_limited", "Retry-After: 30\r\n");
    let (slack, result) = posted(&[limited, Answer::Ok]);
    let retry_after = Some(Duration::from_secs(30));
    assert_eq!((result, slack.requests().len()), (Err(SlackError::RateLimited { retry_after }), 1));
}

#[test]
fn a_slack_that_stays_busy_is_asked_three_times() {
    let limited = Answer::Status(429, "rate_limited", "Retry-After: 0\r\n");
    let (slack, result) = posted(&[limited, limited, limited, Answer::Ok]);
    let retry_after = Some(Duration::ZERO);
    assert_eq!((result, slack.requests().len()), (Err(SlackError::RateLimited { retry_after }), 3));
}

#[test]
fn what_slack_refuses_is_not_sent_again() {
    for (answer, error) in [
        (Answer::Status(404, "no_service", ""), SlackError::Revoked),
        (Answer::Status(410, "channel_is_archived", ""), SlackError::Revoked),
        (Answer::Status(403, "invalid_token", ""), SlackError::Revoked),
        (Answer::Status(403, "action_prohibited", ""), SlackError::Refused { status: 403 }),
        (Answer::Status(400, "invalid_payload", ""), SlackError::Refused { status: 400 }),
        (Answer::Status(302, "", "Location: http://127.0.0.1:1/\r\n"), SlackError::Refused { status: 302 }),
        (Answer::Status(200, "<html>", "Content-Type: application/json\r\n"), SlackError::Unclear),
        (
            Answer::Status(200, "{\"ok\":false,\"error\":\"x\"}", "Content-Type: application/json\r\n"),
            SlackError::Unclear,
        ),
    ] {
        let (slack, result) = posted(&[answer, Answer::Ok]);
        assert_eq!((result, slack.requests().len()), (Err(error), 1), "{answer:?}");
    }
}

/// The message may have arrived, so a second one could be one too many.
#[test]
fn a_connection_that_breaks_after_the_request_is_not_tried_again() {
    let (slack, result) = posted(&[Answer::Close, Answer::Ok]);
    assert_eq!((result, slack.requests().len()), (Err(SlackError::Broken), 1));
}

#[test]
fn a_slack_that_hangs_is_left_after_a_while() {
    let attempt = Patience { attempt: Duration::from_millis(200), ..patience() };
    // Asked again, it would say `ok`.
    let (_slack, result) = posted_within(&[Answer::Hang, Answer::Ok], &attempt);
    assert_eq!(result, Err(SlackError::Timeout));
    // The whole has a limit too, whatever a single try may take.
    let total = Patience { total: Duration::from_millis(200), ..patience() };
    let (_slack, result) = posted_within(&[Answer::Hang], &total);
    assert_eq!(result, Err(SlackError::Timeout));
}

#[test]
fn without_a_setting_it_takes_at_most_fifteen_seconds() {
    let Patience { attempt, total, attempts, .. } = Patience::default();
    assert_eq!((attempt.as_secs(), total.as_secs(), attempts), (10, 15, 3));
}

#[test]
fn a_slack_that_cannot_be_reached_is_no_secret_but_its_path_is() {
    // Port 1 is never given to anybody.
    let webhook = SecretString::from(format!("http://127.0.0.1:1{LONG_PATH}"));
    let error = block_on(post_within(&webhook, &body(), &patience())).unwrap_err();
    let SlackError::Unreachable { cause } = &error else { panic!("{error:?}") };
    assert!(cause.contains("refused"), "{cause}");
    // No certificate that we trust: the connection is refused before anything is sent.
    let slack = FakeSlack::start(&[Answer::Ok]);
    let https = SecretString::from(format!("https://127.0.0.1:{}{LONG_PATH}", slack.port()));
    let error = block_on(post_within(&https, &body(), &Patience { attempts: 1, ..patience() })).unwrap_err();
    let refused = matches!(error, SlackError::Unreachable { .. } | SlackError::NoCertificates(_));
    assert!(refused, "{error:?}");
    assert!(slack.requests().is_empty());
}

#[test]
fn neither_a_broken_address_nor_a_broken_body_reaches_slack() {
    let slack = FakeSlack::start(&[Answer::Ok]);
    for json in ["", "{", "[]", "5"] {
        let result = block_on(post_within(&slack.webhook(), json, &patience()));
        assert_eq!(result, Err(SlackError::NoMessage), "{json}");
    }
    for address in ["", "hooks.slack.com/services/x", "ftp://127.0.0.1/x", "http://"] {
        let result = block_on(post_within(&SecretString::from(address), &body(), &patience()));
        assert_eq!(result, Err(SlackError::NoAddress), "{address}");
    }
    assert!(slack.requests().is_empty());
}

/// Everything that a log could hold, at the level that says most.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn neither_an_error_nor_a_log_line_holds_the_webhooks_path() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let mut shown = String::new();
    tracing::subscriber::with_default(subscriber, || {
        let short = Patience { attempt: Duration::from_millis(200), ..patience() };
        for answer in [
            Answer::Ok,
            Answer::Status(500, LONG_PATH, ""),
            Answer::Status(404, LONG_PATH, ""),
            Answer::Status(400, LONG_PATH, ""),
            Answer::Status(429, LONG_PATH, "Retry-After: 30\r\n"),
            Answer::Status(200, LONG_PATH, "Content-Type: application/json\r\n"),
            Answer::Status(200, "ok", "Content-Type: ;;;\r\n"),
            Answer::Close,
            Answer::Hang,
        ] {
            let (_slack, result) = posted_within(&[answer, answer, answer], &short);
            if let Err(error) = result {
                shown.push_str(&format!("{error} {error:?}\n"));
            }
        }
        for scheme in ["http", "https", "nonsense"] {
            let webhook = SecretString::from(format!("{scheme}://127.0.0.1:1{LONG_PATH}"));
            let error = block_on(post_within(&webhook, &body(), &patience())).unwrap_err();
            shown.push_str(&format!("{error} {error:?}\n"));
        }
    });
    let logged = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(logged.contains("Sending HTTP request"), "nothing was logged: {logged}");
    for secret in LONG_PATH.split('/').filter(|part| part.len() > 8) {
        assert!(!logged.contains(secret), "{logged}");
        assert!(!shown.contains(secret), "{shown}");
    }
}
