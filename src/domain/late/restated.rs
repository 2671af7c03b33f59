//! Restated: closed figures with what came late to them, side by side.
//!
//! In: closed windows, all adjustments of them. Out: [`Restated`], one row for each window, segment and meter that has
//! adjustments. Never rates anything: the money of each adjustment is known.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use crate::domain::catalog::PlanId;
use crate::domain::figures::WindowFigures;
use crate::domain::late::{Adjustment, LateFault, aggregate};
use crate::domain::money::{MinorSum, MoneyError};
use crate::domain::number::{NumberError, QuantitySum};
use crate::domain::period::Window;

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
