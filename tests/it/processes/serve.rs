//! `billrecon serve`: the job by its own clock, as a supervisor sees it.
//!
//! In: the real binary, by a schedule that rings each second or only at New Year, with signals and locks. Out: what it
//! closed, what it said, its exit code and its lease. Nothing here depends on how fast it is.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStdout, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::hold::{Lock, send, waits_for};
use super::state::{assert_audit_chain, lease};
use super::{end_of, wait_until};
use crate::support::{CATALOG, Engine, TENANTS, Workspace, journal};

const EACH_SECOND: &str = "* * * * * *";
const AT_NEW_YEAR: &str = "0 0 1 1 *";

/// A process that serves, and what it has said so far.
struct Served {
    child: Child,
    said: Arc<Mutex<String>>,
    listener: JoinHandle<()>,
    stdout: ChildStdout,
}

impl Served {
    fn start(workspace: &Workspace, arguments: &[&str]) -> Self {
        let mut command = workspace.command(&[&["serve"], arguments].concat());
        // Runs are what is looked at here.
        for other in ["LISTEN", "GUARD", "REMINDERS"] {
            command.env(format!("BILLRECON_SERVE_{other}"), "off");
        }
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (stdout, stderr) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let said = Arc::new(Mutex::new(String::new()));
        let heard = said.clone();
        let listener = thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                heard.lock().unwrap().push_str(&format!("{}\n", line.unwrap()));
            }
        });
        Self { child, said, listener, stdout }
    }

    fn said(&self) -> String {
        self.said.lock().unwrap().clone()
    }

    /// Waits until it has said these words so many times.
    #[track_caller]
    fn says(&mut self, words: &str, times: usize) {
        wait_until(words, || {
            assert!(self.child.try_wait().unwrap().is_none(), "it has ended: {}", self.said());
            (self.said().matches(words).count() >= times).then_some(())
        });
    }

    /// Its stdout and stderr, after it has ended with this code.
    #[track_caller]
    fn ends_with(mut self, code: i32) -> (String, String) {
        let ended = end_of(self.child, "serve");
        self.listener.join().unwrap();
        let said = self.said.lock().unwrap().clone();
        assert_eq!(ended.code, Some(code), "{said}");
        let mut printed = String::new();
        self.stdout.read_to_string(&mut printed).unwrap();
        (printed, said)
    }

    #[track_caller]
    fn ends_by(self, signal: &str, code: i32) -> (String, String) {
        send(self.child.id(), signal);
        self.ends_with(code)
    }
}

/// The company, whose two months were pushed in time.
fn watched(engine: Engine) -> Workspace {
    let workspace = Workspace::with_watched_company(engine);
    workspace.watch("2026-10");
    workspace
}

/// Its lease is free, and each period was closed by one run with the figures of a run by hand.
#[track_caller]
fn assert_closed_as_by_hand(workspace: &Workspace) {
    let twin = watched(Engine::Sqlite);
    twin.run(&["run"]).expect(0);
    for period in ["2026-09", "2026-10"] {
        assert_eq!(workspace.data_files(period), twin.data_files(period));
    }
    // Those that watched the two months came before the first of November, in nanoseconds.
    let runs = "SELECT period, state FROM runs WHERE period IN ('2026-09', '2026-10')
        AND started_at >= 1793491200000000000 ORDER BY period";
    assert_eq!(workspace.sql(runs), [["2026-09", "finished"], ["2026-10", "finished"]]);
    for period in ["2026-09", "2026-10"] {
        journal::assert_holds_the_ledger(workspace, period);
    }
    assert!(lease(workspace).unwrap().is_free());
    assert_audit_chain(workspace);
}

#[test]
fn it_closes_at_the_start_what_is_due_and_ends_when_it_is_told_to() {
    for (signal, code) in [("TERM", 143), ("INT", 130)] {
        let workspace = watched(Engine::Sqlite);
        let mut served = Served::start(&workspace, &["--schedule", AT_NEW_YEAR, "--json"]);
        served.says("the next wake is at", 1);
        let (printed, said) = served.ends_by(signal, code);
        let outcomes: Vec<serde_json::Value> =
            printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(outcomes[0]["period"], "2026-09");
        assert_eq!((&outcomes[1]["period"], &outcomes[1]["status"]), (&"2026-10".into(), &"closed".into()));
        assert!(said.contains("-01-01T00:00:00Z"), "{said}");
        assert_closed_as_by_hand(&workspace);
    }
}

/// It starts before anything has been set up, and makes up for it by itself. The flag beats the file.
#[test]
fn a_wake_that_fails_is_told_and_a_later_one_does_the_work() {
    let workspace = Workspace::new(Engine::Sqlite);
    workspace.write("billrecon.toml", format!("[serve]\nschedule = \"{AT_NEW_YEAR}\"\n"));
    let mut served = Served::start(&workspace, &["--schedule", EACH_SECOND]);
    served.says("ends with 78: no catalog has been imported", 2);
    workspace.write("catalog.toml", CATALOG);
    workspace.write("tenants.csv", TENANTS);
    for kind in [["catalog", "catalog.toml"], ["tenants", "tenants.csv"]] {
        workspace.run(&[&["import"][..], &kind, &["--lock-wait", "1m"]].concat()).expect(0);
    }
    served.says("ends with 0", 2);
    let (printed, _) = served.ends_by("TERM", 143);
    assert!(printed.contains("2026-09") && printed.contains("2026-10"), "{printed}");
    assert!(lease(&workspace).unwrap().is_free());
}

/// The wake is held for longer than the schedule's step. A second one would find the lease held, by this process.
fn a_held_wake(signal: &str, code: i32) {
    let workspace = watched(Engine::Postgres);
    let before = lease(&workspace).unwrap();
    let lock = Lock::postgres(&workspace, "runs");
    let mut served = Served::start(&workspace, &["--schedule", EACH_SECOND]);
    served.says("lease won by", 1);
    wait_until("the wake waits for the table", || waits_for(&workspace, "runs").then_some(()));
    thread::sleep(Duration::from_secs(2));
    let held = lease(&workspace).unwrap();
    assert!(held.is_held_by(served.child.id()));
    assert_eq!(held.fence, before.fence + 1);
    let (printed, said) = served.ends_by(signal, code);
    assert_eq!((printed.as_str(), said.matches("lease won by").count()), ("", 1), "{said}");
    assert!(!said.contains("ends with"), "a second wake, or one that failed: {said}");
    // The table is still locked.
    assert!(lease(&workspace).unwrap().is_free());
    drop(lock);
    workspace.run(&["run"]).expect(0);
    assert_closed_as_by_hand(&workspace);
}

#[test]
fn wakes_never_overlap_and_one_at_work_ends_at_a_signal_and_gives_its_lease_back() {
    a_held_wake("TERM", 143);
    a_held_wake("INT", 130);
}

#[test]
fn two_replicas_are_harmless() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let workspace = watched(engine);
        let mut replicas: Vec<Served> =
            (0..2).map(|_| Served::start(&workspace, &["--schedule", EACH_SECOND])).collect();
        for replica in &mut replicas {
            replica.says("the wake of", 3);
        }
        for replica in replicas {
            let (_, said) = replica.ends_by("TERM", 143);
            let ends: Vec<&str> =
                said.split("Z ends with ").skip(1).filter_map(|end| end.split([':', '\n']).next()).collect();
            // SQLite may also be busy with the other's write for longer than one waits.
            assert!(ends.iter().all(|end| ["0", "11", "75"].contains(end)), "{said}");
        }
        assert_closed_as_by_hand(&workspace);
    }
}

#[test]
fn a_schedule_that_cannot_be_kept_is_2_on_the_command_line_and_78_in_the_file() {
    let workspace = Workspace::with_company(Engine::Sqlite);
    for expression in ["nonsense", "0 0 30 2 *", "5 25 * * *"] {
        let by_flag = workspace.run(&["serve", "--schedule", expression]).expect(2);
        assert!(by_flag.stderr.contains(expression), "{}", by_flag.stderr);
        workspace.write("billrecon.toml", format!("[serve]\nschedule = \"{expression}\"\n"));
        let by_file = workspace.run(&["serve"]).expect(78);
        assert!(by_file.stderr.contains("schedule"), "{}", by_file.stderr);
        workspace.write("billrecon.toml", "");
    }
    assert!(workspace.report_folders("2026-09").is_empty());
}
