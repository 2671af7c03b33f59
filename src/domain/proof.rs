//! Proof: what an auditor recomputes a year later, and the words for what does not hold.
//!
//! In: rows as text, closed windows, the ledger as it is now. Out: hashes and sums that go into the audit log, and the
//! first fault of each check. Never reads anything itself, and never repairs what it finds.

mod files;
mod person;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ethnum::U256;
use sha2::{Digest, Sha256};

pub use files::{Cells, FileFault, FilesProof};
pub use person::OsUser;

use crate::domain::audit::hex;
use crate::domain::controls::{ControlFault, ControlTotals, Measure};
use crate::domain::figures::{LedgerTotals, WindowFigures, WindowStatus};
use crate::domain::number::NumberError;
use crate::domain::usage::{UsageRecord, UsageTotal};

/// What is proved, in the order in which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckName {
    /// The chain of the audit log, and that each run, import and catalog has its row there.
    AuditLog,
    /// Every imported record against the sum that its import left in the audit log.
    Ledger,
    /// The rows that the run closed against their hashes in the audit log.
    ClosedRecords,
    ControlTotals,
    /// `manifest.json`, `SHA256SUMS`, and each file against them.
    Files,
    /// Each data file against one that is made again from the database.
    MadeAgain,
    /// Sums and products of the files, from the files alone.
    Figures,
}

impl CheckName {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AuditLog => "audit_log",
            Self::Ledger => "ledger",
            Self::ClosedRecords => "closed_records",
            Self::ControlTotals => "control_totals",
            Self::Files => "files",
            Self::MadeAgain => "made_again",
            Self::Figures => "figures",
        }
    }
}

/// What a check came to, with words for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finding {
    Holds(String),
    Fails(String),
    /// There is nothing that it could be held against.
    NotChecked(String),
}

impl Finding {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Holds(_) => "holds",
            Self::Fails(_) => "fails",
            Self::NotChecked(_) => "not_checked",
        }
    }

    pub fn words(&self) -> &str {
        let (Self::Holds(words) | Self::Fails(words) | Self::NotChecked(words)) = self;
        words
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    pub name: CheckName,
    pub finding: Finding,
}

/// The words of the first check that fails.
pub fn first_fault(checks: &[Check]) -> Option<&str> {
    let fails = |check: &&Check| matches!(check.finding, Finding::Fails(_));
    checks.iter().find(fails).map(|check| check.finding.words())
}

/// What stands for the rows of one table: their number, and the SHA-256 of their lines. `columns` is how many columns the
/// lines have: a later version may add some at the end of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableProof {
    pub columns: usize,
    pub rows: u64,
    pub sha256: String,
}

/// By table: all rows that a run wrote for good. As text: `TABLE:COLUMNS:ROWS:SHA256`, with spaces between the tables.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClosedRecords(pub BTreeMap<String, TableProof>);

impl ClosedRecords {
    pub fn parse(text: &str) -> Option<Self> {
        let table = |text: &str| {
            let mut parts = text.split(':');
            let name = parts.next()?.to_owned();
            let columns = parts.next()?.parse().ok()?;
            let rows = parts.next()?.parse().ok()?;
            let sha256 = parts.next()?.to_owned();
            parts.next().is_none().then_some((name, TableProof { columns, rows, sha256 }))
        };
        text.split_whitespace().map(table).collect::<Option<_>>().map(Self)
    }

    /// The tables whose rows are not those that were closed, with words for each.
    pub fn faults(&self, now: &Self) -> Vec<(String, String)> {
        let fault = |(table, closed): (&String, &TableProof)| {
            let problem = match now.0.get(table) {
                None => "is not there".to_owned(),
                Some(now) if now == closed => return None,
                Some(now) if now.rows != closed.rows => {
                    format!("holds {} rows of this run, which wrote {}", now.rows, closed.rows)
                }
                Some(_) => {
                    "holds a row that was changed after the run: its rows do not make their hash in the \
                            audit log"
                        .to_owned()
                }
            };
            Some((table.clone(), format!("{table} {problem}")))
        };
        self.0.iter().filter_map(fault).collect()
    }
}

impl fmt::Display for ClosedRecords {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (table, proof)) in self.0.iter().enumerate() {
            let gap = if index == 0 { "" } else { " " };
            write!(out, "{gap}{table}:{}:{}:{}", proof.columns, proof.rows, proof.sha256)?;
        }
        Ok(())
    }
}

/// Lines that are hashed one after the other, each with a line end.
#[derive(Clone, Debug, Default)]
pub struct LinesHash {
    rows: u64,
    hash: Sha256,
}

impl LinesHash {
    pub fn add(&mut self, line: &str) {
        self.rows += 1;
        self.hash.update(line.as_bytes());
        self.hash.update(b"\n");
    }

    pub fn finish(self, columns: usize) -> TableProof {
        TableProof { columns, rows: self.rows, sha256: hex(&self.hash.finalize()) }
    }
}

/// A sum of the hashes of records, modulo 2²⁵⁶: the same in whatever order they come, another when any of them is changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecordSum {
    pub records: u64,
    sum: U256,
}

impl RecordSum {
    pub fn add(&mut self, record: &UsageRecord) {
        let quantity = record.quantity.to_string();
        let occurred_at = record.occurred_at.as_nanosecond().to_string();
        let mut hash = Sha256::new();
        for text in [
            &record.tenant_id,
            &record.source_event_id,
            &record.meter,
            &quantity,
            &occurred_at,
            &record.outcome,
            &record.source,
            &record.properties,
        ] {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        }
        self.records += 1;
        self.sum = self.sum.wrapping_add(U256::from_be_bytes(hash.finalize().into()));
    }

    /// Of two imports together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self { records: self.records + other.records, sum: self.sum.wrapping_add(other.sum) }
    }

    /// The sum as 64 digits of hex.
    pub fn sum(&self) -> String {
        hex(&self.sum.to_be_bytes())
    }

    pub fn parse(records: &str, sum: &str) -> Option<Self> {
        let is_hex = sum.len() == 64 && sum.bytes().all(|byte| byte.is_ascii_hexdigit());
        let sum = is_hex.then(|| U256::from_str_radix(sum, 16).ok())??;
        Some(Self { records: records.parse().ok()?, sum })
    }
}

/// The first control total of a run that the closed windows do not come to. What was late or set aside then is not known
/// any more; the totals tie it to the rest.
pub fn controls_fault(
    stored: &ControlTotals,
    windows: &[WindowFigures],
) -> Result<Option<String>, ControlFault> {
    stored.check()?;
    let closed = windows.iter().filter(|window| window.status == WindowStatus::Closed);
    let made = ControlTotals::of_closed(closed)?;
    let meters: BTreeSet<&String> = stored.0.keys().chain(made.0.keys()).collect();
    for meter in meters {
        for measure in [
            Measure::InWindow,
            Measure::Used,
            Measure::Free,
            Measure::Billed,
            Measure::Capped,
            Measure::Aggregate,
            Measure::Superseded,
        ] {
            let (mut total, made) = (stored.total(meter, measure), made.total(meter, measure));
            if measure == Measure::Used && stored.0.get(meter).is_some_and(|by| by.contains_key(&measure)) {
                total.quantity = total.quantity.checked_sub(stored.total(meter, Measure::Parked).quantity)?;
            }
            if total != made {
                return Ok(Some(format!(
                    "run_control_totals, meter {meter}, {}: the run reported {} units in {} records, and its closed \
                     windows come to {} in {}",
                    measure.as_str(),
                    total.quantity,
                    total.records,
                    made.quantity,
                    made.records
                )));
            }
        }
    }
    Ok(None)
}

/// The first closed window of which the ledger holds less now than was closed, or other units in as many records. Records
/// are only ever added, so either is a record that was changed or taken away.
pub fn ledger_fault(windows: &[WindowFigures], totals: &LedgerTotals) -> Result<Option<String>, NumberError> {
    for window in windows.iter().filter(|window| window.status == WindowStatus::Closed) {
        let mut closed: BTreeMap<&str, UsageTotal> = BTreeMap::new();
        for usage in &window.usage {
            let total = closed.entry(&usage.meter).or_default();
            *total = total.checked_add(usage.total)?;
        }
        let now = window.accepted(totals)?;
        for (meter, closed) in closed {
            let now = now.get(meter).copied().unwrap_or_default();
            if now.records < closed.records || (now.records == closed.records && now != closed) {
                return Ok(Some(format!(
                    "tenant {}, window {} to {}, meter {meter}: {} units in {} records were closed, and the ledger \
                     holds {} units in {} records now; records are only ever added, so usage_ledger, window_usage or \
                     billing_windows was changed",
                    window.tenant_id,
                    window.window.start,
                    window.window.end,
                    closed.quantity,
                    closed.records,
                    now.quantity,
                    now.records
                )));
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests;
