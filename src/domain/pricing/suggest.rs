//! The suggestion: which overage price brings a share of the base fees, and whether it is a good one.
//!
//! In: a plan, a meter, what its paying tenants used in whole windows, a target and a step. Out: a [`Suggestion`] with the
//! revenue-anchored price, the price that really reaches the target, and checks with their numbers. Every tenant is rated
//! for every price: no average stands for anybody. Never suggests 0, and nothing where nobody is above the quota.

use ethnum::U256;

use crate::domain::catalog::{Catalog, Plan, PlanId, UsagePrice};
use crate::domain::figures::WindowFigures;
use crate::domain::money::{MinorAmount, MinorSum};
use crate::domain::number::{NumberError, ONE, Quantity, QuantitySum, UnitAmount};
use crate::domain::period::Interval;
use crate::domain::population::Counting;
use crate::domain::price::{Price, Transform};
use crate::domain::pricing::check::{Check, checks};
use crate::domain::pricing::{Candidate, PricingError, with_candidate};
use crate::domain::quote::amount_of;
use crate::domain::ratio::Ratio;

/// What a paying tenant used in a whole window.
#[derive(Clone, Copy, Debug)]
pub struct Member<'a> {
    pub tenant_id: &'a str,
    pub used: Quantity,
    /// As its window closed.
    pub price: &'a UsagePrice,
    pub fee_minor: i64,
}

#[derive(Clone, Debug)]
pub struct Question<'a> {
    pub plan: &'a Plan,
    pub meter: &'a str,
    /// Of the plan, for this meter.
    pub price: &'a UsagePrice,
    pub catalog: &'a Catalog,
    /// In percent of the base fees.
    pub target: Quantity,
    /// Minor units, above 0.
    pub step: UnitAmount,
    /// Minor units that the price must not be below, or above.
    pub range: [Option<UnitAmount>; 2],
    /// Quantities at which both bills are shown.
    pub at: Vec<Quantity>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggestion {
    pub plan: PlanId,
    pub base: MinorAmount,
    pub tenants: u64,
    /// Those at or above their quota.
    pub exceeding: u64,
    /// Units above the quota of each, or the packages that they fill.
    pub overage: QuantitySum,
    pub mean_overage: Option<Ratio>,
    /// The base fees of all tenants in their windows.
    pub fees: MinorSum,
    /// A month's worth of them, in minor units.
    pub monthly_fees: Option<Ratio>,
    pub outcome: Result<Suggested, NoPrice>,
}

/// A price, what it brings, and whether it is a good one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suggested {
    /// Base fee x target / mean overage, in major units, before it is rounded to the step.
    pub exact: Ratio,
    pub anchored: Priced,
    /// The smallest price in steps whose share is at least the target; `None` without base fees.
    pub reaching: Option<Priced>,
    pub checks: Vec<Check>,
}

/// Why there is nothing to suggest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoPrice {
    #[error("no paying tenant was on the plan for a whole window")]
    Nobody,
    #[error("the plan has no free quota on this meter, so nobody is above one")]
    NoQuota,
    #[error("the plan has no base fee, so there is nothing to take a share of")]
    NoBaseFee,
    #[error("nothing above the quota is billed (hard_cap), so no price brings anything")]
    HardCap,
    #[error("nobody used more than the quota, so no price brings anything")]
    NobodyExceeds,
}

/// A price, and what it brings from all tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priced {
    pub unit_amount: UnitAmount,
    pub revenue: MinorSum,
    /// Of the base fees; `None` where these are 0.
    pub share: Option<Ratio>,
}

/// The tenants that count for a plan, as its metrics count them, and how many windows on it do not.
pub fn members<'a>(
    (plan, meter): (&PlanId, &str),
    windows: impl Iterator<Item = (&'a WindowFigures, Option<&'a Catalog>)>,
) -> Result<(Vec<Member<'a>>, u64), NumberError> {
    let (mut members, mut left_out) = (Vec::new(), 0);
    for (figures, catalog) in windows {
        if !figures.stretches.iter().any(|stretch| stretch.plan.as_ref() == Some(plan)) {
            continue;
        }
        let plan = catalog.and_then(|catalog| catalog.plans.get(plan));
        let sold = plan.and_then(|plan| Some((plan, plan.usage.get(meter)?)));
        match (sold, Counting::of(figures)) {
            (Some((plan, price)), Counting::Counted) => members.push(Member {
                tenant_id: &figures.tenant_id,
                used: match figures.billable(figures.window, meter) {
                    Some(usage) => usage.used().to_quantity()?,
                    None => Quantity::ZERO,
                },
                price,
                fee_minor: plan.amount_minor,
            }),
            _ => left_out += 1,
        }
    }
    Ok((members, left_out))
}

pub fn suggest(question: &Question<'_>, members: &[Member<'_>]) -> Result<Suggestion, PricingError> {
    let PlanId { currency, interval, .. } = question.plan.id;
    let mut fees = MinorSum::zero(currency);
    let (mut exceeding, mut overage) = (0, QuantitySum::ZERO);
    for member in members {
        fees = fees.checked_add(MinorAmount::new(member.fee_minor, currency))?;
        let quota = member.price.free_quota.filter(|quota| !quota.is_zero() && !member.price.hard_cap);
        let Some(quota) = quota else { continue };
        if member.used >= quota {
            exceeding += 1;
            overage = overage.checked_add(packages(member.price, member.used.checked_sub(quota)?)?)?;
        }
    }
    let months = if interval == Interval::Year { 12 } else { 1 };
    let mut suggestion = Suggestion {
        plan: question.plan.id.clone(),
        base: MinorAmount::new(question.plan.amount_minor, currency),
        tenants: members.len() as u64,
        exceeding,
        overage,
        mean_overage: Ratio::mean(overage, exceeding),
        fees,
        monthly_fees: Ratio::new(fees.minor, months),
        outcome: Err(NoPrice::NobodyExceeds),
    };
    let revenue = Revenue { members, fees, target: question.target };
    suggestion.outcome = match nothing(question, &suggestion) {
        Some(reason) => Err(reason),
        None => Ok(suggested(question, &suggestion, &revenue)?),
    };
    Ok(suggestion)
}

fn nothing(question: &Question<'_>, suggestion: &Suggestion) -> Option<NoPrice> {
    [
        (suggestion.tenants == 0, NoPrice::Nobody),
        (question.price.free_quota.unwrap_or_default().is_zero(), NoPrice::NoQuota),
        (question.plan.amount_minor == 0, NoPrice::NoBaseFee),
        (question.price.hard_cap, NoPrice::HardCap),
        (suggestion.overage.is_zero(), NoPrice::NobodyExceeds),
    ]
    .into_iter()
    .find_map(|(holds, reason)| holds.then_some(reason))
}

fn suggested(
    question: &Question<'_>,
    suggestion: &Suggestion,
    revenue: &Revenue<'_>,
) -> Result<Suggested, PricingError> {
    let step = scaled(question.step);
    let (exact, steps) = anchor(question, suggestion, step).ok_or(NumberError::TooLarge)?;
    let anchored = revenue.at(in_steps(steps.max(1), step)?)?;
    let reaching = (revenue.fees.minor > 0).then(|| revenue.reach(steps.max(1), step)).transpose()?;
    let checks = checks(question, anchored.unit_amount)?;
    Ok(Suggested { exact, anchored, reaching, checks })
}

/// Base fee x target share / mean overage, exactly, and in whole steps, a half going away from zero.
fn anchor(question: &Question<'_>, suggestion: &Suggestion, step: i128) -> Option<(Ratio, u128)> {
    // share = percent / 100; mean = overage / (exceeding x ONE); a scaled percentage holds the same ONE.
    let base = i128::from(question.plan.amount_minor).checked_mul(question.target.scaled())?;
    let above = base.checked_mul(i128::from(suggestion.exceeding))?;
    let below = suggestion.overage.scaled().checked_mul(100)?;
    let in_major = 10i128.checked_pow(question.plan.id.currency.exponent())?.checked_mul(below)?;
    let exact = Ratio::new(above, u128::try_from(in_major).ok()?)?;
    let wide = |number: i128| u128::try_from(number).ok().map(U256::from);
    let above = wide(above)?.checked_mul(wide(ONE)?)?;
    let below = wide(below)?.checked_mul(wide(step)?)?;
    let two = U256::from(2u8);
    let steps = above.checked_mul(two)?.checked_add(below)?.checked_div(below.checked_mul(two)?)?;
    Some((exact, u128::try_from(steps).ok()?))
}

fn in_steps(steps: u128, step: i128) -> Result<UnitAmount, NumberError> {
    let scaled = i128::try_from(steps).ok().and_then(|steps| steps.checked_mul(step));
    let scaled = scaled.filter(|scaled| *scaled < MOST_SCALED).ok_or(NumberError::TooLarge)?;
    let part = |number: i128| i64::try_from(number).map_err(|_| NumberError::TooLarge);
    Ok(UnitAmount::from_floor_and_fraction(part(scaled / ONE)?, part(scaled % ONE)?))
}

/// No price of a catalog is larger.
const MOST_SCALED: i128 = 1_000_000_000_000_000 * ONE;

/// In 10⁻¹² minor units.
fn scaled(amount: UnitAmount) -> i128 {
    let (whole, fraction) = amount.floor_and_fraction();
    i128::from(whole) * ONE + i128::from(fraction)
}

/// What units are charged as.
fn packages(price: &UsagePrice, units: Quantity) -> Result<Quantity, NumberError> {
    match price.price {
        Price::PerUnit { transform: Some(Transform { divide_by, round }), .. } => {
            units.packages(divide_by, round)
        }
        _ => Ok(units),
    }
}

/// What a price brings from all members, against their base fees.
struct Revenue<'a> {
    members: &'a [Member<'a>],
    fees: MinorSum,
    /// In percent.
    target: Quantity,
}

impl Revenue<'_> {
    fn at(&self, unit_amount: UnitAmount) -> Result<Priced, PricingError> {
        let candidate = Candidate::Amount(unit_amount);
        let currency = self.fees.currency;
        let mut revenue = MinorSum::zero(currency);
        // Most members closed with one price.
        let mut last: Option<(&UsagePrice, UsagePrice)> = None;
        for member in self.members {
            let known = last.take().filter(|(own, _)| *own == member.price);
            let (own, price) = match known {
                Some(known) => known,
                None => (member.price, with_candidate(member.price, &candidate)?),
            };
            let failed = |cause| {
                let at = format!("{unit_amount} minor units for each");
                PricingError::Bill { tenant_id: member.tenant_id.to_owned(), at, cause }
            };
            let lines = price.rate(member.used, currency).map_err(failed)?;
            revenue = revenue.checked_add(amount_of(&lines, currency)?)?;
            last = Some((own, price));
        }
        let share = u128::try_from(self.fees.minor).ok().and_then(|fees| Ratio::new(revenue.minor, fees));
        Ok(Priced { unit_amount, revenue, share })
    }

    /// Whether a price in steps reaches the target: a larger price never brings less.
    fn reaches(&self, steps: u128, step: i128) -> Result<bool, PricingError> {
        let target = Ratio::new(self.target.scaled(), 100 * ONE.unsigned_abs());
        Ok(self.at(in_steps(steps, step)?)?.share >= target)
    }

    /// The smallest one, looked for from an estimate.
    fn reach(&self, estimate: u128, step: i128) -> Result<Priced, PricingError> {
        let (mut below, mut reached) = (0, estimate);
        while !self.reaches(reached, step)? {
            below = reached;
            reached = reached.checked_mul(2).ok_or(NumberError::TooLarge)?;
        }
        while reached - below > 1 {
            let middle = below + (reached - below) / 2;
            if self.reaches(middle, step)? { reached = middle } else { below = middle }
        }
        self.at(in_steps(reached, step)?)
    }
}
