//! The outbox: messages that were decided on, written with the figures that they speak of and sent afterwards.
//!
//! In: a rendered message. Out: those that have not been sent. Never holds an address or a secret.

use jiff::Timestamp;

use crate::store::books::{BooksView, BooksWrite};
use crate::store::error::StoreError;

/// One message, as it will be posted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxMessage {
    pub message_id: String,
    pub run_id: String,
    pub body: String,
}

impl BooksView {
    /// Oldest first; those of one wake in the order of their periods.
    pub async fn unsent_messages(&mut self) -> Result<Vec<OutboxMessage>, StoreError> {
        let sql = "SELECT outbox.message_id, outbox.run_id, outbox.body
            FROM outbox LEFT JOIN runs ON runs.run_id = outbox.run_id
            WHERE outbox.state = 'planned' ORDER BY outbox.created_at, runs.period, outbox.message_id";
        self.tx
            .fetch_map(sql, Vec::new(), |mut row| {
                Ok(OutboxMessage { message_id: row.text()?, run_id: row.text()?, body: row.text()? })
            })
            .await
    }
}

impl BooksWrite {
    pub async fn add_message(&mut self, message: &OutboxMessage, now: Timestamp) -> Result<(), StoreError> {
        let sql = "INSERT INTO outbox (message_id, run_id, body, state, created_at, attempts, problem)
            VALUES (?, ?, ?, 'planned', ?, 0, '') ON CONFLICT DO NOTHING";
        let values = vec![
            message.message_id.as_str().into(),
            message.run_id.as_str().into(),
            message.body.as_str().into(),
            now.into(),
        ];
        self.tx.execute(sql, values).await.map(|_| ())
    }

    /// An empty problem says that it was sent.
    pub async fn settle_message(&mut self, message_id: &str, problem: &str) -> Result<(), StoreError> {
        let state = if problem.is_empty() { "sent" } else { "planned" };
        let sql = "UPDATE outbox SET state = ?, attempts = attempts + 1, problem = ? WHERE message_id = ?";
        self.tx.execute(sql, vec![state.into(), problem.into(), message_id.into()]).await.map(|_| ())
    }
}
