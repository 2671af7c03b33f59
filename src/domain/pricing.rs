//! Pricing: what closed usage comes to at another price than its own.
//!
//! In: closed windows, a usage price, a candidate. Out: the usage price with the candidate in it, and the minor units that the
//! usage lines of a window come to. Rates exactly as a close does. Never applies a quota twice, and never loses one.

pub mod bill;
pub mod check;
pub mod curve;
pub mod even;
pub mod simulate;
pub mod suggest;
pub mod table;

use crate::domain::catalog::{CatalogFault, PlanId, UsagePrice};
use crate::domain::figures::{Stretch, WindowFigures};
use crate::domain::money::{Currency, MinorAmount, MoneyError};
use crate::domain::number::{NumberError, Quantity, UnitAmount};
use crate::domain::period::Window;
use crate::domain::price::{Price, Tier};
use crate::domain::quote::amount_of;
use crate::domain::rating::RatingError;

/// What could be charged for usage instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Candidate {
    /// Minor units for each unit above the quota, or for each package where the price is sold by packages.
    Amount(UnitAmount),
    /// A whole price, with tiers of its own.
    Price(Price),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PricingError {
    #[error("{0}")]
    Price(#[from] CatalogFault),
    #[error("the bill of the tenant `{tenant_id}` at {at}: {cause}")]
    Bill { tenant_id: String, at: String, cause: RatingError },
    #[error("the total {0}")]
    Total(#[from] MoneyError),
    #[error("the suggested price {0}")]
    Number(#[from] NumberError),
}

/// The part of a window on one plan, and what was used in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    pub range: Window,
    pub used: Quantity,
}

/// The same usage price with another price in it: quota, its share of a part of a window, and hard cap stay.
pub fn with_candidate(own: &UsagePrice, candidate: &Candidate) -> Result<UsagePrice, CatalogFault> {
    const PLACE: &str = "the candidate price";
    let price = match candidate {
        Candidate::Amount(amount) => at_amount(&own.price, *amount),
        Candidate::Price(price) => price.clone(),
    };
    let (before, after) = (free_tier(&own.price), free_tier(&price));
    // Beside a quota the rules of the catalog say the same.
    if own.free_quota.is_none() && before != after {
        let problem = format!(
            "its first {after} units cost nothing, but the plan gives {before} away: make them the same"
        );
        return Err(CatalogFault::new(PLACE, problem));
    }
    let UsagePrice { price, .. } = UsagePrice::new(own.billing, own.push, own.free_quota, price, PLACE)?;
    Ok(UsagePrice { price, ..own.clone() })
}

/// The price in the same shape with one amount: packages stay packages, and what is free at first stays free.
fn at_amount(price: &Price, amount: UnitAmount) -> Price {
    let free = free_tier(price);
    match price {
        Price::PerUnit { transform, .. } => Price::PerUnit { unit_amount: amount, transform: *transform },
        Price::Graduated(_) if !free.is_zero() => {
            Price::Graduated(vec![Tier::new(Some(free), UnitAmount::ZERO), Tier::new(None, amount)])
        }
        Price::Graduated(_) | Price::Volume(_) => Price::per_unit(amount),
    }
}

/// What a price gives away by itself: a volume price charges for all units as soon as its first tier is passed.
fn free_tier(price: &Price) -> Quantity {
    match price {
        Price::Graduated(_) => price.leading_zero_tier(),
        Price::PerUnit { .. } | Price::Volume(_) => Quantity::ZERO,
    }
}

/// What the usage lines of a closed window on a plan come to at a price.
pub fn usage_amount(
    figures: &WindowFigures,
    (plan, meter): (&PlanId, &str),
    price: &UsagePrice,
) -> Result<MinorAmount, RatingError> {
    let minor = amount(&parts(figures, plan, meter)?, figures.window, price, plan.currency)?;
    Ok(MinorAmount::new(minor, plan.currency))
}

/// The invoiced parts of a window on a plan, with what a meter used. A trial is not charged, so it has none.
pub fn parts(figures: &WindowFigures, plan: &PlanId, meter: &str) -> Result<Vec<Part>, NumberError> {
    let on_plan =
        |stretch: &&Stretch| stretch.invoiced && stretch.plan.as_ref() == Some(plan) && !figures.trial;
    let part = |stretch: &Stretch| {
        let used = figures.billable(stretch.range, meter);
        let used = used.map_or(Ok(Quantity::ZERO), |usage| usage.used().to_quantity())?;
        Ok(Part { range: stretch.range, used })
    };
    figures.stretches.iter().filter(on_plan).map(part).collect()
}

/// Each part is rated by itself, and each line is rounded by itself.
pub fn amount(
    parts: &[Part],
    window: Window,
    price: &UsagePrice,
    currency: Currency,
) -> Result<i64, RatingError> {
    let mut sum = 0i64;
    for Part { range, used } in parts {
        // Only a quota that shrinks with its part makes another price of it.
        let lines = if price.prorate_quota && *range != window {
            price.for_part(*range, window)?.rate(*used, currency)?
        } else {
            price.rate(*used, currency)?
        };
        let minor = amount_of(&lines, currency)?.minor;
        sum = sum.checked_add(minor).ok_or(MoneyError::Overflow)?;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests;
