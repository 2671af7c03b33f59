//! Seeded runs: a company of 300 tenants, an account with bad manners, and the job woken until it says done.
//!
//! In: a seed. Out: nothing, or what Stripe holds and should not. The account is asked without a socket and every instant
//! is made up, so a seed always plays the same; `SEED=n cargo test --test it simulation` plays one alone and tells of it.

pub mod company;
pub mod play;
mod storm;
pub mod wire;

use std::sync::atomic::{AtomicU64, Ordering};

use play::{Played, play};
use storm::{Deed, Storm};
use wire::Bug;

const TENANTS: usize = 300;
/// How many seeds are played. The promise names 200: `SEEDS=200 scripts/test --judges --test it simulation` plays them all,
/// and each change that lands plays the first forty, since all of them take two cores a quarter of an hour.
const SEEDS: u64 = 12;
const SEEDS_OF_JUDGES: u64 = 40;

#[test]
fn whatever_stripe_does_each_tenant_is_billed_what_the_ledger_says_or_parked_with_the_cause() {
    let seeds = match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..seeds()).collect(),
    };
    let played = side_by_side(&seeds, |seed| play(Storm::of(seed, TENANTS), TENANTS, Bug::None));
    let wrong: Vec<String> = played.iter().flat_map(Played::faults).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let sum = |count: fn(&Played) -> u64| played.iter().map(count).sum::<u64>();
    println!(
        "{} seeds, {} wakes, {} requests, {} of them with a fault, {} tenants parked",
        seeds.len(),
        sum(|one| one.wakes),
        sum(|one| one.requests),
        sum(|one| one.faults_met),
        sum(|one| one.parked)
    );
}

/// What has not arrived when the invoices are final is unbillable, to the last unit, and nothing arrives twice.
#[test]
fn in_a_storm_that_lasts_what_did_not_arrive_is_unbillable_to_the_unit() {
    let seeds: Vec<u64> = (1_000..1_000 + seeds().div_ceil(10)).collect();
    let play = |seed| play(Storm { lasts: true, ..Storm::of(seed, TENANTS) }, TENANTS, Bug::None);
    let wrong: Vec<String> = side_by_side(&seeds, play).iter().flat_map(Played::faults).collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_retry_under_a_new_identifier_is_found_out() {
    let seeds = (0..).filter(|seed| Storm::of(*seed, TENANTS).loses_answers_to_events()).take(2);
    let play = |seed| play(Storm::of(seed, TENANTS), TENANTS, Bug::RetryWithNewIdentifier);
    for played in side_by_side(&seeds.collect::<Vec<_>>(), play) {
        let faults = played.faults();
        assert!(faults.iter().any(|fault| fault.contains("counted twice")), "{faults:?}");
    }
}

/// Whether Stripe has taken them or not, nobody knows; a day later it has forgotten their names.
#[test]
fn a_doubt_and_a_day_count_nothing_twice() {
    for what in ["hang_before", "hang_after", "reset_after", "error_after", "error_before", "cut", "garbled"]
    {
        let deeds = [("2026-10-20T06:00:00Z", Deed::Use(100)), ("2026-10-20T06:00:00Z", Deed::Wake)];
        // The next wake comes 26 hours later, with more usage.
        let played = play(Storm::with_events(what, &deeds), 20, Bug::None);
        assert!(played.faults_met >= 20, "{what}");
        assert_eq!((played.parked, played.faults()), (0, Vec::new()), "{what}");
    }
}

/// Stripe says nowhere how late a total may be. What cannot be seen a day later may still come.
#[test]
fn totals_that_are_later_than_a_day_count_nothing_twice() {
    let deeds = [
        ("2026-10-20T06:00:00Z", Deed::Use(100)),
        ("2026-10-20T06:00:00Z", Deed::Wake),
        ("2026-10-21T07:30:00Z", Deed::Wake),
        ("2026-10-21T07:45:00Z", Deed::Wake),
    ];
    let late = "[totals]\nlate_by_seconds = 93600\n".to_owned();
    let storm = Storm { manners: late.clone(), climate: late, ..Storm::with_events("cut", &deeds) };
    let played = play(storm, 20, Bug::None);
    assert_eq!(played.faults(), Vec::<String>::new());
}

/// Taken in the draft's last minutes, billed, and shown later: nothing of it is lost.
#[test]
fn what_a_total_shows_only_after_the_invoice_is_final_is_not_unbillable() {
    let deeds = [
        ("2026-10-31T23:59:00Z", Deed::Use(100)),
        ("2026-11-01T00:55:00Z", Deed::Wake),
        ("2026-11-01T01:05:00Z", Deed::Wake),
    ];
    let late = "[totals]\nlate_by_seconds = 7200\n".to_owned();
    let storm = Storm { manners: late.clone(), climate: late, ..Storm::with_events("cut", &deeds) };
    let played = play(storm, 20, Bug::None);
    assert_eq!((played.parked, played.faults()), (0, Vec::new()));
}

/// The copy knows nothing of what was sent after it was made.
#[test]
fn after_a_restored_backup_nothing_is_sent_again() {
    let deeds = [
        ("2026-10-20T06:00:00Z", Deed::Use(50)),
        ("2026-10-20T06:00:00Z", Deed::Wake),
        ("2026-10-20T07:00:00Z", Deed::BackUp),
        ("2026-10-20T08:00:00Z", Deed::Use(100)),
        ("2026-10-20T08:00:00Z", Deed::Wake),
        ("2026-10-20T09:00:00Z", Deed::Restore),
    ];
    restored(&deeds);
}

/// The copy holds pushes that were planned, and were sent after it was made.
#[test]
fn pushes_that_a_backup_holds_as_planned_are_not_sent_again() {
    let deeds = [
        ("2026-10-20T06:00:00Z", Deed::Use(100)),
        ("2026-10-20T06:00:00Z", Deed::SwitchOff),
        ("2026-10-20T06:00:00Z", Deed::Wake),
        ("2026-10-20T07:00:00Z", Deed::BackUp),
        ("2026-10-20T07:00:00Z", Deed::SwitchOn),
        ("2026-10-20T07:00:00Z", Deed::Wake),
        ("2026-10-20T08:00:00Z", Deed::Restore),
    ];
    restored(&deeds);
}

/// Each tenant of whom Stripe has more than the copy knows is parked, and stays billed once.
#[track_caller]
fn restored(deeds: &[(&str, Deed)]) {
    let played = play(Storm { manners: String::new(), ..Storm::with_events("cut", deeds) }, 20, Bug::None);
    let faults = played.faults();
    assert!(!faults.iter().any(|fault| fault.contains("counted twice")), "{faults:?}");
    let reasons = ["parked as foreign_usage", "parked as unknown_push"];
    let parked = faults.iter().filter(|fault| reasons.iter().any(|reason| fault.contains(reason)));
    assert_eq!((played.parked, parked.count()), (20, 20), "{faults:?}");
}

/// A switch that is never switched on again.
#[test]
fn while_pushing_is_off_nothing_is_sent_and_everything_waits() {
    let deeds = [
        ("2026-10-20T06:00:00Z", Deed::Use(100)),
        ("2026-10-20T06:00:00Z", Deed::SwitchOff),
        ("2026-10-20T06:00:00Z", Deed::Wake),
    ];
    let storm = Storm { manners: String::new(), ..Storm::with_events("cut", &deeds) };
    let played = play(storm, 5, Bug::None);
    assert_eq!(played.events, 0);
    let faults = played.faults();
    assert_eq!(
        faults.iter().filter(|fault| fault.contains("called unbillable: 0.000 at Stripe")).count(),
        5,
        "{faults:?}"
    );
}

fn seeds() -> u64 {
    if let Ok(count) = std::env::var("SEEDS") {
        return count.parse().unwrap();
    }
    if std::env::var_os("BILLRECON_TEST_JUDGES").is_some() { SEEDS_OF_JUDGES } else { SEEDS }
}

/// Plays on every core.
fn side_by_side(seeds: &[u64], play: impl Fn(u64) -> Played + Sync) -> Vec<Played> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(seeds.len());
    let next = AtomicU64::new(0);
    let worker = || {
        let mut played = Vec::new();
        while let Some(seed) = seeds.get(usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap()) {
            played.push(play(*seed));
        }
        played
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    })
}
