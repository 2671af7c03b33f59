//! Late usage: what came for a window after it was closed, and what it is worth.
//!
//! In: a closed window, the ledger as it is now, what earlier runs have adjusted. Out: [`Late`] with the rows still to be
//! written. A window's price is graduated, so late units are never priced alone: the whole segment is rated again, with and
//! without them. Never changes a closed figure, and never counts a record twice: what is late is always computed anew, as
//! now − closed − already adjusted.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::domain::catalog::{Catalog, PlanId};
use crate::domain::controls;
use crate::domain::figures::{Disposition, LedgerTotals, SegmentUsage, WindowFigures, usage_in};
use crate::domain::money::{MinorAmount, MinorSum, MoneyError};
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

/// What came late to one window.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Late {
    /// What no earlier run has adjusted.
    pub adjustments: Vec<Adjustment>,
    /// By meter, adjusted before or now: what would have been billed.
    pub billable: BTreeMap<String, UsageTotal>,
    /// What would have been excluded.
    pub excluded: Vec<SegmentUsage>,
    /// Meters whose late usage is more than a bill can hold.
    pub without_value: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LateFault {
    #[error(
        "the ledger holds fewer records of tenant `{0}` on meter `{1}` than were closed: somebody took records out of it"
    )]
    Lost(String, String),
    #[error("late usage {0}")]
    Number(#[from] NumberError),
    #[error("late usage: {0}")]
    Money(#[from] MoneyError),
}

/// What came late to a closed window. `earlier` are all rows that earlier runs wrote for it, `catalog` is the version that
/// it was closed with, and the totals were made by that version's meters.
pub fn late(
    window: &WindowFigures,
    totals: &LedgerTotals,
    catalog: &Catalog,
    earlier: &[Adjustment],
) -> Result<Late, LateFault> {
    let mut late = Late::default();
    if window.stretches.is_empty() {
        late.excluded = of_unknown_layout(window, totals)?;
        return Ok(late);
    }
    let key = |usage: &SegmentUsage| (usage.range, usage.meter.clone(), usage.disposition);
    let mut closed: BTreeMap<_, &SegmentUsage> = window.usage.iter().map(|one| (key(one), one)).collect();
    let lost = |meter: &str| LateFault::Lost(window.tenant_id.clone(), meter.to_owned());
    for mut now in usage_in(&window.stretches, &window.tenant_id, catalog, totals) {
        let before = closed.remove(&key(&now));
        let total = now.total.checked_sub(before.map(|one| one.total).unwrap_or_default());
        let total = total.map_err(|_| lost(&now.meter))?;
        if now.disposition == Disposition::Billable {
            let sum = late.billable.entry(now.meter.clone()).or_default();
            *sum = sum.checked_add(total)?;
            let mut adjusted = UsageTotal::default();
            for one in earlier.iter().filter(|one| one.is_of(now.range, &now.meter)) {
                let more = UsageTotal { records: one.records, quantity: one.quantity.into() };
                adjusted = adjusted.checked_add(more)?;
            }
            let known = before.map(aggregate).unwrap_or_default().checked_add(adjusted.quantity)?;
            let change = UsageTotal { records: total.records, quantity: aggregate(&now) }
                .checked_sub(UsageTotal { quantity: known, ..adjusted })
                .map_err(|_| lost(&now.meter))?;
            if change.records == 0 && change.quantity.is_zero() {
                continue;
            }
            match adjustment(window, &now, change, known, catalog) {
                Some(one) => late.adjustments.push(one),
                None => late.without_value.push(now.meter),
            }
        } else if total != UsageTotal::default() {
            now.total = total;
            late.excluded.push(now);
        }
    }
    match closed.values().find(|one| one.total.records > 0) {
        Some(gone) => Err(lost(&gone.meter)),
        None => Ok(late),
    }
}

/// What a segment's units come to: their sum, or what the gauge stands at.
pub fn aggregate(usage: &SegmentUsage) -> QuantitySum {
    usage.readings.unwrap_or(usage.total).quantity
}

/// Nobody knows on which plan it was used, so nothing says that it is to be billed.
fn of_unknown_layout(window: &WindowFigures, totals: &LedgerTotals) -> Result<Vec<SegmentUsage>, LateFault> {
    let late = controls::late(window, totals)?.into_iter().filter(|(_, total)| total.records > 0);
    let excluded = late.map(|(meter, total)| SegmentUsage {
        range: window.window,
        plan: None,
        meter,
        disposition: Disposition::OutsideSubscription,
        total,
        readings: None,
        taken_back: QuantitySum::ZERO,
        split: None,
    });
    Ok(excluded.collect())
}

/// `None`: it is more than a bill can hold.
fn adjustment(
    window: &WindowFigures,
    now: &SegmentUsage,
    change: UsageTotal,
    known: QuantitySum,
    catalog: &Catalog,
) -> Option<Adjustment> {
    let plan = now.plan.as_ref()?;
    let bill = |used: QuantitySum| bill(window, now, used.to_quantity().ok()?, catalog);
    let minor = bill(aggregate(now))?.checked_sub(bill(known)?)?;
    Some(Adjustment {
        tenant_id: window.tenant_id.clone(),
        window: window.window,
        range: now.range,
        plan: plan.clone(),
        meter: now.meter.clone(),
        records: change.records,
        quantity: change.quantity.to_quantity().ok()?,
        amount: MinorAmount::new(minor, plan.currency),
    })
}

/// What a segment costs on a meter, in minor units.
fn bill(window: &WindowFigures, usage: &SegmentUsage, used: Quantity, catalog: &Catalog) -> Option<i64> {
    if window.trial {
        return Some(0);
    }
    let plan = catalog.plans.get(usage.plan.as_ref()?)?;
    let price = plan.usage.get(&usage.meter)?.for_part(usage.range, window.window).ok()?;
    let lines = price.rate(used, plan.id.currency).ok()?;
    lines.iter().map(|line| line.amount.minor).try_fold(0i64, i64::checked_add)
}

/// A segment of a closed window on a meter: as it was closed, what came late, and both together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restated {
    pub tenant_id: String,
    pub plan: PlanId,
    pub meter: String,
    pub window: Window,
    pub range: Window,
    /// Late ones only.
    pub records: u64,
    pub original_quantity: QuantitySum,
    pub late_quantity: QuantitySum,
    /// Both together.
    pub quantity: QuantitySum,
    pub original_amount: MinorSum,
    pub late_amount: MinorSum,
}

impl Restated {
    /// As it was closed, and what came late.
    pub fn amount(&self) -> Result<MinorSum, MoneyError> {
        self.original_amount.checked_add(self.late_amount)
    }
}

/// One row for each window, segment and meter that has adjustments, in the order of the file.
pub fn restated(windows: &[WindowFigures], adjustments: &[Adjustment]) -> Result<Vec<Restated>, LateFault> {
    let closed: BTreeMap<_, &WindowFigures> =
        windows.iter().map(|one| ((one.tenant_id.as_str(), one.window), one)).collect();
    let mut rows: BTreeMap<_, Restated> = BTreeMap::new();
    for one in adjustments {
        let key = (&one.tenant_id, &one.plan, &one.meter, one.window, one.range);
        let row = match rows.entry(key) {
            Entry::Occupied(row) => row.into_mut(),
            Entry::Vacant(place) => {
                let window = closed.get(&(one.tenant_id.as_str(), one.window)).copied();
                place.insert(as_closed(one, window)?)
            }
        };
        row.records = row.records.checked_add(one.records).ok_or(NumberError::Overflow)?;
        row.late_quantity = row.late_quantity.checked_add(one.quantity)?;
        row.quantity = row.quantity.checked_add(one.quantity)?;
        row.late_amount = row.late_amount.checked_add(one.amount)?;
    }
    Ok(rows.into_values().collect())
}

fn as_closed(one: &Adjustment, window: Option<&WindowFigures>) -> Result<Restated, LateFault> {
    let lines = window.into_iter().flat_map(|window| &window.lines);
    let mut original_amount = MinorSum::zero(one.plan.currency);
    for line in lines.filter(|line| line.range == one.range && line.meter == one.meter) {
        original_amount = original_amount.checked_add(line.line.amount)?;
    }
    let original = window.and_then(|window| window.billable(one.range, &one.meter)).map(aggregate);
    let original = original.unwrap_or_default();
    Ok(Restated {
        tenant_id: one.tenant_id.clone(),
        plan: one.plan.clone(),
        meter: one.meter.clone(),
        window: one.window,
        range: one.range,
        records: 0,
        original_quantity: original,
        late_quantity: QuantitySum::ZERO,
        quantity: original,
        original_amount,
        late_amount: MinorSum::zero(one.plan.currency),
    })
}

#[cfg(test)]
mod tests;
