//! The plain objects as Stripe shows them: customer, product, price, meter, meter event, test clock, account.
//!
//! In: a record. Out: JSON with every field that Stripe's specification requires, and the legacy `plan` that subscription
//! items still carry. Never reads the clock or the account.

use bigdecimal::BigDecimal;
use serde_json::{Value, json};

use super::decimal;
use super::records::{
    Bucket, Customer, Event, Formula, Interval, Meter, Price, Product, Recurring, Round, Scheme, TestClock,
    Tier,
};

/// Every test key is this account.
pub const ACCOUNT: &str = "acct_sandbox1billrecon";

pub fn account() -> Value {
    json!({
        "id": ACCOUNT, "object": "account", "business_profile": null, "business_type": null,
        "capabilities": {}, "charges_enabled": true, "country": "US", "created": 1_577_836_800,
        "default_currency": "usd", "details_submitted": true, "email": null, "metadata": {},
        "payouts_enabled": true, "settings": null, "type": "standard",
    })
}

pub fn customer(one: &Customer) -> Value {
    if one.deleted {
        return json!({"id": one.id, "object": "customer", "deleted": true});
    }
    json!({
        "id": one.id, "object": "customer", "address": null, "balance": 0, "created": one.created,
        "currency": null, "customer_account": null, "default_source": null, "delinquent": false,
        "description": one.description, "discount": null, "email": one.email,
        "invoice_prefix": "SANDBOX",
        "invoice_settings": {
            "custom_fields": null, "default_payment_method": null, "footer": null, "rendering_options": null,
        },
        "livemode": false, "metadata": one.metadata, "name": one.name, "next_invoice_sequence": 1,
        "phone": one.phone, "preferred_locales": [], "shipping": null, "tax_exempt": "none",
        "test_clock": one.test_clock,
    })
}

pub fn product(one: &Product) -> Value {
    json!({
        "id": one.id, "object": "product", "active": one.active, "attributes": [], "created": one.created,
        "default_price": null, "description": one.description, "images": [], "livemode": false,
        "marketing_features": [], "metadata": one.metadata, "name": one.name, "package_dimensions": null,
        "shippable": null, "statement_descriptor": null, "tax_code": null, "type": "service",
        "unit_label": one.unit_label, "updated": one.created, "url": null,
    })
}

pub fn price(one: &Price) -> Value {
    let (unit, unit_decimal) = unit_amount(one);
    json!({
        "id": one.id, "object": "price", "active": one.active,
        "billing_scheme": billing_scheme(&one.scheme), "created": one.created, "currency": one.currency,
        "custom_unit_amount": null, "livemode": false, "lookup_key": one.lookup_key, "metadata": one.metadata,
        "nickname": one.nickname, "product": one.product,
        "recurring": one.recurring.as_ref().map(recurring), "tax_behavior": one.tax_behavior,
        "tiers_mode": tiers_mode(&one.scheme), "transform_quantity": transform_quantity(&one.scheme),
        "type": if one.recurring.is_some() { "recurring" } else { "one_time" },
        "unit_amount": unit, "unit_amount_decimal": unit_decimal,
    })
}

/// The price in its old clothes.
pub fn plan(one: &Price) -> Value {
    let (unit, unit_decimal) = unit_amount(one);
    let recurring = one.recurring.as_ref().map(recurring).unwrap_or_default();
    json!({
        "id": one.id, "object": "plan", "active": one.active, "amount": unit, "amount_decimal": unit_decimal,
        "billing_scheme": billing_scheme(&one.scheme), "created": one.created, "currency": one.currency,
        "interval": recurring["interval"], "interval_count": recurring["interval_count"], "livemode": false,
        "metadata": one.metadata, "meter": recurring["meter"], "nickname": one.nickname,
        "product": one.product, "tiers_mode": tiers_mode(&one.scheme),
        "transform_usage": transform_quantity(&one.scheme), "trial_period_days": null,
        "usage_type": recurring["usage_type"],
    })
}

/// One object with the fields of both.
pub fn merged(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}

/// Only shown when asked for.
pub fn tiers(one: &Price) -> Value {
    let (Scheme::Graduated(tiers) | Scheme::Volume(tiers)) = &one.scheme else { return Value::Null };
    let both = |text: Option<&str>| {
        let number = text.map(decimal::stored);
        (number.as_ref().and_then(decimal::integer), number.as_ref().map(decimal::text))
    };
    let shown = |tier: &Tier| {
        let (unit, unit_decimal) = both(tier.unit.as_deref());
        let (flat, flat_decimal) = both(tier.flat.as_deref());
        json!({
            "flat_amount": flat, "flat_amount_decimal": flat_decimal, "unit_amount": unit,
            "unit_amount_decimal": unit_decimal,
            "up_to": tier.up_to.as_deref().map(|end| decimal::json(&decimal::stored(end))),
        })
    };
    tiers.iter().map(shown).collect()
}

/// Only shown when asked for.
pub fn currency_options(one: &Price) -> Value {
    let (unit, unit_decimal) = unit_amount(one);
    let option = json!({
        "custom_unit_amount": null, "tax_behavior": one.tax_behavior, "unit_amount": unit,
        "unit_amount_decimal": unit_decimal,
    });
    json!({ &one.currency: option })
}

pub fn meter(one: &Meter) -> Value {
    json!({
        "id": one.id, "object": "billing.meter", "created": one.created,
        "customer_mapping": {"event_payload_key": one.customer_key, "type": "by_id"},
        "default_aggregation": {"formula": formula(one.formula)}, "display_name": one.display_name,
        "event_name": one.event_name,
        "event_time_window": one.event_time_window.map(|bucket| match bucket {
            Bucket::Hour => "hour",
            Bucket::Day => "day",
        }),
        "livemode": false, "status": if one.deactivated_at.is_some() { "inactive" } else { "active" },
        "status_transitions": {"deactivated_at": one.deactivated_at}, "updated": one.updated,
        "value_settings": {"event_payload_key": one.value_key},
    })
}

pub fn meter_event(one: &Event) -> Value {
    json!({
        "object": "billing.meter_event", "created": one.received, "event_name": one.name,
        "identifier": one.identifier, "livemode": false, "payload": one.payload, "timestamp": one.timestamp,
    })
}

pub fn test_clock(one: &TestClock) -> Value {
    json!({
        "id": one.id, "object": "test_helpers.test_clock", "created": one.created,
        "deletes_after": one.created + 30 * 86_400, "frozen_time": one.frozen_time, "livemode": false,
        "name": one.name, "status": "ready", "status_details": {},
    })
}

/// As an integer where it is one, and as a decimal; tiered prices have neither.
fn unit_amount(one: &Price) -> (Option<i64>, Option<String>) {
    let Scheme::PerUnit { unit, .. } = &one.scheme else { return (None, None) };
    let unit: BigDecimal = decimal::stored(unit);
    (decimal::integer(&unit), Some(decimal::text(&unit)))
}

fn recurring(one: &Recurring) -> Value {
    json!({
        "interval": interval(one.cycle.interval), "interval_count": one.cycle.count, "meter": one.meter,
        "trial_period_days": null, "usage_type": if one.meter.is_some() { "metered" } else { "licensed" },
    })
}

pub fn interval(interval: Interval) -> &'static str {
    match interval {
        Interval::Day => "day",
        Interval::Week => "week",
        Interval::Month => "month",
        Interval::Year => "year",
    }
}

fn billing_scheme(scheme: &Scheme) -> &'static str {
    if matches!(scheme, Scheme::PerUnit { .. }) { "per_unit" } else { "tiered" }
}

fn tiers_mode(scheme: &Scheme) -> Option<&'static str> {
    match scheme {
        Scheme::PerUnit { .. } => None,
        Scheme::Graduated(_) => Some("graduated"),
        Scheme::Volume(_) => Some("volume"),
    }
}

fn transform_quantity(scheme: &Scheme) -> Option<Value> {
    let Scheme::PerUnit { transform: Some(transform), .. } = scheme else { return None };
    let round = match transform.round {
        Round::Up => "up",
        Round::Down => "down",
    };
    Some(json!({"divide_by": transform.divide_by, "round": round}))
}

fn formula(formula: Formula) -> &'static str {
    match formula {
        Formula::Sum => "sum",
        Formula::Count => "count",
        Formula::Last => "last",
    }
}
