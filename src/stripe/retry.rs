//! When a request is sent again, and after how long.
//!
//! In: attempts that failed, each with what its answer said about trying again. Out: the first success or the last
//! failure. The same request is repeated to the letter; it never looks into one.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use super::error::StripeError;
use super::transport::{Limits, Waits};

/// Reads cost nothing but time.
const READ_REPEATS: usize = 4;
/// A send that fails for longer waits for the next run: the identifier makes it the same event.
const SEND_REPEATS: usize = 2;
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

/// Runs attempts until one succeeds or it makes no sense to go on.
pub(super) async fn run<T, A, F>(patience: Patience, limits: &Limits, attempt: A) -> Result<T, StripeError>
where
    A: FnMut() -> F,
    F: Future<Output = Result<T, Failure>>,
{
    let mut timeouts = 0;
    let mut left = WAIT_BUDGET;
    let waits = limits.waits;
    attempt
        .retry(backoff(patience, limits))
        .when(|failure: &Failure| match failure.again {
            Again::No => false,
            Again::Yes { .. } => true,
            Again::TimedOut => {
                timeouts += 1;
                timeouts <= TIMEOUT_REPEATS
            }
        })
        .adjust(|failure, planned| wait(failure.again, planned, &mut left))
        .sleep(move |wait| async move {
            if waits == Waits::Taken {
                tokio::time::sleep(wait).await;
            }
        })
        .await
        .map_err(|failure| failure.error)
}

/// Whether an answer with this status is worth another attempt. Stripe's own word, the header `Stripe-Should-Retry`,
/// goes before ours; a refused key stays refused.
pub(super) fn is_worth_repeating(status: u16, should_retry: Option<bool>) -> bool {
    match (status, should_retry) {
        (401 | 403, _) => false,
        (_, Some(word)) => word,
        (status, None) => matches!(status, 409 | 429 | 500..=599),
    }
}

fn backoff(patience: Patience, limits: &Limits) -> ExponentialBuilder {
    let repeats = match patience {
        Patience::Read => READ_REPEATS,
        Patience::Send => SEND_REPEATS,
    };
    ExponentialBuilder::new()
        .with_min_delay(limits.first_wait)
        .with_max_delay(limits.longest_wait)
        .with_max_times(repeats)
        .with_jitter()
}

/// The planned wait, or the longer one that Stripe asks for. One that is not left in the budget ends the attempts.
fn wait(again: Again, planned: Option<Duration>, left: &mut Duration) -> Option<Duration> {
    let asked = match again {
        Again::Yes { after } => after.unwrap_or_default(),
        Again::TimedOut | Again::No => Duration::ZERO,
    };
    let wait = planned?.max(asked);
    *left = left.checked_sub(wait)?;
    Some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

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
            assert_eq!(is_worth_repeating(status, should_retry), expected, "{status} {should_retry:?}");
        }
    }

    #[test]
    fn a_wait_that_is_asked_for_is_kept_while_the_budget_lasts() {
        let asks = |seconds| Again::Yes { after: Some(Duration::from_secs(seconds)) };
        let mut left = 30 * SECOND;
        assert_eq!(wait(asks(7), Some(SECOND), &mut left), Some(7 * SECOND));
        assert_eq!(wait(asks(0), Some(SECOND), &mut left), Some(SECOND));
        assert_eq!(wait(Again::TimedOut, Some(2 * SECOND), &mut left), Some(2 * SECOND));
        assert_eq!(wait(asks(7), None, &mut left), None);
        assert_eq!(wait(asks(21), Some(SECOND), &mut left), None);
        assert_eq!(wait(asks(20), Some(SECOND), &mut left), Some(20 * SECOND));
        assert_eq!(wait(Again::Yes { after: None }, Some(SECOND), &mut left), None);
    }

    #[test]
    fn waits_grow_with_jitter_and_fit_their_budget() {
        use backon::BackoffBuilder;
        for (patience, repeats) in [(Patience::Read, READ_REPEATS), (Patience::Send, SEND_REPEATS)] {
            let waits: Vec<Duration> = backoff(patience, &Limits::default()).build().collect();
            assert_eq!(waits.len(), repeats, "{waits:?}");
            assert!(waits.iter().sum::<Duration>() <= WAIT_BUDGET, "{waits:?}");
            assert!(waits[0] >= Limits::default().first_wait, "{waits:?}");
        }
    }
}
