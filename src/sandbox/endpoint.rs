//! Endpoints: one word for each that the sandbox has, and whom a request is about.
//!
//! In: a path and parameters. Out: the word by which manners name it, and the customer whose request it is. Never decides
//! what is answered.

use serde::Deserialize;

use super::invoices;
use super::preview;
use super::request::Params;
use super::routes::Method;
use super::world::World;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Endpoint {
    Account,
    Customers,
    Products,
    Prices,
    Meters,
    MeterEvents,
    EventSummaries,
    Subscriptions,
    Previews,
    Invoices,
    InvoiceLines,
    Events,
    TestClocks,
    InvoiceItems,
    TaxRates,
    Coupons,
    CreditGrants,
}

impl Endpoint {
    /// The word in a manners file, and what Stripe calls it where it speaks of a key's permissions.
    const WORDS: [(Self, &str, &str); 17] = [
        (Self::Account, "account", "accounts_kyc_basic"),
        (Self::Customers, "customers", "customer"),
        (Self::Products, "products", "product"),
        (Self::Prices, "prices", "plan"),
        (Self::Meters, "meters", "billing_meter"),
        (Self::MeterEvents, "meter_events", "billing_meter_event"),
        (Self::EventSummaries, "event_summaries", "billing_meter_event_summary"),
        (Self::Subscriptions, "subscriptions", "subscription"),
        (Self::Previews, "previews", "invoice"),
        (Self::Invoices, "invoices", "invoice"),
        (Self::InvoiceLines, "invoice_lines", "invoice"),
        (Self::Events, "events", "event"),
        (Self::TestClocks, "test_clocks", "billing_clock"),
        (Self::InvoiceItems, "invoice_items", "invoice"),
        (Self::TaxRates, "tax_rates", "tax_rate"),
        (Self::Coupons, "coupons", "coupon"),
        (Self::CreditGrants, "credit_grants", "billing_credit_grant"),
    ];

    pub fn all() -> impl Iterator<Item = Self> {
        Self::WORDS.into_iter().map(|(endpoint, ..)| endpoint)
    }

    pub fn parse(word: &str) -> Option<Self> {
        Self::WORDS.iter().find(|(_, one, _)| *one == word).map(|(endpoint, ..)| *endpoint)
    }

    /// Such as `rak_invoice_read`.
    pub fn permission(self, method: Method) -> String {
        let name = Self::WORDS.iter().find(|(endpoint, ..)| *endpoint == self).map_or("", |(.., name)| name);
        format!("rak_{name}_{}", if method == Method::Get { "read" } else { "write" })
    }

    /// `None` for a path that the sandbox does not have.
    pub fn of(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        Some(match parts.as_slice() {
            ["v1", "account"] => Self::Account,
            ["v1", "customers", ..] => Self::Customers,
            ["v1", "products", ..] => Self::Products,
            ["v1", "prices", ..] => Self::Prices,
            ["v1", "billing", "meters", _, "event_summaries"] => Self::EventSummaries,
            ["v1", "billing", "meters", ..] => Self::Meters,
            ["v1", "billing", "meter_events"] => Self::MeterEvents,
            ["v1", "subscriptions", ..] => Self::Subscriptions,
            ["v1", "invoices", "create_preview"] => Self::Previews,
            ["v1", "invoices", _, "lines"] => Self::InvoiceLines,
            ["v1", "invoices", ..] => Self::Invoices,
            ["v1", "test_helpers", "test_clocks", ..] => Self::TestClocks,
            ["v1", "invoiceitems"] => Self::InvoiceItems,
            ["v1", "tax_rates"] => Self::TaxRates,
            ["v1", "coupons"] => Self::Coupons,
            ["v1", "billing", "credit_grants"] => Self::CreditGrants,
            ["v2", "core", "events", ..] => Self::Events,
            _ => return None,
        })
    }
}

/// The customer that a request is about; empty where it is about none, or about many.
pub fn customer_of(world: &World, path: &str, params: &Params) -> String {
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let of_subscription = |id: &str| world.subscriptions.get(id).map(|one| one.customer.clone());
    let by_path = match parts.as_slice() {
        ["v1", "customers", id, ..] => Some((*id).to_owned()),
        ["v1", "subscriptions", id] => of_subscription(id),
        ["v1", "invoices", id, ..] => invoices::subscription_of(world, id)
            .or_else(|| preview::subscription_of(world, id))
            .map(|one| one.customer.clone()),
        _ => None,
    };
    let named = |params: &Params, name: &str| params.owned(name).ok().flatten();
    let in_payload = || {
        let meter = world.meter_of_event(params.text("event_name").ok()??)?;
        named(&params.below("payload").ok()?, &meter.customer_key)
    };
    by_path
        .or_else(|| named(params, "customer"))
        .or_else(|| of_subscription(params.text("subscription").ok()??))
        .or_else(in_payload)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_is_read_and_each_path_has_one() {
        for (endpoint, word, _) in Endpoint::WORDS {
            assert_eq!(Endpoint::parse(word), Some(endpoint));
        }
        assert_eq!(Endpoint::all().count(), Endpoint::WORDS.len());
        let paths = [
            ("/v1/billing/meters/mtr_1/event_summaries", Some(Endpoint::EventSummaries)),
            ("/v1/billing/meters/mtr_1/deactivate", Some(Endpoint::Meters)),
            ("/v1/invoices/create_preview", Some(Endpoint::Previews)),
            ("/v1/invoices/in_1/lines/", Some(Endpoint::InvoiceLines)),
            ("/v1/invoices", Some(Endpoint::Invoices)),
            ("/v1/accounts", None),
            ("/", None),
        ];
        for (path, endpoint) in paths {
            assert_eq!(Endpoint::of(path), endpoint, "{path}");
        }
    }
}
