//! Mapping: which windows are billed through Stripe, and what Stripe is to show for each.
//!
//! In: a tenant's window, its figures, the catalog, what stands at Stripe. Out: a [`Mapped`] window, `None` where there is
//! nothing at Stripe to look at, or the reason to park. Pure. In doubt it never picks: it parks.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::domain::catalog::{Aggregation, Billing, Catalog, PlanId, PushScope, UsagePrice};
use crate::domain::figures::{SegmentUsage, WindowFigures};
use crate::domain::intent::{Target, level};
use crate::domain::invoice::{StripeSubscription, SubscriptionItem, Unread};
use crate::domain::money::MinorSum;
use crate::domain::number::Quantity;
use crate::domain::period::{Period, Window};
use crate::domain::rating::LineKind;
use crate::domain::reconcile::{Expected, Rates, is_period_of};
use crate::domain::tenant::{ParkReason, TenantWindow};
use crate::job::stage::{Stage, is_billed_otherwise, renewal_invoice, served, usage_invoice};
use crate::job::standing::Standing;

/// How far a window has come, and when that is asked.
#[derive(Clone, Copy, Debug)]
pub struct Present {
    pub stage: Stage,
    pub now: Timestamp,
    pub period: Period,
}

/// A window that is billed through Stripe.
#[derive(Clone, Debug)]
pub struct Mapped {
    pub tenant_id: String,
    pub period: Period,
    pub window: Window,
    pub stage: Stage,
    pub customer_id: String,
    pub subscription_id: String,
    pub invoice_id: Option<String>,
    pub meters: Vec<MeterUse>,
    /// A person has said that what Stripe shows stands: nothing more is ever sent for it.
    pub stands: bool,
    /// Earlier runs had set it aside and sent nothing for it.
    pub was_parked: bool,
}

/// One meter of a mapped window.
#[derive(Clone, Debug)]
pub struct MeterUse {
    pub meter: String,
    pub aggregation: Aggregation,
    /// In the order of their segments.
    pub targets: Vec<Target>,
    pub expected: Expected,
    /// What is charged for it; `None` where nothing is.
    pub rates: Option<Rates>,
}

pub fn map(
    window: &TenantWindow<'_>,
    figures: &WindowFigures,
    catalog: &Catalog,
    standing: &Standing,
    present: Present,
) -> Result<Option<Mapped>, ParkReason> {
    let prices = usage_prices(window, catalog);
    if prices.is_empty() {
        // Our row may say `paused` of a time for which Stripe has made an invoice, and Stripe may bill what is not sold.
        let is_billed = window.is_inactive() && usage_invoice(window, standing).is_some();
        let current = window.invoiced().next_back().map(|segment| segment.subscription);
        let subscription = current.and_then(|one| standing.subscriptions.get(&one.stripe_subscription_id));
        let sells_more = present.stage == Stage::Open && has_unsold_item(subscription, &prices, standing);
        return if is_billed || sells_more { Err(ParkReason::Mapping) } else { Ok(None) };
    }
    let ids: BTreeSet<(&str, &str)> = window
        .invoiced()
        .map(|segment| segment.subscription)
        .map(|one| (one.stripe_customer_id.as_str(), one.stripe_subscription_id.as_str()))
        .collect();
    if ids.iter().any(|(customer, subscription)| customer.is_empty() || subscription.is_empty()) {
        return Err(ParkReason::NoStripeMapping);
    }
    let [(customer_id, subscription_id)] = ids.into_iter().collect::<Vec<_>>()[..] else {
        return Err(ParkReason::Mapping);
    };
    if standing.claimed_twice.contains(customer_id) {
        return Err(ParkReason::Mapping);
    }
    let stage = present.stage;
    let current = current_plan(window, present.now);
    let sold = sold(current, catalog);
    let is_needed = !sold.is_empty() && !was_billed_to(customer_id, window, standing, stage);
    let subscription = find(subscription_id, customer_id, is_needed, standing, stage)?;
    if stage == Stage::Open && has_unsold_item(subscription, &prices, standing) {
        return Err(ParkReason::Mapping);
    }
    if is_billed_elsewhere(window, (customer_id, subscription_id), &prices, standing) {
        return Err(ParkReason::DoubleMeter);
    }
    if is_billed_otherwise(window, standing) {
        return Err(ParkReason::WindowMismatch);
    }
    for meter in prices.keys() {
        // Once a window has ended, its items may have gone with its plan.
        let has_item = stage == Stage::Open && sold.contains(meter);
        if let Some(item) = item_of(subscription, meter, standing, has_item)? {
            check_price_in_force(current, item, meter, standing, stage)?;
            check_period(window, item, stage)?;
        }
    }
    let meters = uses_of(window, figures, catalog, standing, &prices)?;
    Ok(Some(Mapped {
        tenant_id: figures.tenant_id.clone(),
        period: present.period,
        window: window.window,
        stage,
        customer_id: customer_id.to_owned(),
        subscription_id: subscription_id.to_owned(),
        invoice_id: renewal_invoice(window, standing).map(|invoice| invoice.id.clone()),
        meters,
        stands: false,
        was_parked: false,
    }))
}

/// What Stripe is to show of a window, whether its subscription fits or not.
pub fn uses(
    window: &TenantWindow<'_>,
    figures: &WindowFigures,
    catalog: &Catalog,
    standing: &Standing,
) -> Result<Vec<MeterUse>, ParkReason> {
    uses_of(window, figures, catalog, standing, &usage_prices(window, catalog))
}

fn uses_of(
    window: &TenantWindow<'_>,
    figures: &WindowFigures,
    catalog: &Catalog,
    standing: &Standing,
    prices: &UsagePrices<'_>,
) -> Result<Vec<MeterUse>, ParkReason> {
    let mut all = Vec::new();
    for (meter, prices) in prices {
        let aggregation = catalog.meters.get(*meter).ok_or(ParkReason::Mapping)?.aggregation;
        let using = meter_use(window, figures, (meter, aggregation), prices);
        let mut using = using.ok_or(ParkReason::Overflow)?;
        let plans = window.invoiced().map(|segment| segment.subscription.plan.clone());
        let in_force = plans.filter_map(|plan| standing.in_force.get(&(plan, using.meter.clone())));
        using.expected.price_ids = in_force.cloned().collect();
        all.push(using);
    }
    Ok(all)
}

/// The subscription as Stripe has it. It is listed by its prices: after a change of plan at the window's end it may have none
/// of them any more, and is not needed.
fn find<'a>(
    subscription_id: &str,
    customer_id: &str,
    is_needed: bool,
    standing: &'a Standing,
    stage: Stage,
) -> Result<Option<&'a StripeSubscription>, ParkReason> {
    let found = standing.subscriptions.get(subscription_id);
    match found {
        Some(one) if one.customer_id != customer_id => Err(ParkReason::Mapping),
        Some(one) if one.customer_deleted => Err(ParkReason::CustomerDeleted),
        _ if standing.is_unread(subscription_id) => Err(ParkReason::Incomplete),
        None if is_needed => {
            let is_invoice_unread =
                stage != Stage::Open && standing.unread_invoice(subscription_id).is_some();
            let may_be_there = standing.may_be_unread() || is_invoice_unread;
            Err(if may_be_there { ParkReason::Incomplete } else { ParkReason::Mapping })
        }
        _ => Ok(found),
    }
}

impl Mapped {
    /// The invoice that is not understood, where the window has ended and found none of its own: it may be that one.
    pub fn unread_invoice<'a>(&self, standing: &'a Standing) -> Option<&'a Unread> {
        let is_missing = self.stage != Stage::Open && self.invoice_id.is_none();
        standing.unread_invoice(&self.subscription_id).filter(|_| is_missing)
    }
}

/// Whether another subscription of the customer that lives bills one of these meters at the same time: a meter counts for a
/// customer, so each would bill all of it.
fn is_billed_elsewhere(
    window: &TenantWindow<'_>,
    (customer_id, subscription_id): (&str, &str),
    prices: &UsagePrices<'_>,
    standing: &Standing,
) -> bool {
    let others = standing.by_customer.get(customer_id).into_iter().flatten();
    let mut others =
        others.filter(|id| *id != subscription_id).filter_map(|id| standing.subscriptions.get(id));
    let meters = || prices.keys().filter_map(|meter| standing.meters.get(*meter));
    let bills = |item: &SubscriptionItem| {
        let is_now = item.current_period.intersection(served(window)).is_some();
        is_now && meters().any(|meter| meter.is_billed_by(item))
    };
    others.any(|other| !other.is_over() && other.items.iter().any(bills))
}

/// Whether a window that has ended was billed to this customer.
fn was_billed_to(customer_id: &str, window: &TenantWindow<'_>, standing: &Standing, stage: Stage) -> bool {
    let invoice = usage_invoice(window, standing).filter(|_| stage != Stage::Open);
    invoice.is_some_and(|invoice| invoice.customer_id.as_deref() == Some(customer_id))
}

/// Whether Stripe bills a meter of the catalog that no plan of the window sells.
fn has_unsold_item(
    subscription: Option<&StripeSubscription>,
    prices: &UsagePrices<'_>,
    standing: &Standing,
) -> bool {
    let unsold = |item: &SubscriptionItem| {
        let mut meters = standing.meters.iter();
        meters.any(|(meter, at_stripe)| !prices.contains_key(meter.as_str()) && at_stripe.is_billed_by(item))
    };
    subscription.is_some_and(|one| one.items.iter().any(unsold))
}

/// The usage prices of all invoiced segments, by meter.
type UsagePrices<'a> = BTreeMap<&'a str, Vec<(Window, &'a UsagePrice)>>;

fn usage_prices<'a>(window: &TenantWindow<'_>, catalog: &'a Catalog) -> UsagePrices<'a> {
    let mut prices = UsagePrices::new();
    for segment in window.invoiced() {
        let plan = catalog.plans.get(&segment.subscription.plan);
        for (meter, usage) in plan.into_iter().flat_map(|plan| &plan.usage) {
            prices.entry(meter).or_default().push((segment.range, usage));
        }
    }
    prices
}

/// The plan that holds now, or did at the window's end: a change that is still to come is nothing to Stripe yet.
fn current_plan<'a>(window: &TenantWindow<'a>, now: Timestamp) -> Option<&'a PlanId> {
    let begun = window.segments.iter().rfind(|segment| segment.range.start <= now);
    begun.or(window.segments.first()).map(|segment| &segment.subscription.plan)
}

fn sold<'a>(plan: Option<&PlanId>, catalog: &'a Catalog) -> BTreeSet<&'a str> {
    let plan = plan.and_then(|plan| catalog.plans.get(plan));
    plan.into_iter().flat_map(|plan| plan.usage.keys()).map(String::as_str).collect()
}

/// The one item that bills the meter. Two of them bill it twice. A meter that only another plan of the window sells
/// has lost its item with that plan, or is to get it.
fn item_of<'a>(
    subscription: Option<&'a StripeSubscription>,
    meter: &str,
    standing: &Standing,
    is_sold: bool,
) -> Result<Option<&'a SubscriptionItem>, ParkReason> {
    let at_stripe = standing.meters.get(meter).ok_or(ParkReason::Mapping)?;
    let of_meter = |item: &&SubscriptionItem| at_stripe.is_billed_by(item);
    let mut items = subscription.into_iter().flat_map(|one| &one.items).filter(of_meter);
    match (items.next(), items.next()) {
        (Some(item), None) => Ok(Some(item)),
        (None, _) if !is_sold => Ok(None),
        (None, _) => Err(ParkReason::Mapping),
        (Some(_), Some(_)) => Err(ParkReason::DoubleMeter),
    }
}

/// While a window is open its item must have the price that the catalog says is in force; afterwards the plan may have
/// changed.
fn check_price_in_force(
    plan: Option<&PlanId>,
    item: &SubscriptionItem,
    meter: &str,
    standing: &Standing,
    stage: Stage,
) -> Result<(), ParkReason> {
    let in_force = plan.and_then(|plan| standing.in_force.get(&(plan.clone(), meter.to_owned())));
    match in_force {
        Some(price_id) if stage == Stage::Open && *price_id != item.price_id => Err(ParkReason::Mapping),
        _ => Ok(()),
    }
}

/// Where Stripe's period and our window have time in common, they must be the same.
fn check_period(window: &TenantWindow<'_>, item: &SubscriptionItem, stage: Stage) -> Result<(), ParkReason> {
    let ours = window.window;
    let current = item.current_period;
    let agrees = if current.intersection(ours).is_some() {
        is_period_of(current, ours, served(window))
    } else {
        stage != Stage::Open
    };
    if agrees { Ok(()) } else { Err(ParkReason::WindowMismatch) }
}

fn meter_use(
    window: &TenantWindow<'_>,
    figures: &WindowFigures,
    (meter, aggregation): (&str, Aggregation),
    prices: &[(Window, &UsagePrice)],
) -> Option<MeterUse> {
    let plan = window.segments.last()?.subscription.plan.clone();
    let mut amount = MinorSum::zero(plan.currency);
    let (mut targets, mut parts) = (Vec::new(), Vec::new());
    for (range, price) in prices {
        let target = target(*range, figures.billable(*range, meter), price.push)?;
        targets.push(target);
        let lines = figures
            .lines
            .iter()
            .filter(|line| line.line.kind != LineKind::Base && line.range == *range && line.meter == meter);
        if price.billing == Billing::Live {
            parts.push((price.at_stripe(), target.quantity));
            for line in lines {
                amount = amount.checked_add(line.line.amount).ok()?;
            }
        }
    }
    let expected = Expected {
        tenant_id: figures.tenant_id.clone(),
        plan,
        meter: meter.to_owned(),
        window: window.window,
        served: served(window),
        quantity: total(aggregation, &targets)?,
        amount,
        trial: window.trial,
        edges: None,
        price_ids: BTreeSet::new(),
    };
    let is_charged = !parts.is_empty() && !window.trial;
    let rates = is_charged.then_some(Rates { currency: amount.currency, parts });
    Some(MeterUse { meter: meter.to_owned(), aggregation, targets, expected, rates })
}

/// What Stripe is to see of a segment. Nothing above a hard cap is ever sent.
fn target(segment: Window, used: Option<&SegmentUsage>, push: PushScope) -> Option<Target> {
    let Some(used) = used else {
        return Some(Target { segment, quantity: Quantity::ZERO, records: 0, taken_back: Quantity::ZERO });
    };
    let quantity = match push {
        PushScope::All => used.within_cap()?,
        PushScope::Overage => used.split?.billed,
    };
    let taken_back = used.taken_back.to_quantity().ok()?;
    Some(Target { segment, quantity, records: used.total.records, taken_back })
}

/// What a meter shows of all segments: their sum, or of a gauge its last level.
fn total(aggregation: Aggregation, targets: &[Target]) -> Option<Quantity> {
    if aggregation.is_gauge() {
        return Some(level::shown(targets).map_or(Quantity::ZERO, |target| target.quantity));
    }
    targets.iter().try_fold(Quantity::ZERO, |sum, target| sum.checked_add(target.quantity).ok())
}
