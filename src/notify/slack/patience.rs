//! How long Slack is tried: a few times, never for long.
//!
//! In: an attempt. Out: its answer, or the last error. It is tried again where Slack was not reached, says that it failed, or
//! asks to wait; never where the message may have arrived.

use std::future::Future;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};

use crate::notify::slack::SlackError;

#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For one answer.
    pub attempt: Duration,
    /// For all of it, pauses too.
    pub total: Duration,
    pub attempts: usize,
    /// Before the second try; it grows and is jittered.
    pub first_pause: Duration,
    /// A longer pause is not waited for, whoever asks for it: the next run sends the message.
    pub longest_pause: Duration,
}

impl Default for Patience {
    /// A run should not wait for Slack longer than it takes to close a small company.
    fn default() -> Self {
        Self {
            attempt: Duration::from_secs(10),
            total: Duration::from_secs(15),
            attempts: 3,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(4),
        }
    }
}

impl Patience {
    /// For a file: it takes longer to send, and is sent again whole.
    pub(super) fn for_files() -> Self {
        Self { attempt: Duration::from_secs(30), total: Duration::from_secs(45), ..Self::default() }
    }

    pub(super) async fn tries<T, A>(&self, attempt: impl Fn() -> A) -> Result<T, SlackError>
    where
        A: Future<Output = Result<T, SlackError>>,
    {
        let pauses = ExponentialBuilder::default()
            .with_min_delay(self.first_pause)
            .with_max_delay(self.longest_pause)
            .with_max_times(self.attempts.saturating_sub(1))
            .with_jitter();
        let one = || async {
            tokio::time::timeout(self.attempt, attempt()).await.unwrap_or(Err(SlackError::Timeout))
        };
        let all = one.retry(pauses).when(SlackError::passes).adjust(|error, pause| match error {
            SlackError::RateLimited { retry_after: Some(asked) } => {
                // Without a pause of ours there is no try left.
                pause.and_then(|pause| (*asked <= self.longest_pause).then_some(pause.max(*asked)))
            }
            _ => pause,
        });
        tokio::time::timeout(self.total, all).await.unwrap_or(Err(SlackError::Timeout))
    }
}
