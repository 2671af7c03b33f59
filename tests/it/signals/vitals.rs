//! The vital signs that a wake writes to a file for Prometheus.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use billrecon::domain::vital::Vital;

use super::watched;
use crate::support::{CATALOG, ENGINES, Engine, TENANTS, USAGE, Workspace};

const SETTINGS: &str = "[metrics]\ntextfile = \"metrics/billrecon.prom\"\n";
const FILE: &str = "metrics/billrecon.prom";

fn with_file(engine: Engine) -> Workspace {
    let workspace = watched(engine);
    set_up(&workspace);
    workspace
}

fn set_up(workspace: &Workspace) {
    workspace.write("billrecon.toml", SETTINGS);
    fs::create_dir(workspace.path("metrics")).unwrap();
}

/// Values by name and label, such as `billrecon_verdict{verdict="GO"}`.
fn signs(workspace: &Workspace) -> BTreeMap<String, i64> {
    let text = fs::read_to_string(workspace.path(FILE)).unwrap();
    assert!(text.ends_with("# EOF\n"), "{text}");
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let value = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        (name.strip_prefix("billrecon_").unwrap().to_owned(), value.parse().unwrap())
    };
    samples.map(value).collect()
}

#[test]
fn a_wake_tells_how_it_ended_and_where_the_books_stand() {
    for engine in ENGINES {
        let workspace = with_file(engine);
        workspace.run(&["run"]).expect(0);
        let signs = signs(&workspace);
        assert_eq!(signs["run_exit_code"], 0);
        assert_eq!(signs["last_run_timestamp_seconds"], signs["last_success_timestamp_seconds"]);
        let in_sixty_years = 3_700_000_000;
        assert!((1_700_000_000..in_sixty_years).contains(&signs["last_run_timestamp_seconds"]));
        assert!(signs["run_duration_seconds"] >= 0);
        assert!(signs.contains_key("stage_duration_milliseconds{stage=\"commit\"}"), "{signs:?}");
        for known in ["lease_held", "due_periods", "oldest_due_seconds", "pending_pushes"] {
            assert_eq!(signs[known], 0, "{known}: {signs:?}");
        }
        assert_eq!(signs["quarantined_records"], 0);
        assert_eq!(signs["parked_windows{reason=\"unknown_plan\"}"], 0);
        let confirmed = workspace.number("SELECT COUNT(*) FROM intents WHERE state = 'confirmed'");
        assert!(confirmed > 0);
        assert_eq!(signs["pushes{state=\"confirmed\"}"], confirmed);
        let said = &workspace
            .sql("SELECT verdict FROM runs WHERE verdict <> '' ORDER BY fence DESC, period DESC")[0][0];
        let verdicts = signs.iter().filter(|(name, _)| name.starts_with("verdict{"));
        let set: Vec<_> = verdicts.clone().filter(|(_, value)| **value == 1).map(|(name, _)| name).collect();
        assert_eq!(set, [&format!("verdict{{verdict=\"{said}\"}}")]);
        assert_eq!(verdicts.count(), 4);
        let mode = fs::metadata(workspace.path(FILE)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o644);
        assert_eq!(fs::read_dir(workspace.path("metrics")).unwrap().count(), 1, "no half file is left");
    }
}

#[test]
fn what_is_not_known_is_absent_and_a_failed_wake_keeps_the_last_success() {
    let workspace = Workspace::fresh(Engine::Sqlite);
    set_up(&workspace);
    workspace.run(&["run"]).expect(78);
    let first = signs(&workspace);
    assert_eq!(first["run_exit_code"], 78);
    for unknown in ["last_success_timestamp_seconds", "verdict{verdict=\"GO\"}"] {
        assert!(!first.contains_key(unknown), "{first:?}");
    }
    workspace.import(CATALOG, TENANTS, USAGE);
    workspace.watch("2026-09");
    workspace.run(&["run", "--period", "2026-09"]).expect(0);
    let success = signs(&workspace)["last_success_timestamp_seconds"];
    workspace.run(&["run", "--period", "2026-08"]).expect(2);
    let failed = signs(&workspace);
    assert_eq!((failed["run_exit_code"], failed["last_success_timestamp_seconds"]), (2, success));
}

#[test]
fn what_waits_is_counted() {
    let workspace = Workspace::new(Engine::Sqlite);
    set_up(&workspace);
    workspace.import(CATALOG, &TENANTS.replace("Cold,pro", "Cold,gold"), USAGE);
    workspace
        .write("more.csv", format!("{}nobody,b2b.match_request,1,2026-09-03T00:00:00Z,x-1\n", header(USAGE)));
    workspace.run(&["import", "usage", "more.csv"]).expect(3);
    workspace.watch("2026-09");
    workspace.run(&["run", "--period", "2026-09"]).expect(3);
    let signs = signs(&workspace);
    let parked = workspace.number("SELECT COUNT(*) FROM parked_windows WHERE reason = 'unknown_plan'");
    assert!(parked > 0);
    assert_eq!(signs["parked_windows{reason=\"unknown_plan\"}"], parked);
    assert_eq!(signs["quarantined_records"], 1);
    assert!(signs["last_success_timestamp_seconds"] > 0, "3 is a wake that was played to its end");
}

fn header(csv: &str) -> String {
    format!("{}\n", csv.lines().next().unwrap())
}

#[test]
fn what_only_looks_writes_nothing_and_trouble_is_a_warning() {
    let workspace = with_file(Engine::Sqlite);
    workspace.run(&["run", "--dry-run"]).expect(0);
    assert!(!workspace.path(FILE).exists());
    fs::remove_dir(workspace.path("metrics")).unwrap();
    let ended = workspace.run(&["run", "--period", "2026-09"]).expect(0);
    assert!(ended.stderr.contains("the vital signs cannot be written"), "{}", ended.stderr);
    workspace.write("billrecon.toml", "[metrics]\ntextfile = \"metrics/\"\n");
    let ended = workspace.run(&["run"]).expect(78);
    assert!(ended.stderr.contains("metrics.textfile is no file"), "{}", ended.stderr);
}

/// The table of the page is the list of the program.
#[test]
fn the_page_lists_every_sign_and_no_other() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/operations.md")).unwrap();
    let section = page.split("\n## Metrics\n").nth(1).expect("a section `Metrics`");
    let section = section.split("\n## ").next().unwrap();
    let listed: Vec<&str> =
        section.lines().filter_map(|line| line.strip_prefix("| `billrecon_")?.split('`').next()).collect();
    let expected: Vec<String> = Vital::ALL
        .iter()
        .map(|vital| match vital.label() {
            Some(label) => format!("{}{{{label}}}", vital.name()),
            None => vital.name().to_owned(),
        })
        .collect();
    assert_eq!(listed, expected);
}

#[test]
fn judge_prometheus_reads_every_text() {
    if std::env::var_os("BILLRECON_TEST_JUDGES").is_none() {
        return;
    }
    let python = std::env::var("BILLRECON_TEST_PYTHON").expect("scripts/test --judges sets it");
    let workspace = with_file(Engine::Sqlite);
    let script = "import sys\n\
        from prometheus_client.parser import text_string_to_metric_families as plain\n\
        from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics\n\
        text = open(sys.argv[1]).read()\n\
        names = [[one.name for one in parse(text) if one.samples and one.type == 'gauge'] for parse in (plain, open_metrics)]\n\
        assert names[0] == names[1] and len(names[0]) > 2, names\n\
        print(len(names[0]))";
    // Before the first close, and after it.
    for (arguments, code) in [(&["run", "--period", "2026-08"][..], 2), (&["run"], 0)] {
        workspace.run(arguments).expect(code);
        let ended = Command::new(&python).args(["-c", script]).arg(workspace.path(FILE)).output().unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    }
}
