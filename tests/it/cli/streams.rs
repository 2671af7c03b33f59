//! Standard streams: data on stdout, words on stderr, whoever reads them or does not.
//!
//! In: pipes that are closed, full devices, no terminal. Out: the work is done, nothing panics, no escape code. Never a
//! result that is lost in silence.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use crate::support::{CATALOG, Ended, Engine, Workspace};

/// A pipe whose reader has gone before the process begins, as `| head -0` does sooner or later.
pub fn without_reader(mut command: Command) -> Command {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    command.stdout(writer);
    command
}

#[test]
fn a_reader_that_has_gone_ends_nothing() {
    let workspace = Workspace::with_watched_company(Engine::Sqlite);
    workspace.watch("2026-10");
    for (arguments, code) in [
        (&["run", "--json"][..], 0),
        (&["run"], 0),
        (&["status"], 0),
        (&["import", "usage", "usage.csv"], 0),
        (&["run", "--period", "2099-01"], 2),
    ] {
        let output = without_reader(workspace.command(arguments)).output().unwrap();
        let ended = Ended::of(output).expect(code);
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
    assert_eq!(workspace.number("SELECT COUNT(*) FROM billing_period_jobs WHERE period = '2026-09'"), 1);
}

#[test]
fn closed_standard_streams_end_nothing() {
    let workspace = Workspace::with_watched_company(Engine::Sqlite);
    let shell = "\"$0\" run --period 2026-09 <&- >&- 2>&-";
    let mut command = Command::new("sh");
    command.args(["-c", shell, env!("CARGO_BIN_EXE_billrecon")]).current_dir(workspace.folder.path());
    command.env("BILLRECON_DATABASE_URL", &workspace.url);
    assert_eq!(command.status().unwrap().code(), Some(0));
    assert_eq!(workspace.number("SELECT COUNT(*) FROM billing_period_jobs"), 1);
}

/// The result of a run is data: when a full disk swallows it, the caller must hear of it.
#[test]
fn a_full_disk_behind_stdout_is_74() {
    let workspace = Workspace::with_watched_company(Engine::Sqlite);
    for arguments in [&["run", "--json", "--period", "2026-09"][..], &["status", "--json"]] {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = workspace.command(arguments).stdout(full).output().unwrap();
        Ended::of(output).expect(74);
    }
    assert_eq!(workspace.number("SELECT COUNT(*) FROM billing_period_jobs"), 1);
}

#[test]
fn there_are_no_escape_codes_where_there_is_no_terminal() {
    let workspace = Workspace::with_watched_company(Engine::Sqlite);
    workspace.write("bad.toml", CATALOG.replace("free_quota", "free_qouta"));
    for arguments in [
        &["import", "usage", "usage.csv", "--log", "trace"][..],
        &["import", "catalog", "bad.toml"],
        &["run", "--log", "trace"],
        &["status"],
        &["status", "--config", "missing.toml"],
        &["--help"],
        &["run", "--perod", "2026-09"],
    ] {
        let ended = workspace.run(arguments);
        assert!(
            !ended.stdout.contains('\u{1b}') && !ended.stderr.contains('\u{1b}'),
            "{arguments:?}: {ended:?}"
        );
    }
}

#[test]
fn data_goes_to_stdout_and_words_to_stderr() {
    let workspace = Workspace::with_watched_company(Engine::Sqlite);
    workspace.watch("2026-10");
    let ended = workspace.run(&["run", "--json", "--log", "trace"]).expect(0);
    assert!(ended.stdout.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()));
    assert!(ended.stderr.contains("lease won"), "{}", ended.stderr);
    let quiet = workspace.run(&["run", "--period", "2026-09", "--log", "error"]).expect(0);
    assert_eq!(quiet.stderr, "");
}

/// A name on a terminal must not move the cursor or turn the reading direction.
#[test]
fn names_from_files_reach_a_terminal_without_control_characters() {
    let workspace = Workspace::with_watched_company(Engine::Sqlite);
    let line = "\u{202e}evil,b2b.match_request,1,2026-09-10T00:00:00Z,x\n";
    workspace
        .write("evil\u{1b}[2J.csv", format!("tenant_id,meter,quantity,occurred_at,source_event_id\n{line}"));
    let ended = workspace.run(&["import", "usage", "evil\u{1b}[2J.csv"]).expect(3);
    let run = workspace.run(&["run", "--period", "2026-09"]).expect(3);
    for text in [&ended.stdout, &ended.stderr, &run.stdout, &run.stderr] {
        assert!(!text.contains(['\u{1b}', '\u{202e}']), "{text:?}");
    }
    assert!(run.stdout.contains("evil"), "{}", run.stdout);
}

#[test]
fn usage_comes_from_standard_input_too() {
    let workspace = Workspace::with_watched_company(Engine::Sqlite);
    let file = std::fs::File::open(workspace.path("usage.csv")).unwrap();
    let output = workspace.command(&["import", "usage", "-", "--json"]).stdin(Stdio::from(file)).output();
    let receipt = Ended::of(output.unwrap()).expect(0).json();
    assert_eq!((&receipt["duplicate"], &receipt["file"]), (&6.into(), &"standard input".into()));
}
