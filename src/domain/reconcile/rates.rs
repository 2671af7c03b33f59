//! Rates: what units more or fewer would have cost.
//!
//! In: what Stripe is to charge for each segment of a window, units more or fewer. Out: the money of them. Each segment is rated
//! with and without, tiers and rounding and all: a unit has no price of its own.

use crate::domain::money::Currency;
use crate::domain::number::Quantity;
use crate::domain::price::Price;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rates {
    pub currency: Currency,
    /// The price in force and the units that Stripe is to show, in the order of the segments.
    pub parts: Vec<(Price, Quantity)>,
}

impl Rates {
    /// What it makes of the bill if Stripe shows so many units more, or with a minus fewer: those of the first segments, or of
    /// the last ones. `None` where it cannot be said.
    pub fn effect(&self, units: Quantity, is_of_first: bool) -> Option<i128> {
        let mut order: Vec<&(Price, Quantity)> = self.parts.iter().collect();
        if !is_of_first {
            order.reverse();
        }
        let (mut rest, mut effect) = (units, 0i128);
        for (price, ledger) in order {
            let room = Quantity::ZERO.checked_sub(*ledger).ok()?;
            let here = if rest.is_negative() { rest.max(room) } else { rest };
            let shown = ledger.checked_add(here).ok()?;
            effect += self.amount(price, shown)? - self.amount(price, *ledger)?;
            rest = rest.checked_sub(here).ok()?;
        }
        Some(effect)
    }

    fn amount(&self, price: &Price, units: Quantity) -> Option<i128> {
        amount(price, units, self.currency)
    }
}

/// What a price makes of units, in minor units; `None` where that fits no bill.
pub fn amount(price: &Price, units: Quantity, currency: Currency) -> Option<i128> {
    let lines = price.rate(units, currency).ok()?;
    Some(lines.iter().map(|line| i128::from(line.amount.minor)).sum())
}
