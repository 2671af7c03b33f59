//! A holder that stands still for longer than its lease lasts: another takes over, and the first writes nothing more.
//!
//! In: SIGSTOP and SIGCONT at chosen moments. Out: exit code 11 for the one that slept, and one set of everything.

use std::fs;
use std::path::Path;

use super::company::{Prepared, tenants, usage};
use super::hold::{Stopped, holds_write_lock, stop_when};
use super::state::{
    assert_closed_once, audited, dump, expire_lease, lease, partial_folders, runs, state_of_newest_push,
    state_of_newest_run,
};
use super::{PERIOD, PUSH, RUN, RUN_PATIENTLY, end_of, lease_of, wait_until, with_lease};
use crate::support::gate::Gated;
use crate::support::served::Served;
use crate::support::{self, Engine, Workspace, journal};

/// Enough of them for a run that can be caught at work.
const TENANTS: usize = 100;

/// When September is over and its invoices are final.
const OCTOBER: &str = "2026-10-02T00:00:00Z";

/// Attempts to catch a process at work that may be faster than the one who catches it.
const ATTEMPTS: usize = 20;

fn paused_at_the_gate(engine: Engine) {
    let twin = Workspace::with_watched_company(engine);
    twin.run(&RUN).expect(0);
    let workspace = Workspace::with_watched_company(engine);
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

/// Stops a run behind its first row, where `there` is true, lets another one finish the period, and wakes the first.
/// Its lease is made to expire by the database's clock only, so that nothing but the fence can hold it back.
fn paused_at_work(engine: Engine, there: impl Fn(&Workspace) -> bool) {
    let prepared = Prepared::watched(engine, &tenants(TENANTS), &usage(TENANTS, 2_000));
    let twin = prepared.copy();
    twin.run(&RUN).expect(0);
    for _ in 0..ATTEMPTS {
        let workspace = prepared.copy();
        let stripe = Served::start(&workspace, OCTOBER);
        let config = lease_of(&workspace, "1h");
        let first = stripe.spawn(&with_lease(&RUN, &config));
        wait_until("the run has begun", || state_of_newest_run(&workspace));
        let Some(stopped) = stop_when(&first, || there(&workspace) && !holds_write_lock(&workspace)) else {
            first.wait_with_output().unwrap();
            continue;
        };
        let state = state_of_newest_run(&workspace);
        expire_lease(&workspace);
        end_of(stripe.spawn(&RUN_PATIENTLY), "the run that takes over").expect(0);
        let (rows, files) = (dump(&workspace), workspace.data_files(PERIOD));
        drop(stopped);
        let first = end_of(first, "the run that slept");
        assert_eq!(dump(&workspace), rows, "{first:?}");
        assert!(workspace.data_files(PERIOD) == files, "{first:?}");
        assert_closed_once(&workspace, &twin.data_files(PERIOD));
        println!("{engine:?}: stopped in state {state:?}, ended with {:?}", first.code);
        // A run that was past its last write may not have noticed.
        if state.as_deref() != Some("finished") {
            first.expect(11);
        }
        return;
    }
    panic!("a run was never caught at work in {ATTEMPTS} attempts");
}

/// The first has been told by its own clock that it may send. Its successor sends the rest; then the first wakes up with
/// requests in its hands.
fn paused_while_it_pushes(engine: Engine) {
    let prepared = Prepared::seeded(engine, &tenants(TENANTS), &usage(TENANTS, 2_000));
    let twin = prepared.copy();
    twin.run(&PUSH).expect(0);
    twin.run(&RUN).expect(0);
    let all = journal::events(&twin).len();
    for _ in 0..ATTEMPTS {
        let workspace = prepared.copy();
        let stripe = Served::start(&workspace, "2026-09-30T12:00:00Z");
        let config = lease_of(&workspace, "1h");
        let first = stripe.spawn(&with_lease(&PUSH, &config));
        let sent = || journal::events(&workspace).len();
        wait_until("the run has sent something", || (sent() > 0).then_some(()));
        let Some(stopped) = stop_when(&first, || sent() < all && !holds_write_lock(&workspace)) else {
            first.wait_with_output().unwrap();
            continue;
        };
        let before = sent();
        expire_lease(&workspace);
        end_of(stripe.spawn(&PUSH), "the run that takes over").expect(0);
        assert_eq!(sent(), all);
        drop(stopped);
        end_of(first, "the run that slept").expect(11);
        println!("{engine:?}: stopped when {before} of {all} had been sent");
        assert_eq!(sent(), all, "nothing was counted twice");
        drop(stripe);
        workspace.run(&RUN).expect(0);
        assert_closed_once(&workspace, &twin.data_files(PERIOD));
        return;
    }
    panic!("a run was never caught while it pushed in {ATTEMPTS} attempts");
}

#[test]
fn a_holder_paused_on_sqlite_while_it_pushes_bills_nothing_twice() {
    paused_while_it_pushes(Engine::Sqlite);
}

#[test]
fn a_holder_paused_on_postgres_while_it_pushes_bills_nothing_twice() {
    paused_while_it_pushes(Engine::Postgres);
}

/// A sandbox inside the process that sleeps keeps its journal: nobody can take over before that process has ended.
fn paused_with_its_sandbox(engine: Engine) {
    let prepared = Prepared::new(engine, &tenants(TENANTS), Some(&usage(TENANTS, 2_000)));
    let twin = prepared.copy();
    twin.run(&PUSH).expect(0);
    twin.run(&RUN).expect(0);
    for _ in 0..ATTEMPTS {
        let workspace = prepared.copy();
        let config = lease_of(&workspace, "1h");
        let first = workspace.spawn(&with_lease(&PUSH, &config));
        wait_until("the run has begun", || state_of_newest_push(&workspace));
        let Some(stopped) = stop_when(&first, || !holds_write_lock(&workspace)) else {
            first.wait_with_output().unwrap();
            continue;
        };
        expire_lease(&workspace);
        let second = end_of(workspace.spawn(&PUSH), "the run that takes over").expect(75);
        assert!(second.stderr.contains("sandbox"), "{}", second.stderr);
        drop(stopped);
        let first = end_of(first, "the run that slept");
        assert!(matches!(first.code, Some(0 | 11)), "{first:?}");
        end_of(workspace.spawn(&PUSH), "the run that goes on").expect(0);
        workspace.run(&RUN).expect(0);
        assert_closed_once(&workspace, &twin.data_files(PERIOD));
        return;
    }
    panic!("a run was never caught at work in {ATTEMPTS} attempts");
}

#[test]
fn a_holder_paused_with_its_sandbox_makes_others_come_again_later() {
    paused_with_its_sandbox(Engine::Sqlite);
    paused_with_its_sandbox(Engine::Postgres);
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
fn a_holder_paused_on_sqlite_while_it_writes_files_leaves_those_of_its_successor_alone() {
    paused_at_work(Engine::Sqlite, |workspace| !partial_folders(workspace, PERIOD).is_empty());
}

#[test]
fn a_holder_paused_on_postgres_while_it_writes_files_leaves_those_of_its_successor_alone() {
    paused_at_work(Engine::Postgres, |workspace| !partial_folders(workspace, PERIOD).is_empty());
}

/// Two processes write the files of one run at the same time: the first slept meanwhile and does not know yet that it
/// has lost the lease. `clutter` are more files beside those of the first, so that the second can be caught when it has
/// removed most of them, and will not look again for what the first adds.
fn two_write_files(engine: Engine, clutter: usize) {
    let prepared = Prepared::watched(engine, &tenants(TENANTS), &usage(TENANTS, 2_000));
    let twin = prepared.copy();
    twin.run(&RUN).expect(0);
    for _ in 0..ATTEMPTS {
        let workspace = prepared.copy();
        let stripe = Served::start(&workspace, OCTOBER);
        let config = lease_of(&workspace, "1h");
        let first = stripe.spawn(&with_lease(&RUN, &config));
        wait_until("the run has begun", || state_of_newest_run(&workspace));
        let writes = || partial_folders(&workspace, PERIOD);
        let Some(asleep) = stop_when(&first, || !writes().is_empty() && !holds_write_lock(&workspace)) else {
            first.wait_with_output().unwrap();
            continue;
        };
        for (folder, _) in writes() {
            (0..clutter).for_each(|number| fs::write(folder.join(number.to_string()), "").unwrap());
        }
        let of_first = writes();
        expire_lease(&workspace);
        let second = stripe.spawn(&with_lease(&RUN, &config));
        let nearly_empty = || writes().iter().any(|(folder, _)| (8..1_000).contains(&count_in(folder)));
        let writes_too = || if clutter == 0 { !writes().is_subset(&of_first) } else { nearly_empty() };
        let writes_too = || writes_too() && !holds_write_lock(&workspace);
        let Some(waiting) = stop_when(&second, writes_too) else {
            second.wait_with_output().unwrap();
            drop(asleep);
            first.wait_with_output().unwrap();
            continue;
        };
        drop(asleep);
        let first = end_of(first, "the run that slept");
        drop(waiting);
        end_of(second, "the run that took over").expect(0);
        assert_closed_once(&workspace, &twin.data_files(PERIOD));
        first.expect(11);
        return;
    }
    panic!("two runs were never caught writing files in {ATTEMPTS} attempts");
}

fn count_in(folder: &Path) -> usize {
    fs::read_dir(folder).map_or(0, Iterator::count)
}

#[test]
fn two_processes_that_write_the_same_files_on_sqlite_leave_one_whole_set() {
    two_write_files(Engine::Sqlite, 0);
}

#[test]
fn two_processes_that_write_the_same_files_on_postgres_leave_one_whole_set() {
    two_write_files(Engine::Postgres, 0);
}

#[test]
fn files_that_a_successor_is_removing_never_become_a_set() {
    two_write_files(Engine::Sqlite, 5_000);
    two_write_files(Engine::Postgres, 5_000);
}

/// A holder that stands still inside a transaction keeps the row of the lease locked. Nobody can take over then, and
/// nobody may wait for ever.
fn paused_in_a_transaction(engine: Engine) {
    let prepared = Prepared::watched(engine, &tenants(TENANTS), &usage(TENANTS, 2_000));
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

/// Whoever has imported since then has the last word.
fn paused_import(engine: Engine) {
    let workspace = Workspace::with_company(engine);
    let older = support::TENANTS.replace(",Acme,", ",Acme of yesterday,");
    workspace.write("older.csv", older);
    workspace.write("newer.csv", support::TENANTS.replace(",Acme,", ",Acme of today,"));
    let config = lease_of(&workspace, "1s");
    let arguments = with_lease(&["import", "tenants", "older.csv"], &config);
    let first = Gated::spawn(workspace.command(&arguments));
    let pid = first.child.id();
    wait_until("the import holds the lease", || lease(&workspace).filter(|held| held.is_held_by(pid)));
    let stopped = Stopped::stop(pid).expect("the import is at its gate");
    let newer = ["import", "tenants", "newer.csv", "--lock-wait", "5m"];
    end_of(workspace.spawn(&newer), "the import that takes over").expect(0);
    let rows = dump(&workspace);
    drop(stopped);
    let first = first.open().join().unwrap();
    assert_eq!(dump(&workspace), rows);
    first.expect(11);
}

#[test]
fn an_import_paused_beyond_its_lease_does_not_overwrite_a_newer_one() {
    paused_import(Engine::Sqlite);
    paused_import(Engine::Postgres);
}
