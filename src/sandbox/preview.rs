//! `create_preview`: the next invoice of one subscription, as it would be if its window ended now.
//!
//! In: a subscription's id. Out: an invoice that does not exist, with ids of its own at every call. Never one of a
//! customer as a whole, and never one of a window that has ended.

use serde_json::Value;

use super::error::ApiError;
use super::ids;
use super::invoice_object;
use super::invoices::{Invoice, Kind};
use super::records::{Status, Subscription};
use super::request::Params;
use super::routes::Reply;
use super::subscription_object::status_at;
use super::world::World;

const CUSTOMER_ONLY: &str = "The Preview Invoice API only supports previewing the upcoming invoice for a specific \
                             subscription or subscription schedule, not for a customer as a whole";
/// Stripe knows these; they preview something else than the subscription as it stands.
const NOT_HERE: [&str; 5] =
    ["subscription_details", "schedule", "schedule_details", "invoice_items", "discounts"];
const PREFIX: &str = "upcoming_in_";

pub fn create(world: &mut World, params: &Params) -> Result<Reply, ApiError> {
    if let Some(name) = NOT_HERE.iter().find(|name| params.has(name)) {
        let message =
            format!("The sandbox does not support `{name}`: it previews a subscription as it stands.");
        return Err(ApiError::about(*name, message));
    }
    params.only(&["customer", "subscription", "preview_mode", "currency", "automatic_tax"])?;
    params.choice("preview_mode", &["next", "recurring"])?;
    let customer = params.text("customer")?;
    let Some(id) = params.text("subscription")? else {
        return Err(match customer {
            Some(_) => ApiError::invalid(CUSTOMER_ONLY),
            None => ApiError::missing_parameter("subscription"),
        });
    };
    let missing = || ApiError::missing("subscription", id, "subscription");
    let subscription = world.subscriptions.get(id).ok_or_else(missing)?;
    if customer.is_some_and(|customer| customer != subscription.customer) {
        return Err(ApiError::about("subscription", "The subscription does not belong to this customer."));
    }
    let next = upcoming(subscription, world.now).ok_or_else(|| {
        ApiError::invalid(format!("No upcoming invoices for subscription: {id}"))
            .with_code("invoice_upcoming_none")
    })?;
    // A counter, so that two answers never share an id, as Stripe's do not.
    let number = world.event_count() + world.previews;
    let preview_id = format!("{PREFIX}{}{number:x}", ids::tag(id));
    let shown = invoice_object::preview(world, &next, &preview_id);
    world.previews += 1;
    Ok(Reply::new(shown))
}

/// Every line of a preview that was shown before, under the same ids, with what has come in since.
pub fn lines(world: &World, preview_id: &str) -> Option<Vec<Value>> {
    let next = upcoming(subscription_of(world, preview_id)?, world.now)?;
    Some(invoice_object::lines(world, &next, preview_id))
}

/// Whose preview it was, if there can be one of that id.
pub fn subscription_of<'a>(world: &'a World, preview_id: &str) -> Option<&'a Subscription> {
    world.subscription_by_tag(preview_id.strip_prefix(PREFIX)?.get(..16)?)
}

fn upcoming(one: &Subscription, now: i64) -> Option<Invoice<'_>> {
    let has_none =
        matches!(status_at(one, now), Status::Canceled | Status::IncompleteExpired | Status::Paused);
    if has_none || one.start > now {
        return None;
    }
    let live = one.live_window_at(now);
    Some(Invoice {
        subscription: one,
        kind: if live.is_last { Kind::Last } else { Kind::Cycle },
        window: live.window,
        created: live.window.end,
        finalizes_at: i64::MAX,
    })
}
