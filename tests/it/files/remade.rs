//! `report --run R`: the files of a run made again from the database.
//!
//! In: a closed month whose folder is gone, kept or in the way. Out: the same bytes as before, and nothing that was there changed.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{CATALOG, ENGINES, Engine, TENANTS, USAGE, Workspace, files};

/// Two months of a company, with usage that came late for the first one. The sets of September: closed, and adjusted.
fn closed(engine: Engine) -> (Workspace, Vec<PathBuf>) {
    let workspace = Workspace::new(engine).observing();
    workspace.import(CATALOG, TENANTS, USAGE);
    for instant in ["2026-10-05T00:00:00Z", "2026-11-05T00:00:00Z"] {
        workspace.run(&["run", "--as-of", instant]).expect(0);
    }
    let late = "acme,b2b.match_request,5,2026-09-20T00:00:00Z,late-1\n";
    workspace.write("late.csv", format!("{}\n{late}", USAGE.lines().next().unwrap()));
    workspace.run(&["import", "usage", "late.csv"]).expect(0);
    workspace.run(&["run", "--as-of", "2026-11-06T00:00:00Z"]).expect(3);
    let folders = workspace.report_folders("2026-09");
    assert_eq!(folders.len(), 2, "{folders:?}");
    (workspace, folders)
}

fn run_id(folder: &Path) -> &str {
    folder.file_name().unwrap().to_str().unwrap()
}

fn all(folders: &[PathBuf]) -> Vec<BTreeMap<String, Vec<u8>>> {
    folders.iter().map(|folder| files(folder)).collect()
}

#[test]
fn the_set_of_a_run_is_made_again_to_the_byte() {
    for engine in ENGINES {
        let (workspace, folders) = closed(engine);
        let before = all(&folders);
        assert!(
            before.iter().all(|set| set.contains_key("report.xlsx") && set.contains_key("manifest.json"))
        );
        for folder in &folders {
            let run = run_id(folder);
            let kept = workspace.run(&["report", "--run", run]).expect(0);
            fs::remove_dir_all(folder).unwrap();
            let made = workspace.run(&["report", "--run", run]).expect(0);
            assert_eq!((&made.stdout, &made.stderr), (&kept.stdout, &kept.stderr));
            assert!(
                made.stderr.contains(&format!("its files are in reports/2026-09/{run}")),
                "{}",
                made.stderr
            );
            let json = workspace.run(&["report", "--run", run, "--json"]).expect(0).json();
            assert_eq!(json["reports_dir"], format!("reports/2026-09/{run}"));
        }
        assert_eq!(workspace.report_folders("2026-09"), folders);
        assert_eq!(all(&folders), before);
        workspace.run(&["verify", "--all"]).expect(0);
        // The first set has the second one's manifest nowhere in it, and the second names the first.
        let manifests: Vec<serde_json::Value> =
            before.iter().map(|set| serde_json::from_slice(&set["manifest.json"]).unwrap()).collect();
        assert_eq!(manifests[0]["previous_manifest_sha256"], serde_json::Value::Null);
        let before = workspace.run(&["verify", run_id(&folders[0]), "--json"]).expect(0).json();
        assert!(before["holds"].as_bool().unwrap());
        let hash = sha256sum(&folders[0].join("manifest.json"));
        assert_eq!(manifests[1]["previous_manifest_sha256"], hash);
    }
}

/// By another program than ours.
fn sha256sum(path: &Path) -> String {
    let output = std::process::Command::new("sha256sum").arg(path).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}

#[test]
fn other_files_in_the_way_stay_and_the_set_goes_beside_them() {
    let (workspace, folders) = closed(Engine::Sqlite);
    let folder = &folders[0];
    let whole = files(folder);
    fs::write(folder.join("lines.csv"), "edited by hand").unwrap();
    let edited = files(folder);
    let beside = |number: usize| folder.with_file_name(format!("{}-r{number}", run_id(folder)));
    // Made once, and kept when it is asked for again.
    for _time in 0..2 {
        let told = workspace.run(&["report", "--run", run_id(folder)]).expect(0).stderr;
        assert!(told.contains("holds other files, which stay") && told.contains("-r2"), "{told}");
        assert_eq!((files(folder), files(&beside(2))), (edited.clone(), whole.clone()));
        assert!(!beside(3).exists());
    }
    let told = workspace.run(&["report", "--run", run_id(folder), "--excel"]).expect(0).stderr;
    assert!(told.contains("-r3"), "{told}");
    assert!(files(&beside(3))["lines.csv"].starts_with("\u{feff}period".as_bytes()));
    workspace.run(&["verify", "--files", beside(3).to_str().unwrap()]).expect(0);
    assert_eq!((files(folder), files(&beside(2))), (edited, whole));
}

#[test]
fn no_lease_is_needed_and_nothing_is_written_to_the_database() {
    let (workspace, folders) = closed(Engine::Sqlite);
    fs::remove_dir_all(&folders[0]).unwrap();
    let rows = |workspace: &Workspace| {
        ["audit_log", "runs", "lease"].map(|table| workspace.number(&format!("SELECT COUNT(*) FROM {table}")))
    };
    let before = rows(&workspace);
    workspace.sql("UPDATE lease SET holder = 'somebody', expires_at = 9000000000000000000 RETURNING holder");
    workspace.run(&["report", "--run", run_id(&folders[0])]).expect(0);
    assert!(folders[0].join("manifest.json").exists());
    assert_eq!(rows(&workspace), before);
}

#[test]
fn a_place_that_cannot_be_made_is_73_and_the_figures_are_told_all_the_same() {
    let (workspace, folders) = closed(Engine::Sqlite);
    workspace.write("file", "");
    let ended = workspace.run(&["report", "--run", run_id(&folders[0]), "--reports", "file"]).expect(73);
    assert!(ended.stdout.contains("acme") && ended.stderr.contains("file cannot be made"), "{ended:?}");
}
