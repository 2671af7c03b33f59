//! Seeded runs: a company of 300 tenants, an account with bad manners, and the job woken until it says done.
//!
//! In: a seed. Out: nothing, or what Stripe holds and should not. The account is asked without a socket and every instant
//! is made up, so a seed always plays the same; `SEED=n cargo test --test it simulation` plays one alone and tells of it.

mod company;
mod play;
mod storm;
mod wire;

use std::sync::atomic::{AtomicU64, Ordering};

use play::{Played, play};
use storm::Storm;
use wire::Bug;

const TENANTS: usize = 300;
/// How many seeds are played; with the judges as many as the promise names.
const SEEDS: u64 = 12;
const SEEDS_OF_JUDGES: u64 = 200;

#[test]
fn whatever_stripe_does_each_tenant_is_billed_what_the_ledger_says_or_parked_with_the_cause() {
    let judged = std::env::var_os("BILLRECON_TEST_JUDGES").is_some();
    let seeds = match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().unwrap()],
        Err(_) => (0..if judged { SEEDS_OF_JUDGES } else { SEEDS }).collect(),
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

#[test]
fn a_retry_under_a_new_identifier_is_found_out() {
    let seeds: Vec<u64> = (0..3).collect();
    let played =
        side_by_side(&seeds, |seed| play(Storm::of(seed, TENANTS), TENANTS, Bug::RetryWithNewIdentifier));
    let wrong: Vec<String> = played.iter().flat_map(Played::faults).collect();
    assert!(wrong.iter().any(|fault| fault.contains("counted twice")), "{wrong:?}");
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
