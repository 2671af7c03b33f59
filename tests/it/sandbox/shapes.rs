//! Shapes: every field that Stripe's specification requires is there, and every field has the type that it says.
//!
//! In: `required_fields.json`, taken from the `OpenAPI` specification of 2026-01-28.clover (it says nothing about
//! `quantity_decimal`, which is younger). There `!` marks a required field, `?` one that may be null, `=a,b` one of some
//! words, `[x]` an array, `list x` a list object, `#x` another object of the file, `x|y` either. Out: every violation.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{HOUR, OCTOBER, Served, data, id};

pub type Schema = BTreeMap<String, BTreeMap<String, String>>;

pub fn schema() -> Schema {
    serde_json::from_str(include_str!("required_fields.json")).unwrap()
}

fn violations(schema: &Schema, name: &str, value: &Value, path: &str, found: &mut Vec<String>) {
    if !value.is_object() {
        found.push(format!("{path}: no object"));
        return;
    }
    for (field, kind) in &schema[name] {
        let (required, kind) = kind.strip_prefix('!').map_or((false, kind.as_str()), |kind| (true, kind));
        match value.get(field) {
            None if required => found.push(format!("{path}.{field}: missing")),
            Some(value) if !fits(schema, kind, value, &format!("{path}.{field}"), found) => {
                found.push(format!("{path}.{field}: {value} is no {kind}"));
            }
            None | Some(_) => {}
        }
    }
}

/// Faults inside an object are told one by one.
fn fits(schema: &Schema, kind: &str, value: &Value, path: &str, found: &mut Vec<String>) -> bool {
    if let Some(inner) = kind.strip_prefix('[').and_then(|kind| kind.trim_end_matches('?').strip_suffix(']'))
    {
        let all = |values: &Vec<Value>| values.iter().all(|one| fits(schema, inner, one, path, found));
        return value.as_array().map_or(kind.ends_with('?') && value.is_null(), all);
    }
    if let Some(kind) = kind.strip_suffix('?') {
        return value.is_null() || fits(schema, kind, value, path, found);
    }
    if let Some(inner) = kind.strip_prefix("list ") {
        let is_list = value["object"] == "list" && value["url"].is_string() && value["has_more"].is_boolean();
        let all = |values: &Vec<Value>| values.iter().all(|one| fits(schema, inner, one, path, found));
        return is_list && value["data"].as_array().is_some_and(all);
    }
    if let Some(words) = kind.strip_prefix('=') {
        return value.as_str().is_some_and(|text| words.split(',').any(|word| word == text));
    }
    if let Some(name) = kind.strip_prefix('#').filter(|name| !name.contains('|')) {
        violations(schema, name, value, path, found);
        return true;
    }
    if kind.contains('|') {
        let fits_one = |kind: &str| {
            let mut inner = Vec::new();
            fits(schema, kind, value, path, &mut inner) && inner.is_empty()
        };
        return kind.split('|').any(fits_one);
    }
    match kind {
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "object" => value.is_object(),
        _ => panic!("{path}: unknown type {kind}"),
    }
}

#[track_caller]
pub fn holds(schema: &Schema, name: &str, value: &Value) {
    let mut found = Vec::new();
    violations(schema, name, value, name, &mut found);
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_object_has_the_fields_and_types_of_the_specification() {
    let (schema, sandbox) = (schema(), Served::new());
    let clock = sandbox.clock();
    let (customer, meter) = (sandbox.customer(), sandbox.meter("requests", "sum"));
    let tiers = [
        ("billing_scheme", "tiered"),
        ("tiers_mode", "volume"),
        ("tiers[0][up_to]", "10"),
        ("tiers[0][flat_amount_decimal]", "0.5"),
        ("tiers[1][up_to]", "inf"),
        ("tiers[1][unit_amount]", "3"),
    ];
    let tiered = sandbox.metered_price(&meter, &tiers);
    let packed = [
        ("unit_amount_decimal", "1.5"),
        ("transform_quantity[divide_by]", "5"),
        ("transform_quantity[round]", "up"),
    ];
    let packed = sandbox.metered_price(&meter, &packed);
    let base = sandbox.base_price("5000");
    let trial_end = (OCTOBER + HOUR).to_string();
    let subscribed = sandbox.subscribe(&customer, &[&tiered, &packed, &base], &[("trial_end", &trial_end)]);
    let flexible =
        sandbox.subscribe(&customer, &[&base], &[("billing_mode[type]", "flexible"), ("metadata[a]", "b")]);
    let event = sandbox.report("requests", &customer, "12", "e", OCTOBER).ok();
    holds(&schema, "billing.meter_event", &event);
    holds(&schema, "subscription", &subscribed);
    holds(&schema, "subscription", &flexible);
    holds(&schema, "invoice", &sandbox.preview(&id(&subscribed)));
    clock.advance(OCTOBER + HOUR);
    holds(&schema, "invoice", &sandbox.preview(&id(&subscribed)));
    clock.advance(OCTOBER + 32 * 24 * HOUR);
    sandbox.delete(&format!("/v1/subscriptions/{}", id(&flexible))).ok();
    holds(&schema, "account", &sandbox.get("/v1/account").ok());
    let summaries = format!(
        "billing/meters/{meter}/event_summaries?customer={customer}&start_time={OCTOBER}&end_time={}",
        OCTOBER + 60
    );
    let lists: [(&str, &str); 8] = [
        ("customer", "customers"),
        ("product", "products"),
        ("price", "prices?expand[]=data.tiers"),
        ("billing.meter", "billing/meters"),
        ("billing.meter_event_summary", &summaries),
        ("subscription", "subscriptions?status=all"),
        ("invoice", "invoices?limit=100"),
        ("test_helpers.test_clock", "test_helpers/test_clocks"),
    ];
    for (name, path) in lists {
        let list = sandbox.get(&format!("/v1/{path}")).ok();
        assert!(!data(&list).is_empty(), "{name}");
        for one in data(&list) {
            holds(&schema, name, one);
        }
        assert!(list["url"].as_str().unwrap().starts_with("/v1/"));
    }
    let states: Vec<String> =
        data(&sandbox.get("/v1/invoices").ok()).iter().map(|one| one["status"].to_string()).collect();
    assert!(
        states.contains(&"\"draft\"".to_owned()) && states.contains(&"\"paid\"".to_owned()),
        "{states:?}"
    );
    holds(&schema, "error", &sandbox.get("/v1/nothing").body);
}

#[test]
fn a_field_that_is_missing_or_of_another_type_is_found() {
    let (schema, sandbox) = (schema(), Served::new());
    let subscription = sandbox.subscribe(&sandbox.customer(), &[&sandbox.base_price("1")], &[]);
    let invoice = sandbox.preview(&id(&subscription));
    let faults: [(&str, Value); 4] = [
        ("/lines/data/0/subtotal", Value::Null),
        ("/lines/data/0/quantity", "1".into()),
        ("/status", "open?".into()),
        ("/parent/subscription_details/subscription", 1.into()),
    ];
    for (place, value) in faults {
        let mut broken = invoice.clone();
        *broken.pointer_mut(place).unwrap() = value;
        let mut found = Vec::new();
        violations(&schema, "invoice", &broken, "invoice", &mut found);
        assert_eq!(found.len(), 1, "{place}: {found:?}");
    }
    let mut without = invoice;
    without.as_object_mut().unwrap().remove("amount_overpaid");
    let mut found = Vec::new();
    violations(&schema, "invoice", &without, "invoice", &mut found);
    assert_eq!(found, ["invoice.amount_overpaid: missing"]);
}
