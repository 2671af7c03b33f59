//! `config show`, `init`, and what is said of settings that nobody can mean.
//!
//! In: the same setting in several places, secrets in files, an empty folder. Out: what is printed, what is made, exit codes. Never a
//! secret on any output.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use billrecon::config::KEYS;
use serde_json::Value;

use super::{binary, run, says};
use crate::support::{Ended, write_secret};

const CANARY: &str = "s3cr3tcanary";

fn shown(folder: &Path, variables: &[(&str, &str)], flags: &[&str]) -> Ended {
    let arguments = [&["config", "show"][..], flags].concat();
    Ended::of(binary(folder, &arguments).envs(variables.iter().copied()).output().unwrap()).expect(0)
}

/// The line of a key.
fn line<'a>(ended: &'a Ended, key: &str) -> &'a str {
    let begin = format!("{key} = ");
    ended
        .stdout
        .lines()
        .find(|line| line.starts_with(&begin))
        .unwrap_or_else(|| panic!("{key}: {}", ended.stdout))
}

#[test]
fn config_show_says_of_each_setting_what_it_is_and_where_it_was_set() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("billrecon.toml"),
        "reports = \"out\"\n[lease]\nttl = \"90s\"\n[bounds.try]\ntenant_amount_minor = 500\n",
    )
    .unwrap();
    let variables =
        [("BILLRECON_TIME_ZONE", "Europe/Istanbul"), ("BILLRECON_SERVE_SCHEDULE", "*/10 * * * *")];
    let ended = shown(folder.path(), &variables, &["--origin", "--log", "warn"]);
    for (key, value, origin) in [
        ("reports", "\"out\"", "billrecon.toml"),
        ("lease.ttl", "\"90s\"", "billrecon.toml"),
        ("bounds.try.tenant_amount_minor", "500", "billrecon.toml"),
        ("time_zone", "\"Europe/Istanbul\"", "BILLRECON_TIME_ZONE"),
        ("serve.schedule", "\"*/10 * * * *\"", "BILLRECON_SERVE_SCHEDULE"),
        ("log", "\"warn\"", "the command line"),
        ("settle_delay", "\"2h\"", "default"),
    ] {
        let line = line(&ended, key);
        assert!(
            line.starts_with(&format!("{key} = {value}")) && line.ends_with(&format!("# {origin}")),
            "{line}"
        );
    }
    assert!(ended.stdout.contains("# first_period is not set\n"));
    let object = shown(folder.path(), &variables, &["--json"]).json();
    let settings = object["settings"].as_array().unwrap();
    assert_eq!(settings.len(), KEYS.len() + 1);
    let zone = settings.iter().find(|one| one["key"] == "time_zone").unwrap();
    assert_eq!((&zone["value"], &zone["origin"]), (&"Europe/Istanbul".into(), &"BILLRECON_TIME_ZONE".into()));
    let first = settings.iter().find(|one| one["key"] == "first_period").unwrap();
    assert_eq!((&first["value"], &first["origin"]), (&Value::Null, &Value::Null));
}

#[test]
fn what_config_show_prints_is_a_configuration_that_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("billrecon.toml"),
        "settle_delay = \"3h\"\n[stripe]\nsandbox = true\n[tolerance]\nquantity = \"0.5\"\n",
    )
    .unwrap();
    let first = shown(folder.path(), &[], &[]).stdout;
    fs::write(folder.path().join("billrecon.toml"), &first).unwrap();
    assert_eq!(shown(folder.path(), &[], &[]).stdout, first);
}

#[test]
fn config_show_names_secrets_and_shows_none() {
    let folder = tempfile::tempdir().unwrap();
    write_secret(&folder.path().join("key"), &format!("rk_test_{CANARY}\n"));
    write_secret(
        &folder.path().join("url"),
        &format!("postgres://app:{CANARY}@host:5433/db?sslpassword={CANARY}"),
    );
    let variables = [
        ("BILLRECON_STRIPE_API_KEY_FILE", "key"),
        ("BILLRECON_DATABASE_URL_FILE", "url"),
        ("BILLRECON_SLACK_WEBHOOK_URL", &format!("https://hooks.slack.com/services/T/B/{CANARY}")),
    ];
    for flags in [&["--origin"][..], &["--json"], &["--origin", "--log", "trace"]] {
        let ended = shown(folder.path(), &variables, flags);
        assert!(!ended.stdout.contains(CANARY) && !ended.stderr.contains(CANARY), "{ended:?}");
    }
    let ended = shown(folder.path(), &variables, &["--origin"]);
    assert!(line(&ended, "database").contains("postgres://app:REDACTED@host:5433/db"), "{}", ended.stdout);
    for (begin, end) in [
        ("# BILLRECON_STRIPE_API_KEY is set rk_test_…", "the file that BILLRECON_STRIPE_API_KEY_FILE names"),
        ("# BILLRECON_SLACK_WEBHOOK_URL is set", "BILLRECON_SLACK_WEBHOOK_URL"),
        ("# BILLRECON_SLACK_BOT_TOKEN is not set", ""),
    ] {
        assert!(
            ended.stdout.lines().any(|line| line.starts_with(begin) && line.ends_with(end)),
            "{begin}: {}",
            ended.stdout
        );
    }
}

#[test]
fn an_unknown_key_is_refused_with_the_one_that_may_be_meant() {
    let folder = tempfile::tempdir().unwrap();
    for (text, words) in [
        ("databse = \"sqlite://x.db\"\n", "billrecon.toml: databse is no key: did you mean `database`?"),
        ("[lease]\ntll = \"60s\"\n", "billrecon.toml: lease.tll is no key: did you mean `lease.ttl`?"),
        (
            "[slak]\nchannel = \"C1\"\n",
            "billrecon.toml: slak.channel is no key: did you mean `slack.channel`?",
        ),
        ("[serve]\nevery = \"1h\"\n", "serve.every is no key; known are: serve.schedule"),
        ("[database]\nurl = \"x\"\n", "database.url is no key"),
    ] {
        fs::write(folder.path().join("billrecon.toml"), text).unwrap();
        says(&run(folder.path(), &["config", "show"]).expect(78), words);
    }
    fs::write(folder.path().join("billrecon.toml"), "#".repeat(2 * 1024 * 1024)).unwrap();
    says(&run(folder.path(), &["config", "show"]).expect(78), "larger than 1 MiB");
}

#[test]
fn each_setting_can_be_made_by_its_variable() {
    let folder = tempfile::tempdir().unwrap();
    for (name, value) in
        [("BILLRECON_LATE_USAGE_PERIODS", "3"), ("BILLRECON_SLACK_FILES", "0"), ("BILLRECON_LEASE_TTL", "5s")]
    {
        let ended = shown(folder.path(), &[(name, value)], &["--origin"]);
        assert!(ended.stdout.contains(&format!("# {name}")), "{}", ended.stdout);
    }
    for (name, value) in [
        ("BILLRECON_LATE_USAGE_PERIODS", "many"),
        ("BILLRECON_SLACK_FILES", "yes"),
        ("BILLRECON_LEASE_TTL", "0s"),
    ] {
        let ended = Ended::of(binary(folder.path(), &["config", "show"]).env(name, value).output().unwrap())
            .expect(78);
        says(&ended, name);
    }
}

#[test]
fn a_secret_that_others_can_read_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key");
    write_secret(&path, &format!("rk_test_{CANARY}\n"));
    let status =
        || binary(folder.path(), &["config", "show"]).env("BILLRECON_STRIPE_API_KEY_FILE", "key").output();
    // Kubernetes and systemd let a group of its own read.
    for (mode, code) in
        [(0o600, 0), (0o400, 0), (0o440, 0), (0o640, 0), (0o644, 78), (0o660, 78), (0o604, 78), (0o666, 78)]
    {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let ended = Ended::of(status().unwrap()).expect(code);
        if code != 0 {
            says(&ended, "the file that BILLRECON_STRIPE_API_KEY_FILE names has mode");
            says(&ended, "chmod 600");
        }
        assert!(!ended.stderr.contains(CANARY) && !ended.stdout.contains(CANARY));
    }
}

#[test]
fn init_makes_a_folder_in_which_everything_works_and_changes_nothing_that_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let plain = shown(folder.path(), &[], &[]).stdout;
    says(&run(folder.path(), &["init"]).expect(0), "billrecon import catalog catalog.toml");
    // All is commented out: the file says what is the default without it.
    assert_eq!(shown(folder.path(), &[], &[]).stdout, plain);
    let text = fs::read_to_string(folder.path().join("billrecon.toml")).unwrap();
    assert!(text.lines().all(|line| line.is_empty() || line.starts_with(['#', '['])), "{text}");
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    for key in KEYS {
        let name = key.path.rsplit('.').next().unwrap();
        assert!(text.lines().any(|line| line.starts_with(&format!("# {name} = "))), "{}", key.path);
    }
    // With every comment mark before a setting taken away it still can be read, but for what contradicts itself.
    let all: String = text
        .lines()
        .map(|line| {
            line.strip_prefix("# ")
                .filter(|rest| {
                    rest.starts_with('[') || rest.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '))
                })
                .unwrap_or(line)
        })
        .filter(|line| {
            !["api_key_file", "api_base = \"https://api.stripe", "policy"]
                .iter()
                .any(|one| line.starts_with(one))
        })
        .map(|line| format!("{line}\n"))
        .collect();
    fs::write(folder.path().join("all.toml"), all).unwrap();
    run(folder.path(), &["config", "show", "--config", "all.toml"]).expect(0);
    run(folder.path(), &["import", "catalog", "catalog.toml"]).expect(0);
    run(folder.path(), &["rate", "--catalog", "catalog.toml", "--plan", "pro", "--use", "api.request=1500"])
        .expect(0);
    fs::write(folder.path().join("catalog.toml"), "mine").unwrap();
    says(&run(folder.path(), &["init"]).expect(0), "stays as it is: ./catalog.toml");
    assert_eq!(fs::read_to_string(folder.path().join("catalog.toml")).unwrap(), "mine");
    says(&run(folder.path(), &["init", "deep/er in"]).expect(0), "cd 'deep/er in' && billrecon");
    assert!(folder.path().join("deep/er in/.gitignore").is_file());
    fs::write(folder.path().join("file"), "").unwrap();
    says(&run(folder.path(), &["init", "file"]).expect(73), "cannot be made");
}

#[test]
fn the_settings_of_the_documents_are_those_of_the_program() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(home.join("docs/operations.md")).unwrap();
    let start = page.find("| key | flag |").unwrap();
    let rows = page[start..].lines().skip(2).take_while(|row| row.starts_with('|'));
    let rows: Vec<Vec<&str>> = rows.map(|row| row.split('|').map(str::trim).collect()).collect();
    let listed: Vec<&str> =
        rows.iter().map(|row| row[1].trim_matches('`')).filter(|key| !key.is_empty()).collect();
    let listed: Vec<&str> =
        listed.into_iter().filter(|key| !key.contains("CURRENCY") && !key.contains("NAME")).collect();
    let known: Vec<&str> =
        KEYS.iter().map(|key| key.path).filter(|path| !path.starts_with("ledger.columns.")).collect();
    assert_eq!(listed, known);
    for key in KEYS.iter().filter(|key| !key.path.starts_with("ledger.columns.")) {
        let row = rows.iter().find(|row| row[1].trim_matches('`') == key.path).unwrap();
        let default = row[4].trim_matches('`');
        assert!(
            key.default.is_empty() || default.trim_matches('"') == key.default,
            "{}: {default}",
            key.path
        );
    }
}
