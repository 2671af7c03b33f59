//! Error reports: what was found out about events after they had been accepted, as `GET /v2/core/events` tells it.
//!
//! In: dropped events, filters. Out: one report per meter and ten seconds, newest first, with how many events of which
//! code and a few of them as samples. Never all of them: who needs to know all compares totals.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::error::ApiError;
use super::ids;
use super::manners::DropCode;
use super::request::Params;
use super::routes::Reply;
use super::world::{Dropped, World};

pub const PATH: &str = "/v2/core/events";

/// How many seconds one report covers.
const COVERED: i64 = 10;
const SAMPLES_MAX: usize = 3;
const LIMIT_DEFAULT: i64 = 20;
const LIMIT_MAX: i64 = 100;

pub fn list(world: &World, params: &Params) -> Result<Reply, ApiError> {
    params.only(&["types", "object_id", "limit", "page"])?;
    let types = params.texts("types")?;
    let object = params.text("object_id")?;
    let limit = params.integer("limit")?.unwrap_or(LIMIT_DEFAULT).clamp(1, LIMIT_MAX);
    let page = params.integer("page")?.unwrap_or_default().max(0);
    let mut covered: BTreeMap<(i64, Option<&str>), Vec<&Dropped>> = BTreeMap::new();
    for one in &world.dropped {
        covered.entry((one.received.div_euclid(COVERED), one.meter.as_deref())).or_default().push(one);
    }
    let reports: Vec<Value> = covered
        .iter()
        .rev()
        .filter(|((_, meter), _)| object.is_none_or(|object| *meter == Some(object)))
        .map(|((number, meter), events)| report(number * COVERED, *meter, events))
        .filter(|one| types.is_empty() || types.iter().any(|wanted| one["type"] == **wanted))
        .collect();
    let first = usize::try_from(page.saturating_mul(limit)).unwrap_or(usize::MAX);
    let (size, link) =
        (usize::try_from(limit).unwrap_or_default(), |page: i64| format!("{PATH}?limit={limit}&page={page}"));
    let shown: Vec<&Value> = reports.iter().skip(first).take(size).collect();
    let has_more = reports.len() > first.saturating_add(size);
    Ok(Reply::new(json!({
        "data": shown, "next_page_url": has_more.then(|| link(page + 1)),
        "previous_page_url": (page > 0).then(|| link(page - 1)),
    })))
}

fn report(start: i64, meter: Option<&str>, events: &[&Dropped]) -> Value {
    let mut by_code: BTreeMap<DropCode, Vec<&str>> = BTreeMap::new();
    for one in events {
        by_code.entry(one.code).or_default().push(&one.identifier);
    }
    let errors: Vec<Value> =
        by_code.into_iter().map(|(code, identifiers)| error_type(code, &identifiers)).collect();
    let count = events.len();
    let summary = if count == 1 {
        "There is 1 invalid event".to_owned()
    } else {
        format!("There are {count} invalid events")
    };
    json!({
        "id": ids::derived("evt", &format!("{start} {meter:?}")), "object": "v2.core.event", "context": null,
        "created": instant(start + COVERED),
        "data": {
            "developer_message_summary": summary, "reason": {"error_count": count, "error_types": errors},
            "validation_end": instant(start + COVERED), "validation_start": instant(start),
        },
        "livemode": false, "reason": null,
        "related_object": meter.map(|id| {
            json!({"id": id, "type": "billing.meter", "url": format!("/v1/billing/meters/{id}")})
        }),
        "type": match meter {
            Some(_) => "v1.billing.meter.error_report_triggered",
            None => "v1.billing.meter.no_meter_found",
        },
    })
}

fn error_type(code: DropCode, identifiers: &[&str]) -> Value {
    let samples = identifiers.iter().take(SAMPLES_MAX).map(|identifier| {
        json!({"error_message": "The sandbox dropped this event.", "request": {"identifier": identifier}})
    });
    json!({"code": code, "error_count": identifiers.len(), "sample_errors": samples.collect::<Vec<_>>()})
}

fn instant(seconds: i64) -> String {
    let instant = Timestamp::from_second(seconds).unwrap_or_default();
    instant.strftime("%Y-%m-%dT%H:%M:%S.000Z").to_string()
}
