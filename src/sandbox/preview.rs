//! `create_preview`: the next invoice of one subscription, as it would be if its window ended now; with other items, if asked.
//!
//! In: a subscription's id, and optionally items to be changed. Out: an invoice that does not exist, with ids of its own at
//! every call. Never one of a customer as a whole, never one of a window that has ended, and never a change of anything.
//!
//! An item whose price is replaced is priced for the whole window here. Stripe's pages say that after a real change only what
//! comes later is billed by the new price; what its previews do is not known without a live account.

use serde_json::Value;

use super::error::ApiError;
use super::ids;
use super::invoice_object;
use super::invoices::{Invoice, Kind};
use super::records::{Status, Subscription};
use super::request::Params;
use super::routes::Reply;
use super::subscription_object::status_at;
use super::subscriptions;
use super::world::World;

const CUSTOMER_ONLY: &str = "The Preview Invoice API only supports previewing the upcoming invoice for a specific \
                             subscription or subscription schedule, not for a customer as a whole";
/// Stripe knows these; they preview something that is not to be had here.
const NOT_HERE: [&str; 4] = ["schedule", "schedule_details", "invoice_items", "discounts"];
/// The same inside of `subscription_details`.
const DETAILS_NOT_HERE: [&str; 13] = [
    "billing_cycle_anchor",
    "billing_mode",
    "billing_schedules",
    "cancel_at",
    "cancel_at_period_end",
    "cancel_now",
    "default_tax_rates",
    "metadata",
    "pause",
    "proration_date",
    "resume_at",
    "start_date",
    "trial_end",
];
const PREFIX: &str = "upcoming_in_";
/// So many previews with other items are remembered, so that the rest of their lines can be read.
const REMEMBERED: usize = 256;

pub fn create(world: &mut World, params: &Params) -> Result<Reply, ApiError> {
    refuse(params, &NOT_HERE)?;
    params.only(&[
        "customer",
        "subscription",
        "subscription_details",
        "preview_mode",
        "currency",
        "automatic_tax",
    ])?;
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
    let changed = with_details(world, subscription, &params.below("subscription_details")?)?;
    let next = upcoming(changed.as_ref().unwrap_or(subscription), world.now).ok_or_else(|| {
        ApiError::invalid(format!("No upcoming invoices for subscription: {id}"))
            .with_code("invoice_upcoming_none")
    })?;
    // A counter, so that two answers never share an id, as Stripe's do not.
    let number = world.event_count() + world.previews;
    let preview_id = format!("{PREFIX}{}{number:x}", ids::tag(id));
    let shown = invoice_object::preview(world, &next, &preview_id);
    world.previews += 1;
    if let Some(changed) = changed {
        world.planned.insert(number, changed);
        while world.planned.len() > REMEMBERED {
            world.planned.pop_first();
        }
    }
    Ok(Reply::new(shown))
}

fn refuse(params: &Params, names: &[&str]) -> Result<(), ApiError> {
    let Some(name) = names.iter().find(|name| params.has(name)) else { return Ok(()) };
    let name = params.full(name);
    let message = format!("The sandbox does not support `{name}` in a preview.");
    Err(ApiError::about(name, message))
}

/// The subscription with the items that are asked for; `None` where nothing is. A replaced price counts since its item does.
fn with_details(
    world: &World,
    subscription: &Subscription,
    details: &Params,
) -> Result<Option<Subscription>, ApiError> {
    refuse(details, &DETAILS_NOT_HERE)?;
    details.only(&["items", "proration_behavior"])?;
    let proration = ["none", "create_prorations", "always_invoice"];
    let proration = details.choice("proration_behavior", &proration)?;
    if !details.has("items") {
        return Ok(None);
    }
    if proration != Some("none") {
        let message = "The sandbox makes no prorations: set `proration_behavior` to `none`.";
        return Err(ApiError::about(details.full("proration_behavior"), message));
    }
    let mut changed = subscription.clone();
    for given in details.hashes("items")? {
        let before = changed.items.len();
        subscriptions::change_item(world, &mut changed, &given, world.now)?;
        let (old, new) = changed.items.split_at_mut(before);
        if let [new] = new
            && let Some(replaced) = old.iter().rfind(|one| one.id == new.id)
        {
            new.added = replaced.added;
        }
    }
    let cycle = subscriptions::check_terms(world, &changed)?;
    if changed.phases.last().is_some_and(|phase| phase.cycle != cycle) {
        let message = "The sandbox does not preview a change of `recurring.interval`.";
        return Err(ApiError::about(details.full("items"), message));
    }
    Ok(Some(changed))
}

/// Every line of a preview that was shown before, under the same ids, with what has come in since.
pub fn lines(world: &World, preview_id: &str) -> Option<Vec<Value>> {
    let next = upcoming(subscription_of(world, preview_id)?, world.now)?;
    Some(invoice_object::lines(world, &next, preview_id))
}

/// What was previewed, if there can be a preview of that id: with other items, if it was asked with them.
pub fn subscription_of<'a>(world: &'a World, preview_id: &str) -> Option<&'a Subscription> {
    let (tag, number) = preview_id.strip_prefix(PREFIX)?.split_at_checked(16)?;
    let planned = u64::from_str_radix(number, 16).ok().and_then(|number| world.planned.get(&number));
    planned.or(world.subscription_by_tag(tag))
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
