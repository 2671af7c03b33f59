//! Checks before the first push: whether what stands at Stripe can bill what the catalog says, without charging wrongly.
//!
//! In: plans, meters and usage prices, and what Stripe has of them. Out: a list of [`Finding`]s, each of which names its place
//! and what to do. Pure: it asks nobody, and never mends anything. What would charge wrongly or lose usage is refused;
//! what only will, or may, is a warning.

mod account;
mod meter;
mod price;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;

use crate::domain::catalog::{Meter, Plan, PriceRef, UsagePrice};
use crate::domain::intent::PushMode;
use crate::domain::invoice::{StripeMeter, StripePrice};
use crate::job::Refusal;

pub use account::{check_grace_period, check_items, check_key};
pub use meter::meter_of;

/// What is wrong, where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    pub severity: Severity,
    pub check: CheckName,
    /// Such as: plan `pro`, meter `requests`.
    pub place: String,
    pub text: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Nothing is sent, for anybody.
    Refuse,
    /// The run goes on.
    Warn,
}

/// Each is a row of the table in `docs/operations.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CheckName {
    MeterExists,
    MeterActive,
    MeterFormula,
    PriceExists,
    PriceActive,
    Currency,
    Interval,
    PriceMeter,
    Mode,
    ShadowIsZero,
    Quota,
    PriceOfCatalog,
    TwoItems,
    GracePeriod,
    KeyKind,
}

impl CheckName {
    pub const ALL: [Self; 15] = [
        Self::MeterExists,
        Self::MeterActive,
        Self::MeterFormula,
        Self::PriceExists,
        Self::PriceActive,
        Self::Currency,
        Self::Interval,
        Self::PriceMeter,
        Self::Mode,
        Self::ShadowIsZero,
        Self::Quota,
        Self::PriceOfCatalog,
        Self::TwoItems,
        Self::GracePeriod,
        Self::KeyKind,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::MeterExists => "meter_exists",
            Self::MeterActive => "meter_active",
            Self::MeterFormula => "meter_formula",
            Self::PriceExists => "price_exists",
            Self::PriceActive => "price_active",
            Self::Currency => "currency",
            Self::Interval => "interval",
            Self::PriceMeter => "price_meter",
            Self::Mode => "mode",
            Self::ShadowIsZero => "shadow_is_zero",
            Self::Quota => "quota",
            Self::PriceOfCatalog => "price_of_catalog",
            Self::TwoItems => "two_items",
            Self::GracePeriod => "grace_period",
            Self::KeyKind => "key_kind",
        }
    }
}

impl CheckName {
    /// What to do where it finds something; the finding's text has the details.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::MeterExists | Self::MeterActive | Self::MeterFormula => {
                "make or mend the meter in Stripe's dashboard, or name another in the catalog"
            }
            Self::PriceExists | Self::PriceActive | Self::Currency | Self::Interval | Self::PriceMeter => {
                "name a price in the catalog that fits the plan, then import the catalog"
            }
            Self::Mode => "use ids of the key's mode: test and live have their own",
            Self::ShadowIsZero => {
                "make a price of 0 and move the subscriptions to it, before any usage is sent"
            }
            Self::Quota => "take the quota out of the catalog or out of the price, so that it stands once",
            Self::PriceOfCatalog => "bring the catalog or the price up to date, so that both say the same",
            Self::TwoItems => "remove all but one of the items",
            Self::GracePeriod => "wake more often, or lengthen the grace period in Stripe's invoice settings",
            Self::KeyKind => "make a restricted key with the permissions that docs/stripe.md lists",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {} [{}]", self.place, self.text, self.check.as_str())
    }
}

/// A usage price of the catalog, with what Stripe has under the names that it gives.
pub struct Sold<'a> {
    pub plan: &'a Plan,
    pub meter: &'a Meter,
    pub usage: &'a UsagePrice,
    pub shadow: PriceAtStripe,
    pub overage: PriceAtStripe,
}

/// What stands behind a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PriceAtStripe {
    /// The catalog gives no name.
    Unnamed,
    Missing(PriceRef),
    /// The only price with the lookup key is archived; its id.
    Archived(PriceRef, String),
    Found(StripePrice),
}

impl PriceAtStripe {
    pub fn found(&self) -> Option<&StripePrice> {
        match self {
            Self::Found(price) => Some(price),
            Self::Unnamed | Self::Missing(_) | Self::Archived(..) => None,
        }
    }
}

/// Whose Stripe it is, and what we do there.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    pub push: PushMode,
    /// The key's mode; `None`: the sandbox, which has one only.
    pub livemode: Option<bool>,
}

impl Side {
    /// What we would do wrong ourselves is refused; what somebody else sends is theirs, and the comparison shows it.
    fn refuse_if_pushing(self) -> Severity {
        match self.push {
            PushMode::Push => Severity::Refuse,
            PushMode::Observe => Severity::Warn,
        }
    }
}

/// All that can be said of prices and meters, in the catalog's order.
pub fn check_catalog(sold: &[Sold<'_>], meters: &[StripeMeter], side: Side) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut seen = BTreeSet::new();
    for one in sold {
        let place = format!("plan `{}`, meter `{}`", one.plan.id.key, one.meter.key);
        if seen.insert(&one.meter.key) {
            findings.extend(meter::check(one.meter, meters, side, &place));
        }
        findings.extend(price::check(one, meter_of(one.meter, meters), side, &place));
    }
    findings
}

/// All refusals as one: whoever mends the first must not have to run again to hear of the next.
pub fn refusal(findings: &[Finding]) -> Option<Refusal> {
    let refused = findings.iter().filter(|one| one.severity == Severity::Refuse);
    let texts: Vec<String> = refused.map(Finding::to_string).collect();
    match &texts[..] {
        [] => None,
        [only] => Some(Refusal::Configuration(only.clone())),
        all => Some(Refusal::Configuration(format!(
            "{} things at Stripe are not as the catalog needs them, and nothing is sent:\n  {}",
            all.len(),
            all.join("\n  ")
        ))),
    }
}
