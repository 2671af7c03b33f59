//! `expand[]`: replaces an id in an answer by the object that it names, and puts in what is left out by default.
//!
//! In: an answer and the paths that the client wants. Out: the answer with those in place. Goes at most four levels deep,
//! as Stripe does; an array counts for all that it holds.

use serde_json::Value;

use super::error::ApiError;
use super::world::World;
use super::{invoice_object, objects, subscription_object};

const LEVELS_MAX: usize = 4;

pub fn expand(world: &World, answer: &mut Value, paths: &[String]) -> Result<(), ApiError> {
    for path in paths {
        let levels: Vec<&str> = path.split('.').collect();
        if levels.len() > LEVELS_MAX {
            let message =
                format!("You cannot expand more than {LEVELS_MAX} levels of a property. Property: {path}");
            return Err(ApiError::invalid(message));
        }
        descend(world, answer, &levels, path)?;
    }
    Ok(())
}

fn descend(world: &World, value: &mut Value, levels: &[&str], path: &str) -> Result<(), ApiError> {
    let Some((first, rest)) = levels.split_first() else { return Ok(()) };
    if let Value::Array(all) = value {
        return all.iter_mut().try_for_each(|one| descend(world, one, levels, path));
    }
    let is_price = value.get("object").is_some_and(|object| object == "price");
    if is_price && rest.is_empty() && matches!(*first, "tiers" | "currency_options") {
        put_in(world, value, first);
        return Ok(());
    }
    let refused = || ApiError::about("expand", format!("This property cannot be expanded ({path})."));
    let Some(inner) = value.get_mut(*first) else { return Err(refused()) };
    if let Value::String(id) = inner {
        *inner = object(world, id).ok_or_else(refused)?;
    }
    match inner {
        Value::Null => Ok(()),
        Value::Object(_) | Value::Array(_) => descend(world, inner, rest, path),
        _ => Err(refused()),
    }
}

/// A price that is not tiered has no `tiers`, not even an empty field.
fn put_in(world: &World, value: &mut Value, name: &str) {
    let price = value.get("id").and_then(Value::as_str).and_then(|id| world.prices.get(id));
    let inner = price.map(|price| match name {
        "tiers" => objects::tiers(price),
        _ => objects::currency_options(price),
    });
    if let Some(inner) = inner.filter(|inner| !inner.is_null()) {
        value[name] = inner;
    }
}

/// The object that an id names, whatever its kind.
fn object(world: &World, id: &str) -> Option<Value> {
    if let Some(customer) = world.customers.get(id) {
        return Some(objects::customer(customer));
    }
    if let Some(product) = world.products.get(id) {
        return Some(objects::product(product));
    }
    if let Some(price) = world.prices.get(id) {
        return Some(objects::price(price));
    }
    if let Some(subscription) = world.subscriptions.get(id) {
        return Some(subscription_object::subscription(world, subscription));
    }
    invoice_object::by_id(world, id)
}
