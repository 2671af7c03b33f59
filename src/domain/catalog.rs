//! The catalog: meters, plans and prices, checked once when built.
//!
//! In: parts that the importer has read. Out: a [`Catalog`] whose rules hold. Never reads a file, and never keeps a
//! price that it cannot rate to the last digit: what is not understood is a [`CatalogFault`] that names its place.

use std::collections::BTreeMap;

use crate::domain::money::Currency;
use crate::domain::number::{Quantity, UnitAmount};
use crate::domain::period::Interval;

/// What is wrong, and where: `plan[1].usage[0].price.tiers[2].up_to`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct CatalogFault {
    pub path: String,
    pub problem: String,
}

impl CatalogFault {
    pub fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }
}

/// How a meter's records become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aggregation {
    Sum,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meter {
    pub key: String,
    pub aggregation: Aggregation,
    /// Stripe's meter event name.
    pub event_name: String,
}

/// A plan is identified by all three.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PlanId {
    pub key: String,
    pub interval: Interval,
    pub currency: Currency,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    pub id: PlanId,
    /// Base fee per window, in minor units.
    pub amount_minor: i64,
    /// By meter key. A meter without a price here is one that the plan sells no access to.
    pub usage: BTreeMap<String, UsagePrice>,
}

/// Whether Stripe charges for the usage now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Billing {
    Shadow,
    Live,
}

/// What Stripe is to see of the usage, whoever sends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushScope {
    All,
    Overage,
}

/// How the catalog names a price of Stripe's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PriceRef {
    Id(String),
    LookupKey(String),
}

impl std::fmt::Display for PriceRef {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Id(id) => write!(out, "price `{id}`"),
            Self::LookupKey(key) => write!(out, "price with lookup key `{key}`"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsagePrice {
    pub billing: Billing,
    pub push: PushScope,
    pub free_quota: Option<Quantity>,
    /// What Stripe charges by while `billing` is shadow; it must be 0.
    pub shadow_price: Option<PriceRef>,
    /// What Stripe charges by when `billing` is live.
    pub overage_price: Option<PriceRef>,
    /// The candidate price with the quota worked in: what a tenant would owe for its whole usage.
    pub price: Price,
}

/// A price in the shape of Stripe's Price object, in minor units per unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Price {
    PerUnit(UnitAmount),
    /// Each tier prices the units that fall in it. Ascending, the last one open.
    Graduated(Vec<Tier>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Inclusive upper bound; `None` is `inf`.
    pub up_to: Option<Quantity>,
    pub unit_amount: UnitAmount,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    pub meters: BTreeMap<String, Meter>,
    pub plans: BTreeMap<PlanId, Plan>,
}

impl Price {
    pub fn graduated(tiers: Vec<Tier>, path: &str) -> Result<Self, CatalogFault> {
        let last = tiers.len().checked_sub(1).ok_or_else(|| CatalogFault::new(path, "has no tier"))?;
        let mut below = Quantity::ZERO;
        for (index, tier) in tiers.iter().enumerate() {
            let fault = |problem: &str| Err(CatalogFault::new(format!("{path}[{index}].up_to"), problem));
            match tier.up_to {
                Some(_) if index == last => {
                    return fault("the last tier must be open: write up_to = \"inf\"");
                }
                Some(up_to) if up_to <= below => {
                    return fault("tiers must ascend, and the first must be above 0");
                }
                Some(up_to) => below = up_to,
                None if index == last => {}
                None => return fault("only the last tier can be open"),
            }
        }
        Ok(Self::Graduated(tiers))
    }
}

impl UsagePrice {
    /// Works `free_quota` into the price, and refuses a quota that would be counted twice or in no place.
    pub fn new(
        billing: Billing,
        push: PushScope,
        free_quota: Option<Quantity>,
        price: Price,
        path: &str,
    ) -> Result<Self, CatalogFault> {
        if push == PushScope::Overage && !matches!(price, Price::PerUnit(_)) {
            let problem =
                "push = \"overage\" needs a per_unit price: with tiers the quota would be given twice";
            return Err(CatalogFault::new(format!("{path}.push"), problem));
        }
        let price = match (free_quota, price) {
            (Some(quota), Price::PerUnit(unit_amount)) if !quota.is_zero() => Price::Graduated(vec![
                Tier { up_to: Some(quota), unit_amount: UnitAmount::ZERO },
                Tier { up_to: None, unit_amount },
            ]),
            (Some(quota), Price::Graduated(tiers)) => {
                let leading = leading_zero_tier(&tiers);
                if leading != quota {
                    let problem =
                        format!("is {quota}, but the leading zero tier of the price ends at {leading}");
                    return Err(CatalogFault::new(format!("{path}.free_quota"), problem));
                }
                Price::Graduated(tiers)
            }
            (_, price) => price,
        };
        Ok(Self { billing, push, free_quota, shadow_price: None, overage_price: None, price })
    }

    /// The price that Stripe is to charge by now.
    pub fn price_in_force(&self) -> Option<&PriceRef> {
        match self.billing {
            Billing::Shadow => self.shadow_price.as_ref(),
            Billing::Live => self.overage_price.as_ref(),
        }
    }
}

/// Where the first tier ends if it costs nothing, else 0.
fn leading_zero_tier(tiers: &[Tier]) -> Quantity {
    match tiers.first() {
        Some(Tier { up_to: Some(up_to), unit_amount }) if unit_amount.is_zero() => *up_to,
        _ => Quantity::ZERO,
    }
}

impl Catalog {
    /// Adds a meter; a second one with the same key is a fault.
    pub fn add_meter(&mut self, meter: Meter, path: &str) -> Result<(), CatalogFault> {
        match self.meters.insert(meter.key.clone(), meter) {
            None => Ok(()),
            Some(twice) => Err(CatalogFault::new(
                format!("{path}.key"),
                format!("the meter `{}` stands twice", twice.key),
            )),
        }
    }

    /// Adds a plan; a second one with the same key, interval and currency is a fault, and so is an unknown meter.
    pub fn add_plan(&mut self, plan: Plan, path: &str) -> Result<(), CatalogFault> {
        if let Some(meter) = plan.usage.keys().find(|meter| !self.meters.contains_key(*meter)) {
            return Err(CatalogFault::new(
                format!("{path}.usage"),
                format!("the meter `{meter}` is not in the catalog"),
            ));
        }
        match self.plans.insert(plan.id.clone(), plan) {
            None => Ok(()),
            Some(Plan { id: PlanId { key, interval, currency }, .. }) => {
                let problem =
                    format!("the plan `{key}` per {} in {currency} stands twice", interval.as_str());
                Err(CatalogFault::new(format!("{path}.key"), problem))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier(up_to: Option<&str>, unit_amount: &str) -> Tier {
        Tier {
            up_to: up_to.map(|text| Quantity::parse(text).unwrap()),
            unit_amount: UnitAmount::parse(unit_amount).unwrap(),
        }
    }

    fn usage(push: PushScope, quota: Option<&str>, price: Price) -> Result<UsagePrice, CatalogFault> {
        let quota = quota.map(|text| Quantity::parse(text).unwrap());
        UsagePrice::new(Billing::Shadow, push, quota, price, "plan[0].usage[0]")
    }

    #[test]
    fn a_quota_with_a_per_unit_price_is_short_for_the_graduated_price() {
        let short =
            usage(PushScope::All, Some("100"), Price::PerUnit(UnitAmount::parse("700").unwrap())).unwrap();
        let long = Price::graduated(vec![tier(Some("100"), "0"), tier(None, "700")], "tiers").unwrap();
        assert_eq!(short.price, long);
        assert_eq!(usage(PushScope::All, Some("100"), long).unwrap().price, short.price);
    }

    #[test]
    fn a_quota_that_would_stand_in_two_places_is_refused() {
        let tiers = || Price::graduated(vec![tier(Some("100"), "0"), tier(None, "700")], "tiers").unwrap();
        assert!(usage(PushScope::All, Some("50"), tiers()).is_err());
        assert!(usage(PushScope::Overage, Some("100"), tiers()).is_err());
    }

    #[test]
    fn tiers_that_do_not_ascend_to_an_open_end_are_refused_with_their_place() {
        for (tiers, path) in [
            (vec![], "tiers"),
            (vec![tier(Some("10"), "1")], "tiers[0].up_to"),
            (vec![tier(Some("10"), "1"), tier(Some("10"), "1"), tier(None, "1")], "tiers[1].up_to"),
            (vec![tier(None, "1"), tier(None, "1")], "tiers[0].up_to"),
            (vec![tier(Some("0"), "1"), tier(None, "1")], "tiers[0].up_to"),
        ] {
            assert_eq!(Price::graduated(tiers, "tiers").unwrap_err().path, path);
        }
    }
}
