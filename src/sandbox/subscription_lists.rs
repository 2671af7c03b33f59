//! Subscriptions as they are asked for: one, or a list by customer, price, status and time.
//!
//! In: parameters. Out: subscriptions in Stripe's shape, newest first. Never changes one.

use super::error::ApiError;
use super::lists::{self, Instants};
use super::records::{Status, Subscription};
use super::request::Params;
use super::routes::Reply;
use super::subscription_object::{self as object, status_at};
use super::world::World;

pub fn retrieve(world: &World, id: &str, params: &Params) -> Result<Reply, ApiError> {
    params.only(&[])?;
    let one = world.subscriptions.get(id).ok_or_else(|| ApiError::not_found("subscription", id))?;
    Ok(Reply::new(object::subscription(world, one)))
}

pub fn list(world: &World, params: &Params) -> Result<Reply, ApiError> {
    let filters = [
        "customer",
        "price",
        "plan",
        "status",
        "created",
        "current_period_start",
        "current_period_end",
        "collection_method",
        "test_clock",
    ];
    params.only(&[&filters[..], &lists::PAGE].concat())?;
    let customer = params.text("customer")?;
    let price = params.text("price")?.or(params.text("plan")?);
    let words: Vec<&str> = Status::ALL.iter().map(|(_, word)| *word).chain(["all", "ended"]).collect();
    let status = params.choice("status", &words)?;
    let method = params.text("collection_method")?;
    let created = Instants::of(params, "created")?;
    let (starts, ends) =
        (Instants::of(params, "current_period_start")?, Instants::of(params, "current_period_end")?);
    let wanted = |one: &&Subscription| {
        let window = one.live_window_at(one.ends_at.map_or(world.now, |end| world.now.min(end - 1))).window;
        let has_price = |price: &str| object::live_items(one, world.now).any(|item| item.price == price);
        created.hold(one.created)
            && starts.hold(window.start)
            && ends.hold(window.end)
            && price.is_none_or(has_price)
            && method.is_none_or(|method| one.collection_method == method)
            && fits(status_at(one, world.now), status)
    };
    let mut subscriptions: Vec<&Subscription> = match customer {
        Some(customer) => world.subscriptions_of(customer).filter(wanted).collect(),
        None => world.subscriptions.newest_first().filter(wanted).collect(),
    };
    subscriptions.sort_by_key(|one| std::cmp::Reverse(one.created));
    let render = |one: &&Subscription| object::subscription(world, one);
    let id_of = |one: &&Subscription| one.id.clone();
    Ok(Reply::new(lists::page(
        world,
        params,
        "/v1/subscriptions",
        "subscription",
        &subscriptions,
        id_of,
        render,
    )?))
}

/// Without a filter, canceled subscriptions are not shown.
fn fits(status: Status, wanted: Option<&str>) -> bool {
    let is_over = matches!(status, Status::Canceled | Status::IncompleteExpired);
    match wanted {
        None => !is_over,
        Some("all") => true,
        Some("ended") => is_over,
        Some(word) => status.as_str() == word,
    }
}
