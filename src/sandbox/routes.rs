//! Which request goes where.
//!
//! In: method, path and parameters. Out: a reply, or an error for a path that the sandbox does not have. It answers
//! only Stripe's documented paths.

use serde_json::Value;

use super::error::ApiError;
use super::request::Params;
use super::world::World;
use super::{
    cancellations, customers, events, expand, extras, invoices, meters, objects, preview, prices, products,
    reports, subscription_lists, subscriptions, summaries, test_clocks,
};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    Get,
    Post,
    Delete,
}

impl Method {
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Get, Self::Post, Self::Delete].into_iter().find(|method| method.as_str() == name)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Delete => "DELETE",
        }
    }
}

pub struct Reply {
    pub body: Value,
}

impl Reply {
    pub fn new(body: Value) -> Self {
        Self { body }
    }
}

/// Does what a request asks for; what it changes waits in the account for the journal.
pub fn answer(world: &mut World, method: Method, path: &str, params: &Params) -> Result<Reply, ApiError> {
    let inner = path.strip_prefix("/v1/").unwrap_or_default().trim_end_matches('/');
    let parts: Vec<&str> = inner.split('/').collect();
    let paths = params.texts("expand")?;
    let mut reply = match method {
        Method::Get if path == reports::PATH => Some(reports::list(world, params)),
        Method::Get => read(world, &parts, params),
        Method::Post => write(world, &parts, params),
        Method::Delete => match parts.as_slice() {
            ["customers", id] => Some(customers::delete(world, id, params)),
            ["subscriptions", id] => Some(cancellations::cancel(world, id, params)),
            _ => None,
        },
    }
    .unwrap_or_else(|| Err(ApiError::unknown_path(method.as_str(), path)))?;
    match expand::expand(world, &mut reply.body, &paths) {
        // What has been done is not refused afterwards: the client would do it again.
        Err(error) if !world.has_pending() => Err(error),
        _ => Ok(reply),
    }
}

fn read(world: &mut World, parts: &[&str], params: &Params) -> Option<Result<Reply, ApiError>> {
    Some(match parts {
        ["account"] => params.only(&[]).map(|()| Reply::new(objects::account())),
        ["customers"] => customers::list(world, params),
        ["customers", id] => customers::retrieve(world, id, params),
        ["products"] => products::list(world, params),
        ["products", id] => products::retrieve(world, id, params),
        ["prices"] => prices::list(world, params),
        ["prices", id] => prices::retrieve(world, id, params),
        ["billing", "meters"] => meters::list(world, params),
        ["billing", "meters", id] => meters::retrieve(world, id, params),
        ["billing", "meters", id, "event_summaries"] => summaries::list(world, id, params),
        ["subscriptions"] => subscription_lists::list(world, params),
        ["subscriptions", id] => subscription_lists::retrieve(world, id, params),
        // Removed in 2025-03-31.basil.
        ["invoices", "upcoming", ..] => return None,
        ["invoices"] => invoices::list(world, params),
        ["invoices", id] => invoices::retrieve(world, id, params),
        ["invoices", id, "lines"] => invoices::lines(world, id, params),
        ["test_helpers", "test_clocks"] => test_clocks::list(world, params),
        ["test_helpers", "test_clocks", id] => test_clocks::retrieve(world, id, params),
        _ => return None,
    })
}

fn write(world: &mut World, parts: &[&str], params: &Params) -> Option<Result<Reply, ApiError>> {
    Some(match parts {
        ["customers"] => customers::create(world, params),
        ["customers", id, "balance_transactions"] => extras::balance_transaction(world, id, params),
        ["invoiceitems"] => extras::invoice_item(world, params),
        ["tax_rates"] => extras::tax_rate(world, params),
        ["coupons"] => extras::coupon(world, params),
        ["billing", "credit_grants"] => extras::credit_grant(world, params),
        ["products"] => products::create(world, params),
        ["prices"] => prices::create(world, params),
        ["billing", "meters"] => meters::create(world, params),
        ["billing", "meters", id, "deactivate"] => meters::switch(world, id, params, false),
        ["billing", "meters", id, "reactivate"] => meters::switch(world, id, params, true),
        ["billing", "meter_events"] => events::create(world, params),
        ["subscriptions"] => subscriptions::create(world, params),
        ["subscriptions", id] => subscriptions::update(world, id, params),
        ["invoices", "create_preview"] => preview::create(world, params),
        ["test_helpers", "test_clocks"] => test_clocks::create(world, params),
        ["test_helpers", "test_clocks", id, "advance"] => test_clocks::advance(world, id, params),
        _ => return None,
    })
}
