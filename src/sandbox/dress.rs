//! Dress: the same answer as another API version, or another writer of JSON, would give it.
//!
//! In: an answer in today's shape, and the manners. Out: its text. By default nothing but that text. Never changes what an
//! answer says of quantities and money.

use serde_json::{Map, Value, json};

use super::decimal;
use super::manners::{Numbers, Shape};
use super::objects;
use super::world::World;

/// Stands around a number that is written in other words, until the text is made. Nobody's text holds it: it is in a
/// private area of Unicode.
const MARK: &str = "\u{f8b1}";

/// Words that say nothing about quantities and money, and of which Stripe may have new ones any day.
const HARMLESS_WORDS: [(&str, &str); 6] = [
    ("invoice", "billing_reason"),
    ("invoice", "collection_method"),
    ("subscription", "collection_method"),
    ("price", "tax_behavior"),
    ("product", "type"),
    ("customer", "tax_exempt"),
];

pub fn text(world: &World, mut body: Value) -> String {
    let answers = &world.manners.answers;
    if answers.shape != Shape::Endive || answers.unheard_of || answers.numbers != Numbers::Plain {
        dress(world, &mut body);
    }
    let text = body.to_string();
    match answers.numbers {
        Numbers::Float | Numbers::Exponent => {
            text.replace(&format!("\"{MARK}"), "").replace(&format!("{MARK}\""), "")
        }
        Numbers::Plain | Numbers::Text => text,
    }
}

/// From the inside out, so that an object finds those that it holds in the same shape.
fn dress(world: &World, value: &mut Value) {
    match value {
        Value::Array(all) => all.iter_mut().for_each(|one| dress(world, one)),
        Value::Object(object) => {
            // The period of an older subscription stands on its items today.
            if world.manners.answers.shape == Shape::Acacia && is(object, "subscription") {
                period_to_the_subscription(object);
            }
            object.values_mut().for_each(|one| dress(world, one));
            if object.contains_key("object") {
                dress_object(world, object);
            }
        }
        _ => {}
    }
}

fn dress_object(world: &World, object: &mut Map<String, Value>) {
    let answers = &world.manners.answers;
    match answers.shape {
        Shape::Basil => {
            object.remove("quantity_decimal");
        }
        Shape::Acacia if is(object, "line_item") => older_line(world, object),
        Shape::Acacia if is(object, "invoice") => older_invoice(object),
        Shape::Acacia | Shape::Endive => {}
    }
    if is(object, "line_item") || is(object, "billing.meter_event_summary") {
        for name in ["quantity", "aggregated_value", "amount"] {
            if let Some(number) = object.get_mut(name).filter(|value| value.is_number()) {
                *number = in_other_words(&number.to_string(), answers.numbers).unwrap_or(number.take());
            }
        }
    }
    if answers.unheard_of && !is(object, "list") {
        object.insert("unheard_of".to_owned(), json!({"since": 2030, "words": ["new", null]}));
        for (kind, name) in HARMLESS_WORDS {
            if is(object, kind) {
                object.insert(name.to_owned(), json!("unheard_of"));
            }
        }
    }
}

fn is(object: &Map<String, Value>, kind: &str) -> bool {
    object.get("object").is_some_and(|object| object == kind)
}

fn in_other_words(text: &str, numbers: Numbers) -> Option<Value> {
    let number = decimal::parse(text)?;
    Some(match numbers {
        Numbers::Plain => return None,
        Numbers::Float => json!(format!("{MARK}{}{MARK}", decimal::with_point(&number))),
        Numbers::Exponent => json!(format!("{MARK}{}{MARK}", decimal::with_exponent(&number))),
        Numbers::Text => json!(decimal::text(&number)),
    })
}

fn period_to_the_subscription(object: &mut Map<String, Value>) {
    let mut edges = Vec::new();
    let items = object.get_mut("items").and_then(|items| items["data"].as_array_mut());
    for item in items.into_iter().flatten().filter_map(Value::as_object_mut) {
        edges.push([item.remove("current_period_start"), item.remove("current_period_end")]);
    }
    if let Some([start, end]) = edges.into_iter().next() {
        object.insert("current_period_start".to_owned(), start.unwrap_or_default());
        object.insert("current_period_end".to_owned(), end.unwrap_or_default());
    }
}

/// All items of a subscription share one period here.
fn older_line(world: &World, line: &mut Map<String, Value>) {
    let removed = ["parent", "pricing", "taxes", "quantity_decimal", "subtotal", "pretax_credit_amounts"];
    let [parent, pricing, taxes, ..] = removed.map(|name| line.remove(name).unwrap_or_default());
    let kind = if parent["type"] == "invoice_item_details" { "invoiceitem" } else { "subscription" };
    let item =
        &parent[if kind == "invoiceitem" { "invoice_item_details" } else { "subscription_item_details" }];
    let price = pricing["price_details"]["price"].as_str().and_then(|id| world.prices.get(id));
    let older = json!({
        "amount_excluding_tax": line.get("amount"), "invoice_item": item["invoice_item"],
        "plan": price.map(objects::plan), "price": price.map(objects::price),
        "proration": item["proration"], "proration_details": item["proration_details"],
        "subscription": item["subscription"], "subscription_item": item["subscription_item"],
        "tax_amounts": older_taxes(&taxes), "tax_rates": [], "type": kind,
        "unit_amount_excluding_tax": pricing["unit_amount_decimal"],
    });
    extend(line, older);
}

fn older_invoice(invoice: &mut Map<String, Value>) {
    let removed = ["parent", "total_taxes", "amount_overpaid"];
    let [parent, taxes, ..] = removed.map(|name| invoice.remove(name).unwrap_or_default());
    let details = &parent["subscription_details"];
    let older = json!({
        "application_fee_amount": null, "charge": null, "discount": null,
        "paid": invoice.get("status").is_some_and(|status| status == "paid"), "paid_out_of_band": false,
        "payment_intent": null, "quote": null, "subscription": details["subscription"],
        "subscription_details": {"metadata": details["metadata"]}, "tax": null,
        "total_tax_amounts": older_taxes(&taxes),
        "transfer_data": null,
    });
    extend(invoice, older);
}

fn older_taxes(taxes: &Value) -> Value {
    let older = |tax: &Value| {
        json!({
            "amount": tax["amount"], "inclusive": tax["tax_behavior"] == "inclusive",
            "tax_rate": tax["tax_rate_details"]["tax_rate"], "taxability_reason": tax["taxability_reason"],
            "taxable_amount": tax["taxable_amount"],
        })
    };
    taxes.as_array().into_iter().flatten().map(older).collect()
}

fn extend(object: &mut Map<String, Value>, more: Value) {
    if let Value::Object(more) = more {
        object.extend(more);
    }
}
