//! Eight processes at once: one works, and it is held until the seven others have said who keeps them from it.
//!
//! In: a database with and without a schema. Out: one exit code 0, seven times 11 with the holder's name, and one
//! set of everything. Which of them wins is not assumed.

use std::process::Command;

use super::hold::send;
use super::state::{LeaseRow, assert_audit_chain, assert_closed_once, audited, closed_by, dump, lease, runs};
use super::{PERIOD, RUN, RUN_PATIENTLY, end_of, lease_of, wait_until, with_lease};
use crate::support::gate::Gated;
use crate::support::{CATALOG, Ended, Engine, Workspace};

const RACERS: usize = 8;

/// Starts the racers, sees all but one of them off, and returns the winner's end with the lease that it held.
fn race(command: impl Fn() -> Command, workspace: &Workspace) -> (Ended, LeaseRow) {
    let mut racers: Vec<Gated> = (0..RACERS).map(|_| Gated::spawn(command())).collect();
    let held =
        wait_until("one of the eight holds the lease", || lease(workspace).filter(|lease| !lease.is_free()));
    let winner = racers.iter().position(|racer| held.is_held_by(racer.child.id()));
    let mut winner = racers.swap_remove(winner.expect("the holder is one of the eight"));
    let losers: Vec<_> = racers.into_iter().map(Gated::open).collect();
    for loser in losers {
        let ended = loser.join().unwrap().expect(11);
        assert!(ended.stderr.contains(&held.holder), "it names {}: {}", held.holder, ended.stderr);
        assert_eq!(ended.stdout, "");
    }
    assert!(winner.child.try_wait().unwrap().is_none(), "the winner is still at its gate");
    assert_eq!(lease(workspace), Some(held.clone()));
    (winner.open().join().unwrap().expect(0), held)
}

fn eight_runs(engine: Engine) {
    let twin = Workspace::with_watched_company(engine);
    twin.run(&RUN).expect(0);
    let workspace = Workspace::with_watched_company(engine);
    let before = lease(&workspace).unwrap();
    let config = lease_of(&workspace, "1h");
    let (ended, held) = race(|| workspace.command(&with_lease(&RUN, &config)), &workspace);
    assert!(ended.stderr.contains(&format!("lease won by {} (term {})", held.holder, held.fence)));
    // The seven left no mark, not even in the fence.
    assert_eq!(held.fence, before.fence + 1);
    let after = lease(&workspace).unwrap();
    assert_eq!((after.is_free(), after.fence), (true, held.fence));
    assert_eq!(closed_by(&workspace), [[held.holder, held.fence.to_string()]]);
    assert_eq!(audited(&workspace, "run_committed"), 1);
    assert_closed_once(&workspace, &twin.data_files(PERIOD));
}

#[test]
fn of_eight_runs_on_sqlite_one_works_and_seven_name_it() {
    eight_runs(Engine::Sqlite);
}

#[test]
fn of_eight_runs_on_postgres_one_works_and_seven_name_it() {
    eight_runs(Engine::Postgres);
}

/// Without a schema the eight race in the migrations first.
fn eight_imports_on_nothing(engine: Engine) {
    let workspace = Workspace::fresh(engine);
    workspace.write("catalog.toml", CATALOG);
    let config = lease_of(&workspace, "1h");
    let arguments = with_lease(&["import", "catalog", "catalog.toml"], &config);
    let (_, held) = race(|| workspace.command(&arguments), &workspace);
    assert_eq!(held.fence, 1);
    assert_eq!(workspace.number("SELECT COUNT(*) FROM catalog_versions"), 1);
    assert_eq!(audited(&workspace, "catalog_imported"), 1);
    assert_audit_chain(&workspace);
    // All that the loser of a migration could have broken would show in the next commands.
    workspace.import(CATALOG, crate::support::TENANTS, crate::support::USAGE);
    workspace.watch(PERIOD);
    workspace.run(&RUN).expect(0);
    assert_eq!(runs(&workspace, "finished").len(), 1);
}

#[test]
fn of_eight_imports_into_a_new_sqlite_file_one_works_and_seven_name_it() {
    eight_imports_on_nothing(Engine::Sqlite);
}

#[test]
fn of_eight_imports_into_an_empty_postgres_database_one_works_and_seven_name_it() {
    eight_imports_on_nothing(Engine::Postgres);
}

/// A run that has won a lease of this length and was killed before it wrote anything.
fn killed_holder(workspace: &Workspace, ttl: &str) -> LeaseRow {
    let config = lease_of(workspace, ttl);
    let mut gated = Gated::spawn(workspace.command(&with_lease(&RUN, &config)));
    let pid = gated.child.id();
    wait_until("the run holds the lease", || lease(workspace).filter(|lease| lease.is_held_by(pid)));
    send(pid, "KILL");
    gated.child.wait().unwrap();
    lease(workspace).unwrap()
}

fn dead_holder_keeps_others_out(engine: Engine) {
    let workspace = Workspace::with_company(engine);
    let held = killed_holder(&workspace, "1h");
    let before = dump(&workspace);
    for arguments in [&[&RUN[..], &["--lock-wait", "0s"]].concat()[..], &["import", "tenants", "tenants.csv"]]
    {
        let ended = workspace.run(arguments).expect(11);
        assert!(ended.stderr.contains(&held.holder), "{}", ended.stderr);
    }
    assert_eq!((lease(&workspace), dump(&workspace)), (Some(held), before));
    assert!(workspace.report_folders(PERIOD).is_empty());
}

#[test]
fn the_lease_of_a_dead_holder_is_not_taken_before_it_expires() {
    dead_holder_keeps_others_out(Engine::Sqlite);
    dead_holder_keeps_others_out(Engine::Postgres);
}

fn dead_holder_is_followed(engine: Engine) {
    let twin = Workspace::with_watched_company(engine);
    twin.run(&RUN).expect(0);
    let workspace = Workspace::with_watched_company(engine);
    let held = killed_holder(&workspace, "2s");
    let ended = end_of(workspace.spawn(&RUN_PATIENTLY), "a run that waits for a dead holder").expect(0);
    assert!(ended.stderr.contains(&format!("the lease of {} had expired", held.holder)), "{}", ended.stderr);
    let after = lease(&workspace).unwrap();
    assert_eq!((after.is_free(), after.fence), (true, held.fence + 1));
    // Both instants are the database's own.
    assert!(after.acquired_at >= held.expires_at, "{after:?} began before {held:?} had expired");
    assert_eq!(audited(&workspace, "lease_taken_over"), 1);
    assert_closed_once(&workspace, &twin.data_files(PERIOD));
}

#[test]
fn the_lease_of_a_dead_holder_is_taken_over_after_it_has_expired() {
    dead_holder_is_followed(Engine::Sqlite);
    dead_holder_is_followed(Engine::Postgres);
}
