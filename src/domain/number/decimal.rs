//! Decimal text, digit by digit.
//!
//! In: text of any length. Out: its digits and places, as they are or rounded to what a binary float keeps. It never holds a
//! binary float itself.

use super::{NumberError, PLACES};

/// More digits than any number in range can need; it bounds the work on hostile text.
const TEXT_LIMIT: i64 = 64;
/// A binary float of 64 bits keeps as many decimal digits of any number.
pub(super) const FLOAT_DIGITS: u32 = 15;

/// A decimal number as it was written: `digits × 10^-places`.
pub(super) struct Decimal {
    negative: bool,
    /// Without leading zeros.
    digits: String,
    places: i64,
}

impl Decimal {
    pub(super) fn read(text: &str) -> Result<Self, NumberError> {
        if text.is_empty() {
            return Err(NumberError::Empty);
        }
        let (negative, unsigned) = match text.as_bytes()[0] {
            b'-' => (true, &text[1..]),
            b'+' => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = split_exponent(unsigned)?;
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let has_digits = !(whole.is_empty() && fraction.is_empty());
        let only_digits = whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit());
        if !has_digits || !only_digits || mantissa.ends_with('.') || whole.is_empty() {
            return Err(NumberError::NotDecimal);
        }
        let digits = [whole, fraction].concat().trim_start_matches('0').to_owned();
        Ok(Self { negative, digits, places: length(fraction) - exponent })
    }

    pub(super) fn at_float_precision(self) -> Self {
        let digits = length(&self.digits) - i64::from(FLOAT_DIGITS);
        let cut = digits.max(self.places - i64::from(PLACES)).max(0);
        let kept = without_last(&self.digits, usize::try_from(cut).unwrap_or(usize::MAX));
        let digits = if kept == 0 { String::new() } else { kept.to_string() };
        Self { digits, places: self.places - cut, ..self }
    }

    /// In 10⁻¹² units.
    pub(super) fn scaled(&self, limit: i128) -> Result<i128, NumberError> {
        if self.places > i64::from(PLACES) {
            return Err(NumberError::TooManyPlaces);
        }
        if self.digits.is_empty() {
            return Ok(0);
        }
        let zeros = i64::from(PLACES) - self.places;
        if length(&self.digits) + zeros > TEXT_LIMIT {
            return Err(NumberError::TooLarge);
        }
        let padded = format!("{}{}", self.digits, "0".repeat(usize::try_from(zeros).unwrap_or(0)));
        let magnitude: i128 = padded.parse().map_err(|_| NumberError::TooLarge)?;
        if magnitude >= limit {
            return Err(NumberError::TooLarge);
        }
        Ok(if self.negative { -magnitude } else { magnitude })
    }
}

/// A number without its last `cut` digits, rounded; what is left has at most as many digits as a float keeps.
pub(super) fn without_last(digits: &str, cut: usize) -> i128 {
    let Some(length) = digits.len().checked_sub(cut) else { return 0 };
    let (kept, rest) = digits.split_at(length);
    let up = rest.bytes().next().is_some_and(|digit| digit >= b'5');
    kept.bytes().fold(0, |number, digit| number * 10 + i128::from(digit - b'0')) + i128::from(up)
}

fn length(text: &str) -> i64 {
    i64::try_from(text.len()).unwrap_or(i64::MAX / 4)
}

fn split_exponent(text: &str) -> Result<(&str, i64), NumberError> {
    let Some((mantissa, exponent)) = text.split_once(['e', 'E']) else {
        return Ok((text, 0));
    };
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NumberError::NotDecimal);
    }
    // Longer exponents are out of range whatever the mantissa; the cap keeps the arithmetic below in 64 bits.
    let size =
        if digits.len() > 6 { 1_000_000 } else { digits.parse().map_err(|_| NumberError::NotDecimal)? };
    Ok((mantissa, if exponent.starts_with('-') { -size } else { size }))
}
