//! When a request is sent again, and after how long.
//!
//! In: attempts that failed, each with what its answer said about trying again. Out: the first success or the last
//! failure. Waits grow, and chance takes any part of them ("full jitter"), so that many who failed together do not come
//! back together. The same request is repeated to the letter; it never looks into one.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use super::error::{Hints, StripeError};
use super::limits::{Limits, Waits};

/// Reads cost nothing but time.
const READ_REPEATS: u32 = 4;
/// A send that fails for longer waits for the next run: the identifier makes it the same event.
const SEND_REPEATS: u32 = 2;
/// An attempt that ran into the whole timeout has used up most of the patience that there is.
const TIMEOUT_REPEATS: u32 = 1;
/// All waiting of one request together.
const WAIT_BUDGET: Duration = Duration::from_secs(30);

/// How patient a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    Read,
    Send,
}

/// An attempt that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub error: StripeError,
    pub again: Again,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Again {
    No,
    /// Stripe may say how long to wait at least.
    Yes {
        after: Option<Duration>,
    },
    TimedOut,
}

/// Repetitions that a whole client may still make. A server in trouble gets no more than these beyond the requests
/// themselves, and one that fails now and then never notices.
pub(super) struct Tokens(AtomicU32);

impl Tokens {
    const MOST: u32 = 500;
    const REPETITION: u32 = 5;
    const SUCCESS: u32 = 1;

    pub(super) fn new() -> Self {
        Self(AtomicU32::new(Self::MOST))
    }

    /// False where there are too few left.
    pub(super) fn take(&self) -> bool {
        let less = |tokens: u32| tokens.checked_sub(Self::REPETITION);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    pub(super) fn give_back(&self) {
        let more = |tokens: u32| Some((tokens + Self::SUCCESS).min(Self::MOST));
        // It always says how many there are to be, so it cannot fail.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }
}

/// Runs attempts until one succeeds or it makes no sense to go on.
pub(super) async fn run<T, A, F>(
    patience: Patience,
    limits: &Limits,
    tokens: &Tokens,
    mut attempt: A,
) -> Result<T, StripeError>
where
    A: FnMut() -> F,
    F: Future<Output = Result<T, Failure>>,
{
    let mut plan = Plan::new(patience, limits);
    loop {
        let failure = match attempt().await {
            Ok(value) => {
                tokens.give_back();
                return Ok(value);
            }
            Err(failure) => failure,
        };
        let Some(wait) = plan.next(failure.again).filter(|_| tokens.take()) else {
            return Err(failure.error);
        };
        if limits.waits == Waits::Taken {
            tokio::time::sleep(wait).await;
        }
    }
}

/// Whether an answer with this status is worth another attempt. Stripe's own word, the header `Stripe-Should-Retry`,
/// goes before ours; a refused key stays refused, and so does what Stripe has stored under the request's key.
pub(super) fn is_worth_repeating(status: u16, hints: Hints) -> bool {
    match (status, hints.should_retry) {
        (401 | 403, _) => false,
        (500..=599, _) if hints.replayed => false,
        (_, Some(word)) => word,
        (status, None) => matches!(status, 409 | 429 | 500..=599),
    }
}

/// What is left of a request's patience.
struct Plan {
    repeats: u32,
    timeouts: u32,
    wait_left: Duration,
    most: Duration,
    longest: Duration,
    waits: Waits,
}

impl Plan {
    fn new(patience: Patience, limits: &Limits) -> Self {
        let repeats = match patience {
            Patience::Read => READ_REPEATS,
            Patience::Send => SEND_REPEATS,
        };
        Self {
            repeats,
            timeouts: TIMEOUT_REPEATS,
            wait_left: WAIT_BUDGET,
            most: limits.first_wait.min(limits.longest_wait),
            longest: limits.longest_wait,
            waits: limits.waits,
        }
    }

    /// The wait before the next attempt; what Stripe asks for, it gets, and chance comes on top. `None`: no more attempts.
    fn next(&mut self, again: Again) -> Option<Duration> {
        let asked = match again {
            Again::No => return None,
            Again::Yes { after } => after.unwrap_or_default(),
            Again::TimedOut => {
                self.timeouts = self.timeouts.checked_sub(1)?;
                Duration::ZERO
            }
        };
        self.repeats = self.repeats.checked_sub(1)?;
        let by_chance = match self.waits {
            Waits::Taken => part_of(self.most),
            Waits::Skipped => self.most,
        };
        let wait = asked.checked_add(by_chance)?;
        self.most = self.most.saturating_mul(2).min(self.longest);
        self.wait_left = self.wait_left.checked_sub(wait)?;
        Some(wait)
    }
}

/// Any duration from none to all of it, each as likely as the others.
fn part_of(most: Duration) -> Duration {
    let nanos = u64::try_from(most.as_nanos()).unwrap_or(u64::MAX);
    Duration::from_nanos(fastrand::u64(0..=nanos))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn plan(patience: Patience) -> Plan {
        Plan::new(patience, &Limits::default())
    }

    #[test]
    fn stripes_word_goes_before_ours() {
        for (status, should_retry, expected) in [
            (500, None, true),
            (503, Some(false), false),
            (409, None, true),
            (429, None, true),
            (429, Some(false), false),
            (400, None, false),
            (400, Some(true), true),
            (404, None, false),
            (424, None, false),
            (401, Some(true), false),
            (403, Some(true), false),
            (302, None, false),
        ] {
            let hints = Hints { should_retry, replayed: false };
            assert_eq!(is_worth_repeating(status, hints), expected, "{status} {should_retry:?}");
        }
        for should_retry in [None, Some(true)] {
            assert!(!is_worth_repeating(500, Hints { should_retry, replayed: true }));
        }
    }

    #[test]
    fn a_wait_that_is_asked_for_is_kept_while_the_budget_lasts() {
        let asks = |seconds| Again::Yes { after: Some(Duration::from_secs(seconds)) };
        let mut plan = plan(Patience::Read);
        assert!(plan.next(asks(7)).unwrap() >= 7 * SECOND);
        assert!(plan.next(asks(10)).unwrap() >= 10 * SECOND);
        assert_eq!(plan.next(asks(14)), None);
        assert_eq!(plan.next(asks(u64::MAX)), None);
        assert!(plan.next(asks(1)).is_none(), "each question is one repetition");
    }

    #[test]
    fn a_timeout_is_repeated_once() {
        let mut plan = plan(Patience::Read);
        assert!(plan.next(Again::TimedOut).is_some());
        assert_eq!(plan.next(Again::TimedOut), None);
        assert_eq!(plan.next(Again::No), None);
    }

    /// No request may have a chance to be refused a repetition by its own jitter.
    #[test]
    fn the_longest_waits_fit_their_budget() {
        for (patience, repeats) in [(Patience::Read, READ_REPEATS), (Patience::Send, SEND_REPEATS)] {
            let longest = Limits { waits: Waits::Skipped, ..Limits::default() };
            let mut plan = Plan::new(patience, &longest);
            let waits: Vec<Duration> =
                std::iter::from_fn(|| plan.next(Again::Yes { after: None })).take(100).collect();
            assert_eq!(waits.len(), usize::try_from(repeats).unwrap(), "{waits:?}");
            assert_eq!(waits[..2], [Limits::default().first_wait, 2 * Limits::default().first_wait]);
            assert!(waits.iter().all(|wait| *wait <= Limits::default().longest_wait), "{waits:?}");
        }
    }

    #[test]
    fn a_storm_gets_so_many_repetitions_and_successes_earn_new_ones() {
        let tokens = Tokens::new();
        let granted = std::iter::from_fn(|| tokens.take().then_some(())).count();
        assert_eq!(granted, 100);
        for _ in 0..5 {
            assert!(!tokens.take());
            tokens.give_back();
        }
        assert!(tokens.take() && !tokens.take());
        (0..10_000).for_each(|_| tokens.give_back());
        assert_eq!(std::iter::from_fn(|| tokens.take().then_some(())).count(), 100);
    }

    proptest! {
        #[test]
        fn chance_takes_any_part_of_a_wait_and_never_more(first in 0_u64..10_000, longest in 0_u64..10_000) {
            let (first, longest) = (Duration::from_millis(first), Duration::from_millis(longest));
            let limits = Limits { first_wait: first, longest_wait: longest, ..Limits::default() };
            let mut most = first.min(longest);
            let mut plan = Plan::new(Patience::Read, &limits);
            while let Some(wait) = plan.next(Again::Yes { after: None }) {
                prop_assert!(wait <= most, "{wait:?} of {most:?}");
                most = (2 * most).min(longest);
            }
        }
    }

    /// That all of 300 draws miss an eighth of the range is a matter of one in 10¹⁷.
    #[test]
    fn short_waits_are_as_likely_as_long_ones() {
        let draws: Vec<Duration> = (0..300).map(|_| part_of(8 * SECOND)).collect();
        for eighth in 0..8 {
            let within = |draw: &&Duration| (eighth * SECOND..=(eighth + 1) * SECOND).contains(*draw);
            assert!(draws.iter().any(|draw| within(&draw)), "{eighth}: {draws:?}");
        }
    }
}
