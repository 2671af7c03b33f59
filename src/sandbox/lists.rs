//! Lists: pages of 1 to 100, newest first, as every list of Stripe's.
//!
//! In: all that fits, with its ids, and the page that is asked for. Out: that page and whether more follows.

use serde_json::{Value, json};

use super::error::ApiError;
use super::request::Params;
use super::world::World;

pub const PAGE: [&str; 3] = ["limit", "starting_after", "ending_before"];
const LIMIT_DEFAULT: i64 = 10;
const LIMIT_MAX: i64 = 100;

/// A list object; only what stands on the page is rendered.
pub fn page<T>(
    world: &World,
    params: &Params,
    url: &str,
    what: &str,
    all: &[T],
    id: impl Fn(&T) -> String,
    render: impl Fn(&T) -> Value,
) -> Result<Value, ApiError> {
    let limit = params.integer("limit")?.unwrap_or(LIMIT_DEFAULT);
    let limit = Some(limit).filter(|limit| (1..=LIMIT_MAX).contains(limit));
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).ok_or_else(|| {
        let message = format!("Invalid limit: must be from 1 to {LIMIT_MAX}");
        ApiError::parameter("parameter_invalid_integer", "limit", message)
    })?;
    let place = |name: &str| -> Result<Option<usize>, ApiError> {
        let Some(wanted) = params.text(name)? else { return Ok(None) };
        let place = all.iter().position(|one| id(one) == wanted);
        place.map(Some).ok_or_else(|| ApiError::missing(what, wanted, name))
    };
    let (range, has_more) = match (place("starting_after")?, place("ending_before")?) {
        (Some(_), Some(_)) => {
            return Err(ApiError::invalid(
                "You may only specify one of these parameters: ending_before, starting_after.",
            ));
        }
        (_, Some(before)) => (before.saturating_sub(limit)..before, before > limit),
        (after, None) => {
            let overlap = usize::from(world.manners.lists.overlap && limit > 1);
            let start = after.map_or(0, |after| after + 1 - overlap);
            let end = all.len().min(start + limit);
            (start..end, end < all.len())
        }
    };
    let data: Vec<Value> = all[range].iter().map(render).collect();
    Ok(list(url, &data, has_more))
}

pub fn list(url: &str, data: &[Value], has_more: bool) -> Value {
    json!({"object": "list", "data": data, "has_more": has_more, "url": url})
}

/// A filter on an instant: exact, or `gt`, `gte`, `lt`, `lte`.
pub struct Instants {
    from: i64,
    to: i64,
}

impl Instants {
    pub fn of(params: &Params, name: &str) -> Result<Self, ApiError> {
        if let Ok(Some(exact)) = params.instant(name) {
            return Ok(Self { from: exact, to: exact });
        }
        let below = params.below(name)?;
        below.only(&["gt", "gte", "lt", "lte"])?;
        let least = [below.instant("gte")?, below.instant("gt")?.map(|after| after + 1)];
        let most = [below.instant("lte")?, below.instant("lt")?.map(|before| before - 1)];
        Ok(Self {
            from: least.into_iter().flatten().max().unwrap_or(i64::MIN),
            to: most.into_iter().flatten().min().unwrap_or(i64::MAX),
        })
    }

    pub fn hold(&self, instant: i64) -> bool {
        (self.from..=self.to).contains(&instant)
    }
}
