//! Invoice items, tax rates, coupons, balance transactions, credit grants: create.
//!
//! In: parameters. Out: the object. Each is made once and never changed or removed; what it comes to is on the next
//! invoices. Only amounts: an invoice item with a price, and a grant for certain prices, are refused.

use serde_json::{Value, json};

use super::decimal;
use super::error::ApiError;
use super::records::{Fact, Window};
use super::request::Params;
use super::routes::Reply;
use super::terms::{BalanceTransaction, Coupon, CreditGrant, Extra, InvoiceItem, TaxRate};
use super::world::World;

fn new_id(world: &World, prefix: &str, params: &Params) -> String {
    world.new_id(prefix, &format!("{} {}", world.extras.count, params.canonical()))
}

fn recorded(world: &mut World, extra: Extra, shown: Value) -> Reply {
    world.record(Fact::Extra(extra));
    Reply::new(shown)
}

fn customer(world: &World, id: &str) -> Result<String, ApiError> {
    let found = world.living_customer(id).map(|one| one.id.clone());
    found.ok_or_else(|| ApiError::missing("customer", id, "customer"))
}

fn currency(params: &Params) -> Result<String, ApiError> {
    let currency = params.required("currency")?.to_lowercase();
    let is_code = currency.len() == 3 && currency.bytes().all(|byte| byte.is_ascii_lowercase());
    if is_code {
        Ok(currency)
    } else {
        Err(ApiError::about(params.full("currency"), format!("Invalid currency: {currency}")))
    }
}

fn amount(params: &Params, name: &str) -> Result<i64, ApiError> {
    params.required(name)?;
    params.integer(name)?.ok_or_else(|| ApiError::missing_parameter(params.full(name)))
}

/// A share of 100, such as `18.5`.
fn percentage(params: &Params, name: &str) -> Result<Option<String>, ApiError> {
    let hundred = decimal::stored("100");
    let Some(given) = params.decimal(name)? else { return Ok(None) };
    if given < decimal::stored("0") || given > hundred {
        return Err(ApiError::about(params.full(name), format!("Invalid {name}: must be from 0 to 100")));
    }
    Ok(Some(decimal::text(&given)))
}

pub fn invoice_item(world: &mut World, params: &Params) -> Result<Reply, ApiError> {
    let known = ["customer", "subscription", "amount", "currency", "description", "discountable", "metadata"];
    params.only(&[&known[..], &["period"]].concat())?;
    let customer = customer(world, params.required("customer")?)?;
    let subscription = params.owned("subscription")?;
    if let Some(id) = &subscription
        && world.subscriptions.get(id).is_none_or(|one| one.customer != customer)
    {
        return Err(ApiError::missing("subscription", id, "subscription"));
    }
    let given = params.below("period")?;
    given.only(&["start", "end"])?;
    let period = Window {
        start: given.instant("start")?.unwrap_or(world.now),
        end: given.instant("end")?.unwrap_or(world.now),
    };
    let item = InvoiceItem {
        id: new_id(world, "ii", params),
        customer,
        subscription,
        created: world.now,
        amount: amount(params, "amount")?,
        currency: currency(params)?,
        description: params.owned("description")?,
        period,
        discountable: params.boolean("discountable")?.unwrap_or(true),
        metadata: params.map("metadata")?,
    };
    let shown = json!({
        "id": item.id, "object": "invoiceitem", "amount": item.amount, "currency": item.currency,
        "customer": item.customer, "customer_account": null, "date": item.created, "description": item.description,
        "discountable": item.discountable, "discounts": [], "invoice": null, "livemode": false,
        "metadata": item.metadata, "net_amount": item.amount, "parent": null,
        "period": {"end": item.period.end, "start": item.period.start}, "pricing": null, "proration": false,
        "quantity": 1, "quantity_decimal": "1", "tax_rates": [], "test_clock": null,
    });
    Ok(recorded(world, Extra::InvoiceItem(item), shown))
}

pub fn tax_rate(world: &mut World, params: &Params) -> Result<Reply, ApiError> {
    params.only(&["display_name", "percentage", "inclusive"])?;
    params.required("percentage")?;
    params.required("inclusive")?;
    let rate = TaxRate {
        id: new_id(world, "txr", params),
        created: world.now,
        display_name: params.required("display_name")?.to_owned(),
        percentage: percentage(params, "percentage")?.unwrap_or_default(),
        inclusive: params.boolean("inclusive")?.unwrap_or(false),
    };
    let shown = shown_tax_rate(&rate);
    Ok(recorded(world, Extra::TaxRate(rate), shown))
}

pub fn shown_tax_rate(rate: &TaxRate) -> Value {
    json!({
        "id": rate.id, "object": "tax_rate", "active": true, "country": null, "created": rate.created,
        "description": null, "display_name": rate.display_name, "effective_percentage": null,
        "flat_amount": null, "inclusive": rate.inclusive, "jurisdiction": null, "jurisdiction_level": null,
        "livemode": false, "metadata": {}, "percentage": decimal::json(&decimal::stored(&rate.percentage)),
        "rate_type": null, "state": null, "tax_type": null,
    })
}

pub fn coupon(world: &mut World, params: &Params) -> Result<Reply, ApiError> {
    params.only(&["id", "name", "percent_off", "amount_off", "currency", "duration"])?;
    // As at Stripe it holds once unless something else is said.
    let once = params.choice("duration", &["once", "forever"])?.unwrap_or("once") == "once";
    let percent_off = percentage(params, "percent_off")?;
    let amount_off = params.integer("amount_off")?.filter(|amount| *amount > 0);
    let currency = if amount_off.is_some() { Some(currency(params)?) } else { None };
    if percent_off.is_some() == amount_off.is_some() {
        return Err(ApiError::invalid("You must pass one of percent_off and amount_off."));
    }
    let given = params.owned("id")?;
    if let Some(id) = given.as_deref().filter(|id| world.extras.coupons.contains_key(*id)) {
        return Err(ApiError::parameter(
            "resource_already_exists",
            "id",
            format!("Coupon already exists: {id}"),
        ));
    }
    let coupon = Coupon {
        id: given.unwrap_or_else(|| new_id(world, "coupon", params)),
        created: world.now,
        name: params.owned("name")?,
        percent_off,
        amount_off,
        currency,
        once,
    };
    let percent = coupon.percent_off.as_deref().map(|text| decimal::json(&decimal::stored(text)));
    let shown = json!({
        "id": coupon.id, "object": "coupon", "amount_off": coupon.amount_off, "created": coupon.created,
        "currency": coupon.currency, "duration": if once { "once" } else { "forever" }, "duration_in_months": null,
        "livemode": false, "max_redemptions": null, "metadata": {}, "name": coupon.name, "percent_off": percent,
        "redeem_by": null, "times_redeemed": 0, "valid": true,
    });
    Ok(recorded(world, Extra::Coupon(coupon), shown))
}

pub fn balance_transaction(world: &mut World, id: &str, params: &Params) -> Result<Reply, ApiError> {
    params.only(&["amount", "currency", "description", "metadata"])?;
    let customer = customer(world, id)?;
    let transaction = BalanceTransaction {
        id: new_id(world, "cbtxn", params),
        customer,
        created: world.now,
        amount: amount(params, "amount")?,
        currency: currency(params)?,
    };
    let before: i64 = world.extras.balances_of(id).iter().map(|one| one.amount).sum();
    let shown = json!({
        "id": transaction.id, "object": "customer_balance_transaction", "amount": transaction.amount,
        "checkout_session": null, "created": transaction.created, "credit_note": null,
        "currency": transaction.currency, "customer": transaction.customer, "customer_account": null,
        "description": params.text("description")?, "ending_balance": before + transaction.amount, "invoice": null,
        "livemode": false, "metadata": params.map("metadata")?, "type": "adjustment",
    });
    Ok(recorded(world, Extra::Balance(transaction), shown))
}

pub fn credit_grant(world: &mut World, params: &Params) -> Result<Reply, ApiError> {
    params.only(&["customer", "amount", "applicability_config", "category", "name", "metadata"])?;
    let customer = customer(world, params.required("customer")?)?;
    let given = params.below("amount")?;
    given.only(&["type", "monetary"])?;
    given.choice("type", &["monetary"])?;
    let monetary = given.below("monetary")?;
    monetary.only(&["value", "currency"])?;
    let config = params.below("applicability_config")?;
    config.only(&["scope"])?;
    let scope = config.below("scope")?;
    scope.only(&["price_type"])?;
    scope.choice("price_type", &["metered"])?;
    scope.required("price_type")?;
    let grant = CreditGrant {
        id: new_id(world, "credgr", params),
        customer,
        created: world.now,
        amount: amount(&monetary, "value")?,
        currency: currency(&monetary)?,
        category: params.choice("category", &["paid", "promotional"])?.unwrap_or("paid").to_owned(),
        name: params.owned("name")?,
    };
    let shown = json!({
        "id": grant.id, "object": "billing.credit_grant",
        "amount": {"monetary": {"currency": grant.currency, "value": grant.amount}, "type": "monetary"},
        "applicability_config": {"scope": {"price_type": "metered"}}, "category": grant.category,
        "created": grant.created, "customer": grant.customer, "customer_account": null,
        "effective_at": grant.created, "expires_at": null, "livemode": false, "metadata": {},
        "name": grant.name, "priority": 50, "test_clock": null, "updated": grant.created, "voided_at": null,
    });
    Ok(recorded(world, Extra::Grant(grant), shown))
}
