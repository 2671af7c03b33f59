//! Whether Slack knows us, without a message.
//!
//! In: a destination. Out: nothing, or a [`SlackError`]. A bot asks who it is (`auth.test`, which needs no scope). A webhook gets a body
//! without a text: Slack refuses that with 400 where it knows the webhook, and with 403 or 404 where it does not. Nothing is posted.

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::json;
use slack_morphism::prelude::*;

use crate::notify::slack::wire::Wire;
use crate::notify::slack::{Destination, SlackError};

/// Of an answer nothing is read but that it is there.
#[derive(Deserialize)]
struct Done {}

pub async fn probe(destination: &Destination) -> Result<(), SlackError> {
    match destination {
        Destination::Bot(bot) => {
            let token = SlackApiToken::new(bot.token.expose_secret().into());
            let answer = Wire::to(&bot.api_base)?.call::<_, Done>(&token, "auth.test", &json!({})).await;
            answer.map(drop).map_err(|error| SlackError::of(&error))
        }
        Destination::Webhook(webhook) => of_webhook(webhook).await,
    }
}

async fn of_webhook(webhook: &SecretString) -> Result<(), SlackError> {
    let address = webhook.expose_secret();
    let url = address.parse().map_err(|_| SlackError::NoAddress)?;
    let nothing = SlackApiPostWebhookMessageRequest::new(SlackMessageContent::new());
    let answer = Wire::to(address)?.webhook(&url, &nothing).await;
    match answer.map_err(|error| SlackError::of(&error)) {
        Ok(()) | Err(SlackError::Refused { status: 400 } | SlackError::Unclear) => Ok(()),
        Err(error) => Err(error),
    }
}
