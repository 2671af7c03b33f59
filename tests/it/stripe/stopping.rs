//! When nothing more is asked: a refused key, one trouble again and again, repetitions used up.
//!
//! In: a server that refuses or fails everybody. Out: how many requests it sees, and what the others are told.

use std::num::NonZeroU32;
use std::time::Duration;

use billrecon::exit_code::ExitCode;
use billrecon::stripe::{Delivery, Limits, Pace, Stripe, StripeError, Waits};
use futures_util::future::join_all;

use super::fake::{Fake, answer, error, ok, with_header};
use super::sending::event;
use super::simulated::{self, account, limited, simulated};
use super::{CANARY, limits, stripe, stripe_within};

fn one_at_a_time() -> Limits {
    let pace = Pace { requests_at_a_time: NonZeroU32::new(1), ..Pace::default() };
    Limits { pace, waits: Waits::Skipped, ..limits() }
}

async fn all_at_once(stripe: &Stripe, count: usize) -> Vec<StripeError> {
    let tasks = (0..count).map(|_| {
        let stripe = stripe.clone();
        tokio::spawn(async move { stripe.account().await.unwrap_err() })
    });
    join_all(tasks).await.into_iter().map(Result::unwrap).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_refused_key_is_the_last_thing_that_stripe_hears_of() {
    for status in [401, 403] {
        let fake = Fake::new(move |_, _| error(status, "x", "", "This key may not read accounts")).await;
        let stripe = stripe_within(&fake, one_at_a_time());
        let errors = all_at_once(&stripe, 300).await;
        assert!(matches!(&errors[0], StripeError::Unauthorized { status: found, .. } if *found == status));
        assert!(errors.iter().all(|one| *one == errors[0]));
        assert_eq!(fake.asked().len(), 1);
        // A send and a clone are stopped by it too.
        assert_eq!(stripe.clone().send_event(&event()).await, Err(errors[0].clone()));
        assert_eq!(fake.asked().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn of_a_refused_key_stripe_sees_at_most_what_was_under_way() {
    let refusal = |_: &str, _| simulated::answer(403, &[], "{}");
    let pace = Pace { requests_per_second: NonZeroU32::new(80), ..Pace::default() };
    let (stripe, log) = simulated(Limits { pace, ..limits() }, Duration::from_millis(100), refusal);
    let errors = all_at_once(&stripe, 300).await;
    assert!(errors.iter().all(|one| *one == errors[0]));
    // In the first tenth of a second a dozen have left; the others waited for their moment and found it gone.
    assert!(log.paths().len() <= 12, "{}", log.paths().len());
}

#[tokio::test]
async fn twenty_requests_that_fail_alike_open_the_circuit() {
    let fake = Fake::new(|_, _| answer(503, "<html>")).await;
    let stripe = stripe_within(&fake, one_at_a_time());
    let mut errors = Vec::new();
    for _ in 0..30 {
        errors.push(stripe.account().await.unwrap_err());
    }
    assert_eq!(fake.asked().len(), 20 * 5);
    assert!(errors[..20].iter().all(|one| matches!(one, StripeError::Unavailable { status: Some(503), .. })));
    for open in &errors[20..] {
        let StripeError::CircuitOpen { failures: 20, last } = open else { panic!("{open:?}") };
        assert_eq!(**last, errors[0]);
        assert!(!open.concerns_all());
        assert_eq!(open.request_id(), "");
        let text = open.to_string();
        assert!(text.starts_with("20 requests in a row failed alike"), "{text}");
        assert!(text.contains("nothing more in this run") && text.ends_with("run again later"), "{text}");
        assert_eq!(ExitCode::of(&open.clone().into()), ExitCode::TryAgain);
    }
    assert!(stripe.has_stopped());
    assert_eq!(stripe.send_event(&event()).await.unwrap(), Delivery::Stopped);
    assert_eq!(fake.asked().len(), 100);
}

#[tokio::test]
async fn one_success_in_between_keeps_the_circuit_closed() {
    let refused = || with_header(answer(503, "{}"), "Stripe-Should-Retry", "false");
    let fake = Fake::new(move |_, index| if index % 20 == 19 { ok(ACCOUNT) } else { refused() }).await;
    let stripe = stripe(&fake);
    for _ in 0..100 {
        let result = stripe.account().await;
        assert!(!matches!(result, Err(StripeError::CircuitOpen { .. })), "{result:?}");
    }
    assert_eq!(fake.asked().len(), 100);
}

const ACCOUNT: &str = r#"{"id": "acct_1", "object": "account"}"#;

/// 429s do not open the circuit, so only the repetitions are bounded here.
#[tokio::test(start_paused = true)]
async fn a_storm_is_not_made_worse_by_repetitions() {
    let (stripe, log) = simulated(limits(), Duration::ZERO, |_, _| limited("endpoint-rate"));
    for _ in 0..200 {
        assert!(matches!(stripe.account().await, Err(StripeError::RateLimited { .. })));
    }
    assert_eq!(log.paths().len(), 200 + 100);
}

#[tokio::test(start_paused = true)]
async fn failures_now_and_then_are_always_repeated() {
    let every_fifth = |_: &str, index| if index % 6 == 0 { limited("") } else { account() };
    let (stripe, log) = simulated(limits(), Duration::ZERO, every_fifth);
    for _ in 0..1_000 {
        stripe.account().await.unwrap();
    }
    assert_eq!(log.paths().len(), 1_200);
}

#[tokio::test]
async fn what_stopped_a_client_is_not_what_its_successor_begins_with() {
    let fake = Fake::in_turn([error(401, "x", "", CANARY), ok(ACCOUNT)]).await;
    let refused = stripe(&fake).account().await.unwrap_err();
    assert!(!refused.to_string().contains("canary"), "{refused}");
    assert_eq!(stripe(&fake).account().await.unwrap().id, "acct_1");
}
