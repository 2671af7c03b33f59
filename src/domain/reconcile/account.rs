//! An account: what one cause makes of a difference.
//!
//! In: units and money that a piece of evidence speaks of, signed as the difference that they make. Out: the part of a
//! difference that they explain. Of units never more than the difference, and never a part of the other sign. Money is never
//! cut to fit: a price that is wrong beside them would hide in it.

use super::cause::Difference;
use super::ids::Proofs;
use super::rates::Rates;
use crate::domain::number::Quantity;

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
    pub ids: Proofs,
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
        Self { ids: ids.into_iter().collect(), ..self }
    }

    /// Two accounts of one cause, of what lies one after the other on usage's way.
    pub fn both(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(Self {
                units: one.units.checked_add(other.units).unwrap_or(one.units),
                amount: one.known_amount().zip(other.known_amount()).map(|(one, other)| one + other),
                is_of_first: one.is_of_first,
                is_certain: one.is_certain || other.is_certain,
                ids: one.ids.and(other.ids),
            }),
            (one, other) => one.or(other),
        }
    }

    /// `None`: its units are to be rated.
    fn known_amount(&self) -> Option<i128> {
        self.amount.or(self.units.is_zero().then_some(0))
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

    /// The money of the explained units: what is rated with them less what is rated without, whatever Stripe has charged.
    pub fn explained_amount(&self, difference: &Difference, rates: Option<&Rates>) -> i128 {
        let explained = self.explained_quantity(difference);
        let effect = |is_of_first| rates.and_then(|rates| rates.effect(explained, is_of_first));
        // Where nobody knows of which segments they are, those that leave less open are taken.
        let orders: &[bool] = if self.is_of_first { &[true] } else { &[false, true] };
        let left = |amount: &i128| difference.amount.unwrap_or_default().abs_diff(*amount);
        let by_units = || orders.iter().filter_map(|order| effect(*order)).min_by_key(left);
        self.amount.or_else(by_units).unwrap_or_default()
    }
}

/// As much of it as lies between nothing and the whole.
fn part<T: Ord + Default>(of: T, whole: T) -> T {
    let nothing = T::default();
    if whole > nothing { of.clamp(nothing, whole) } else { of.clamp(whole, nothing) }
}
