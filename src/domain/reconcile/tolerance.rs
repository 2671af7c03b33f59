//! Tolerances: how much two sides may differ and still agree.
//!
//! In: a row of the comparison. Out: the same, `matched` where all of its difference is within what is tolerated. One rule for
//! units and money: `|difference| <= max(absolute, relative × |ledger|)`, computed exactly. Nothing is tolerated unless somebody
//! has set it, and never where a number is not known.

use std::collections::BTreeMap;
use std::fmt;

use ethnum::I256;

use crate::domain::money::Currency;
use crate::domain::number::{ONE, Quantity};
use crate::domain::reconcile::{Class, ReconciliationRow};

/// What a side may be off by: whichever of the two is more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tolerance<T> {
    pub absolute: T,
    /// A share of the ledger's side, such as 0.001.
    pub relative: Quantity,
}

/// What a run tolerates; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tolerances {
    pub quantity: Tolerance<Quantity>,
    /// In minor units. A currency that is not here tolerates nothing.
    pub money: BTreeMap<Currency, Tolerance<u32>>,
}

impl Tolerances {
    pub fn is_none(&self) -> bool {
        let tolerates = |absolute: bool, relative: Quantity| absolute || !relative.is_zero();
        !tolerates(!self.quantity.absolute.is_zero(), self.quantity.relative)
            && !self.money.values().any(|one| tolerates(one.absolute > 0, one.relative))
    }

    /// What is within tolerance is no difference, and has no cause.
    #[must_use]
    pub fn settle(&self, row: ReconciliationRow) -> ReconciliationRow {
        if row.is_difference() && self.covers(&row) {
            ReconciliationRow { class: Class::Matched, ..row.without_cause() }
        } else {
            row
        }
    }

    fn covers(&self, row: &ReconciliationRow) -> bool {
        let Some(units) = row.difference_quantity().zip(row.ledger_quantity) else { return false };
        let units = (units.0.scaled(), units.1.scaled());
        if !is_covered(units, self.quantity.absolute.scaled(), self.quantity.relative) {
            return false;
        }
        match (row.difference_amount().zip(row.ledger_amount), row.currency) {
            (Some(minor), Some(currency)) => {
                let Tolerance { absolute, relative } = self.money.get(&currency).copied().unwrap_or_default();
                is_covered(minor, absolute.into(), relative)
            }
            // A meter's total has no money.
            (None, _) => row.ledger_amount.is_none() && row.stripe_amount.is_none(),
            (Some(_), None) => false,
        }
    }
}

/// Difference, ledger's side and `absolute` are in one unit.
fn is_covered((difference, ledger): (i128, i128), absolute: i128, relative: Quantity) -> bool {
    let difference = I256::new(difference).abs();
    difference <= I256::new(absolute)
        || difference * I256::new(ONE) <= I256::new(ledger).abs() * I256::new(relative.scaled())
}

/// As the manifest and the terminal tell it.
impl fmt::Display for Tolerances {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_none() {
            return write!(out, "none");
        }
        let Tolerance { absolute, relative } = self.quantity;
        write!(out, "quantity {absolute} or {relative} of the ledger's")?;
        for (currency, Tolerance { absolute, relative }) in &self.money {
            write!(out, "; {currency} {absolute} minor units or {relative} of the ledger's")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::reconcile::{Cause, Source};

    fn lira() -> Currency {
        Currency::parse("try").unwrap()
    }

    fn number(text: &str) -> Quantity {
        Quantity::parse(text).unwrap()
    }

    fn tolerances(quantity: [&str; 2], lira_minor: (u32, &str)) -> Tolerances {
        let (absolute, relative) = lira_minor;
        Tolerances {
            quantity: Tolerance { absolute: number(quantity[0]), relative: number(quantity[1]) },
            money: [(lira(), Tolerance { absolute, relative: number(relative) })].into(),
        }
    }

    fn row(quantities: [&str; 2], amounts: Option<[i128; 2]>) -> ReconciliationRow {
        ReconciliationRow {
            source: Source::Invoice,
            class: Class::QuantityMismatch,
            ledger_quantity: Some(number(quantities[0])),
            stripe_quantity: Some(number(quantities[1])),
            ledger_amount: amounts.map(|[ledger, _]| ledger),
            stripe_amount: amounts.map(|[_, stripe]| stripe),
            currency: amounts.map(|_| lira()),
            reason: Some(Cause::Mapping),
            ..crate::domain::reconcile::orphan("", "calls")
        }
    }

    #[test]
    fn exactly_the_tolerance_is_tolerated_and_one_unit_in_the_last_place_more_is_not() {
        let absolute = tolerances(["0.5", "0"], (2, "0"));
        for (quantities, amounts, tolerated) in [
            (["100", "99.5"], None, true),
            (["100", "100.5"], None, true),
            (["100", "99.499999999999"], None, false),
            (["100", "100"], Some([700, 702]), true),
            (["100", "100"], Some([700, 698]), true),
            (["100", "100"], Some([700, 703]), false),
            (["100", "99.4"], Some([700, 700]), false),
            (["0", "0.5"], Some([0, 2]), true),
        ] {
            let settled = absolute.settle(row(quantities, amounts));
            assert_eq!(settled.class == Class::Matched, tolerated, "{quantities:?} {amounts:?}");
            assert_eq!(settled.reason.is_none(), tolerated);
            assert_eq!(settled.within_tolerance(), tolerated);
        }
    }

    #[test]
    fn a_share_is_of_the_ledgers_side_and_the_larger_of_the_two_counts() {
        let relative = tolerances(["0", "0.001"], (1, "0.01"));
        for (quantities, amounts, tolerated) in [
            (["1000", "999"], None, true),
            (["1000", "1001"], None, true),
            (["999", "1000"], None, false),
            (["-1000", "-1001"], None, true),
            (["0", "0.000000000001"], None, false),
            (["1", "1"], Some([10_000, 10_100]), true),
            (["1", "1"], Some([10_000, 10_101]), false),
            (["1", "1"], Some([50, 51]), true),
            (["1", "1"], Some([i128::MAX, 0]), false),
        ] {
            let settled = relative.settle(row(quantities, amounts));
            assert_eq!(settled.class == Class::Matched, tolerated, "{quantities:?} {amounts:?}");
        }
    }

    #[test]
    fn what_is_not_known_or_of_another_currency_is_never_tolerated() {
        let wide = tolerances(["1000", "1"], (u32::MAX, "1"));
        let known = row(["1", "2"], Some([1, 2]));
        assert!(wide.settle(known.clone()).within_tolerance());
        let dollar = Currency::parse("usd").unwrap();
        for unknown in [
            ReconciliationRow { stripe_quantity: None, ..known.clone() },
            ReconciliationRow { stripe_amount: None, ..known.clone() },
            ReconciliationRow { class: Class::Incomplete, ..known.clone() },
            ReconciliationRow { currency: Some(dollar), ..known.clone() },
            crate::domain::reconcile::orphan("sub_1", "calls"),
        ] {
            assert_eq!(wide.settle(unknown.clone()), unknown);
        }
        assert_eq!(Tolerances::default().settle(known.clone()), known, "nothing by default");
    }

    #[test]
    fn they_are_told_in_words_that_hold_every_number() {
        assert_eq!(Tolerances::default().to_string(), "none");
        assert_eq!(tolerances(["0", "0"], (0, "0")).to_string(), "none");
        let words = "quantity 0.5 or 0.001 of the ledger's; try 2 minor units or 0 of the ledger's";
        assert_eq!(tolerances(["0.5", "0.001"], (2, "0")).to_string(), words);
    }
}
