//! `run --dry-run`: it decides what the real run decides, and writes nothing.
//!
//! In: databases of both engines, whole or left behind by a killed writer. Out: not a byte or row is another one, no
//! folder appears, no lease is taken, nothing is sent but reads; and its words are those of the real run. Never a reason to be afraid of it.

mod catalog;
mod pushes;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{Child, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::support::{
    CATALOG, ENGINES, Ended, Engine, TENANTS, USAGE, Workspace, account, files, journal, signal,
};

/// Everything that is known about a company: what its database holds, and what the sandbox has written down.
#[derive(Debug, PartialEq)]
pub struct Known {
    database: Content,
    journal: Option<Vec<u8>>,
}

pub fn known(workspace: &Workspace) -> Known {
    Known { database: content(workspace), journal: journal::bytes(workspace) }
}

/// Everything that a database holds. PostgreSQL's rows come with where and by whom they were written, so that a row
/// written again with the same content is seen as well.
#[derive(Debug, PartialEq)]
pub enum Content {
    Bytes(Vec<u8>),
    Rows(BTreeMap<String, Vec<Vec<String>>>),
}

fn content(workspace: &Workspace) -> Content {
    if workspace.url.starts_with("sqlite:") {
        return Content::Bytes(fs::read(workspace.path("billrecon.db")).unwrap());
    }
    let tables = workspace.sql("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'");
    let rows =
        |table: &String| workspace.sql(&format!("SELECT ctid::text, xmin::text, t::text FROM {table} t"));
    let dump: BTreeMap<_, _> =
        tables.concat().into_iter().map(|table| (table.clone(), rows(&table))).collect();
    assert!(dump.len() > 10 && dump["usage_ledger"].len() > 4, "{:?}", dump.keys());
    Content::Rows(dump)
}

fn names(workspace: &Workspace) -> Vec<String> {
    let entries = fs::read_dir(workspace.folder.path()).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
    names.sort();
    names
}

/// The outcomes without what only a real run has.
fn decisions(ended: &Ended) -> Vec<Value> {
    let decision = |line: &str| {
        let mut outcome: Value = serde_json::from_str(line).unwrap();
        for only_real in ["run_id", "reports_dir", "dry_run"] {
            assert!(outcome.as_object_mut().unwrap().remove(only_real).is_some(), "{line}");
        }
        outcome
    };
    ended.stdout.lines().map(decision).collect()
}

/// A month with all that can happen: a parked tenant, quarantined lines, usage without access.
fn eventful(engine: Engine) -> Workspace {
    let workspace = Workspace::new(engine);
    let odd = "odd,Odd,gold,try,cus_odd,sub_odd,active,,2026-09-01T00:00:00Z,\n";
    workspace.import(CATALOG, &format!("{TENANTS}{odd}"), USAGE);
    let header = USAGE.lines().next().unwrap();
    workspace.write("bad.csv", format!("{header}\nbeta,b2b.match_request,-1,2026-09-10T00:00:00Z,x\n"));
    workspace.run(&["import", "usage", "bad.csv"]).expect(3);
    workspace
}

#[test]
fn no_byte_and_no_row_changes_and_no_report_appears() {
    for engine in ENGINES {
        let workspace = eventful(engine);
        let (before, present) = (known(&workspace), names(&workspace));
        for arguments in [
            &["run", "--dry-run"][..],
            &["run", "--dry-run", "--json", "--period", "2026-09"],
            &["run", "--dry-run", "--as-of", "2026-09-15T00:00:00Z"],
            &["run", "--dry-run", "--as-of", "2026-10-15T00:00:00Z"],
            &["run", "--dry-run", "--as-of", "2030-01-01T00:00:00Z"],
            &["status"],
        ] {
            let ended = workspace.run(arguments);
            assert!(matches!(ended.code, Some(0 | 3)), "{engine:?}: {arguments:?}: {ended:?}");
            assert!(known(&workspace) == before, "{engine:?}: {arguments:?}");
        }
        let mut left = names(&workspace);
        // SQLite itself makes these beside a database in WAL mode, and cannot remove them when it may not write.
        left.retain(|name| !["billrecon.db-shm", "billrecon.db-wal"].contains(&name.as_str()));
        assert_eq!(left, present);
        let log = fs::metadata(workspace.path("billrecon.db-wal")).map_or(0, |log| log.len());
        assert_eq!(log, 0);
    }
}

#[test]
fn it_names_what_the_real_run_then_does() {
    for engine in ENGINES {
        let workspace = eventful(engine);
        for arguments in [&["run", "--json", "--period", "2026-09"][..], &["run", "--json"]] {
            let dry = workspace.run(&[arguments, &["--dry-run"]].concat());
            let real = workspace.run(arguments).expect(3);
            assert_eq!(decisions(&dry), decisions(&real), "{engine:?}: {arguments:?}");
            assert_eq!(dry.code, real.code, "{engine:?}: {arguments:?}");
            for line in dry.stdout.lines() {
                let outcome: Value = serde_json::from_str(line).unwrap();
                // A period with nothing left to do shows the run that did it, as the real run does.
                let shown = outcome["run_id"].as_str();
                assert!(shown.is_none_or(|run_id| real.stdout.contains(run_id)), "{engine:?}: {line}");
                assert_eq!(outcome["reports_dir"].is_null(), shown.is_none(), "{engine:?}: {line}");
                assert_eq!(outcome["dry_run"], true);
            }
        }
    }
}

#[test]
fn it_says_in_words_how_much_it_would_close_and_for_how_much() {
    let workspace = Workspace::with_watched_company(Engine::Sqlite);
    let dry = workspace.run(&["run", "--dry-run", "--period", "2026-09"]).expect(0).stdout;
    let real = workspace.run(&["run", "--period", "2026-09"]).expect(0).stdout;
    assert!(dry.contains("would close 4 windows"), "{dry}");
    assert!(dry.contains("would push for 0 tenants' meters") && real.contains("pushed 0"), "{dry}{real}");
    let only_one_of_them = ["  run ", "  would push ", "  pushed "];
    let without = |words: &str| -> Vec<String> {
        let kept = words.lines().filter(|line| !only_one_of_them.iter().any(|start| line.starts_with(start)));
        kept.map(str::to_owned).collect()
    };
    assert_eq!(without(&dry.replace("would close", "closed")), without(&real));
}

/// What is closed stays so: a dry run and a real one agree on it too, in words, object and exit code.
#[test]
fn a_closed_month_is_the_same_to_a_dry_run_and_to_a_real_one() {
    for engine in ENGINES {
        let workspace = Workspace::with_company(engine);
        let bad = USAGE.replace(",60,", ",-60,").replace("a-1", "a-9");
        workspace.write("bad.csv", bad);
        workspace.run(&["import", "usage", "bad.csv"]).expect(3);
        workspace.run(&["run", "--period", "2026-09"]).expect(3);
        let arguments = ["run", "--json", "--period", "2026-09"];
        let dry = workspace.run(&[&arguments[..], &["--dry-run"]].concat());
        let real = workspace.run(&arguments);
        assert_eq!(decisions(&dry), decisions(&real));
        assert_eq!(dry.code, real.code, "dry: {dry:?}\nreal: {real:?}");
        let words = workspace.run(&["run", "--period", "2026-09", "--dry-run"]).stdout;
        assert!(!words.contains("provisional"), "{words}");
    }
}

/// A month can be closed when a customer of it becomes known. Whatever the job does about it, a dry run says so, and
/// nobody's month is left out in silence.
#[test]
fn a_tenant_that_comes_after_the_close_is_not_forgotten() {
    for engine in ENGINES {
        let workspace = Workspace::with_watched_company(engine);
        workspace.watch("2026-10");
        workspace.run(&["run"]).expect(0);
        let header = "tenant_id,plan,currency,stripe_customer_id,stripe_subscription_id,started_at";
        workspace.write("late.csv", format!("{header}\nlate,pro,try,cus_late,sub_late,2026-09-15\n"));
        workspace.run(&["import", "tenants", "late.csv"]).expect(0);
        let arguments = ["run", "--json", "--period", "2026-09"];
        let dry = workspace.run(&[&arguments[..], &["--dry-run"]].concat());
        let wake = workspace.run(&["run"]);
        let real = workspace.run(&arguments);
        assert_eq!(decisions(&dry), decisions(&real), "{engine:?}");
        let late = "SELECT COUNT(*) FROM billing_windows WHERE tenant_id = 'late' AND period = '2026-09'";
        assert!(workspace.number(late) == 1 || wake.code == Some(3), "{wake:?}");
    }
}

#[test]
fn without_a_database_it_is_refused_and_makes_none() {
    for engine in ENGINES {
        let workspace = Workspace::fresh(engine);
        for arguments in
            [&["run", "--dry-run"][..], &["run", "--dry-run", "--as-of", "2026-10-01T00:00:00Z"], &["status"]]
        {
            let ended = workspace.run(arguments).expect(78);
            assert!(ended.stdout.is_empty(), "{}", ended.stdout);
        }
        assert_eq!(names(&workspace), [""; 0]);
        if engine == Engine::Postgres {
            assert_eq!(workspace.number("SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'"), 0);
        }
    }
}

/// It needs no lease, so it neither waits for one nor takes one.
#[test]
fn it_works_while_another_process_holds_the_lease() {
    for engine in ENGINES {
        let workspace = eventful(engine);
        workspace.sql("DELETE FROM lease");
        workspace.sql("INSERT INTO lease VALUES ('run', 'elsewhere/1', 41, 1, 1, 99999999999999)");
        workspace.run(&["run", "--period", "2026-09"]).expect(11);
        let before = known(&workspace);
        workspace.run(&["run", "--period", "2026-09", "--dry-run"]).expect(3);
        let as_of = "2026-10-15T00:00:00Z";
        workspace.run(&["run", "--period", "2026-09", "--dry-run", "--as-of", as_of]).expect(3);
        workspace.run(&["run", "--period", "2026-09", "--as-of", as_of]).expect(11);
        assert!(known(&workspace) == before);
        assert_eq!(workspace.sql("SELECT holder, CAST(fence AS TEXT) FROM lease"), [["elsewhere/1", "41"]]);
    }
}

/// Starter sells no usage, so a run asks nothing of the account but who it is.
fn with_an_account(engine: Engine) -> (Workspace, String) {
    let workspace = Workspace::new(engine);
    let catalog = "[[meter]]\nkey = \"b2b.match_request\"\naggregation = \"sum\"\n\
                   [[plan]]\nkey = \"starter\"\ncurrency = \"try\"\namount = 49900\n";
    let row = |name| format!("{name},starter,try,2026-09-01\n");
    let tenants = ["acme", "beta", "cold", "dodo"].map(row).concat();
    let usage = USAGE.replace("storage_gb", "b2b.match_request");
    workspace.import(catalog, &format!("tenant_id,plan,currency,started_at\n{tenants}"), &usage);
    workspace.write("billrecon.toml", "first_period = \"2026-09\"\n");
    (workspace, account::serve(200, account::COMPANY))
}

const NO_USAGE: &str = "tenant_id,meter,quantity,occurred_at,source_event_id\n";

fn run_at(workspace: &Workspace, url: &str, arguments: &[&str]) -> Ended {
    Ended::of(workspace.command_at(url, arguments).output().unwrap())
}

/// Only a sandbox can look ahead.
#[test]
fn with_a_real_account_as_of_the_future_is_refused() {
    for engine in ENGINES {
        let (workspace, url) = with_an_account(engine);
        for instant in ["2099-01-01T00:00:00Z", "2099-01-01T00:00:00+14:00"] {
            for arguments in [&["run", "--as-of", instant][..], &["run", "--dry-run", "--as-of", instant]] {
                let ended = run_at(&workspace, &url, arguments).expect(78);
                assert!(ended.stderr.contains("--as-of"), "{}", ended.stderr);
            }
        }
        assert_eq!(workspace.number("SELECT COUNT(*) FROM runs"), 0);
    }
}

#[test]
fn with_a_real_account_as_of_the_past_writes_nothing() {
    for engine in ENGINES {
        let (workspace, url) = with_an_account(engine);
        let before = known(&workspace);
        let arguments = ["run", "--json", "--period", "2026-09", "--as-of", "2026-10-15T00:00:00Z"];
        let outcome = run_at(&workspace, &url, &arguments).expect(0).json();
        assert_eq!((&outcome["dry_run"], &outcome["counts"]["not_billed"]), (&true.into(), &4.into()));
        assert!(known(&workspace) == before && workspace.report_folders("2026-09").is_empty());
        // In the sandbox the same words are a run like any other, as of then.
        let real = workspace.run(&arguments).expect(0).json();
        assert_eq!((&real["dry_run"], &real["status"]), (&false.into(), &"closed".into()));
        assert!(known(&workspace) != before && workspace.report_folders("2026-09").len() == 1);
    }
}

#[test]
fn as_of_an_earlier_instant_shows_how_it_was_and_writes_nothing() {
    for engine in ENGINES {
        let workspace = Workspace::with_company(engine).observing();
        let before = known(&workspace);
        let dry = |arguments: &[&str]| workspace.run(&[&["run", "--json", "--dry-run"], arguments].concat());
        let look = |as_of| dry(&["--period", "2026-09", "--as-of", as_of]).expect(0).json();
        // In the month, and after its end while its invoices are drafts; a tenant that has none waits for two hours.
        for (as_of, status, closed) in [
            ("2026-09-20T00:00:00Z", "open", 0),
            ("2026-10-01T00:59:59Z", "open", 0),
            ("2026-10-01T01:00:00Z", "closing", 3),
            ("2026-10-01T01:59:59Z", "closing", 3),
        ] {
            let outcome = look(as_of);
            assert_eq!((&outcome["status"], &outcome["verdict"]), (&status.into(), &Value::Null), "{as_of}");
            assert_eq!(outcome["counts"]["closed"], closed, "{as_of}");
        }
        let outcome = look("2026-10-01T02:00:00Z");
        assert_eq!(
            (&outcome["status"], &outcome["verdict"]),
            (&"closed".into(), &"INSUFFICIENT_DATA".into())
        );
        assert_eq!(outcome["dry_run"], true);
        // Nothing is due by itself before the month is final: both months are only looked at.
        let ended = dry(&["--as-of", "2026-10-01T00:59:59Z"]).expect(0);
        let looks: Vec<Value> =
            ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let named: Vec<[&Value; 2]> = looks.iter().map(|look| [&look["period"], &look["status"]]).collect();
        assert_eq!(named, [["2026-09", "open"], ["2026-10", "open"]]);
        dry(&["--period", "2026-10", "--as-of", "2026-09-30T23:59:59Z"]).expect(2);
        assert!(known(&workspace) == before && workspace.report_folders("2026-09").is_empty());
    }
}

/// Lines of usage that an import is fed one batch at a time.
fn batch(first: usize) -> String {
    // One more than a transaction takes, so that one transaction commits while the importer waits for more.
    let line = |id| format!("beta,b2b.match_request,1,2026-09-10T00:00:00Z,hot-{id}\n");
    (first..first + 10_001).map(line).collect()
}

/// Starts an import and kills it when some of it is committed and some is not. No clock: it waits until the rows are
/// there.
fn kill_in_the_middle_of_an_import(workspace: &Workspace) {
    let mut importer: Child =
        workspace.command(&["import", "usage", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    let mut input = importer.stdin.take().unwrap();
    input
        .write_all(format!("tenant_id,meter,quantity,occurred_at,source_event_id\n{}", batch(0)).as_bytes())
        .unwrap();
    input.flush().unwrap();
    while workspace.number("SELECT COUNT(*) FROM usage_ledger") < 10_000 {
        assert!(importer.try_wait().unwrap().is_none(), "the import ended before it could be killed");
        thread::sleep(Duration::from_millis(5));
    }
    signal(&importer, "KILL");
    importer.wait().unwrap();
}

#[test]
fn what_a_killed_writer_left_is_read_and_stays_as_it_is() {
    let workspace = Workspace::with_company(Engine::Sqlite).observing();
    kill_in_the_middle_of_an_import(&workspace);
    let left = |name: &str| files(workspace.folder.path()).remove(name).unwrap_or_default();
    let (database, log) = (left("billrecon.db"), left("billrecon.db-wal"));
    assert!(!log.is_empty(), "the killed import left no log behind");
    let arguments = ["run", "--json", "--period", "2026-09"];
    let dry = workspace.run(&[&arguments[..], &["--dry-run"]].concat()).expect(0);
    let words = workspace.run(&["run", "--period", "2026-09", "--dry-run"]).expect(0).stdout;
    assert!(left("billrecon.db") == database, "the database file has changed");
    assert!(left("billrecon.db-wal") == log, "the log has changed");
    // Beta's 10,000 committed units are seen: 30 + 9999.5 units beyond the quotas, at 7 lira.
    assert!(words.contains("usage at candidate prices 70206.51 TRY"), "{words}");
    let real = workspace.run(&arguments).expect(0);
    assert_eq!(decisions(&dry), decisions(&real));
}
