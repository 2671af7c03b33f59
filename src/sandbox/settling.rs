//! Settling: from the lines of an invoice to its amount due, by discounts, credit grants, taxes and the customer's balance.
//!
//! In: an invoice's lines as JSON, what the account knows of its customer. Out: the lines with their discounts, credits and
//! taxes, and the invoice's sums. Each part is rounded on its line, half away from zero. An invoice that leans on a balance
//! or a grant is computed anew from all before it, so nothing is stored and nothing can disagree.

use std::collections::BTreeMap;

use bigdecimal::BigDecimal;
use serde_json::{Value, json};

use super::decimal;
use super::extras::shown_tax_rate;
use super::invoice_object::plain_lines;
use super::invoices::{self, Invoice};
use super::terms::{Coupon, Discount, TaxRate};
use super::world::World;

/// What a customer has left before an invoice.
#[derive(Clone, Debug, Default)]
struct Purse {
    balance: i64,
    /// By grant.
    used: BTreeMap<String, i64>,
}

/// The lines of an invoice as they are settled, and its sums.
pub struct Settled {
    pub lines: Vec<Value>,
    pub sums: Value,
    after: Purse,
}

pub fn settled(world: &World, one: &Invoice<'_>, invoice_id: &str) -> Settled {
    let purse = purse_before(world, one);
    settle(world, one, invoice_id, purse)
}

/// What earlier invoices of the customer have left.
fn purse_before(world: &World, one: &Invoice<'_>) -> Purse {
    let customer = &one.subscription.customer;
    let mut purse = Purse::default();
    if !world.extras.carries_over(customer) {
        return purse;
    }
    let mut earlier: Vec<Invoice<'_>> = world
        .subscriptions_of(customer)
        .flat_map(|subscription| invoices::of_subscription(world, subscription))
        .filter(|other| (other.created, other.id()) < (one.created, one.id()) && !other.is_draft(world.now))
        .collect();
    earlier.sort_by_key(|other| (other.created, other.id()));
    for other in earlier {
        purse = settle(world, &other, &other.id(), purse).after;
    }
    purse
}

fn settle(world: &World, one: &Invoice<'_>, invoice_id: &str, mut purse: Purse) -> Settled {
    let mut lines = plain_lines(world, one, invoice_id);
    let discounts = discounts(world, one);
    let rates: Vec<&TaxRate> =
        one.subscription.terms.tax_rates.iter().filter_map(|id| world.extras.tax_rates.get(id)).collect();
    let mut left: Vec<i64> = discounts.iter().map(|(_, coupon)| coupon.amount_off.unwrap_or(0)).collect();
    let mut totals = Totals::default();
    for line in &mut lines {
        let amount = line["amount"].as_i64().unwrap_or_default();
        let mut net = amount;
        totals.subtotal += amount;
        if line["discountable"] == true {
            for ((discount, coupon), left) in discounts.iter().zip(&mut left) {
                net -= totals.take_off(line, discount, taken_off(coupon, net, left));
            }
        }
        net -= credits(world, one, line, net, &mut purse, &mut totals);
        for rate in &rates {
            totals.tax(line, rate, net);
        }
    }
    let (sums, balance) = totals.sums(world, one, purse.balance);
    let sums = json!({
        "default_tax_rates": rates.iter().map(|rate| shown_tax_rate(rate)).collect::<Vec<_>>(),
        "discounts": discounts.iter().map(|(discount, _)| &discount.id).collect::<Vec<_>>(),
        "sums": sums,
    });
    // Persons' own entries are counted anew by each invoice.
    Settled { lines, sums, after: Purse { balance, ..purse } }
}

/// The coupons that hold for this invoice.
fn discounts<'a>(world: &'a World, one: &Invoice<'a>) -> Vec<(&'a Discount, &'a Coupon)> {
    let holds = |discount: &'a Discount| {
        let coupon = world.extras.coupons.get(&discount.coupon)?;
        let invoices = || invoices::of_subscription(world, one.subscription);
        let is_used = coupon.once
            && invoices().iter().any(|other| discount.start < other.created && other.created < one.created);
        (discount.start < one.created && !is_used).then_some((discount, coupon))
    };
    one.subscription.terms.discounts.iter().filter_map(holds).collect()
}

/// What a coupon takes off a line that has `net` left.
fn taken_off(coupon: &Coupon, net: i64, left: &mut i64) -> i64 {
    if let Some(percent) = &coupon.percent_off {
        return share(net, percent);
    }
    let amount = (*left).min(net.max(0));
    *left -= amount;
    amount
}

fn share(amount: i64, percent: &str) -> i64 {
    let exact = BigDecimal::from(amount) * decimal::stored(percent) * decimal::stored("0.01");
    decimal::rounded(&exact).unwrap_or_default()
}

/// Grants take what they can off metered lines, the oldest first.
fn credits(
    world: &World,
    one: &Invoice<'_>,
    line: &mut Value,
    net: i64,
    purse: &mut Purse,
    totals: &mut Totals,
) -> i64 {
    let price = line["pricing"]["price_details"]["price"].as_str().and_then(|id| world.prices.get(id));
    let is_metered =
        price.is_some_and(|price| price.recurring.as_ref().is_some_and(|one| one.meter.is_some()));
    if !is_metered {
        return 0;
    }
    let mut taken = 0;
    for grant in world.extras.grants_of(&one.subscription.customer) {
        let used = purse.used.entry(grant.id.clone()).or_default();
        let amount = (grant.amount - *used).min(net - taken);
        if amount > 0 && grant.created < one.created && grant.currency == one.subscription.currency {
            *used += amount;
            taken += amount;
            totals.credit(line, &grant.id, amount);
        }
    }
    taken
}

/// Sums over the lines.
#[derive(Default)]
struct Totals {
    subtotal: i64,
    discounts: BTreeMap<String, i64>,
    credits: BTreeMap<String, i64>,
    /// By rate: tax and what it is taken of.
    taxes: BTreeMap<String, (bool, i64, i64)>,
}

impl Totals {
    fn take_off(&mut self, line: &mut Value, discount: &Discount, amount: i64) -> i64 {
        push(line, "discounts", json!(discount.id));
        push(line, "discount_amounts", json!({"amount": amount, "discount": discount.id}));
        push(
            line,
            "pretax_credit_amounts",
            json!({"amount": amount, "discount": discount.id, "type": "discount"}),
        );
        *self.discounts.entry(discount.id.clone()).or_default() += amount;
        amount
    }

    fn credit(&mut self, line: &mut Value, grant: &str, amount: i64) {
        let id = format!("cbtxn_{grant}");
        push(line, "pretax_credit_amounts", credited(&id, amount));
        *self.credits.entry(id).or_default() += amount;
    }

    fn tax(&mut self, line: &mut Value, rate: &TaxRate, net: i64) {
        let tax = if rate.inclusive {
            let gross = BigDecimal::from(net);
            let part = &gross * decimal::stored("100")
                / (decimal::stored("100") + decimal::stored(&rate.percentage));
            net - decimal::rounded(&part).unwrap_or_default()
        } else {
            share(net, &rate.percentage)
        };
        push(line, "taxes", taxed(&rate.id, rate.inclusive, tax, net));
        let sum = self.taxes.entry(rate.id.clone()).or_insert((rate.inclusive, 0, 0));
        (sum.1, sum.2) = (sum.1 + tax, sum.2 + net);
    }

    /// The invoice's own fields, and the customer's balance after it.
    fn sums(&self, world: &World, one: &Invoice<'_>, carried: i64) -> (Value, i64) {
        let discount: i64 = self.discounts.values().sum();
        let credit: i64 = self.credits.values().sum();
        let tax = |inclusive: bool| -> i64 {
            self.taxes.values().filter(|(is, ..)| *is == inclusive).map(|(_, tax, _)| tax).sum()
        };
        let total = self.subtotal - discount - credit + tax(false);
        let is_final = !one.is_draft(world.now);
        // What is entered in the second of the finalization comes too late for it.
        let known = if is_final { one.finalizes_at - 1 } else { world.now };
        let entries = world.extras.balances_of(&one.subscription.customer).iter();
        let entered: i64 = entries.filter(|entry| entry.created <= known).map(|entry| entry.amount).sum();
        let starting = carried + entered;
        let due = (total + starting).max(0);
        let ending = total + starting - due;
        let discounts = self.discounts.iter();
        let shown_discounts: Vec<Value> =
            discounts.map(|(id, amount)| json!({"amount": amount, "discount": id})).collect();
        let pretax = self
            .discounts
            .iter()
            .map(|(id, amount)| json!({"amount": amount, "discount": id, "type": "discount"}));
        let pretax: Vec<Value> =
            pretax.chain(self.credits.iter().map(|(id, amount)| credited(id, *amount))).collect();
        let taxes = self.taxes.iter().map(|(id, (inclusive, tax, net))| taxed(id, *inclusive, *tax, *net));
        let sums = json!({
            "amount_due": due, "ending_balance": is_final.then_some(ending), "starting_balance": starting,
            "subtotal": self.subtotal, "subtotal_excluding_tax": self.subtotal - tax(true), "total": total,
            "total_excluding_tax": total - tax(false) - tax(true), "total_discount_amounts": shown_discounts,
            "total_pretax_credit_amounts": pretax, "total_taxes": taxes.collect::<Vec<_>>(),
        });
        (sums, ending - entered)
    }
}

fn push(line: &mut Value, name: &str, value: Value) {
    if let Some(list) = line[name].as_array_mut() {
        list.push(value);
    }
}

fn credited(id: &str, amount: i64) -> Value {
    json!({"amount": amount, "credit_balance_transaction": id, "type": "credit_balance_transaction"})
}

fn taxed(rate: &str, inclusive: bool, tax: i64, net: i64) -> Value {
    json!({
        "amount": tax, "tax_behavior": if inclusive { "inclusive" } else { "exclusive" },
        "tax_rate_details": {"tax_rate": rate}, "taxability_reason": "not_available", "taxable_amount": net,
        "type": "tax_rate_details",
    })
}
