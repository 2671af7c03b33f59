//! Exact fractions: shares, means and percentiles, and the thresholds that they are held against.
//!
//! In: integers and quantities. Out: a [`Ratio`] in lowest terms that compares exactly, and its decimal text. Never a
//! division on the way to a comparison, never a rounding except in text.

use std::cmp::Ordering;
use std::fmt;

use ethnum::{I256, U256};

use crate::domain::number::{NumberError, ONE, Quantity, QuantitySum, write_decimal};

/// Decimal places of a text whose exact digits would never end.
const DISPLAY_PLACES: u32 = 6;
/// Decimal places of a percentage in a sentence.
const PERCENT_PLACES: u32 = 4;

/// `numerator / denominator` in lowest terms, so that equal values are equal fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ratio {
    numerator: i128,
    /// Above 0.
    denominator: u128,
}

impl Ratio {
    /// `None` where the denominator is 0: there is no such share, and no such mean.
    pub fn new(numerator: i128, denominator: u128) -> Option<Self> {
        let divisor = greatest_common_divisor(numerator.unsigned_abs(), denominator);
        // Only the magnitude of an unreduced `i128::MIN` does not fit, and then the numerator stays what it is.
        let magnitude = i128::try_from(numerator.unsigned_abs() / divisor.max(1));
        let numerator = magnitude.map_or(numerator, |magnitude| magnitude * numerator.signum());
        (denominator > 0).then(|| Self { numerator, denominator: denominator / divisor })
    }

    /// How much of `whole` is `part`; `None` of nothing.
    pub fn of(part: u64, whole: u64) -> Option<Self> {
        Self::new(part.into(), whole.into())
    }

    /// The same of quantities; `None` of nothing and of less.
    pub fn share(part: Quantity, whole: Quantity) -> Option<Self> {
        Self::new(part.scaled(), u128::try_from(whole.scaled()).ok()?)
    }

    pub fn whole(count: u64) -> Self {
        Self { numerator: count.into(), denominator: 1 }
    }

    /// A decimal, or a percentage such as `20 %`; both with at most 12 places.
    pub fn parse(text: &str) -> Result<Self, NumberError> {
        let text = text.trim();
        let (digits, parts) = text.strip_suffix('%').map_or((text, 1), |digits| (digits.trim_end(), 100));
        let scaled = Quantity::parse(digits)?.scaled();
        Self::new(scaled, parts * ONE.unsigned_abs()).ok_or(NumberError::Overflow)
    }

    pub fn percent(percent: u32) -> Self {
        Self::new(percent.into(), 100).unwrap_or(Self::whole(0))
    }

    /// The sum shared equally among `count`; `None` among nobody.
    pub fn mean(sum: QuantitySum, count: u64) -> Option<Self> {
        Self::new(sum.scaled(), u128::from(count) * ONE.unsigned_abs())
    }

    /// The exact product; `None` where it does not fit.
    pub fn checked_times(self, by: Self) -> Option<Self> {
        // What divides both sides is taken out first, so that what fits in lowest terms fits here.
        let across = |one: Self, other: Self| Self::new(one.numerator, other.denominator);
        let (left, right) = (across(self, by)?, across(by, self)?);
        let numerator = left.numerator.checked_mul(right.numerator)?;
        Self::new(numerator, left.denominator.checked_mul(right.denominator)?)
    }

    /// To 12 places, a half going away from zero; `None` beyond what a quantity holds.
    pub fn rounded(self) -> Option<Quantity> {
        let (numerator, denominator) = self.magnitude();
        let two = U256::from(2u8);
        let scaled = numerator * U256::from(ONE.unsigned_abs());
        let nearest = i128::try_from((scaled * two + denominator) / (denominator * two)).ok()?;
        QuantitySum::from_parts(0, nearest * self.numerator.signum()).ok()?.to_quantity().ok()
    }

    /// The value as a percentage, for a sentence: exact, or rounded to 4 places.
    pub fn as_percent(self) -> Percent {
        Percent(self)
    }

    fn magnitude(self) -> (U256, U256) {
        (U256::from(self.numerator.unsigned_abs()), U256::from(self.denominator))
    }
}

impl From<Quantity> for Ratio {
    fn from(quantity: Quantity) -> Self {
        // The denominator is not 0, so the fallback is never taken.
        Self::new(quantity.scaled(), ONE.unsigned_abs()).unwrap_or(Self::whole(0))
    }
}

/// Cross-multiplication in 256 bits, which always fits: `2¹²⁷ × (2¹²⁸ - 1) < 2²⁵⁵`.
impl Ord for Ratio {
    fn cmp(&self, other: &Self) -> Ordering {
        let product = |one: &Self, by: &Self| I256::from(one.numerator) * I256::from(by.denominator);
        product(self, other).cmp(&product(other, self))
    }
}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Every digit where they end, else rounded half away from zero to 6 places.
impl fmt::Display for Ratio {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (numerator, denominator) = self.magnitude();
        let negative = self.numerator < 0;
        if has_an_end(self.denominator) {
            return write_to_the_end(out, negative, numerator, denominator);
        }
        write_rounded(out, negative, numerator, denominator, DISPLAY_PLACES)
    }
}

/// See [`Ratio::as_percent`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(Ratio);

impl fmt::Display for Percent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (numerator, denominator) = self.0.magnitude();
        let hundredfold = numerator * U256::from(100u8);
        write_rounded(out, self.0.numerator < 0, hundredfold, denominator, PERCENT_PLACES)?;
        out.write_str(" %")
    }
}

/// Of 0 and 0 it is 0.
fn greatest_common_divisor(mut one: u128, mut other: u128) -> u128 {
    while other != 0 {
        (one, other) = (other, one % other);
    }
    one
}

/// In lowest terms a fraction has an end in decimals when 2 and 5 alone divide its denominator.
fn has_an_end(mut denominator: u128) -> bool {
    for prime in [2, 5] {
        while denominator.is_multiple_of(prime) {
            denominator /= prime;
        }
    }
    denominator == 1
}

fn write_to_the_end(
    out: &mut fmt::Formatter<'_>,
    negative: bool,
    numerator: U256,
    denominator: U256,
) -> fmt::Result {
    let ten = U256::from(10u8);
    let mut digits = (numerator / denominator).to_string();
    let mut rest = numerator % denominator;
    let mut places = 0;
    while rest != U256::ZERO {
        rest *= ten;
        digits.push_str(&(rest / denominator).to_string());
        rest %= denominator;
        places += 1;
    }
    write_decimal(out, negative, &digits, places)
}

/// The numerator is below 2¹³⁵, so all products fit 256 bits.
fn write_rounded(
    out: &mut fmt::Formatter<'_>,
    negative: bool,
    numerator: U256,
    denominator: U256,
    places: u32,
) -> fmt::Result {
    let two = U256::from(2u8);
    let scaled = numerator * U256::from(10u8).pow(places);
    let nearest = (scaled * two + denominator) / (denominator * two);
    write_decimal(out, negative && nearest != U256::ZERO, &nearest.to_string(), places as usize)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ratio(numerator: i128, denominator: u128) -> Ratio {
        Ratio::new(numerator, denominator).unwrap()
    }

    #[test]
    fn a_text_is_exact_where_its_digits_end_and_else_has_six_places() {
        for (numerator, denominator, text) in [
            (0, 7, "0"),
            (1, 8, "0.125"),
            (-9, 2, "-4.5"),
            (99, 1000, "0.099"),
            (1, 1 << 20, "0.00000095367431640625"),
            (2_000_000_000_000_000_000_000_001, 1_000_000_000_000, "2000000000000.000000000001"),
            (1, 3, "0.333333"),
            (2, 3, "0.666667"),
            (-2, 3, "-0.666667"),
            (-1, 30_000_000, "0"),
            (1, 2_000_003, "0"),
            (1, 1_999_999, "0.000001"),
        ] {
            assert_eq!(ratio(numerator, denominator).to_string(), text, "{numerator}/{denominator}");
        }
    }

    #[test]
    fn a_percentage_has_at_most_four_places() {
        for (part, whole, text) in [
            (99, 1000, "9.9 %"),
            (1, 10, "10 %"),
            (1, 3, "33.3333 %"),
            (99_999, 1_000_000, "9.9999 %"),
            (1, 1, "100 %"),
        ] {
            assert_eq!(Ratio::of(part, whole).unwrap().as_percent().to_string(), text);
        }
    }

    #[test]
    fn the_largest_fractions_compare_and_print_without_wrapping() {
        let (smallest, largest) = (ratio(i128::MIN, 1), ratio(i128::MAX, 1));
        assert!(smallest < ratio(i128::MIN, u128::MAX) && ratio(i128::MAX, u128::MAX) < largest);
        assert_eq!(ratio(i128::MIN, 1 << 127).to_string(), "-1");
        assert_eq!(smallest.to_string(), i128::MIN.to_string());
        assert_eq!(ratio(i128::MAX, u128::MAX).to_string(), "0.5");
        assert_eq!(smallest.as_percent().to_string(), format!("{}00 %", i128::MIN));
    }

    #[test]
    fn a_threshold_is_read_as_a_decimal_or_in_percent() {
        for (text, value) in
            [("0.2", ratio(1, 5)), ("20 %", ratio(1, 5)), ("99.9%", ratio(999, 1000)), ("-3", ratio(-3, 1))]
        {
            assert_eq!(Ratio::parse(text), Ok(value), "{text}");
        }
        for text in ["", "%", "a", "1/3", "0.0000000000001", "5 % %"] {
            assert!(Ratio::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_of_nothing_is_no_number() {
        assert_eq!((Ratio::of(0, 0), Ratio::of(3, 0)), (None, None));
        assert_eq!(Ratio::mean(QuantitySum::ZERO, 0), None);
    }

    #[test]
    fn a_product_is_exact_or_none() {
        let product = |one: Ratio, by: Ratio| one.checked_times(by);
        assert_eq!(product(ratio(3, 4), ratio(-2, 9)), Some(ratio(-1, 6)));
        assert_eq!(product(ratio(i128::MAX, 7), ratio(7, i128::MAX.unsigned_abs())), Some(ratio(1, 1)));
        assert_eq!(product(ratio(i128::MAX, 1), ratio(2, 1)), None);
        assert_eq!(product(ratio(1, u128::MAX), ratio(1, 2)), None);
        assert_eq!(product(ratio(0, 1), ratio(1, 3)), Some(ratio(0, 1)));
    }

    #[test]
    fn a_fraction_is_rounded_to_twelve_places_half_away_from_zero() {
        let rounded =
            |numerator, denominator| ratio(numerator, denominator).rounded().map(|one| one.to_string());
        assert_eq!(rounded(2, 3), Some("0.666666666667".to_owned()));
        assert_eq!(rounded(1, 2_000_000_000_000), Some("0.000000000001".to_owned()));
        assert_eq!(rounded(-1, 2_000_000_000_000), Some("-0.000000000001".to_owned()));
        assert_eq!(rounded(1, 2_000_000_000_001), Some("0".to_owned()));
        assert_eq!(rounded(i128::MAX, 1), None);
    }

    proptest! {
        #[test]
        fn fractions_compare_as_their_cross_products(a in -10_000i128..10_000, b in 1i128..10_000, c in -10_000i128..10_000, d in 1i128..10_000) {
            let (one, other) = (ratio(a, b.unsigned_abs()), ratio(c, d.unsigned_abs()));
            prop_assert_eq!(one.cmp(&other), (a * d).cmp(&(c * b)));
            prop_assert_eq!(one == other, a * d == c * b);
        }

        #[test]
        fn an_exact_text_read_back_is_the_same_number(scaled in -1_000_000_000_000_000_000i128..1_000_000_000_000_000_000) {
            let text = ratio(scaled, ONE.unsigned_abs()).to_string();
            prop_assert_eq!(Quantity::parse(&text).unwrap().scaled(), scaled);
        }
    }
}
