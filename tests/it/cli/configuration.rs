//! Configuration: flags > environment > `billrecon.toml` > defaults, and errors that say where to look.
//!
//! In: the same setting in several places. Out: which one counts, seen by which database and reports come into being.
//! Never a key that is silently ignored.

use std::fs;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use billrecon::cli::GlobalFlags;
use billrecon::config::Config;
use billrecon::domain::intent::PushMode;
use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::{binary, run, says};
use crate::support::{CATALOG, Ended, TENANTS, USAGE, write_secret};

/// A folder with the company's files.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("catalog.toml", CATALOG), ("tenants.csv", TENANTS), ("usage.csv", USAGE)] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// The names of all files and folders of a folder beyond the company's own.
fn made(folder: &Path) -> Vec<String> {
    let entries =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let given = ["catalog.toml", "tenants.csv", "usage.csv", "billrecon.toml"];
    let mut names: Vec<String> = entries.filter(|name| !given.contains(&name.as_str())).collect();
    names.sort();
    names
}

/// In these months, so that there is something to report and nothing is too late.
const IN_SEPTEMBER: [&str; 5] = ["run", "--period", "2026-09", "--as-of", "2026-09-30T12:00:00Z"];
const IN_OCTOBER: [&str; 5] = ["run", "--period", "2026-10", "--as-of", "2026-10-20T12:00:00Z"];
const IMPORT: [&str; 3] = ["import", "catalog", "catalog.toml"];

#[test]
fn by_default_the_database_and_the_reports_are_here() {
    let folder = folder();
    for (kind, file) in [("catalog", "catalog.toml"), ("tenants", "tenants.csv"), ("usage", "usage.csv")] {
        run(folder.path(), &["import", kind, file]).expect(0);
    }
    run(folder.path(), &IN_SEPTEMBER).expect(0);
    assert_eq!(made(folder.path()), ["billrecon.db", "billrecon.db.sandbox", "reports"]);
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_for_the_database() {
    let folder = folder();
    let config = "database = \"sqlite://file.db\"\n";
    fs::write(folder.path().join("billrecon.toml"), config).unwrap();
    let variable = ("BILLRECON_DATABASE_URL", "sqlite://environment.db");
    let flag = ["--database", "sqlite://flag.db"];
    let mut expected: Vec<&str> = Vec::new();
    for (arguments, variables, name) in [
        ([&IMPORT[..], &flag].concat(), vec![variable], "flag.db"),
        (IMPORT.to_vec(), vec![variable], "environment.db"),
        (IMPORT.to_vec(), vec![("BILLRECON_DATABASE_URL", "")], "file.db"),
    ] {
        let ended = binary(folder.path(), &arguments).envs(variables).output().unwrap();
        Ended::of(ended).expect(0);
        expected.push(name);
        expected.sort_unstable();
        assert_eq!(made(folder.path()), expected);
    }
}

#[test]
fn a_flag_beats_the_environment_which_beats_the_file_for_the_reports() {
    let folder = folder();
    for (kind, file) in [("catalog", "catalog.toml"), ("tenants", "tenants.csv"), ("usage", "usage.csv")] {
        run(folder.path(), &["import", kind, file]).expect(0);
    }
    fs::write(folder.path().join("billrecon.toml"), "reports = \"by-file\"\n").unwrap();
    let variable = ("BILLRECON_REPORTS", "by-environment");
    let by_flag = binary(folder.path(), &[&IN_SEPTEMBER[..], &["--reports", "by-flag"]].concat())
        .envs([variable])
        .output();
    Ended::of(by_flag.unwrap()).expect(0);
    assert!(folder.path().join("by-flag/2026-09").is_dir());
    let by_environment = binary(folder.path(), &IN_OCTOBER).envs([variable]).output();
    Ended::of(by_environment.unwrap()).expect(0);
    assert!(folder.path().join("by-environment/2026-10").is_dir());
    for name in ["billrecon.db", "billrecon.db.sandbox"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    for (kind, file) in [("catalog", "catalog.toml"), ("tenants", "tenants.csv")] {
        run(folder.path(), &["import", kind, file]).expect(0);
    }
    run(folder.path(), &IN_SEPTEMBER).expect(0);
    assert!(folder.path().join("by-file/2026-09").is_dir());
    assert!(!folder.path().join("reports").exists());
}

/// A path in a file is meant from that file; one that a person types or exports is meant from where the person stands.
#[test]
fn relative_paths_start_where_they_were_written() {
    let folder = folder();
    fs::create_dir(folder.path().join("etc")).unwrap();
    let config = "database = \"sqlite://from-file.db\"\nreports = \"from-file\"\n";
    fs::write(folder.path().join("etc/billing.toml"), config).unwrap();
    let with_config = |arguments: &[&'static str]| [arguments, &["--config", "etc/billing.toml"]].concat();
    for (kind, file) in [("catalog", "catalog.toml"), ("tenants", "tenants.csv"), ("usage", "usage.csv")] {
        run(folder.path(), &with_config(&["import", kind, file])).expect(0);
    }
    run(folder.path(), &with_config(&IN_SEPTEMBER)).expect(0);
    assert!(folder.path().join("etc/from-file.db").is_file());
    assert!(folder.path().join("etc/from-file.db.sandbox").is_file());
    assert!(folder.path().join("etc/from-file/2026-09").is_dir());
    run(folder.path(), &with_config(&[&IMPORT[..], &["--database", "sqlite://typed.db"]].concat())).expect(0);
    assert!(folder.path().join("typed.db").is_file());
    run(folder.path(), &with_config(&[&IN_OCTOBER[..], &["--reports", "typed"]].concat())).expect(0);
    assert_eq!(made(folder.path()), ["etc", "typed", "typed.db"]);
}

#[test]
fn the_database_url_can_stand_in_a_file_of_its_own() {
    let folder = folder();
    write_secret(&folder.path().join("secret"), "sqlite://from-secret.db\n");
    let variable = ("BILLRECON_DATABASE_URL_FILE", "secret");
    Ended::of(binary(folder.path(), &IMPORT).envs([variable]).output().unwrap()).expect(0);
    assert_eq!(made(folder.path()), ["from-secret.db", "secret"]);
    // The variable itself is the nearer one.
    let both = [variable, ("BILLRECON_DATABASE_URL", "sqlite://direct.db")];
    Ended::of(binary(folder.path(), &IMPORT).envs(both).output().unwrap()).expect(0);
    assert!(folder.path().join("direct.db").is_file());
    let missing = [("BILLRECON_DATABASE_URL_FILE", "no-such-secret")];
    let ended = Ended::of(binary(folder.path(), &IMPORT).envs(missing).output().unwrap()).expect(78);
    // The variable is named, and not its value, which may be the secret itself by mistake.
    says(&ended, "BILLRECON_DATABASE_URL_FILE");
    assert!(!ended.stderr.contains("no-such-secret"));
}

#[test]
fn an_unknown_key_or_a_wrong_value_is_78_with_the_key_and_the_file() {
    let folder = folder();
    for (text, key) in [
        ("databse = \"sqlite://x.db\"\n", "databse"),
        ("database_url = \"sqlite://x.db\"\n", "database_url"),
        ("[lease]\ntll = \"60s\"\n", "tll"),
        ("[stripe]\napi_key = \"x\"\n", "stripe"),
        ("[lease]\nttl = 60\n", "lease.ttl"),
        ("[lease]\nttl = \"0s\"\n", "lease.ttl"),
        ("settle_delay = \"2 fortnights\"\n", "settle_delay"),
        ("settle_delay = \"-2h\"\n", "settle_delay"),
        ("time_zone = \"Mars/Phobos\"\n", "time_zone"),
        ("first_period = \"2026-13\"\n", "first_period"),
        ("database = 5\n", "database"),
        ("time_zone = \"UTC\n", "line 1"),
        ("stripe = \"sandbox\"\n", "stripe"),
        ("[stripe]\nsandbox = 1\n", "stripe.sandbox"),
        ("[stripe]\nsandbox = \"true\"\n", "stripe.sandbox"),
        ("[stripe]\nsandbox_state = \"\"\n", "stripe.sandbox_state"),
        ("[stripe]\nrequests_per_second = 0\n", "stripe.requests_per_second must"),
        ("[stripe]\nrequests_per_second = \"80\"\n", "stripe.requests_per_second"),
        ("[stripe]\nrequests_per_second_per_endpoint = -1\n", "stripe.requests_per_second_per_endpoint"),
        ("[stripe]\nmeter_events_per_second = 10001\n", "from 1 to 10000"),
        ("[stripe]\nrequests_at_a_time = 1001\n", "stripe.requests_at_a_time"),
        ("[stripe]\nrequests_at_a_time = 8.5\n", "stripe.requests_at_a_time"),
        ("[stripe]\napi_base = \"https://api.stripe.com/\"\n", "BILLRECON_STRIPE_API_KEY"),
        ("[slack]\nwebhook_url = \"https://hooks.slack.com/services/T/B/x\"\n", "slack"),
        ("[push]\nmode = \"both\"\n", "push.mode"),
        ("[push]\nmode = true\n", "push.mode"),
        ("[push]\nmod = \"push\"\n", "mod"),
        ("[serve]\nschedule = \"hourly\"\n", "serve.schedule"),
        ("[serve]\nschedule = \"5 25 * * *\"\n", "serve.schedule"),
        ("[serve]\nschedule = \"* * * *\"\n", "serve.schedule"),
        ("[serve]\nschedule = \"\"\n", "serve.schedule"),
        ("[serve]\nevery = \"1h\"\n", "every"),
    ] {
        fs::write(folder.path().join("billrecon.toml"), text).unwrap();
        for arguments in [&["status"][..], &["run"], &IMPORT] {
            let ended = run(folder.path(), arguments).expect(78);
            says(&ended, key);
            says(&ended, "billrecon.toml");
        }
    }
    assert!(made(folder.path()).is_empty());
}

#[test]
fn a_configuration_that_is_named_must_be_there() {
    let folder = folder();
    says(&run(folder.path(), &["status", "--config", "other.toml"]).expect(78), "other.toml");
    fs::write(folder.path().join("binary.toml"), b"\xff\xfe").unwrap();
    says(&run(folder.path(), &["status", "--config", "binary.toml"]).expect(78), "binary.toml");
    says(&run(folder.path(), &["status", "--config", "."]).expect(78), ".");
}

#[test]
fn a_wrong_log_level_or_url_is_78() {
    let folder = folder();
    says(&run(folder.path(), &["status", "--log", "a=b=c"]).expect(78), "log");
    for url in ["billrecon.db", "sqlite:billrecon.db", "sqlite://", "mysql://host/db", ""] {
        run(folder.path(), &["run", "--database", url]).expect(78);
    }
    assert!(made(folder.path()).is_empty());
}

const KEY: &str = "sk_test_51Abc";

/// The program in the folder with these variables.
fn status_with(folder: &Path, variables: &[(&str, &str)]) -> Ended {
    Ended::of(binary(folder, &["status"]).envs(variables.iter().copied()).output().unwrap())
}

fn load(folder: &Path, text: &str) -> Config {
    let config = folder.join("billrecon.toml");
    fs::write(&config, text).unwrap();
    Config::load(&GlobalFlags { config: Some(config), ..GlobalFlags::default() }).unwrap()
}

#[test]
fn without_settings_nothing_is_sent_anywhere_and_serve_rings_hourly() {
    let folder = folder();
    let config = load(folder.path(), "");
    assert!(config.stripe.api_key.is_none() && config.slack.webhook.is_none() && config.slack.bot.is_none());
    assert_eq!(config.stripe.api_base, "https://api.stripe.com/");
    assert!(!config.stripe.sandbox && config.stripe.sandbox_state.is_none());
    assert_eq!((config.push_mode, config.serve.schedule.as_str()), (None, "5 * * * *"));
}

#[test]
fn the_settings_about_stripe_can_stand_in_the_file_and_the_key_beside_it() {
    let folder = folder();
    fs::create_dir(folder.path().join("etc")).unwrap();
    write_secret(&folder.path().join("etc/key"), &format!("{KEY}\n"));
    let text = "[stripe]\napi_key_file = \"key\"\napi_base = \"http://127.0.0.1:12111\"\n\
                [push]\nmode = \"observe\"\n[serve]\nschedule = \"*/10 6-22 * * MON-FRI\"\n";
    let config = load(&folder.path().join("etc"), text);
    assert_eq!(config.stripe.api_key.unwrap().expose_secret(), KEY);
    // Requests are made by appending a path.
    assert_eq!(config.stripe.api_base, "http://127.0.0.1:12111/");
    assert_eq!(config.push_mode, Some(PushMode::Observe));
    assert_eq!(config.serve.schedule, "*/10 6-22 * * MON-FRI");
    let text = "[stripe]\nsandbox = true\nsandbox_state = \"state/stripe\"\n[push]\nmode = \"push\"\n";
    let config = load(&folder.path().join("etc"), text);
    assert!(config.stripe.sandbox && config.stripe.api_key.is_none());
    let state: PathBuf = folder.path().join("etc/state/stripe");
    assert_eq!((config.stripe.sandbox_state, config.push_mode), (Some(state), Some(PushMode::Push)));
}

#[test]
fn how_fast_stripe_is_asked_can_be_said() {
    let folder = folder();
    let pace = |text: &str| {
        let stripe = load(folder.path(), text).stripe;
        let rates = [
            stripe.requests_per_second,
            stripe.requests_per_second_per_endpoint,
            stripe.meter_events_per_second,
            stripe.requests_at_a_time,
        ];
        rates.map(|rate| rate.map(NonZeroU32::get))
    };
    assert_eq!(pace(""), [None; 4]);
    let text = "[stripe]\nrequests_per_second = 1\nrequests_per_second_per_endpoint = 2\n\
                meter_events_per_second = 10000\nrequests_at_a_time = 4\n";
    assert_eq!(pace(text), [Some(1), Some(2), Some(10_000), Some(4)]);
}

#[test]
fn whether_usage_is_pushed_belongs_to_the_rules_and_where_to_does_not() {
    let folder = folder();
    write_secret(&folder.path().join("key"), KEY);
    let hash = |text: &str| load(folder.path(), text).rules_hash();
    let (none, observe) = (hash(""), hash("[push]\nmode = \"observe\"\n"));
    let push = hash("[push]\nmode = \"push\"\n");
    assert!(none != observe && observe != push && push != none);
    let elsewhere =
        "[stripe]\napi_key_file = \"key\"\napi_base = \"http://[::1]:1/\"\n[serve]\nschedule = \"@daily\"\n";
    assert_eq!(none, hash(elsewhere));
    assert_eq!(none, hash("[stripe]\nsandbox = true\n"));
}

#[test]
fn the_environment_beats_the_file_for_stripe_key_by_key() {
    let folder = folder();
    run(folder.path(), &IMPORT).expect(0);
    let text = "[stripe]\napi_base = \"http://example.com/\"\nsandbox = true\n";
    fs::write(folder.path().join("billrecon.toml"), text).unwrap();
    let key = ("BILLRECON_STRIPE_API_KEY", KEY);
    let base = ("BILLRECON_STRIPE_API_BASE", "http://127.0.0.1:1");
    let sandbox = |value| ("BILLRECON_STRIPE_SANDBOX", value);
    for no in ["0", "false"] {
        status_with(folder.path(), &[key, base, sandbox(no)]).expect(0);
    }
    // Whichever is not overruled still counts, and an empty variable overrules nothing.
    says(&status_with(folder.path(), &[key, sandbox("0")]).expect(78), "stripe.api_base");
    says(&status_with(folder.path(), &[key, base]).expect(78), "stripe.sandbox");
    says(&status_with(folder.path(), &[key, base, sandbox("")]).expect(78), "stripe.sandbox");
    fs::write(folder.path().join("billrecon.toml"), "[stripe]\nsandbox = false\n").unwrap();
    for yes in ["1", "true"] {
        status_with(folder.path(), &[sandbox(yes)]).expect(0);
        let ended = status_with(folder.path(), &[sandbox(yes), key]).expect(78);
        says(&ended, "BILLRECON_STRIPE_SANDBOX");
    }
    for neither in ["yes", "TRUE", "2", " 1"] {
        says(&status_with(folder.path(), &[sandbox(neither)]).expect(78), "BILLRECON_STRIPE_SANDBOX");
    }
}

#[test]
fn an_address_without_a_key_is_78_and_says_what_to_do() {
    let folder = folder();
    let base = ("BILLRECON_STRIPE_API_BASE", "https://api.stripe.com/");
    let ended = status_with(folder.path(), &[base]).expect(78);
    says(&ended, "BILLRECON_STRIPE_API_BASE");
    says(&ended, "set BILLRECON_STRIPE_API_KEY");
    let empty = [base, ("BILLRECON_STRIPE_API_KEY", ""), ("BILLRECON_STRIPE_API_KEY_FILE", "")];
    status_with(folder.path(), &empty).expect(78);
    assert!(made(folder.path()).is_empty());
}

#[test]
fn a_secret_from_two_places_is_78() {
    let folder = folder();
    run(folder.path(), &IMPORT).expect(0);
    let webhook = "http://127.0.0.1:1/services/T/B/x";
    for (name, value) in [("BILLRECON_STRIPE_API_KEY", KEY), ("BILLRECON_SLACK_WEBHOOK_URL", webhook)] {
        write_secret(&folder.path().join("secret"), &format!("{value}\n"));
        let file_name = format!("{name}_FILE");
        let from_file = (file_name.as_str(), "secret");
        status_with(folder.path(), &[(name, value)]).expect(0);
        status_with(folder.path(), &[from_file]).expect(0);
        status_with(folder.path(), &[(name, ""), from_file]).expect(0);
        says(&status_with(folder.path(), &[(name, value), from_file]).expect(78), &file_name);
        write_secret(&folder.path().join("secret"), "\n");
        says(&status_with(folder.path(), &[from_file]).expect(78), &file_name);
        fs::remove_file(folder.path().join("secret")).unwrap();
        says(&status_with(folder.path(), &[from_file]).expect(78), &file_name);
    }
}

#[test]
fn tolerances_are_read_to_the_last_digit_and_belong_to_the_rules() {
    let folder = folder();
    let text = "[tolerance]\nquantity = \"0.000000000001\"\nquantity_relative = \"1\"\n\
                [tolerance.try]\namount_minor = 2\nrelative = \"0.001\"\n[tolerance.jpy]\namount_minor = 1\n";
    let config = load(folder.path(), text);
    let words = "quantity 0.000000000001 or 1 of the ledger's; jpy 1 minor units or 0 of the ledger's; \
                 try 2 minor units or 0.001 of the ledger's";
    assert_eq!(config.tolerances.to_string(), words);
    let hash = |text: &str| load(folder.path(), text).rules_hash();
    assert_eq!(hash(""), hash("[tolerance]\nquantity = \"0.0\"\n[tolerance.try]\namount_minor = 0\n"));
    assert_ne!(hash(""), hash("[tolerance]\nquantity = \"1\"\n"));
    assert_ne!(hash("[tolerance.try]\namount_minor = 1\n"), hash("[tolerance.usd]\namount_minor = 1\n"));
}

#[test]
fn a_wrong_tolerance_is_78_with_its_place() {
    let folder = folder();
    for (text, key) in [
        ("[tolerance]\nquantity = \"-1\"\n", "tolerance.quantity must be"),
        ("[tolerance]\nquantity = 0.5\n", "tolerance.quantity must be"),
        ("[tolerance]\nquantity = \"0.0000000000001\"\n", "tolerance.quantity must be"),
        ("[tolerance]\nquantity_relative = \"1.1\"\n", "tolerance.quantity_relative must be"),
        ("[tolerance]\nunits = \"1\"\n", "tolerance.units is no key"),
        ("[tolerance.xyz]\namount_minor = 1\n", "tolerance.xyz is no currency"),
        ("[tolerance.TRY]\namount_minor = 1\n", "tolerance.TRY is no currency"),
        ("[tolerance.try]\namount_minor = -1\n", "tolerance.try.amount_minor must be"),
        ("[tolerance.try]\namount_minor = \"1\"\n", "tolerance.try.amount_minor must be"),
        ("[tolerance.try]\namount_minor = 1.5\n", "tolerance.try.amount_minor must be"),
        ("[tolerance.try]\nrelative = \"-0.1\"\n", "tolerance.try.relative must be"),
        ("[tolerance.try]\namount = 1\n", "tolerance.try.amount is no key"),
        ("tolerance = 1\n", "tolerance has the wrong type"),
    ] {
        fs::write(folder.path().join("billrecon.toml"), text).unwrap();
        let ended = run(folder.path(), &["status"]).expect(78);
        says(&ended, &format!("billrecon.toml: {key}"));
    }
}
