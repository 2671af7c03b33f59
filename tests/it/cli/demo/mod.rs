//! `billrecon demo`: the first thing that anybody runs.
//!
//! In: an empty folder, and settings that must not matter. Out: a folder with all that it made, the same each time.
//! Never anything outside of it. Playing it takes seconds, so most tests look at one that was played for all.

mod figures;
mod snapshots;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use secrecy::ExposeSecret;
use tempfile::TempDir;

use super::{binary, run, says};
use crate::slack::server::{FakeSlack, LONG_PATH, Request};
use crate::support::{Ended, csv_rows, files, write_secret};

const CANARY: &str = "c4n4ry";
/// Differ from run to run: request ids, the run's id and time.
const NO_DATA_FILES: [&str; 5] =
    ["manifest.json", "evidence.ndjson", "SHA256SUMS", "report.xlsx", "report.html"];

/// A demo played in an environment full of settings that must not matter, but for the webhook.
struct Played {
    folder: TempDir,
    ended: Ended,
    slack: FakeSlack,
}

impl Played {
    fn demo(&self) -> PathBuf {
        self.folder.path().join("billrecon-demo")
    }

    fn stdout(&self) -> &str {
        &self.ended.stdout
    }

    /// A copy to work on.
    fn copy(&self) -> TempDir {
        let folder = tempfile::tempdir().unwrap();
        copy(&self.demo(), &folder.path().join("billrecon-demo"));
        folder
    }

    /// The files of the run that judged a month.
    fn judged(&self, month: &str) -> BTreeMap<String, Vec<u8>> {
        let shown = format!("billrecon-demo/reports/{month}/");
        let lines: Vec<&str> =
            self.stdout().lines().map(str::trim).filter(|line| line.starts_with(&shown)).collect();
        assert_eq!(lines.len(), 1, "{}", self.stdout());
        files(&self.folder.path().join(lines[0]))
    }

    fn rows(&self, month: &str, file: &str) -> Vec<BTreeMap<String, String>> {
        csv_rows(&self.judged(month)[file])
    }
}

fn played() -> &'static Played {
    static PLAYED: OnceLock<Played> = OnceLock::new();
    PLAYED.get_or_init(|| {
        let (folder, slack) = (tempfile::tempdir().unwrap(), FakeSlack::start(&[]));
        fs::write(folder.path().join("billrecon.toml"), "database = \"sqlite://mine.db\"\nunknown = 1\n")
            .unwrap();
        let output = binary(folder.path(), &["demo", "--database", "sqlite://flag.db", "--reports", "flag"])
            .env("BILLRECON_DATABASE_URL", format!("postgres://{CANARY}:{CANARY}@127.0.0.1:1/{CANARY}"))
            .env("BILLRECON_REPORTS", CANARY)
            .env("BILLRECON_STRIPE_API_KEY", format!("sk_live_{CANARY}"))
            .env("BILLRECON_STRIPE_API_BASE", format!("http://127.0.0.1:{}/", slack.port()))
            .env("BILLRECON_STRIPE_SANDBOX", "no")
            .env("BILLRECON_SLACK_WEBHOOK_URL", slack.webhook().expose_secret())
            .output()
            .unwrap();
        Played { folder, ended: Ended::of(output).expect(0), slack }
    })
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The data files of all runs below a demo folder, by month, instant and name; and what went in.
fn data_files(demo: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all: BTreeMap<String, Vec<u8>> = fs::read_dir(demo)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "csv" || extension == "toml"))
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(&path).unwrap()))
        .collect();
    for month in fs::read_dir(demo.join("reports")).unwrap().map(|entry| entry.unwrap().path()) {
        for folder in fs::read_dir(&month).unwrap().map(|entry| entry.unwrap().path()) {
            let run_id = folder.file_name().unwrap().to_string_lossy().into_owned();
            let instant = run_id.split('-').next().unwrap();
            let month = month.file_name().unwrap().to_string_lossy().into_owned();
            for (name, bytes) in files(&folder) {
                if !NO_DATA_FILES.contains(&name.as_str()) {
                    let name = format!("{month}/{instant}/{name}");
                    assert!(all.insert(name, bytes).is_none(), "two runs of one month in one wake");
                }
            }
        }
    }
    all
}

#[test]
fn it_plays_two_months_from_no_go_to_go_and_says_why() {
    let stdout = played().stdout();
    let place =
        |words: &str| stdout.find(words).unwrap_or_else(|| panic!("`{words}` is missing in: {stdout}"));
    assert!(place("DEMO SANDBOX") < place("2026-09 partial: NO_GO"));
    assert!(place("2026-09 partial: NO_GO") < place("the team mends"));
    assert!(place("the team mends") < place("2026-10 closed: GO"));
    place("rows differ between the ledger and Stripe");
    place("of 180 `pro` tenants used their whole quota");
    assert!(!stdout.contains('\u{1b}') && !stdout.contains("LEDGER ONLY"));
    assert_eq!(played().ended.stderr, "");
}

#[test]
fn a_person_can_follow_it_in_a_terminal_of_80_columns() {
    let lines: Vec<&str> = played().stdout().lines().collect();
    assert!((40..=85).contains(&lines.len()), "{} lines", lines.len());
    let wide: Vec<&&str> = lines.iter().filter(|line| line.chars().count() > 80).collect();
    assert!(wide.iter().all(|line| line.contains("billrecon-demo/reports/")), "{wide:?}");
    let dated: Vec<&str> =
        lines.iter().filter(|line| line.starts_with("2026-")).map(|line| &line[..16]).collect();
    assert!(dated.len() >= 12 && dated.is_sorted(), "{dated:?}");
    for wake in
        ["2026-09-30 22:05", "2026-10-01 00:05", "2026-10-01 02:05", "2026-11-01 00:05", "2026-11-01 02:05"]
    {
        assert!(dated.contains(&wake), "{wake}");
    }
}

#[test]
fn the_readme_shows_what_it_prints() {
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let shown = readme.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(shown.lines().count() > 8);
    for line in shown.lines() {
        assert!(played().stdout().lines().any(|printed| printed == line), "{line}");
    }
}

#[test]
fn a_webhook_gets_one_message_per_judged_period_and_nothing_else_is_reached() {
    let requests: Vec<Request> = played().slack.requests();
    let told: Vec<(bool, bool, bool)> = requests
        .iter()
        .map(|request| {
            assert!(request.line.contains(LONG_PATH) && request.body.contains("DEMO SANDBOX"), "{request:?}");
            let has = |words: &str| request.body.contains(words);
            (has("NO_GO · 2026-09"), has("✅ GO · 2026-10"), has("reports/2026-1"))
        })
        .collect();
    assert_eq!(told, [(true, false, false), (false, true, true)]);
    assert!(played().stdout().contains("for your webhook"));
}

#[test]
fn no_other_setting_counts_and_no_secret_is_written_down() {
    let names = fs::read_dir(played().folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let names: BTreeSet<String> = names.map(|name| name.into_string().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(["billrecon-demo".to_owned(), "billrecon.toml".to_owned()]));
    let secret = LONG_PATH.rsplit('/').next().unwrap();
    let mut files = data_files(&played().demo());
    for month in ["2026-09", "2026-10"] {
        files.extend(
            played().judged(month).into_iter().map(|(name, bytes)| (format!("{month}/{name}"), bytes)),
        );
    }
    files.insert("stdout".to_owned(), played().stdout().into());
    files.insert("stderr".to_owned(), played().ended.stderr.clone().into());
    for (name, bytes) in files {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(CANARY) && !text.contains(secret), "{name}");
    }
}

#[test]
fn every_file_of_a_run_says_demo_sandbox() {
    for (month, verdict) in [("2026-09", "NO_GO"), ("2026-10", "GO")] {
        let manifest: serde_json::Value =
            serde_json::from_slice(&played().judged(month)["manifest.json"]).unwrap();
        let run = &manifest["run"];
        assert_eq!((&run["mode"], &run["verdict"]), (&"DEMO SANDBOX".into(), &verdict.into()));
    }
}

#[test]
fn it_leaves_a_configuration_with_which_every_other_command_works_there() {
    let folder = played().copy();
    let demo = folder.path().join("billrecon-demo");
    let status = run(&demo, &["status", "--json"]).expect(0).json();
    let periods: Vec<(&str, &str)> = status["periods"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["period"].as_str().unwrap(), one["status"].as_str().unwrap()))
        .collect();
    assert_eq!(periods, [("2026-09", "partial"), ("2026-10", "closed"), ("2026-11", "open")]);
    // From above too, because paths in the configuration start at its folder.
    let above =
        run(folder.path(), &["status", "--json", "--config", "billrecon-demo/billrecon.toml"]).expect(0);
    assert_eq!(above.json(), status);
    let later = ["--as-of", "2026-11-05T06:05:00Z"];
    let dry = run(&demo, &[&["run", "--dry-run", "--json"], &later[..]].concat()).expect(3);
    assert_eq!(dry.stdout.lines().count(), 2, "{}", dry.stdout);
    let month =
        run(&demo, &[&["run", "--period", "2026-09", "--json"], &later[..]].concat()).expect(3).json();
    assert_eq!((&month["counts"]["parked"], &month["verdict"]), (&3.into(), &"NO_GO".into()));
    assert!(demo.join(month["reports_dir"].as_str().unwrap()).join("lines.csv").is_file());
    run(&demo, &["import", "catalog", "catalog.toml"]).expect(0);
    let again = run(&demo, &["import", "usage", "usage-2026-09.csv", "--json"]).expect(3).json();
    assert_eq!((&again["accepted"], &again["quarantined"]), (&0.into(), &1.into()));
}

#[test]
fn it_makes_the_same_again_in_its_own_folder_and_takes_the_webhook_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let demo = folder.path().join("billrecon-demo");
    let first = run(folder.path(), &["demo"]).expect(0);
    assert!(first.stdout.contains("no webhook is set"));
    assert!(data_files(&demo) == data_files(&played().demo()));
    fs::write(demo.join("left-behind"), "").unwrap();
    let (slack, webhook) = (FakeSlack::start(&[]), folder.path().join("webhook"));
    write_secret(&webhook, slack.webhook().expose_secret());
    let again = binary(folder.path(), &["demo"]).env("BILLRECON_SLACK_WEBHOOK_URL_FILE", &webhook).output();
    Ended::of(again.unwrap()).expect(0);
    assert!(data_files(&demo) == data_files(&played().demo()));
    assert!(!demo.join("left-behind").exists());
    assert_eq!(slack.requests().len(), 2);
}

#[test]
fn a_folder_of_that_name_that_it_did_not_make_is_left_alone() {
    for config in [None, Some("database = \"sqlite://precious.db\"\n")] {
        let folder = tempfile::tempdir().unwrap();
        let demo = folder.path().join("billrecon-demo");
        fs::create_dir(&demo).unwrap();
        fs::write(demo.join("precious.db"), "years of work").unwrap();
        if let Some(config) = config {
            fs::write(demo.join("billrecon.toml"), config).unwrap();
        }
        let before = files(&demo);
        says(&run(folder.path(), &["demo"]).expect(73), "billrecon-demo");
        assert_eq!(files(&demo), before);
    }
}

#[test]
fn a_file_or_a_dangling_link_of_that_name_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let demo = folder.path().join("billrecon-demo");
    fs::write(&demo, "a file").unwrap();
    run(folder.path(), &["demo"]).expect(73);
    assert_eq!(fs::read(&demo).unwrap(), b"a file");
    fs::remove_file(&demo).unwrap();
    symlink("nowhere", &demo).unwrap();
    run(folder.path(), &["demo"]).expect(73);
    assert_eq!(fs::read_link(&demo).unwrap(), Path::new("nowhere"));
}

/// It makes its folder anew, and that must not reach through a link, even to a demo's folder.
#[test]
fn a_link_of_that_name_and_what_it_points_to_are_left_alone() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let config = fs::read(played().demo().join("billrecon.toml")).unwrap();
    fs::write(elsewhere.path().join("billrecon.toml"), config).unwrap();
    let link = folder.path().join("billrecon-demo");
    symlink(elsewhere.path(), &link).unwrap();
    let before = files(elsewhere.path());
    run(folder.path(), &["demo"]).expect(73);
    assert_eq!(files(elsewhere.path()), before);
    assert_eq!(fs::read_link(&link).unwrap(), elsewhere.path());
}
