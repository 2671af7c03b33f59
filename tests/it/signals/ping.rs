//! A dead-man's switch of the kind of healthchecks.io, and what it hears of a wake.

use super::watched;
use crate::slack::server::{Answer, FakeSlack, Request};
use crate::support::{CATALOG, ENGINES, Ended, Engine, TENANTS, USAGE, Workspace, signal, write_secret};
use std::net::TcpListener;
use std::process::{Command, Stdio};

fn pinged(workspace: &Workspace, check: &FakeSlack, arguments: &[&str]) -> Command {
    let mut command = workspace.command(arguments);
    command.env("BILLRECON_PING_URL", format!("http://127.0.0.1:{}/ping/s3cr3t-ch3ck/", check.port()));
    command
}

fn end(mut command: Command) -> Ended {
    Ended::of(command.output().unwrap())
}

/// What stands behind the check's own address, and the wake that it names.
#[track_caller]
fn place(request: &Request) -> (String, String) {
    let path = request.line.strip_prefix("POST /ping/s3cr3t-ch3ck/").unwrap_or_else(|| panic!("{request:?}"));
    let (place, wake) = path.strip_suffix(" HTTP/1.1").unwrap().split_once("?rid=").unwrap();
    assert_eq!(uuid::Uuid::parse_str(wake).unwrap().to_string(), wake);
    (place.to_owned(), wake.to_owned())
}

fn places(check: &FakeSlack) -> Vec<String> {
    check.requests().iter().map(|request| place(request).0).collect()
}

#[test]
fn a_wake_is_pinged_at_its_start_and_with_its_exit_code() {
    for engine in ENGINES {
        let workspace = watched(engine);
        let check = FakeSlack::start(&[]);
        end(pinged(&workspace, &check, &["run", "--period", "2026-09"])).expect(0);
        let requests = check.requests();
        let [start, done] = &requests[..] else { panic!("{requests:?}") };
        assert_eq!((place(start).0.as_str(), place(done).0.as_str()), ("start", "0"));
        assert_eq!(place(start).1, place(done).1);
        let run_id = &workspace.sql("SELECT run_id FROM billing_period_jobs WHERE period = '2026-09'")[0][0];
        let line = done.body.lines().find(|line| line.starts_with("2026-09 closed ")).unwrap();
        assert!(line.ends_with(run_id), "{}", done.body);
        assert!(done.body.contains("mode SANDBOX"), "{}", done.body);
        for name in ["Acme", "acme", "Birch", "cus_"] {
            assert!(!done.body.contains(name), "{}", done.body);
        }
        end(pinged(&workspace, &check, &["run"])).expect(0);
        assert_ne!(place(&check.requests()[2]).1, place(done).1, "each wake has an id of its own");
    }
}

#[test]
fn what_only_looks_is_not_pinged() {
    let workspace = watched(Engine::Sqlite);
    let check = FakeSlack::start(&[]);
    for arguments in [&["run", "--dry-run"][..], &["run", "--what-if"], &["status"], &["guard"]] {
        end(pinged(&workspace, &check, arguments)).expect(0);
    }
    assert_eq!(check.requests().len(), 0);
}

#[test]
fn a_wake_that_cannot_be_done_or_leaves_something_says_so() {
    let workspace = Workspace::new(Engine::Sqlite);
    let check = FakeSlack::start(&[]);
    // No catalog has been imported.
    end(pinged(&workspace, &check, &["run"])).expect(78);
    workspace.import(CATALOG, &TENANTS.replace("Cold,pro", "Cold,gold"), USAGE);
    workspace.watch("2026-09");
    end(pinged(&workspace, &check, &["run", "--period", "2026-09"])).expect(3);
    assert_eq!(places(&check), ["start", "78", "start", "3"]);
}

/// Where another works the check is not told that anything failed: the other one tells how it ends.
#[test]
fn a_wake_that_meets_another_leaves_a_note_only() {
    let workspace = watched(Engine::Sqlite);
    workspace.sql("UPDATE lease SET holder = 'other/1', expires_at = 99999999999999 WHERE name = 'run'");
    let check = FakeSlack::start(&[]);
    end(pinged(&workspace, &check, &["run"])).expect(11);
    assert_eq!(places(&check), ["start", "log"]);
    assert!(check.requests()[1].body.contains("ended with 11"));
}

#[test]
fn no_trouble_with_the_check_changes_a_wake() {
    let trouble = [
        vec![Answer::Close; 9],
        vec![Answer::Status(500, "no", ""); 9],
        vec![Answer::Status(404, "no such check", ""); 9],
        vec![Answer::Status(301, "", "Location: http://127.0.0.1:9/other\r\n"); 9],
    ];
    for answers in trouble {
        let workspace = watched(Engine::Sqlite);
        let check = FakeSlack::start(&answers);
        let ended = end(pinged(&workspace, &check, &["run", "--period", "2026-09"])).expect(0);
        let warnings = ended.stderr.matches("the check at the ping's address has not heard").count();
        assert_eq!(warnings, 1, "{answers:?}: {}", ended.stderr);
        assert!(!ended.stderr.contains("s3cr3t"), "{}", ended.stderr);
        assert_eq!(workspace.number("SELECT COUNT(*) FROM billing_period_jobs WHERE status = 'closed'"), 1);
    }
}

#[test]
fn a_check_that_says_nothing_is_not_waited_for() {
    let workspace = watched(Engine::Sqlite);
    let check = FakeSlack::start(&[Answer::Hang; 20]);
    let ended = end(pinged(&workspace, &check, &["run", "--period", "2026-09"])).expect(0);
    assert!(ended.stderr.contains("it did not answer in time"), "{}", ended.stderr);
}

#[test]
fn a_passing_trouble_is_tried_again() {
    let workspace = watched(Engine::Sqlite);
    let check = FakeSlack::start(&[Answer::Status(503, "", ""), Answer::Ok, Answer::Close]);
    let ended = end(pinged(&workspace, &check, &["run", "--period", "2026-09"])).expect(0);
    assert_eq!(places(&check), ["start", "start", "0", "0"]);
    assert!(!ended.stderr.contains("ping"), "{}", ended.stderr);
}

/// Stripe has taken the connection and says nothing.
#[test]
fn a_signal_that_ends_the_wake_is_pinged_too() {
    let workspace = Workspace::with_company(Engine::Sqlite);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let check = FakeSlack::start(&[]);
    let mut command = pinged(&workspace, &check, &["run"]);
    command.env("BILLRECON_STRIPE_API_BASE", format!("http://{}", silent.local_addr().unwrap()));
    command.env("BILLRECON_STRIPE_API_KEY", "rk_test_x");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let (_connection, _) = silent.accept().unwrap();
    signal(&child, "TERM");
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(143));
    assert_eq!(places(&check), ["start", "143"]);
}

#[test]
fn the_address_can_stand_in_a_file_and_must_be_https_or_this_machine() {
    let workspace = watched(Engine::Sqlite);
    let check = FakeSlack::start(&[]);
    write_secret(&workspace.path("ping"), &format!("http://127.0.0.1:{}/ping/s3cr3t-ch3ck\n", check.port()));
    let mut command = workspace.command(&["run"]);
    command.env("BILLRECON_PING_URL_FILE", workspace.path("ping"));
    end(command).expect(0);
    assert_eq!(places(&check), ["start", "0"]);
    for wrong in ["http://hc.example/s3cr3t", "s3cr3t", "https://hc.example/s3cr3t?x=1"] {
        let mut command = workspace.command(&["run"]);
        command.env("BILLRECON_PING_URL", wrong);
        let ended = end(command).expect(78);
        assert!(ended.stderr.contains("BILLRECON_PING_URL"), "{}", ended.stderr);
        assert!(!ended.stderr.contains("s3cr3t"), "{}", ended.stderr);
    }
}
