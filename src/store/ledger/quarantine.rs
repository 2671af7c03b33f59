//! Quarantine: lines that are not in the ledger, with the reason.
//!
//! In: lines that an import set aside, records that were accepted in a mended form. Out: counts of what waits for a person. Never
//! removes a line. Rows of an own ledger that no import would take are judged where they lie, each time anew.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::domain::catalog::Meter;
use crate::domain::period::{Period, Window};
use crate::domain::report::QuarantineCount;
use crate::domain::usage::{QuarantineReason, QuarantinedLine, UsageRecord};
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

    /// What is set aside of a period, counted.
    pub async fn quarantine(&mut self, of: &SetAside<'_>) -> Result<Vec<QuarantineCount>, StoreError> {
        if self.own.is_some() {
            return self.rows_set_aside(of).await;
        }
        let sql = "SELECT tenant_id, meter, reason, COUNT(*) FROM quarantine
            WHERE period = ? AND resolved_at IS NULL GROUP BY tenant_id, meter, reason";
        let rows = self.tx.fetch(sql, vec![of.period.to_string().into()]).await?;
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

    /// Rows of an own ledger that no import would take. Those without a readable time may belong to any period, so they are
    /// told with each.
    async fn rows_set_aside(&mut self, of: &SetAside<'_>) -> Result<Vec<QuarantineCount>, StoreError> {
        let mut counts: BTreeMap<(String, String, String), u64> = BTreeMap::new();
        for seen in self.own_seen(of.month).await? {
            let reason = if !seen.reason.is_empty() {
                seen.reason
            } else if !of.meters.contains_key(&seen.meter) {
                QuarantineReason::UnknownMeter.as_str().to_owned()
            } else if !of.tenants.contains(seen.tenant_id.as_str()) {
                QuarantineReason::UnknownTenant.as_str().to_owned()
            } else {
                continue;
            };
            *counts.entry((clean(&seen.tenant_id), clean(&seen.meter), reason)).or_default() += seen.records;
        }
        let count =
            |((tenant_id, meter, reason), records)| QuarantineCount { tenant_id, meter, reason, records };
        Ok(counts.into_iter().map(count).collect())
    }
}

/// What is asked for.
pub struct SetAside<'a> {
    pub period: Period,
    /// The period's month in the billing time zone.
    pub month: Window,
    pub tenants: BTreeSet<&'a str>,
    pub meters: &'a BTreeMap<String, Meter>,
}

/// As an import keeps the texts of a line that it sets aside.
fn clean(text: &str) -> String {
    text.chars().map(|one| if one.is_control() { char::REPLACEMENT_CHARACTER } else { one }).collect()
}
