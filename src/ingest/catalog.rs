//! The catalog from TOML.
//!
//! In: text in the shape of DESIGN §6, prices as in Stripe's Price object. Out: a checked [`Catalog`], or the place and
//! the fault. Never accepts a key that it does not know: a misspelt price must not be a free one.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::domain::catalog::{
    Aggregation, Billing, Catalog, CatalogFault, Meter, Plan, PlanId, PriceRef, PushScope, UsagePrice,
};
use crate::domain::money::Currency;
use crate::domain::number::{NumberError, Quantity, UnitAmount};
use crate::domain::period::Interval;
use crate::domain::price::{Price, PriceFault, Tier, TiersMode};
use crate::domain::rule::Rule;
use crate::ingest::IngestError;

pub fn read(text: &str, file: &str) -> Result<Catalog, IngestError> {
    let raw: RawCatalog = toml::from_str(text).map_err(|error| IngestError::Toml {
        file: file.to_owned(),
        problem: error.to_string().trim_end().to_owned(),
    })?;
    raw.check().map_err(|fault| IngestError::Catalog { file: file.to_owned(), fault })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCatalog {
    #[serde(default)]
    meter: Vec<RawMeter>,
    #[serde(default)]
    plan: Vec<RawPlan>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawMeter {
    key: String,
    aggregation: RawAggregation,
    event_name: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawAggregation {
    Sum,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPlan {
    key: String,
    currency: String,
    #[serde(default = "monthly")]
    interval: String,
    #[serde(default)]
    amount: i64,
    #[serde(default)]
    usage: Vec<RawUsage>,
}

fn monthly() -> String {
    "month".to_owned()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawUsage {
    meter: String,
    #[serde(default)]
    billing: RawBilling,
    #[serde(default)]
    push: RawPush,
    free_quota: Option<RawDecimal>,
    shadow_price_id: Option<String>,
    overage_price_id: Option<String>,
    shadow_price_lookup_key: Option<String>,
    overage_price_lookup_key: Option<String>,
    price: RawPrice,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawBilling {
    #[default]
    Shadow,
    Live,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum RawPush {
    #[default]
    All,
    Overage,
}

/// Stripe's Price object as far as it can be rated here.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawPrice {
    billing_scheme: RawScheme,
    tiers_mode: Option<RawTiersMode>,
    unit_amount: Option<i64>,
    unit_amount_decimal: Option<String>,
    tiers: Option<Vec<RawTier>>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum RawScheme {
    PerUnit,
    Tiered,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
enum RawTiersMode {
    Graduated,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawTier {
    up_to: RawDecimal,
    unit_amount: Option<i64>,
    unit_amount_decimal: Option<String>,
}

/// An integer, or text: TOML's own decimals are binary floats and are not taken.
#[derive(Deserialize)]
#[serde(untagged, expecting = "an integer, or a decimal number in quotes")]
enum RawDecimal {
    Integer(i64),
    Text(String),
}

impl RawDecimal {
    fn text(&self) -> String {
        match self {
            Self::Integer(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

impl RawCatalog {
    fn check(&self) -> Result<Catalog, CatalogFault> {
        let mut catalog = Catalog::default();
        for (index, meter) in self.meter.iter().enumerate() {
            let RawAggregation::Sum = meter.aggregation;
            let path = format!("meter[{index}]");
            let key = identifier(&meter.key, &format!("{path}.key"))?;
            let event_name = meter.event_name.clone().unwrap_or_else(|| key.replace('.', "_"));
            let meter = Meter {
                key,
                aggregation: Aggregation::Sum,
                per_source: false,
                rule: Rule::default(),
                event_name,
            };
            catalog.add_meter(meter, &path)?;
        }
        for (index, plan) in self.plan.iter().enumerate() {
            let path = format!("plan[{index}]");
            catalog.add_plan(plan.check(&path)?, &path)?;
        }
        if catalog.meters.is_empty() && catalog.plans.is_empty() {
            return Err(CatalogFault::new("catalog", "has neither a [[meter]] nor a [[plan]]"));
        }
        Ok(catalog)
    }
}

impl RawPlan {
    fn check(&self, path: &str) -> Result<Plan, CatalogFault> {
        let currency = Currency::parse(&self.currency)
            .map_err(|error| CatalogFault::new(format!("{path}.currency"), error.to_string()))?;
        let interval = Interval::parse(&self.interval)
            .ok_or_else(|| CatalogFault::new(format!("{path}.interval"), "must be \"month\" or \"year\""))?;
        if self.amount < 0 {
            return Err(CatalogFault::new(format!("{path}.amount"), "must not be negative"));
        }
        let mut usage = BTreeMap::new();
        for (index, one) in self.usage.iter().enumerate() {
            let path = format!("{path}.usage[{index}]");
            if usage.insert(one.meter.clone(), one.check(&path)?).is_some() {
                return Err(CatalogFault::new(
                    format!("{path}.meter"),
                    format!("the meter `{}` stands twice", one.meter),
                ));
            }
        }
        let id = PlanId { key: identifier(&self.key, &format!("{path}.key"))?, interval, currency };
        Ok(Plan { id, amount_minor: self.amount, hard_cap: false, usage })
    }
}

impl RawUsage {
    fn check(&self, path: &str) -> Result<UsagePrice, CatalogFault> {
        let billing = match self.billing {
            RawBilling::Shadow => Billing::Shadow,
            RawBilling::Live => Billing::Live,
        };
        let push = match self.push {
            RawPush::All => PushScope::All,
            RawPush::Overage => PushScope::Overage,
        };
        let quota =
            self.free_quota.as_ref().map(|quota| quantity(&quota.text(), &format!("{path}.free_quota")));
        let price = self.price.check(&format!("{path}.price"))?;
        let price_of = |id: &Option<String>, lookup_key: &Option<String>, name| {
            price_ref(id.as_deref(), lookup_key.as_deref(), &format!("{path}.{name}"))
        };
        Ok(UsagePrice {
            shadow_price: price_of(&self.shadow_price_id, &self.shadow_price_lookup_key, "shadow_price_id")?,
            overage_price: price_of(
                &self.overage_price_id,
                &self.overage_price_lookup_key,
                "overage_price_id",
            )?,
            ..UsagePrice::new(billing, push, quota.transpose()?, price, path)?
        })
    }
}

fn price_ref(
    id: Option<&str>,
    lookup_key: Option<&str>,
    path: &str,
) -> Result<Option<PriceRef>, CatalogFault> {
    match (id, lookup_key) {
        (Some(_), Some(_)) => {
            Err(CatalogFault::new(path, "name the price by its id or by its lookup key, not by both"))
        }
        (Some(id), None) => Ok(Some(PriceRef::Id(identifier(id, path)?))),
        (None, Some(key)) => Ok(Some(PriceRef::LookupKey(identifier(key, path)?))),
        (None, None) => Ok(None),
    }
}

impl RawPrice {
    fn check(&self, path: &str) -> Result<Price, CatalogFault> {
        match (self.billing_scheme, &self.tiers) {
            (RawScheme::PerUnit, None) if self.tiers_mode.is_none() => {
                unit_amount(self.unit_amount, self.unit_amount_decimal.as_deref(), path).map(Price::per_unit)
            }
            (RawScheme::PerUnit, _) => {
                Err(CatalogFault::new(path, "a per_unit price has no tiers and no tiers_mode"))
            }
            (RawScheme::Tiered, None) => {
                Err(CatalogFault::new(format!("{path}.tiers"), "a tiered price needs tiers"))
            }
            (RawScheme::Tiered, Some(tiers)) => {
                if self.unit_amount.is_some() || self.unit_amount_decimal.is_some() {
                    return Err(CatalogFault::new(
                        path,
                        "a tiered price has its unit amounts in its tiers only",
                    ));
                }
                if self.tiers_mode.is_none() {
                    return Err(CatalogFault::new(format!("{path}.tiers_mode"), "must be \"graduated\""));
                }
                let tiers: Result<Vec<Tier>, _> = (0..)
                    .zip(tiers)
                    .map(|(index, tier): (usize, _)| tier.check(&format!("{path}.tiers[{index}]")))
                    .collect();
                let in_price =
                    |fault: PriceFault| CatalogFault::new(format!("{path}.{}", fault.path), fault.problem);
                Price::tiered(TiersMode::Graduated, tiers?).map_err(in_price)
            }
        }
    }
}

impl RawTier {
    fn check(&self, path: &str) -> Result<Tier, CatalogFault> {
        let up_to = match self.up_to.text().as_str() {
            "inf" => None,
            text => Some(quantity(text, &format!("{path}.up_to"))?),
        };
        let unit_amount = unit_amount(self.unit_amount, self.unit_amount_decimal.as_deref(), path)?;
        Ok(Tier::new(up_to, unit_amount))
    }
}

fn quantity(text: &str, path: &str) -> Result<Quantity, CatalogFault> {
    let quantity = Quantity::parse(text).map_err(|error| number_fault(path, text, &error))?;
    if quantity.is_negative() { Err(CatalogFault::new(path, "must not be negative")) } else { Ok(quantity) }
}

fn unit_amount(whole: Option<i64>, decimal: Option<&str>, path: &str) -> Result<UnitAmount, CatalogFault> {
    let (text, path) = match (whole, decimal) {
        (Some(whole), None) => (whole.to_string(), format!("{path}.unit_amount")),
        (None, Some(decimal)) => (decimal.to_owned(), format!("{path}.unit_amount_decimal")),
        _ => return Err(CatalogFault::new(path, "needs either unit_amount or unit_amount_decimal")),
    };
    let amount = UnitAmount::parse(&text).map_err(|error| number_fault(&path, &text, &error))?;
    if amount.is_negative() { Err(CatalogFault::new(path, "must not be negative")) } else { Ok(amount) }
}

fn number_fault(path: &str, text: &str, error: &NumberError) -> CatalogFault {
    let text: String = text.chars().take(64).collect();
    CatalogFault::new(path, format!("`{text}` {error}"))
}

fn identifier(text: &str, path: &str) -> Result<String, CatalogFault> {
    if text.is_empty() || text.len() > 255 || text.chars().any(char::is_control) {
        return Err(CatalogFault::new(path, "must have 1 to 255 bytes and no control characters"));
    }
    Ok(text.to_owned())
}
