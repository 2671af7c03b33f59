//! Rating: from a quantity and a price to invoice lines.
//!
//! In: the used quantity of one segment and meter, its price. Out: a line per tier that holds units and one per flat fee of
//! a tier that is reached, each rounded on its own as Stripe does. Never loses a unit: the quantities of the usage lines add
//! up to what went in. A negative quantity counts as 0 (Stripe, "recording usage": a negative total is billed as 0).

use crate::domain::catalog::UsagePrice;
use crate::domain::money::{Currency, MinorAmount, MoneyError};
use crate::domain::number::{ExactAmount, NumberError, Quantity, UnitAmount};
use crate::domain::price::{Price, Tier, Transform};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RatingError {
    #[error("quantity {0}")]
    Quantity(#[from] NumberError),
    #[error("{0}")]
    Money(#[from] MoneyError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LineKind {
    Base,
    Usage,
    /// The fee for reaching a tier.
    Flat,
}

impl LineKind {
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Base, Self::Usage, Self::Flat].into_iter().find(|kind| kind.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Usage => "usage",
            Self::Flat => "flat",
        }
    }
}

/// One invoice line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RatedLine {
    pub kind: LineKind,
    /// 1-based; `None` where the price has no tiers.
    pub tier: Option<u32>,
    /// Units of usage; 0 on a flat fee, as on Stripe's line (captured).
    pub quantity: Quantity,
    /// What the unit amount is charged for: the units, the packages that they fill, or one fee.
    pub priced_quantity: Quantity,
    pub unit_amount: UnitAmount,
    pub exact: ExactAmount,
    pub amount: MinorAmount,
}

impl RatedLine {
    /// A line whose amount is the rounded product. Source: Stripe's "decimal amounts" page, multiply then round.
    pub fn new(
        kind: LineKind,
        tier: Option<u32>,
        [quantity, priced_quantity]: [Quantity; 2],
        unit_amount: UnitAmount,
        currency: Currency,
    ) -> Result<Self, RatingError> {
        let exact = priced_quantity.times(unit_amount);
        let amount = MinorAmount::round(exact, currency)?;
        Ok(Self { kind, tier, quantity, priced_quantity, unit_amount, exact, amount })
    }

    /// The base fee of a plan.
    pub fn base(fee: MinorAmount) -> Result<Self, RatingError> {
        let once = Quantity::whole(1)?;
        Self::new(LineKind::Base, None, [once, once], UnitAmount::whole(fee.minor), fee.currency)
    }
}

/// How the used units of a segment divide.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Split {
    /// Within the free quota.
    pub free: Quantity,
    /// Beyond it.
    pub billed: Quantity,
    /// Beyond the quota of a plan that never bills more.
    pub capped: Quantity,
}

impl Price {
    /// The lines of a quantity: one for a per-unit price; one per tier that holds units, or the first tier for none, and one
    /// per flat fee of a tier that is reached; with `volume` those of the one tier that holds the whole quantity.
    /// Captured cases: `facts/stripe.md` §1.3 and §4.
    pub fn rate(&self, used: Quantity, currency: Currency) -> Result<Vec<RatedLine>, RatingError> {
        let used = used.max(Quantity::ZERO);
        match self {
            Self::PerUnit { unit_amount, transform } => {
                Ok(vec![per_unit(None, used, *unit_amount, *transform, currency)?])
            }
            Self::Graduated(tiers) => graduated(tiers, used, currency),
            Self::Volume(tiers) => volume(tiers, used, currency),
        }
    }
}

impl UsagePrice {
    /// The lines of what a tenant used, at the candidate price with its quota. A line exists for nothing used, too.
    pub fn rate(&self, used: Quantity, currency: Currency) -> Result<Vec<RatedLine>, RatingError> {
        let Split { free, billed, .. } = self.split(used)?;
        match (&self.price, self.free_quota) {
            (Price::PerUnit { unit_amount, transform }, Some(quota)) if !quota.is_zero() => {
                let mut lines = vec![per_unit(Some(1), free, UnitAmount::ZERO, None, currency)?];
                if !billed.is_zero() {
                    lines.push(per_unit(Some(2), billed, *unit_amount, *transform, currency)?);
                }
                Ok(lines)
            }
            (price, _) => price.rate(free.checked_add(billed)?, currency),
        }
    }

    /// `used = free + billed + capped`; without a quota all is billed.
    pub fn split(&self, used: Quantity) -> Result<Split, RatingError> {
        let used = used.max(Quantity::ZERO);
        let free = self.free_quota.unwrap_or_default().min(used);
        let above = used.checked_sub(free)?;
        let [billed, capped] = if self.hard_cap { [Quantity::ZERO, above] } else { [above, Quantity::ZERO] };
        Ok(Split { free, billed, capped })
    }
}

fn per_unit(
    tier: Option<u32>,
    quantity: Quantity,
    unit_amount: UnitAmount,
    transform: Option<Transform>,
    currency: Currency,
) -> Result<RatedLine, RatingError> {
    let priced = match transform {
        Some(Transform { divide_by, round }) => quantity.packages(divide_by, round)?,
        None => quantity,
    };
    RatedLine::new(LineKind::Usage, tier, [quantity, priced], unit_amount, currency)
}

fn graduated(tiers: &[Tier], used: Quantity, currency: Currency) -> Result<Vec<RatedLine>, RatingError> {
    let mut lines = Vec::new();
    let mut below = Quantity::ZERO;
    for (number, tier) in (1..).zip(tiers) {
        let reached = tier.up_to.map_or(used, |up_to| up_to.min(used));
        lines.extend(of_tier(number, tier, reached.checked_sub(below)?, currency)?);
        below = reached;
        if reached == used {
            break;
        }
    }
    Ok(lines)
}

fn volume(tiers: &[Tier], used: Quantity, currency: Currency) -> Result<Vec<RatedLine>, RatingError> {
    let holds = |tier: &Tier| tier.up_to.is_none_or(|up_to| used <= up_to);
    match (1..).zip(tiers).find(|(_, tier)| holds(tier)) {
        Some((number, tier)) => of_tier(number, tier, used, currency),
        None => Ok(Vec::new()),
    }
}

/// The units of a tier, and its fee.
fn of_tier(
    number: u32,
    tier: &Tier,
    inside: Quantity,
    currency: Currency,
) -> Result<Vec<RatedLine>, RatingError> {
    let mut lines = vec![per_unit(Some(number), inside, tier.unit_amount, None, currency)?];
    if let Some(fee) = tier.flat_amount {
        let once = [Quantity::ZERO, Quantity::whole(1)?];
        lines.push(RatedLine::new(LineKind::Flat, Some(number), once, fee, currency)?);
    }
    Ok(lines)
}

#[cfg(test)]
mod tests;
