//! The audit log: what happened, to what, by which run, chained by hash.
//!
//! In: an event, the hash of the row before; or the whole log, to be proved. Out: the row's hash; or the first row that
//! does not follow. Never stores anything itself, and never holds a secret: details are ids, counts and hashes, and what
//! people sign with their name.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use crate::domain::parking::{Hold, Release};
use crate::domain::period::{Period, Window};
use crate::domain::proof::ClosedRecords;
use crate::domain::tenant::ParkReason;

/// One thing worth remembering for years.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditEvent {
    CatalogImported {
        catalog_hash: String,
    },
    TenantsImported {
        tenants: u64,
        rows: u64,
    },
    /// `records_sum` is the [`RecordSum`](crate::domain::proof::RecordSum) of what was accepted.
    UsageImported {
        receipt: String,
        file: String,
        read: u64,
        accepted: u64,
        duplicate: u64,
        quarantined: u64,
        records_sum: String,
    },
    LeaseTakenOver {
        holder: String,
        from: String,
    },
    /// `verdict` is empty where nothing was judged; `records` proves every row that the run wrote for good.
    RunCommitted {
        period: Period,
        status: String,
        closed: u64,
        parked: u64,
        verdict: String,
        records: ClosedRecords,
    },
    RunAbandoned {
        period: Period,
    },
    ReportsWritten {
        period: Period,
        manifest_sha256: String,
    },
    /// Usage came after its windows were closed.
    UsageAdjusted {
        period: Period,
        adjustments: u64,
        records: u64,
    },
    /// `os_user` is who typed it by the operating system's word, `by` whom they named.
    RunApproved {
        period: Period,
        /// Of the period when the run had ended: a partial one can be approved, and it is said.
        status: String,
        manifest_sha256: String,
        by: String,
        note: String,
        os_user: String,
    },
    /// `None`: in every period.
    TenantHeld {
        tenant_id: String,
        period: Option<Period>,
        by: String,
        note: String,
    },
    /// An empty tenant stands for the whole period.
    TenantReleased {
        tenant_id: String,
        period: Option<Period>,
        window: Option<Window>,
        reason: ParkReason,
        by: String,
        note: String,
    },
    LeaseUnlocked {
        holder: String,
        fence: i64,
        by: String,
    },
}

impl AuditEvent {
    /// A tenant is set aside, or no longer.
    pub fn of_hold(hold: &Hold, goes_on: bool) -> Self {
        let Hold { tenant_id, period, word } = hold.clone();
        if goes_on {
            return Self::TenantHeld { tenant_id, period, by: word.by, note: word.note };
        }
        let (window, reason) = (None, ParkReason::Held);
        Self::TenantReleased { tenant_id, period, window, reason, by: word.by, note: word.note }
    }

    pub fn of_release(release: &Release) -> Self {
        let Release { period, window, reason, word } = release.clone();
        let (tenant_id, window) =
            window.map(|(tenant_id, window)| (tenant_id, Some(window))).unwrap_or_default();
        Self::TenantReleased { tenant_id, period: Some(period), window, reason, by: word.by, note: word.note }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Self::CatalogImported { .. } => "catalog_imported",
            Self::TenantsImported { .. } => "tenants_imported",
            Self::UsageImported { .. } => "usage_imported",
            Self::LeaseTakenOver { .. } => "lease_taken_over",
            Self::RunCommitted { .. } => "run_committed",
            Self::RunAbandoned { .. } => "run_abandoned",
            Self::ReportsWritten { .. } => "reports_written",
            Self::UsageAdjusted { .. } => "usage_adjusted",
            Self::RunApproved { .. } => "run_approved",
            Self::TenantHeld { .. } => "tenant_held",
            Self::TenantReleased { .. } => "tenant_released",
            Self::LeaseUnlocked { .. } => "lease_unlocked",
        }
    }

    /// The details by name, sorted, so that their text is the same wherever it is made.
    pub fn details(&self) -> BTreeMap<&'static str, String> {
        match self {
            Self::CatalogImported { catalog_hash } => [("catalog_hash", catalog_hash.clone())].into(),
            Self::TenantsImported { tenants, rows } => {
                [("tenants", tenants.to_string()), ("rows", rows.to_string())].into()
            }
            Self::UsageImported { receipt, file, read, accepted, duplicate, quarantined, records_sum } => [
                ("receipt", receipt.clone()),
                ("file", file.clone()),
                ("records_sum", records_sum.clone()),
                ("read", read.to_string()),
                ("accepted", accepted.to_string()),
                ("duplicate", duplicate.to_string()),
                ("quarantined", quarantined.to_string()),
            ]
            .into(),
            Self::LeaseTakenOver { holder, from } => {
                [("holder", holder.clone()), ("from", from.clone())].into()
            }
            Self::RunCommitted { period, status, closed, parked, verdict, records } => [
                ("period", period.to_string()),
                ("status", status.clone()),
                ("closed", closed.to_string()),
                ("parked", parked.to_string()),
                ("verdict", verdict.clone()),
                ("records", records.to_string()),
            ]
            .into(),
            Self::RunAbandoned { period } => [("period", period.to_string())].into(),
            Self::ReportsWritten { period, manifest_sha256 } => {
                [("period", period.to_string()), ("manifest_sha256", manifest_sha256.clone())].into()
            }
            Self::UsageAdjusted { period, adjustments, records } => [
                ("period", period.to_string()),
                ("adjustments", adjustments.to_string()),
                ("records", records.to_string()),
            ]
            .into(),
            Self::RunApproved { period, status, manifest_sha256, by, note, os_user } => [
                ("period", period.to_string()),
                ("status", status.clone()),
                ("manifest_sha256", manifest_sha256.clone()),
                ("by", by.clone()),
                ("note", note.clone()),
                ("os_user", os_user.clone()),
            ]
            .into(),
            Self::TenantHeld { tenant_id, period, by, note } => [
                ("tenant_id", tenant_id.clone()),
                ("period", period.map(|period| period.to_string()).unwrap_or_default()),
                ("by", by.clone()),
                ("note", note.clone()),
            ]
            .into(),
            Self::TenantReleased { tenant_id, period, window, reason, by, note } => [
                ("tenant_id", tenant_id.clone()),
                ("period", period.map(|period| period.to_string()).unwrap_or_default()),
                ("window_start", window.map(|window| window.start.to_string()).unwrap_or_default()),
                ("window_end", window.map(|window| window.end.to_string()).unwrap_or_default()),
                ("reason", reason.as_str().to_owned()),
                ("by", by.clone()),
                ("note", note.clone()),
            ]
            .into(),
            Self::LeaseUnlocked { holder, fence, by } => {
                [("holder", holder.clone()), ("fence", fence.to_string()), ("by", by.clone())].into()
            }
        }
    }
}

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

impl AuditRow {
    /// What its hash has to be after the row with this one.
    pub fn follows(&self, before: &str) -> String {
        let at = self.recorded_at.as_nanosecond().to_string();
        chain(before, &[&self.position.to_string(), &at, &self.run_id, &self.event, &self.details])
    }
}

/// The first row that does not follow from the row before it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainFault {
    #[error("audit_log: the row at position {0} is missing: the next one there is at {1}")]
    Missing(i64, i64),
    #[error(
        "audit_log: the row at position {0} was changed: its recorded_at, run_id, event and details, after the row \
         before it, do not make its hash"
    )]
    Changed(i64),
}

/// Proves a log, given in the order of its positions: none is left out, and each hash follows from the row before.
pub fn prove_chain<'a>(log: impl IntoIterator<Item = &'a AuditRow>) -> Result<(), ChainFault> {
    let mut before = "";
    for (position, row) in (1i64..).zip(log) {
        if row.position != position {
            return Err(ChainFault::Missing(position, row.position));
        }
        if row.follows(before) != row.hash {
            return Err(ChainFault::Changed(position));
        }
        before = &row.hash;
    }
    Ok(())
}

/// Hash of a row over the hash before it and its own columns, each with its length so that no two rows of different
/// columns have the same text.
pub fn chain(before: &str, columns: &[&str]) -> String {
    let mut hash = Sha256::new();
    for column in std::iter::once(&before).chain(columns) {
        hash.update((column.len() as u64).to_be_bytes());
        hash.update(column.as_bytes());
    }
    hex(&hash.finalize())
}

/// SHA-256 of bytes as lower-case hex.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hex of a digest.
pub fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn log() -> Vec<AuditRow> {
        let mut log: Vec<AuditRow> = Vec::new();
        for position in 1..=4 {
            let row = AuditRow {
                position,
                recorded_at: Timestamp::from_nanosecond(1_700_000_000_000_000_000 + i128::from(position))
                    .unwrap(),
                run_id: format!("r-{position}"),
                event: "reports_written".to_owned(),
                details: format!("{{\"period\":\"2026-0{position}\"}}"),
                hash: String::new(),
            };
            let before = log.last().map_or("", |row| row.hash.as_str());
            log.push(AuditRow { hash: row.follows(before), ..row });
        }
        log
    }

    #[test]
    fn a_row_hash_changes_with_every_column_and_with_the_row_before() {
        let row = chain("", &["1", "usage_imported"]);
        assert_ne!(row, chain("", &["1u", "sage_imported"]));
        assert_ne!(row, chain("0", &["1", "usage_imported"]));
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    #[test]
    fn a_missing_row_is_named_and_a_missing_end_is_not_seen_from_inside() {
        let mut gone = log();
        gone.remove(1);
        assert_eq!(prove_chain(&gone), Err(ChainFault::Missing(2, 3)));
        assert_eq!(prove_chain(&log()[1..]), Err(ChainFault::Missing(1, 2)));
        assert_eq!(prove_chain(&log()[..3]), Ok(()));
    }

    #[test]
    fn a_swapped_pair_is_named() {
        let mut swapped = log();
        swapped.swap(1, 2);
        assert_eq!(prove_chain(&swapped), Err(ChainFault::Missing(2, 3)));
        (swapped[1].position, swapped[2].position) = (2, 3);
        assert_eq!(prove_chain(&swapped), Err(ChainFault::Changed(2)));
    }

    proptest! {
        #[test]
        fn one_other_character_anywhere_in_a_row_is_named(
            row in 0usize..4, column in 0usize..5, at in any::<prop::sample::Index>(), by in 1u8..=9,
        ) {
            let mut log = log();
            let one = &mut log[row];
            let other = |text: &mut String| {
                let mut bytes = text.clone().into_bytes();
                let at = at.index(bytes.len());
                bytes[at] = if bytes[at].is_ascii_digit() { b'0' + (bytes[at] - b'0' + by) % 10 } else { b'0' + by };
                *text = String::from_utf8(bytes).unwrap();
            };
            match column {
                0 => one.recorded_at += jiff::SignedDuration::from_nanos(by.into()),
                1 => other(&mut one.run_id),
                2 => other(&mut one.event),
                3 => other(&mut one.details),
                _ => other(&mut one.hash),
            }
            prop_assert_eq!(prove_chain(&log), Err(ChainFault::Changed(i64::try_from(row).unwrap() + 1)));
        }
    }
}
