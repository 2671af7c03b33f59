//! Break-even: from which quantity on the next plan is cheaper.
//!
//! In: two plans' base fees and prices for one meter. Out: the smallest whole number of units at which the second costs less.
//! It compares bills and nothing else, so it needs no formula for any shape of price.

use std::collections::BTreeSet;

use crate::domain::catalog::UsagePrice;
use crate::domain::money::{Currency, MoneyError};
use crate::domain::number::Quantity;
use crate::domain::quote::amount_of;
use crate::domain::rating::RatingError;

/// Beyond this nothing is looked for: no price that is charged at all takes longer to catch up.
const MOST_UNITS: u64 = 1_000_000_000_000_000;

/// A base fee and the price of one meter.
#[derive(Clone, Copy, Debug)]
pub struct Tariff<'a> {
    pub base_minor: i64,
    pub price: &'a UsagePrice,
    pub currency: Currency,
}

impl Tariff<'_> {
    /// Base fee and usage, in minor units.
    pub fn bill(&self, used: Quantity) -> Result<i64, RatingError> {
        let usage = amount_of(&self.price.rate(used, self.currency)?, self.currency)?.minor;
        Ok(self.base_minor.checked_add(usage).ok_or(MoneyError::Overflow)?)
    }

    /// The whole units at which a tier or the quota ends.
    pub(in crate::domain) fn ends(&self) -> impl Iterator<Item = u64> {
        let of_tiers = self.price.price.tiers().iter().filter_map(|tier| tier.up_to);
        let ends = of_tiers.chain(self.price.free_quota);
        ends.filter_map(|end| u64::try_from(end.floor_and_fraction().0).ok())
    }
}

/// Between two ends the difference of the bills either grows or falls all along, so halving finds where it turns. `None`:
/// the next plan is never cheaper.
pub fn cheaper_from(own: &Tariff<'_>, next: &Tariff<'_>) -> Option<u64> {
    let ends: BTreeSet<u64> = own.ends().chain(next.ends()).collect();
    let is_cheaper = |units: u64| {
        let used = Quantity::whole(units).ok()?;
        Some(next.bill(used).ok()? < own.bill(used).ok()?)
    };
    let mut first = 0;
    for end in ends {
        if let Some(turn) = turn(first, end, is_cheaper) {
            return Some(turn);
        }
        first = end + 1;
    }
    if is_cheaper(first)? {
        return Some(first);
    }
    let mut span = 1;
    while first + span <= MOST_UNITS {
        // A bill that is beyond 64 bits is no offer.
        if is_cheaper(first + span)? {
            return turn(first, first + span, is_cheaper);
        }
        span *= 2;
    }
    None
}

/// The first units from `first` to `last` at which it is cheaper, if it is at the last or at the first.
fn turn(first: u64, last: u64, is_cheaper: impl Fn(u64) -> Option<bool>) -> Option<u64> {
    if is_cheaper(first)? {
        return Some(first);
    }
    if last <= first || !is_cheaper(last)? {
        return None;
    }
    let (mut dearer, mut cheaper) = (first, last);
    while cheaper - dearer > 1 {
        let middle = dearer + (cheaper - dearer) / 2;
        if is_cheaper(middle)? { cheaper = middle } else { dearer = middle }
    }
    Some(cheaper)
}
