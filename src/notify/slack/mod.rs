//! Slack, through an incoming webhook.
//!
//! In: a [`VerdictMessage`](crate::notify::VerdictMessage), later the body that was made of it. Out: a message in the
//! channel, or a [`SlackError`] that never shows the webhook. A body can be kept and posted another day.

mod post;
mod render;

pub use post::{Patience, SlackError, post, post_within};
pub use render::{SlackBody, render};
