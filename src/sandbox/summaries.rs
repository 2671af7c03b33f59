//! Event summaries: what a meter adds up to for one customer, between two whole minutes.
//!
//! In: meter, customer, start (included), end (not included). Out: one summary, or one per hour or day that holds events,
//! newest first. `aggregated_value` is a JSON number.

use serde_json::{Value, json};

use super::decimal;
use super::error::ApiError;
use super::ids;
use super::lists;
use super::records::{Bucket, Meter, Window};
use super::request::Params;
use super::routes::Reply;
use super::usage::{Known, aggregate};
use super::world::World;

/// More buckets than any page loop would want.
const BUCKETS_MAX: i64 = 10_000;

pub fn list(world: &World, id: &str, params: &Params) -> Result<Reply, ApiError> {
    let known = ["customer", "start_time", "end_time", "value_grouping_window"];
    params.only(&[&known[..], &lists::PAGE].concat())?;
    let meter = world.meters.get(id).ok_or_else(|| ApiError::not_found("meter", id))?;
    let customer = params.required("customer")?;
    let window =
        Window { start: params.required_instant("start_time")?, end: params.required_instant("end_time")? };
    let grouping = params.choice("value_grouping_window", &["hour", "day"])?.map(|word| match word {
        "hour" => Bucket::Hour,
        _ => Bucket::Day,
    });
    check(window, grouping)?;
    if world.living_customer(customer).is_none() {
        return Err(ApiError::missing("customer", customer, "customer"));
    }
    let windows = match grouping {
        None => vec![window],
        Some(bucket) => buckets(window, bucket)?,
    };
    let summaries: Vec<Value> = windows
        .into_iter()
        .rev()
        .filter_map(|window| summary(world, meter, customer, window, grouping.is_none()))
        .collect();
    let id_of = |one: &Value| one["id"].as_str().unwrap_or_default().to_owned();
    let url = format!("/v1/billing/meters/{id}/event_summaries");
    Ok(Reply::new(lists::page(world, params, &url, "summary", &summaries, id_of, Value::clone)?))
}

fn check(window: Window, grouping: Option<Bucket>) -> Result<(), ApiError> {
    let (step, word) = match grouping {
        None => (60, "minute"),
        Some(Bucket::Hour) => (3_600, "hour"),
        Some(Bucket::Day) => (86_400, "UTC day"),
    };
    for (name, instant) in [("start_time", window.start), ("end_time", window.end)] {
        if instant % step != 0 {
            let message = format!("Invalid {name}: {instant} must be aligned with {word} boundaries.");
            return Err(ApiError::about(name, message));
        }
    }
    if window.end <= window.start {
        return Err(ApiError::about("end_time", "Invalid end_time: must be after start_time."));
    }
    Ok(())
}

fn buckets(window: Window, bucket: Bucket) -> Result<Vec<Window>, ApiError> {
    let seconds = bucket.seconds();
    let count = (window.end - window.start) / seconds;
    if count > BUCKETS_MAX {
        return Err(ApiError::about("end_time", "The range holds too many grouping windows."));
    }
    let starts = (0..count).map(|number| window.start + number * seconds);
    Ok(starts.map(|start| Window { start, end: start + seconds }).collect())
}

/// Without grouping there is always one, so that nothing reads as zero.
fn summary(
    world: &World,
    meter: &Meter,
    customer: &str,
    window: Window,
    even_if_empty: bool,
) -> Option<Value> {
    let value = aggregate(world, meter, customer, window, Known::Shown(world.now));
    let value = if even_if_empty { value.unwrap_or_default() } else { value? };
    let id = format!("{} {customer} {} {}", meter.id, window.start, window.end);
    Some(json!({
        "id": ids::derived("mtrusg", &id), "object": "billing.meter_event_summary",
        "aggregated_value": decimal::json(&value), "end_time": window.end, "livemode": false,
        "meter": meter.id, "start_time": window.start,
    }))
}
