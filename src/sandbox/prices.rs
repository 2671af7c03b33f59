//! Prices: create, retrieve, list. Amounts and tiers never change once they are made.
//!
//! In: parameters. Out: a price, per unit or tiered, paid in advance or metered. A metered price without a meter is
//! refused, as Stripe does since 2025-03-31.basil.

use bigdecimal::BigDecimal;

use super::decimal;
use super::error::ApiError;
use super::lists::{self, Instants};
use super::objects;
use super::products;
use super::records::{Cycle, Fact, Interval, Price, Recurring, Round, Scheme, Tier, Transform};
use super::request::Params;
use super::routes::Reply;
use super::world::World;

const KNOWN: [&str; 17] = [
    "active",
    "billing_scheme",
    "currency",
    "lookup_key",
    "metadata",
    "nickname",
    "product",
    "product_data",
    "recurring",
    "tax_behavior",
    "tiers",
    "tiers_mode",
    "transfer_lookup_key",
    "transform_quantity",
    "unit_amount",
    "unit_amount_decimal",
    "custom_unit_amount",
];

pub fn create(world: &mut World, params: &Params) -> Result<Reply, ApiError> {
    params.only(&KNOWN)?;
    if params.has("custom_unit_amount") {
        let message = "The sandbox does not support `custom_unit_amount`.";
        return Err(ApiError::about("custom_unit_amount", message));
    }
    let currency = params.required("currency")?.to_lowercase();
    if currency.len() != 3 || !currency.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return Err(ApiError::about("currency", format!("Invalid currency: {currency}")));
    }
    let (recurring, scheme) = (recurring(world, params)?, scheme(params)?);
    let lookup_key = lookup_key(world, params)?;
    let new_product = match (params.owned("product")?, params.has("product_data")) {
        (Some(id), false) if world.products.get(&id).is_some() => Err(id),
        (Some(id), false) => return Err(ApiError::missing("product", &id, "product")),
        (None, true) => Ok(products::from(world, &params.below("product_data")?)?),
        _ => return Err(ApiError::missing_parameter("product")),
    };
    let price = Price {
        id: world.new_id("price", &params.canonical()),
        created: world.now,
        product: new_product.as_ref().map_or_else(Clone::clone, |product| product.id.clone()),
        active: params.boolean("active")?.unwrap_or(true),
        currency,
        nickname: params.owned("nickname")?,
        lookup_key,
        tax_behavior: params
            .choice("tax_behavior", &["exclusive", "inclusive", "unspecified"])?
            .unwrap_or("unspecified")
            .to_owned(),
        recurring,
        scheme,
        metadata: params.map("metadata")?,
    };
    let shown = objects::price(&price);
    if let Ok(product) = new_product {
        world.record(Fact::Product(product));
    }
    world.record(Fact::Price(price));
    Ok(Reply::new(shown))
}

fn lookup_key(world: &World, params: &Params) -> Result<Option<String>, ApiError> {
    let transfers = params.boolean("transfer_lookup_key")?.unwrap_or(false);
    let Some(key) = params.owned("lookup_key")? else { return Ok(None) };
    let is_taken = world.prices.newest_first().any(|price| price.lookup_key.as_ref() == Some(&key));
    if is_taken && !transfers {
        let message = format!("A price already uses the lookup key `{key}`.");
        return Err(ApiError::about("lookup_key", message));
    }
    Ok(Some(key))
}

fn recurring(world: &World, params: &Params) -> Result<Option<Recurring>, ApiError> {
    if !params.has("recurring") {
        return Ok(None);
    }
    let given = params.below("recurring")?;
    given.only(&["interval", "interval_count", "meter", "usage_type", "trial_period_days"])?;
    given.choice("interval", &Interval::NAMES)?;
    let interval = Interval::parse(given.required("interval")?).unwrap_or(Interval::Month);
    let count = given.integer("interval_count")?.unwrap_or(1);
    if !(1..=1_095).contains(&count) {
        return Err(ApiError::about(given.full("interval_count"), "Invalid interval_count"));
    }
    let is_metered = given.choice("usage_type", &["licensed", "metered"])? == Some("metered");
    let meter = given.owned("meter")?;
    match (is_metered, &meter) {
        (true, None) => Err(ApiError::about(
            given.full("meter"),
            "You must specify `recurring[meter]` when `recurring[usage_type]` is `metered`: metered prices must be \
             backed by meters.",
        )),
        (false, Some(_)) => Err(ApiError::about(
            given.full("meter"),
            "`recurring[meter]` can only be specified when `recurring[usage_type]` is `metered`.",
        )),
        (true, Some(id)) => match world.meters.get(id) {
            None => Err(ApiError::missing("meter", id, &given.full("meter"))),
            Some(one) if one.deactivated_at.is_some() => {
                Err(ApiError::about(given.full("meter"), format!("The meter `{id}` is inactive.")))
            }
            Some(_) => Ok(()),
        },
        (false, None) => Ok(()),
    }?;
    Ok(Some(Recurring { cycle: Cycle { interval, count }, meter }))
}

pub fn scheme(params: &Params) -> Result<Scheme, ApiError> {
    let is_tiered = params.choice("billing_scheme", &["per_unit", "tiered"])? == Some("tiered");
    if !is_tiered {
        if let Some(name) = ["tiers", "tiers_mode"].iter().find(|name| params.has(name)) {
            let message = format!("`{name}` can only be specified when `billing_scheme` is `tiered`.");
            return Err(ApiError::about(*name, message));
        }
        let unit = amount(params, "unit_amount")?;
        let unit = unit.ok_or_else(|| ApiError::missing_parameter("unit_amount"))?;
        return Ok(Scheme::PerUnit { unit: decimal::text(&unit), transform: transform(params)? });
    }
    let foreign = ["unit_amount", "unit_amount_decimal", "transform_quantity"];
    if let Some(name) = foreign.iter().find(|name| params.has(name)) {
        let message = format!("`{name}` cannot be specified when `billing_scheme` is `tiered`.");
        return Err(ApiError::about(*name, message));
    }
    params.choice("tiers_mode", &["graduated", "volume"])?;
    let mode = params.required("tiers_mode")?;
    let tiers = tiers(params)?;
    Ok(if mode == "volume" { Scheme::Volume(tiers) } else { Scheme::Graduated(tiers) })
}

fn tiers(params: &Params) -> Result<Vec<Tier>, ApiError> {
    let mut tiers = Vec::new();
    let mut below = Some(BigDecimal::default());
    for given in params.hashes("tiers")? {
        given.only(&["up_to", "unit_amount", "unit_amount_decimal", "flat_amount", "flat_amount_decimal"])?;
        let up_to = match given.required("up_to")? {
            "inf" => None,
            _ => given.integer("up_to")?.map(BigDecimal::from),
        };
        let rises = below.as_ref().is_some_and(|below| up_to.as_ref().is_none_or(|end| end > below));
        if !rises {
            return Err(ApiError::about(given.full("up_to"), "`up_to` must rise from tier to tier."));
        }
        let (unit, flat) = (amount(&given, "unit_amount")?, amount(&given, "flat_amount")?);
        if unit.is_none() && flat.is_none() {
            let message = "A tier needs `unit_amount` or `flat_amount`.";
            return Err(ApiError::about(given.full("unit_amount"), message));
        }
        tiers.push(Tier {
            up_to: up_to.as_ref().map(decimal::text),
            unit: unit.as_ref().map(decimal::text),
            flat: flat.as_ref().map(decimal::text),
        });
        below = up_to;
    }
    if tiers.last().is_none_or(|last| last.up_to.is_some()) {
        return Err(ApiError::about("tiers", "The last tier must have `up_to` set to `inf`."));
    }
    Ok(tiers)
}

/// An amount that is given as an integer or, by its longer name, as a decimal.
fn amount(params: &Params, name: &str) -> Result<Option<BigDecimal>, ApiError> {
    let decimal_name = format!("{name}_decimal");
    let (whole, exact) = (params.integer(name)?, params.decimal(&decimal_name)?);
    if whole.is_some() && exact.is_some() {
        let message = format!("You may only specify one of these parameters: {name}, {decimal_name}.");
        return Err(ApiError::about(params.full(name), message));
    }
    let amount = whole.map(BigDecimal::from).or(exact);
    if amount.as_ref().is_some_and(|amount| *amount < BigDecimal::default()) {
        return Err(ApiError::about(params.full(name), format!("Invalid {name}: must not be negative")));
    }
    Ok(amount)
}

fn transform(params: &Params) -> Result<Option<Transform>, ApiError> {
    if !params.has("transform_quantity") {
        return Ok(None);
    }
    let given = params.below("transform_quantity")?;
    given.only(&["divide_by", "round"])?;
    given.required("divide_by")?;
    let divide_by = given.integer("divide_by")?.unwrap_or_default();
    if divide_by < 1 {
        return Err(ApiError::about(given.full("divide_by"), "Invalid positive integer"));
    }
    given.choice("round", &["up", "down"])?;
    let round = if given.required("round")? == "up" { Round::Up } else { Round::Down };
    Ok(Some(Transform { divide_by, round }))
}

pub fn retrieve(world: &World, id: &str, params: &Params) -> Result<Reply, ApiError> {
    params.only(&[])?;
    let price = world.prices.get(id).ok_or_else(|| ApiError::not_found("price", id))?;
    Ok(Reply::new(objects::price(price)))
}

pub fn list(world: &World, params: &Params) -> Result<Reply, ApiError> {
    let filters = ["active", "currency", "product", "type", "lookup_keys", "recurring", "created"];
    params.only(&[&filters[..], &lists::PAGE].concat())?;
    let (active, keys) = (params.boolean("active")?, params.texts("lookup_keys")?);
    let (currency, product) = (params.text("currency")?, params.text("product")?);
    let (kind, created) =
        (params.choice("type", &["one_time", "recurring"])?, Instants::of(params, "created")?);
    let recurring = params.below("recurring")?;
    recurring.only(&["interval", "meter", "usage_type"])?;
    let filter = ["interval", "meter", "usage_type"].map(|name| (name, recurring.owned(name)));
    let wanted = |one: &&Price| {
        let shown = objects::price(one);
        let fits = |name: &str, wanted: &str| shown["recurring"][name] == wanted;
        active.is_none_or(|active| one.active == active)
            && currency.is_none_or(|currency| one.currency == currency)
            && product.is_none_or(|product| one.product == product)
            && kind.is_none_or(|kind| shown["type"] == kind)
            && created.hold(one.created)
            && (keys.is_empty() || one.lookup_key.as_ref().is_some_and(|key| keys.contains(key)))
            && filter.iter().all(|(name, value)| match value {
                Ok(Some(value)) => fits(name, value),
                _ => true,
            })
    };
    let prices: Vec<&Price> = world.prices.newest_first().filter(wanted).collect();
    let render = |one: &&Price| objects::price(one);
    let page = lists::page(world, params, "/v1/prices", "price", &prices, |one| one.id.clone(), render)?;
    Ok(Reply::new(page))
}
