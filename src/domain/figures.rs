//! The figures of one tenant window: its usage by segment and meter, and the lines that follow from it.
//!
//! In: a window with its segments and gaps, the catalog, the ledger totals. Out: [`WindowFigures`]. Never lets one
//! tenant's state stop another: what cannot be rated is parked.

mod layout;

use std::collections::BTreeMap;

pub(in crate::domain) use layout::usage_in;
pub use layout::{Stretch, stretches};

use crate::domain::catalog::{Catalog, Plan, PlanId, UsagePrice};
use crate::domain::money::MinorAmount;
use crate::domain::number::{NumberError, Quantity, QuantitySum, UnitAmount};
use crate::domain::period::Window;
use crate::domain::population::{bill_on, next_plan};
use crate::domain::rating::{LineKind, RatedLine, RatingError, Split};
use crate::domain::tenant::{ParkReason, TenantWindow};
use crate::domain::usage::{TotalsByMeter, UsageTotal};

/// Where a window stands in `open → ended → finalized → closed`; ended and finalized ones are still open to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WindowStatus {
    Open,
    Closed,
    Parked,
}

impl WindowStatus {
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Open, Self::Closed, Self::Parked].into_iter().find(|status| status.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closed => "closed",
            Self::Parked => "parked",
        }
    }
}

/// What happens to the usage of one segment and meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disposition {
    Billable,
    /// The plan has no usage price for the meter.
    NoAccess,
    /// The tenant had no plan at that time.
    OutsideSubscription,
    /// Stripe made no invoices for the subscription: it was paused or incomplete.
    Inactive,
    /// The meter's billable rule leaves it out.
    NotBillable,
}

impl Disposition {
    pub const ALL: [Self; 5] =
        [Self::Billable, Self::NoAccess, Self::OutsideSubscription, Self::Inactive, Self::NotBillable];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|disposition| disposition.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Billable => "billable",
            Self::NoAccess => "no_access",
            Self::OutsideSubscription => "outside_subscription",
            Self::Inactive => "inactive_subscription",
            Self::NotBillable => "not_billable",
        }
    }
}

/// The usage of one meter in one segment or gap, as far as one thing happens to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentUsage {
    pub range: Window,
    /// `None` in a gap.
    pub plan: Option<PlanId>,
    pub meter: String,
    pub disposition: Disposition,
    /// All its records, with their units.
    pub total: UsageTotal,
    /// Of a gauge that is not excluded: the readings that count.
    pub readings: Option<UsageTotal>,
    /// Units that corrections took back, as far as the ledger was read: 0 for what was closed before.
    pub taken_back: QuantitySum,
    /// Only where it was rated.
    pub split: Option<Split>,
}

impl SegmentUsage {
    /// What counts as used: the sum, or what the gauge stood at. A negative total counts as 0.
    pub fn used(&self) -> QuantitySum {
        self.readings.unwrap_or(self.total).quantity.max(QuantitySum::ZERO)
    }

    /// What was billed for, free or not: without what lies above a hard cap. `None` where nothing was rated.
    pub fn within_cap(&self) -> Option<Quantity> {
        self.split.and_then(|split| split.free.checked_add(split.billed).ok())
    }
}

/// One line with the segment and plan that it bills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowLine {
    pub range: Window,
    pub plan: PlanId,
    /// Empty for the base fee.
    pub meter: String,
    pub line: RatedLine,
    /// Of usage lines: the quota that was taken off.
    pub free_quota: Option<Quantity>,
    /// Of usage lines of a whole window on one plan: what the tenant's whole usage would cost on the next plan, with its base fee.
    pub next_plan_bill: Option<i128>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowFigures {
    pub tenant_id: String,
    pub tenant_name: String,
    pub window: Window,
    /// The time whose usage belongs here.
    pub accounted: Vec<Window>,
    pub trial: bool,
    /// Its segments and gaps. Empty where nothing is known of them: it closed before they were kept.
    pub stretches: Vec<Stretch>,
    pub status: WindowStatus,
    pub park: Option<ParkReason>,
    /// The tenant is not at Stripe, and its plan has nothing that would have to be.
    pub not_billed: bool,
    /// It was seen at Stripe while its invoice still took usage.
    pub full_cycle: bool,
    /// Its subscriptions have a status in which the tenant pays.
    pub paying: bool,
    /// The catalog version that it was rated with.
    pub catalog_hash: String,
    pub usage: Vec<SegmentUsage>,
    pub lines: Vec<WindowLine>,
}

/// Ledger totals by range of time.
pub type LedgerTotals = BTreeMap<Window, TotalsByMeter>;

impl WindowFigures {
    /// Rates a window that has at least one segment, or parks it. `status` is what it becomes if nothing is wrong.
    pub fn new(
        window: &TenantWindow<'_>,
        (catalog, catalog_hash): (&Catalog, &str),
        totals: &LedgerTotals,
        status: WindowStatus,
    ) -> Self {
        let mut figures = Self {
            tenant_id: window.tenant.id().to_owned(),
            tenant_name: window.tenant.name().to_owned(),
            window: window.window,
            accounted: window.accounted.clone(),
            trial: window.trial,
            stretches: stretches(window),
            status,
            park: None,
            not_billed: false,
            full_cycle: false,
            paying: window.segments.iter().all(|segment| segment.subscription.pays()),
            catalog_hash: catalog_hash.to_owned(),
            usage: Vec::new(),
            lines: Vec::new(),
        };
        figures.usage = usage_in(&figures.stretches, &figures.tenant_id, catalog, totals);
        match window.park.map_or_else(|| figures.rate(window, catalog), Err) {
            Ok(lines) => {
                figures.lines = lines;
                figures.look_at_next_plans(catalog);
            }
            Err(reason) => figures.set_aside(reason),
        }
        figures
    }

    /// Parks the window: nothing of it is billed, and its usage is no longer split.
    pub fn set_aside(&mut self, reason: ParkReason) {
        self.status = WindowStatus::Parked;
        self.park = Some(reason);
        self.lines.clear();
        for usage in &mut self.usage {
            usage.split = None;
        }
    }

    /// What a meter used in a segment, as far as it is billed for.
    pub fn billable(&self, range: Window, meter: &str) -> Option<&SegmentUsage> {
        let is_it = |usage: &&SegmentUsage| {
            usage.range == range && usage.meter == meter && usage.disposition == Disposition::Billable
        };
        self.usage.iter().find(is_it)
    }

    /// The plan at the end of the window, for a person who looks for it.
    pub fn last_plan(&self) -> Option<&PlanId> {
        self.usage.iter().rev().find_map(|usage| usage.plan.as_ref())
    }

    /// Of whole windows only: nobody can say what a part of a window would be on another plan.
    fn look_at_next_plans(&mut self, catalog: &Catalog) {
        let [Stretch { range, .. }] = self.stretches[..] else { return };
        if range != self.window || self.trial {
            return;
        }
        let bill = |line: &WindowLine| {
            let plan = catalog.plans.get(&line.plan).filter(|_| line.line.kind != LineKind::Base)?;
            bill_on(next_plan(plan, &line.meter, catalog)?, self)
        };
        let bills: Vec<Option<i128>> = self.lines.iter().map(bill).collect();
        for (line, bill) in self.lines.iter_mut().zip(bills) {
            line.next_plan_bill = bill;
        }
    }

    /// What the ledger holds of this window now, by meter.
    pub(in crate::domain) fn accepted<'a>(
        &self,
        totals: &'a LedgerTotals,
    ) -> Result<BTreeMap<&'a str, UsageTotal>, NumberError> {
        let mut accepted: BTreeMap<&str, UsageTotal> = BTreeMap::new();
        for range in &self.accounted {
            let by_meter = totals.get(range).and_then(|tenants| tenants.get(&self.tenant_id));
            for (meter, more) in by_meter.into_iter().flatten() {
                let total = accepted.entry(meter).or_default();
                *total = total.checked_add(more.all()?)?;
            }
        }
        Ok(accepted)
    }

    fn rate(&mut self, window: &TenantWindow<'_>, catalog: &Catalog) -> Result<Vec<WindowLine>, ParkReason> {
        let fits = |usage: &SegmentUsage| {
            usage.total.quantity.to_quantity().is_ok() && usage.used().to_quantity().is_ok()
        };
        if !self.usage.iter().all(fits) {
            return Err(ParkReason::Overflow);
        }
        if window.trial {
            return rate_trial(&mut self.usage, window, catalog);
        }
        let mut lines = Vec::new();
        for segment in window.invoiced() {
            let plan = catalog.plans.get(&segment.subscription.plan).ok_or(ParkReason::UnknownPlan)?;
            for (meter, price) in &plan.usage {
                let price = price.for_part(segment.range, window.window).map_err(|_| ParkReason::Overflow)?;
                let is_it = |usage: &&mut SegmentUsage| {
                    usage.range == segment.range
                        && usage.meter == *meter
                        && usage.disposition == Disposition::Billable
                };
                let rated = if let Some(usage) = self.usage.iter_mut().find(is_it) {
                    rate_usage(usage, &price, plan)
                } else {
                    let is_gauge =
                        catalog.meters.get(meter).is_some_and(|meter| meter.aggregation.is_gauge());
                    rate_nothing(segment.range, (meter, is_gauge), &price, plan, &mut self.usage)
                };
                lines.extend(rated.map_err(|_| ParkReason::Overflow)?);
            }
        }
        lines.extend(base_line(window, catalog).map_err(|_| ParkReason::Overflow)?);
        Ok(lines)
    }
}

/// A trial costs nothing: every unit is free, and a line shows it with the amount 0 (captured: `LIVE-TRIAL` in
/// `facts/stripe.md` §4), whatever the price says of tiers, fees and packages.
fn rate_trial(
    all: &mut [SegmentUsage],
    window: &TenantWindow<'_>,
    catalog: &Catalog,
) -> Result<Vec<WindowLine>, ParkReason> {
    let mut lines = Vec::new();
    for segment in window.invoiced() {
        let plan = catalog.plans.get(&segment.subscription.plan).ok_or(ParkReason::UnknownPlan)?;
        let in_segment = |usage: &&mut SegmentUsage| {
            usage.range == segment.range && usage.disposition == Disposition::Billable
        };
        for usage in all.iter_mut().filter(in_segment) {
            let used = usage.used().to_quantity().map_err(|_| ParkReason::Overflow)?;
            usage.split = Some(Split { free: used, ..Split::default() });
            let currency = plan.id.currency;
            let line = RatedLine::new(LineKind::Usage, None, [used, used], UnitAmount::ZERO, currency)
                .map_err(|_| ParkReason::Overflow)?;
            lines.push(window_line(usage.range, (&usage.meter, None), plan, line));
        }
    }
    Ok(lines)
}

fn rate_usage(
    usage: &mut SegmentUsage,
    price: &UsagePrice,
    plan: &Plan,
) -> Result<Vec<WindowLine>, RatingError> {
    let used = usage.used().to_quantity()?;
    usage.split = Some(price.split(used)?);
    let lines = price.rate(used, plan.id.currency)?;
    let meter = (usage.meter.as_str(), price.free_quota);
    Ok(lines.into_iter().map(|line| window_line(usage.range, meter, plan, line)).collect())
}

/// A fee may be charged for nothing used (captured: the first tier's). Where nothing is, nothing is said.
fn rate_nothing(
    range: Window,
    (meter, is_gauge): (&str, bool),
    price: &UsagePrice,
    plan: &Plan,
    usage: &mut Vec<SegmentUsage>,
) -> Result<Vec<WindowLine>, RatingError> {
    let lines = price.rate(Quantity::ZERO, plan.id.currency)?;
    if lines.iter().all(|line| line.amount.minor == 0) {
        return Ok(Vec::new());
    }
    usage.push(SegmentUsage {
        range,
        plan: Some(plan.id.clone()),
        meter: meter.to_owned(),
        disposition: Disposition::Billable,
        total: UsageTotal::default(),
        readings: is_gauge.then(UsageTotal::default),
        taken_back: QuantitySum::ZERO,
        split: Some(Split::default()),
    });
    let meter = (meter, price.free_quota);
    Ok(lines.into_iter().map(|line| window_line(range, meter, plan, line)).collect())
}

fn window_line(
    range: Window,
    (meter, free_quota): (&str, Option<Quantity>),
    plan: &Plan,
    line: RatedLine,
) -> WindowLine {
    let (plan, meter) = (plan.id.clone(), meter.to_owned());
    WindowLine { range, plan, meter, line, free_quota, next_plan_bill: None }
}

/// One base fee a window, from the plan at its end or where it was paused: a plan change is pro-rated by Stripe in its own
/// lines, which are out of scope here.
fn base_line(window: &TenantWindow<'_>, catalog: &Catalog) -> Result<Option<WindowLine>, RatingError> {
    let Some(segment) = window.invoiced().next_back() else { return Ok(None) };
    let Some(plan) = catalog.plans.get(&segment.subscription.plan) else { return Ok(None) };
    if plan.amount_minor == 0 {
        return Ok(None);
    }
    let line = RatedLine::base(MinorAmount::new(plan.amount_minor, plan.id.currency))?;
    Ok(Some(window_line(segment.range, ("", None), plan, line)))
}

#[cfg(test)]
mod tests;
