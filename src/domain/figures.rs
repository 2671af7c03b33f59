//! The figures of one tenant window: its usage by segment and meter, and the lines that follow from it.
//!
//! In: a window with its segments and gaps, the catalog, the ledger totals. Out: [`WindowFigures`]. Never lets one
//! tenant's state stop another: what cannot be rated is parked.

use std::collections::BTreeMap;

use crate::domain::catalog::{Catalog, Plan, PlanId, UsagePrice};
use crate::domain::money::MinorAmount;
use crate::domain::number::NumberError;
use crate::domain::period::Window;
use crate::domain::rating::{RatedLine, RatingError, Split};
use crate::domain::tenant::{ParkReason, Segment, TenantWindow};
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
}

impl Disposition {
    const ALL: [Self; 3] = [Self::Billable, Self::NoAccess, Self::OutsideSubscription];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|disposition| disposition.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Billable => "billable",
            Self::NoAccess => "no_access",
            Self::OutsideSubscription => "outside_subscription",
        }
    }
}

/// The usage of one meter in one segment or gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentUsage {
    pub range: Window,
    /// `None` in a gap.
    pub plan: Option<PlanId>,
    pub meter: String,
    pub disposition: Disposition,
    pub total: UsageTotal,
    /// Only where it was rated.
    pub split: Option<Split>,
}

/// One line with the segment and plan that it bills.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowLine {
    pub range: Window,
    pub plan: PlanId,
    /// Empty for the base fee.
    pub meter: String,
    pub line: RatedLine,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowFigures {
    pub tenant_id: String,
    pub tenant_name: String,
    pub window: Window,
    /// The time whose usage belongs here.
    pub accounted: Vec<Window>,
    pub status: WindowStatus,
    pub park: Option<ParkReason>,
    /// The tenant is not at Stripe, and its plan has nothing that would have to be.
    pub not_billed: bool,
    /// It was seen at Stripe while its invoice still took usage.
    pub full_cycle: bool,
    pub usage: Vec<SegmentUsage>,
    pub lines: Vec<WindowLine>,
}

/// Ledger totals by range of time.
pub type LedgerTotals = BTreeMap<Window, TotalsByMeter>;

impl WindowFigures {
    /// Rates a window that has at least one segment, or parks it. `status` is what it becomes if nothing is wrong.
    pub fn new(
        window: &TenantWindow<'_>,
        catalog: &Catalog,
        totals: &LedgerTotals,
        status: WindowStatus,
    ) -> Self {
        let mut figures = Self {
            tenant_id: window.tenant.id().to_owned(),
            tenant_name: window.tenant.name().to_owned(),
            window: window.window,
            accounted: window.accounted.clone(),
            status,
            park: None,
            not_billed: false,
            full_cycle: false,
            usage: usage_of(window, catalog, totals),
            lines: Vec::new(),
        };
        match window.park.map_or_else(|| figures.rate(window, catalog), Err) {
            Ok(lines) => figures.lines = lines,
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

    /// The plan at the end of the window, for a person who looks for it.
    pub fn last_plan(&self) -> Option<&PlanId> {
        self.usage.iter().rev().find_map(|usage| usage.plan.as_ref())
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
                *total = total.checked_add(*more)?;
            }
        }
        Ok(accepted)
    }

    fn rate(&mut self, window: &TenantWindow<'_>, catalog: &Catalog) -> Result<Vec<WindowLine>, ParkReason> {
        if self.usage.iter().any(|usage| usage.total.quantity.to_quantity().is_err()) {
            return Err(ParkReason::Overflow);
        }
        let mut lines = Vec::new();
        for segment in &window.segments {
            let plan = catalog.plans.get(&segment.subscription.plan).ok_or(ParkReason::UnknownPlan)?;
            for usage in self.usage.iter_mut().filter(|usage| usage.range == segment.range) {
                if let Some(price) = plan.usage.get(&usage.meter) {
                    lines.extend(rate_usage(usage, price, plan).map_err(|_| ParkReason::Overflow)?);
                }
            }
        }
        lines.extend(base_line(window, catalog).map_err(|_| ParkReason::Overflow)?);
        Ok(lines)
    }
}

fn usage_of(window: &TenantWindow<'_>, catalog: &Catalog, totals: &LedgerTotals) -> Vec<SegmentUsage> {
    let in_segments = window.segments.iter().map(|segment| (segment.range, Some(segment)));
    let in_gaps = window.gaps.iter().map(|gap| (*gap, None));
    let mut usage = Vec::new();
    for (range, segment) in in_segments.chain(in_gaps) {
        let by_meter = totals.get(&range).and_then(|tenants| tenants.get(window.tenant.id()));
        for (meter, total) in by_meter.into_iter().flatten() {
            usage.push(SegmentUsage {
                range,
                plan: segment.map(|segment| segment.subscription.plan.clone()),
                meter: meter.clone(),
                disposition: disposition(segment, meter, catalog),
                total: *total,
                split: None,
            });
        }
    }
    usage
}

fn disposition(segment: Option<&Segment<'_>>, meter: &str, catalog: &Catalog) -> Disposition {
    let Some(segment) = segment else {
        return Disposition::OutsideSubscription;
    };
    match catalog.plans.get(&segment.subscription.plan) {
        Some(plan) if !plan.usage.contains_key(meter) => Disposition::NoAccess,
        // Without its plan the window is parked, and nothing is known about access.
        Some(_) | None => Disposition::Billable,
    }
}

fn rate_usage(
    usage: &mut SegmentUsage,
    price: &UsagePrice,
    plan: &Plan,
) -> Result<Vec<WindowLine>, RatingError> {
    let used = usage.total.quantity.to_quantity()?;
    usage.split = Some(price.split(used)?);
    let lines = price.rate(used, plan.id.currency)?;
    let line =
        |line| WindowLine { range: usage.range, plan: plan.id.clone(), meter: usage.meter.clone(), line };
    Ok(lines.into_iter().map(line).collect())
}

/// One base fee a window, from the plan at its end: a plan change is pro-rated by Stripe in its own lines, which are
/// out of scope here.
fn base_line(window: &TenantWindow<'_>, catalog: &Catalog) -> Result<Option<WindowLine>, RatingError> {
    let Some(segment) = window.segments.last() else { return Ok(None) };
    let Some(plan) = catalog.plans.get(&segment.subscription.plan) else { return Ok(None) };
    if plan.amount_minor == 0 {
        return Ok(None);
    }
    let line = RatedLine::base(MinorAmount::new(plan.amount_minor, plan.id.currency))?;
    Ok(Some(WindowLine { range: segment.range, plan: plan.id.clone(), meter: String::new(), line }))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::catalog::{Aggregation, Billing, Meter, Price, PushScope};
    use crate::domain::controls::{ControlFault, ControlTotals, Measure};
    use crate::domain::money::Currency;
    use crate::domain::number::UnitAmount;
    use crate::domain::number::{Quantity, QuantitySum};
    use crate::domain::period::{Interval, Period};
    use crate::domain::tenant::{Subscription, SubscriptionStatus, Tenant};

    fn plan_id(key: &str) -> PlanId {
        PlanId { key: key.into(), interval: Interval::Month, currency: Currency::parse("try").unwrap() }
    }

    /// Plan `pro` sells `calls` with 100 free; nothing sells `other`.
    fn catalog() -> Catalog {
        let mut catalog = Catalog::default();
        for key in ["calls", "other"] {
            let meter = Meter { key: key.into(), aggregation: Aggregation::Sum, event_name: key.into() };
            catalog.add_meter(meter, "meter").unwrap();
        }
        let unit = Price::PerUnit(UnitAmount::parse("700").unwrap());
        let quota = Some(Quantity::whole(100).unwrap());
        let price = UsagePrice::new(Billing::Shadow, PushScope::All, quota, unit, "usage").unwrap();
        let usage = [("calls".to_owned(), price)].into();
        catalog.add_plan(Plan { id: plan_id("pro"), amount_minor: 99_900, usage }, "plan").unwrap();
        catalog
    }

    fn tenant(plan: &str, started_at: &str) -> Tenant {
        let subscription = Subscription {
            tenant_id: "acme".into(),
            name: "Acme".into(),
            plan: plan_id(plan),
            stripe_customer_id: String::new(),
            stripe_subscription_id: String::new(),
            status: SubscriptionStatus::Active,
            billing_anchor: None,
            trial_end: None,
            started_at: Some(started_at.parse().unwrap()),
            ended_at: None,
        };
        Tenant::new("acme".into(), vec![subscription]).unwrap()
    }

    fn total(records: u64, quantity: &str) -> UsageTotal {
        UsageTotal { records, quantity: QuantitySum::parse(quantity).unwrap() }
    }

    /// The same totals for the window and for each of its pieces, split by the caller.
    fn totals(pieces: &[(Window, &str, UsageTotal)]) -> LedgerTotals {
        let mut totals = LedgerTotals::new();
        for (range, meter, total) in pieces {
            let tenants = totals.entry(*range).or_default();
            tenants.entry("acme".to_owned()).or_default().insert((*meter).to_owned(), *total);
        }
        totals
    }

    fn october(tenant: &Tenant) -> TenantWindow<'_> {
        tenant.windows(Period::parse("2026-10").unwrap(), &jiff::tz::TimeZone::UTC).remove(0)
    }

    fn measure(control: &ControlTotals, meter: &str, measure: Measure) -> (u64, String) {
        let total = control.0[meter][&measure];
        (total.records, total.quantity.to_string())
    }

    #[test]
    fn usage_of_a_meter_without_a_price_and_of_a_time_without_a_plan_is_excluded_and_the_totals_tie() {
        let tenant = tenant("pro", "2026-10-10T00:00:00Z");
        let window = october(&tenant);
        let (segment, gap) = (window.segments[0].range, window.gaps[0]);
        let totals = totals(&[
            (window.window, "calls", total(5, "134")),
            (window.window, "other", total(1, "9")),
            (segment, "calls", total(3, "130")),
            (segment, "other", total(1, "9")),
            (gap, "calls", total(2, "4")),
        ]);
        let figures = WindowFigures::new(&window, &catalog(), &totals, WindowStatus::Closed);
        let amounts: Vec<i64> = figures.lines.iter().map(|line| line.line.amount.minor).collect();
        assert_eq!(amounts, [0, 21_000, 99_900]);
        let control = ControlTotals::prove(&[], &[&figures], &totals).unwrap();
        assert_eq!(measure(&control, "calls", Measure::Accepted), (5, "134".into()));
        assert_eq!(measure(&control, "calls", Measure::Excluded), (2, "4".into()));
        assert_eq!(measure(&control, "calls", Measure::Free), (0, "100".into()));
        assert_eq!(measure(&control, "calls", Measure::Billed), (0, "30".into()));
        assert_eq!(measure(&control, "other", Measure::Excluded), (1, "9".into()));
    }

    #[test]
    fn what_the_ledger_holds_beyond_a_closed_window_is_late() {
        let tenant = tenant("pro", "2026-01-01T00:00:00Z");
        let window = october(&tenant);
        let then = totals(&[(window.window, "calls", total(3, "130"))]);
        let closed = WindowFigures::new(&window, &catalog(), &then, WindowStatus::Closed);
        let now = totals(&[(window.window, "calls", total(4, "137.5"))]);
        let control = ControlTotals::prove(&[&closed], &[], &now).unwrap();
        assert_eq!(measure(&control, "calls", Measure::Late), (1, "7.5".into()));
        assert_eq!(measure(&control, "calls", Measure::InWindow), (3, "130".into()));
    }

    #[test]
    fn a_lost_record_and_a_wrong_line_break_the_proof() {
        let tenant = tenant("pro", "2026-01-01T00:00:00Z");
        let window = october(&tenant);
        let totals_now = totals(&[(window.window, "calls", total(3, "130"))]);
        let mut figures = WindowFigures::new(&window, &catalog(), &totals_now, WindowStatus::Closed);
        let more = totals(&[(window.window, "calls", total(4, "131"))]);
        let fault = ControlTotals::prove(&[], &[&figures], &more).unwrap_err();
        assert_eq!(fault, ControlFault::Records("calls".into()));
        figures.lines[1].line.quantity = Quantity::whole(29).unwrap();
        let fault = ControlTotals::prove(&[], &[&figures], &totals_now).unwrap_err();
        assert_eq!(fault, ControlFault::Lines("acme".into(), "calls".into()));
    }

    #[test]
    fn a_tenant_that_cannot_be_rated_is_parked_with_its_reason() {
        let unknown = tenant("legacy", "2026-01-01T00:00:00Z");
        let window = october(&unknown);
        let some = totals(&[(window.window, "calls", total(1, "12"))]);
        let parked = WindowFigures::new(&window, &catalog(), &some, WindowStatus::Closed);
        assert_eq!((parked.status, parked.park), (WindowStatus::Parked, Some(ParkReason::UnknownPlan)));
        let control = ControlTotals::prove(&[], &[&parked], &some).unwrap();
        assert_eq!(measure(&control, "calls", Measure::Parked), (1, "12".into()));
        let pro = tenant("pro", "2026-01-01T00:00:00Z");
        let window = october(&pro);
        let absurd = totals(&[(window.window, "calls", total(2_000, "2000000000000000000"))]);
        let parked = WindowFigures::new(&window, &catalog(), &absurd, WindowStatus::Closed);
        assert_eq!(parked.park, Some(ParkReason::Overflow));
        assert!(parked.lines.is_empty());
        ControlTotals::prove(&[], &[&parked], &absurd).unwrap();
    }

    proptest! {
        #[test]
        fn the_totals_of_any_usage_tie(units in 0u64..100_000, milli in 0u32..1_000, records in 1u64..50) {
            let tenant = tenant("pro", "2026-01-01T00:00:00Z");
            let window = october(&tenant);
            let totals = totals(&[(window.window, "calls", total(records, &format!("{units}.{milli:03}")))]);
            let figures = WindowFigures::new(&window, &catalog(), &totals, WindowStatus::Closed);
            prop_assert!(ControlTotals::prove(&[], &[&figures], &totals).is_ok());
        }
    }
}
