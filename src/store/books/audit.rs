//! The audit log and the import receipts: rows that are only ever added.
//!
//! In: events. Out: rows chained by hash. Guards the chain against two writers at once: the position is the key, and
//! PostgreSQL takes a transaction-level lock first. Never changes a row; triggers in the database refuse it too.

use jiff::Timestamp;

use crate::domain::audit::{AuditEvent, chain};
use crate::store::books::{BooksAppend, BooksView, BooksWrite};
use crate::store::connection::{Tx, nanoseconds};
use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::ledger::Receipt;

/// The key of the advisory lock: any number that nothing else in the database uses.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7203466011554128)::text";

/// One row of `audit_log`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    pub position: i64,
    pub recorded_at: Timestamp,
    pub run_id: String,
    pub event: String,
    /// JSON object of strings.
    pub details: String,
    pub hash: String,
}

impl BooksWrite {
    /// `run_id` is empty for what no run has done.
    pub async fn audit(
        &mut self,
        event: &AuditEvent,
        run_id: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        append(&mut self.tx, event, run_id, now).await
    }
}

impl BooksAppend {
    pub async fn receipt(&mut self, receipt: &Receipt, now: Timestamp) -> Result<(), StoreError> {
        let sql = "INSERT INTO import_receipts
            (receipt, file, recorded_at, records_read, accepted, duplicate, quarantined) VALUES (?, ?, ?, ?, ?, ?, ?)";
        let values = vec![
            receipt.receipt.as_str().into(),
            receipt.file.as_str().into(),
            now.into(),
            receipt.read.into(),
            receipt.accepted.into(),
            receipt.duplicate.into(),
            receipt.quarantined.into(),
        ];
        self.tx.execute(sql, values).await?;
        let event = AuditEvent::UsageImported {
            receipt: receipt.receipt.clone(),
            read: receipt.read,
            accepted: receipt.accepted,
            duplicate: receipt.duplicate,
            quarantined: receipt.quarantined,
        };
        append(&mut self.tx, &event, "", now).await
    }
}

impl BooksView {
    /// All rows, oldest first.
    pub async fn audit_log(&mut self) -> Result<Vec<AuditRow>, StoreError> {
        let sql =
            "SELECT position, recorded_at, run_id, event, details, hash FROM audit_log ORDER BY position";
        let rows = self.tx.fetch(sql, Vec::new()).await?;
        rows.into_iter()
            .map(|mut row| {
                Ok(AuditRow {
                    position: row.integer()?,
                    recorded_at: row.instant()?,
                    run_id: row.text()?,
                    event: row.text()?,
                    details: row.text()?,
                    hash: row.text()?,
                })
            })
            .collect()
    }
}

pub(in crate::store::books) async fn append(
    tx: &mut Tx,
    event: &AuditEvent,
    run_id: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    if tx.dialect() == Dialect::Postgres {
        tx.fetch(LOCK, Vec::new()).await?;
    }
    let last = "SELECT position, hash FROM audit_log ORDER BY position DESC LIMIT 1";
    let (position, before) = match tx.fetch(last, Vec::new()).await?.pop() {
        Some(mut row) => (row.integer()? + 1, row.text()?),
        None => (1, String::new()),
    };
    let details = serde_json::to_string(&event.details())
        .map_err(|error| StoreError::inconsistent("an event", error))?;
    let at = nanoseconds(now).to_string();
    let hash = chain(&before, &[&position.to_string(), &at, run_id, event.name(), &details]);
    let sql = "INSERT INTO audit_log (position, recorded_at, run_id, event, details, hash) VALUES (?, ?, ?, ?, ?, ?)";
    let values =
        vec![position.into(), now.into(), run_id.into(), event.name().into(), details.into(), hash.into()];
    tx.execute(sql, values).await.map(|_| ())
}
