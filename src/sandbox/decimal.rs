//! Decimals of the other witness: `bigdecimal`, and no code of the ledger's side.
//!
//! In: text. Out: exact numbers, text and JSON numbers. Rounds half away from zero. Never a binary float of our own; a
//! JSON number's reader may make one, as Stripe's readers do.

use bigdecimal::{BigDecimal, RoundingMode, ToPrimitive};
use serde_json::Value;

const DIGITS_MAX: usize = 60;
const PLACES_MAX: i64 = 12;

/// Plain decimal text with at most 12 places: no exponent, no spaces.
pub fn parse(text: &str) -> Option<BigDecimal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_number = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(fraction) || digits.len() > DIGITS_MAX {
        return None;
    }
    text.parse::<BigDecimal>()
        .ok()
        .filter(|number| number.normalized().fractional_digit_count() <= PLACES_MAX)
}

/// A decimal that a record holds; those were parsed before they were stored.
pub fn stored(text: &str) -> BigDecimal {
    parse(text).unwrap_or_default()
}

/// Digits from the first to the last that is not zero.
pub fn significant_digits(number: &BigDecimal) -> u64 {
    number.normalized().digits()
}

/// Text without exponent and without zeros at its end.
pub fn text(number: &BigDecimal) -> String {
    number.normalized().to_plain_string()
}

/// To whole minor units, half away from zero; `None` where it is too large for Stripe's integers.
pub fn rounded(number: &BigDecimal) -> Option<i64> {
    number.with_scale_round(0, RoundingMode::HalfUp).to_i64()
}

/// The integer, where it is one.
pub fn integer(number: &BigDecimal) -> Option<i64> {
    number.is_integer().then(|| number.to_i64()).flatten()
}

/// Without its decimal places.
pub fn truncated(number: &BigDecimal) -> i64 {
    number.with_scale_round(0, RoundingMode::Down).to_i64().unwrap_or(i64::MAX)
}

/// How many packages of `size` a quantity fills.
pub fn packages(number: &BigDecimal, size: i64, up: bool) -> BigDecimal {
    let size = BigDecimal::from(size);
    let rest = number % &size;
    let whole = ((number - &rest) / &size).with_scale(0);
    if up && rest > BigDecimal::default() { whole + BigDecimal::from(1) } else { whole }
}

/// A JSON number with the same digits.
pub fn json(number: &BigDecimal) -> Value {
    serde_json::from_str(&text(number)).unwrap_or(Value::Null)
}

/// As a binary float would be written: always with a point.
pub fn with_point(number: &BigDecimal) -> String {
    let text = text(number);
    if text.contains('.') { text } else { format!("{text}.0") }
}

/// Such as `1.3e2`.
pub fn with_exponent(number: &BigDecimal) -> String {
    number.normalized().to_scientific_notation()
}
