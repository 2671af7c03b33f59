//! Slack: whether it knows our webhook or bot, and whether messages wait in the outbox.
//!
//! In: settings, whether the database can be read. Out: findings. Nothing is posted: a bot asks who it is, a webhook gets a message
//! without content, which Slack refuses with 400 where it knows the webhook.

use crate::job::Settings;
use crate::job::doctor::{Check, Finding};
use crate::notify::slack::probe;
use crate::store::{Access, StoreError};

pub async fn look(settings: &Settings, is_readable: bool) -> Vec<Finding> {
    let Some(destination) = &settings.slack.destination else { return Vec::new() };
    let mut findings = Vec::new();
    if let Err(error) = probe(destination).await {
        findings.push(Finding::error(
            Check::Slack,
            error.to_string(),
            "docs/slack.md tells how to make a webhook or a bot; until then verdicts wait in the outbox",
        ));
    }
    if is_readable {
        match waiting(settings).await {
            Ok(0) => {}
            Ok(waiting) => findings.push(Finding::warning(
                Check::Outbox,
                format!("{waiting} messages were tried and have not arrived"),
                "the next run tries again; its words on stderr say why Slack did not take them",
            )),
            Err(error) => findings.push(Finding::error(
                Check::DatabaseReach,
                error.to_string(),
                "see that the database runs",
            )),
        }
    }
    findings
}

/// Messages that Slack was asked to take in vain.
async fn waiting(settings: &Settings) -> Result<usize, StoreError> {
    let store = crate::store::Store::open(&settings.database, Access::ReadOnly).await?;
    let unsent = store.books().snapshot().await?.unsent_messages().await?;
    store.close().await;
    Ok(unsent.iter().filter(|one| one.attempts > 0).count())
}
