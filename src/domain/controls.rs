//! Control totals: the proof that no record and no unit is lost between the ledger and the bill.
//!
//! In: the windows of a period and the ledger as it is now. Out: [`ControlTotals`] that tie, or a [`ControlFault`] that
//! names the meter. Never repairs a difference.

use std::collections::BTreeMap;

use crate::domain::figures::{
    Disposition, LedgerTotals, SegmentUsage, WindowFigures, WindowLine, WindowStatus,
};
use crate::domain::number::{NumberError, Quantity, QuantitySum};
use crate::domain::rating::LineKind;
use crate::domain::usage::UsageTotal;

/// One control measure. In records: `accepted = in_window + late + excluded + parked`; in units:
/// `used = free + billed + capped + parked`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    Accepted,
    InWindow,
    Late,
    Excluded,
    Parked,
    Used,
    Free,
    Billed,
    Capped,
}

impl Measure {
    pub const ALL: [Self; 9] = [
        Self::Accepted,
        Self::InWindow,
        Self::Late,
        Self::Excluded,
        Self::Parked,
        Self::Used,
        Self::Free,
        Self::Billed,
        Self::Capped,
    ];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|measure| measure.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::InWindow => "in_window",
            Self::Late => "late",
            Self::Excluded => "excluded",
            Self::Parked => "parked",
            Self::Used => "used",
            Self::Free => "free",
            Self::Billed => "billed",
            Self::Capped => "capped",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlFault {
    #[error(
        "control totals of meter `{0}` do not tie in records: accepted is not in_window + late + excluded + parked"
    )]
    Records(String),
    #[error("control totals of meter `{0}` do not tie in units: used is not free + billed + capped + parked")]
    Units(String),
    #[error("lines of tenant `{0}` on meter `{1}` do not add up to the units used")]
    Lines(String, String),
    #[error("a control total {0}")]
    Number(#[from] NumberError),
}

/// Totals by meter and measure. `Used`, `Free`, `Billed` and `Capped` count units only, so their records are 0.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlTotals(pub BTreeMap<String, BTreeMap<Measure, UsageTotal>>);

impl ControlTotals {
    /// Adds up the windows of a period and proves both identities. `totals` is the ledger as it is now: what it holds
    /// beyond the figures of a window that an `earlier` run closed came late; a window looked at `now` has nothing late,
    /// so a record that got lost on the way breaks the proof.
    pub fn prove(
        earlier: &[&WindowFigures],
        now: &[&WindowFigures],
        totals: &LedgerTotals,
    ) -> Result<Self, ControlFault> {
        let mut control = Self::default();
        for window in earlier {
            for (meter, total) in window.accepted(totals)? {
                control.add(meter, Measure::Late, late(window, meter, total)?)?;
            }
        }
        for window in earlier.iter().chain(now) {
            for (meter, total) in window.accepted(totals)? {
                control.add(meter, Measure::Accepted, total)?;
            }
            for usage in &window.usage {
                control.add_usage(window, usage)?;
            }
        }
        control.check()?;
        Ok(control)
    }

    fn add_usage(&mut self, window: &WindowFigures, usage: &SegmentUsage) -> Result<(), ControlFault> {
        let measure = match (usage.disposition, window.status) {
            (Disposition::NoAccess | Disposition::OutsideSubscription, _) => Measure::Excluded,
            (Disposition::Billable, WindowStatus::Parked) => Measure::Parked,
            (Disposition::Billable, _) => Measure::InWindow,
        };
        self.add(&usage.meter, measure, usage.total)?;
        if measure == Measure::Excluded {
            return Ok(());
        }
        let units = |quantity| UsageTotal { records: 0, quantity };
        self.add(&usage.meter, Measure::Used, units(usage.total.quantity))?;
        if let (Measure::InWindow, Some(split)) = (measure, usage.split) {
            check_lines(window, usage)?;
            self.add(&usage.meter, Measure::Free, units(split.free.into()))?;
            self.add(&usage.meter, Measure::Billed, units(split.billed.into()))?;
        }
        Ok(())
    }

    fn add(&mut self, meter: &str, measure: Measure, more: UsageTotal) -> Result<(), NumberError> {
        let by_measure = self.0.entry(meter.to_owned()).or_insert_with(|| {
            Measure::ALL.into_iter().map(|measure| (measure, UsageTotal::default())).collect()
        });
        let total = by_measure.entry(measure).or_default();
        *total = total.checked_add(more)?;
        Ok(())
    }

    fn check(&self) -> Result<(), ControlFault> {
        for (meter, by_measure) in &self.0 {
            let total = |measure| by_measure.get(&measure).copied().unwrap_or_default();
            let mut parts = UsageTotal::default();
            for measure in [Measure::InWindow, Measure::Late, Measure::Excluded, Measure::Parked] {
                parts.records += total(measure).records;
                parts.quantity = parts.quantity.checked_add(total(measure).quantity)?;
            }
            if parts != total(Measure::Accepted) {
                return Err(ControlFault::Records(meter.clone()));
            }
            let mut units = QuantitySum::ZERO;
            for measure in [Measure::Free, Measure::Billed, Measure::Capped, Measure::Parked] {
                units = units.checked_add(total(measure).quantity)?;
            }
            if units != total(Measure::Used).quantity {
                return Err(ControlFault::Units(meter.clone()));
            }
        }
        Ok(())
    }
}

/// What the ledger holds of a closed window now, beyond what was closed.
fn late(window: &WindowFigures, meter: &str, now: UsageTotal) -> Result<UsageTotal, NumberError> {
    let mut late = now;
    for closed in window.usage.iter().filter(|usage| usage.meter == meter) {
        late.records = late.records.checked_sub(closed.total.records).ok_or(NumberError::Overflow)?;
        late.quantity = late.quantity.checked_sub(closed.total.quantity)?;
    }
    Ok(late)
}

/// The lines of a segment and meter must hold exactly the units that were used.
fn check_lines(window: &WindowFigures, usage: &SegmentUsage) -> Result<(), ControlFault> {
    let belongs = |line: &&WindowLine| {
        line.line.kind == LineKind::Usage && line.range == usage.range && line.meter == usage.meter
    };
    let quantities = window.lines.iter().filter(belongs).map(|line| line.line.quantity);
    let billed = quantities.into_iter().try_fold(Quantity::ZERO, Quantity::checked_add)?;
    if QuantitySum::from(billed) == usage.total.quantity {
        Ok(())
    } else {
        Err(ControlFault::Lines(window.tenant_id.clone(), usage.meter.clone()))
    }
}
