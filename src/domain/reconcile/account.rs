//! An account: what one cause makes of a difference.
//!
//! In: units and money that a piece of evidence speaks of, signed as the difference that they make. Out: the part of a
//! difference that they explain. Never more than the difference, and never a part of the other sign.

use super::cause::Difference;
use super::rates::Rates;
use crate::domain::number::Quantity;

/// As many ids as a person looks at; more are in the ledger.
const MOST_IDS: usize = 8;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// Stripe's less the ledger's, as far as this cause goes.
    pub units: Quantity,
    /// Where the money is known without rating the units.
    pub amount: Option<i128>,
    /// The units are of the window's first segments, and not of its last ones.
    pub is_of_first: bool,
    /// It holds whatever the numbers are.
    pub is_certain: bool,
    pub ids: Vec<String>,
}

impl Account {
    /// It holds, and says nothing about numbers.
    pub fn certain() -> Self {
        Self { is_certain: true, ..Self::default() }
    }

    pub fn of(units: Quantity) -> Self {
        Self { units, ..Self::default() }
    }

    pub fn whole(difference: &Difference) -> Self {
        Self { amount: difference.amount, ..Self::of(difference.units()) }
    }

    pub fn with_ids(self, ids: impl IntoIterator<Item = String>) -> Self {
        Self { ids: ids.into_iter().take(MOST_IDS).collect(), ..self }
    }

    /// Two accounts of one cause, of what lies one after the other on usage's way.
    pub fn both(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(Self {
                units: one.units.checked_add(other.units).unwrap_or(one.units),
                amount: one.amount.or(other.amount),
                is_of_first: one.is_of_first,
                is_certain: one.is_certain || other.is_certain,
                ids: one.ids.into_iter().chain(other.ids).take(MOST_IDS).collect(),
            }),
            (one, other) => one.or(other),
        }
    }

    /// Whether it comes to the difference to the last digit, as far as a total has digits.
    pub fn is_exact(&self, difference: &Difference) -> bool {
        let units = difference.units();
        if units.is_zero() {
            return self.amount.is_some_and(|amount| amount != 0 && Some(amount) == difference.amount);
        }
        let shown = || difference.ledger.checked_add(self.units).map(Quantity::at_float_precision);
        !self.units.is_zero() && (self.units == units || shown() == Ok(difference.stripe))
    }

    /// Whether it explains anything.
    pub fn is_part(&self, difference: &Difference) -> bool {
        let of_amount = || part(self.amount.unwrap_or_default(), difference.amount.unwrap_or_default()) != 0;
        if difference.units().is_zero() {
            of_amount()
        } else {
            !self.explained_quantity(difference).is_zero()
        }
    }

    pub fn explained_quantity(&self, difference: &Difference) -> Quantity {
        let units = difference.units();
        if self.is_exact(difference) { units } else { part(self.units, units) }
    }

    /// The money of the explained units: what is rated with them less what is rated without.
    pub fn explained_amount(&self, difference: &Difference, rates: Option<&Rates>) -> i128 {
        let explained = self.explained_quantity(difference);
        let effect = || rates.and_then(|rates| rates.effect(explained, self.is_of_first));
        let amount = self.amount.or_else(effect).unwrap_or_default();
        part(amount, difference.amount.unwrap_or_default())
    }
}

/// As much of it as lies between nothing and the whole.
fn part<T: Ord + Default>(of: T, whole: T) -> T {
    let nothing = T::default();
    if whole > nothing { of.clamp(nothing, whole) } else { of.clamp(whole, nothing) }
}
