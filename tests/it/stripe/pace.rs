//! The pace: how many requests leave in a second, in which order, and what a 429 does to them.
//!
//! In: a paused clock, answers that take their time, 429s of every kind. Out: the moments at which requests left. No
//! test waits and none depends on how fast the machine is.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::time::Duration;

use billrecon::domain::catalog::PriceRef;
use billrecon::stripe::{Limits, Pace, Stripe};
use futures_util::future::join_all;

use super::sending::event;
use super::simulated::{Answer, Log, account, answer, limited, simulated};
use super::{limits, october};

const LATENCY: Duration = Duration::from_millis(200);
const ACCOUNT: &str = "/v1/account";
const PRICES: &str = "/v1/prices";

fn paced(overall: u32, per_endpoint: u32) -> Limits {
    let pace = Pace {
        requests_per_second: NonZeroU32::new(overall),
        requests_per_second_per_endpoint: NonZeroU32::new(per_endpoint),
        ..Pace::default()
    };
    Limits { pace, ..limits() }
}

/// Each of these is a request of its own, all to one endpoint.
async fn prices(stripe: &Stripe, count: usize) {
    let ids = (0..count).map(|number| PriceRef::Id(format!("price_{number:04}")));
    join_all(ids.map(async |id| stripe.price(&id).await)).await;
}

async fn accounts(stripe: &Stripe, count: usize) {
    join_all((0..count).map(async |_| stripe.account().await)).await;
}

/// How much of a rate was used, in percent.
fn share(times: &[Duration], rate: u32) -> u128 {
    let could = times.last().unwrap().as_micros() * u128::from(rate);
    u128::try_from(times.len()).unwrap() * 100_000_000 / could
}

#[tokio::test(start_paused = true)]
async fn requests_to_one_endpoint_use_their_rate_and_never_exceed_it_in_any_second() {
    for rate in [1, 2, 7, 20, 25, 100] {
        let (stripe, log) = simulated(paced(10_000, rate), LATENCY, |_, _| account());
        let count = usize::try_from(rate * 20).unwrap();
        prices(&stripe, count).await;
        let times = log.times(PRICES);
        assert_eq!(times.len(), count);
        assert!(log.most_in_a_second(PRICES) <= usize::try_from(rate).unwrap(), "{rate}");
        assert!(share(&times, rate) >= 95, "{rate}: {:?}", times.last());
    }
}

#[tokio::test(start_paused = true)]
async fn all_endpoints_together_use_the_overall_rate_and_never_exceed_it() {
    let (stripe, log) = simulated(paced(80, 40), LATENCY, |_, _| account());
    let invoices = join_all((0..800).map(async |_| stripe.invoices(october(), |_| true).await));
    tokio::join!(prices(&stripe, 800), accounts(&stripe, 800), invoices);
    assert!(log.most_in_a_second("") <= 80 && log.most_in_a_second(PRICES) <= 40);
    let times = log.times("");
    assert_eq!(times.len(), 2400);
    assert!(share(&times, 80) >= 95, "{:?}", times.last());
}

/// One comes each millisecond, so at each moment at which one may leave, another is just coming.
#[tokio::test(start_paused = true)]
async fn who_comes_first_is_served_first() {
    for mut rates in [paced(1_000, 20), paced(20, 1_000)] {
        rates.pace.requests_at_a_time = NonZeroU32::new(1_000);
        let (stripe, log) = simulated(rates, LATENCY, |_, _| account());
        let requests = (0..100).map(async |number| {
            tokio::time::sleep(Duration::from_millis(number)).await;
            stripe.price(&PriceRef::Id(format!("price_{number:04}"))).await
        });
        join_all(requests).await;
        let in_order: Vec<String> = (0..100).map(|number| format!("{PRICES}/price_{number:04}")).collect();
        assert_eq!(log.paths(), in_order);
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_requests_are_under_way_than_there_may_be() {
    for (asked_for, expected) in [(NonZeroU32::new(3), 3), (None, 32)] {
        let pace = Pace { requests_at_a_time: asked_for, ..Pace::default() };
        let (stripe, log) = simulated(Limits { pace, ..limits() }, LATENCY, |_, _| account());
        assert_eq!(stripe.at_a_time(), expected);
        tokio::join!(prices(&stripe, 100), accounts(&stripe, 100));
        assert_eq!(log.most_under_way(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn meter_events_do_not_wait_for_other_requests() {
    let mut limits = paced(5, 5);
    limits.pace.meter_events_per_second = NonZeroU32::new(100);
    let (stripe, log) = simulated(limits, Duration::ZERO, |_, _| account());
    let events = join_all((0..200).map(async |_| stripe.send_event(&event()).await));
    tokio::join!(accounts(&stripe, 25), events);
    let (events, others) = (log.times("/v1/billing/meter_events"), log.times(ACCOUNT));
    assert!(*events.last().unwrap() < Duration::from_millis(2_100), "{:?}", events.last());
    assert!(*others.last().unwrap() > Duration::from_millis(4_500), "{:?}", others.last());
}

/// How many left in each second, one request after the other for some seconds.
async fn per_second(stripe: &Stripe, log: &Log, seconds: u64) -> Vec<usize> {
    let until = tokio::time::Instant::now() + Duration::from_secs(seconds);
    while tokio::time::Instant::now() < until {
        let _ = stripe.account().await;
    }
    let times = log.times(ACCOUNT);
    let second = |number| Duration::from_secs(number)..Duration::from_secs(number + 1);
    let count = |number| times.iter().filter(|at| second(number).contains(at)).count();
    (0..seconds).map(count).collect()
}

#[tokio::test(start_paused = true)]
async fn a_429_halves_the_pace_and_successes_bring_it_back_step_by_step() {
    for reason in
        ["endpoint-rate", "endpoint-concurrency", "", "lunar-rate", "global-rate", "global-concurrency"]
    {
        let first_fails = move |_: &str, index| if index == 0 { limited(reason) } else { account() };
        let global = reason.starts_with("global");
        let pace = if global { paced(32, 1_000) } else { paced(1_000, 32) };
        let (stripe, log) = simulated(pace, Duration::ZERO, first_fails);
        let counts = per_second(&stripe, &log, 8).await;
        assert!((15..=19).contains(&counts[0]), "{reason}: {counts:?}");
        assert!(counts[1..].windows(2).all(|pair| pair[0] <= pair[1] + 1), "{reason}: {counts:?}");
        assert!((20..=28).contains(&counts[2]), "{reason}: {counts:?}");
        assert!(counts[6] >= 30, "{reason}: {counts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_429s_of_one_moment_halve_the_pace_once() {
    let crowd = |_: &str, index| if index < 20 { limited("endpoint-rate") } else { account() };
    let (stripe, log) = simulated(paced(1_000, 32), LATENCY, crowd);
    accounts(&stripe, 100).await;
    // 120 requests: at first 32 a second, then 16, 20, 24 … a second.
    let last = *log.times(ACCOUNT).last().unwrap();
    assert!(last < Duration::from_secs(6), "{last:?}");
}

#[tokio::test(start_paused = true)]
async fn a_429_slows_only_what_it_speaks_of() {
    let slow_prices = |path: &str, index| {
        if path.starts_with(PRICES) && index == 0 { limited("endpoint-rate") } else { account() }
    };
    let (stripe, log) = simulated(paced(1_000, 32), LATENCY, slow_prices);
    tokio::join!(prices(&stripe, 64), accounts(&stripe, 64));
    let (slow, quick) = (log.times(PRICES), log.times(ACCOUNT));
    assert!(*quick.last().unwrap() <= Duration::from_millis(2_100), "{:?}", quick.last());
    assert!(*slow.last().unwrap() >= Duration::from_secs(3), "{:?}", slow.last());
}

#[tokio::test(start_paused = true)]
async fn an_object_that_is_busy_slows_nobody() {
    let lock = r#"{"error": {"code": "lock_timeout", "message": "another request"}}"#;
    let locked = move || answer(429, &[("Stripe-Should-Retry", "true")], lock);
    let busy: [Box<dyn Fn() -> Answer + Send + Sync>; 2] =
        [Box::new(locked), Box::new(|| limited("resource-specific"))];
    for refusal in busy {
        let first_fails = move |_: &str, index| if index == 0 { refusal() } else { account() };
        let (stripe, log) = simulated(paced(32, 32), Duration::ZERO, first_fails);
        let counts = per_second(&stripe, &log, 3).await;
        assert!(counts.iter().all(|count| *count >= 31), "{counts:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn stripe_may_ask_for_another_attempt_and_for_a_pause_before_it() {
    let asks = [("Stripe-Should-Retry", "true"), ("Retry-After", "7")];
    let first_fails = move |_: &str, index| if index == 0 { answer(400, &asks, "{}") } else { account() };
    let (stripe, log) = simulated(Limits::default(), Duration::ZERO, first_fails);
    stripe.account().await.unwrap();
    let (asked_for, by_chance) = (Duration::from_secs(7), Limits::default().first_wait);
    let pause = log.times(ACCOUNT)[1];
    assert!((asked_for..=asked_for + by_chance + Duration::from_millis(1)).contains(&pause), "{pause:?}");
}

/// Who fails together must not come back together.
#[tokio::test(start_paused = true)]
async fn many_that_fail_at_once_come_back_at_different_times() {
    let first_fails = |path: &str, index| {
        if path.starts_with(PRICES) && index == 0 { answer(503, &[], "{}") } else { account() }
    };
    let (stripe, log) = simulated(Limits::default(), Duration::ZERO, first_fails);
    prices(&stripe, 32).await;
    let (times, first_wait) = (log.times(PRICES), Limits::default().first_wait);
    assert_eq!(times.len(), 64);
    let again: BTreeSet<&Duration> = times[32..].iter().collect();
    assert!(again.len() > 8, "{again:?}");
    assert!(*times.last().unwrap() <= first_wait + Duration::from_millis(1), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_stand_in_is_not_spared_unless_a_setting_says_so() {
    let (stripe, log) = simulated(limits(), Duration::ZERO, |_, _| account());
    tokio::join!(prices(&stripe, 500), accounts(&stripe, 500));
    assert_eq!(log.times("").last(), Some(&Duration::ZERO));
}
