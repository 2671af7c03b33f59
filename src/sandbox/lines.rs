//! Prices applied to a quantity: the lines that Stripe puts on an invoice, computed independently of the ledger.
//!
//! In: a price and a quantity. Out: one line per tier that holds units, one with quantity 0 per flat fee of a tier that is
//! reached, or one line for a per-unit price. Each line is rounded on its own, half away from zero. Knows nothing of
//! subscriptions or windows.

use bigdecimal::BigDecimal;

use super::decimal;
use super::records::{Round, Scheme, Tier, Transform};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PricedLine {
    pub quantity: BigDecimal,
    /// Minor units; what is too large for Stripe's integers is held at their end.
    pub amount: i64,
    /// Counted from 1; `None` for a per-unit price.
    pub tier: Option<usize>,
    pub is_flat_fee: bool,
}

/// The lines for a quantity; a negative one counts as nothing.
pub fn price(scheme: &Scheme, quantity: &BigDecimal) -> Vec<PricedLine> {
    let zero = BigDecimal::default();
    let quantity = quantity.max(&zero);
    match scheme {
        Scheme::PerUnit { unit, transform } => {
            let exact = decimal::stored(unit) * transformed(quantity, transform.as_ref());
            vec![usage_line(quantity.clone(), &exact, None)]
        }
        Scheme::Graduated(tiers) => graduated(tiers, quantity),
        Scheme::Volume(tiers) => volume(tiers, quantity),
    }
}

/// What is not charged still shows its quantity.
pub fn free(quantity: &BigDecimal) -> Vec<PricedLine> {
    let zero = BigDecimal::default();
    vec![usage_line(quantity.max(&zero).clone(), &zero, None)]
}

fn graduated(tiers: &[Tier], quantity: &BigDecimal) -> Vec<PricedLine> {
    let mut lines = Vec::new();
    let mut below = BigDecimal::default();
    for (index, tier) in tiers.iter().enumerate() {
        // Nothing at all still stands in the first tier.
        if index > 0 && *quantity <= below {
            break;
        }
        let end = tier.up_to.as_deref().map(decimal::stored);
        let upper = end.as_ref().map_or(quantity, |end| quantity.min(end)).clone();
        let units = &upper - &below;
        let exact = unit_amount(tier) * &units;
        lines.push(usage_line(units, &exact, Some(index + 1)));
        lines.extend(flat_fee(tier, index));
        below = upper;
        if end.is_none_or(|end| *quantity <= end) {
            break;
        }
    }
    lines
}

fn volume(tiers: &[Tier], quantity: &BigDecimal) -> Vec<PricedLine> {
    let holds = |tier: &Tier| tier.up_to.as_deref().is_none_or(|end| *quantity <= decimal::stored(end));
    let Some((index, tier)) = tiers.iter().enumerate().find(|(_, tier)| holds(tier)) else {
        return Vec::new();
    };
    let exact = unit_amount(tier) * quantity;
    let mut lines = vec![usage_line(quantity.clone(), &exact, Some(index + 1))];
    lines.extend(flat_fee(tier, index));
    lines
}

fn unit_amount(tier: &Tier) -> BigDecimal {
    tier.unit.as_deref().map(decimal::stored).unwrap_or_default()
}

fn usage_line(quantity: BigDecimal, exact: &BigDecimal, tier: Option<usize>) -> PricedLine {
    PricedLine { quantity, amount: minor(exact), tier, is_flat_fee: false }
}

fn flat_fee(tier: &Tier, index: usize) -> Option<PricedLine> {
    let amount = minor(&decimal::stored(tier.flat.as_deref()?));
    Some(PricedLine { quantity: BigDecimal::default(), amount, tier: Some(index + 1), is_flat_fee: true })
}

fn minor(exact: &BigDecimal) -> i64 {
    let end = if *exact < BigDecimal::default() { i64::MIN } else { i64::MAX };
    decimal::rounded(exact).unwrap_or(end)
}

fn transformed(quantity: &BigDecimal, transform: Option<&Transform>) -> BigDecimal {
    transform.map_or_else(
        || quantity.clone(),
        |transform| decimal::packages(quantity, transform.divide_by, transform.round == Round::Up),
    )
}
