//! Why Slack did not take something, and what to do.
//!
//! In: slack-morphism's error. Out: a [`SlackError`]. slack-morphism's texts hold Slack's whole answer, so none of them goes on.

use std::error::Error;
use std::time::Duration;

use hyper_util::client::legacy::Error as HttpError;
use slack_morphism::errors::SlackClientError;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SlackError {
    #[error("the address of Slack is no https address: mend BILLRECON_SLACK_WEBHOOK_URL or slack.api_base")]
    NoAddress,
    #[error("the message that was kept is no message for Slack")]
    NoMessage,
    #[error("no certificates of this machine can be read ({0}): install ca-certificates")]
    NoCertificates(String),
    #[error("Slack no longer knows the webhook: make a new one and set BILLRECON_SLACK_WEBHOOK_URL")]
    Revoked,
    #[error("Slack does not take the bot's token ({0}): set BILLRECON_SLACK_BOT_TOKEN to one that is valid")]
    NoToken(String),
    #[error("the bot may not post to slack.channel ({0}): invite it, or mend the channel's id")]
    NoChannel(String),
    #[error("the bot lacks a scope: it needs chat:write, and files:write for the files")]
    NoScope,
    #[error("the message that was to be changed is gone")]
    Gone,
    #[error("Slack refused the message with status {status}")]
    Refused { status: u16 },
    #[error("Slack refused the message: {0}")]
    NotTaken(String),
    #[error("Slack answered something that is no answer of its own")]
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
    #[error("{file} cannot be read: {cause}")]
    NoFile { file: String, cause: String },
}

fn wait(retry_after: Option<Duration>) -> String {
    retry_after.map_or_else(String::new, |pause| format!(" for {} s", pause.as_secs()))
}

impl SlackError {
    /// Whether it tells of this message only, so that another one may well arrive.
    pub fn is_of_one_message(&self) -> bool {
        matches!(self, Self::NoMessage | Self::Refused { .. } | Self::NotTaken(_) | Self::NoFile { .. })
    }

    /// Whether another day will not change it, unless a person changes something.
    pub fn is_lasting(&self) -> bool {
        matches!(
            self,
            Self::NoScope | Self::NotTaken(_) | Self::Refused { .. } | Self::NoFile { .. } | Self::NoAddress
        )
    }

    /// Whether another try may do better, and the message has not arrived by Slack's own word.
    pub(super) fn passes(&self) -> bool {
        matches!(self, Self::Failing { .. } | Self::RateLimited { .. } | Self::Unreachable { .. })
    }

    /// What slack-morphism's error means.
    pub(super) fn of(error: &SlackClientError) -> Self {
        match error {
            SlackClientError::ApiError(error) => Self::of_code(&error.code),
            SlackClientError::RateLimitError(error) => Self::RateLimited { retry_after: error.retry_after },
            SlackClientError::HttpError(error) => {
                let status = error.status_code.as_u16();
                match status {
                    500..=599 => Self::Failing { status },
                    404 | 410 => Self::Revoked,
                    // `invalid_token`: the path is not the one that Slack gave out.
                    403 if error.http_response_body.as_deref() == Some("invalid_token") => Self::Revoked,
                    _ => Self::Refused { status },
                }
            }
            SlackClientError::HttpProtocolError(error) => {
                match error.cause.as_deref().and_then(|cause| cause.downcast_ref::<HttpError>()) {
                    Some(cause) if cause.is_connect() => Self::Unreachable { cause: innermost(cause) },
                    _ => Self::Broken,
                }
            }
            _ => Self::Unclear,
        }
    }

    /// Slack's word of a method of its Web API, which comes with status 200.
    fn of_code(code: &str) -> Self {
        let is_word = !code.is_empty() && code.len() <= 64;
        let is_word = is_word && code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        let word = if is_word { code.to_owned() } else { "an unknown word".to_owned() };
        match code {
            "invalid_auth"
            | "not_authed"
            | "account_inactive"
            | "token_revoked"
            | "token_expired"
            | "not_allowed_token_type"
            | "no_permission" => Self::NoToken(word),
            "missing_scope" => Self::NoScope,
            "channel_not_found" | "not_in_channel" | "is_archived" | "restricted_action" => {
                Self::NoChannel(word)
            }
            "message_not_found" | "cant_update_message" | "edit_window_closed" | "thread_not_found" => {
                Self::Gone
            }
            "ratelimited" | "rate_limited" => Self::RateLimited { retry_after: None },
            "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout" => {
                Self::Failing { status: 200 }
            }
            _ => Self::NotTaken(word),
        }
    }
}

/// The first cause of a failed connection, such as `Connection refused`. It knows the host and never the path.
fn innermost(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}
