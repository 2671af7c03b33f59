//! The audit log: what happened, to what, by which run, chained by hash.
//!
//! In: an event, the hash of the row before. Out: the row's hash. Never stores anything itself, and never holds a
//! secret: details are ids, counts and hashes, and what people sign with their name.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::domain::period::Period;

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
    UsageImported {
        receipt: String,
        read: u64,
        accepted: u64,
        duplicate: u64,
        quarantined: u64,
    },
    LeaseTakenOver {
        holder: String,
        from: String,
    },
    RunCommitted {
        period: Period,
        status: String,
        closed: u64,
        parked: u64,
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
        reason: String,
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
            Self::UsageImported { receipt, read, accepted, duplicate, quarantined } => [
                ("receipt", receipt.clone()),
                ("read", read.to_string()),
                ("accepted", accepted.to_string()),
                ("duplicate", duplicate.to_string()),
                ("quarantined", quarantined.to_string()),
            ]
            .into(),
            Self::LeaseTakenOver { holder, from } => {
                [("holder", holder.clone()), ("from", from.clone())].into()
            }
            Self::RunCommitted { period, status, closed, parked } => [
                ("period", period.to_string()),
                ("status", status.clone()),
                ("closed", closed.to_string()),
                ("parked", parked.to_string()),
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
            Self::TenantHeld { tenant_id, period, by, note } => [
                ("tenant_id", tenant_id.clone()),
                ("period", period.map(|period| period.to_string()).unwrap_or_default()),
                ("by", by.clone()),
                ("note", note.clone()),
            ]
            .into(),
            Self::TenantReleased { tenant_id, period, reason, by, note } => [
                ("tenant_id", tenant_id.clone()),
                ("period", period.map(|period| period.to_string()).unwrap_or_default()),
                ("reason", reason.clone()),
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

    #[test]
    fn a_row_hash_changes_with_every_column_and_with_the_row_before() {
        let row = chain("", &["1", "usage_imported"]);
        assert_ne!(row, chain("", &["1u", "sage_imported"]));
        assert_ne!(row, chain("0", &["1", "usage_imported"]));
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
