//! Posting a body to an incoming webhook: a few tries, never for long.
//!
//! In: the webhook's address and a body that [`render`](super::render) made. Out: nothing, or a [`SlackError`]. It is tried
//! again where Slack was not reached, says that it failed, or asks to wait; never where the message may have arrived. The
//! address is a secret: neither it nor anything that holds it is ever shown.

use std::error::Error;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Error as HttpError;
use hyper_util::client::legacy::connect::{Connect, HttpConnector};
use secrecy::{ExposeSecret, SecretString};
use slack_morphism::errors::SlackClientError;
use slack_morphism::prelude::*;

/// Why a message was not delivered, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlackError {
    #[error("the webhook is no https address: mend BILLRECON_SLACK_WEBHOOK_URL")]
    NoAddress,
    #[error("the message that was kept is no message for Slack")]
    NoMessage,
    #[error("no certificates of this machine can be read ({0}): install ca-certificates")]
    NoCertificates(String),
    #[error("Slack no longer knows the webhook: make a new one and set BILLRECON_SLACK_WEBHOOK_URL")]
    Revoked,
    #[error("Slack refused the message with status {status}")]
    Refused { status: u16 },
    #[error("Slack answered something that is no answer of a webhook")]
    Unclear,
    #[error("Slack is failing: status {status}")]
    Failing { status: u16 },
    #[error("Slack asks for fewer messages{}", wait(*retry_after))]
    RateLimited { retry_after: Option<Duration> },
    #[error("Slack cannot be reached: {cause}")]
    Unreachable { cause: String },
    #[error("the connection to Slack broke before it answered")]
    Broken,
    #[error("Slack did not answer in time")]
    Timeout,
}

fn wait(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |pause| format!(" for {} s", pause.as_secs()))
}

impl SlackError {
    /// Whether it tells of this message only, so that another one may well arrive.
    pub fn is_of_one_message(&self) -> bool {
        matches!(self, Self::NoMessage | Self::Refused { .. })
    }

    /// Whether another try may do better, and the message has not arrived by Slack's own word.
    fn passes(&self) -> bool {
        matches!(self, Self::Failing { .. } | Self::RateLimited { .. } | Self::Unreachable { .. })
    }
}

/// How long to try.
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

/// Posts a body as it was rendered.
pub async fn post(webhook: &SecretString, json: &str) -> Result<(), SlackError> {
    post_within(webhook, json, &Patience::default()).await
}

pub async fn post_within(webhook: &SecretString, json: &str, patience: &Patience) -> Result<(), SlackError> {
    let request: SlackApiPostWebhookMessageRequest =
        serde_json::from_str(json).map_err(|_| SlackError::NoMessage)?;
    let address = webhook.expose_secret();
    match address.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase()).as_deref() {
        // Only an address of this machine: the configuration lets no other pass.
        Some("http") => with_retries(address, &request, patience, HttpConnector::new()).await,
        Some("https") => {
            let builder = HttpsConnectorBuilder::new()
                .with_native_roots()
                .map_err(|cause| SlackError::NoCertificates(cause.to_string()))?;
            with_retries(address, &request, patience, builder.https_only().enable_http1().build()).await
        }
        _ => Err(SlackError::NoAddress),
    }
}

async fn with_retries<C>(
    address: &str,
    request: &SlackApiPostWebhookMessageRequest,
    patience: &Patience,
    connector: C,
) -> Result<(), SlackError>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let url = address.parse().map_err(|_| SlackError::NoAddress)?;
    let client = SlackClient::new(SlackClientHyperConnector::with_connector(connector));
    let pauses = ExponentialBuilder::default()
        .with_min_delay(patience.first_pause)
        .with_max_delay(patience.longest_pause)
        .with_max_times(patience.attempts.saturating_sub(1))
        .with_jitter();
    let attempt = || async {
        match tokio::time::timeout(patience.attempt, client.post_webhook_message(&url, request)).await {
            Ok(answer) => answer.map(drop).or_else(|error| judge(&error)),
            Err(_) => Err(SlackError::Timeout),
        }
    };
    let attempts = attempt.retry(pauses).when(SlackError::passes).adjust(|error, pause| match error {
        SlackError::RateLimited { retry_after: Some(asked) } => {
            // Without a pause of ours there is no try left.
            pause.and_then(|pause| (*asked <= patience.longest_pause).then_some(pause.max(*asked)))
        }
        _ => pause,
    });
    tokio::time::timeout(patience.total, attempts).await.unwrap_or(Err(SlackError::Timeout))
}

/// What slack-morphism's error means. Its texts hold Slack's whole answer, so none of them goes on.
fn judge(error: &SlackClientError) -> Result<(), SlackError> {
    Err(match error {
        // Slack's own word for it; without a content type it is taken for JSON that cannot be read.
        SlackClientError::ProtocolError(error) if error.json_body.as_deref().map(str::trim) == Some("ok") => {
            return Ok(());
        }
        SlackClientError::RateLimitError(error) => SlackError::RateLimited { retry_after: error.retry_after },
        SlackClientError::HttpError(error) => {
            let status = error.status_code.as_u16();
            match status {
                500..=599 => SlackError::Failing { status },
                404 | 410 => SlackError::Revoked,
                // `invalid_token`: the path is not the one that Slack gave out.
                403 if error.http_response_body.as_deref() == Some("invalid_token") => SlackError::Revoked,
                _ => SlackError::Refused { status },
            }
        }
        SlackClientError::HttpProtocolError(error) => {
            match error.cause.as_deref().and_then(|cause| cause.downcast_ref::<HttpError>()) {
                Some(cause) if cause.is_connect() => SlackError::Unreachable { cause: innermost(cause) },
                _ => SlackError::Broken,
            }
        }
        _ => SlackError::Unclear,
    })
}

/// The first cause of a failed connection, such as `Connection refused`. It knows the host and never the path.
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
