//! Endpoints, as Stripe counts requests: a method, and a path without the ids in it.
//!
//! In: method and path of a request. Out: a name that all requests share which have one limit. A part that is no word of
//! ours counts as an id, so that what is new is never let out faster than Stripe allows.

use hyper::Method;

/// The parts of our paths that are no ids.
const WORDS: [&str; 16] = [
    "account",
    "billing",
    "create_preview",
    "credit_grants",
    "customers",
    "event_summaries",
    "invoiceitems",
    "invoices",
    "lines",
    "meter_event_adjustments",
    "meter_events",
    "meters",
    "prices",
    "products",
    "subscription_items",
    "subscriptions",
];
const METER_EVENTS: &str = "/billing/meter_events";

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Endpoint(String);

impl Endpoint {
    /// `path` begins behind `/v1`.
    pub(super) fn of(method: &Method, path: &str) -> Self {
        let parts = path.split('/').skip(1);
        let parts =
            parts.map(|part| if WORDS.contains(&part) { format!("/{part}") } else { "/*".to_owned() });
        Self(format!("{method} {}", parts.collect::<String>()))
    }

    /// Meter events have a limit of their own.
    pub(super) fn takes_meter_events(&self) -> bool {
        self.0.strip_prefix("POST ") == Some(METER_EVENTS)
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_differ_in_an_id_only_share_their_endpoint() {
        for (method, path, expected) in [
            (Method::GET, "/account", "GET /account"),
            (Method::GET, "/prices", "GET /prices"),
            (Method::GET, "/prices/price_1", "GET /prices/*"),
            (Method::GET, "/prices/gold", "GET /prices/*"),
            (Method::GET, "/prices/gold%20plan%2F%2E%2E", "GET /prices/*"),
            (Method::GET, "/billing/meters/mtr_1/event_summaries", "GET /billing/meters/*/event_summaries"),
            (Method::GET, "/invoices/upcoming_in_1/lines", "GET /invoices/*/lines"),
            (Method::POST, "/invoices/create_preview", "POST /invoices/create_preview"),
            (Method::POST, "/billing/meter_events", "POST /billing/meter_events"),
        ] {
            let endpoint = Endpoint::of(&method, path);
            assert_eq!(endpoint.to_string(), expected);
            assert_eq!(endpoint.takes_meter_events(), path == METER_EVENTS);
        }
    }
}
