//! Currencies and amounts in minor units, and the one rounding function of the project.
//!
//! In: exact amounts. Out: whole minor units with their currency, as integer and as decimal text. Never adds across
//! currencies, never rounds anywhere but in [`MinorAmount::round`].

use std::fmt;

use crate::domain::number::ExactAmount;

/// The currencies that are not charged in hundredths: decimals of an amount in Stripe's API, and the step in which it
/// can be charged, in minor units. Source: docs.stripe.com/currencies, "zero-decimal", "three-decimal" (the last digit of a
/// charge must be 0) and "special cases": ISK and UGX have no fractions any more, but their amounts keep two decimals, always
/// 00. HUF and TWD are special in payouts only, which are not ours.
const UNUSUAL: [(&str, u32, i64); 22] = [
    ("bhd", 3, 10),
    ("bif", 0, 1),
    ("clp", 0, 1),
    ("djf", 0, 1),
    ("gnf", 0, 1),
    ("isk", 2, 100),
    ("jod", 3, 10),
    ("jpy", 0, 1),
    ("kmf", 0, 1),
    ("krw", 0, 1),
    ("kwd", 3, 10),
    ("mga", 0, 1),
    ("omr", 3, 10),
    ("pyg", 0, 1),
    ("rwf", 0, 1),
    ("tnd", 3, 10),
    ("ugx", 2, 100),
    ("vnd", 0, 1),
    ("vuv", 0, 1),
    ("xaf", 0, 1),
    ("xof", 0, 1),
    ("xpf", 0, 1),
];
/// All others: hundredths, charged one by one.
const USUAL: (u32, i64) = (2, 1);

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MoneyError {
    #[error("`{0}` is not an ISO 4217 currency code")]
    UnknownCurrency(String),
    #[error("amount does not fit 64 bits of minor units")]
    Overflow,
    #[error("amounts in {0} and {1} cannot be added")]
    MixedCurrencies(Currency, Currency),
}

/// An ISO 4217 code in lower case, as Stripe writes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Reads a code in either case.
    pub fn parse(text: &str) -> Result<Self, MoneyError> {
        let unknown = || MoneyError::UnknownCurrency(text.chars().take(16).collect());
        let known = iso_currency::Currency::from_code(&text.to_ascii_uppercase()).ok_or_else(unknown)?;
        let lower = known.code().to_ascii_lowercase();
        lower.as_bytes().try_into().map(Self).map_err(|_| unknown())
    }

    pub fn code(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Decimal places between the minor unit that Stripe's API uses and the major unit.
    pub fn exponent(self) -> u32 {
        self.decimals_and_step().0
    }

    /// The minor units that a charge is a multiple of. Lines of an invoice are not held to it.
    pub fn charge_step(self) -> i64 {
        self.decimals_and_step().1
    }

    fn decimals_and_step(self) -> (u32, i64) {
        let found = UNUSUAL.iter().find(|(code, ..)| *code == self.code());
        found.map_or(USUAL, |(_, decimals, step)| (*decimals, *step))
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.code())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.code())
    }
}

/// Whole minor units (cents, kuruş) of one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MinorAmount {
    pub minor: i64,
    pub currency: Currency,
}

impl MinorAmount {
    pub fn new(minor: i64, currency: Currency) -> Self {
        Self { minor, currency }
    }

    /// THE rounding function: to the nearest minor unit, a half away from zero, once per invoice line.
    /// Source: docs.stripe.com "decimal amounts" (0.05 × 30 = 1.5 is billed as 2) and the captured 31 × 3.6 = 111.6,
    /// billed as 112.
    pub fn round(exact: ExactAmount, currency: Currency) -> Result<Self, MoneyError> {
        exact.nearest_whole().map(|minor| Self { minor, currency }).ok_or(MoneyError::Overflow)
    }
}

/// A sum over many amounts of one currency; wider than an amount, so that no company's total overflows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MinorSum {
    pub minor: i128,
    pub currency: Currency,
}

impl MinorSum {
    pub fn zero(currency: Currency) -> Self {
        Self { minor: 0, currency }
    }

    /// Adds an amount or a sum of the same currency. 2⁶⁴ amounts fit, so only the currency can be wrong.
    pub fn checked_add(self, other: impl Into<Self>) -> Result<Self, MoneyError> {
        let other = other.into();
        if self.currency != other.currency {
            return Err(MoneyError::MixedCurrencies(self.currency, other.currency));
        }
        let minor = self.minor.checked_add(other.minor).ok_or(MoneyError::Overflow)?;
        Ok(Self { minor, ..self })
    }
}

impl From<MinorAmount> for MinorSum {
    fn from(amount: MinorAmount) -> Self {
        Self { minor: amount.minor.into(), currency: amount.currency }
    }
}

impl fmt::Display for MinorAmount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        MinorSum::from(*self).fmt(out)
    }
}

/// Decimal text in major units with the currency's fixed places: `210.00`, `-0.05`, `1200` for JPY.
impl fmt::Display for MinorSum {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let places = self.currency.exponent() as usize;
        let digits = format!("{:0>width$}", self.minor.unsigned_abs(), width = places + 1);
        let (whole, fraction) = digits.split_at(digits.len() - places);
        let sign = if self.minor < 0 { "-" } else { "" };
        if places == 0 { write!(out, "{sign}{whole}") } else { write!(out, "{sign}{whole}.{fraction}") }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::number::{Quantity, UnitAmount};

    fn rounded(quantity: &str, unit_amount: &str) -> i64 {
        let exact = Quantity::parse(quantity).unwrap().times(UnitAmount::parse(unit_amount).unwrap());
        MinorAmount::round(exact, Currency::parse("usd").unwrap()).unwrap().minor
    }

    #[test]
    fn a_half_is_rounded_away_from_zero() {
        for (quantity, unit_amount, minor) in [
            ("30", "0.05", 2),
            ("31", "3.6", 112),
            ("1", "0.499999999999", 0),
            ("1", "0.5", 1),
            ("-1", "0.5", -1),
            ("-1", "0.499999999999", 0),
            ("-3", "0.5", -2),
            ("0.000000000001", "0.000000000001", 0),
        ] {
            assert_eq!(rounded(quantity, unit_amount), minor, "{quantity} x {unit_amount}");
        }
    }

    #[test]
    fn an_amount_is_printed_with_the_places_of_its_currency() {
        for (minor, code, text) in [
            (21_000, "TRY", "210.00"),
            (-5, "usd", "-0.05"),
            (1_200, "jpy", "1200"),
            (5_120, "kwd", "5.120"),
            (500, "isk", "5.00"),
            (500, "ugx", "5.00"),
            (i64::MIN, "usd", "-92233720368547758.08"),
        ] {
            let amount = MinorAmount::new(minor, Currency::parse(code).unwrap());
            assert_eq!(amount.to_string(), text);
        }
    }

    /// docs.stripe.com/currencies, as `facts/stripe.md` §4 has it.
    #[test]
    fn each_currency_has_the_decimals_that_stripe_gives_it() {
        let of = |code: &str| {
            let currency = Currency::parse(code).unwrap();
            (currency.exponent(), currency.charge_step())
        };
        for code in "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf".split(' ') {
            assert_eq!(of(code), (0, 1), "{code}");
        }
        for code in "bhd jod kwd omr tnd".split(' ') {
            assert_eq!(of(code), (3, 10), "{code}");
        }
        for code in ["isk", "ugx"] {
            assert_eq!(of(code), (2, 100), "{code}");
        }
        for code in ["try", "usd", "eur", "huf", "twd"] {
            assert_eq!(of(code), (2, 1), "{code}");
        }
        assert!(UNUSUAL.windows(2).all(|pair| pair[0].0 < pair[1].0), "one row each, in order");
    }

    #[test]
    fn an_amount_beyond_64_bits_and_a_sum_across_currencies_are_errors() {
        let exact =
            Quantity::parse("999999999999999").unwrap().times(UnitAmount::parse("999999999").unwrap());
        let usd = Currency::parse("usd").unwrap();
        assert_eq!(MinorAmount::round(exact, usd), Err(MoneyError::Overflow));
        let euro = MinorAmount::new(1, Currency::parse("eur").unwrap());
        assert!(MinorSum::zero(usd).checked_add(euro).is_err());
        assert!(Currency::parse("ytl").is_err());
    }

    proptest! {
        #[test]
        fn rounding_is_never_more_than_half_a_minor_unit_off(units in -1_000_000_000i64..1_000_000_000, price in 0u64..10_000_000_000_000) {
            let unit_amount = format!("{}.{:012}", price / 1_000_000_000_000, price % 1_000_000_000_000);
            let exact = i128::from(units) * i128::from(price);
            let off = i128::from(rounded(&units.to_string(), &unit_amount)) * 1_000_000_000_000 - exact;
            prop_assert!(off.abs() * 2 <= 1_000_000_000_000);
            prop_assert!(off.abs() * 2 < 1_000_000_000_000 || (off > 0) == (exact > 0));
        }
    }
}
