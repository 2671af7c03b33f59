//! Accruals: what was used by the end of a period in windows that are still open then, and what it would cost.
//!
//! In: the windows of a tenant, an instant, the ledger's totals up to it, the catalog. Out: [`Accrual`]s at the candidate
//! price. An estimate for the month-end books, nothing that is billed: the window's bill comes when it closes, and a quota
//! or a tier counts for the whole of it. Base fees are no accruals: they are known in advance.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::catalog::{Catalog, Plan, PlanId};
use crate::domain::figures::LedgerTotals;
use crate::domain::money::MinorAmount;
use crate::domain::number::QuantitySum;
use crate::domain::period::{Interval, Period, Window};
use crate::domain::tenant::{Segment, Tenant, TenantWindow};

/// Usage of one window, by plan and meter. The field order is the order of the rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accrual {
    pub tenant_id: String,
    pub plan: PlanId,
    pub meter: String,
    pub window: Window,
    /// The end of the period.
    pub until: Timestamp,
    pub records: u64,
    pub quantity: QuantitySum,
    pub amount: MinorAmount,
}

/// The windows of a tenant, whatever their label, that are open when `period` ends. One that cannot be told apart from
/// another is left out: its tenant is parked.
pub fn open_at_end<'a>(tenant: &'a Tenant, period: Period, zone: &TimeZone) -> Vec<TenantWindow<'a>> {
    let end = period.next().start(zone);
    let is_open =
        |one: &TenantWindow<'_>| one.window.start < end && end < one.window.end && one.park.is_none();
    // A label is at most a month, and a month of a zone, away from the window's last month.
    let rows = tenant.subscriptions();
    let is_long = rows.iter().any(|row| row.plan.interval == Interval::Year || row.trial_end.is_some());
    let labels = std::iter::successors(Some(period.previous()), |label| Some(label.next()));
    let windows = labels.take(if is_long { 15 } else { 3 }).flat_map(|label| tenant.windows(label, zone));
    let mut open: Vec<TenantWindow<'a>> = windows.filter(is_open).collect();
    open.sort_by_key(|one| one.window);
    open.dedup_by_key(|one| one.window);
    open
}

/// The parts of a window before `until` that Stripe makes invoices for.
pub fn parts<'w, 'a>(
    window: &'w TenantWindow<'a>,
    until: Timestamp,
) -> impl Iterator<Item = (&'w Segment<'a>, Window)> {
    let before = Window { start: window.window.start, end: until };
    window.invoiced().filter_map(move |segment| Some((segment, segment.range.intersection(before)?)))
}

/// What the windows come to by `until`, in the order of the file. A part whose plan is not known, or that is more than a bill
/// can hold, is left out: its tenant is parked when the window closes.
pub fn accruals(
    windows: &[TenantWindow<'_>],
    until: Timestamp,
    catalog: &Catalog,
    totals: &LedgerTotals,
) -> Vec<Accrual> {
    let mut rows: BTreeMap<(String, PlanId, String, Window), Accrual> = BTreeMap::new();
    for window in windows {
        for (segment, range) in parts(window, until) {
            let Some(plan) = catalog.plans.get(&segment.subscription.plan) else { continue };
            for meter in plan.usage.keys() {
                let Some(more) = accrual(window, segment, (range, until), (plan, meter), totals) else {
                    continue;
                };
                let key = (more.tenant_id.clone(), more.plan.clone(), meter.clone(), more.window);
                match rows.entry(key) {
                    Entry::Vacant(place) => {
                        place.insert(more);
                    }
                    Entry::Occupied(mut row) => {
                        if let Some(both) = joined(row.get(), &more) {
                            row.insert(both);
                        }
                    }
                }
            }
        }
    }
    rows.into_values().filter(|one| one.records > 0 || one.amount.minor != 0).collect()
}

fn accrual(
    window: &TenantWindow<'_>,
    segment: &Segment<'_>,
    (range, until): (Window, Timestamp),
    (plan, meter): (&Plan, &str),
    totals: &LedgerTotals,
) -> Option<Accrual> {
    let by_meter = totals.get(&range).and_then(|tenants| tenants.get(window.tenant.id()));
    let usage = by_meter.and_then(|meters| meters.get(meter)).copied().unwrap_or_default();
    let quantity = usage.readings.unwrap_or(usage.billable).quantity.max(QuantitySum::ZERO);
    let price = plan.usage.get(meter)?.for_part(segment.range, window.window).ok()?;
    let lines = price.rate(quantity.to_quantity().ok()?, plan.id.currency).ok()?;
    let minor = lines.iter().map(|line| line.amount.minor).try_fold(0i64, i64::checked_add)?;
    Some(Accrual {
        tenant_id: window.tenant.id().to_owned(),
        plan: plan.id.clone(),
        meter: meter.to_owned(),
        window: window.window,
        until,
        records: usage.billable.records,
        quantity,
        amount: MinorAmount::new(if window.trial { 0 } else { minor }, plan.id.currency),
    })
}

/// Two segments on one plan in one window.
fn joined(one: &Accrual, more: &Accrual) -> Option<Accrual> {
    let minor = one.amount.minor.checked_add(more.amount.minor)?;
    let quantity = one.quantity.checked_add(more.quantity).ok()?;
    let records = one.records.checked_add(more.records)?;
    Some(Accrual { records, quantity, amount: MinorAmount { minor, ..one.amount }, ..one.clone() })
}
