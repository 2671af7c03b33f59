//! Accruals: what was used by the end of a period in windows that are still open then, and what it would cost.
//!
//! In: the windows of a tenant, an instant, the ledger's totals up to it, the catalog. Out: [`Accrual`]s at the candidate
//! price. An estimate for the month-end books, nothing that is billed: the window's bill comes when it closes, and a quota
//! or a tier counts for the whole of it. Base fees are no accruals: they are known in advance.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::catalog::{Catalog, Plan, PlanId};
use crate::domain::figures::LedgerTotals;
use crate::domain::money::MinorAmount;
use crate::domain::number::QuantitySum;
use crate::domain::period::{Interval, Period, Window};
use crate::domain::tenant::{ParkReason, Segment, Tenant, TenantWindow};

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

/// What is in no accrual. The tenant will be parked when the window closes, for the same reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    pub tenant_id: String,
    pub plan: PlanId,
    /// Empty: all of them, because the plan is not known.
    pub meter: String,
    pub why: ParkReason,
}

/// What the windows come to by `until`, in the order of the file, and what of them cannot be told: a plan that is not known, a
/// sum that is more than a bill can hold. Of a sum all parts are told, or none.
pub fn accruals(
    windows: &[TenantWindow<'_>],
    until: Timestamp,
    catalog: &Catalog,
    totals: &LedgerTotals,
) -> (Vec<Accrual>, Vec<LeftOut>) {
    let mut sums: BTreeMap<(&str, &PlanId, &str, Window), Option<Accrual>> = BTreeMap::new();
    let mut left_out = Vec::new();
    for window in windows {
        for (segment, range) in parts(window, until) {
            let (tenant_id, plan) = (window.tenant.id(), &segment.subscription.plan);
            let Some(plan) = catalog.plans.get(plan) else {
                let (tenant_id, plan) = (tenant_id.to_owned(), plan.clone());
                let why = ParkReason::UnknownPlan;
                left_out.push(LeftOut { tenant_id, plan, meter: String::new(), why });
                continue;
            };
            for meter in plan.usage.keys() {
                let more = accrual(window, segment, (range, until), (plan, meter), totals);
                let key = (tenant_id, &plan.id, meter.as_str(), window.window);
                let sum = match sums.remove(&key) {
                    None => more,
                    Some(before) => before.zip(more).and_then(|(one, more)| joined(&one, &more)),
                };
                sums.insert(key, sum);
            }
        }
    }
    let mut accruals = Vec::new();
    for ((tenant_id, plan, meter, _), sum) in sums {
        if let Some(one) = sum {
            accruals.extend((one.records > 0 || one.amount.minor != 0).then_some(one));
            continue;
        }
        let (tenant_id, meter) = (tenant_id.to_owned(), meter.to_owned());
        left_out.push(LeftOut { tenant_id, plan: plan.clone(), meter, why: ParkReason::Overflow });
    }
    (accruals, left_out)
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
