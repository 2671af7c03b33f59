//! A subscription as Stripe shows it in 2026: the billed window stands on each item, not on the subscription.
//!
//! In: a record and the present. Out: JSON. `trialing` and `canceled` follow from the instants.

use serde_json::{Value, json};

use super::records::{Item, Status, Subscription};
use super::world::World;
use super::{extras, invoices, lists, objects};

pub fn subscription(world: &World, one: &Subscription) -> Value {
    let now = world.now;
    let ended = one.ends_at.filter(|end| *end <= now);
    let live = ended.map_or(now, |end| end - 1);
    let items: Vec<Value> = live_items(one, live).map(|each| item(world, one, each)).collect();
    let url = format!("/v1/subscription_items?subscription={}", one.id);
    let shown = json!({
        "id": one.id, "object": "subscription", "billing_cycle_anchor": anchor(one, live),
        "billing_mode": billing_mode(one), "cancel_at": one.ends_at.filter(|_| ended.is_none()),
        "cancel_at_period_end": one.cancel_at_period_end && ended.is_none(),
        "canceled_at": one.cancel_requested_at.or(ended), "collection_method": one.collection_method,
        "created": one.created, "currency": one.currency, "customer": one.customer,
        "days_until_due": one.days_until_due,
        "default_tax_rates": tax_rates(world, one), "description": one.description,
        "discounts": one.terms.discounts.iter().map(|discount| &discount.id).collect::<Vec<_>>(), "ended_at": ended,
        "items": lists::list(&url, &items, false),
        "latest_invoice": invoices::of_subscription(world, one).last().map(invoices::Invoice::id),
        "metadata": one.metadata, "start_date": one.start, "status": status_at(one, now).as_str(),
        "trial_end": one.trial_end, "trial_start": one.trial_end.map(|_| one.start),
    });
    objects::merged(without_content(), shown)
}

fn tax_rates(world: &World, one: &Subscription) -> Vec<Value> {
    let known = one.terms.tax_rates.iter().filter_map(|id| world.extras.tax_rates.get(id));
    known.map(extras::shown_tax_rate).collect()
}

/// The fields that say the same on every subscription here, or nothing.
fn without_content() -> Value {
    json!({
        "application": null, "application_fee_percent": null,
        "automatic_tax": {"disabled_reason": null, "enabled": false, "liability": null},
        "billing_cycle_anchor_config": null, "billing_schedules": [], "billing_thresholds": null,
        "cancellation_details": {"comment": null, "feedback": null, "reason": null},
        "customer_account": null, "default_payment_method": null, "default_source": null,
        "invoice_settings": {
            "account_tax_ids": null, "custom_fields": null, "description": null, "footer": null,
            "issuer": {"type": "self"},
        },
        "livemode": false, "next_pending_invoice_item_invoice": null, "on_behalf_of": null,
        "pause_collection": null,
        "payment_settings": {
            "payment_method_options": null, "payment_method_types": null, "save_default_payment_method": "off",
        },
        "pending_invoice_item_interval": null, "pending_setup_intent": null, "pending_update": null,
        "schedule": null, "test_clock": null, "transfer_data": null,
        "trial_settings": {"end_behavior": {"missing_payment_method": "create_invoice"}},
    })
}

/// What it was or is at an instant, but for what follows from the instants of its trial and its end.
pub fn status_on(one: &Subscription, instant: i64) -> Status {
    let past = one.past_statuses.iter().find(|past| instant < past.until);
    past.map_or(one.status, |past| past.status)
}

pub fn status_at(one: &Subscription, now: i64) -> Status {
    if one.ends_at.is_some_and(|end| end <= now) {
        return if one.status == Status::IncompleteExpired { one.status } else { Status::Canceled };
    }
    if one.trial_end.is_some_and(|end| now < end) && matches!(one.status, Status::Active | Status::Trialing) {
        return Status::Trialing;
    }
    match one.status {
        Status::Trialing | Status::Canceled => Status::Active,
        status => status,
    }
}

/// The newest first, as on an invoice.
pub fn live_items(one: &Subscription, instant: i64) -> impl Iterator<Item = &Item> {
    let mut items: Vec<&Item> = one.items.iter().filter(|item| item.is_live_at(instant)).collect();
    items.sort_by_key(|item| std::cmp::Reverse(item.added));
    items.into_iter()
}

fn item(world: &World, one: &Subscription, item: &Item) -> Value {
    let window = one.live_window_at(one.ends_at.map_or(world.now, |end| world.now.min(end - 1))).window;
    let price = world.prices.get(&item.price);
    let mut shown = json!({
        "id": item.id, "object": "subscription_item", "billed_until": null, "billing_thresholds": null,
        "created": item.added, "current_period_end": window.end, "current_period_start": window.start,
        "discounts": [], "metadata": item.metadata, "plan": price.map(objects::plan),
        "price": price.map(objects::price), "subscription": one.id, "tax_rates": [],
    });
    if let Some(quantity) = item.quantity {
        shown["quantity"] = json!(quantity);
    }
    shown
}

fn anchor(one: &Subscription, instant: i64) -> i64 {
    let phase = one.phases.iter().rfind(|phase| phase.from <= instant).or(one.phases.first());
    phase.map_or(one.start, |phase| phase.anchor)
}

fn billing_mode(one: &Subscription) -> Value {
    if one.flexible {
        return json!({"flexible": {"proration_discounts": "included"}, "type": "flexible", "updated_at": one.created});
    }
    json!({"flexible": null, "type": "classic"})
}
