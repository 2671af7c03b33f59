//! The catalog: meters, plans and prices, checked once when built.
//!
//! In: parts that the importer has read. Out: a [`Catalog`] whose rules hold. Never reads a file, and never keeps a
//! price that it cannot rate to the last digit: what is not understood is a [`CatalogFault`] that names its place.

use std::collections::BTreeMap;

use crate::domain::money::Currency;
use crate::domain::number::{NumberError, Quantity, UnitAmount};
use crate::domain::period::{Interval, Window};
use crate::domain::price::{Price, Tier};
use crate::domain::rule::Rule;

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
    /// Records, whatever their quantity; one with a negative quantity takes one back.
    Count,
    /// The highest reading.
    Max,
    /// The newest reading; of two at one instant that with the greater source event id.
    Last,
}

impl Aggregation {
    pub const ALL: [Self; 4] = [Self::Sum, Self::Count, Self::Max, Self::Last];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sum => "sum",
            Self::Count => "count",
            Self::Max => "max",
            Self::Last => "last",
        }
    }

    /// Whether its records are readings of a level, of which one counts, instead of amounts that add up.
    pub fn is_gauge(self) -> bool {
        matches!(self, Self::Max | Self::Last)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meter {
    pub key: String,
    pub aggregation: Aggregation,
    /// Each source is aggregated by itself, and then they are added up.
    pub per_source: bool,
    /// What a record must be to count; without conditions every record does.
    pub rule: Rule,
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
    /// It never bills above its quotas.
    pub hard_cap: bool,
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
    /// A part of a window has its part of the quota only.
    pub prorate_quota: bool,
    /// Nothing above the quota is billed.
    pub hard_cap: bool,
    /// What Stripe charges by while `billing` is shadow; it must be 0.
    pub shadow_price: Option<PriceRef>,
    /// What Stripe charges by when `billing` is live.
    pub overage_price: Option<PriceRef>,
    /// The candidate price as the catalog has it. Beside a per-unit price the quota comes off first; tiers hold it themselves.
    pub price: Price,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Catalog {
    pub meters: BTreeMap<String, Meter>,
    pub plans: BTreeMap<PlanId, Plan>,
}

impl UsagePrice {
    /// Refuses a quota that would be counted twice, in no place, or that Stripe's price could not hold.
    pub fn new(
        billing: Billing,
        push: PushScope,
        free_quota: Option<Quantity>,
        price: Price,
        path: &str,
    ) -> Result<Self, CatalogFault> {
        let fault = |key: &str, problem: &str| Err(CatalogFault::new(format!("{path}.{key}"), problem));
        if push == PushScope::Overage && !matches!(price, Price::PerUnit { .. }) {
            return fault(
                "push",
                "\"overage\" needs a per_unit price: with tiers the quota would be given twice",
            );
        }
        let quota = free_quota.unwrap_or_default();
        match &price {
            Price::PerUnit { transform: Some(_), .. } if push == PushScope::All && !quota.is_zero() => {
                return fault(
                    "free_quota",
                    "Stripe has no price with packages and a free tier: set push = \"overage\", so that only what is above \
                     the quota is sent, or use tiers",
                );
            }
            Price::PerUnit { .. } if push == PushScope::All && !quota.is_whole() => {
                return fault("free_quota", "must be a whole number: it is the end of a tier at Stripe");
            }
            Price::Volume(_) if free_quota.is_some() => {
                return fault(
                    "free_quota",
                    "a volume price charges all units as soon as its first tier is passed, so it holds no quota",
                );
            }
            Price::Graduated(_) if free_quota.is_some() && price.leading_zero_tier() != quota => {
                let leading = price.leading_zero_tier();
                let problem = format!("is {quota}, but the leading zero tier of the price ends at {leading}");
                return fault("free_quota", &problem);
            }
            Price::PerUnit { .. } | Price::Graduated(_) | Price::Volume(_) => {}
        }
        Ok(Self {
            billing,
            push,
            free_quota,
            prorate_quota: false,
            hard_cap: false,
            shadow_price: None,
            overage_price: None,
            price,
        })
    }

    /// The same with a quota that shrinks with the part of the window: only where we take it off, because a tier at Stripe
    /// is the same for any window.
    pub fn with_prorated_quota(self, path: &str) -> Result<Self, CatalogFault> {
        if self.push == PushScope::Overage && self.free_quota.is_some() {
            return Ok(Self { prorate_quota: true, ..self });
        }
        let problem =
            "needs push = \"overage\" and a free_quota: Stripe's tiers do not shrink with a part of a window";
        Err(CatalogFault::new(format!("{path}.prorate_quota"), problem))
    }

    /// The same with the quota as the end of what is billed.
    pub fn with_hard_cap(self, path: &str) -> Result<Self, CatalogFault> {
        if self.free_quota.is_some() {
            return Ok(Self { hard_cap: true, ..self });
        }
        let problem = "is missing: the plan has hard_cap = true, and nothing says where to stop";
        Err(CatalogFault::new(format!("{path}.free_quota"), problem))
    }

    /// The price for a part of a window: the quota is cut where it is to be.
    pub fn for_part(&self, part: Window, window: Window) -> Result<Self, NumberError> {
        let length = |range: Window| range.end.as_nanosecond() - range.start.as_nanosecond();
        let free_quota = match self.free_quota {
            Some(quota) if self.prorate_quota && part != window => {
                Some(quota.share_rounded_up(length(part), length(window))?)
            }
            quota => quota,
        };
        Ok(Self { free_quota, ..self.clone() })
    }

    /// The candidate price as Stripe is to have it when it goes live. With `push = "all"` the quota is in it; otherwise it
    /// is ours, and stays out.
    pub fn at_stripe(&self) -> Price {
        match (&self.price, self.free_quota) {
            (Price::PerUnit { unit_amount, .. }, Some(quota))
                if self.push == PushScope::All && !quota.is_zero() =>
            {
                Price::Graduated(vec![
                    Tier::new(Some(quota), UnitAmount::ZERO),
                    Tier::new(None, *unit_amount),
                ])
            }
            (price, _) => price.clone(),
        }
    }

    /// The price that Stripe is to charge by now.
    pub fn price_in_force(&self) -> Option<&PriceRef> {
        match self.billing {
            Billing::Shadow => self.shadow_price.as_ref(),
            Billing::Live => self.overage_price.as_ref(),
        }
    }
}

impl Catalog {
    /// Adds a meter; a second one with the same key is a fault, and so is one whose events would go to another's meter at
    /// Stripe, where both would be billed for both.
    pub fn add_meter(&mut self, meter: Meter, path: &str) -> Result<(), CatalogFault> {
        let of_event = |one: &&Meter| one.event_name == meter.event_name && one.key != meter.key;
        if let Some(other) = self.meters.values().find(of_event) {
            let problem = format!(
                "the meter `{}` has the event name `{}` too, so each would be billed for both: give one of them another",
                other.key, meter.event_name
            );
            return Err(CatalogFault::new(format!("{path}.event_name"), problem));
        }
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
    use crate::domain::number::Round;
    use crate::domain::price::{TiersMode, Transform};

    const PATH: &str = "plan[0].usage[0]";

    fn units(text: &str) -> Quantity {
        Quantity::parse(text).unwrap()
    }

    fn per_unit(text: &str) -> Price {
        Price::per_unit(UnitAmount::parse(text).unwrap())
    }

    fn tiers(mode: TiersMode) -> Price {
        let open = Tier::new(None, UnitAmount::parse("700").unwrap());
        Price::tiered(mode, vec![Tier::new(Some(units("100")), UnitAmount::ZERO), open]).unwrap()
    }

    fn usage(push: PushScope, quota: Option<&str>, price: Price) -> Result<UsagePrice, CatalogFault> {
        UsagePrice::new(Billing::Shadow, push, quota.map(units), price, PATH)
    }

    #[test]
    fn a_quota_with_a_per_unit_price_is_a_graduated_price_at_stripe() {
        let short = usage(PushScope::All, Some("100"), per_unit("700")).unwrap();
        let long = usage(PushScope::All, Some("100"), tiers(TiersMode::Graduated)).unwrap();
        assert_eq!(short.at_stripe(), tiers(TiersMode::Graduated));
        assert_eq!(long.at_stripe(), short.at_stripe());
        let ours = usage(PushScope::Overage, Some("100"), per_unit("700")).unwrap();
        assert_eq!(ours.at_stripe(), per_unit("700"));
    }

    #[test]
    fn a_quota_that_would_stand_in_two_places_or_in_none_is_refused_with_its_place() {
        let packages = || Price::PerUnit {
            unit_amount: UnitAmount::parse("4000").unwrap(),
            transform: Some(Transform { divide_by: 10, round: Round::Up }),
        };
        for (push, quota, price, path) in [
            (PushScope::All, Some("50"), tiers(TiersMode::Graduated), "plan[0].usage[0].free_quota"),
            (PushScope::All, Some("100"), tiers(TiersMode::Volume), "plan[0].usage[0].free_quota"),
            (PushScope::All, Some("0.5"), per_unit("1"), "plan[0].usage[0].free_quota"),
            (PushScope::All, Some("5"), packages(), "plan[0].usage[0].free_quota"),
            (PushScope::Overage, Some("100"), tiers(TiersMode::Graduated), "plan[0].usage[0].push"),
        ] {
            assert_eq!(usage(push, quota, price).unwrap_err().path, path);
        }
        assert!(usage(PushScope::Overage, Some("5"), packages()).is_ok());
        assert!(usage(PushScope::All, None, packages()).is_ok());
    }

    #[test]
    fn a_quota_is_cut_only_where_we_take_it_off() {
        let all = usage(PushScope::All, Some("100"), per_unit("700")).unwrap();
        assert_eq!(all.with_prorated_quota(PATH).unwrap_err().path, "plan[0].usage[0].prorate_quota");
        let ours = usage(PushScope::Overage, Some("100"), per_unit("700")).unwrap();
        let at = |text: &str| text.parse().unwrap();
        let window = Window { start: at("2026-10-01T00:00:00Z"), end: at("2026-11-01T00:00:00Z") };
        let part = Window { end: at("2026-10-11T00:00:00Z"), ..window };
        assert_eq!(ours.for_part(part, window).unwrap().free_quota, Some(units("100")));
        let cut = ours.with_prorated_quota(PATH).unwrap();
        assert_eq!(cut.for_part(part, window).unwrap().free_quota, Some(units("33")));
        assert_eq!(cut.for_part(window, window).unwrap().free_quota, Some(units("100")));
    }

    #[test]
    fn a_hard_cap_needs_a_quota() {
        let none = usage(PushScope::All, None, per_unit("0")).unwrap();
        assert_eq!(none.with_hard_cap(PATH).unwrap_err().path, "plan[0].usage[0].free_quota");
    }
}
