//! What a judgement knows of a period beside its tenants' usage.
//!
//! In: windows, comparison, intents, tenants; each part is filled where it is known. Out: [`PeriodFacts`], which are kept with
//! the run, so that another policy can judge the same period later. Never a rate: numerators and denominators stay apart.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::company::CompanyFacts;
use crate::domain::figures::{Disposition, WindowFigures, WindowStatus};
use crate::domain::number::{NumberError, QuantitySum};
use crate::domain::reconcile::{Class, ReconciliationRow, Source};

/// Usage records that were to reach Stripe, and those that did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PushRecords {
    pub due: u64,
    pub failed: u64,
}

/// What is known about the period as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeriodFacts {
    /// Pushed or observed in time.
    pub full_cycle: bool,
    pub pending_after: u64,
    /// Rows of the comparison for which Stripe gave no whole answer.
    pub incomplete: u64,
    /// Rows that differ, by cause; those without a known one under the empty text.
    pub differences: BTreeMap<String, u64>,
    pub push: PushRecords,
    /// By plan key, then by meter.
    pub meters: BTreeMap<String, BTreeMap<String, MeterFacts>>,
    pub company: CompanyFacts,
}

/// What is known of a meter on a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeterFacts {
    #[serde(with = "as_text")]
    pub units_due: QuantitySum,
    #[serde(with = "as_text")]
    pub units_confirmed: QuantitySum,
    pub records_all: u64,
    pub records_billable: u64,
    /// Stripe charges for it.
    pub live: bool,
}

impl PeriodFacts {
    /// Rows that differ for a cause that is not harmless, or for none that is known.
    pub fn differences(&self, is_harmless: impl Fn(&str) -> bool) -> u64 {
        self.differences.iter().filter(|(cause, _)| !is_harmless(cause)).map(|(_, rows)| rows).sum()
    }

    /// A full cycle in which nothing was left, and nothing differed but for a harmless cause.
    pub fn is_clean(&self, is_harmless: impl Fn(&str) -> bool) -> bool {
        self.full_cycle
            && self.incomplete == 0
            && self.pending_after == 0
            && self.differences(is_harmless) == 0
    }

    pub fn meter(&self, plan: &str, meter: &str) -> Option<&MeterFacts> {
        self.meters.get(plan)?.get(meter)
    }

    /// Counts what the comparison says.
    pub fn add_comparison(&mut self, comparison: &[ReconciliationRow]) -> Result<(), NumberError> {
        self.incomplete += comparison.iter().filter(|row| row.class == Class::Incomplete).count() as u64;
        for row in comparison.iter().filter(|row| row.is_difference()) {
            let cause = row.reason.map_or("", |reason| reason.as_str());
            *self.differences.entry(cause.to_owned()).or_default() += 1;
        }
        for row in comparison.iter().filter(|row| row.source == Source::MeterTotal) {
            let Some(due) = row.ledger_quantity else { continue };
            // What Stripe did not answer is not confirmed.
            let off = row.difference_quantity().map_or(due, |difference| difference.magnitude());
            let meter = self.meter_mut(&row.plan, &row.meter);
            meter.units_due = meter.units_due.checked_add(due)?;
            let confirmed = due.checked_sub(off.min(due))?;
            meter.units_confirmed = meter.units_confirmed.checked_add(confirmed)?;
        }
        Ok(())
    }

    /// Counts the records of closed windows.
    pub fn add_windows(&mut self, windows: &[WindowFigures]) {
        let closed = windows.iter().filter(|window| window.status == WindowStatus::Closed);
        for usage in closed.flat_map(|window| &window.usage) {
            let Some(plan) = &usage.plan else { continue };
            let is_billable = usage.disposition == Disposition::Billable;
            if is_billable || usage.disposition == Disposition::NotBillable {
                let meter = self.meter_mut(&plan.key, &usage.meter);
                meter.records_all += usage.total.records;
                meter.records_billable += if is_billable { usage.total.records } else { 0 };
            }
        }
    }

    pub fn meter_mut(&mut self, plan: &str, meter: &str) -> &mut MeterFacts {
        self.meters.entry(plan.to_owned()).or_default().entry(meter.to_owned()).or_default()
    }
}

/// A sum as the decimal text that it prints: JSON numbers are floats to many readers.
mod as_text {
    use serde::de::{Deserialize, Deserializer, Error};
    use serde::ser::Serializer;

    use crate::domain::number::QuantitySum;

    pub fn serialize<S: Serializer>(sum: &QuantitySum, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&sum.to_string())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<QuantitySum, D::Error> {
        QuantitySum::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
