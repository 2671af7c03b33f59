//! The binary under test, killed at every point at which it changes the world: the next run ends in the bytes of an
//! undisturbed one.
//!
//! In: a run that closes a month, pushes another, writes files and tells Slack. Out: the same files, the same figures in the
//! database, each event once at Stripe, whatever point of whatever thread it was. The daily loop takes each fsync and rename
//! and enough of the rest to meet every step, the judges all of them. No clock decides: the process kills itself, just before the call.

mod cluster;
mod month;
pub mod points;
mod step;
mod torn;
mod witness;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt;
use std::sync::Mutex;
use std::thread;

use month::{Month, Outcome, Stage};
use points::{KILL, KINDS, Kind, Point};
use step::{STEPS, Step};

use crate::processes::assert_audit_chain;
use crate::support::{Ended, Engine, Workspace, journal};

/// Mostly they wait for a dead holder's lease.
const AT_A_TIME: usize = 16;
/// How many writes and sends are passed over in the daily loop for one that is tried.
const EACH: usize = 6;
/// How far around a step that was passed over it is looked for.
const FAR: usize = 12;
/// How often one point is tried while a step is missing.
const TRIES: usize = 3;

/// What a run did that nobody disturbed.
struct Undisturbed {
    outcome: Outcome,
    points: Vec<Point>,
}

impl Undisturbed {
    fn of(month: &Month) -> Self {
        Self::on(&month.copy())
    }

    fn on(workspace: &Workspace) -> Self {
        let stage = Stage::new(workspace);
        let log = workspace.path("points.log");
        let mut command = stage.command(&[]);
        points::watch(&mut command, &log);
        Ended::of(command.output().unwrap()).expect(3);
        let first = stage.outcome();
        // Nothing is left to do: so a run after a kill has nothing to add either.
        stage.run_again();
        stage.outcome().assert_is(&first, "a second run");
        Self { outcome: first, points: points::read(&log) }
    }
}

/// `None` where the process came to its end before the point.
fn killed_at(point: Point, month: &Month, undisturbed: &Undisturbed) -> Option<Step> {
    let workspace = month.copy();
    let stage = Stage::new(&workspace);
    let events_before = journal::events(&workspace).len();
    let mut command = stage.disturbed();
    points::arm(&mut command, point, KILL);
    let output = command.output().unwrap();
    let is_killed = output.status.signal() == Some(i32::from(KILL));
    // On a machine that stands still for long, it may also have lost its lease.
    assert!(is_killed || matches!(output.status.code(), Some(3 | 11)), "{point:?}: {output:?}");
    let step = is_killed.then(|| step::reached(&stage, events_before));
    stage.run_again();
    stage.outcome().assert_is(&undisturbed.outcome, &format!("killed at {point:?}, {step:?}"));
    assert_audit_chain(&workspace);
    step
}

fn killed_everywhere(engine: Engine) {
    let month = Month::new(engine);
    let undisturbed = Undisturbed::of(&month);
    let points = &undisturbed.points;
    let killed = killed_at_those_that_count(points, |point| killed_at(point, &month, &undisturbed));
    let mut steps: BTreeMap<Step, usize> = BTreeMap::new();
    for step in killed.values().flatten().flatten() {
        *steps.entry(*step).or_default() += 1;
    }
    let (hits, tried) = (steps.values().sum::<usize>(), killed.values().flatten().count());
    println!("{engine:?}: killed at {hits} of {} points, by step reached: {steps:?}", points.len());
    // The run has no more points than were seen: a few ones later, it passes.
    let passes = side_by_side(KINDS, |kind| {
        let last = points::count(points, kind);
        let mut beyond = (last + 1..last + 20).map(|number| Point { kind, number });
        beyond.any(|point| killed_at(point, &month, &undisturbed).is_none())
    });
    assert!(passes.into_iter().all(|passes| passes), "there are more points than were seen");
    let missed: Vec<&Step> = STEPS.iter().filter(|step| !steps.contains_key(step)).collect();
    assert!(missed.is_empty(), "no kill hit {missed:?}: {steps:?}");
    assert!(hits * 10 >= tried * 9, "{hits} of {tried} kills met a living process");
    assert!(points.len() >= 200 && hits >= 50, "a close has more points");
}

/// What was left at each point that was tried, by its place in the run; `None` where the process had ended before.
type Killed = BTreeMap<usize, Vec<Option<Step>>>;

fn killed_at_those_that_count(points: &[Point], kill: impl Fn(Point) -> Option<Step> + Sync) -> Killed {
    let all = std::env::var_os("BILLRECON_TEST_JUDGES").is_some();
    let is_tried = |point: &Point| {
        all || matches!(point.kind, Kind::Fsync | Kind::Rename) || point.number.is_multiple_of(EACH)
    };
    let mut next: BTreeSet<usize> = (0..points.len()).filter(|at| is_tried(&points[*at])).collect();
    let mut killed = Killed::new();
    while !next.is_empty() {
        for (at, step) in side_by_side(next, |at| (at, kill(points[at]))) {
            killed.entry(at).or_default().push(step);
        }
        next = between(&killed, points.len());
    }
    killed
}

/// Where two neighbours lie more than a step apart, the least tried point that is next to the middle between them; so that no
/// step is passed over. Threads take turns as they like, so it need not lie between, and the same point another time may be
/// another step.
fn between(killed: &Killed, end: usize) -> BTreeSet<usize> {
    let known = killed.iter().flat_map(|(at, steps)| steps.iter().flatten().map(|step| (*at, *step)));
    let mut known: Vec<(usize, Step)> = known.collect();
    let reached: BTreeSet<Step> = known.iter().map(|(_, step)| *step).collect();
    known.push((end, Step::LeaseReturned));
    let lacks =
        |from: Step, to: Step| STEPS.iter().any(|step| (from..=to).contains(step) && !reached.contains(step));
    let gaps = known.windows(2).filter(|pair| lacks(pair[0].1, pair[1].1));
    let tried = |at: usize| killed.get(&at).map_or(0, Vec::len);
    let next = |pair: &[(usize, Step)]| {
        let middle = usize::midpoint(pair[0].0, pair[1].0);
        let near = (middle.saturating_sub(FAR)..end.min(middle + FAR)).filter(|at| tried(*at) < TRIES);
        near.min_by_key(|at| (tried(*at), at.abs_diff(middle)))
    };
    gaps.filter_map(next).collect()
}

/// In any order, several at a time.
fn side_by_side<A: Send, T: Send>(
    all: impl IntoIterator<Item = A, IntoIter: Send>,
    work: impl Fn(A) -> T + Sync,
) -> Vec<T> {
    let (rest, done) = (Mutex::new(all.into_iter()), Mutex::new(Vec::new()));
    let worker = || {
        while let Some(one) = { rest.lock().unwrap().next() } {
            let result = work(one);
            done.lock().unwrap().push(result);
        }
    };
    thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(worker);
        }
    });
    done.into_inner().unwrap()
}

#[test]
fn a_close_on_sqlite_killed_at_every_fsync_rename_write_and_send_leaves_the_same_bytes() {
    killed_everywhere(Engine::Sqlite);
}

#[test]
fn a_close_on_postgres_killed_at_every_fsync_rename_write_and_send_leaves_the_same_bytes() {
    killed_everywhere(Engine::Postgres);
}
