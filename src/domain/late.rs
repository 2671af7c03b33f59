//! Late usage: what came for a window after it was closed, and what it is worth.
//!
//! In: a closed window, the ledger as it is now, what earlier runs have adjusted. Out: [`Late`] with the rows still to be
//! written. A window's price is graduated, so late units are never priced alone: the whole segment is rated again, with and
//! without them. Never changes a closed figure, and never counts a record twice: what is late is always computed anew, as
//! now − closed − already adjusted.

mod restated;

use std::collections::{BTreeMap, BTreeSet};

pub use restated::{Restated, restated};

use crate::domain::catalog::{Catalog, PlanId};
use crate::domain::controls;
use crate::domain::figures::{Disposition, LedgerTotals, SegmentUsage, WindowFigures, usage_in};
use crate::domain::money::{MinorAmount, MoneyError};
use crate::domain::number::{NumberError, Quantity, QuantitySum};
use crate::domain::period::Window;
use crate::domain::usage::UsageTotal;

/// What one run found late in a segment of a window on a meter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    pub tenant_id: String,
    pub window: Window,
    pub range: Window,
    pub plan: PlanId,
    pub meter: String,
    pub records: u64,
    /// By how much the units change: of a gauge, what it stands at. Negative where units were taken back.
    pub quantity: Quantity,
    /// By how much the bill of the segment would change.
    pub amount: MinorAmount,
}

impl Adjustment {
    /// A reading that another one outdoes changes nothing that a person would have to bill.
    pub fn has_effect(&self) -> bool {
        !self.quantity.is_zero() || self.amount.minor != 0
    }

    fn is_of(&self, range: Window, meter: &str) -> bool {
        self.range == range && self.meter == meter
    }
}

/// What came late to one window, and what is gone from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Late {
    /// What no earlier run has adjusted.
    pub adjustments: Vec<Adjustment>,
    /// By meter, adjusted before or now, or without a value: what would have been billed.
    pub billable: BTreeMap<String, UsageTotal>,
    /// What would have been excluded.
    pub excluded: Vec<SegmentUsage>,
    pub unvalued: Vec<Unvalued>,
    /// By meter: what was closed or adjusted, and the ledger holds no more.
    pub lost: BTreeMap<String, UsageTotal>,
}

/// Late usage that would have been billed, and nobody can say for how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unvalued {
    pub meter: String,
    pub plan: Option<PlanId>,
    pub total: UsageTotal,
    pub why: NoValue,
}

/// Why late usage has no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoValue {
    /// It is more than a bill can hold.
    TooLarge,
    /// The catalog version that the window closed with cannot be read, or has no such price.
    NoCatalog,
}

impl NoValue {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooLarge => "too_large",
            Self::NoCatalog => "no_catalog",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LateFault {
    #[error("late usage {0}")]
    Number(#[from] NumberError),
    #[error("late usage: {0}")]
    Money(#[from] MoneyError),
}

/// What came late to a closed window. `earlier` are all rows that earlier runs wrote for it, `catalog` is the version that
/// it was closed with, where that can be read, and the totals were made by that version's meters.
pub fn late(
    window: &WindowFigures,
    totals: &LedgerTotals,
    catalog: Option<&Catalog>,
    earlier: &[Adjustment],
) -> Result<Late, LateFault> {
    match catalog {
        Some(catalog) if is_layout_known(window) => by_segment(window, totals, catalog, earlier),
        _ => by_meter(window, totals, catalog.is_some(), earlier),
    }
}

/// What a segment's units come to: their sum, or what the gauge stands at.
pub fn aggregate(usage: &SegmentUsage) -> QuantitySum {
    usage.readings.unwrap_or(usage.total).quantity
}

/// It closed with this layout: what was used lies in its stretches.
fn is_layout_known(window: &WindowFigures) -> bool {
    let is_laid = |usage: &SegmentUsage| {
        window.stretches.iter().any(|one| one.range == usage.range && one.plan == usage.plan)
    };
    !window.stretches.is_empty() && window.usage.iter().all(is_laid)
}

fn by_segment(
    window: &WindowFigures,
    totals: &LedgerTotals,
    catalog: &Catalog,
    earlier: &[Adjustment],
) -> Result<Late, LateFault> {
    let mut late = Late::default();
    for (now, before) in side_by_side(window, totals, catalog, earlier) {
        let mut adjusted = UsageTotal::default();
        if now.disposition == Disposition::Billable {
            for one in earlier.iter().filter(|one| one.is_of(now.range, &now.meter)) {
                let more = UsageTotal { records: one.records, quantity: one.quantity.into() };
                adjusted = adjusted.checked_add(more)?;
            }
        }
        let closed = before.map(|one| one.total).unwrap_or_default();
        let is_gauge = catalog.meters.get(&now.meter).is_some_and(|meter| meter.aggregation.is_gauge());
        let held = Held::new(now.total, closed, adjusted, is_gauge)?;
        late.keep(&now.meter, &held, now.disposition)?;
        if now.disposition != Disposition::Billable {
            if held.new != UsageTotal::default() {
                late.excluded.push(SegmentUsage { total: held.new, ..now });
            }
            continue;
        }
        let known = before.map(aggregate).unwrap_or_default().checked_add(adjusted.quantity)?;
        let quantity = aggregate(&now).checked_sub(known)?;
        if held.is_short() || (held.new.records == 0 && quantity.is_zero()) {
            continue;
        }
        match adjustment(window, &now, UsageTotal { quantity, ..held.new }, known, catalog) {
            Ok(one) => late.adjustments.push(one),
            Err(why) => {
                let (plan, total) = (now.plan, held.new);
                late.unvalued.push(Unvalued { meter: now.meter, plan, total, why });
            }
        }
    }
    Ok(late)
}

/// What the ledger holds now of each segment, meter and disposition, beside what was closed. Where it holds nothing any
/// more of what was closed or adjusted, that is there with 0.
fn side_by_side<'a>(
    window: &'a WindowFigures,
    totals: &LedgerTotals,
    catalog: &Catalog,
    earlier: &[Adjustment],
) -> Vec<(SegmentUsage, Option<&'a SegmentUsage>)> {
    let key = |usage: &SegmentUsage| (usage.range, usage.meter.clone(), usage.disposition);
    let now = usage_in(&window.stretches, &window.tenant_id, catalog, totals);
    let mut pairs: BTreeMap<_, (SegmentUsage, Option<&SegmentUsage>)> =
        now.into_iter().map(|one| (key(&one), (one, None))).collect();
    for one in &window.usage {
        let nothing = || SegmentUsage {
            total: UsageTotal::default(),
            readings: one.readings.map(|_| UsageTotal::default()),
            ..one.clone()
        };
        pairs.entry(key(one)).or_insert_with(|| (nothing(), None)).1 = Some(one);
    }
    for one in earlier {
        let nothing = unseen(one.range, Some(one.plan.clone()), &one.meter, Disposition::Billable);
        pairs.entry(key(&nothing)).or_insert((nothing, None));
    }
    pairs.into_values().collect()
}

/// Of a window whose layout or catalog nobody knows: nothing says on which plan it was used, so nothing says that it is to be
/// billed; or nothing says at what price.
fn by_meter(
    window: &WindowFigures,
    totals: &LedgerTotals,
    has_catalog: bool,
    earlier: &[Adjustment],
) -> Result<Late, LateFault> {
    let now = window.accepted(totals)?;
    let gauges = controls::gauges(window, totals);
    let (mut closed, mut adjusted) = (BTreeMap::new(), BTreeMap::new());
    let add = |sums: &mut BTreeMap<String, UsageTotal>, meter: &str, more| {
        let sum = sums.entry(meter.to_owned()).or_default();
        sum.checked_add(more).map(|total| *sum = total)
    };
    for one in &window.usage {
        add(&mut closed, &one.meter, one.total)?;
    }
    for one in earlier {
        let more = UsageTotal { records: one.records, quantity: one.quantity.into() };
        add(&mut adjusted, &one.meter, more)?;
    }
    let meters: BTreeSet<&str> =
        now.keys().copied().chain(closed.keys().chain(adjusted.keys()).map(String::as_str)).collect();
    let mut late = Late::default();
    for meter in meters {
        let of = |sums: &BTreeMap<String, UsageTotal>| sums.get(meter).copied().unwrap_or_default();
        let now = now.get(meter).copied().unwrap_or_default();
        let mut held = Held::new(now, of(&closed), of(&adjusted), gauges.contains(meter))?;
        let new = held.new;
        if has_catalog && new != UsageTotal::default() {
            held.late = held.late.checked_sub(new)?;
            let excluded = unseen(window.window, None, meter, Disposition::OutsideSubscription);
            late.excluded.push(SegmentUsage { total: new, ..excluded });
        } else if new != UsageTotal::default() {
            let (meter, why) = (meter.to_owned(), NoValue::NoCatalog);
            late.unvalued.push(Unvalued { meter, plan: None, total: new, why });
        }
        late.keep(meter, &held, Disposition::Billable)?;
    }
    Ok(late)
}

/// Nothing of a meter in a range.
fn unseen(range: Window, plan: Option<PlanId>, meter: &str, disposition: Disposition) -> SegmentUsage {
    SegmentUsage {
        range,
        plan,
        meter: meter.to_owned(),
        disposition,
        total: UsageTotal::default(),
        readings: None,
        taken_back: QuantitySum::ZERO,
        split: None,
    }
}

/// What the ledger holds, against what was closed and what earlier runs adjusted: `now + lost = closed + late`.
struct Held {
    late: UsageTotal,
    /// Of what is late, what no run has adjusted.
    new: UsageTotal,
    lost: UsageTotal,
}

impl Held {
    fn new(
        now: UsageTotal,
        closed: UsageTotal,
        adjusted: UsageTotal,
        is_gauge: bool,
    ) -> Result<Self, NumberError> {
        // What a gauge was adjusted by is no sum of readings: only their number is known.
        let quantity = if is_gauge { QuantitySum::ZERO } else { adjusted.quantity };
        let adjusted = UsageTotal { quantity, ..adjusted };
        let known = closed.checked_add(adjusted)?;
        if now.records < known.records {
            let (new, lost) = (UsageTotal::default(), known.checked_sub(now)?);
            return Ok(Self { late: adjusted, new, lost });
        }
        let (late, new) = (now.checked_sub(closed)?, now.checked_sub(known)?);
        // The units of readings that were adjusted stand in no row, so those of new ones cannot be told apart.
        let new = if is_gauge && new.records == 0 { UsageTotal::default() } else { new };
        Ok(Self { late, new, lost: UsageTotal::default() })
    }

    fn is_short(&self) -> bool {
        self.lost.records > 0
    }
}

impl Late {
    /// Counts what is late or lost of a meter.
    fn keep(&mut self, meter: &str, held: &Held, disposition: Disposition) -> Result<(), NumberError> {
        let billable = (disposition == Disposition::Billable).then_some((&mut self.billable, held.late));
        for (sums, more) in billable.into_iter().chain([(&mut self.lost, held.lost)]) {
            if more != UsageTotal::default() {
                let sum = sums.entry(meter.to_owned()).or_default();
                *sum = sum.checked_add(more)?;
            }
        }
        Ok(())
    }
}

fn adjustment(
    window: &WindowFigures,
    now: &SegmentUsage,
    change: UsageTotal,
    known: QuantitySum,
    catalog: &Catalog,
) -> Result<Adjustment, NoValue> {
    let plan = now.plan.as_ref().ok_or(NoValue::NoCatalog)?;
    let fits = |sum: QuantitySum| sum.to_quantity().map_err(|_| NoValue::TooLarge);
    let bill = |used: QuantitySum| bill(window, now, fits(used)?, catalog);
    let minor = bill(aggregate(now))?.checked_sub(bill(known)?).ok_or(NoValue::TooLarge)?;
    Ok(Adjustment {
        tenant_id: window.tenant_id.clone(),
        window: window.window,
        range: now.range,
        plan: plan.clone(),
        meter: now.meter.clone(),
        records: change.records,
        quantity: fits(change.quantity)?,
        amount: MinorAmount::new(minor, plan.currency),
    })
}

/// What a segment costs on a meter, in minor units.
fn bill(
    window: &WindowFigures,
    usage: &SegmentUsage,
    used: Quantity,
    catalog: &Catalog,
) -> Result<i64, NoValue> {
    if window.trial {
        return Ok(0);
    }
    let plan = usage.plan.as_ref().and_then(|plan| catalog.plans.get(plan)).ok_or(NoValue::NoCatalog)?;
    let price = plan.usage.get(&usage.meter).ok_or(NoValue::NoCatalog)?;
    let price = price.for_part(usage.range, window.window).map_err(|_| NoValue::TooLarge)?;
    let lines = price.rate(used, plan.id.currency).map_err(|_| NoValue::TooLarge)?;
    let minor = lines.iter().map(|line| line.amount.minor).try_fold(0i64, i64::checked_add);
    minor.ok_or(NoValue::TooLarge)
}

#[cfg(test)]
mod tests;
