//! What stands on an invoice beside its prices: items added by hand, tax, coupons, credit grants and a balance, in Stripe's
//! shapes and with its sums.
//!
//! In: requests as any client of Stripe sends them. Out: lines and sums that were worked out by hand, the fields of the
//! specification, and the same answers after a `kill -9`.

use serde_json::Value;

use super::shapes::{holds, schema};
use super::{DAY, HOUR, OCTOBER, Served, data, id};

const NOVEMBER: i64 = OCTOBER + 31 * DAY;

/// 30 units at 7.00 and a base fee of 999.00; its subscription.
fn subscribed(sandbox: &Served) -> (String, String) {
    let (customer, meter) = (sandbox.customer(), sandbox.meter("requests", "sum"));
    let usage = sandbox.metered_price(&meter, &[("unit_amount", "700")]);
    let base = sandbox.base_price("99900");
    let subscription = id(&sandbox.subscribe(&customer, &[&usage, &base], &[]));
    sandbox.report("requests", &customer, "30", "e-1", OCTOBER).ok();
    (customer, subscription)
}

fn made(sandbox: &Served, path: &str, form: &[(&str, &str)]) -> Value {
    sandbox.post(&format!("/v1/{path}"), form).ok()
}

/// Everything at once: 18 % tax, a tenth off, 17.00 of credit, 7.00 by hand, 5.00 in the customer's favour.
fn laden(sandbox: &Served) -> String {
    let (customer, subscription) = subscribed(sandbox);
    let schema = schema();
    let rate = [("display_name", "VAT"), ("percentage", "18"), ("inclusive", "false")];
    let rate = made(sandbox, "tax_rates", &rate);
    holds(&schema, "tax_rate", &rate);
    let coupon = made(sandbox, "coupons", &[("percent_off", "10"), ("duration", "forever")]);
    holds(&schema, "coupon", &coupon);
    let (rate, coupon) = (id(&rate), id(&coupon));
    let form = [("default_tax_rates[0]", rate.as_str()), ("discounts[0][coupon]", &coupon)];
    holds(&schema, "subscription", &made(sandbox, &format!("subscriptions/{subscription}"), &form));
    let form =
        [("customer", customer.as_str()), ("amount", "700"), ("currency", "usd"), ("description", "Set-up")];
    holds(&schema, "invoiceitem", &made(sandbox, "invoiceitems", &form));
    let form = [
        ("customer", customer.as_str()),
        ("amount[type]", "monetary"),
        ("amount[monetary][value]", "1700"),
        ("amount[monetary][currency]", "usd"),
        ("applicability_config[scope][price_type]", "metered"),
        ("category", "paid"),
    ];
    holds(&schema, "billing.credit_grant", &made(sandbox, "billing/credit_grants", &form));
    let path = format!("customers/{customer}/balance_transactions");
    let balance = made(sandbox, &path, &[("amount", "-500"), ("currency", "usd")]);
    holds(&schema, "customer_balance_transaction", &balance);
    subscription
}

fn sums(invoice: &Value) -> Vec<i64> {
    let of_list = |name: &str| -> i64 {
        invoice[name].as_array().unwrap().iter().map(|one| one["amount"].as_i64().unwrap()).sum()
    };
    let of_field = |name: &str| invoice[name].as_i64().unwrap_or(-1);
    let lists = ["total_discount_amounts", "total_pretax_credit_amounts", "total_taxes"].map(of_list);
    let fields = ["subtotal", "total", "starting_balance", "ending_balance", "amount_due"].map(of_field);
    fields.into_iter().chain(lists).collect()
}

fn renewal(sandbox: &Served, subscription: &str, created: i64) -> Value {
    let listed = sandbox.get(&format!("/v1/invoices?subscription={subscription}&created={created}")).ok();
    data(&listed)[0].clone()
}

/// Off: 2,100 of the usage, 9,990 of the fee, 70 of the item. The grant takes 1,700 off the usage. On top: 18 % of 17,200,
/// of 89,910 and of 630, each rounded: 3,096 + 16,184 + 113.
#[test]
fn an_invoice_with_all_of_it_has_the_sums_of_a_hand_calculation_in_stripes_shape() {
    let sandbox = Served::new();
    let clock = sandbox.clock();
    let subscription = laden(&sandbox);
    let preview = sandbox.preview(&subscription);
    holds(&schema(), "invoice", &preview);
    let amounts: Vec<i64> =
        data(&preview["lines"]).iter().map(|line| line["amount"].as_i64().unwrap()).collect();
    assert_eq!(amounts, [700, 21_000, 99_900]);
    assert_eq!(sums(&preview), [121_600, 127_133, -500, -1, 126_633, 12_160, 13_860, 19_393]);
    clock.advance(NOVEMBER + HOUR);
    let invoice = renewal(&sandbox, &subscription, NOVEMBER);
    holds(&schema(), "invoice", &invoice);
    assert_eq!(sums(&invoice), [121_600, 127_133, -500, 0, 126_633, 12_160, 13_860, 19_393]);
    let item = &invoice["lines"]["data"][0];
    assert_eq!(item["parent"]["type"], "invoice_item_details");
    assert_eq!(item["description"], "Set-up");
    assert_eq!(item["pretax_credit_amounts"][0]["type"], "discount");

    // What was used up once is gone: next month there is neither item nor grant nor balance.
    clock.advance(NOVEMBER + 30 * DAY + HOUR);
    let next = renewal(&sandbox, &subscription, NOVEMBER + 30 * DAY);
    assert_eq!(sums(&next), [99_900, 106_094, 0, 0, 106_094, 9_990, 9_990, 16_184]);

    let sandbox = sandbox.killed_and_started_again("2026-10-01T00:00:00Z");
    assert_eq!(renewal(&sandbox, &subscription, NOVEMBER), invoice, "after kill -9");
}

#[test]
fn a_balance_pays_as_far_as_it_reaches_and_a_coupon_that_holds_once_is_gone_after_it() {
    let sandbox = Served::new();
    let clock = sandbox.clock();
    let (customer, subscription) = subscribed(&sandbox);
    let path = format!("customers/{customer}/balance_transactions");
    made(&sandbox, &path, &[("amount", "-200000"), ("currency", "usd")]);
    let coupon = id(&made(&sandbox, "coupons", &[("amount_off", "900"), ("currency", "usd")]));
    made(&sandbox, &format!("subscriptions/{subscription}"), &[("discounts[0][coupon]", &coupon)]);
    // Before it is final, what the balance would come to.
    clock.advance(NOVEMBER + 60);
    let draft = renewal(&sandbox, &subscription, NOVEMBER);
    assert_eq!(sums(&draft), [120_900, 120_000, -200_000, -1, 0, 900, 900, 0]);
    clock.advance(NOVEMBER + 30 * DAY + HOUR);
    let first = renewal(&sandbox, &subscription, NOVEMBER);
    assert_eq!(sums(&first), [120_900, 120_000, -200_000, -80_000, 0, 900, 900, 0]);
    let second = renewal(&sandbox, &subscription, NOVEMBER + 30 * DAY);
    assert_eq!(sums(&second), [99_900, 99_900, -80_000, 0, 19_900, 0, 0, 0]);
}

#[test]
fn an_included_tax_is_on_the_invoice_and_changes_no_sum() {
    let sandbox = Served::new();
    let (_, subscription) = subscribed(&sandbox);
    let rate = [("display_name", "VAT"), ("percentage", "20"), ("inclusive", "true")];
    let rate = id(&made(&sandbox, "tax_rates", &rate));
    made(&sandbox, &format!("subscriptions/{subscription}"), &[("default_tax_rates[0]", &rate)]);
    let preview = sandbox.preview(&subscription);
    assert_eq!((&preview["total"], &preview["amount_due"]), (&120_900.into(), &120_900.into()));
    assert_eq!(preview["total_taxes"][0]["amount"], 20_150);
    assert_eq!(preview["subtotal_excluding_tax"], 100_750);
}

/// Parameters of a request.
type Form<'a> = &'a [(&'a str, &'a str)];

#[test]
fn what_it_cannot_do_or_does_not_know_is_refused() {
    let sandbox = Served::new();
    let (customer, subscription) = subscribed(&sandbox);
    let path = format!("subscriptions/{subscription}");
    let refused: [(&str, Form<'_>, &str); 6] = [
        (
            "invoiceitems",
            &[("customer", "cus_nobody"), ("amount", "1"), ("currency", "usd")],
            "No such customer",
        ),
        ("invoiceitems", &[("customer", &customer), ("pricing[price]", "price_1")], "unknown parameter"),
        (
            "tax_rates",
            &[("display_name", "x"), ("percentage", "101"), ("inclusive", "true")],
            "from 0 to 100",
        ),
        ("coupons", &[("duration", "forever")], "one of percent_off and amount_off"),
        (&path, &[("discounts[0][coupon]", "nothing")], "No such coupon"),
        (&path, &[("default_tax_rates[0]", "txr_nothing")], "No such tax rate"),
    ];
    for (path, form, message) in refused {
        let answer = sandbox.post(&format!("/v1/{path}"), form);
        let found = answer.refused(if message.starts_with("No such") { answer.status } else { 400 });
        assert!(answer.status >= 400 && found.contains(message), "{path}: {found}");
    }
}
