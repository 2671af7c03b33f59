//! Meters: create, retrieve, list, deactivate, reactivate.
//!
//! In: parameters. Out: a meter. One active meter per event name; formulas are `sum`, `count` and `last`.

use super::error::ApiError;
use super::lists;
use super::objects;
use super::records::{Bucket, Fact, Formula, Meter};
use super::request::Params;
use super::routes::Reply;
use super::world::World;

pub const CUSTOMER_KEY: &str = "stripe_customer_id";
pub const VALUE_KEY: &str = "value";

const KNOWN: [&str; 6] = [
    "display_name",
    "event_name",
    "default_aggregation",
    "event_time_window",
    "customer_mapping",
    "value_settings",
];

pub fn create(world: &mut World, params: &Params) -> Result<Reply, ApiError> {
    params.only(&KNOWN)?;
    let (display_name, event_name) = (params.required("display_name")?, params.required("event_name")?);
    if event_name.chars().count() > 100 {
        return Err(ApiError::about("event_name", "Invalid event_name: at most 100 characters"));
    }
    let is_taken = |one: &Meter| one.event_name == event_name && one.deactivated_at.is_none();
    if world.meters.newest_first().any(is_taken) {
        let message = format!("There is already an active meter with the event name `{event_name}`.");
        return Err(ApiError::about("event_name", message));
    }
    let aggregation = params.below("default_aggregation")?;
    aggregation.choice("formula", &["sum", "count", "last"])?;
    let formula = match aggregation.required("formula")? {
        "count" => Formula::Count,
        "last" => Formula::Last,
        _ => Formula::Sum,
    };
    let mapping = params.below("customer_mapping")?;
    mapping.choice("type", &["by_id"])?;
    let values = params.below("value_settings")?;
    let meter = Meter {
        id: world.new_id("mtr", &params.canonical()),
        created: world.now,
        updated: world.now,
        display_name: display_name.to_owned(),
        event_name: event_name.to_owned(),
        formula,
        event_time_window: params.choice("event_time_window", &["hour", "day"])?.map(|word| match word {
            "hour" => Bucket::Hour,
            _ => Bucket::Day,
        }),
        customer_key: mapping.owned("event_payload_key")?.unwrap_or_else(|| CUSTOMER_KEY.to_owned()),
        value_key: values.owned("event_payload_key")?.unwrap_or_else(|| VALUE_KEY.to_owned()),
        deactivated_at: None,
    };
    let shown = objects::meter(&meter);
    world.record(Fact::Meter(meter));
    Ok(Reply::new(shown))
}

pub fn switch(world: &mut World, id: &str, params: &Params, active: bool) -> Result<Reply, ApiError> {
    params.only(&[])?;
    let meter = world.meters.get(id).ok_or_else(|| ApiError::not_found("meter", id))?;
    if meter.deactivated_at.is_none() == active {
        let state = if active { "active" } else { "inactive" };
        return Err(ApiError::invalid(format!("The meter `{id}` is already {state}.")));
    }
    let now = world.now;
    let meter = Meter { updated: now, deactivated_at: (!active).then_some(now), ..meter.clone() };
    let shown = objects::meter(&meter);
    world.record(Fact::Meter(meter));
    Ok(Reply::new(shown))
}

pub fn retrieve(world: &World, id: &str, params: &Params) -> Result<Reply, ApiError> {
    params.only(&[])?;
    let meter = world.meters.get(id).ok_or_else(|| ApiError::not_found("meter", id))?;
    Ok(Reply::new(objects::meter(meter)))
}

pub fn list(world: &World, params: &Params) -> Result<Reply, ApiError> {
    params.only(&[&["status"][..], &lists::PAGE].concat())?;
    let status = params.choice("status", &["active", "inactive"])?;
    let meters: Vec<&Meter> = world
        .meters
        .newest_first()
        .filter(|one| status.is_none_or(|status| (status == "active") == one.deactivated_at.is_none()))
        .collect();
    let render = |one: &&Meter| objects::meter(one);
    let page =
        lists::page(world, params, "/v1/billing/meters", "meter", &meters, |one| one.id.clone(), render)?;
    Ok(Reply::new(page))
}
