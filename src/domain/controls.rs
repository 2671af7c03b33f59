//! Control totals: the proof that no record and no unit is lost between the ledger and the bill.
//!
//! In: the windows of a period and the ledger as it is now. Out: [`ControlTotals`] that tie, or a [`ControlFault`] that
//! names the meter. Never repairs a difference.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::figures::{
    Disposition, LedgerTotals, SegmentUsage, WindowFigures, WindowLine, WindowStatus,
};
use crate::domain::late::Late;
use crate::domain::number::{NumberError, Quantity};
use crate::domain::rating::LineKind;
use crate::domain::usage::UsageTotal;

/// One control measure. In records and units: `accepted + lost = in_window + late + excluded + parked`. In units, for `sum`
/// and `count`: `used = free + billed + capped + parked`. For gauges, in records and units: `in_window = aggregate + superseded`,
/// and in units `aggregate = free + billed + capped`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    Accepted,
    InWindow,
    Late,
    Excluded,
    Parked,
    /// What was closed or adjusted, and the ledger holds no more. It is there only where something is lost.
    Lost,
    /// The readings of a gauge that count.
    Aggregate,
    /// Its other readings.
    Superseded,
    Used,
    Free,
    Billed,
    Capped,
}

impl Measure {
    pub const ALL: [Self; 12] = [
        Self::Accepted,
        Self::InWindow,
        Self::Late,
        Self::Excluded,
        Self::Parked,
        Self::Lost,
        Self::Aggregate,
        Self::Superseded,
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
            Self::Lost => "lost",
            Self::Aggregate => "aggregate",
            Self::Superseded => "superseded",
            Self::Used => "used",
            Self::Free => "free",
            Self::Billed => "billed",
            Self::Capped => "capped",
        }
    }

    /// Whether it counts records, or units only.
    pub fn counts_records(self) -> bool {
        self < Self::Used
    }

    /// Those of a gauge, or of a meter that adds up, where nothing is lost.
    fn of(is_gauge: bool) -> impl Iterator<Item = Self> {
        let other = move |measure: &Self| match measure {
            Self::Lost => false,
            Self::Aggregate | Self::Superseded => is_gauge,
            Self::Used => !is_gauge,
            _ => true,
        };
        Self::ALL.into_iter().filter(other)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlFault {
    #[error(
        "control totals of meter `{0}` do not tie in records: accepted and lost are not in_window + late + excluded + \
         parked"
    )]
    Records(String),
    #[error("control totals of meter `{0}` do not tie in units: used is not free + billed + capped + parked")]
    Units(String),
    #[error("control totals of meter `{0}` do not tie: in_window is not aggregate + superseded")]
    Readings(String),
    #[error("lines of tenant `{0}` on meter `{1}` do not add up to the units used")]
    Lines(String, String),
    #[error("a control total {0}")]
    Number(#[from] NumberError),
}

/// Totals by meter and measure. `Used`, `Free`, `Billed` and `Capped` count units only, so their records are 0. A gauge has
/// `Aggregate` and `Superseded` instead of `Used`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ControlTotals(pub BTreeMap<String, BTreeMap<Measure, UsageTotal>>);

impl ControlTotals {
    /// Adds up the windows of a period and proves both identities. `totals` is the ledger as it is now: what it holds
    /// beyond the figures of a window that an `earlier` run closed must be what came late to it, and what it lacks of them
    /// what is lost of it; a window looked at `now` has neither. So a record that got lost on the way breaks the proof.
    pub fn prove(
        earlier: &[(&WindowFigures, &Late)],
        now: &[&WindowFigures],
        totals: &LedgerTotals,
    ) -> Result<Self, ControlFault> {
        let mut control = Self::default();
        let windows = || earlier.iter().map(|(window, _)| window).chain(now);
        let gauges: BTreeSet<&str> = windows().flat_map(|window| gauges(window, totals)).collect();
        for window in windows() {
            for (meter, total) in window.accepted(totals)? {
                control.begin(meter, gauges.contains(meter));
                control.add(meter, Measure::Accepted, total)?;
            }
            for usage in &window.usage {
                control.begin(&usage.meter, gauges.contains(usage.meter.as_str()));
                control.add_usage(window, usage)?;
            }
        }
        for (_, late) in earlier {
            for (meter, total) in &late.billable {
                control.begin(meter, gauges.contains(meter.as_str()));
                control.add(meter, Measure::Late, *total)?;
            }
            for usage in &late.excluded {
                control.add(&usage.meter, Measure::Excluded, usage.total)?;
            }
            for (meter, total) in &late.lost {
                control.begin(meter, gauges.contains(meter.as_str()));
                control.add(meter, Measure::Lost, *total)?;
            }
        }
        control.check()?;
        Ok(control)
    }

    /// The records that the ledger holds of the period, over all meters.
    pub fn accepted_records(&self) -> u64 {
        let accepted = self.0.values().filter_map(|by_measure| by_measure.get(&Measure::Accepted));
        accepted.map(|total| total.records).sum()
    }

    /// What closed windows come to by themselves: nothing is late, parked or accepted here.
    pub fn of_closed<'a>(windows: impl IntoIterator<Item = &'a WindowFigures>) -> Result<Self, ControlFault> {
        let mut control = Self::default();
        for window in windows {
            for usage in &window.usage {
                control.add_usage(window, usage)?;
            }
        }
        Ok(control)
    }

    /// A measure that is not there counts as 0.
    pub fn total(&self, meter: &str, measure: Measure) -> UsageTotal {
        self.0.get(meter).and_then(|by_measure| by_measure.get(&measure)).copied().unwrap_or_default()
    }

    /// Every measure of a meter is there, if only with 0.
    fn begin(&mut self, meter: &str, is_gauge: bool) {
        if !self.0.contains_key(meter) {
            let measures = Measure::of(is_gauge).map(|measure| (measure, UsageTotal::default()));
            self.0.insert(meter.to_owned(), measures.collect());
        }
    }

    fn add_usage(&mut self, window: &WindowFigures, usage: &SegmentUsage) -> Result<(), ControlFault> {
        let measure = match (usage.disposition, window.status) {
            (Disposition::Billable, WindowStatus::Parked) => Measure::Parked,
            (Disposition::Billable, _) => Measure::InWindow,
            (
                Disposition::NoAccess
                | Disposition::OutsideSubscription
                | Disposition::Inactive
                | Disposition::NotBillable,
                _,
            ) => Measure::Excluded,
        };
        self.add(&usage.meter, measure, usage.total)?;
        if measure == Measure::Excluded {
            return Ok(());
        }
        let units = |quantity| UsageTotal { records: 0, quantity };
        match usage.readings {
            Some(readings) if measure == Measure::InWindow => {
                let aggregate = UsageTotal { quantity: usage.used(), ..readings };
                let superseded = usage.total.checked_sub(aggregate)?;
                self.add(&usage.meter, Measure::Aggregate, aggregate)?;
                self.add(&usage.meter, Measure::Superseded, superseded)?;
            }
            Some(_) => {}
            // Nothing of it was rated, so a negative total stands as it is.
            None if measure == Measure::Parked => {
                self.add(&usage.meter, Measure::Used, units(usage.total.quantity))?;
            }
            None => self.add(&usage.meter, Measure::Used, units(usage.used()))?,
        }
        if let (Measure::InWindow, Some(split)) = (measure, usage.split) {
            check_lines(window, usage)?;
            self.add(&usage.meter, Measure::Free, units(split.free.into()))?;
            self.add(&usage.meter, Measure::Billed, units(split.billed.into()))?;
            self.add(&usage.meter, Measure::Capped, units(split.capped.into()))?;
        }
        Ok(())
    }

    fn add(&mut self, meter: &str, measure: Measure, more: UsageTotal) -> Result<(), NumberError> {
        let total = self.0.entry(meter.to_owned()).or_default().entry(measure).or_default();
        *total = total.checked_add(more)?;
        Ok(())
    }

    /// Proves both identities.
    pub fn check(&self) -> Result<(), ControlFault> {
        for (meter, by_measure) in &self.0 {
            let total = |measure| by_measure.get(&measure).copied().unwrap_or_default();
            let sum = |measures: &[Measure]| {
                measures.iter().try_fold(UsageTotal::default(), |sum, one| sum.checked_add(total(*one)))
            };
            let parts = sum(&[Measure::InWindow, Measure::Late, Measure::Excluded, Measure::Parked])?;
            if parts != sum(&[Measure::Accepted, Measure::Lost])? {
                return Err(ControlFault::Records(meter.clone()));
            }
            let rated = sum(&[Measure::Free, Measure::Billed, Measure::Capped])?.quantity;
            if by_measure.contains_key(&Measure::Aggregate) {
                if sum(&[Measure::Aggregate, Measure::Superseded])? != total(Measure::InWindow) {
                    return Err(ControlFault::Readings(meter.clone()));
                }
                if rated != total(Measure::Aggregate).quantity {
                    return Err(ControlFault::Units(meter.clone()));
                }
            } else if rated.checked_add(total(Measure::Parked).quantity)? != total(Measure::Used).quantity {
                return Err(ControlFault::Units(meter.clone()));
            }
        }
        Ok(())
    }
}

/// The meters of a window that are gauges, by the totals that the catalog of its close makes: also one without a reading
/// when it closed.
pub(in crate::domain) fn gauges<'a>(
    window: &'a WindowFigures,
    totals: &'a LedgerTotals,
) -> BTreeSet<&'a str> {
    let closed = window.usage.iter().filter(|usage| usage.readings.is_some()).map(|usage| &*usage.meter);
    let by_meter = window.accounted.iter().filter_map(|range| totals.get(range)?.get(&window.tenant_id));
    let now = by_meter.flatten().filter(|(_, usage)| usage.readings.is_some()).map(|(meter, _)| &**meter);
    closed.chain(now).collect()
}

/// The lines of a segment and meter must hold exactly the units that were used, up to a hard cap.
fn check_lines(window: &WindowFigures, usage: &SegmentUsage) -> Result<(), ControlFault> {
    let belongs = |line: &&WindowLine| {
        line.line.kind == LineKind::Usage && line.range == usage.range && line.meter == usage.meter
    };
    let quantities = window.lines.iter().filter(belongs).map(|line| line.line.quantity);
    let billed = quantities.into_iter().try_fold(Quantity::ZERO, Quantity::checked_add)?;
    if Some(billed) == usage.within_cap() {
        Ok(())
    } else {
        Err(ControlFault::Lines(window.tenant_id.clone(), usage.meter.clone()))
    }
}
