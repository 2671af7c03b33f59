//! An invoice and its lines as Stripe shows them in 2026.
//!
//! In: an invoice's place in a subscription's life. Out: JSON, with a quantity and an amount on each line. Usage is that of
//! the window which has ended; what is paid in advance belongs to the next window, and each line's `period` says so.

use bigdecimal::BigDecimal;
use serde_json::{Value, json};

use super::invoices::{self, Invoice, Kind};
use super::lines::{self, PricedLine};
use super::lists;
use super::records::{Item, Price, Window};
use super::settling::{Settled, settled};
use super::terms::InvoiceItem;
use super::usage::{Known, aggregate};
use super::world::World;
use super::{decimal, objects, preview};

pub fn by_id(world: &World, id: &str) -> Option<Value> {
    invoices::by_id(world, id).map(|one| invoice(world, &one))
}

pub fn all_lines(world: &World, id: &str) -> Option<Vec<Value>> {
    match invoices::by_id(world, id) {
        Some(one) => Some(lines(world, &one, id)),
        None => preview::lines(world, id),
    }
}

pub fn invoice(world: &World, one: &Invoice<'_>) -> Value {
    let is_draft = one.is_draft(world.now);
    let finalized_at = (!is_draft).then_some(one.finalizes_at);
    let mut shown = frame(world, one, &one.id(), if is_draft { "draft" } else { "paid" });
    let goes_on = is_draft && !one.stays_draft();
    shown["auto_advance"] = json!(goes_on);
    shown["automatically_finalizes_at"] = json!(goes_on.then_some(one.finalizes_at));
    shown["billing_reason"] = json!(match one.kind {
        Kind::Create => "subscription_create",
        Kind::Cycle => "subscription_cycle",
        // A cancellation in mid-window is a change of the subscription.
        Kind::Last if one.subscription.window_at(one.created - 1).end == one.created => "subscription_cycle",
        Kind::Last => "subscription_update",
    });
    shown["effective_at"] = json!(finalized_at);
    shown["number"] = json!(finalized_at.map(|_| format!("SANDBOX-{:X}", one.created)));
    shown["status_transitions"]["finalized_at"] = json!(finalized_at);
    shown["status_transitions"]["paid_at"] = json!(finalized_at);
    shown["webhooks_delivered_at"] = json!(one.created);
    shown
}

pub fn preview(world: &World, one: &Invoice<'_>, id: &str) -> Value {
    let mut shown = frame(world, one, id, "draft");
    shown["billing_reason"] = json!("upcoming");
    shown["next_payment_attempt"] = json!(one.created + i64::from(world.manners.drafts.seconds));
    shown
}

/// The lines of an invoice, all of them, with what is taken off and put on each.
pub fn lines(world: &World, one: &Invoice<'_>, invoice_id: &str) -> Vec<Value> {
    settled(world, one, invoice_id).lines
}

/// The lines before any discount, credit or tax: what was added by hand, and then what the subscription brings.
pub fn plain_lines(world: &World, one: &Invoice<'_>, invoice_id: &str) -> Vec<Value> {
    let mut shown = Vec::new();
    let prefix = invoice_id.strip_prefix("upcoming_in_").map_or_else(
        || format!("il_{}", invoice_id.trim_start_matches("in_")),
        |number| format!("il_tmp_{number}"),
    );
    for item in pending(world, one) {
        let id = format!("{prefix}x{:02x}", shown.len());
        shown.push(one_off(one, invoice_id, &id, item));
    }
    for billed in billed(world, one) {
        for line in &billed.lines {
            let id = format!("{prefix}x{:02x}", shown.len());
            shown.push(line_item(one, invoice_id, &id, &billed, line, world));
        }
    }
    shown
}

/// Invoice items that wait for this invoice, the newest first: it is the first one made after them.
fn pending<'a>(world: &'a World, one: &Invoice<'_>) -> Vec<&'a InvoiceItem> {
    let customer = &one.subscription.customer;
    let is_ours = |id: &str, item: &InvoiceItem| item.subscription.as_deref().is_none_or(|other| other == id);
    let is_taken = |item: &InvoiceItem| {
        let others = world.subscriptions_of(customer).filter(|other| is_ours(&other.id, item));
        let mut made = others.flat_map(|other| invoices::of_subscription(world, other));
        made.any(|other| {
            item.created < other.created && (other.created, other.id()) < (one.created, one.id())
        })
    };
    let waits = |item: &&InvoiceItem| {
        item.created < one.created
            && item.currency == one.subscription.currency
            && is_ours(&one.subscription.id, item)
            && !is_taken(item)
    };
    world.extras.items_of(customer).iter().rev().filter(waits).collect()
}

/// No price stands behind it: the sandbox takes amounts only.
fn one_off(one: &Invoice<'_>, invoice_id: &str, id: &str, item: &InvoiceItem) -> Value {
    json!({
        "id": id, "object": "line_item", "amount": item.amount, "currency": item.currency,
        "description": item.description, "discount_amounts": [], "discountable": item.discountable,
        "discounts": [], "invoice": invoice_id, "livemode": false, "metadata": item.metadata,
        "parent": {
            "invoice_item_details": {
                "invoice_item": item.id, "proration": false, "proration_details": {"credited_items": null},
                "subscription": item.subscription,
            },
            "subscription_item_details": null, "type": "invoice_item_details",
        },
        "period": {"end": item.period.end, "start": item.period.start}, "pretax_credit_amounts": [],
        "pricing": null, "quantity": 1, "quantity_decimal": "1", "subscription": one.subscription.id,
        "subtotal": item.amount, "taxes": [],
    })
}

/// What one item brings onto an invoice.
struct Billed<'a> {
    item: &'a Item,
    price: &'a Price,
    period: Window,
    lines: Vec<PricedLine>,
}

fn billed<'a>(world: &'a World, one: &Invoice<'a>) -> Vec<Billed<'a>> {
    let mut items: Vec<&Item> = one.subscription.items.iter().collect();
    items.sort_by_key(|item| std::cmp::Reverse(item.added));
    let with_price = items.into_iter().filter_map(|item| Some((item, world.prices.get(&item.price)?)));
    let billed = |(item, price): (&'a Item, &'a Price)| {
        let meter = price.recurring.as_ref().and_then(|recurring| recurring.meter.as_deref());
        match meter {
            Some(meter) => metered(world, one, item, price, meter),
            None => licensed(one, item, price),
        }
    };
    with_price.filter_map(billed).collect()
}

/// The usage of the window that ends with this invoice; the first invoice shows that there is none yet.
fn metered<'a>(
    world: &World,
    one: &Invoice<'a>,
    item: &'a Item,
    price: &'a Price,
    meter: &str,
) -> Option<Billed<'a>> {
    let (subscription, period) = (one.subscription, one.window);
    if one.kind == Kind::Create {
        let is_there = item.is_live_at(subscription.start);
        return is_there.then(|| Billed { item, price, period, lines: lines::free(&BigDecimal::default()) });
    }
    if !item.is_billed_at(period.end) {
        return None;
    }
    let counted = Window { start: period.start.max(item.added), end: period.end };
    let meter = world.meters.get(meter)?;
    let known = known(world, one);
    let quantity = aggregate(world, meter, &subscription.customer, counted, known).unwrap_or_default();
    let lines = if subscription.is_trial(period) {
        lines::free(&quantity)
    } else {
        lines::price(&price.scheme, &quantity)
    };
    Some(Billed { item, price, period, lines })
}

/// Once finalized, all that came in before; until then what is shown, of a stale draft what was shown at its creation.
fn known(world: &World, one: &Invoice<'_>) -> Known {
    if !one.is_draft(world.now) {
        return Known::Received(one.finalizes_at);
    }
    let is_stale = world.manners.drafts.stale && one.created <= world.now;
    Known::Shown(if is_stale { one.created } else { world.now })
}

/// Paid in advance: the first window at the start, later the one that begins.
fn licensed<'a>(one: &Invoice<'a>, item: &'a Item, price: &'a Price) -> Option<Billed<'a>> {
    let subscription = one.subscription;
    let (begins, period) = match one.kind {
        Kind::Create => (subscription.start, one.window),
        Kind::Cycle => (one.window.end, subscription.live_window_at(one.window.end).window),
        Kind::Last => return None,
    };
    if !item.is_live_at(begins) {
        return None;
    }
    let quantity = BigDecimal::from(item.quantity.unwrap_or(1));
    let lines = if subscription.is_trial(period) {
        lines::free(&quantity)
    } else {
        lines::price(&price.scheme, &quantity)
    };
    Some(Billed { item, price, period, lines })
}

fn line_item(
    one: &Invoice<'_>,
    invoice_id: &str,
    id: &str,
    billed: &Billed<'_>,
    line: &PricedLine,
    world: &World,
) -> Value {
    let (item, price, period) = (billed.item, billed.price, billed.period);
    let unit = match &price.scheme {
        super::records::Scheme::PerUnit { unit, .. } => Some(decimal::text(&decimal::stored(unit))),
        _ => None,
    };
    json!({
        "id": id, "object": "line_item", "amount": line.amount, "currency": one.subscription.currency,
        "description": description(world, price, line), "discount_amounts": [], "discountable": true,
        "discounts": [], "invoice": invoice_id, "livemode": false, "metadata": item.metadata,
        "parent": {
            "invoice_item_details": null,
            "subscription_item_details": {
                "invoice_item": null, "proration": false, "proration_details": {"credited_items": null},
                "subscription": one.subscription.id, "subscription_item": item.id,
            },
            "type": "subscription_item_details",
        },
        "period": {"end": period.end, "start": period.start}, "pretax_credit_amounts": [],
        "pricing": {
            "price_details": {"price": price.id, "product": price.product}, "type": "price_details",
            "unit_amount_decimal": unit,
        },
        "quantity": decimal::truncated(&line.quantity), "quantity_decimal": decimal::text(&line.quantity),
        "subscription": one.subscription.id, "subtotal": line.amount, "taxes": [],
    })
}

fn description(world: &World, price: &Price, line: &PricedLine) -> String {
    let name = world.products.get(&price.product).map_or(price.product.as_str(), |product| &product.name);
    let tier = line.tier.map(|tier| format!(" (Tier {tier})")).unwrap_or_default();
    if line.is_flat_fee {
        return format!("{name}{tier}");
    }
    format!("{} × {name}{tier}", decimal::text(&line.quantity))
}

/// All that previews and invoices have in common.
fn frame(world: &World, one: &Invoice<'_>, id: &str, status: &str) -> Value {
    let subscription = one.subscription;
    let Settled { lines: all, sums, .. } = settled(world, one, id);
    let due = sums["sums"]["amount_due"].as_i64().unwrap_or_default();
    let is_paid = status == "paid";
    let lines_shown = world.manners.lists.lines_shown;
    let has_more = all.len() > lines_shown;
    let shown = &all[..all.len().min(lines_shown)];
    let customer = world.customers.get(&subscription.customer);
    let frame = json!({
        "id": id, "object": "invoice", "amount_paid": if is_paid { due } else { 0 },
        "amount_remaining": if is_paid { 0 } else { due }, "attempted": is_paid, "auto_advance": !is_paid,
        "collection_method": subscription.collection_method, "created": one.created,
        "currency": subscription.currency, "customer": subscription.customer,
        "customer_email": customer.and_then(|one| one.email.as_ref()),
        "customer_name": customer.and_then(|one| one.name.as_ref()),
        "default_tax_rates": sums["default_tax_rates"], "discounts": sums["discounts"],
        "lines": lists::list(&format!("/v1/invoices/{id}/lines"), shown, has_more),
        "parent": {
            "quote_details": null,
            "subscription_details": {"metadata": subscription.metadata, "subscription": subscription.id},
            "type": "subscription_details",
        },
        "period_end": one.window.end, "period_start": one.window.start, "status": status,
    });
    objects::merged(objects::merged(without_content(), frame), sums["sums"].clone())
}

/// The fields that say the same on every invoice here, or nothing.
fn without_content() -> Value {
    let first = json!({
        "account_country": "US", "account_name": "billrecon sandbox", "account_tax_ids": null,
        "amount_overpaid": 0, "amount_shipping": 0, "application": null, "attempt_count": 0,
        "automatic_tax": {
            "disabled_reason": null, "enabled": false, "liability": null, "provider": null, "status": null,
        },
        "automatically_finalizes_at": null, "billing_reason": null, "custom_fields": null,
        "customer_account": null, "customer_address": null, "customer_phone": null, "customer_shipping": null,
        "customer_tax_exempt": "none", "customer_tax_ids": [], "default_payment_method": null,
        "default_source": null, "description": null, "due_date": null,
        "effective_at": null, "footer": null, "from_invoice": null, "hosted_invoice_url": null,
        "invoice_pdf": null, "issuer": {"type": "self"}, "last_finalization_error": null,
    });
    let second = json!({
        "latest_revision": null, "livemode": false, "metadata": {}, "next_payment_attempt": null, "number": null,
        "on_behalf_of": null,
        "payment_settings": {
            "default_mandate": null, "payment_method_options": null, "payment_method_types": null,
        },
        "post_payment_credit_notes_amount": 0, "pre_payment_credit_notes_amount": 0, "receipt_number": null,
        "rendering": null, "shipping_cost": null, "shipping_details": null,
        "statement_descriptor": null,
        "status_transitions": {
            "finalized_at": null, "marked_uncollectible_at": null, "paid_at": null, "voided_at": null,
        },
        "test_clock": null,
        "webhooks_delivered_at": null,
    });
    objects::merged(first, second)
}
