//! The audit log and what it must agree with: import receipts, catalogs, runs. Rows that are only ever added.
//!
//! In: events. Out: rows chained by hash; and for an auditor what the log has to tell of. Guards the chain against two writers
//! at once: the position is the key, and PostgreSQL takes a transaction-level lock first. Never changes a row; triggers in the
//! database refuse it too.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::domain::audit::{AuditEvent, AuditRow};
use crate::domain::period::Period;
use crate::domain::proof::RecordSum;
use crate::store::books::rules::word;
use crate::store::books::runs::period;
use crate::store::books::{BooksAppend, BooksView, BooksWrite, RunState};
use crate::store::connection::Tx;
use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::ledger::Receipt;
use crate::store::row::Row;

/// The key of the advisory lock: any number that nothing else in the database uses.
const LOCK: &str = "SELECT pg_advisory_xact_lock(7203466011554128)::text";

/// What a person said about a run that they had verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approval {
    pub run_id: String,
    pub recorded_at: Timestamp,
    pub by: String,
    pub note: String,
    pub os_user: String,
}

/// The details of a row by name; none where they are not what was written.
pub fn details(row: &AuditRow) -> BTreeMap<String, String> {
    serde_json::from_str(&row.details).unwrap_or_default()
}

impl Approval {
    /// `None`: the row is about something else.
    pub fn of(row: &AuditRow) -> Option<Self> {
        let mut details = (row.event == "run_approved").then(|| details(row))?;
        let mut take = |name| details.remove(name).unwrap_or_default();
        let (by, note, os_user) = (take("by"), take("note"), take("os_user"));
        Some(Self { run_id: row.run_id.clone(), recorded_at: row.recorded_at, by, note, os_user })
    }
}

/// A run as far as its files are concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunFiles {
    pub run_id: String,
    pub period: Period,
    pub state: RunState,
    /// Empty until its files are written.
    pub manifest_sha256: String,
}

/// A catalog as it was imported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CatalogVersion {
    pub version: i64,
    pub catalog_hash: String,
    pub body: String,
    pub recorded_at: Timestamp,
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
    /// `sum` is that of the records which were accepted.
    pub async fn receipt(
        &mut self,
        receipt: &Receipt,
        sum: RecordSum,
        now: Timestamp,
    ) -> Result<(), StoreError> {
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
            file: receipt.file.clone(),
            read: receipt.read,
            accepted: receipt.accepted,
            duplicate: receipt.duplicate,
            quarantined: receipt.quarantined,
            records_sum: sum.sum(),
        };
        append(&mut self.tx, &event, "", now).await
    }
}

impl BooksView {
    /// All rows, oldest first.
    pub async fn audit_log(&mut self) -> Result<Vec<AuditRow>, StoreError> {
        let sql =
            "SELECT position, recorded_at, run_id, event, details, hash FROM audit_log ORDER BY position";
        self.tx.fetch_map(sql, Vec::new(), audit_of).await
    }

    /// Where the log ends: position and hash of its last row.
    pub async fn audit_head(&mut self) -> Result<Option<(i64, String)>, StoreError> {
        last(&mut self.tx).await
    }

    /// All approvals, oldest first.
    pub async fn approvals(&mut self) -> Result<Vec<Approval>, StoreError> {
        let sql = "SELECT position, recorded_at, run_id, event, details, hash FROM audit_log
            WHERE event = 'run_approved' ORDER BY position";
        let rows = self.tx.fetch_map(sql, Vec::new(), audit_of).await?;
        Ok(rows.iter().filter_map(Approval::of).collect())
    }

    /// The manifest of the set of files that was written before this run's, of the same period. The log says so for good: what
    /// is written later never changes it.
    pub async fn manifest_before(
        &mut self,
        period: Period,
        run_id: &str,
    ) -> Result<Option<String>, StoreError> {
        let sql = "SELECT position, recorded_at, run_id, event, details, hash FROM audit_log
            WHERE event = 'reports_written' AND run_id IN (SELECT run_id FROM runs WHERE period = ?) ORDER BY position";
        let written = self.tx.fetch_map(sql, vec![period.to_string().into()], audit_of).await?;
        let before = written.iter().take_while(|row| row.run_id != run_id).last();
        Ok(before.and_then(|row| details(row).remove("manifest_sha256")))
    }

    /// The runs that closed windows.
    pub async fn closing_runs(&mut self) -> Result<BTreeSet<String>, StoreError> {
        let sql = "SELECT DISTINCT run_id FROM billing_windows WHERE status = 'closed'";
        Ok(self.tx.fetch_map(sql, Vec::new(), |mut row| row.text()).await?.into_iter().collect())
    }

    /// All receipts, each with the instant at which it was written.
    pub async fn receipts(&mut self) -> Result<Vec<(Receipt, Timestamp)>, StoreError> {
        let sql = "SELECT receipt, file, records_read, accepted, duplicate, quarantined, recorded_at
            FROM import_receipts ORDER BY recorded_at, receipt";
        let receipt = |mut row: Row| {
            let receipt = Receipt {
                receipt: row.text()?,
                file: row.text()?,
                read: row.count()?,
                accepted: row.count()?,
                duplicate: row.count()?,
                quarantined: row.count()?,
            };
            Ok((receipt, row.instant()?))
        };
        self.tx.fetch_map(sql, Vec::new(), receipt).await
    }

    /// All catalogs, oldest first.
    pub async fn catalog_versions(&mut self) -> Result<Vec<CatalogVersion>, StoreError> {
        let sql = "SELECT version, catalog_hash, body, recorded_at FROM catalog_versions ORDER BY version";
        let version = |mut row: Row| {
            Ok(CatalogVersion {
                version: row.integer()?,
                catalog_hash: row.text()?,
                body: row.text()?,
                recorded_at: row.instant()?,
            })
        };
        self.tx.fetch_map(sql, Vec::new(), version).await
    }

    /// All runs in any state, oldest first.
    pub async fn run_files(&mut self) -> Result<Vec<RunFiles>, StoreError> {
        let sql = "SELECT run_id, period, state, manifest_sha256 FROM runs ORDER BY fence, period, run_id";
        let run = |mut row: Row| {
            Ok(RunFiles {
                run_id: row.text()?,
                period: period(&row.text()?)?,
                state: word(&row.text()?, RunState::parse)?,
                manifest_sha256: row.text()?,
            })
        };
        self.tx.fetch_map(sql, Vec::new(), run).await
    }
}

fn audit_of(mut row: Row) -> Result<AuditRow, StoreError> {
    Ok(AuditRow {
        position: row.integer()?,
        recorded_at: row.instant()?,
        run_id: row.text()?,
        event: row.text()?,
        details: row.text()?,
        hash: row.text()?,
    })
}

async fn last(tx: &mut Tx) -> Result<Option<(i64, String)>, StoreError> {
    let sql = "SELECT position, hash FROM audit_log ORDER BY position DESC LIMIT 1";
    let row = tx.fetch(sql, Vec::new()).await?.pop();
    row.map(|mut row| Ok((row.integer()?, row.text()?))).transpose()
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
    let (position, before) = last(tx).await?.map_or((1, String::new()), |(last, hash)| (last + 1, hash));
    let details = serde_json::to_string(&event.details())
        .map_err(|error| StoreError::inconsistent("an event", error))?;
    let row = AuditRow {
        position,
        recorded_at: now,
        run_id: run_id.to_owned(),
        event: event.name().to_owned(),
        details,
        hash: String::new(),
    };
    let hash = row.follows(&before);
    let sql = "INSERT INTO audit_log (position, recorded_at, run_id, event, details, hash) VALUES (?, ?, ?, ?, ?, ?)";
    let values = vec![
        position.into(),
        now.into(),
        run_id.into(),
        event.name().into(),
        row.details.into(),
        hash.into(),
    ];
    tx.execute(sql, values).await.map(|_| ())
}
