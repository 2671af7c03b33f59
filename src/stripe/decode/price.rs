//! Prices with their tiers.
//!
//! In: a `price` object with `tiers` expanded. Out: a [`StripePrice`]. A scheme that we do not know, or a tiered price
//! without its tiers, is a problem and never a price of 0.

use crate::domain::invoice::{StripePrice, StripeScheme, StripeTier};
use crate::domain::number::{Round, UnitAmount};
use crate::domain::price::Transform;

use super::{Fields, Node, Problem};

pub(in crate::stripe) fn price(node: &Node<'_>) -> Result<StripePrice, Problem> {
    let fields = node.fields()?;
    let recurring = fields.get("recurring").fields_if_any()?;
    Ok(StripePrice {
        id: fields.get("id").text()?,
        lookup_key: fields.get("lookup_key").text_if_any()?,
        active: fields.get("active").boolean()?,
        livemode: fields.get("livemode").boolean()?,
        currency: fields.get("currency").currency()?,
        meter_id: recurring.get("meter").id_if_any()?,
        interval: interval(&recurring)?,
        scheme: scheme(&fields)?,
        transform: transform(&fields)?,
    })
}

/// `month`; `3 month` where the price recurs every three, so that it equals no plain interval.
fn interval(recurring: &Fields<'_>) -> Result<String, Problem> {
    let interval = recurring.get("interval").text_if_any()?.unwrap_or_default();
    let count = recurring.get("interval_count");
    let count = if count.is_null() { 1 } else { count.integer()? };
    Ok(if count == 1 { interval } else { format!("{count} {interval}") })
}

fn scheme(fields: &Fields<'_>) -> Result<StripeScheme, Problem> {
    let scheme = fields.get("billing_scheme");
    match scheme.text()?.as_str() {
        "per_unit" => {
            fields.first_of(["unit_amount_decimal", "unit_amount"]).unit_amount().map(StripeScheme::PerUnit)
        }
        "tiered" => {
            let tiers = fields.get("tiers").list()?.iter().map(tier).collect::<Result<Vec<_>, _>>()?;
            let mode = fields.get("tiers_mode");
            match mode.text()?.as_str() {
                "graduated" => Ok(StripeScheme::Graduated(tiers)),
                "volume" => Ok(StripeScheme::Volume(tiers)),
                _ => Err(mode.not("a tiers mode that we know")),
            }
        }
        _ => Err(scheme.not("a billing scheme that we know")),
    }
}

/// A price whose packages we cannot read would charge something else than we think.
fn transform(fields: &Fields<'_>) -> Result<Option<Transform>, Problem> {
    let node = fields.get("transform_quantity");
    if node.is_null() {
        return Ok(None);
    }
    let (divide_by, round) = (node.fields()?.get("divide_by"), node.fields()?.get("round"));
    let round = match round.text()?.as_str() {
        "up" => Round::Up,
        "down" => Round::Down,
        _ => return Err(round.not("a direction that we know")),
    };
    match u64::try_from(divide_by.integer()?) {
        Ok(divide_by @ 1..) => Ok(Some(Transform { divide_by, round })),
        _ => Err(divide_by.not("a size of packages")),
    }
}

/// A tier has a unit amount, a flat amount or both; the one that is null is 0 by Stripe's reference, both are not.
fn tier(node: &Node<'_>) -> Result<StripeTier, Problem> {
    let fields = node.fields()?;
    let unit = fields.first_of(["unit_amount_decimal", "unit_amount"]);
    let flat = fields.first_of(["flat_amount_decimal", "flat_amount"]);
    if unit.is_null() && flat.is_null() {
        return Err(node.problem("has neither a unit amount nor a flat amount"));
    }
    let amount = |node: &Node<'_>| if node.is_null() { Ok(UnitAmount::ZERO) } else { node.unit_amount() };
    let up_to = fields.get("up_to");
    Ok(StripeTier {
        up_to: if up_to.is_null() { None } else { Some(up_to.quantity()?) },
        unit_amount: amount(&unit)?,
        flat_amount: amount(&flat)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<StripePrice, Problem> {
        price(&Node::root(json.as_bytes()).unwrap())
    }

    const GRADUATED: &str = r#"{"id": "price_1", "object": "price", "active": true, "livemode": false,
      "currency": "try", "lookup_key": null, "billing_scheme": "tiered", "tiers_mode": "graduated",
      "unit_amount": null, "unit_amount_decimal": null, "transform_quantity": null, "nickname": null,
      "recurring": {"interval": "month", "interval_count": 1, "usage_type": "metered", "meter": "mtr_1"},
      "tiers": [
        {"up_to": 100, "unit_amount": 0, "unit_amount_decimal": "0", "flat_amount": null, "flat_amount_decimal": null},
        {"up_to": null, "unit_amount": null, "unit_amount_decimal": "0.05", "flat_amount": 900}]}"#;

    const PER_UNIT: &str = r#"{"id": "price_2", "active": false, "livemode": true, "currency": "usd",
      "lookup_key": "shadow", "billing_scheme": "per_unit", "unit_amount": 0, "unit_amount_decimal": null,
      "transform_quantity": {"divide_by": 3, "round": "up"}, "recurring": null}"#;

    #[test]
    fn a_graduated_price_keeps_every_tier_to_the_last_digit() {
        let price = read(GRADUATED).unwrap();
        let StripeScheme::Graduated(tiers) = &price.scheme else { panic!("{price:?}") };
        assert_eq!(tiers[0].up_to.unwrap().to_string(), "100");
        assert!(tiers[0].unit_amount.is_zero() && tiers[0].flat_amount.is_zero());
        assert_eq!(tiers[1].up_to, None);
        assert_eq!(tiers[1].unit_amount.to_string(), "0.05");
        assert_eq!(tiers[1].flat_amount.to_string(), "900");
        assert_eq!((price.meter_id.as_deref(), price.interval.as_str()), (Some("mtr_1"), "month"));
        assert!(price.transform.is_none() && price.active && !price.livemode);
    }

    #[test]
    fn a_per_unit_price_may_have_only_its_whole_amount() {
        let price = read(PER_UNIT).unwrap();
        assert!(price.is_zero() && price.livemode && !price.active);
        assert_eq!(price.transform, Some(Transform { divide_by: 3, round: Round::Up }));
        assert_eq!((price.meter_id, price.interval.as_str()), (None, ""));
        assert_eq!(price.lookup_key.as_deref(), Some("shadow"));
    }

    #[test]
    fn a_price_every_three_months_is_not_monthly() {
        let price = read(&GRADUATED.replacen(r#""interval_count": 1"#, r#""interval_count": 3"#, 1)).unwrap();
        assert_eq!(price.interval, "3 month");
    }

    #[test]
    fn a_price_that_we_cannot_read_is_never_free() {
        for (json, from, to, expected) in [
            (PER_UNIT, r#""unit_amount": 0"#, r#""unit_amount": null"#, "unit_amount is missing"),
            (PER_UNIT, "per_unit", "by_mood", "billing_scheme is not"),
            (PER_UNIT, r#""up""#, r#""sideways""#, "transform_quantity.round is not"),
            (PER_UNIT, r#""divide_by": 3"#, r#""divide_by": 0"#, "transform_quantity.divide_by is not"),
            (GRADUATED, "graduated", "spiral", "tiers_mode is not"),
            (GRADUATED, r#""tiers": ["#, r#""hidden": ["#, "tiers is missing"),
            (
                GRADUATED,
                r#""unit_amount": 0, "unit_amount_decimal": "0""#,
                r#""x": 0"#,
                "tiers[0] has neither",
            ),
            (GRADUATED, r#""0.05""#, r#""0.0500000000001""#, "tiers[1].unit_amount_decimal has more than 12"),
            (GRADUATED, r#""try""#, r#""xbt""#, "currency is not a currency"),
        ] {
            assert!(json.contains(from), "{from}");
            let problem = read(&json.replacen(from, to, 1)).unwrap_err().to_string();
            assert!(problem.starts_with(expected), "{problem}");
        }
    }
}
