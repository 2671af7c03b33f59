//! Subscriptions: create and update; `subscription_lists` shows them.
//!
//! In: parameters. Out: a subscription with its items. No prorations: a change of items counts from now on, in classic
//! mode, so the usage of an item that is removed in mid-window is never billed. Takes no payment, so it is active at once.

use super::error::ApiError;
use super::ids;
use super::records::{Cycle, Fact, Item, Phase, Price, Status, Subscription};
use super::request::Params;
use super::routes::Reply;
use super::subscription_object::{self as object, status_at};
use super::terms::{Discount, Terms};
use super::world::World;

const KNOWN: [&str; 17] = [
    "customer",
    "items",
    "billing_cycle_anchor",
    "trial_end",
    "trial_period_days",
    "backdate_start_date",
    "cancel_at",
    "cancel_at_period_end",
    "currency",
    "description",
    "metadata",
    "collection_method",
    "days_until_due",
    "billing_mode",
    "proration_behavior",
    "default_tax_rates",
    "discounts",
];
/// Stripe's other parameters: accepted, without effect on what is billed here.
const WITHOUT_EFFECT: [&str; 9] = [
    "payment_behavior",
    "payment_settings",
    "off_session",
    "default_payment_method",
    "default_source",
    "invoice_settings",
    "trial_settings",
    "trial_from_plan",
    "automatic_tax",
];

pub fn create(world: &mut World, params: &Params) -> Result<Reply, ApiError> {
    params.only(&[&KNOWN[..], &WITHOUT_EFFECT].concat())?;
    let customer = params.required("customer")?;
    if world.living_customer(customer).is_none() {
        return Err(ApiError::missing("customer", customer, "customer"));
    }
    let now = world.now;
    let id = world.new_id("sub", &params.canonical());
    let start = params.instant("backdate_start_date")?.unwrap_or(now);
    if start > now {
        return Err(ApiError::about("backdate_start_date", "`backdate_start_date` must be in the past."));
    }
    let mut items = Vec::new();
    for given in params.hashes("items")? {
        let item = new_item(world, &id, &given, start, &items)?;
        items.push(item);
    }
    let (cycle, currency) = common_terms(world, &items)?;
    let trial_end = trial_end(params, now)?;
    let anchor = match params.instant("billing_cycle_anchor")? {
        Some(anchor) if anchor < start => {
            return Err(ApiError::about("billing_cycle_anchor", "`billing_cycle_anchor` lies in the past."));
        }
        anchor => anchor.or(trial_end).unwrap_or(start),
    };
    let mut subscription = Subscription {
        id,
        customer: customer.to_owned(),
        currency,
        created: now,
        start,
        trial_end,
        phases: vec![Phase { from: start, anchor, cycle }],
        windows: Vec::new(),
        items,
        terms: terms(world, params, Terms::default(), now - 1)?,
        status: Status::Active,
        past_statuses: Vec::new(),
        ends_at: None,
        cancel_requested_at: None,
        cancel_at_period_end: false,
        ends_unbilled: false,
        invoiced_from: now,
        flexible: is_flexible(params)?,
        collection_method: params
            .choice("collection_method", &["charge_automatically", "send_invoice"])?
            .unwrap_or("charge_automatically")
            .to_owned(),
        days_until_due: params.integer("days_until_due")?,
        description: params.owned("description")?,
        metadata: params.map("metadata")?,
    };
    end_as_asked(&mut subscription, params, now)?;
    Ok(recorded(world, subscription))
}

pub fn recorded(world: &mut World, subscription: Subscription) -> Reply {
    let id = subscription.id.clone();
    world.record(Fact::Subscription(subscription));
    let shown = world.subscriptions.get(&id).map(|one| object::subscription(world, one));
    Reply::new(shown.unwrap_or_default())
}

/// A new item from `price` and `quantity`.
fn new_item(
    world: &World,
    subscription: &str,
    given: &Params,
    added: i64,
    others: &[Item],
) -> Result<Item, ApiError> {
    given.only(&["price", "quantity", "metadata"])?;
    let id = given.required("price")?;
    let missing = || ApiError::missing("price", id, &given.full("price"));
    let price = world.prices.get(id).ok_or_else(missing)?;
    let Some(recurring) = &price.recurring else {
        let message = "The price specified is set to `type=one_time` but this field only accepts prices with \
                       `type=recurring`.";
        return Err(ApiError::about(given.full("price"), message));
    };
    if others.iter().any(|item| item.price == id && item.removed.is_none()) {
        let message = format!("Cannot add multiple subscription items with the same price: {id}");
        return Err(ApiError::about(given.full("price"), message));
    }
    let quantity = given.integer("quantity")?;
    let quantity = match (&recurring.meter, quantity) {
        (Some(_), Some(_)) => {
            let message = "You cannot set the quantity for metered prices.";
            return Err(ApiError::about(given.full("quantity"), message));
        }
        (Some(_), None) => None,
        (None, Some(quantity)) if quantity < 0 => {
            return Err(ApiError::about(given.full("quantity"), "Invalid non-negative integer"));
        }
        (None, quantity) => Some(quantity.unwrap_or(1)),
    };
    Ok(item(subscription, id, quantity, added, given.map("metadata")?))
}

/// The id says which price was added when.
pub fn item(
    subscription: &str,
    price: &str,
    quantity: Option<i64>,
    added: i64,
    metadata: super::records::Metadata,
) -> Item {
    let id = ids::derived("si", &format!("{subscription} {price} {added}"));
    Item { id, price: price.to_owned(), quantity, added, removed: None, metadata }
}

/// All items of a subscription are billed in one cycle and one currency.
fn common_terms(world: &World, items: &[Item]) -> Result<(Cycle, String), ApiError> {
    let live = items.iter().filter(|item| item.removed.is_none());
    let prices: Vec<&Price> = live.filter_map(|item| world.prices.get(&item.price)).collect();
    let Some(first) = prices.first() else { return Err(ApiError::missing_parameter("items")) };
    let cycle = |price: &Price| price.recurring.as_ref().map(|recurring| recurring.cycle);
    if prices.iter().any(|price| price.currency != first.currency) {
        return Err(ApiError::about("items", "All prices on a subscription must have the same `currency`."));
    }
    if prices.iter().any(|price| cycle(price) != cycle(first)) {
        let message = "The sandbox bills all prices of a subscription in one `recurring.interval`.";
        return Err(ApiError::about("items", message));
    }
    let cycle = cycle(first).ok_or_else(|| ApiError::missing_parameter("items"))?;
    Ok((cycle, first.currency.clone()))
}

/// The same, of a subscription that is there already.
pub fn check_terms(world: &World, one: &Subscription) -> Result<Cycle, ApiError> {
    let (cycle, currency) = common_terms(world, &one.items)?;
    if currency != one.currency {
        return Err(ApiError::about("items", format!("The subscription is billed in {}.", one.currency)));
    }
    Ok(cycle)
}

fn trial_end(params: &Params, now: i64) -> Result<Option<i64>, ApiError> {
    let days = params.integer("trial_period_days")?.filter(|days| (1..=730).contains(days));
    let end = match params.text("trial_end")? {
        Some("now") => None,
        _ => params.instant("trial_end")?.or(days.map(|days| now + days * 86_400)),
    };
    match end {
        Some(end) if end <= now => Err(ApiError::about(
            "trial_end",
            "Invalid timestamp: must be an integer Unix timestamp in the future",
        )),
        end => Ok(end),
    }
}

fn is_flexible(params: &Params) -> Result<bool, ApiError> {
    let mode = params.below("billing_mode")?;
    mode.only(&["type", "flexible"])?;
    Ok(mode.choice("type", &["classic", "flexible"])? == Some("flexible"))
}

/// `cancel_at_period_end` and `cancel_at`.
fn end_as_asked(one: &mut Subscription, params: &Params, now: i64) -> Result<(), ApiError> {
    match params.boolean("cancel_at_period_end")? {
        Some(true) => {
            one.ends_at = Some(one.window_at(now).end);
            one.cancel_at_period_end = true;
            one.cancel_requested_at = Some(now);
        }
        Some(false) if one.cancel_at_period_end => {
            one.ends_at = None;
            one.cancel_at_period_end = false;
            one.cancel_requested_at = None;
        }
        _ => {}
    }
    match params.instant("cancel_at")? {
        Some(end) if end <= now => Err(ApiError::about("cancel_at", "`cancel_at` must be in the future.")),
        Some(end) => {
            one.ends_at = Some(end);
            one.cancel_requested_at = Some(now);
            Ok(())
        }
        None => Ok(()),
    }
}

pub fn update(world: &mut World, id: &str, params: &Params) -> Result<Reply, ApiError> {
    params.only(&[&KNOWN[1..], &WITHOUT_EFFECT].concat())?;
    let now = world.now;
    let mut one = living(world, id)?;
    if params.text("billing_cycle_anchor")?.is_some_and(|anchor| anchor != "unchanged") {
        let message = "The sandbox only knows `billing_cycle_anchor=unchanged` here.";
        return Err(ApiError::about("billing_cycle_anchor", message));
    }
    for given in params.hashes("items")? {
        change_item(world, &mut one, &given, now)?;
    }
    let cycle = check_terms(world, &one)?;
    if one.phases.last().is_some_and(|phase| phase.cycle != cycle) {
        // As at Stripe, another interval begins a new cycle at once.
        one.phases.push(Phase { from: now, anchor: now, cycle });
    }
    if params.has("trial_end") {
        change_trial(&mut one, trial_end(params, now)?, now);
    }
    if params.has("metadata") {
        one.metadata.extend(params.map("metadata")?);
    }
    if params.has("description") {
        one.description = params.owned("description")?;
    }
    one.terms = terms(world, params, one.terms, now)?;
    end_as_asked(&mut one, params, now)?;
    Ok(recorded(world, one))
}

/// Tax rates and coupons as they are to be; what is not named stays.
fn terms(world: &World, params: &Params, old: Terms, start: i64) -> Result<Terms, ApiError> {
    let mut terms = old;
    if params.has("default_tax_rates") {
        terms.tax_rates = params.texts("default_tax_rates")?;
    }
    if let Some(id) = terms.tax_rates.iter().find(|id| !world.extras.tax_rates.contains_key(*id)) {
        return Err(ApiError::missing("tax rate", id, "default_tax_rates"));
    }
    if params.has("discounts") {
        terms.discounts.clear();
        for given in params.hashes("discounts")? {
            given.only(&["coupon"])?;
            let coupon = given.required("coupon")?;
            if !world.extras.coupons.contains_key(coupon) {
                return Err(ApiError::missing("coupon", coupon, &given.full("coupon")));
            }
            let id = ids::derived("di", &format!("{coupon} {} {}", world.now, params.canonical()));
            terms.discounts.push(Discount { id, coupon: coupon.to_owned(), start });
        }
    }
    Ok(terms)
}

/// The subscription, as long as it has not ended.
pub fn living(world: &World, id: &str) -> Result<Subscription, ApiError> {
    let one = world.subscriptions.get(id).ok_or_else(|| ApiError::not_found("subscription", id))?;
    if status_at(one, world.now) == Status::Canceled {
        let message = format!("No such subscription: '{id}' (it was canceled and cannot be changed)");
        return Err(ApiError::parameter("resource_missing", "id", message));
    }
    Ok(one.clone())
}

/// A trial that has not ended may end at another time, and the windows after it with it.
pub fn change_trial(one: &mut Subscription, end: Option<i64>, now: i64) {
    if one.trial_end.is_some_and(|old| old <= now) || one.trial_end == end {
        return;
    }
    let anchor = end.unwrap_or(now);
    let was_in_trial = one.trial_end.is_some();
    // A trial that is cut short ends now.
    one.trial_end = if was_in_trial { Some(anchor) } else { end };
    if let Some(phase) = one.phases.last_mut() {
        phase.anchor = anchor;
    }
}

/// What a change of items comes to; the rest of an update's rules are [`check_terms`].
pub fn change_item(world: &World, one: &mut Subscription, given: &Params, now: i64) -> Result<(), ApiError> {
    let Some(id) = given.text("id")? else {
        let item = new_item(world, &one.id, given, now, &one.items)?;
        one.items.push(item);
        return Ok(());
    };
    given.only(&["id", "price", "quantity", "deleted", "metadata", "clear_usage"])?;
    let place = one.items.iter().position(|item| item.id == id && item.removed.is_none());
    let missing = || ApiError::missing("subscription item", id, &given.full("id"));
    let place = place.ok_or_else(missing)?;
    if given.boolean("deleted")? == Some(true) {
        one.items[place].removed = Some(now);
        return Ok(());
    }
    let quantity = given.integer("quantity")?;
    let price = given.owned("price")?.filter(|price| *price != one.items[place].price);
    if price.is_none() && quantity.is_none() {
        return Ok(());
    }
    let old = one.items[place].clone();
    let price = price.unwrap_or(old.price);
    if world.prices.get(&price).is_none() {
        return Err(ApiError::missing("price", &price, &given.full("price")));
    }
    // What was billed before stays as it was: the item is followed by another with its id.
    one.items[place].removed = Some(now);
    let metered =
        world.prices.get(&price).and_then(|price| price.recurring.as_ref()?.meter.as_ref()).is_some();
    let quantity = if metered { None } else { quantity.or(old.quantity).or(Some(1)) };
    one.items.push(Item { price, quantity, added: now, removed: None, ..old });
    Ok(())
}
