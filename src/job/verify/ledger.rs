//! The ledger against the sums that its imports left in the audit log.
//!
//! In: all records, once; the log. Out: the import whose records are not those that came, or that all are. Records of an
//! import that died have no receipt and nothing that proves them: they are counted and said. Holds a sum for each import,
//! never the records.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::proof::{Finding, RecordSum};
use crate::domain::tenant::Tenant;
use crate::job::verify::log::Log;
use crate::store::StoreError;
use crate::store::ledger::{LedgerSnapshot, TableName};

/// Tenants that one statement spans.
const TENANTS_PER_PAGE: usize = 1_000;

pub async fn check(
    log: &Log,
    tenants: &[Tenant],
    ledger: &mut LedgerSnapshot,
) -> Result<Finding, StoreError> {
    let mut sums: BTreeMap<Timestamp, RecordSum> = BTreeMap::new();
    // Up to the last tenant of each page, and then whatever is left: records of tenants that are gone lie in between.
    let ends = tenants.chunks(TENANTS_PER_PAGE).filter_map(<[Tenant]>::last).map(Tenant::id);
    let mut after = None;
    for end in ends.map(Some).chain([None]) {
        ledger.add_sums(after, end, &mut sums).await?;
        after = end;
    }
    Ok(judge(log, sums))
}

/// Nothing of it came through an import. What it still says of each closed window is held against the close by the check of
/// the control totals.
pub fn of_own(table: &TableName) -> Finding {
    Finding::NotChecked(format!(
        "usage is read from {table}, which no import has filled: no receipt says what its records were. That it still holds \
         what was closed, control_totals says for each run"
    ))
}

/// Imports of one instant are taken together: their records do not say which of them they came with.
fn judge(log: &Log, mut sums: BTreeMap<Timestamp, RecordSum>) -> Finding {
    let mut imported: BTreeMap<Timestamp, Option<RecordSum>> = BTreeMap::new();
    let mut files: BTreeMap<Timestamp, Vec<String>> = BTreeMap::new();
    for (row, details) in log.imports() {
        let text = |name: &str| details.get(name).map(String::as_str).unwrap_or_default();
        // Earlier versions left no sum.
        let sum = RecordSum::parse(text("accepted"), text("records_sum"));
        let of_instant = imported.entry(row.recorded_at).or_insert_with(|| Some(RecordSum::default()));
        *of_instant = of_instant.zip(sum).map(|(one, other)| one.plus(other));
        files.entry(row.recorded_at).or_default().push(format!("{} ({})", text("receipt"), text("file")));
    }
    let (mut proved, mut unproved) = (0, 0);
    for (at, imported) in imported {
        let now = sums.remove(&at).unwrap_or_default();
        match imported {
            None => unproved += now.records,
            Some(imported) if imported == now => proved += now.records,
            Some(imported) => {
                let receipts = files.remove(&at).unwrap_or_default().join(", ");
                return Finding::Fails(format!(
                    "usage_ledger: the records of import {receipts}, recorded_at {at}, are not those that came: {} \
                     then, {} now{}",
                    imported.records,
                    now.records,
                    if imported.records == now.records { ", one of them changed" } else { "" }
                ));
            }
        }
    }
    let without_receipt: u64 = sums.values().map(|sum| sum.records).sum();
    let mut words = format!("{proved} records are those that were imported");
    if unproved > 0 {
        words = format!("{words}; {unproved} came with an earlier version, which left no sum");
    }
    if without_receipt > 0 {
        words = format!(
            "{words}; {without_receipt} have no receipt, as after an import that was killed: nothing proves them"
        );
    }
    Finding::Holds(words)
}
