//! Report files as a stranger finds them: a spreadsheet, an auditor, a program that reads columns by name.
//!
//! In: a company whose names are formulas, commas and quotes. Out: what the bytes of every file of a run must be. Never
//! half a set, never a set that replaces another one.

mod columns;
mod format;
mod hostile;
mod large;
mod manifest;
mod parsers;
mod remade;
mod trouble;
mod workbook;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use columns::{FORMULA, NUMBERS, SIGNS};
use hostile::{NAMES, hostile};

use crate::support::{CATALOG, ENGINES, Engine, TENANTS, USAGE, Workspace, csv_rows, files};

/// The CSV files of the hostile company's month.
fn hostile_files(engine: Engine) -> BTreeMap<String, Vec<u8>> {
    let workspace = hostile(engine);
    workspace.run(&["run", "--period", "2026-09"]).expect(3);
    let mut files = workspace.data_files("2026-09");
    files.retain(|name, _| is_csv(name));
    files
}

fn is_csv(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "csv")
}

fn header(bytes: &[u8]) -> Vec<String> {
    csv::Reader::from_reader(bytes).headers().unwrap().iter().map(str::to_owned).collect()
}

fn is_decimal(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
    [whole, fraction].iter().all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A text cell as it was before it was made harmless.
fn unescaped(cell: &str) -> &str {
    cell.strip_prefix('\'').filter(|text| text.starts_with(FORMULA)).unwrap_or(cell)
}

#[test]
fn no_text_cell_is_a_formula_and_every_number_stays_one() {
    let files = hostile_files(Engine::Sqlite);
    assert!(files.len() >= 6, "{:?}", files.keys());
    let mut numbers = BTreeSet::new();
    for (name, bytes) in &files {
        for row in csv_rows(bytes) {
            for (column, cell) in &row {
                if column == "operator" {
                    assert!(SIGNS.contains(&cell.as_str()), "{name}: {cell:?}");
                } else if column == "value" && cell != "n/a" {
                    assert!(is_decimal(cell), "{name}, {column}: {cell:?}");
                } else if !NUMBERS.contains(&column.as_str()) {
                    assert!(!cell.starts_with(FORMULA), "{name}, {column}: {cell:?}");
                } else if !cell.is_empty() {
                    assert!(is_decimal(cell), "{name}, {column}: {cell:?}");
                    numbers.insert(cell.clone());
                }
            }
        }
    }
    assert!(numbers.contains("100.5") && numbers.contains("3.50"), "{numbers:?}");
}

#[test]
fn a_tenant_named_like_a_formula_can_still_be_read_and_is_billed() {
    let files = hostile_files(Engine::Sqlite);
    let lines = csv_rows(&files["lines.csv"]);
    let found: BTreeSet<&str> = lines.iter().map(|line| unescaped(&line["tenant_id"])).collect();
    assert_eq!(found, NAMES.iter().copied().collect());
    let line =
        lines.iter().find(|line| line["tenant_id"] == "'=HYPERLINK(\"http://x\")" && line["tier"] == "2");
    let line = line.unwrap();
    assert_eq!(line["tenant_name"], "'=HYPERLINK(\"http://x\")");
    assert_eq!((&*line["plan"], &*line["meter"]), ("'@pro", "'=meter,\"one\""));
    assert_eq!((&*line["quantity"], &*line["amount"]), ("0.5", "3.50"));
    let exceptions = csv_rows(&files["exceptions.csv"]);
    let stranger = exceptions.iter().find(|row| row["tenant_id"] == "'=stranger").unwrap();
    assert_eq!((&*stranger["meter"], &*stranger["kind"]), ("'+meter", "quarantined"));
}

#[test]
fn names_with_newlines_or_tabs_never_enter() {
    let workspace = Workspace::with_company(Engine::Sqlite);
    for name in ["a\nb", "a\r\nb", "\t=1", "a\u{b}b"] {
        workspace.write("t.csv", format!("tenant_id,name,plan,currency\nnew,\"{name}\",pro,try\n"));
        workspace.run(&["import", "tenants", "t.csv"]).expect(65);
    }
}

#[test]
fn rows_end_with_crlf_and_the_files_are_utf_8_without_a_mark() {
    for (name, bytes) in hostile_files(Engine::Sqlite) {
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.starts_with('\u{feff}'), "{name}");
        let rows = text.strip_suffix("\r\n").unwrap_or_else(|| panic!("{name} ends without CRLF"));
        // No cell holds a line end, so what remains after splitting holds none either.
        for row in rows.split("\r\n") {
            assert!(!row.is_empty() && !row.contains(['\r', '\n']), "{name}: {row:?}");
        }
    }
}

#[test]
fn rows_are_sorted_by_the_bytes_of_what_they_are_about() {
    let files = hostile_files(Engine::Postgres);
    for (name, keys) in [
        ("lines.csv", &["tenant_id", "plan", "meter", "window_start"][..]),
        ("exceptions.csv", &["tenant_id", "kind", "reason"]),
        ("control_totals.csv", &["meter"]),
        ("summary.csv", &["plan", "interval", "currency"]),
        ("reconciliation.csv", &["tenant_id", "plan", "meter", "window_start"]),
        ("decision.csv", &["plan", "meter"]),
    ] {
        let rows = csv_rows(&files[name]);
        let key = |row: &BTreeMap<String, String>| -> Vec<Vec<u8>> {
            keys.iter().map(|column| unescaped(&row[*column]).as_bytes().to_vec()).collect()
        };
        let found: Vec<_> = rows.iter().map(key).collect();
        assert!(found.len() > 1 && found.is_sorted(), "{name}: {found:?}");
    }
    assert_eq!(files, hostile_files(Engine::Sqlite));
}

#[test]
fn the_columns_that_others_read_by_name_stand_first() {
    let files = hostile_files(Engine::Sqlite);
    let lines = header(&files["lines.csv"]).join(",");
    let promised = "period,tenant_id,plan,meter,window_start,window_end,tier,kind,quantity,unit_amount_decimal,\
                    exact_amount_minor,amount_minor,amount,currency";
    assert!(lines == promised || lines.starts_with(&format!("{promised},")), "{lines}");
    let comparison = header(&files["reconciliation.csv"]).join(",");
    let promised = "period,tenant_id,plan,meter,window_start,window_end,source,class,ledger_quantity,\
                    stripe_quantity,difference_quantity,ledger_amount_minor,stripe_amount_minor,\
                    difference_amount_minor,currency,reason,evidence";
    assert!(comparison.starts_with(&format!("{promised},")), "{comparison}");
    let decision = "plan,meter,metric,value,operator,threshold,passed,required,population";
    assert_eq!(header(&files["decision.csv"]).join(","), format!("{decision},formula"));
    assert_eq!(header(&files["control_totals.csv"]), ["meter", "measure", "records", "quantity"]);
    for file in [
        "lines.csv",
        "summary.csv",
        "exceptions.csv",
        "reconciliation.csv",
        "adjustments.csv",
        "accruals.csv",
        "limit_events.csv",
        "forecast.csv",
    ] {
        assert_eq!(header(&files[file])[0], "period");
    }
}

/// The page has one line per column: `| file.csv | column | what it says |`.
#[test]
fn every_column_is_explained_in_reports_readme() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("reports/README.md");
    let Ok(page) = fs::read_to_string(page) else { return };
    let mut explained: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in page.lines().filter(|line| line.starts_with('|')) {
        let cells: Vec<&str> =
            line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        if let [file, column, meaning, ..] = cells[..]
            && is_csv(file)
        {
            assert!(!meaning.is_empty(), "{line}");
            explained.entry(file.to_owned()).or_default().push(column.to_owned());
        }
    }
    for (name, bytes) in hostile_files(Engine::Sqlite) {
        assert_eq!(explained.get(&name), Some(&header(&bytes)), "{name}");
    }
}

#[test]
fn the_manifest_and_the_sums_pin_every_data_file() {
    for engine in ENGINES {
        let workspace = hostile(engine);
        workspace.run(&["run", "--period", "2026-09"]).expect(3);
        let folder = workspace.report_folder("2026-09");
        let set = files(&folder);
        let manifest: serde_json::Value = serde_json::from_slice(&set["manifest.json"]).unwrap();
        assert_eq!(manifest["period"], "2026-09");
        let listed: BTreeMap<&str, &serde_json::Value> = manifest["files"]
            .as_array()
            .unwrap()
            .iter()
            .map(|file| (file["name"].as_str().unwrap(), file))
            .collect();
        let is_data = |name: &&str| !["manifest.json", "SHA256SUMS"].contains(name);
        let data: BTreeSet<&str> = set.keys().map(String::as_str).filter(is_data).collect();
        assert_eq!(listed.keys().copied().collect::<BTreeSet<_>>(), data);
        for (name, file) in listed {
            let rows = match name.rsplit_once('.').unwrap().1 {
                "csv" => csv_rows(&set[name]).len(),
                "ndjson" => objects(&set[name]),
                _ => 0,
            };
            assert_eq!(file["rows"].as_u64().unwrap(), rows as u64, "{name}");
            assert_eq!(file["bytes"].as_u64().unwrap(), set[name].len() as u64, "{name}");
            assert_eq!(file["sha256"].as_str().unwrap(), sha256sum(&folder, name), "{name}");
        }
        let check =
            Command::new("sha256sum").args(["-c", "--strict", "SHA256SUMS"]).current_dir(&folder).output();
        let check = check.unwrap();
        let words = String::from_utf8(check.stdout).unwrap();
        assert!(check.status.success(), "{words}");
        assert_eq!(words.lines().count(), data.len(), "{words}");
    }
}

/// Lines, each of which is a JSON object.
fn objects(ndjson: &[u8]) -> usize {
    let lines = std::str::from_utf8(ndjson).unwrap().lines();
    lines.inspect(|line| drop(serde_json::from_str::<serde_json::Map<_, _>>(line).unwrap())).count()
}

/// The hash by another program than ours.
fn sha256sum(folder: &Path, name: &str) -> String {
    let output = Command::new("sha256sum").arg(name).current_dir(folder).output().unwrap();
    String::from_utf8(output.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}

#[test]
fn only_their_owner_may_read_the_files() {
    let workspace = Workspace::with_watched_company(Engine::Sqlite);
    workspace.run(&["run", "--period", "2026-09"]).expect(0);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let folder = workspace.report_folder("2026-09");
    for path in [workspace.path("reports"), workspace.path("reports/2026-09"), folder.clone()] {
        assert_eq!(mode(&path), 0o700, "{}", path.display());
    }
    for name in files(&folder).keys() {
        assert_eq!(mode(&folder.join(name)), 0o600, "{name}");
    }
}

#[test]
fn data_files_hold_neither_a_clock_nor_the_run() {
    let (first, second) =
        (Workspace::with_watched_company(Engine::Sqlite), Workspace::with_watched_company(Engine::Postgres));
    for workspace in [&first, &second] {
        workspace.run(&["run", "--period", "2026-09"]).expect(0);
    }
    assert_eq!(first.data_files("2026-09"), second.data_files("2026-09"));
    let set = files(&first.report_folder("2026-09"));
    let manifest: serde_json::Value = serde_json::from_slice(&set["manifest.json"]).unwrap();
    let fact = |name: &str| manifest["run"][name].as_str().unwrap().to_owned();
    let day = fact("started_at")[.."2026-11-21".len()].to_owned();
    for (name, bytes) in first.data_files("2026-09") {
        let text = String::from_utf8(bytes).unwrap();
        for secret in [&fact("run_id"), &fact("holder"), &day] {
            assert!(!text.contains(secret.as_str()), "{name} holds {secret}");
        }
    }
}

/// Brings a run back to the moment when its figures are closed and its files are not recorded yet.
fn undo_delivery(workspace: &Workspace) {
    let closing = "(SELECT run_id FROM billing_period_jobs WHERE period = '2026-09')";
    workspace.sql(&format!(
        "UPDATE runs SET state = 'committed', manifest_sha256 = '' WHERE run_id = {closing} RETURNING run_id"
    ));
}

#[test]
fn a_set_that_is_in_its_place_already_is_kept() {
    for engine in ENGINES {
        let workspace = Workspace::with_watched_company(engine);
        workspace.run(&["run", "--period", "2026-09"]).expect(0);
        let set = files(&workspace.report_folder("2026-09"));
        undo_delivery(&workspace);
        workspace.run(&["run", "--period", "2026-09"]).expect(0);
        assert_eq!(files(&workspace.report_folder("2026-09")), set);
        // The one that looked, and the one that closed.
        assert_eq!(workspace.sql("SELECT state FROM runs"), [["finished"], ["finished"]]);
    }
}

#[test]
fn a_folder_of_the_run_with_other_content_ends_the_run_and_is_left_as_it_is() {
    for (name, bytes) in [("manifest.json", "{}\n"), ("lines.csv", "period\r\n"), ("SHA256SUMS", "")] {
        let workspace = Workspace::with_watched_company(Engine::Sqlite);
        workspace.run(&["run", "--period", "2026-09"]).expect(0);
        let folder = workspace.report_folder("2026-09");
        fs::write(folder.join(name), bytes).unwrap();
        let set = files(&folder);
        undo_delivery(&workspace);
        let ended = workspace.run(&["run", "--period", "2026-09"]);
        assert_eq!(ended.code, Some(73), "{name} was changed: {ended:?}");
        assert!(ended.stderr.contains(folder.file_name().unwrap().to_str().unwrap()), "{}", ended.stderr);
        assert_eq!(files(&workspace.report_folder("2026-09")), set);
        // Moved away as the message says, the next wake delivers.
        fs::rename(&folder, workspace.path("elsewhere")).unwrap();
        workspace.run(&["run", "--period", "2026-09"]).expect(0);
        assert_ne!(files(&workspace.report_folder("2026-09")), set);
    }
}

#[test]
fn reports_that_cannot_be_made_end_the_run_and_the_next_wake_delivers_them() {
    for engine in ENGINES {
        let workspace = Workspace::with_watched_company(engine);
        workspace.write("file", "");
        for reports in ["file", "file/reports", "/proc/billrecon/reports"] {
            let ended = workspace.run(&["run", "--period", "2026-09", "--reports", reports]).expect(73);
            assert!(ended.stderr.contains(reports), "{}", ended.stderr);
            assert!(!ended.stdout.contains("files in"), "{}", ended.stdout);
        }
        // The figures are closed; only their files are missing.
        assert_eq!(workspace.number("SELECT COUNT(*) FROM billing_windows WHERE status = 'closed'"), 4);
        let run = workspace.run(&["run", "--period", "2026-09", "--json"]).expect(0).json();
        assert_eq!(workspace.report_folder("2026-09"), workspace.path(run["reports_dir"].as_str().unwrap()));
        let twin = Workspace::with_watched_company(engine);
        twin.run(&["run", "--period", "2026-09"]).expect(0);
        assert_eq!(workspace.data_files("2026-09"), twin.data_files("2026-09"));
    }
}

/// A month whose files cannot be written must not keep later months from closing.
#[test]
fn trouble_with_the_files_of_one_month_never_blocks_the_next_one() {
    for engine in ENGINES {
        let workspace = Workspace::with_company(engine);
        fs::create_dir(workspace.path("reports")).unwrap();
        workspace.write("reports/2026-09", "a file where the month's folder should be");
        for _wake in 0..2 {
            workspace.run(&["run"]).expect(73);
        }
        let closed = "SELECT period FROM billing_period_jobs WHERE status = 'closed' ORDER BY period";
        let closed = workspace.sql(closed).concat();
        assert!(
            closed.contains(&"2026-09".to_owned()) && closed.contains(&"2026-10".to_owned()),
            "{closed:?}"
        );
        assert_eq!(workspace.report_folders("2026-10").len(), 1);
    }
}

#[test]
fn a_month_without_any_usage_has_files_with_their_headers() {
    let workspace = Workspace::new(Engine::Sqlite);
    workspace.import(CATALOG, TENANTS, USAGE.split_inclusive('\n').next().unwrap());
    workspace.run(&["run", "--period", "2026-09"]).expect(0);
    let files = workspace.data_files("2026-09");
    let kinds: BTreeSet<String> =
        csv_rows(&files["lines.csv"]).into_iter().map(|mut line| line.remove("kind").unwrap()).collect();
    assert_eq!(kinds, ["base".to_owned()].into());
    assert_eq!(files["control_totals.csv"], b"meter,measure,records,quantity\r\n");
}
