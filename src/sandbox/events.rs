//! Meter events: one reported quantity of one customer.
//!
//! In: event name, payload, identifier, timestamp. Out: the event, or a refusal: an identifier that came in within 24
//! hours, a timestamp older than 35 days or more than five minutes ahead, a value that is no number or has more than 15
//! significant digits. An unknown customer or meter is accepted and then dropped, as Stripe does: only totals show it.

use super::decimal;
use super::error::ApiError;
use super::manners::DropCode;
use super::objects;
use super::records::{Counts, Event, Fact, Metadata, Meter};
use super::request::Params;
use super::routes::Reply;
use super::world::World;

const OLDEST: i64 = 35 * 86_400;
const NEWEST: i64 = 5 * 60;
const DIGITS_MAX: u64 = 15;

pub fn create(world: &mut World, params: &Params) -> Result<Reply, ApiError> {
    params.only(&["event_name", "payload", "identifier", "timestamp"])?;
    let event_name = params.required("event_name")?;
    let payload = params.map("payload")?;
    if payload.is_empty() {
        return Err(ApiError::missing_parameter("payload"));
    }
    let timestamp = params.instant("timestamp")?.unwrap_or(world.now);
    check_timestamp(timestamp, world.now)?;
    let meant = match world.meter_of_event(event_name) {
        Some(meter) => Some((meter, counts(meter, &payload)?)),
        None => None,
    };
    let identifier = match params.owned("identifier")? {
        Some(identifier) if identifier.chars().count() > 100 => {
            return Err(ApiError::about("identifier", "Invalid identifier: at most 100 characters"));
        }
        Some(identifier) => identifier,
        None => world.new_id("mev", &params.canonical()),
    };
    if world.is_known_identifier(&identifier) {
        let message = format!("An event already exists with identifier {identifier}.");
        return Err(ApiError::about("identifier", message).never_retry());
    }
    let dropped = match &meant {
        None => Some(DropCode::NoMeter),
        Some((meter, _)) if meter.deactivated_at.is_some() => Some(DropCode::ArchivedMeter),
        Some((_, counts)) if world.living_customer(&counts.customer).is_none() => {
            Some(DropCode::MeterEventCustomerNotFound)
        }
        Some((_, counts)) => world.manners.dropped(&counts.customer, &identifier),
    };
    let event = Event {
        name: event_name.to_owned(),
        identifier,
        payload,
        timestamp,
        received: world.now,
        counts: meant.map(|(_, counts)| counts).filter(|_| dropped.is_none()),
        dropped,
    };
    let shown = objects::meter_event(&event);
    world.record(Fact::Event(event));
    Ok(Reply::new(shown))
}

fn check_timestamp(timestamp: i64, now: i64) -> Result<(), ApiError> {
    let oldest = now - OLDEST;
    if timestamp < oldest {
        let message = format!(
            "The event timestamp cannot be more than 35 days in past. Expected a timestamp greater than or equal to \
             {oldest}"
        );
        return Err(ApiError::about("timestamp", message));
    }
    if timestamp > now + NEWEST {
        let message = "The event timestamp cannot be more than 5 minutes in the future.";
        return Err(ApiError::about("timestamp", message));
    }
    Ok(())
}

/// What the event counts for, if nothing is found out about it later.
fn counts(meter: &Meter, payload: &Metadata) -> Result<Counts, ApiError> {
    let of = |key: &str| {
        let text = payload.get(key).filter(|text| !text.is_empty());
        text.ok_or_else(|| {
            let message = format!("The payload of `{}` must have the key `{key}`.", meter.event_name);
            ApiError::about(format!("payload[{key}]"), message)
        })
    };
    let (customer, text) = (of(&meter.customer_key)?, of(&meter.value_key)?);
    let param = format!("payload[{}]", meter.value_key);
    let value = decimal::parse(text)
        .ok_or_else(|| ApiError::about(&param, format!("Invalid value for meter event: {text}")))?;
    if decimal::significant_digits(&value) > DIGITS_MAX {
        let message = format!("Meter event values must have at most {DIGITS_MAX} significant digits.");
        return Err(ApiError::about(param, message));
    }
    Ok(Counts { meter: meter.id.clone(), customer: customer.clone(), value: decimal::text(&value) })
}
