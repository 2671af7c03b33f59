//! Checks before the first push: whether what stands at Stripe can bill what the catalog says, without charging wrongly.
//!
//! In: a plan, a meter, a usage price, and what Stripe has of them. Out: nothing, or a refusal that names the plan, the price
//! and what to do. Pure: it asks nobody, and never mends anything.

use crate::domain::catalog::{Aggregation, Meter, Plan, PushScope, UsagePrice};
use crate::domain::intent::PushMode;
use crate::domain::invoice::{MeterFormula, StripeMeter, StripePrice};
use crate::domain::number::Quantity;
use crate::job::Refusal;

pub fn find_meter<'a>(
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

pub fn unnamed(place: &str, key: &str) -> Refusal {
    Refusal::Configuration(format!("{place}: the catalog names no price at Stripe: set {key}"))
}

pub fn check_price(
    price: &StripePrice,
    plan: &Plan,
    meter: &StripeMeter,
    place: &str,
) -> Result<(), Refusal> {
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
pub fn check_shadow<'a>(shadow: Option<&'a StripePrice>, place: &str) -> Result<&'a StripePrice, Refusal> {
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
pub fn check_quota(usage: &UsagePrice, overage: Option<&StripePrice>, place: &str) -> Result<(), Refusal> {
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
