//! A database password, a Stripe key, a webhook is never printed: not by any command, on any failing path, at any log
//! level.
//!
//! In: secrets with a canary in them, right and wrong in every way. Out: neither stdout, stderr, the database nor any file
//! holds twelve characters of a canary in a row, in whatever way they are written.

mod commands;
mod failures;
mod scanner;

use std::fs;
use std::sync::OnceLock;

use self::scanner::Scanner;
use super::{binary, run};
use crate::dry_run::known;
use crate::slack::server::LONG_PATH;
use crate::support::{CATALOG, Ended, Engine, TENANTS, USAGE, Workspace, write_secret};

const CANARY: &str = "c4n4ry-p4ssw0rd";
/// What stands in a key after its beginning, such as `rk_live_`.
const KEY: &str = "51C4n4ryN0b0dySh0uldS33Th1sK3y";

fn scanner() -> &'static Scanner {
    static SCANNER: OnceLock<Scanner> = OnceLock::new();
    SCANNER.get_or_init(|| {
        let without_dash = CANARY.replace('-', "");
        Scanner::of(&[
            ("password", CANARY),
            ("password as a key", &without_dash),
            ("key", KEY),
            ("webhook", LONG_PATH),
        ])
    })
}

const COMMANDS: &[&[&str]] = &[
    &["import", "catalog", "catalog.toml"],
    &["import", "tenants", "tenants.csv"],
    &["import", "usage", "usage.csv"],
    &["status"],
    &["status", "--json"],
    // In time for its usage to be pushed, month by month.
    &["run", "--as-of", "2026-09-30T12:00:00Z"],
    &["run", "--as-of", "2026-10-31T12:00:00Z"],
    &["run", "--dry-run"],
    &["run", "--json"],
    &["run", "--period", "2026-09"],
];

/// A workspace on PostgreSQL whose own URL carries a password; the test server asks for none.
fn workspace() -> Workspace {
    let mut workspace = Workspace::new(Engine::Postgres);
    workspace.url = workspace.url.replacen("billrecon@", &format!("billrecon:{CANARY}@"), 1);
    assert!(workspace.url.contains(CANARY));
    workspace.write("catalog.toml", CATALOG);
    workspace.write("tenants.csv", TENANTS);
    workspace.write("usage.csv", USAGE);
    workspace
}

#[track_caller]
fn keeps_it(ended: &Ended) {
    scanner().clears(ended);
}

#[test]
fn no_command_prints_the_password_of_a_database_that_works() {
    let workspace = workspace();
    for command in COMMANDS {
        let ended = workspace.run(&[command, &["--log", "trace"][..]].concat()).expect(0);
        keeps_it(&ended);
    }
    scanner().clears_files(workspace.folder.path());
    assert_eq!(scanner().find(format!("{:?}", known(&workspace)).as_bytes()), [""; 0]);
}

#[test]
fn no_command_prints_the_password_of_a_database_that_does_not_answer() {
    let workspace = workspace();
    let right = &workspace.url;
    let (server, _) = right.rsplit_once('/').unwrap();
    let wrong = [
        format!("{server}/no_such_database"),
        right.replacen("//billrecon:", "//nobody_knows:", 1),
        format!("postgres://app:{CANARY}@no-such-host.invalid/billrecon"),
        format!("postgres://app@no-such-host.invalid/billrecon?password={CANARY}"),
        format!("{right}?sslmode=verify-full"),
        format!("{right}?sslmode={CANARY}"),
    ];
    for url in wrong {
        for command in COMMANDS {
            let arguments = [command, &["--log", "trace", "--database", &url][..]].concat();
            let ended = workspace.run(&arguments);
            assert!(matches!(ended.code, Some(74..=78)), "{command:?}: {ended:?}");
            keeps_it(&ended);
        }
    }
}

/// One of the two tests that take the ten seconds which the program waits for a database.
#[test]
fn a_server_that_is_not_there_is_75_and_its_password_stays_secret() {
    let folder = tempfile::tempdir().unwrap();
    // Port 1 is never given to anybody.
    let url = format!("postgres://app:{CANARY}@127.0.0.1:1/billrecon");
    let mut command = binary(folder.path(), &["run", "--log", "trace", "--database", &url]);
    let ended = Ended::of(command.env("BILLRECON_STRIPE_SANDBOX", "1").output().unwrap()).expect(75);
    keeps_it(&ended);
    assert!(ended.stderr.contains("run again"), "{}", ended.stderr);
}

/// A mistyped URL is the likeliest reason for an error message about it.
#[test]
fn a_mistyped_url_is_refused_without_showing_it() {
    let folder = tempfile::tempdir().unwrap();
    for url in [
        format!("postgres://app:{CANARY}@host:99999/billrecon"),
        format!("postgres://app:{CANARY}@[::1/billrecon"),
        format!("postgres:/app:{CANARY}@host/billrecon"),
        format!("postgres:app:{CANARY}@host/billrecon"),
        format!("app:{CANARY}@host/billrecon"),
        format!("postgers://app:{CANARY}@host/billrecon"),
        format!("{CANARY}://app@host/billrecon"),
        format!("\"postgres://app:{CANARY}@host/billrecon\""),
    ] {
        for (flags, variables) in [
            (vec!["--database", url.as_str()], None),
            (vec![], Some(("BILLRECON_DATABASE_URL", url.as_str()))),
        ] {
            let arguments = [&["status", "--log", "trace"][..], &flags].concat();
            let output = binary(folder.path(), &arguments).envs(variables).output().unwrap();
            keeps_it(&Ended::of(output).expect(78));
        }
    }
}

#[test]
fn a_broken_configuration_is_refused_without_showing_the_url_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("postgres://app:{CANARY}@host/billrecon");
    for text in [
        format!("database = \"{url}\n"),
        format!("database = {url}\n"),
        format!("database = \"{url}\"\ndatabase = \"{url}\"\n"),
        format!("database = [\"{url}\"]\n"),
        format!("databse = \"{url}\"\n"),
        format!("database.url = \"{url}\"\n"),
        format!("lease = \"{url}\"\n"),
    ] {
        fs::write(folder.path().join("billrecon.toml"), &text).unwrap();
        let ended = run(folder.path(), &["status", "--log", "trace"]).expect(78);
        assert!(ended.stderr.contains("billrecon.toml"), "{}", ended.stderr);
        keeps_it(&ended);
    }
}

#[test]
fn a_url_where_the_name_of_its_file_belongs_is_not_shown() {
    let folder = tempfile::tempdir().unwrap();
    let variable = ("BILLRECON_DATABASE_URL_FILE", format!("postgres://app:{CANARY}@host/billrecon"));
    let output = binary(folder.path(), &["status"]).envs([variable]).output().unwrap();
    let ended = Ended::of(output).expect(78);
    assert!(ended.stderr.contains("BILLRECON_DATABASE_URL_FILE"), "{}", ended.stderr);
    keeps_it(&ended);
}

/// libpq has secrets beside the password; the driver logs parameters that it does not know.
#[test]
fn a_parameter_of_the_url_that_the_driver_does_not_know_is_not_logged() {
    let workspace = workspace();
    for parameter in ["sslpassword", "passwd"] {
        let url = format!("{}?{parameter}={CANARY}", workspace.url.replace(CANARY, "x"));
        let ended = workspace.run(&["status", "--log", "trace", "--database", &url]);
        keeps_it(&ended);
    }
}

#[test]
fn what_is_no_stripe_key_is_refused_without_showing_it() {
    let folder = tempfile::tempdir().unwrap();
    for key in [
        CANARY.to_owned(),
        format!("pk_live_{CANARY}"),
        format!("sk_{CANARY}"),
        format!("SK_TEST_{CANARY}"),
        format!("sk_test_{CANARY}"),
        format!("sk_live_1 {CANARY}"),
        format!("rk_live_1\r\nX: {CANARY}"),
        format!("\"sk_live_{CANARY}\""),
        format!("sk_live_ü{CANARY}"),
    ] {
        write_secret(&folder.path().join("key"), &key);
        fs::write(folder.path().join("in-a-file.toml"), "[stripe]\napi_key_file = \"key\"\n").unwrap();
        for (flags, variables) in [
            (&[][..], Some(("BILLRECON_STRIPE_API_KEY", key.as_str()))),
            (&[], Some(("BILLRECON_STRIPE_API_KEY_FILE", "key"))),
            (&["--config", "in-a-file.toml"], None),
        ] {
            let arguments = [&["status", "--log", "trace"][..], flags].concat();
            let ended =
                Ended::of(binary(folder.path(), &arguments).envs(variables).output().unwrap()).expect(78);
            assert!(ended.stderr.contains("no") && ended.stderr.contains("Stripe key"), "{}", ended.stderr);
            keeps_it(&ended);
        }
    }
}

/// A key in the wrong place is the likeliest mistake of all.
#[test]
fn a_secret_where_it_does_not_belong_is_refused_without_showing_it() {
    let folder = tempfile::tempdir().unwrap();
    let key = format!("sk_live_{}", CANARY.replace('-', ""));
    for (name, value) in [
        ("BILLRECON_STRIPE_API_KEY_FILE", key.as_str()),
        ("BILLRECON_STRIPE_SANDBOX", &key),
        ("BILLRECON_STRIPE_API_BASE", &key),
        ("BILLRECON_SLACK_WEBHOOK_URL", &key),
        ("BILLRECON_SLACK_WEBHOOK_URL", &format!("http://hooks.slack.com/services/{key}")),
        ("BILLRECON_SLACK_WEBHOOK_URL", &format!("https://hooks.slack.com:x/services/{key}")),
        ("BILLRECON_SLACK_WEBHOOK_URL", &format!("https://{key}@hooks.slack.com/services")),
        ("BILLRECON_SLACK_BOT_TOKEN", &key),
        ("BILLRECON_SLACK_BOT_TOKEN", &format!("xoxb-{key}")),
        ("BILLRECON_SLACK_BOT_TOKEN_FILE", &key),
        ("BILLRECON_SLACK_WEBHOOK_URL_FILE", &format!("https://hooks.slack.com/services/{key}")),
    ] {
        let output = binary(folder.path(), &["status", "--log", "trace"]).env(name, value).output();
        let ended = Ended::of(output.unwrap()).expect(78);
        assert!(ended.stderr.contains(name), "{name}: {}", ended.stderr);
        keeps_it(&ended);
    }
    for text in [
        format!("[stripe]\napi_key = \"{key}\"\n"),
        format!("[stripe]\napi_key_file = \"{key}\"\n"),
        format!("[stripe]\napi_key_file = [\"{key}\"]\n"),
        format!("[stripe]\nsandbox = \"{key}\"\n"),
        format!("[stripe]\nsandbox = {key}\n"),
        format!("[push]\nmode = \"{key}\"\n"),
        format!("[serve]\nschedule = \"{key}\"\n"),
        format!("stripe = \"{key}\"\n"),
    ] {
        fs::write(folder.path().join("billrecon.toml"), &text).unwrap();
        let ended = run(folder.path(), &["status", "--log", "trace"]).expect(78);
        assert!(ended.stderr.contains("billrecon.toml"), "{}", ended.stderr);
        keeps_it(&ended);
    }
}
