//! The catalog from TOML.
//!
//! In: text in the shape of DESIGN §6, prices as in Stripe's Price object. Out: a checked [`Catalog`], or the line, the
//! path and the fault. Never accepts a key that it does not know, and never keeps half a catalog.

use std::collections::BTreeMap;

use crate::domain::catalog::{
    Aggregation, Billing, Catalog, CatalogFault, Meter, Plan, PlanId, PriceRef, PushScope, UsagePrice,
};
use crate::domain::money::Currency;
use crate::domain::number::UnitAmount;
use crate::domain::period::Interval;
use crate::domain::price::Price;
use crate::domain::rule::Rule;
use crate::ingest::fields::Fields;
use crate::ingest::node::{Node, Value};
use crate::ingest::{IngestError, did_you_mean, line_and_column, price};

const METER: [&str; 5] = ["key", "aggregation", "per", "billable", "event_name"];
const PLAN: [&str; 6] = ["key", "currency", "interval", "amount", "hard_cap", "usage"];
const USAGE: [&str; 10] = [
    "meter",
    "billing",
    "push",
    "free_quota",
    "prorate_quota",
    "shadow_price_id",
    "overage_price_id",
    "shadow_price_lookup_key",
    "overage_price_lookup_key",
    "price",
];

pub fn read(text: &str, file: &str) -> Result<Catalog, IngestError> {
    let tree =
        Node::from_toml(text).map_err(|problem| IngestError::Toml { file: file.to_owned(), problem })?;
    catalog(&tree).map_err(|fault| {
        let (line, column) = line_and_column(text, tree.place(&fault.path));
        IngestError::Catalog { file: file.to_owned(), line, column, fault }
    })
}

fn catalog(tree: &Node) -> Result<Catalog, CatalogFault> {
    let fields = Fields::of(tree, "", &["meter", "plan"])?;
    let mut catalog = Catalog::default();
    for (node, path) in fields.list("meter")? {
        catalog.add_meter(meter(node, &path)?, &path)?;
    }
    for (node, path) in fields.list("plan")? {
        let plan = plan(node, &path, &catalog)?;
        catalog.add_plan(plan, &path)?;
    }
    if catalog.meters.is_empty() && catalog.plans.is_empty() {
        return Err(CatalogFault::new("catalog", "has neither a [[meter]] nor a [[plan]]"));
    }
    Ok(catalog)
}

fn meter(node: &Node, path: &str) -> Result<Meter, CatalogFault> {
    let fields = Fields::of(node, path, &METER)?;
    let key = fields.required_identifier("key")?;
    let aggregations = Aggregation::ALL.map(|one| (one.as_str(), one));
    let aggregation = fields.choice("aggregation", &aggregations)?.ok_or_else(|| {
        fields.fault(
            "aggregation",
            "is missing: how records become one number: \"sum\", \"count\", \"max\" or \"last\"",
        )
    })?;
    let event_name = fields.identifier("event_name")?.unwrap_or_else(|| key.replace('.', "_"));
    let per_source = fields.choice("per", &[("source", true)])?.unwrap_or(false);
    Ok(Meter { key, aggregation, per_source, rule: rule(&fields)?, event_name })
}

fn rule(fields: &Fields<'_>) -> Result<Rule, CatalogFault> {
    let conditions = fields.list("billable")?.into_iter().map(|(node, path)| match &node.value {
        Value::Text(text) => Ok(text.clone()),
        other => Err(CatalogFault::new(path, format!("must be a condition in quotes, not {}", other.kind()))),
    });
    let conditions: Vec<String> = conditions.collect::<Result<_, _>>()?;
    Rule::parse(&conditions).map_err(|(index, problem)| fields.fault(&format!("billable[{index}]"), problem))
}

fn plan(node: &Node, path: &str, catalog: &Catalog) -> Result<Plan, CatalogFault> {
    let fields = Fields::of(node, path, &PLAN)?;
    let key = fields.required_identifier("key")?;
    let currency = Currency::parse(fields.required_text("currency")?)
        .map_err(|error| fields.fault("currency", error.to_string()))?;
    let intervals = [Interval::Month, Interval::Year].map(|one| (one.as_str(), one));
    let interval = fields.choice("interval", &intervals)?.unwrap_or(Interval::Month);
    let amount_minor = fields.integer("amount")?.unwrap_or(0);
    if amount_minor < 0 {
        return Err(fields.fault("amount", "must not be negative"));
    }
    let hard_cap = fields.boolean("hard_cap")?;
    let mut usage = BTreeMap::new();
    for (node, path) in fields.list("usage")? {
        let (meter, price) = usage_price(node, &path, hard_cap, catalog)?;
        if usage.contains_key(&meter) {
            let problem = format!("the meter `{meter}` stands twice");
            return Err(CatalogFault::new(format!("{path}.meter"), problem));
        }
        usage.insert(meter, price);
    }
    Ok(Plan { id: PlanId { key, interval, currency }, amount_minor, hard_cap, usage })
}

fn usage_price(
    node: &Node,
    path: &str,
    hard_cap: bool,
    catalog: &Catalog,
) -> Result<(String, UsagePrice), CatalogFault> {
    let fields = Fields::of(node, path, &USAGE)?;
    let meter = fields.required_text("meter")?;
    if !catalog.meters.contains_key(meter) {
        let hint = did_you_mean::hint(meter, catalog.meters.keys().map(String::as_str));
        let shown: String = meter.chars().take(64).collect();
        return Err(fields.fault("meter", format!("the meter `{shown}` is not in the catalog: {hint}")));
    }
    let billing = [("shadow", Billing::Shadow), ("live", Billing::Live)];
    let billing = fields.choice("billing", &billing)?.unwrap_or(Billing::Shadow);
    let push = [("all", PushScope::All), ("overage", PushScope::Overage)];
    let push = fields.choice("push", &push)?.unwrap_or(PushScope::All);
    let free_quota = fields.quantity("free_quota")?;
    let price = match fields.get("price") {
        Some(node) => price::read(&Fields::of(node, &fields.path("price"), &price::PRICING)?)?,
        // Nothing above the quota is billed, so there is nothing to price.
        None if hard_cap => Price::per_unit(UnitAmount::ZERO),
        None => {
            let problem = "is missing: say what a unit costs; \
                 0 is { billing_scheme = \"per_unit\", unit_amount = 0 }";
            return Err(fields.fault("price", problem));
        }
    };
    let mut usage = UsagePrice {
        shadow_price: price_ref(&fields, "shadow_price")?,
        overage_price: price_ref(&fields, "overage_price")?,
        ..UsagePrice::new(billing, push, free_quota, price, path)?
    };
    if fields.boolean("prorate_quota")? {
        usage = usage.with_prorated_quota(path)?;
    }
    if hard_cap {
        usage = usage.with_hard_cap(path)?;
    }
    Ok((meter.to_owned(), usage))
}

fn price_ref(fields: &Fields<'_>, name: &str) -> Result<Option<PriceRef>, CatalogFault> {
    let id = fields.identifier(&format!("{name}_id"))?;
    let lookup_key = fields.identifier(&format!("{name}_lookup_key"))?;
    match (id, lookup_key) {
        (Some(_), Some(_)) => {
            let problem = "name the price by its id or by its lookup key, not by both";
            Err(fields.fault(&format!("{name}_id"), problem))
        }
        (Some(id), None) => Ok(Some(PriceRef::Id(id))),
        (None, Some(key)) => Ok(Some(PriceRef::LookupKey(key))),
        (None, None) => Ok(None),
    }
}
