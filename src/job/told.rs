//! What is told of one period: its message and its alerts, in one transaction with what they tell.
//!
//! In: a plan, the books. Out: rows of the outbox. Never sends.

use std::path::Path;

use jiff::Timestamp;

use crate::domain::policy::Policy;
use crate::job::message::{self, Message};
use crate::job::plan::PeriodPlan;
use crate::job::{Settings, alert};
use crate::store::books::{BooksWrite, OutboxMessage};
use crate::store::{Books, StoreError};

#[derive(Debug)]
pub struct Told {
    pub verdict: Option<Message>,
    alerts: Vec<OutboxMessage>,
    /// What was told after this is not told again.
    since: Timestamp,
}

impl Told {
    /// `of_run`: its id, its mode and the folder of its files.
    pub async fn of_plan(
        plan: &PeriodPlan,
        of_run: (&str, &str, &Path),
        settings: &Settings,
        policy: &Policy,
        books: &Books,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let before = books.snapshot().await?.last_said().await?;
        let verdict = message::of_plan(plan, of_run, settings, before)?;
        let alerts = alert::of_plan(plan, of_run, settings, policy, verdict.is_some());
        Ok(Self { verdict, alerts, since: settings.told_since(now) })
    }

    pub async fn write(&self, write: &mut BooksWrite, now: Timestamp) -> Result<(), StoreError> {
        if let Some(message) = self.verdict.as_ref().filter(|message| message.is_posted) {
            write.add_message(&message.outbox, now).await?;
        }
        for alert in &self.alerts {
            write.add_alert(alert, self.since, now).await?;
        }
        Ok(())
    }
}
