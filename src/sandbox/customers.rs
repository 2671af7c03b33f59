//! Customers: create, retrieve, list, delete.
//!
//! In: parameters. Out: a customer. Charges nobody: addresses, taxes and payment methods are taken and forgotten.

use super::cancellations;
use super::error::ApiError;
use super::lists::{self, Instants};
use super::objects;
use super::records::{Customer, Fact};
use super::request::Params;
use super::routes::Reply;
use super::world::World;

/// Stripe's other parameters: accepted, without effect on what is billed here.
const WITHOUT_EFFECT: [&str; 14] = [
    "address",
    "business_name",
    "individual_name",
    "invoice_prefix",
    "invoice_settings",
    "next_invoice_sequence",
    "payment_method",
    "preferred_locales",
    "shipping",
    "source",
    "tax",
    "tax_exempt",
    "tax_id_data",
    "cash_balance",
];

pub fn create(world: &mut World, params: &Params) -> Result<Reply, ApiError> {
    let known = ["name", "email", "description", "phone", "metadata", "test_clock"];
    params.only(&[&known[..], &WITHOUT_EFFECT].concat())?;
    let test_clock = params.owned("test_clock")?;
    if let Some(id) = test_clock.as_deref().filter(|id| world.clocks.get(id).is_none()) {
        return Err(ApiError::missing("test clock", id, "test_clock"));
    }
    let customer = Customer {
        id: world.new_id("cus", &params.canonical()),
        created: world.now,
        name: params.owned("name")?,
        email: params.owned("email")?,
        description: params.owned("description")?,
        phone: params.owned("phone")?,
        test_clock,
        metadata: params.map("metadata")?,
        deleted: false,
    };
    let shown = objects::customer(&customer);
    world.record(Fact::Customer(customer));
    Ok(Reply::new(shown))
}

pub fn retrieve(world: &World, id: &str, params: &Params) -> Result<Reply, ApiError> {
    params.only(&[])?;
    let customer = world.customers.get(id).ok_or_else(|| ApiError::not_found("customer", id))?;
    Ok(Reply::new(objects::customer(customer)))
}

/// Its subscriptions end at once, and what is reported for it is accepted and dropped.
pub fn delete(world: &mut World, id: &str, params: &Params) -> Result<Reply, ApiError> {
    params.only(&[])?;
    let customer = world.living_customer(id).ok_or_else(|| ApiError::not_found("customer", id))?;
    let customer = Customer { deleted: true, ..customer.clone() };
    cancellations::cancel_all_of(world, id);
    let shown = objects::customer(&customer);
    world.record(Fact::Customer(customer));
    Ok(Reply::new(shown))
}

pub fn list(world: &World, params: &Params) -> Result<Reply, ApiError> {
    params.only(&[&["email", "created", "test_clock"][..], &lists::PAGE].concat())?;
    let (email, created) = (params.text("email")?, Instants::of(params, "created")?);
    let clock = params.text("test_clock")?;
    let customers: Vec<&Customer> = world
        .customers
        .newest_first()
        .filter(|one| !one.deleted)
        .filter(|one| email.is_none_or(|email| one.email.as_deref() == Some(email)))
        .filter(|one| clock.is_none_or(|clock| one.test_clock.as_deref() == Some(clock)))
        .filter(|one| created.hold(one.created))
        .collect();
    let render = |one: &&Customer| objects::customer(one);
    let page =
        lists::page(world, params, "/v1/customers", "customer", &customers, |one| one.id.clone(), render)?;
    Ok(Reply::new(page))
}
