//! SIGTERM and SIGINT: a process ends soon, gives its lease back, and says how to go on.
//!
//! In: processes that are held inside their work by a lock of the test or by a pipe that stays open. Out: exit codes
//! 143 and 130, a free lease, and a next run that finishes the work.

use std::io::Write;
use std::net::TcpListener;
use std::process::{Child, Stdio};

use super::company::{Prepared, tenants, usage};
use super::hold::{Lock, send, stop_when, waits_for};
use super::state::{LeaseRow, assert_audit_chain, assert_closed_once, lease, state_of_newest_push};
use super::{PERIOD, PUSH, RUN, RUN_PATIENTLY, end_of, lease_of, wait_until, with_lease};
use crate::killed::points::{self, Point};
use crate::support::gate::Gated;
use crate::support::{CATALOG, Ended, Engine, TENANTS, Workspace};

/// Signal, exit code, and how the words begin.
const SIGNALS: [(&str, i32, &str); 2] =
    [("TERM", 143, "billrecon: terminated"), ("INT", 130, "billrecon: interrupted")];

#[track_caller]
fn assert_says_how_to_go_on(ended: Ended, code: i32, words: &str) {
    let ended = ended.expect(code);
    assert!(ended.stderr.contains(words), "{}", ended.stderr);
    assert!(ended.stderr.contains("run the same command again"), "{}", ended.stderr);
}

fn held_by(workspace: &Workspace, pid: u32) -> LeaseRow {
    wait_until("the run holds the lease", || lease(workspace).filter(|held| held.is_held_by(pid)))
}

/// The next run closes the period as if nothing had been.
fn assert_goes_on(workspace: &Workspace, twin: &Workspace) {
    end_of(workspace.spawn(&RUN), "the next run").expect(0);
    assert_closed_once(workspace, &twin.data_files(PERIOD));
}

fn twin_of_company(engine: Engine) -> Workspace {
    let twin = Workspace::with_watched_company(engine);
    twin.run(&RUN).expect(0);
    twin
}

#[test]
fn a_run_that_waits_for_postgres_ends_at_once_and_gives_its_lease_back() {
    let twin = twin_of_company(Engine::Postgres);
    for (signal, code, words) in SIGNALS {
        let workspace = Workspace::with_watched_company(Engine::Postgres);
        let lock = Lock::postgres(&workspace, "runs");
        let child = workspace.spawn(&RUN);
        let held = held_by(&workspace, child.id());
        wait_until("the run waits for the table", || waits_for(&workspace, "runs").then_some(()));
        send(child.id(), signal);
        assert_says_how_to_go_on(end_of(child, "a run that waits for a table"), code, words);
        // The table is still locked.
        let after = lease(&workspace).unwrap();
        assert_eq!((after.is_free(), after.fence), (true, held.fence));
        drop(lock);
        assert_goes_on(&workspace, &twin);
    }
}

/// The question for the lease is never broken off, and a database that does not answer would hold the person up for ever.
#[test]
fn a_second_interrupt_ends_a_run_whose_question_for_the_lease_is_not_answered() {
    let workspace = Workspace::with_watched_company(Engine::Postgres);
    let lock = Lock::postgres(&workspace, "lease");
    let mut child = workspace.spawn(&RUN);
    wait_until("the run waits for the lease", || waits_for(&workspace, "lease").then_some(()));
    send(child.id(), "INT");
    // Until the first one is taken in, another does not count as the second.
    wait_until("the process ends", || {
        send(child.id(), "INT");
        child.try_wait().unwrap()
    });
    let ended = end_of(child, "a run that waits for the lease");
    assert_eq!(
        (ended.code, ended.stderr.contains("billrecon: interrupted")),
        (Some(130), false),
        "{ended:?}"
    );
    drop(lock);
    end_of(workspace.spawn(&RUN), "the next run").expect(0);
}

/// The lock on the row of the lease ends with the transaction, so it may not be possible to give it back.
#[test]
fn a_run_that_waits_for_postgres_inside_a_transaction_ends_all_the_same() {
    let twin = twin_of_company(Engine::Postgres);
    for (signal, code, words) in SIGNALS {
        let workspace = Workspace::with_watched_company(Engine::Postgres);
        let config = lease_of(&workspace, "5s");
        let lock = Lock::postgres(&workspace, "run_control_totals");
        let child = workspace.spawn(&with_lease(&RUN, &config));
        wait_until("the run waits for the table", || {
            waits_for(&workspace, "run_control_totals").then_some(())
        });
        send(child.id(), signal);
        let ended = end_of(child, "a run that waits for a table inside a transaction");
        assert_says_how_to_go_on(ended, code, words);
        drop(lock);
        end_of(workspace.spawn(&RUN_PATIENTLY), "the next run").expect(0);
        assert_closed_once(&workspace, &twin.data_files(PERIOD));
    }
}

#[test]
fn a_second_interrupt_ends_a_run_that_cannot_give_its_lease_back() {
    let workspace = Workspace::with_watched_company(Engine::Postgres);
    let lock = Lock::postgres(&workspace, "run_control_totals");
    let mut child = workspace.spawn(&RUN);
    wait_until("the run waits for the table", || waits_for(&workspace, "run_control_totals").then_some(()));
    // Interrupts that come before the first one has been seen count as one, so there may be more than two.
    wait_until("an interrupt ends the run", || {
        send(child.id(), "INT");
        child.try_wait().unwrap()
    });
    Ended::of(child.wait_with_output().unwrap()).expect(130);
    drop(lock);
}

#[test]
fn a_run_that_waits_for_a_sqlite_file_gives_its_lease_back() {
    let twin = twin_of_company(Engine::Sqlite);
    for (signal, code, words) in SIGNALS {
        let workspace = Workspace::with_watched_company(Engine::Sqlite);
        let gated = Gated::spawn(workspace.command(&RUN));
        let pid = gated.child.id();
        let held = held_by(&workspace, pid);
        let lock = Lock::sqlite(&workspace);
        let ended = gated.open();
        // The run can read now and cannot write, so it cannot end before the signal.
        send(pid, signal);
        drop(lock);
        assert_says_how_to_go_on(ended.join().unwrap(), code, words);
        let after = lease(&workspace).unwrap();
        assert_eq!((after.is_free(), after.fence), (true, held.fence));
        assert_goes_on(&workspace, &twin);
    }
}

/// The signal comes while the process is still busy with saying that it has won the lease.
fn signalled_as_it_wins(engine: Engine) {
    let twin = twin_of_company(engine);
    for (signal, code, words) in SIGNALS {
        let workspace = Workspace::with_watched_company(engine);
        let gated = Gated::spawn(workspace.command(&RUN));
        let pid = gated.child.id();
        held_by(&workspace, pid);
        send(pid, signal);
        let ended = gated.open().join().unwrap();
        assert_says_how_to_go_on(ended, code, words);
        assert!(lease(&workspace).unwrap().is_free());
        assert_goes_on(&workspace, &twin);
    }
}

#[test]
fn a_signal_at_the_moment_in_which_the_lease_is_won_is_not_lost() {
    signalled_as_it_wins(Engine::Sqlite);
    signalled_as_it_wins(Engine::Postgres);
}

/// The signal comes before each of the writes and sends that lead to the lease: whoever breaks off the question after the
/// database has said yes leaves a lease that nobody holds.
fn signalled_on_its_way_to_the_lease(engine: Engine) {
    let company = Workspace::with_watched_company(engine);
    let leading = points_before_the_first_words(&company);
    assert!(leading.len() >= LEADING, "{leading:?}");
    for &point in leading.iter().rev().take(LEADING) {
        let workspace = Workspace::with_watched_company(engine);
        let mut command = workspace.command(&RUN);
        points::arm(&mut command, point, points::TERMINATE);
        assert_says_how_to_go_on(Ended::of(command.output().unwrap()), 143, "billrecon: terminated");
        let left = lease(&workspace).filter(|row| !row.is_free());
        assert_eq!(left, None, "{point:?}");
    }
}

/// How many points before its first words a run is signalled at: more than it takes to win the lease.
const LEADING: usize = 8;

/// The first words say that the lease is won.
fn points_before_the_first_words(company: &Workspace) -> Vec<Point> {
    let log = company.path("points.log");
    let mut command = company.command(&RUN);
    points::watch(&mut command, &log);
    let ended = Ended::of(command.output().unwrap()).expect(0);
    let first = ended.stderr.lines().next().unwrap();
    assert!(first.contains("lease won by"), "{first}");
    let text = std::fs::read_to_string(&log).unwrap();
    let words = text.lines().position(|line| line.starts_with("write pipe:")).unwrap();
    points::read(&log).into_iter().take(words).collect()
}

#[test]
fn a_signal_on_the_way_to_the_lease_leaves_none_taken() {
    signalled_on_its_way_to_the_lease(Engine::Sqlite);
    signalled_on_its_way_to_the_lease(Engine::Postgres);
}

/// Caught behind its first row and before it has pushed everything, so that there is work left in which the signal can
/// be heard.
fn signalled_at_work(engine: Engine) {
    let prepared = Prepared::new(engine, &tenants(100), Some(&usage(100, 2_000)));
    let twin = prepared.copy();
    twin.run(&PUSH).expect(0);
    twin.run(&RUN).expect(0);
    for (signal, code, words) in SIGNALS {
        let (workspace, child) = caught_after_start(&prepared, signal);
        assert_says_how_to_go_on(end_of(child, "a run that got a signal"), code, words);
        assert!(lease(&workspace).unwrap().is_free());
        end_of(workspace.spawn(&PUSH), "the next run that pushes").expect(0);
        assert_goes_on(&workspace, &twin);
    }
}

/// A run that has begun, has not pushed everything, and has a signal on its way.
fn caught_after_start(prepared: &Prepared, signal: &str) -> (Workspace, Child) {
    for _ in 0..20 {
        let workspace = prepared.copy();
        let config = lease_of(&workspace, "1h");
        let child = workspace.spawn(&with_lease(&PUSH, &config));
        wait_until("the run has begun", || state_of_newest_push(&workspace));
        let planned = "SELECT COUNT(*) FROM intents WHERE state = 'planned'";
        let started = || {
            state_of_newest_push(&workspace).is_some_and(|state| state == "started")
                && workspace.number(planned) > 0
        };
        if stop_when(&child, started).is_some_and(|_stopped| {
            send(child.id(), signal);
            true
        }) {
            return (workspace, child);
        }
        child.wait_with_output().unwrap();
    }
    panic!("a run was never caught at work");
}

#[test]
fn a_run_on_sqlite_that_gets_a_signal_at_work_gives_its_lease_back() {
    signalled_at_work(Engine::Sqlite);
}

#[test]
fn a_run_on_postgres_that_gets_a_signal_at_work_gives_its_lease_back() {
    signalled_at_work(Engine::Postgres);
}

/// The pipe stays open, so the import waits for more; its first batch is in the ledger.
fn signalled_import(engine: Engine) {
    let rows = usage(50, 15_000);
    for (signal, code, words) in SIGNALS {
        let workspace = Workspace::new(engine);
        workspace.import(CATALOG, &tenants(50), "tenant_id,meter,quantity,occurred_at,source_event_id\n");
        let mut command = workspace.command(&["import", "usage", "-"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(rows.as_bytes()).unwrap();
        let in_ledger = || workspace.number("SELECT COUNT(*) FROM usage_ledger");
        wait_until("the first batch is in the ledger", || (in_ledger() == 10_000).then_some(()));
        send(child.id(), signal);
        assert_says_how_to_go_on(end_of(child, "an import that waits for more"), code, words);
        drop(pipe);
        assert_eq!(in_ledger(), 10_000);
        workspace.write("usage.csv", &rows);
        let again = workspace.run(&["import", "usage", "usage.csv", "--json"]).expect(0).json();
        assert_eq!([&again["accepted"], &again["duplicate"]], [5_000, 10_000]);
        assert_audit_chain(&workspace);
    }
}

#[test]
fn an_import_from_an_open_pipe_into_sqlite_ends_and_keeps_its_batches() {
    signalled_import(Engine::Sqlite);
}

#[test]
fn an_import_from_an_open_pipe_into_postgres_ends_and_keeps_its_batches() {
    signalled_import(Engine::Postgres);
}

/// It holds nothing yet, and the one that does is left alone.
fn signalled_while_it_waits(engine: Engine) {
    for (signal, code, words) in SIGNALS {
        let workspace = Workspace::with_watched_company(engine);
        let config = lease_of(&workspace, "1h");
        let holder = Gated::spawn(workspace.command(&with_lease(&RUN, &config)));
        let held = held_by(&workspace, holder.child.id());
        workspace.write("more.csv", TENANTS);
        let waiting = workspace.spawn(&["import", "tenants", "more.csv", "--lock-wait", "1h"]);
        wait_until("the process hears signals", || hears_signals(waiting.id()).then_some(()));
        send(waiting.id(), signal);
        assert_says_how_to_go_on(end_of(waiting, "an import that waits for the lease"), code, words);
        assert_eq!(lease(&workspace), Some(held));
        holder.open().join().unwrap().expect(0);
    }
}

/// Whether a process has handlers for both signals.
fn hears_signals(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    let mask = u64::from_str_radix(caught.trim(), 16).unwrap();
    [2, 15].into_iter().all(|signal| mask >> (signal - 1) & 1 == 1)
}

#[test]
fn a_process_that_waits_for_the_lease_can_be_ended() {
    signalled_while_it_waits(Engine::Sqlite);
    signalled_while_it_waits(Engine::Postgres);
}

/// Stripe has taken the connection and says nothing; nothing has been opened yet, and no lease is held.
#[test]
fn a_signal_while_stripe_is_asked_whose_key_it_is_is_not_lost() {
    let workspace = Workspace::with_company(Engine::Sqlite);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", silent.local_addr().unwrap());
    for (signal, code, words) in SIGNALS {
        for arguments in [&["run"][..], &["run", "--dry-run"], &["serve"]] {
            let mut command = workspace.command_at(&url, arguments);
            let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let (_connection, _) = silent.accept().unwrap();
            send(child.id(), signal);
            assert_says_how_to_go_on(end_of(child, "a process that waits for Stripe"), code, words);
        }
    }
    assert!(lease(&workspace).unwrap().is_free());
}

/// Nobody can read the schema's version; who opens the database waits.
#[test]
fn a_signal_while_the_database_is_opened_is_not_lost() {
    for (signal, code, words) in SIGNALS {
        for arguments in
            [&["run"][..], &["import", "tenants", "tenants.csv"], &["import", "usage", "usage.csv"]]
        {
            let workspace = Workspace::with_company(Engine::Postgres);
            let lock = Lock::postgres(&workspace, "_sqlx_migrations");
            let child = workspace.spawn(arguments);
            wait_until("it waits for the schema", || waits_for(&workspace, "_sqlx_migrations").then_some(()));
            send(child.id(), signal);
            assert_says_how_to_go_on(end_of(child, "a process that opens a database"), code, words);
            drop(lock);
            assert!(lease(&workspace).unwrap().is_free());
        }
    }
}
