//! Configuration: flags > environment > `billrecon.toml` > defaults, and errors that say where to look.
//!
//! In: the same setting in several places. Out: which one counts, seen by which database and reports come into being.
//! Never a key that is silently ignored.

use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::{binary, run, says};
use crate::support::{CATALOG, Ended, TENANTS, USAGE};

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

const IMPORT: [&str; 3] = ["import", "catalog", "catalog.toml"];

#[test]
fn by_default_the_database_and_the_reports_are_here() {
    let folder = folder();
    for (kind, file) in [("catalog", "catalog.toml"), ("tenants", "tenants.csv"), ("usage", "usage.csv")] {
        run(folder.path(), &["import", kind, file]).expect(0);
    }
    run(folder.path(), &["run", "--period", "2026-09"]).expect(0);
    assert_eq!(made(folder.path()), ["billrecon.db", "reports"]);
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
    let close = |period: &'static str| ["run", "--period", period];
    let by_flag = binary(folder.path(), &[&close("2026-09")[..], &["--reports", "by-flag"]].concat())
        .envs([variable])
        .output();
    Ended::of(by_flag.unwrap()).expect(0);
    assert!(folder.path().join("by-flag/2026-09").is_dir());
    let by_environment = binary(folder.path(), &close("2026-10")).envs([variable]).output();
    Ended::of(by_environment.unwrap()).expect(0);
    assert!(folder.path().join("by-environment/2026-10").is_dir());
    fs::remove_file(folder.path().join("billrecon.db")).unwrap();
    for (kind, file) in [("catalog", "catalog.toml"), ("tenants", "tenants.csv")] {
        run(folder.path(), &["import", kind, file]).expect(0);
    }
    run(folder.path(), &close("2026-09")).expect(0);
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
    run(folder.path(), &with_config(&["run", "--period", "2026-09"])).expect(0);
    assert!(folder.path().join("etc/from-file.db").is_file());
    assert!(folder.path().join("etc/from-file/2026-09").is_dir());
    run(folder.path(), &with_config(&[&IMPORT[..], &["--database", "sqlite://typed.db"]].concat())).expect(0);
    assert!(folder.path().join("typed.db").is_file());
    run(folder.path(), &with_config(&["run", "--period", "2026-10", "--reports", "typed"])).expect(0);
    assert_eq!(made(folder.path()), ["etc", "typed", "typed.db"]);
}

#[test]
fn the_database_url_can_stand_in_a_file_of_its_own() {
    let folder = folder();
    fs::write(folder.path().join("secret"), "sqlite://from-secret.db\n").unwrap();
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
