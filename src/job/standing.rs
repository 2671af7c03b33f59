//! What stands at Stripe whatever the period: the catalog's prices and meters, subscriptions, renewal invoices. Read once a
//! wake, and checked before anything is sent.
//!
//! In: the wire, the catalog. Out: a [`Standing`], or a refusal that names the plan and the price. Never one call per
//! tenant: subscriptions are listed by price, invoices by time, 100 a page.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::domain::catalog::PlanId;
use crate::domain::catalog::{Aggregation, Billing, Catalog, Meter, Plan, PushScope, UsagePrice};
use crate::domain::intent::PushMode;
use crate::domain::invoice::{Invoice, MeterFormula, StripeMeter, StripePrice, StripeSubscription};
use crate::domain::number::Quantity;
use crate::domain::period::Window;
use crate::domain::reconcile::Scope;
use crate::job::Refusal;
use crate::job::connection::Wire;
use crate::job::seed::derived_price;

/// What was read.
#[derive(Debug, Default)]
pub struct Standing {
    /// The id of the price in force, by plan and meter.
    pub in_force: BTreeMap<(PlanId, String), String>,
    /// By our meter key.
    pub meters: BTreeMap<String, MeterAtStripe>,
    /// By id.
    pub subscriptions: BTreeMap<String, StripeSubscription>,
    /// Customers that two tenants claim: nothing is sent to them.
    pub claimed_twice: BTreeSet<String>,
    /// By subscription.
    pub invoices: BTreeMap<String, Vec<Invoice>>,
}

#[derive(Debug)]
pub struct MeterAtStripe {
    pub id: String,
    pub event_name: String,
    pub scope: Scope,
}

/// Reads and checks. `since` is the oldest instant at which an invoice of interest can have been made.
pub async fn read(
    wire: &Wire,
    catalog: &Catalog,
    since: Option<Timestamp>,
    now: Timestamp,
) -> anyhow::Result<Standing> {
    let mut standing = Standing::default();
    if catalog.plans.values().all(|plan| plan.usage.is_empty()) {
        return Ok(standing);
    }
    let meters = wire.stripe.meters().await?;
    for plan in catalog.plans.values() {
        for (meter, usage) in &plan.usage {
            let meter = catalog.meters.get(meter).ok_or_else(|| internal("a plan without its meter"))?;
            read_usage_price(plan, meter, usage, &meters, wire, &mut standing).await?;
        }
    }
    for price_id in standing.meters.values().flat_map(|meter| &meter.scope.price_ids) {
        for subscription in wire.stripe.subscriptions_with_price(price_id).await? {
            standing.subscriptions.insert(subscription.id.clone(), subscription);
        }
    }
    if let Some(since) = since {
        let created = Window { start: since, end: now.saturating_add(jiff::SignedDuration::from_secs(1))? };
        for invoice in wire.stripe.invoices(created).await? {
            if let Some(subscription_id) = invoice.subscription_id.clone() {
                standing.invoices.entry(subscription_id).or_default().push(invoice);
            }
        }
    }
    Ok(standing)
}

fn internal(text: &str) -> Refusal {
    Refusal::Configuration(format!("the catalog is damaged: {text}; import it again"))
}

async fn read_usage_price(
    plan: &Plan,
    meter: &Meter,
    usage: &UsagePrice,
    meters: &[StripeMeter],
    wire: &Wire,
    standing: &mut Standing,
) -> anyhow::Result<()> {
    let place = format!("plan `{}`, meter `{}`", plan.id.key, meter.key);
    let at_stripe = find_meter(meter, meters, wire.push, &place)?;
    let shadow = price_of(usage, plan, meter, Billing::Shadow, wire, &place).await?;
    let overage = price_of(usage, plan, meter, Billing::Live, wire, &place).await?;
    for price in [&shadow, &overage].into_iter().flatten() {
        check_price(price, plan, at_stripe, &place)?;
    }
    let in_force = match usage.billing {
        Billing::Shadow => check_shadow(shadow.as_ref(), &place)?,
        Billing::Live => overage.as_ref().ok_or_else(|| unnamed(&place, "overage_price_id"))?,
    };
    check_quota(usage, overage.as_ref(), &place)?;
    standing.in_force.insert((plan.id.clone(), meter.key.clone()), in_force.id.clone());
    let entry = standing.meters.entry(meter.key.clone()).or_insert_with(|| MeterAtStripe {
        id: at_stripe.id.clone(),
        event_name: at_stripe.event_name.clone(),
        scope: Scope::default(),
    });
    entry.scope.price_ids.extend([shadow, overage].into_iter().flatten().map(|price| price.id));
    Ok(())
}

fn find_meter<'a>(
    meter: &Meter,
    meters: &'a [StripeMeter],
    push: PushMode,
    place: &str,
) -> Result<&'a StripeMeter, Refusal> {
    let refused = |problem: &str| {
        let event_name = &meter.event_name;
        Refusal::Configuration(format!("{place}: Stripe's meter for the event `{event_name}` {problem}"))
    };
    let of_name = || meters.iter().filter(|one| one.event_name == meter.event_name);
    let found = of_name().find(|one| one.active).or(of_name().next());
    let found = found.ok_or_else(|| refused("does not exist: make it, or mend event_name in the catalog"))?;
    if !found.active {
        return Err(refused("is not active: reactivate it in Stripe"));
    }
    match push {
        PushMode::Push => check_formula(meter, found).map_err(|problem| refused(&problem))?,
        PushMode::Observe => {}
    }
    Ok(found)
}

/// What is pushed is a part of a sum, or the level of a gauge, of which the newest counts. Stripe's `count` would count our
/// events instead of their units.
fn check_formula(meter: &Meter, found: &StripeMeter) -> Result<(), String> {
    let (needed, word) = match meter.aggregation {
        Aggregation::Sum | Aggregation::Count => (MeterFormula::Sum, "sum"),
        Aggregation::Max | Aggregation::Last => (MeterFormula::Last, "last"),
    };
    let aggregation = meter.aggregation.as_str();
    let instead = format!(
        "what is pushed for a meter with aggregation = \"{aggregation}\" needs one with the formula {word} and no \
         event_time_window. Stripe's meters cannot be changed: make another one and name its event in event_name"
    );
    if found.pre_aggregates {
        return Err(format!("keeps one event of each hour or day, so pushes would be lost: {instead}"));
    }
    if found.formula != Some(needed) {
        let formula = match found.formula {
            Some(MeterFormula::Sum) => "the formula sum",
            Some(MeterFormula::Count) => "the formula count",
            Some(MeterFormula::Last) => "the formula last",
            None => "a formula that is not known here",
        };
        return Err(format!("has {formula}: {instead}"));
    }
    Ok(())
}

/// A price that the catalog names must exist; one that it does not name exists in the sandbox only.
async fn price_of(
    usage: &UsagePrice,
    plan: &Plan,
    meter: &Meter,
    billing: Billing,
    wire: &Wire,
    place: &str,
) -> anyhow::Result<Option<StripePrice>> {
    let named = match billing {
        Billing::Shadow => usage.shadow_price.as_ref(),
        Billing::Live => usage.overage_price.as_ref(),
    };
    let price = match named {
        Some(price) => price.clone(),
        None if wire.account.is_sandbox() => derived_price(&plan.id, &meter.key, usage, billing),
        None => return Ok(None),
    };
    let found = wire.stripe.price(&price).await?;
    match (found, named) {
        (None, Some(_)) => Err(Refusal::Configuration(format!("{place}: Stripe has no {price}")).into()),
        (found, _) => Ok(found),
    }
}

fn unnamed(place: &str, key: &str) -> Refusal {
    Refusal::Configuration(format!("{place}: the catalog names no price at Stripe: set {key}"))
}

fn check_price(price: &StripePrice, plan: &Plan, meter: &StripeMeter, place: &str) -> Result<(), Refusal> {
    let refused = |problem: String| {
        Err(Refusal::Configuration(format!("{place}: Stripe's price `{}` {problem}", price.id)))
    };
    if price.currency != plan.id.currency {
        return refused(format!("is in {}, the plan in {}", price.currency, plan.id.currency));
    }
    if price.meter_id.as_deref() != Some(meter.id.as_str()) {
        return refused(format!("does not bill the meter `{}`", meter.event_name));
    }
    if price.interval != plan.id.interval.as_str() {
        return refused(format!("is per {}, the plan per {}", price.interval, plan.id.interval.as_str()));
    }
    Ok(())
}

/// A shadow price that costs something would really charge (fault F38).
fn check_shadow<'a>(shadow: Option<&'a StripePrice>, place: &str) -> Result<&'a StripePrice, Refusal> {
    let shadow = shadow.ok_or_else(|| unnamed(place, "shadow_price_id"))?;
    if shadow.is_zero() {
        return Ok(shadow);
    }
    Err(Refusal::Configuration(format!(
        "{place}: billing is \"shadow\", but Stripe's price `{}` is not 0 and would really charge; nothing is sent. Name \
         a price of 0, or set billing = \"live\"",
        shadow.id
    )))
}

/// The quota must be in exactly one place: in Stripe's live price, or taken off before the push (fault F37).
fn check_quota(usage: &UsagePrice, overage: Option<&StripePrice>, place: &str) -> Result<(), Refusal> {
    let Some(quota) = usage.free_quota.filter(|quota| !quota.is_zero()) else { return Ok(()) };
    // What never costs anything needs no quota at Stripe.
    if usage.price.is_zero() && overage.is_none_or(StripePrice::is_zero) {
        return Ok(());
    }
    // Nothing above a hard cap is ever sent, so it is enough that all up to it is free.
    let never_charges = |price: &StripePrice| price.free_units().is_none_or(|free| free >= quota);
    if usage.hard_cap && (usage.push == PushScope::Overage || overage.is_none_or(never_charges)) {
        return Ok(());
    }
    let overage = overage.ok_or_else(|| unnamed(place, "overage_price_id"))?;
    let free = overage.free_units();
    let price = &overage.id;
    let problem = match usage.push {
        PushScope::Overage if free.is_none_or(|free| !free.is_zero()) => format!(
            "the free quota of {quota} stands in two places: push = \"overage\" takes it off, and so does Stripe's price \
             `{price}`"
        ),
        PushScope::All if free.is_some_and(Quantity::is_zero) => format!(
            "the free quota of {quota} stands in no place: push = \"all\" sends everything, and Stripe's price `{price}` \
             charges from the first unit"
        ),
        PushScope::All if free != Some(quota) => {
            let free = free.map_or("all".to_owned(), |free| free.to_string());
            format!("the free quota is {quota}, but Stripe's price `{price}` gives {free} units away")
        }
        PushScope::All | PushScope::Overage => return Ok(()),
    };
    Err(Refusal::Configuration(format!("{place}: {problem}; nothing is sent")))
}
