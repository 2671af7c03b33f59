//! The outbox: messages that were decided on, written with the figures that they speak of and sent afterwards.
//!
//! In: rendered messages. Out: those that have not been sent, how far they have come, and where they stand. Anybody may send
//! what is there, so a sender claims a message first. Never holds an address or a secret.

use jiff::Timestamp;

use crate::store::books::{BooksAppend, BooksView, BooksWrite};
use crate::store::connection::Tx;
use crate::store::error::StoreError;
use crate::store::row::Row;

/// One message, as it will be posted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutboxMessage {
    pub message_id: String,
    /// Empty where no run is concerned.
    pub run_id: String,
    pub topic: String,
    /// What the topic is about: messages with the same one go into one thread.
    pub subject: String,
    /// What makes two alerts the same.
    pub digest: String,
    pub body: String,
    /// For the thread; empty: there are none.
    pub details: String,
    /// For the thread of an earlier message, when this one takes its place.
    pub followup: String,
    /// Where the files are that go into the thread; empty: none do.
    pub folder: String,
}

/// A message that is not sent, or not wholly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsent {
    pub message: OutboxMessage,
    pub attempts: i64,
    /// How many of its parts have arrived.
    pub steps: i64,
    /// Where its first part stands, once a bot has posted it; else empty.
    pub channel: String,
    pub ts: String,
}

impl BooksView {
    /// Oldest first; those of one wake in the order of their periods.
    pub async fn unsent_messages(&mut self) -> Result<Vec<Unsent>, StoreError> {
        let sql = "SELECT outbox.message_id, outbox.run_id, outbox.topic, outbox.subject, outbox.digest, outbox.body,
                outbox.details, outbox.followup, outbox.folder, outbox.attempts, outbox.steps, outbox.channel, outbox.ts
            FROM outbox LEFT JOIN runs ON runs.run_id = outbox.run_id
            WHERE outbox.state = 'planned' ORDER BY outbox.created_at, runs.period, outbox.message_id";
        self.tx.fetch_map(sql, Vec::new(), unsent).await
    }

    /// Channel and place of the newest message of this topic and subject that a bot has posted.
    pub async fn place_of(
        &mut self,
        topic: &str,
        subject: &str,
    ) -> Result<Option<(String, String)>, StoreError> {
        let sql = "SELECT channel, ts FROM outbox WHERE topic = ? AND subject = ? AND ts <> ''
            ORDER BY created_at DESC, message_id DESC LIMIT 1";
        let row = |mut row: Row| Ok((row.text()?, row.text()?));
        Ok(self.tx.fetch_map(sql, vec![topic.into(), subject.into()], row).await?.pop())
    }
}

impl BooksWrite {
    pub async fn add_message(&mut self, message: &OutboxMessage, now: Timestamp) -> Result<(), StoreError> {
        add(&mut self.tx, message, now).await
    }

    pub async fn add_alert(
        &mut self,
        message: &OutboxMessage,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        add_alert(&mut self.tx, message, since, now).await
    }
}

impl BooksAppend {
    pub async fn add_alert(
        &mut self,
        message: &OutboxMessage,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        add_alert(&mut self.tx, message, since, now).await
    }

    /// Whether this sender may try it now: of two that have read the same attempts, one may.
    pub async fn claim_message(&mut self, one: &Unsent) -> Result<bool, StoreError> {
        let sql = "UPDATE outbox SET attempts = attempts + 1
            WHERE message_id = ? AND attempts = ? AND state = 'planned'";
        let values = vec![one.message.message_id.as_str().into(), one.attempts.into()];
        Ok(self.tx.execute(sql, values).await? == 1)
    }

    /// Another part has arrived.
    pub async fn save_steps(&mut self, one: &Unsent) -> Result<(), StoreError> {
        let sql = "UPDATE outbox SET steps = ?, channel = ?, ts = ? WHERE message_id = ?";
        let id = one.message.message_id.as_str().into();
        let values = vec![one.steps.into(), one.channel.as_str().into(), one.ts.as_str().into(), id];
        self.tx.execute(sql, values).await.map(|_| ())
    }

    /// An empty problem says that all of it has arrived; one of a message that is sent, what of it never will.
    pub async fn settle_message(
        &mut self,
        message_id: &str,
        is_sent: bool,
        problem: &str,
    ) -> Result<(), StoreError> {
        let state = if is_sent { "sent" } else { "planned" };
        let sql = "UPDATE outbox SET state = ?, problem = ? WHERE message_id = ?";
        self.tx.execute(sql, vec![state.into(), problem.into(), message_id.into()]).await.map(|_| ())
    }
}

async fn add(tx: &mut Tx, message: &OutboxMessage, now: Timestamp) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO outbox (message_id, run_id, topic, subject, digest, body, details, followup, folder,
            state, created_at, attempts, problem)
        VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'planned', ?, 0, '') ON CONFLICT DO NOTHING";
    let OutboxMessage { message_id, run_id, topic, subject, digest, body, details, followup, folder } =
        message;
    let texts = [message_id, run_id, topic, subject, digest, body, details, followup, folder];
    let values = texts.into_iter().map(|text| text.as_str().into()).chain([now.into()]);
    tx.execute(sql, values.collect()).await.map(|_| ())
}

/// Unless the same was told since then. Two processes that find it out at once give it the same id.
async fn add_alert(
    tx: &mut Tx,
    message: &OutboxMessage,
    since: Timestamp,
    now: Timestamp,
) -> Result<(), StoreError> {
    let OutboxMessage { topic, subject, digest, .. } = message;
    let sql = "SELECT COUNT(*), COALESCE(SUM(CASE WHEN created_at > ? THEN 1 ELSE 0 END), 0)
        FROM outbox WHERE topic = ? AND subject = ? AND digest = ?";
    let values = vec![since.into(), topic.as_str().into(), subject.as_str().into(), digest.as_str().into()];
    let counts = tx.fetch_map(sql, values, |mut row| Ok((row.integer()?, row.integer()?))).await?.pop();
    let (before, lately) = counts.unwrap_or_default();
    if lately > 0 {
        return Ok(());
    }
    let message_id = format!("{topic}/{subject}/{digest}/{before}");
    add(tx, &OutboxMessage { message_id, ..message.clone() }, now).await
}

fn unsent(mut row: Row) -> Result<Unsent, StoreError> {
    let message = OutboxMessage {
        message_id: row.text()?,
        run_id: row.text()?,
        topic: row.text()?,
        subject: row.text()?,
        digest: row.text()?,
        body: row.text()?,
        details: row.text()?,
        followup: row.text()?,
        folder: row.text()?,
    };
    let (attempts, steps) = (row.integer()?, row.integer()?);
    Ok(Unsent { message, attempts, steps, channel: row.text()?, ts: row.text()? })
}
