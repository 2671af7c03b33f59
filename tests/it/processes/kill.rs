//! SIGKILL at any moment of an import, a push or a close: the same command again ends where an undisturbed one would have.
//!
//! In: moments that a property test chooses, in thousandths of the time that an undisturbed process takes. Out: the same
//! bytes in every data file, one set of everything, each unit once at Stripe. What a case proves does not depend on where the kill hits; that
//! enough of them hit a living process is counted.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use proptest::prop_oneof;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::company::{Prepared, tenants, untidy_usage, usage};
use super::hold::{send, stop_when};
use super::state::{
    assert_audit_chain, assert_closed_once, audited, closed_by, partial_folders, runs, state_of_newest_push,
    state_of_newest_run,
};
use super::{PERIOD, PUSH, RUN, RUN_PATIENTLY, end_of, lease_of, with_lease};
use crate::support::{Engine, Workspace, journal};

const KILL: i32 = 9;

/// What the kills of one command met.
struct Kills {
    /// How long an undisturbed process takes, as far as is known.
    span: Cell<Duration>,
    /// What a killed process left, with the number of times.
    left: RefCell<BTreeMap<String, u32>>,
}

impl Kills {
    /// Each case kills one process and proves that nothing is lost.
    fn at_any_moment(
        name: &str,
        (cases, moments): (u32, impl Strategy<Value = u32>),
        span: Duration,
        case: impl Fn(&Self, u32),
    ) {
        let kills = Self { span: Cell::new(span), left: RefCell::default() };
        // The same moments in every test run, and no file that remembers.
        let config = Config { cases, failure_persistence: None, max_shrink_iters: 0, ..Config::default() };
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
        let tried = TestRunner::new_with_rng(config, rng).run(&moments, |permille| {
            case(&kills, permille);
            Ok(())
        });
        tried.unwrap_or_else(|error| panic!("{name}: {error}"));
        let left = kills.left.into_inner();
        println!("{name}: kills that met a living process, by what it left: {left:?}");
        assert!(
            left.values().sum::<u32>() * 3 >= cases,
            "{name}: too few kills met a living process: {left:?}"
        );
    }

    /// Kills the child at a moment of its life; whether it was still alive.
    fn kill(&self, mut child: Child, permille: u32) -> bool {
        let begun = Instant::now();
        let moment = self.span.get() * permille / 1000;
        while begun.elapsed() < moment {
            if child.try_wait().unwrap().is_some() {
                // It was faster than the one that was measured.
                self.span.set(begun.elapsed());
                return false;
            }
            thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        let alive = child.wait().unwrap().signal() == Some(KILL);
        if alive && permille > 900 {
            // It was slower than the one that was measured.
            self.span.set(self.span.get() * 11 / 10);
        }
        alive
    }

    fn count(&self, left: String) {
        *self.left.borrow_mut().entry(left).or_default() += 1;
    }
}

/// Asks a killed process's database without touching it: opening a SQLite file would mend it.
fn look<T>(workspace: &Workspace, ask: impl Fn(&Workspace) -> T) -> T {
    if !workspace.url.starts_with("sqlite:") {
        return ask(workspace);
    }
    let copy = Workspace::fresh(Engine::Sqlite);
    for name in ["billrecon.db", "billrecon.db-wal"].into_iter().filter(|name| workspace.path(name).exists())
    {
        fs::copy(workspace.path(name), copy.path(name)).unwrap();
    }
    ask(&copy)
}

const LEDGER_ROWS: &str = "SELECT COUNT(*) FROM usage_ledger";
const QUARANTINED: &str = "SELECT COUNT(*) FROM quarantine";
const RECEIPTS: &str = "SELECT COUNT(*) FROM import_receipts";
const IMPORT: [&str; 4] = ["import", "usage", "usage.csv", "--json"];

/// Three batches, each a transaction.
const ROWS: usize = 24_000;
/// Not a multiple of three, so that each of them uses both meters.
const TENANTS: usize = 61;

fn killed_imports(engine: Engine) {
    let file = untidy_usage(TENANTS, ROWS);
    let prepared = Prepared::new(engine, &tenants(TENANTS), None);
    let twin = prepared.copy();
    twin.write("usage.csv", &file);
    let begun = Instant::now();
    // Lines are in quarantine, so 3.
    twin.run(&IMPORT).expect(3);
    let span = begun.elapsed();
    twin.watch(PERIOD);
    twin.run(&RUN).expect(3);
    let expected = twin.data_files(PERIOD);
    // A case takes seconds, and there are few states to meet.
    let moments = (12, 0..=1000u32);
    let counts = [LEDGER_ROWS, QUARANTINED].map(|sql| twin.number(sql));
    Kills::at_any_moment(&format!("{engine:?} import"), moments, span, |kills, permille| {
        let workspace = prepared.copy();
        workspace.write("usage.csv", &file);
        if kills.kill(workspace.spawn(&IMPORT), permille) {
            let (rows, receipts) = look(&workspace, |left| (left.number(LEDGER_ROWS), left.number(RECEIPTS)));
            kills.count(format!("{rows} rows, {receipts} receipts"));
        }
        let receipt = workspace.run(&IMPORT).expect(3).json();
        let part = |name: &str| receipt[name].as_u64().unwrap();
        assert_eq!(part("read"), ROWS as u64);
        assert_eq!(part("read"), part("accepted") + part("duplicate") + part("quarantined"));
        assert_eq!([LEDGER_ROWS, QUARANTINED].map(|sql| workspace.number(sql)), counts);
        assert_eq!(audited(&workspace, "usage_imported"), workspace.number(RECEIPTS));
        workspace.watch(PERIOD);
        workspace.run(&RUN).expect(3);
        assert_closed_once(&workspace, &expected);
    });
}

#[test]
fn an_import_into_sqlite_killed_at_any_moment_and_repeated_leaves_the_same_bytes() {
    killed_imports(Engine::Sqlite);
}

#[test]
fn an_import_into_postgres_killed_at_any_moment_and_repeated_leaves_the_same_bytes() {
    killed_imports(Engine::Postgres);
}

fn killed_runs(engine: Engine) {
    let prepared = Prepared::watched(engine, &tenants(TENANTS), &usage(TENANTS, 3_000));
    let twin = prepared.copy();
    let begun = Instant::now();
    twin.run(&RUN).expect(0);
    let span = begun.elapsed();
    let expected = twin.data_files(PERIOD);
    // Files are written in the last part of a run, so that part is tried more often.
    let moments = (24, prop_oneof![0..=1000u32, 700..=1000u32]);
    Kills::at_any_moment(&format!("{engine:?} run"), moments, span, |kills, permille| {
        let workspace = prepared.copy();
        // A killed holder keeps its lease until that expires.
        let config = lease_of(&workspace, "1s");
        let alive = kills.kill(workspace.spawn(&with_lease(&RUN, &config)), permille);
        let committed = look(&workspace, |left| runs(left, "committed"));
        if alive {
            kills.count(look(&workspace, state_left(&workspace)));
        }
        end_of(workspace.spawn(&RUN_PATIENTLY), "the run after the kill").expect(0);
        assert_closed_once(&workspace, &expected);
        assert_eq!(audited(&workspace, "run_committed"), 1);
        // What is closed stays the work of the run that closed it.
        if !committed.is_empty() {
            assert_eq!(runs(&workspace, "finished"), committed);
        }
        assert_eq!(workspace.number(LEDGER_ROWS), twin.number(LEDGER_ROWS));
    });
}

/// In words: the state of the run's row, and whether its files were being written.
fn state_left(workspace: &Workspace) -> impl Fn(&Workspace) -> String {
    let partial = if partial_folders(workspace, PERIOD).is_empty() { "" } else { " with files half written" };
    move |left| {
        let state = state_of_newest_run(left).unwrap_or_else(|| "no run".to_owned());
        format!("{state}{partial}")
    }
}

#[test]
fn a_run_on_sqlite_killed_at_any_moment_and_repeated_leaves_the_same_bytes() {
    killed_runs(Engine::Sqlite);
}

#[test]
fn a_run_on_postgres_killed_at_any_moment_and_repeated_leaves_the_same_bytes() {
    killed_runs(Engine::Postgres);
}

/// A run that pushes, with Stripe in the same process: whatever Stripe has heard is in its journal.
fn killed_pushes(engine: Engine) {
    let prepared = Prepared::new(engine, &tenants(TENANTS), Some(&usage(TENANTS, 3_000)));
    let twin = prepared.copy();
    let begun = Instant::now();
    twin.run(&PUSH).expect(0);
    let span = begun.elapsed();
    let pushed = journal::events(&twin);
    assert_eq!(pushed.len(), 2 * TENANTS);
    twin.run(&RUN).expect(0);
    let expected = twin.data_files(PERIOD);
    Kills::at_any_moment(&format!("{engine:?} push"), (20, 0..=1000u32), span, |kills, permille| {
        let workspace = prepared.copy();
        let config = lease_of(&workspace, "1s");
        if kills.kill(workspace.spawn(&with_lease(&PUSH, &config)), permille) {
            kills.count(look(&workspace, pushes_left(&workspace)));
        }
        let patiently = [&PUSH[..], &["--lock-wait", "5m"]].concat();
        end_of(workspace.spawn(&patiently), "the run after the kill").expect(0);
        // What was asked for once was repeated to the letter.
        assert_eq!(sorted(journal::events(&workspace)), sorted(pushed.clone()));
        workspace.run(&RUN).expect(0);
        assert_closed_once(&workspace, &expected);
    });
}

fn sorted<T: Ord>(mut all: Vec<T>) -> Vec<T> {
    all.sort();
    all
}

/// In words: how far the run has come, and whether Stripe has nothing, a part or all of it.
fn pushes_left(workspace: &Workspace) -> impl Fn(&Workspace) -> String {
    let heard = match journal::events(workspace).len() {
        0 => "nothing",
        all if all == 2 * TENANTS => "everything",
        _ => "a part",
    };
    move |left| {
        let state = state_of_newest_push(left).unwrap_or_else(|| "no run".to_owned());
        format!("{state}, {heard} at Stripe")
    }
}

#[test]
fn a_run_on_sqlite_killed_while_it_pushes_and_repeated_bills_each_unit_once() {
    killed_pushes(Engine::Sqlite);
}

#[test]
fn a_run_on_postgres_killed_while_it_pushes_and_repeated_bills_each_unit_once() {
    killed_pushes(Engine::Postgres);
}

/// Files cannot be written below a file, so the run ends between its commit and its delivery.
fn committed_without_files(engine: Engine) {
    let twin = Workspace::with_watched_company(engine);
    twin.run(&RUN).expect(0);
    let workspace = Workspace::with_watched_company(engine);
    workspace.write("blocked", "");
    let below_a_file = [&RUN[..], &["--reports", "blocked/reports"]].concat();
    let blocked = workspace.run(&below_a_file).expect(73);
    assert!(blocked.stderr.contains("blocked/reports"), "{}", blocked.stderr);
    let committed = runs(&workspace, "committed");
    assert_eq!(committed.len(), 1);
    // A second failure changes nothing.
    workspace.run(&below_a_file).expect(73);
    assert_eq!(runs(&workspace, "committed"), committed);
    let ended = workspace.run(&RUN).expect(0);
    assert!(ended.stderr.contains("had closed but not written its files"), "{}", ended.stderr);
    assert_eq!(runs(&workspace, "finished"), committed);
    assert_eq!(closed_by(&workspace).len(), 1);
    assert_closed_once(&workspace, &twin.data_files(PERIOD));
}

#[test]
fn a_run_that_closed_but_could_not_write_its_files_is_finished_under_its_own_id() {
    committed_without_files(Engine::Sqlite);
    committed_without_files(Engine::Postgres);
}

/// An open period is only looked at; the files of such a run are its own, and nobody takes them up when it dies.
fn killed_look(engine: Engine) {
    let prepared = Prepared::watched(engine, &tenants(100), &usage(100, 1_000));
    let month = PERIOD.replace("09", "10");
    let workspace = prepared.copy();
    let config = lease_of(&workspace, "1s");
    let look = ["run", "--period", &*month, "--as-of", "2026-10-20T12:00:00Z"];
    for _ in 0..20 {
        let mut first = workspace.spawn(&with_lease(&look, &config));
        let half_written = stop_when(&first, || !partial_folders(&workspace, &month).is_empty());
        if half_written.is_some() {
            send(first.id(), "KILL");
        }
        drop(half_written);
        if first.wait().unwrap().signal() == Some(KILL) {
            break;
        }
    }
    assert_eq!(partial_folders(&workspace, &month).len(), 1, "a run was killed while it wrote its files");
    end_of(workspace.spawn(&[&look[..], &["--lock-wait", "5m"]].concat()), "the run after the kill")
        .expect(0);
    assert!(partial_folders(&workspace, &month).is_empty(), "{:?}", workspace.report_folders(&month));
    assert_eq!(workspace.number("SELECT COUNT(*) FROM runs WHERE state = 'abandoned'"), 1);
    assert_audit_chain(&workspace);
}

#[test]
fn what_a_killed_look_at_an_open_period_left_half_written_is_removed_by_the_next_run() {
    killed_look(Engine::Sqlite);
    killed_look(Engine::Postgres);
}
