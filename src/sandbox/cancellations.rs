//! Cancellations: the end of one subscription by request, and of all that a deleted customer has.
//!
//! In: a subscription's id, or a customer's. Out: facts that let them end now. No prorations: what was paid in advance stays
//! paid.

use super::error::ApiError;
use super::records::{Fact, Status, Subscription};
use super::request::Params;
use super::routes::Reply;
use super::subscription_object::status_at;
use super::subscriptions::{living, recorded};
use super::world::World;

pub fn cancel(world: &mut World, id: &str, params: &Params) -> Result<Reply, ApiError> {
    params.only(&["invoice_now", "prorate", "cancellation_details"])?;
    let one = living(world, id)?;
    Ok(recorded(world, ended(one, world.now)))
}

/// Without a last invoice, as far as Stripe documents it.
pub fn cancel_all_of(world: &mut World, customer: &str) {
    let now = world.now;
    let living = world.subscriptions_of(customer).filter(|one| status_at(one, now) != Status::Canceled);
    let ends: Vec<Subscription> = living.cloned().collect();
    for one in ends {
        world.record(Fact::Subscription(Subscription { ends_unbilled: true, ..ended(one, now) }));
    }
}

fn ended(one: Subscription, now: i64) -> Subscription {
    Subscription { ends_at: Some(now), cancel_requested_at: Some(now), ..one }
}
