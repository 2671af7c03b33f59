//! Rating: from a quantity and a price to invoice lines.
//!
//! In: the used quantity of one segment and meter, its price. Out: one line per tier that holds units, each rounded on
//! its own as Stripe does. Never loses a unit: the quantities of the lines add up to what went in.

use crate::domain::catalog::{Price, Tier, UsagePrice};
use crate::domain::money::{Currency, MinorAmount, MoneyError};
use crate::domain::number::{ExactAmount, NumberError, Quantity, UnitAmount};

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
}

impl LineKind {
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Base, Self::Usage].into_iter().find(|kind| kind.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Usage => "usage",
        }
    }
}

/// One invoice line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RatedLine {
    pub kind: LineKind,
    /// 1-based; `None` where the price has no tiers.
    pub tier: Option<u32>,
    pub quantity: Quantity,
    pub unit_amount: UnitAmount,
    pub exact: ExactAmount,
    pub amount: MinorAmount,
}

impl RatedLine {
    /// A line whose amount is the rounded product. Source: Stripe's "decimal amounts" page, multiply then round.
    pub fn new(
        kind: LineKind,
        tier: Option<u32>,
        quantity: Quantity,
        unit_amount: UnitAmount,
        currency: Currency,
    ) -> Result<Self, RatingError> {
        let exact = quantity.times(unit_amount);
        let amount = MinorAmount::round(exact, currency)?;
        Ok(Self { kind, tier, quantity, unit_amount, exact, amount })
    }

    /// The base fee of a plan: one unit at the fee.
    pub fn base(amount: MinorAmount) -> Result<Self, RatingError> {
        Self::new(LineKind::Base, None, Quantity::whole(1)?, UnitAmount::whole(amount.minor), amount.currency)
    }
}

/// How the used units split between quota and bill: `used = free + billed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Split {
    pub free: Quantity,
    pub billed: Quantity,
}

impl UsagePrice {
    /// The lines for `used` units; at least one, so that every total shows. `used` is not negative.
    pub fn rate(&self, used: Quantity, currency: Currency) -> Result<Vec<RatedLine>, RatingError> {
        match &self.price {
            Price::PerUnit(unit_amount) => {
                Ok(vec![RatedLine::new(LineKind::Usage, None, used, *unit_amount, currency)?])
            }
            Price::Graduated(tiers) => graduated(tiers, used, currency),
        }
    }

    /// `overage = max(0, used − free_quota)`.
    pub fn split(&self, used: Quantity) -> Result<Split, RatingError> {
        let free = self.free_quota.unwrap_or_default().min(used);
        Ok(Split { free, billed: used.checked_sub(free)? })
    }
}

fn graduated(tiers: &[Tier], used: Quantity, currency: Currency) -> Result<Vec<RatedLine>, RatingError> {
    let mut lines = Vec::new();
    let mut below = Quantity::ZERO;
    for (number, tier) in (1..).zip(tiers) {
        let reached = tier.up_to.map_or(used, |up_to| up_to.min(used));
        let inside = reached.checked_sub(below)?;
        if !inside.is_zero() || number == 1 {
            lines.push(RatedLine::new(LineKind::Usage, Some(number), inside, tier.unit_amount, currency)?);
        }
        below = reached;
        if reached == used {
            break;
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::catalog::{Billing, PushScope};

    fn price(tiers: &[(Option<&str>, &str)], quota: Option<&str>) -> UsagePrice {
        let tiers = tiers
            .iter()
            .map(|(up_to, unit_amount)| Tier {
                up_to: up_to.map(|text| Quantity::parse(text).unwrap()),
                unit_amount: UnitAmount::parse(unit_amount).unwrap(),
            })
            .collect();
        let graduated = Price::graduated(tiers, "tiers").unwrap();
        let quota = quota.map(|text| Quantity::parse(text).unwrap());
        UsagePrice::new(Billing::Shadow, PushScope::All, quota, graduated, "usage").unwrap()
    }

    fn lines(price: &UsagePrice, used: &str) -> Vec<(String, i64)> {
        let currency = Currency::parse("try").unwrap();
        let lines = price.rate(Quantity::parse(used).unwrap(), currency).unwrap();
        lines.iter().map(|line| (line.quantity.to_string(), line.amount.minor)).collect()
    }

    /// `facts/stripe.md` §4, PLAN-PRO: the overage plan, derived.
    #[test]
    fn the_first_hundred_requests_are_free_and_each_further_one_costs_seven_lira() {
        let pro = price(&[(Some("100"), "0"), (None, "700")], Some("100"));
        assert_eq!(lines(&pro, "0"), [("0".into(), 0)]);
        assert_eq!(lines(&pro, "100"), [("100".into(), 0)]);
        assert_eq!(lines(&pro, "101"), [("100".into(), 0), ("1".into(), 700)]);
        assert_eq!(lines(&pro, "130"), [("100".into(), 0), ("30".into(), 21_000)]);
        assert_eq!(lines(&pro, "250"), [("100".into(), 0), ("150".into(), 105_000)]);
    }

    /// `facts/stripe.md` §4, TIER-ROUND: 2 + 2, not round(3).
    #[test]
    fn each_tier_is_rounded_on_its_own() {
        assert_eq!(
            lines(&price(&[(Some("30"), "0.05"), (None, "0.05")], None), "60"),
            [("30".into(), 2), ("30".into(), 2)]
        );
    }

    /// `facts/stripe.md` §4, PLAN-STARTER.
    #[test]
    fn sub_cent_prices_are_rounded_per_line() {
        let starter = price(&[(Some("1500"), "0"), (None, "1.2")], Some("1500"));
        for (used, minor) in [("1501", 1), ("1525", 30), ("1542", 50), ("1667", 200)] {
            assert_eq!(lines(&starter, used)[1].1, minor, "{used}");
        }
    }

    #[test]
    fn a_fraction_between_two_tier_bounds_belongs_to_the_next_tier() {
        let two = price(&[(Some("1"), "100"), (None, "200")], None);
        assert_eq!(lines(&two, "1.5"), [("1".into(), 100), ("0.5".into(), 100)]);
    }

    #[test]
    fn an_amount_beyond_64_bits_is_an_error() {
        let absurd = price(&[(None, "999999999999999")], None);
        let used = Quantity::parse("999999999999999").unwrap();
        assert!(absurd.rate(used, Currency::parse("usd").unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn no_unit_is_lost_between_the_tiers(bounds in prop::collection::btree_set(1u32..2_000, 1..6), milli in 0u64..3_000_000) {
            let bounds: Vec<String> = bounds.iter().map(ToString::to_string).collect();
            let mut tiers: Vec<(Option<&str>, &str)> = bounds.iter().map(|one| (Some(one.as_str()), "0.7")).collect();
            tiers.push((None, "0.7"));
            let used = Quantity::parse(&format!("{}.{:03}", milli / 1000, milli % 1000)).unwrap();
            let lines = price(&tiers, None).rate(used, Currency::parse("usd").unwrap()).unwrap();
            let sum = lines.iter().try_fold(Quantity::ZERO, |sum, line| sum.checked_add(line.quantity)).unwrap();
            prop_assert_eq!(sum, used);
            let exact = lines.iter().try_fold(ExactAmount::ZERO, |sum, line| sum.checked_add(line.exact)).unwrap();
            prop_assert_eq!(exact, used.times(UnitAmount::parse("0.7").unwrap()));
        }

        #[test]
        fn free_and_billed_units_add_up_to_what_was_used(quota in 0u32..5_000, used in 0u32..10_000) {
            let quota_text = quota.to_string();
            let unit = Price::PerUnit(UnitAmount::parse("3.6").unwrap());
            let quota_units = Quantity::parse(&quota_text).unwrap();
            let price = UsagePrice::new(Billing::Shadow, PushScope::All, Some(quota_units), unit, "usage").unwrap();
            let used = Quantity::whole(used.into()).unwrap();
            let split = price.split(used).unwrap();
            prop_assert_eq!(split.free.checked_add(split.billed).unwrap(), used);
            prop_assert!(split.free <= quota_units);
        }
    }
}
