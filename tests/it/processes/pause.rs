//! A holder that stands still for longer than its lease lasts: another takes over, and the first writes nothing more.
//!
//! In: SIGSTOP and SIGCONT at chosen moments. Out: exit code 11 for the one that slept, and one set of everything.

use super::company::{Prepared, tenants, usage};
use super::hold::{Stopped, holds_write_lock, stop_when};
use super::state::{
    assert_closed_once, audited, dump, lease, partial_folder_exists, runs, state_of_newest_run,
};
use super::{PERIOD, RUN, RUN_PATIENTLY, end_of, lease_of, wait_until, with_lease};
use crate::support::gate::Gated;
use crate::support::{Engine, Workspace};

/// Attempts to catch a process at work that may be faster than the one who catches it.
const ATTEMPTS: usize = 20;

fn paused_at_the_gate(engine: Engine) {
    let twin = Workspace::with_company(engine);
    twin.run(&RUN).expect(0);
    let workspace = Workspace::with_company(engine);
    let config = lease_of(&workspace, "1s");
    let first = Gated::spawn(workspace.command(&with_lease(&RUN, &config)));
    let pid = first.child.id();
    let held =
        wait_until("the run holds the lease", || lease(&workspace).filter(|held| held.is_held_by(pid)));
    let stopped = Stopped::stop(pid).expect("the run is at its gate");
    let second = end_of(workspace.spawn(&RUN_PATIENTLY), "the run that takes over").expect(0);
    let warning = format!("the lease of {} had expired and was taken over", held.holder);
    assert!(second.stderr.contains(&warning), "{}", second.stderr);
    assert_eq!(audited(&workspace, "lease_taken_over"), 1);
    let (rows, files) = (dump(&workspace), workspace.data_files(PERIOD));
    drop(stopped);
    let first = first.open().join().unwrap();
    assert_eq!((dump(&workspace), workspace.data_files(PERIOD)), (rows, files));
    assert_closed_once(&workspace, &twin.data_files(PERIOD));
    first.expect(11);
}

#[test]
fn a_holder_paused_on_sqlite_beyond_its_lease_writes_nothing_more_and_ends_with_11() {
    paused_at_the_gate(Engine::Sqlite);
}

#[test]
fn a_holder_paused_on_postgres_beyond_its_lease_writes_nothing_more_and_ends_with_11() {
    paused_at_the_gate(Engine::Postgres);
}

/// Stops a run somewhere between its first row and its last, where `there` is true, lets another one finish the
/// period, and wakes the first.
fn paused_at_work(engine: Engine, there: impl Fn(&Workspace) -> bool) {
    let prepared = Prepared::new(engine, &tenants(400), Some(&usage(400, 2_000)));
    let twin = prepared.copy();
    twin.run(&RUN).expect(0);
    for _ in 0..ATTEMPTS {
        let workspace = prepared.copy();
        let config = lease_of(&workspace, "2s");
        let first = workspace.spawn(&with_lease(&RUN, &config));
        wait_until("the run has begun", || state_of_newest_run(&workspace));
        let Some(stopped) = stop_when(&first, || !holds_write_lock(&workspace) && there(&workspace)) else {
            first.wait_with_output().unwrap();
            continue;
        };
        let state = state_of_newest_run(&workspace).unwrap();
        end_of(workspace.spawn(&RUN_PATIENTLY), "the run that takes over").expect(0);
        let (rows, files) = (dump(&workspace), workspace.data_files(PERIOD));
        drop(stopped);
        let first = end_of(first, "the run that slept");
        assert_eq!(dump(&workspace), rows, "{first:?}");
        assert!(workspace.data_files(PERIOD) == files, "{first:?}");
        assert_closed_once(&workspace, &twin.data_files(PERIOD));
        println!("{engine:?}: stopped in state {state}, ended with {:?}", first.code);
        // A run that was past its last write may not have noticed.
        if state != "finished" {
            first.expect(11);
        }
        return;
    }
    panic!("a run was never caught at work in {ATTEMPTS} attempts");
}

#[test]
fn a_holder_paused_at_work_on_sqlite_leaves_one_closed_period() {
    paused_at_work(Engine::Sqlite, |_| true);
}

#[test]
fn a_holder_paused_at_work_on_postgres_leaves_one_closed_period() {
    paused_at_work(Engine::Postgres, |_| true);
}

#[test]
fn a_holder_paused_while_it_writes_files_leaves_those_of_its_successor_alone() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        paused_at_work(engine, |workspace| partial_folder_exists(workspace, PERIOD));
    }
}

/// A holder that stands still inside a transaction keeps the row of the lease locked. Nobody can take over then, and
/// nobody may wait for ever.
fn paused_in_a_transaction(engine: Engine) {
    let prepared = Prepared::new(engine, &tenants(400), Some(&usage(400, 2_000)));
    for _ in 0..ATTEMPTS {
        let workspace = prepared.copy();
        let first = workspace.spawn(&RUN);
        wait_until("the run has begun", || state_of_newest_run(&workspace));
        let Some(stopped) = stop_when(&first, || holds_write_lock(&workspace)) else {
            first.wait_with_output().unwrap();
            continue;
        };
        let second = end_of(workspace.spawn(&RUN), "a run beside a holder that stands still");
        assert!(matches!(second.code, Some(11 | 75)), "{second:?}");
        drop(stopped);
        let first = end_of(first, "the run that slept");
        assert!(matches!(first.code, Some(0 | 11 | 75)), "{first:?}");
        end_of(workspace.spawn(&RUN_PATIENTLY), "the run that goes on").expect(0);
        assert_eq!(runs(&workspace, "finished").len(), 1);
        return;
    }
    panic!("a run was never caught in a transaction in {ATTEMPTS} attempts");
}

#[test]
fn a_holder_paused_in_a_transaction_on_sqlite_makes_nobody_wait_for_ever() {
    paused_in_a_transaction(Engine::Sqlite);
}

#[test]
fn a_holder_paused_in_a_transaction_on_postgres_makes_nobody_wait_for_ever() {
    paused_in_a_transaction(Engine::Postgres);
}
