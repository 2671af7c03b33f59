//! PostgreSQL breaks off in the middle of a close: its sessions are ended, or the server goes down and comes back.
//!
//! In: a process that stops itself at a point, so the break comes exactly there. Out: a run that finishes or says that it can
//! be tried again later; then the next one ends in the bytes of an undisturbed one.

use std::process::Child;

use super::cluster::Cluster;
use super::month::{Month, Outcome, Stage};
use super::points::{self, Kind, Point, STOP};
use super::{Undisturbed, side_by_side};
use crate::processes::{assert_audit_chain, end_of, wait_until};
use crate::support::{Ended, Engine, Workspace, signal};

/// How many sends are passed over for one that is tried.
const EACH: usize = 12;

fn tried(points: &[Point]) -> Vec<Point> {
    let each = if std::env::var_os("BILLRECON_TEST_JUDGES").is_some() { 3 } else { EACH };
    points
        .iter()
        .filter(|point| point.kind == Kind::Send && point.number.is_multiple_of(each))
        .copied()
        .collect()
}

/// A run that stands still just before one of its sends, to Stripe or to the database.
fn stopped_at(point: Point, stage: &Stage<'_>) -> Child {
    let mut command = stage.command(&[]);
    points::arm(&mut command, point, STOP);
    let mut child = command.spawn().unwrap();
    wait_until("the run stands still or has ended", || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        let letter = stat.rsplit_once(") ").unwrap().1.chars().next().unwrap();
        (matches!(letter, 'T' | 'Z')).then_some(())
    });
    if child.try_wait().unwrap().is_none() {
        signal(&child, "STOP");
    }
    child
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Done,
    TryAgainLater,
}

/// It has an end, and what it left is enough for the next run.
fn goes_on(child: Child, point: Point, stage: &Stage<'_>, expected: &Outcome) -> End {
    if child_lives(&child) {
        signal(&child, "CONT");
    }
    let ended: Ended = end_of(child, &format!("the run that was broken off at {point:?}"));
    let end = match ended.code {
        Some(3) => End::Done,
        // It may also have stood still for longer than its lease lasts.
        Some(75 | 11) => End::TryAgainLater,
        _ => panic!("{point:?}: {ended:?}"),
    };
    stage.run_again();
    stage.outcome().assert_is(expected, &format!("broken off at {point:?}, {end:?}"));
    assert_audit_chain(stage.workspace);
    end
}

fn child_lives(child: &Child) -> bool {
    std::fs::read_to_string(format!("/proc/{}/stat", child.id()))
        .is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z')))
}

#[track_caller]
fn assert_both_ends(ends: &[End]) {
    let later = ends.iter().filter(|end| **end == End::TryAgainLater).count();
    println!("{} runs were broken off: {later} say try again later, the others are done", ends.len());
    assert!(later >= 3 && ends.len() >= 15, "{ends:?}");
}

#[test]
fn a_close_whose_sessions_postgres_ends_is_finished_by_the_next_run() {
    let month = Month::new(Engine::Postgres);
    let undisturbed = Undisturbed::of(&month);
    let ends = side_by_side(tried(&undisturbed.points), |point| {
        let workspace = month.copy();
        let stage = Stage::new(&workspace);
        let child = stopped_at(point, &stage);
        workspace.sql(
            "SELECT CAST(pg_terminate_backend(pid) AS TEXT) FROM pg_stat_activity
             WHERE datname = current_database() AND application_name = 'billrecon'",
        );
        goes_on(child, point, &stage, &undisturbed.outcome)
    });
    assert_both_ends(&ends);
}

/// All of them stand still when the server goes down, each at a point of its own.
#[test]
fn a_close_in_which_postgres_is_restarted_is_finished_by_the_next_run() {
    let cluster = Cluster::start();
    let month = Month::on(cluster.workspace("original"));
    let copy = |name: &str| month.with_journal(cluster.copy(name, "original"));
    let undisturbed = Undisturbed::on(&copy("undisturbed"));
    let tried = tried(&undisturbed.points);
    let workspaces: Vec<Workspace> =
        tried.iter().map(|point| copy(&format!("at_{}", point.number))).collect();
    let stages: Vec<Stage<'_>> = workspaces.iter().map(Stage::new).collect();
    let children = tried.iter().zip(&stages).map(|(point, stage)| stopped_at(*point, stage));
    let stopped: Vec<(Child, (&Point, &Stage<'_>))> = children.zip(tried.iter().zip(&stages)).collect();
    cluster.restart();
    let ends =
        side_by_side(stopped, |(child, (point, stage))| goes_on(child, *point, stage, &undisturbed.outcome));
    assert_both_ends(&ends);
}
