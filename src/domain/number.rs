//! Exact numbers: quantities and unit amounts with 12 decimal places, and their product with 24.
//!
//! In: decimal text, or stored integers. Out: checked values and canonical decimal text (no exponent, no trailing
//! zero). Never a binary float, never a silent rounding: a digit that does not fit is an error. Only what others have added up
//! in a binary float is rounded, to what such a float keeps.

mod decimal;

use std::fmt;

use decimal::{Decimal, FLOAT_DIGITS, without_last};
use ethnum::I256;

/// Decimal places of [`Quantity`] and [`UnitAmount`]; Stripe's `unit_amount_decimal` has at most as many.
pub const PLACES: u32 = 12;
/// `10^PLACES`: one whole unit in stored fractions.
pub const ONE: i128 = 1_000_000_000_000;
/// A parsed number is below this many whole units, so that a product of two always fits in 256 bits.
const PARSED_WHOLE_LIMIT: i128 = 1_000_000_000_000_000;
/// A sum is below this many whole units, so that its whole part always fits an SQL `BIGINT`.
const SUM_WHOLE_LIMIT: i128 = 1_000_000_000_000_000_000;

/// Why a text or a result is not a number that the ledger can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumberError {
    #[error("is empty")]
    Empty,
    #[error("is not a decimal number")]
    NotDecimal,
    #[error("has more than 12 decimal places")]
    TooManyPlaces,
    #[error("is too large: the limit is below 10^15")]
    TooLarge,
    #[error("overflows: a total must stay below 10^18")]
    Overflow,
}

/// Which way a division goes that leaves a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Round {
    Up,
    Down,
}

/// An amount of usage in units, exact to 12 places. Parsed values lie within ±10¹⁵, sums within ±10¹⁸.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(i128);

impl Quantity {
    pub const ZERO: Self = Self(0);

    pub fn parse(text: &str) -> Result<Self, NumberError> {
        parse_scaled(text).map(Self)
    }

    /// Reads what somebody else has added up in a binary float: of `0.30000000000000004` the digits that such a float
    /// keeps, and of what a subtraction leaves beyond the 12 places nothing.
    pub fn parse_float(text: &str) -> Result<Self, NumberError> {
        Decimal::read(text)?.at_float_precision().scaled(PARSED_WHOLE_LIMIT * ONE).map(Self)
    }

    /// As much of it as a binary float keeps: 15 significant digits, a half going away from zero. Both sides of a comparison
    /// with such a number go through this.
    #[must_use]
    pub fn at_float_precision(self) -> Self {
        let digits = self.0.unsigned_abs().to_string();
        let cut = digits.len().saturating_sub(FLOAT_DIGITS as usize);
        // At most 10¹⁸ units, of which the whole part still fits an SQL `BIGINT`.
        let unit = (0..cut).fold(1, |unit, _| unit * 10);
        Self(self.0.signum() * without_last(&digits, cut) * unit)
    }

    /// Whole units, for counts and quotas.
    pub fn whole(units: u64) -> Result<Self, NumberError> {
        Self::in_range(i128::from(units) * ONE)
    }

    /// From the whole part (rounded down) and the rest in 10⁻¹² units, as SQLite stores them.
    pub fn from_floor_and_fraction(whole: i64, fraction: i64) -> Result<Self, NumberError> {
        Self::in_range(i128::from(whole) * ONE + i128::from(fraction))
    }

    /// The whole part rounded down, and the non-negative rest in 10⁻¹² units.
    pub fn floor_and_fraction(self) -> (i64, i64) {
        floor_and_fraction(self.0)
    }

    pub fn checked_add(self, other: Self) -> Result<Self, NumberError> {
        Self::in_range(self.0.checked_add(other.0).ok_or(NumberError::Overflow)?)
    }

    pub fn checked_sub(self, other: Self) -> Result<Self, NumberError> {
        Self::in_range(self.0.checked_sub(other.0).ok_or(NumberError::Overflow)?)
    }

    pub fn is_negative(self) -> bool {
        self.0 < 0
    }

    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub fn is_whole(self) -> bool {
        self.0 % ONE == 0
    }

    /// How many packages of `size` units a quantity fills, the last one begun or full. A negative quantity fills none.
    pub fn packages(self, size: u64, round: Round) -> Result<Self, NumberError> {
        let size = i128::from(size) * ONE;
        let units = self.0.max(0);
        let full = units.checked_div(size).ok_or(NumberError::TooLarge)?;
        let begun = round == Round::Up && units % size != 0;
        Self::in_range((full + i128::from(begun)) * ONE)
    }

    /// `self × part / whole`, rounded up to a whole unit; `part` and `whole` are positive lengths.
    pub fn share_rounded_up(self, part: i128, whole: i128) -> Result<Self, NumberError> {
        let (product, unit) = (I256::new(self.0) * I256::new(part), I256::new(whole) * I256::new(ONE));
        let full = product.checked_div(unit).ok_or(NumberError::Overflow)?;
        let begun = I256::from(i8::from(product % unit != I256::ZERO));
        let units = i128::try_from(full + begun).map_err(|_| NumberError::Overflow)?;
        Self::in_range(units.checked_mul(ONE).ok_or(NumberError::Overflow)?)
    }

    /// Without its sign.
    #[must_use]
    pub fn magnitude(self) -> Self {
        Self(self.0.abs())
    }

    /// Exact product; it cannot overflow: 10³⁰ × 10²⁷ is far below 2²⁵⁵.
    pub fn times(self, unit_amount: UnitAmount) -> ExactAmount {
        ExactAmount(I256::new(self.0) * I256::new(unit_amount.0))
    }

    /// In 10⁻¹² units, below 10³⁰ either way; for exact fractions.
    pub(in crate::domain) fn scaled(self) -> i128 {
        self.0
    }

    fn in_range(scaled: i128) -> Result<Self, NumberError> {
        if scaled.abs() < SUM_WHOLE_LIMIT * ONE { Ok(Self(scaled)) } else { Err(NumberError::Overflow) }
    }
}

/// A sum over many quantities. It is wider than [`Quantity`], so that one absurd tenant cannot spoil the totals of
/// all others: 10²⁶ units fit, which no ledger reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct QuantitySum(i128);

impl QuantitySum {
    pub const ZERO: Self = Self(0);

    /// Reads a sum that a database has printed.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        parse_below(text, i128::MAX).map(Self)
    }

    /// From whole units and 10⁻¹² units that were summed apart, so the second may exceed one unit.
    pub fn from_parts(whole: i128, fraction: i128) -> Result<Self, NumberError> {
        let scaled = whole.checked_mul(ONE).and_then(|units| units.checked_add(fraction));
        scaled.map(Self).ok_or(NumberError::Overflow)
    }

    pub fn checked_add(self, other: impl Into<Self>) -> Result<Self, NumberError> {
        self.0.checked_add(other.into().0).map(Self).ok_or(NumberError::Overflow)
    }

    pub fn checked_sub(self, other: impl Into<Self>) -> Result<Self, NumberError> {
        self.0.checked_sub(other.into().0).map(Self).ok_or(NumberError::Overflow)
    }

    /// The sum as a quantity that can be rated; beyond 10¹⁸ units it cannot.
    pub fn to_quantity(self) -> Result<Quantity, NumberError> {
        Quantity::in_range(self.0)
    }

    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub fn is_negative(self) -> bool {
        self.0 < 0
    }

    /// In 10⁻¹² units; for exact fractions.
    pub(in crate::domain) fn scaled(self) -> i128 {
        self.0
    }
}

impl From<Quantity> for QuantitySum {
    fn from(quantity: Quantity) -> Self {
        Self(quantity.0)
    }
}

/// A price per unit in minor currency units, exact to 12 places, within ±10¹⁵ (Stripe's `unit_amount_decimal`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitAmount(i128);

impl UnitAmount {
    pub const ZERO: Self = Self(0);

    pub fn parse(text: &str) -> Result<Self, NumberError> {
        parse_scaled(text).map(Self)
    }

    /// Reads a unit amount that a database has printed; a base fee may exceed what a catalog price may be.
    pub fn parse_stored(text: &str) -> Result<Self, NumberError> {
        parse_below(text, i128::MAX).map(Self)
    }

    /// Whole minor units, for a base fee.
    pub fn whole(minor: i64) -> Self {
        Self(i128::from(minor) * ONE)
    }

    pub fn is_negative(self) -> bool {
        self.0 < 0
    }

    pub fn is_zero(self) -> bool {
        self.0 == 0
    }

    pub fn from_floor_and_fraction(whole: i64, fraction: i64) -> Self {
        Self(i128::from(whole) * ONE + i128::from(fraction))
    }

    /// The whole part rounded down, and the non-negative rest in 10⁻¹² minor units.
    pub fn floor_and_fraction(self) -> (i64, i64) {
        floor_and_fraction(self.0)
    }
}

/// A product of quantity and unit amount, or a sum of such, in minor units × 10⁻²⁴.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct ExactAmount(I256);

impl ExactAmount {
    pub const ZERO: Self = Self(I256::ZERO);

    pub fn checked_add(self, other: Self) -> Result<Self, NumberError> {
        self.0.checked_add(other.0).map(Self).ok_or(NumberError::Overflow)
    }

    /// The nearest whole number of minor units, a half going away from zero; `None` beyond 64 bits.
    /// Only `MinorAmount::round` may call this, so that there is one place that rounds.
    pub(in crate::domain) fn nearest_whole(self) -> Option<i64> {
        let half = Self::one() / I256::new(2);
        let away = if self.0.is_negative() { self.0.checked_sub(half) } else { self.0.checked_add(half) };
        i64::try_from(away? / Self::one()).ok()
    }

    fn one() -> I256 {
        I256::new(ONE) * I256::new(ONE)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(out, self.0 < 0, &self.0.unsigned_abs().to_string(), PLACES as usize)
    }
}

impl fmt::Display for QuantitySum {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(out, self.0 < 0, &self.0.unsigned_abs().to_string(), PLACES as usize)
    }
}

impl fmt::Display for UnitAmount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(out, self.0 < 0, &self.0.unsigned_abs().to_string(), PLACES as usize)
    }
}

impl fmt::Display for ExactAmount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.0.unsigned_abs().to_string();
        write_decimal(out, self.0.is_negative(), &digits, 2 * PLACES as usize)
    }
}

/// Reads `[+-]digits[.digits][e[+-]digits]` into 10⁻¹² units. The exponent is there because JSON writers use it for
/// small numbers (`1e-7`); it counts as places, so `1e-13` is refused like thirteen written digits.
fn parse_scaled(text: &str) -> Result<i128, NumberError> {
    parse_below(text, PARSED_WHOLE_LIMIT * ONE)
}

fn parse_below(text: &str, limit: i128) -> Result<i128, NumberError> {
    Decimal::read(text)?.scaled(limit)
}

/// Both fit 64 bits: every value in range is below 10¹⁸ whole units.
fn floor_and_fraction(scaled: i128) -> (i64, i64) {
    let whole = i64::try_from(scaled.div_euclid(ONE)).unwrap_or(i64::MAX);
    (whole, i64::try_from(scaled.rem_euclid(ONE)).unwrap_or(i64::MAX))
}

/// Writes `digits` with the point `places` from their end, without trailing zeros.
pub(in crate::domain) fn write_decimal(
    out: &mut fmt::Formatter<'_>,
    negative: bool,
    digits: &str,
    places: usize,
) -> fmt::Result {
    let padded = format!("{digits:0>width$}", width = places + 1);
    let (whole, fraction) = padded.split_at(padded.len() - places);
    let fraction = fraction.trim_end_matches('0');
    let sign = if negative { "-" } else { "" };
    if fraction.is_empty() { write!(out, "{sign}{whole}") } else { write!(out, "{sign}{whole}.{fraction}") }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn decimal_text_is_read_to_the_last_digit() {
        for (text, canonical) in [
            ("0", "0"),
            ("-0.0", "0"),
            ("007.50", "7.5"),
            ("0.000000000001", "0.000000000001"),
            ("999999999999999.999999999999", "999999999999999.999999999999"),
            ("1e-7", "0.0000001"),
            ("1.5E3", "1500"),
            ("-12.25", "-12.25"),
        ] {
            assert_eq!(Quantity::parse(text).unwrap().to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn text_that_is_no_number_of_the_ledger_is_refused_with_its_reason() {
        use NumberError::{Empty, NotDecimal, TooLarge, TooManyPlaces};
        for (text, reason) in [
            ("", Empty),
            ("NaN", NotDecimal),
            ("Infinity", NotDecimal),
            ("1,5", NotDecimal),
            (" 1", NotDecimal),
            (".5", NotDecimal),
            ("5.", NotDecimal),
            ("-", NotDecimal),
            ("1e", NotDecimal),
            ("0x10", NotDecimal),
            ("١", NotDecimal),
            ("1e400", TooLarge),
            ("1e999999999999999999999", TooLarge),
            ("1000000000000000", TooLarge),
            ("0.1234567890123", TooManyPlaces),
            ("1e-13", TooManyPlaces),
        ] {
            assert_eq!(Quantity::parse(text), Err(reason), "{text}");
        }
    }

    #[test]
    fn packages_are_begun_or_full() {
        let packages = |units: &str, size, round| {
            Quantity::parse(units).unwrap().packages(size, round).unwrap().to_string()
        };
        for (units, size, up, down) in [
            ("0", 10, "0", "0"),
            ("23", 10, "3", "2"),
            ("30", 10, "3", "3"),
            ("30.000000000001", 10, "4", "3"),
            ("2.5", 1, "3", "2"),
            ("-5", 10, "0", "0"),
        ] {
            assert_eq!(
                (packages(units, size, Round::Up), packages(units, size, Round::Down)),
                (up.into(), down.into()),
                "{units}"
            );
        }
        assert_eq!(packages("999999999999999.999999999999", u64::MAX, Round::Up), "1");
        assert!(Quantity::ZERO.packages(0, Round::Up).is_err());
    }

    #[test]
    fn a_share_of_a_quota_is_rounded_up_to_a_whole_unit() {
        let share = |units: &str, part, whole| {
            Quantity::parse(units).unwrap().share_rounded_up(part, whole).unwrap().to_string()
        };
        assert_eq!(share("100", 10, 31), "33");
        assert_eq!(share("100", 31, 31), "100");
        assert_eq!(share("93", 10, 31), "30");
        assert_eq!(share("0", 10, 31), "0");
        assert_eq!(
            share("999999999999999", 31_535_999_999_999_999, 31_536_000_000_000_000),
            "999999999999999"
        );
    }

    #[test]
    fn a_total_beyond_ten_to_the_eighteenth_is_an_error_and_not_a_wrap() {
        let large = Quantity::from_floor_and_fraction(999_999_999_999_999_999, 0).unwrap();
        let one = Quantity::whole(1).unwrap();
        assert_eq!(large.checked_add(one), Err(NumberError::Overflow));
        let sum = QuantitySum::from(large).checked_add(one).unwrap();
        assert_eq!(
            (sum.to_string(), sum.to_quantity()),
            ("1000000000000000000".into(), Err(NumberError::Overflow))
        );
        assert_eq!(QuantitySum::from_parts(i128::MAX, 0), Err(NumberError::Overflow));
    }

    #[test]
    fn what_a_float_added_up_is_read_to_the_digits_that_it_keeps() {
        for (text, expected) in [
            ("0.30000000000000004", "0.3"),
            ("99.99999999999999", "100"),
            ("0.9999999999999999", "1"),
            ("999999999999999.4", "999999999999999"),
            ("1234567.123456789", "1234567.12345679"),
            ("-0.30000000000000004", "-0.3"),
            // What 0.3 − 0.2 − 0.1 leaves.
            ("-2.7755575615628914e-17", "0"),
            ("5e-13", "0.000000000001"),
            ("4.9e-13", "0"),
            ("0e-400", "0"),
            ("130.0", "130"),
            ("1.3e2", "130"),
            ("1e-7", "0.0000001"),
            ("7", "7"),
        ] {
            assert_eq!(Quantity::parse_float(text).unwrap().to_string(), expected, "{text}");
        }
        for text in ["", "NaN", "1e400", "1e15", "999999999999999.5", "12 units", "1e-"] {
            assert!(Quantity::parse_float(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_quantity_at_float_precision_has_fifteen_digits() {
        for (text, expected) in [
            ("1234567.123456789012", "1234567.12345679"),
            ("999999999999999.5", "1000000000000000"),
            ("-1000.000000000005", "-1000.00000000001"),
            ("0.123456789012", "0.123456789012"),
            ("0", "0"),
        ] {
            let quantity = Quantity::parse(text).unwrap();
            assert_eq!(quantity.at_float_precision().to_string(), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn at_float_precision_is_the_nearest_number_of_fifteen_digits(
            scaled in -(SUM_WHOLE_LIMIT * ONE - 1)..SUM_WHOLE_LIMIT * ONE,
            bits in 0u32..100,
        ) {
            let quantity = Quantity(scaled >> bits);
            let kept = quantity.at_float_precision();
            let digits = kept.0.unsigned_abs().to_string();
            prop_assert!(digits.trim_end_matches('0').len() <= 15, "{}", kept);
            let cut = quantity.0.unsigned_abs().to_string().len().saturating_sub(15);
            prop_assert!((kept.0 - quantity.0).abs() * 2 <= 10i128.pow(u32::try_from(cut).unwrap()), "{}", quantity);
            prop_assert_eq!(kept.at_float_precision(), kept);
            if kept.0.abs() < PARSED_WHOLE_LIMIT * ONE {
                prop_assert_eq!(Quantity::parse_float(&quantity.to_string()).unwrap(), kept);
            }
        }

        /// Stripe adds a meter up in a binary float: here the float is what is tested.
        #[test]
        fn what_a_float_adds_up_of_a_few_amounts_is_read_as_their_sum(
            parts in prop::collection::vec(0i128..250_000_000_000_000, 1..5),
            places in 0u32..=12,
        ) {
            let unit = 10i128.pow(PLACES - places);
            let parts: Vec<Quantity> = parts.into_iter().map(|part| Quantity(part * unit)).collect();
            let float: f64 = parts.iter().map(|part| part.to_string().parse::<f64>().unwrap()).sum();
            let sum = parts.iter().try_fold(Quantity::ZERO, |sum, part| sum.checked_add(*part)).unwrap();
            prop_assert_eq!(Quantity::parse_float(&float.to_string()).unwrap(), sum);
        }

        #[test]
        fn printing_and_reading_lose_nothing(scaled in -(PARSED_WHOLE_LIMIT * ONE - 1)..PARSED_WHOLE_LIMIT * ONE) {
            let quantity = Quantity(scaled);
            prop_assert_eq!(Quantity::parse(&quantity.to_string()).unwrap(), quantity);
            let (whole, fraction) = quantity.floor_and_fraction();
            prop_assert!((0..1_000_000_000_000).contains(&fraction));
            prop_assert_eq!(Quantity::from_floor_and_fraction(whole, fraction).unwrap(), quantity);
        }

        #[test]
        fn any_text_is_read_or_refused_without_a_panic(text in "\\PC{0,40}") {
            let _ = (Quantity::parse(&text), Quantity::parse_float(&text));
        }
    }
}
