//! `billrecon demo`: the first thing that anybody runs.
//!
//! In: an empty folder, and settings that must not matter. Out: a folder with all that it made, the same each time.
//! Never anything outside of it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::{binary, run, says};
use crate::support::{Ended, files};

/// The data files of all runs below a demo folder, by month and name.
fn data_files(demo: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut all = BTreeMap::new();
    for month in fs::read_dir(demo.join("reports")).unwrap().map(|entry| entry.unwrap()) {
        for folder in fs::read_dir(month.path()).unwrap().map(|entry| entry.unwrap().path()) {
            for (name, bytes) in files(&folder) {
                let name = format!("{}/{name}", month.file_name().to_string_lossy());
                if !name.ends_with("manifest.json") {
                    assert!(all.insert(name, bytes).is_none(), "two runs of one month");
                }
            }
        }
    }
    all
}

#[test]
fn it_plays_two_months_says_ledger_only_and_ends_with_0() {
    let folder = tempfile::tempdir().unwrap();
    let ended = run(folder.path(), &["demo"]).expect(0);
    for words in ["LEDGER ONLY", "2026-09", "2026-10", "INSUFFICIENT_DATA", "billrecon status"] {
        assert!(ended.stdout.contains(words), "`{words}` is missing in: {}", ended.stdout);
    }
    assert!(!ended.stdout.contains('\u{1b}'));
    let demo = folder.path().join("billrecon-demo");
    assert_eq!(data_files(&demo).keys().filter(|name| name.ends_with("/lines.csv")).count(), 2);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn it_leaves_a_configuration_with_which_every_other_command_works_there() {
    let folder = tempfile::tempdir().unwrap();
    run(folder.path(), &["demo"]).expect(0);
    let demo = folder.path().join("billrecon-demo");
    let status = run(&demo, &["status", "--json"]).expect(0).json();
    assert_eq!(status["periods"].as_array().unwrap().len(), 2);
    // From above too, because paths in the configuration start at its folder.
    let above =
        run(folder.path(), &["status", "--json", "--config", "billrecon-demo/billrecon.toml"]).expect(0);
    assert_eq!(above.json(), status);
    let month = run(&demo, &["run", "--period", "2026-09", "--json"]).expect(3).json();
    assert_eq!(month["counts"]["parked"], 1);
    assert!(demo.join(month["reports_dir"].as_str().unwrap()).join("lines.csv").is_file());
    run(&demo, &["import", "catalog", "catalog.toml"]).expect(0);
    let again = run(&demo, &["import", "usage", "usage-2026-09.csv", "--json"]).expect(3).json();
    assert_eq!((&again["accepted"], &again["quarantined"]), (&0.into(), &1.into()));
}

#[test]
fn it_makes_the_same_data_files_each_time() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for folder in [&first, &second, &second] {
        run(folder.path(), &["demo"]).expect(0);
    }
    let [first, second] = [first, second].map(|folder| data_files(&folder.path().join("billrecon-demo")));
    assert!(first.len() >= 8, "{:?}", first.keys());
    assert!(first == second, "{:?}", second.keys());
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

/// It makes its folder anew, and that must not reach through a link.
#[test]
fn what_a_link_of_that_name_points_to_is_left_alone() {
    let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run(elsewhere.path(), &["demo"]).expect(0);
    let target = elsewhere.path().join("billrecon-demo");
    symlink(&target, folder.path().join("billrecon-demo")).unwrap();
    let before = (files_of(&target), data_files(&target));
    run(folder.path(), &["demo"]);
    assert!((files_of(&target), data_files(&target)) == before);
}

/// The files at the top of a folder.
fn files_of(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap()).filter(|entry| entry.path().is_file());
    entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect()
}

#[test]
fn it_ignores_the_configured_database_and_reports() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("billrecon.toml"), "database = \"sqlite://mine.db\"\nunknown = 1\n")
        .unwrap();
    let output = binary(folder.path(), &["demo", "--database", "sqlite://flag.db", "--reports", "flag"])
        .env("BILLRECON_DATABASE_URL", "sqlite://other.db")
        .env("BILLRECON_REPORTS", "other")
        .output()
        .unwrap();
    Ended::of(output).expect(0);
    let mut names: Vec<String> = fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert_eq!(names, ["billrecon-demo", "billrecon.toml"]);
    assert!(folder.path().join("billrecon-demo/reports/2026-10").is_dir());
}
