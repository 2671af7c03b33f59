//! Forecast: what a tenant will have used by the end of an open window if it goes on like this.
//!
//! In: the figures of an open window, the catalog, the tenant's history, `now`. Out: a [`Forecast`] for each meter of the plan
//! of now, exact. Nothing is smoothed and nothing is guessed: used × length / elapsed. Never for a trial, a parked window or
//! one that has ended; what cannot be said is `None`, never a panic.

use jiff::Timestamp;

use crate::domain::catalog::{Catalog, PlanId, UsagePrice};
use crate::domain::figures::{WindowFigures, WindowStatus};
use crate::domain::history::{History, Jump, Past, whole};
use crate::domain::money::{Currency, MinorAmount};
use crate::domain::number::Quantity;
use crate::domain::period::Window;
use crate::domain::ratio::Ratio;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forecast {
    pub tenant_id: String,
    pub plan: PlanId,
    pub meter: String,
    pub window: Window,
    /// The part of the window that is on this plan: it is what is forecast.
    pub range: Window,
    /// How much of the range has passed.
    pub elapsed: Ratio,
    pub used: Quantity,
    pub quota: Option<Quantity>,
    /// `None`: nothing has passed yet, or it is more than can be said.
    pub quantity: Option<Ratio>,
    /// Of the quota.
    pub share: Option<Ratio>,
    /// At the candidate price, without the base fee.
    pub amount: Option<MinorAmount>,
    /// Of whole windows only: a part is compared with nothing.
    pub past: Past,
    pub jump: Option<Jump>,
}

impl Forecast {
    /// The order of the rows.
    pub fn key(&self) -> (&str, &PlanId, &str, Window) {
        (&self.tenant_id, &self.plan, &self.meter, self.window)
    }
}

/// What a window will come to, by meter: those with usage or a quota.
pub fn forecasts(
    window: &WindowFigures,
    catalog: &Catalog,
    history: &History,
    now: Timestamp,
) -> Vec<Forecast> {
    if window.status != WindowStatus::Open || window.trial {
        return Vec::new();
    }
    let is_now = |range: Window| range.contains(now) && window.window.contains(now);
    let stretch = window.stretches.iter().find(|one| one.invoiced && is_now(one.range));
    let plan = stretch.and_then(|one| Some((one.range, catalog.plans.get(one.plan.as_ref()?)?)));
    let Some((range, plan)) = plan else { return Vec::new() };
    let is_gauge = |meter: &String| catalog.meters.get(meter).is_some_and(|one| one.aggregation.is_gauge());
    let of_meter = |(meter, price): (&String, &UsagePrice)| {
        let is_whole = whole(&window.stretches, window.window).is_some();
        let past =
            if is_whole { history.of(&window.tenant_id, plan.id.interval, meter) } else { Past::default() };
        forecast(window, (range, now), (&plan.id, meter, price), is_gauge(meter), past)
    };
    plan.usage.iter().filter_map(of_meter).collect()
}

fn forecast(
    window: &WindowFigures,
    (range, now): (Window, Timestamp),
    (plan, meter, price): (&PlanId, &str, &UsagePrice),
    is_gauge: bool,
    past: Past,
) -> Option<Forecast> {
    let usage = window.billable(range, meter).filter(|usage| usage.total.records > 0);
    let price = price.for_part(range, window.window).ok()?;
    let quota = price.free_quota.filter(|quota| !quota.is_zero());
    if usage.is_none() && quota.is_none() {
        return None;
    }
    let used = usage.map_or(Ok(Quantity::ZERO), |usage| usage.used().to_quantity()).ok()?;
    let elapsed = Ratio::new(nanoseconds(range.start, now), length(range).unsigned_abs())?;
    // A gauge stands where it stands; it does not add up.
    let growth = if is_gauge { Some(Ratio::whole(1)) } else { growth(range, now) };
    let quantity = growth.and_then(|growth| Ratio::from(used).checked_times(growth));
    let used_share = quota.and_then(|quota| Ratio::share(used, quota));
    let share = used_share.zip(growth).and_then(|(share, growth)| share.checked_times(growth));
    Some(Forecast {
        tenant_id: window.tenant_id.clone(),
        plan: plan.clone(),
        meter: meter.to_owned(),
        window: window.window,
        range,
        elapsed,
        used,
        quota,
        quantity,
        share,
        amount: quantity.and_then(|quantity| amount(quantity, &price, plan.currency)),
        past,
        jump: quantity.and_then(|quantity| past.jump(quantity)),
    })
}

/// Length by what has passed of it; `None` in the first instant.
fn growth(range: Window, now: Timestamp) -> Option<Ratio> {
    Ratio::new(length(range), nanoseconds(range.start, now).unsigned_abs())
}

fn length(range: Window) -> i128 {
    nanoseconds(range.start, range.end)
}

fn nanoseconds(from: Timestamp, to: Timestamp) -> i128 {
    to.as_nanosecond() - from.as_nanosecond()
}

fn amount(quantity: Ratio, price: &UsagePrice, currency: Currency) -> Option<MinorAmount> {
    let lines = price.rate(quantity.rounded()?, currency).ok()?;
    let minor = lines.iter().map(|line| line.amount.minor).try_fold(0i64, i64::checked_add)?;
    Some(MinorAmount::new(minor, currency))
}

#[cfg(test)]
mod tests;
