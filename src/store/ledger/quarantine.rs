//! Quarantine: lines that are not in the ledger, with the reason.
//!
//! In: lines that an import set aside, records that were accepted in a mended form. Out: counts of what waits for a person. Never
//! removes a line.

use jiff::Timestamp;

use crate::domain::report::QuarantineCount;
use crate::domain::usage::{QuarantinedLine, UsageRecord};
use crate::store::connection::Value;
use crate::store::error::StoreError;
use crate::store::ledger::{LedgerBatch, LedgerSnapshot};

impl LedgerBatch {
    /// Sets lines aside; a line that is there already stays as it is.
    pub async fn quarantine(
        &mut self,
        lines: Vec<QuarantinedLine>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let columns = &[
            "body_hash",
            "reason",
            "detail",
            "tenant_id",
            "source_event_id",
            "meter",
            "period",
            "file",
            "line",
            "body",
            "recorded_at",
        ];
        let rows = lines.into_iter().map(|line| {
            vec![
                line.body_hash.into(),
                line.reason.as_str().into(),
                line.detail.into(),
                line.tenant_id.into(),
                line.source_event_id.into(),
                line.meter.into(),
                line.period.into(),
                line.file.into(),
                line.line.into(),
                line.body.into(),
                now.into(),
            ]
        });
        self.tx.insert("quarantine", columns, rows, "ON CONFLICT DO NOTHING").await.map(|_| ())
    }

    /// Marks quarantined lines whose record has been accepted in a mended form. A conflict stays: its id was taken
    /// all along, and only a person can say which body is right.
    pub async fn resolve_quarantine(
        &mut self,
        accepted: &[&UsageRecord],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let keys = accepted.iter().map(|record| {
            vec![Value::from(record.tenant_id.as_str()), Value::from(record.source_event_id.as_str())]
        });
        let sql = "SELECT tenant_id, source_event_id FROM quarantine
            WHERE resolved_at IS NULL AND reason <> 'conflict' AND (tenant_id, source_event_id) IN (VALUES";
        for mut row in self.tx.for_keys(sql, keys.collect()).await? {
            let sql = "UPDATE quarantine SET resolved_at = ?
                WHERE tenant_id = ? AND source_event_id = ? AND resolved_at IS NULL AND reason <> 'conflict'";
            self.tx.execute(sql, vec![now.into(), row.text()?.into(), row.text()?.into()]).await?;
        }
        Ok(())
    }
}

impl LedgerSnapshot {
    /// How many quarantined lines wait for a person.
    pub async fn open_quarantine(&mut self) -> Result<u64, StoreError> {
        let rows =
            self.tx.fetch("SELECT COUNT(*) FROM quarantine WHERE resolved_at IS NULL", Vec::new()).await?;
        rows.into_iter().next().map_or(Ok(0), |mut row| row.count())
    }

    /// Unresolved quarantined lines of a period, counted.
    pub async fn quarantine(&mut self, period: &str) -> Result<Vec<QuarantineCount>, StoreError> {
        let sql = "SELECT tenant_id, meter, reason, COUNT(*) FROM quarantine
            WHERE period = ? AND resolved_at IS NULL GROUP BY tenant_id, meter, reason";
        let rows = self.tx.fetch(sql, vec![period.into()]).await?;
        rows.into_iter()
            .map(|mut row| {
                Ok(QuarantineCount {
                    tenant_id: row.text()?,
                    meter: row.text()?,
                    reason: row.text()?,
                    records: row.count()?,
                })
            })
            .collect()
    }
}
