//! A price in the shape of Stripe's Price object, from TOML or from JSON.
//!
//! In: the fields of a table. Out: a [`Price`], or the path of what Stripe would refuse and what to write instead. A null
//! is as good as a missing field, as in what Stripe's API returns. Never reads a price in another way than it was meant.

use crate::domain::catalog::CatalogFault;
use crate::domain::number::{Quantity, Round, UnitAmount};
use crate::domain::price::{Price, PriceFault, Tier, TiersMode, Transform};
use crate::ingest::fields::Fields;
use crate::ingest::node::{Node, Value};

/// The fields that price.
pub const PRICING: [&str; 6] =
    ["billing_scheme", "unit_amount", "unit_amount_decimal", "tiers", "tiers_mode", "transform_quantity"];

const TIER: [&str; 5] = ["up_to", "unit_amount", "unit_amount_decimal", "flat_amount", "flat_amount_decimal"];

#[derive(Clone, Copy)]
enum Scheme {
    PerUnit,
    Tiered,
}

/// The price of fields that have no unknown one among them.
pub fn read(fields: &Fields<'_>) -> Result<Price, CatalogFault> {
    let schemes = [("per_unit", Scheme::PerUnit), ("tiered", Scheme::Tiered)];
    match fields.choice("billing_scheme", &schemes)?.unwrap_or(Scheme::PerUnit) {
        Scheme::PerUnit => per_unit(fields),
        Scheme::Tiered => tiered(fields),
    }
}

fn per_unit(fields: &Fields<'_>) -> Result<Price, CatalogFault> {
    if let Some(key) = ["tiers", "tiers_mode"].into_iter().find(|key| fields.get(key).is_some()) {
        let problem = "a per_unit price has no tiers: take this out, or set billing_scheme = \"tiered\"";
        return Err(fields.fault(key, problem));
    }
    let unit_amount = amount(fields, "unit_amount")?.ok_or_else(|| {
        fields.fault("unit_amount", "is missing: a per_unit price needs unit_amount or unit_amount_decimal")
    })?;
    Ok(Price::PerUnit { unit_amount, transform: transform(fields)? })
}

fn tiered(fields: &Fields<'_>) -> Result<Price, CatalogFault> {
    let foreign = [
        ("unit_amount", "a tiered price has its unit amounts in its tiers"),
        ("unit_amount_decimal", "a tiered price has its unit amounts in its tiers"),
        ("transform_quantity", "Stripe has no price with tiers and packages: use one of the two"),
    ];
    if let Some((key, problem)) = foreign.into_iter().find(|(key, _)| fields.get(key).is_some()) {
        return Err(fields.fault(key, problem));
    }
    let modes = [("graduated", TiersMode::Graduated), ("volume", TiersMode::Volume)];
    let mode = fields.choice("tiers_mode", &modes)?.ok_or_else(|| {
        let problem =
            "is missing: \"graduated\" prices each tier's units apart, \"volume\" all units by the last tier";
        fields.fault("tiers_mode", problem)
    })?;
    if fields.get("tiers").is_none() {
        let problem = "is missing: a tiered price needs tiers (Stripe returns them with expand[]=tiers)";
        return Err(fields.fault("tiers", problem));
    }
    let tiers: Vec<Tier> =
        fields.list("tiers")?.into_iter().map(|(node, path)| tier(node, &path)).collect::<Result<_, _>>()?;
    let in_price = |PriceFault { path, problem }| fields.fault(&path, problem);
    Price::tiered(mode, tiers).map_err(in_price)
}

fn tier(node: &Node, path: &str) -> Result<Tier, CatalogFault> {
    let fields = Fields::of(node, path, &TIER)?;
    let up_to = up_to(&fields, node)?;
    let (unit_amount, flat_amount) = (amount(&fields, "unit_amount")?, amount(&fields, "flat_amount")?);
    if unit_amount.is_none() && flat_amount.is_none() {
        let problem = "needs unit_amount or flat_amount (either may be …_decimal)";
        return Err(fields.fault_here(problem));
    }
    Ok(Tier { up_to, unit_amount: unit_amount.unwrap_or_default(), flat_amount })
}

/// `inf` and null are open; a bound that is not there at all was forgotten.
fn up_to(fields: &Fields<'_>, tier: &Node) -> Result<Option<Quantity>, CatalogFault> {
    let is_null = |(key, node): &(String, Node)| key == "up_to" && matches!(node.value, Value::Null);
    match fields.get("up_to").map(|node| &node.value) {
        None if matches!(&tier.value, Value::Table(entries) if entries.iter().any(is_null)) => Ok(None),
        None => Err(fields.fault("up_to", "is missing: write the last unit of the tier, or \"inf\"")),
        Some(Value::Text(text)) if text == "inf" => Ok(None),
        Some(_) => {
            let bound = fields.quantity("up_to")?;
            if bound.is_some_and(|bound| !bound.is_whole()) {
                return Err(fields.fault("up_to", "must be a whole number, or \"inf\""));
            }
            Ok(bound)
        }
    }
}

/// An amount in minor units: whole under its name, or with up to 12 places under `…_decimal`. Stripe returns both; then
/// they must be the same.
fn amount(fields: &Fields<'_>, name: &str) -> Result<Option<UnitAmount>, CatalogFault> {
    let decimal_name = format!("{name}_decimal");
    let whole = whole_amount(fields, name)?;
    let Some(node) = fields.get(&decimal_name) else { return Ok(whole) };
    // A number of JSON keeps its digits; one of TOML with a point is a binary float, and is none of these.
    let (Value::Text(text) | Value::Number(text)) = &node.value else {
        let problem = "must be a decimal number in quotes, such as \"0.05\": it is in minor units";
        return Err(fields.fault(&decimal_name, problem));
    };
    let exact = parsed(fields, &decimal_name, text)?;
    match whole {
        Some(whole) if whole != exact => {
            let problem = format!("is {exact}, but {name} is {whole}: keep the one that is right");
            Err(fields.fault(&decimal_name, problem))
        }
        _ => Ok(Some(exact)),
    }
}

fn whole_amount(fields: &Fields<'_>, name: &str) -> Result<Option<UnitAmount>, CatalogFault> {
    let Some(node) = fields.get(name) else { return Ok(None) };
    match &node.value {
        Value::Number(text) => {
            let amount = parsed(fields, name, text)?;
            if text.contains(['.', 'e', 'E']) {
                return Err(no_integer(fields, name, text));
            }
            Ok(Some(amount))
        }
        Value::BinaryFloat(text) => Err(no_integer(fields, name, text)),
        _ => fields.integer(name).map(|_| None),
    }
}

fn no_integer(fields: &Fields<'_>, name: &str, text: &str) -> CatalogFault {
    let text: String = text.chars().take(64).collect();
    let problem = format!(
        "`{text}` is no integer of minor units: write a whole number without a point; a part of a minor unit \
         stands in {name}_decimal, in quotes"
    );
    fields.fault(name, problem)
}

fn parsed(fields: &Fields<'_>, key: &str, text: &str) -> Result<UnitAmount, CatalogFault> {
    match UnitAmount::parse(text) {
        Ok(amount) if amount.is_negative() => Err(fields.fault(key, "must not be negative")),
        Ok(amount) => Ok(amount),
        Err(error) => Err(fields.no_number(key, text, &error)),
    }
}

fn transform(fields: &Fields<'_>) -> Result<Option<Transform>, CatalogFault> {
    let Some(node) = fields.get("transform_quantity") else { return Ok(None) };
    let fields = Fields::of(node, &fields.path("transform_quantity"), &["divide_by", "round"])?;
    let divide_by = fields
        .integer("divide_by")?
        .ok_or_else(|| fields.fault("divide_by", "is missing: how many units make a package"))?;
    let divide_by = u64::try_from(divide_by)
        .ok()
        .filter(|&units| units > 0)
        .ok_or_else(|| fields.fault("divide_by", "must be at least 1"))?;
    let round = fields.choice("round", &[("up", Round::Up), ("down", Round::Down)])?.ok_or_else(|| {
        fields.fault("round", "is missing: \"up\" charges a package as it is begun, \"down\" when it is full")
    })?;
    Ok(Some(Transform { divide_by, round }))
}
