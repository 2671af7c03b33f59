//! Prices in the shape of Stripe's Price object.
//!
//! In: parts that an importer has read. Out: a [`Price`] that keeps Stripe's rules for prices (API reference,
//! "Prices": `billing_scheme`, `tiers`, `tiers_mode`, `transform_quantity`). Never a price that cannot be rated to the last
//! digit: what breaks a rule is a [`PriceFault`] that names its place. Pricing a quantity is `rating`'s.

use std::fmt;

use crate::domain::number::{Quantity, Round, UnitAmount};

/// What is wrong with a price, and where inside of it: `tiers[2].up_to`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct PriceFault {
    pub path: String,
    pub problem: String,
}

impl PriceFault {
    pub fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }
}

/// Amounts are minor units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Price {
    PerUnit {
        unit_amount: UnitAmount,
        transform: Option<Transform>,
    },
    /// Each tier prices the units that fall in it. Ascending, the last one open.
    Graduated(Vec<Tier>),
    /// The tier that holds the whole quantity prices all of it. Ascending, the last one open.
    Volume(Vec<Tier>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tier {
    /// Inclusive upper bound, a whole number; `None` is `inf`.
    pub up_to: Option<Quantity>,
    pub unit_amount: UnitAmount,
    /// Charged once as soon as the tier is reached; the first tier is reached by nothing at all (captured). A fee of 0 is
    /// not the same as none: it has a line of its own.
    pub flat_amount: Option<UnitAmount>,
}

/// Quantities are divided before they are priced: packages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transform {
    pub divide_by: u64,
    pub round: Round,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TiersMode {
    Graduated,
    Volume,
}

impl Price {
    pub fn per_unit(unit_amount: UnitAmount) -> Self {
        Self::PerUnit { unit_amount, transform: None }
    }

    /// Tiers ascend by whole numbers, and only the last one is open.
    pub fn tiered(mode: TiersMode, tiers: Vec<Tier>) -> Result<Self, PriceFault> {
        let last = tiers.len().checked_sub(1).ok_or_else(|| PriceFault::new("tiers", "has no tier"))?;
        let mut below = Quantity::ZERO;
        for (index, tier) in tiers.iter().enumerate() {
            let fault = |problem: &str| Err(PriceFault::new(format!("tiers[{index}].up_to"), problem));
            match tier.up_to {
                Some(_) if index == last => {
                    return fault("the last tier must be open: write up_to = \"inf\"");
                }
                Some(up_to) if up_to <= below => {
                    return fault("tiers must ascend, and the first must be above 0");
                }
                Some(up_to) if !up_to.is_whole() => return fault("must be a whole number"),
                Some(up_to) => below = up_to,
                None if index == last => {}
                None => return fault("only the last tier can be open"),
            }
        }
        Ok(match mode {
            TiersMode::Graduated => Self::Graduated(tiers),
            TiersMode::Volume => Self::Volume(tiers),
        })
    }

    pub fn tiers(&self) -> &[Tier] {
        match self {
            Self::PerUnit { .. } => &[],
            Self::Graduated(tiers) | Self::Volume(tiers) => tiers,
        }
    }

    /// Whether it never charges anything.
    pub fn is_zero(&self) -> bool {
        match self {
            Self::PerUnit { unit_amount, .. } => unit_amount.is_zero(),
            Self::Graduated(tiers) | Self::Volume(tiers) => tiers
                .iter()
                .all(|tier| tier.unit_amount.is_zero() && tier.flat_amount.is_none_or(UnitAmount::is_zero)),
        }
    }

    /// Where the first tier ends if it costs nothing, else 0.
    pub fn leading_zero_tier(&self) -> Quantity {
        match self.tiers().first() {
            Some(Tier { up_to: Some(up_to), unit_amount, flat_amount })
                if unit_amount.is_zero() && flat_amount.is_none_or(UnitAmount::is_zero) =>
            {
                *up_to
            }
            _ => Quantity::ZERO,
        }
    }
}

impl Tier {
    pub fn new(up_to: Option<Quantity>, unit_amount: UnitAmount) -> Self {
        Self { up_to, unit_amount, flat_amount: None }
    }
}

/// In short words: `graduated: to 100 at 0, then 700`, amounts in minor units.
impl fmt::Display for Price {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, tiers) = match self {
            Self::PerUnit { unit_amount, transform: None } => return write!(out, "{unit_amount} per unit"),
            Self::PerUnit { unit_amount, transform: Some(Transform { divide_by, round }) } => {
                let round = if *round == Round::Up { "begun" } else { "full" };
                return match divide_by {
                    1 => write!(out, "{unit_amount} per {round} unit"),
                    _ => write!(out, "{unit_amount} per {round} package of {divide_by}"),
                };
            }
            Self::Graduated(tiers) => ("graduated", tiers),
            Self::Volume(tiers) => ("volume", tiers),
        };
        write!(out, "{word}: ")?;
        for (index, tier) in tiers.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            match tier.up_to {
                Some(up_to) => write!(out, "{separator}to {up_to} at {}", tier.unit_amount)?,
                None => write!(out, "{separator}then {}", tier.unit_amount)?,
            }
            if let Some(fee) = tier.flat_amount {
                write!(out, " + {fee} flat")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tier(up_to: Option<&str>) -> Tier {
        let unit_amount = UnitAmount::parse("1").unwrap();
        Tier::new(up_to.map(|text| Quantity::parse(text).unwrap()), unit_amount)
    }

    #[test]
    fn tiers_that_do_not_ascend_to_an_open_end_are_refused_with_their_place() {
        for (tiers, path) in [
            (vec![], "tiers"),
            (vec![tier(Some("10"))], "tiers[0].up_to"),
            (vec![tier(Some("10")), tier(Some("10")), tier(None)], "tiers[1].up_to"),
            (vec![tier(None), tier(None)], "tiers[0].up_to"),
            (vec![tier(Some("0")), tier(None)], "tiers[0].up_to"),
            (vec![tier(Some("2.5")), tier(None)], "tiers[0].up_to"),
        ] {
            for mode in [TiersMode::Graduated, TiersMode::Volume] {
                assert_eq!(Price::tiered(mode, tiers.clone()).unwrap_err().path, path);
            }
        }
    }

    #[test]
    fn a_price_is_told_in_short_words() {
        let first = Tier { flat_amount: Some(UnitAmount::parse("900").unwrap()), ..tier(Some("1000")) };
        let tiers = vec![first, Tier::new(None, UnitAmount::parse("3.6").unwrap())];
        let told = |mode| Price::tiered(mode, tiers.clone()).unwrap().to_string();
        assert_eq!(told(TiersMode::Graduated), "graduated: to 1000 at 1 + 900 flat, then 3.6");
        assert_eq!(told(TiersMode::Volume), "volume: to 1000 at 1 + 900 flat, then 3.6");
        let unit_amount = UnitAmount::parse("4000").unwrap();
        assert_eq!(Price::per_unit(unit_amount).to_string(), "4000 per unit");
        let transform = Some(Transform { divide_by: 10, round: Round::Up });
        assert_eq!(Price::PerUnit { unit_amount, transform }.to_string(), "4000 per begun package of 10");
        let transform = Some(Transform { divide_by: 1, round: Round::Down });
        assert_eq!(Price::PerUnit { unit_amount, transform }.to_string(), "4000 per full unit");
    }

    #[test]
    fn a_first_tier_with_a_fee_is_no_free_quota() {
        let with_fee = |flat: Option<&str>| {
            let flat_amount = flat.map(|text| UnitAmount::parse(text).unwrap());
            let first = Tier { unit_amount: UnitAmount::ZERO, flat_amount, ..tier(Some("100")) };
            Price::tiered(TiersMode::Graduated, vec![first, tier(None)])
                .unwrap()
                .leading_zero_tier()
                .to_string()
        };
        assert_eq!((with_fee(None), with_fee(Some("0"))), ("100".into(), "100".into()));
        assert_eq!(with_fee(Some("900")), "0");
    }
}
