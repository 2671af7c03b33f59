//! Slack, through an incoming webhook or a bot.
//!
//! In: a [`Notice`](crate::notify::Notice), later the body that was made of it. Out: a message in the channel, or a
//! [`SlackError`] that never shows the webhook or the token. A body can be kept and posted another day.

mod bot;
mod error;
mod patience;
mod probe;
mod render;
mod text;
mod thread;
mod webhook;
mod wire;

use secrecy::SecretString;

pub use bot::{Bot, Place};
pub use error::SlackError;
pub use patience::Patience;
pub use probe::probe;
pub use render::{SlackBody, render};
pub use thread::{again, details};
pub use webhook::{post, post_within};

/// Where messages go.
#[derive(Clone, Debug)]
pub enum Destination {
    /// One channel; no threads, no files, no changes afterwards.
    Webhook(SecretString),
    Bot(Bot),
}
