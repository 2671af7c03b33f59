//! Posting a body to an incoming webhook.
//!
//! In: the webhook's address and a body that [`render`](super::render()) made. Out: nothing, or a [`SlackError`]. The address is a
//! secret: neither it nor anything that holds it is ever shown.

use secrecy::{ExposeSecret, SecretString};
use slack_morphism::errors::SlackClientError;
use slack_morphism::prelude::*;

use crate::notify::slack::wire::Wire;
use crate::notify::slack::{Patience, SlackError};

/// Posts a body as it was rendered.
pub async fn post(webhook: &SecretString, json: &str) -> Result<(), SlackError> {
    post_within(webhook, json, &Patience::default()).await
}

pub async fn post_within(webhook: &SecretString, json: &str, patience: &Patience) -> Result<(), SlackError> {
    let request: SlackApiPostWebhookMessageRequest =
        serde_json::from_str(json).map_err(|_| SlackError::NoMessage)?;
    let address = webhook.expose_secret();
    let wire = Wire::to(address)?;
    let url = address.parse().map_err(|_| SlackError::NoAddress)?;
    let attempt = || async { wire.webhook(&url, &request).await.or_else(|error| judge(&error)) };
    patience.tries(attempt).await
}

fn judge(error: &SlackClientError) -> Result<(), SlackError> {
    match error {
        // Slack's own word for it; without a content type it is taken for JSON that cannot be read.
        SlackClientError::ProtocolError(error) if error.json_body.as_deref().map(str::trim) == Some("ok") => {
            Ok(())
        }
        // A webhook has no words of the Web API.
        SlackClientError::ApiError(_) => Err(SlackError::Unclear),
        error => Err(SlackError::of(error)),
    }
}
