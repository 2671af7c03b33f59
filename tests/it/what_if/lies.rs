//! A Stripe that refuses, leaves out or counts otherwise when it is asked what if.
//!
//! In: the served sandbox behind a gate that changes the answers to what-ifs. Out: rows that say so; the others stay as they
//! are.

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::{CATALOG, EVENING, SEPTEMBER, TENANTS, outcomes, small};
use crate::sandbox::{encoded, exchange};
use crate::stripe::fake::{Asked, Fake, Reply, answer, error};
use crate::support::served::Served;
use crate::support::{Ended, Workspace};

const ACME: &str = "acme b2b.match_request";
const UNITS: &str = "b2b.match_request";
const BETA: &str = "beta b2b.match_request";

/// Whether a request asks what if.
fn is_what_if(asked: &Asked) -> bool {
    asked.form.keys().any(|name| name.starts_with("subscription_details"))
}

fn is_of(asked: &Asked, subscription: &str) -> bool {
    asked.form.get("subscription").is_some_and(|one| one == subscription)
}

/// What the sandbox says.
fn pass(asked: &Asked, address: &str) -> (u16, String) {
    let query = asked.query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    let path = format!("{}?{}", asked.path, query.collect::<Vec<_>>().join("&"));
    let authorization = [("Authorization", asked.headers["authorization"].as_str())];
    let answer = exchange(address, &asked.method, &path, &asked.raw_body, &authorization);
    (answer.status, answer.text)
}

/// Runs a what-if of September against a Stripe whose answers `change` may replace; with all that was asked.
fn ask(
    workspace: &Workspace,
    change: impl Fn(&Asked, &mut Value) -> Option<Reply> + Send + Sync + 'static,
) -> (Ended, Vec<Asked>) {
    let stripe = Served::start(workspace, EVENING);
    let address = stripe.url().strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
    let runtime = Runtime::new().unwrap();
    let fake = runtime.block_on(Fake::new(move |asked, _| {
        let (status, text) = pass(asked, &address);
        let mut body: Value = serde_json::from_str(&text).unwrap();
        change(asked, &mut body).unwrap_or_else(|| answer(status, body.to_string()))
    }));
    let arguments = [&SEPTEMBER[..], &[EVENING]].concat();
    let ended = Ended::of(workspace.command_at(&fake.url(), &arguments).output().unwrap());
    let asked = fake.asked();
    (ended, asked)
}

fn small_company() -> Workspace {
    small(CATALOG, TENANTS)
}

/// The lines of a what-if that bill the requests.
fn lines(body: &mut Value) -> impl Iterator<Item = &mut Value> {
    let price = |line: &Value| line["pricing"]["price_details"]["price"].as_str().unwrap().to_owned();
    let lines = body["lines"]["data"].as_array_mut().unwrap();
    lines
        .iter_mut()
        .filter(move |line| price(line).starts_with("price_overage_pro_month_try_b2b_match_request"))
}

#[test]
fn it_asks_with_documented_parameters_and_without_a_key() {
    let (ended, asked) = ask(&small_company(), |_, _| None);
    ended.expect(0);
    let asked: Vec<&Asked> = asked.iter().filter(|asked| is_what_if(asked)).collect();
    assert_eq!(asked.len(), 3);
    for one in asked {
        assert_eq!((one.method.as_str(), one.path.as_str()), ("POST", "/v1/invoices/create_preview"));
        assert!(!one.headers.contains_key("idempotency-key"));
        let names: Vec<&str> = one.form.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            [
                "subscription",
                "subscription_details[items][0][id]",
                "subscription_details[items][0][price]",
                "subscription_details[items][1][id]",
                "subscription_details[items][1][price]",
                "subscription_details[proration_behavior]",
            ]
        );
        assert_eq!(one.form["subscription_details[proration_behavior]"], "none");
        let [item, price] =
            ["id", "price"].map(|key| &one.form[&format!("subscription_details[items][0][{key}]")]);
        assert!(item.starts_with("si_") && price.starts_with("price_overage_pro"), "{item} {price}");
    }
}

#[test]
fn who_is_refused_is_skipped_with_stripes_reason_and_the_others_are_not() {
    let workspace = small_company();
    let (ended, _) = ask(&workspace, |asked, _| {
        let refused = is_what_if(asked) && is_of(asked, "sub_acme");
        refused.then(|| error(400, "invalid_request_error", "subscription_item_locked", "It is locked."))
    });
    let found = outcomes(&ended.expect(0));
    assert_eq!(found[ACME], "skipped Stripe refused with subscription_item_locked: It is locked.");
    assert_eq!(found[BETA], "agrees");
    // There will be no further invoice.
    let (ended, _) = ask(&workspace, |asked, _| {
        let refused = is_what_if(asked) && is_of(asked, "sub_acme");
        refused.then(|| error(400, "invalid_request_error", "invoice_upcoming_none", "None."))
    });
    let found = outcomes(&ended.expect(0));
    assert_eq!(found[ACME], "skipped Stripe will make no further invoice for the subscription");
    // A key that may not ask ends it for all.
    let (ended, _) = ask(&workspace, |asked, _| {
        is_what_if(asked).then(|| error(403, "invalid_request_error", "", "The key lacks a permission."))
    });
    assert!(ended.expect(77).stdout.is_empty());
}

#[test]
fn an_amount_that_is_off_by_one_is_found() {
    let (ended, _) = ask(&small_company(), |asked, body| {
        if is_what_if(asked) && is_of(asked, "sub_acme") {
            let line = lines(body).find(|line| line["amount"] != 0).unwrap();
            line["amount"] = json!(line["amount"].as_i64().unwrap() + 1);
        }
        None
    });
    let found = outcomes(&ended.expect(0));
    assert_eq!(found[ACME], "differs for 130 units we would charge 210.00");
    assert_eq!(found[BETA], "agrees");
}

/// What Stripe's pages say of a real change: usage before it is not billed by the new price.
#[test]
fn an_item_that_is_counted_anew_is_told_apart_from_a_wrong_price() {
    let (ended, _) = ask(&small_company(), |asked, body| {
        if is_what_if(asked) {
            for line in lines(body) {
                for (key, nothing) in
                    [("quantity", json!(0)), ("quantity_decimal", json!("0")), ("amount", json!(0))]
                {
                    line[key] = nothing;
                }
            }
        }
        None
    });
    let found = outcomes(&ended.expect(0));
    assert_eq!(found[ACME], "other_quantity Stripe counts 0 units, and 130 at the price in force");
    assert_eq!(found[BETA], "other_quantity Stripe counts 0 units, and 99.5 at the price in force");
    assert_eq!(found["cold b2b.match_request"], "agrees");
}

#[test]
fn lines_that_are_missing_or_strange_are_never_taken_for_an_agreement() {
    type Change = fn(&mut Value);
    let cases: [(Change, &str); 5] = [
        (|body| body["lines"]["has_more"] = json!(true), "not every line of the preview could be read"),
        (
            |body| lines(body).for_each(|line| line["pricing"] = Value::Null),
            "the preview has no line at the candidate price",
        ),
        (
            |body| lines(body).for_each(|line| line["currency"] = json!("usd")),
            "a line is of another time or currency, or without a quantity",
        ),
        (
            |body| lines(body).for_each(|line| line["period"]["start"] = json!(1)),
            "a line is of another time or currency, or without a quantity",
        ),
        (
            |body| {
                lines(body).for_each(|line| {
                    line["quantity"] = Value::Null;
                    line["quantity_decimal"] = Value::Null;
                });
            },
            "a line is of another time or currency, or without a quantity",
        ),
    ];
    let workspace = small_company();
    for (change, reason) in cases {
        let (ended, _) = ask(&workspace, move |asked, body| {
            if is_what_if(asked) && is_of(asked, "sub_acme") {
                change(body);
            }
            // The rest of the lines of a preview cannot be had.
            let rest = asked.path.ends_with("/lines");
            rest.then(|| error(404, "invalid_request_error", "resource_missing", "No such invoice"))
        });
        let found = outcomes(&ended.expect(0));
        assert_eq!(found[ACME], format!("skipped {reason}"));
        assert_eq!(found[BETA], "agrees", "{reason}");
    }
}

/// Only the sandbox has prices that the catalog does not name.
#[test]
fn without_a_candidate_price_there_is_nothing_to_ask() {
    let shadow = |text: &str, meter: &str| {
        let line = format!("meter = \"{meter}\"\n");
        text.replacen(
            &line,
            &format!("{line}  shadow_price_id = \"price_zero_{}\"\n", meter.replace('.', "_")),
            2,
        )
    };
    let named =
        CATALOG.replacen("free_quota = 100\n", "free_quota = 100\n  overage_price_id = \"price_seven\"\n", 1);
    let workspace = small(&shadow(&shadow(&named, UNITS), "storage_gb"), TENANTS);
    workspace.sql("DELETE FROM account_pin");
    workspace.write("billrecon.toml", "first_period = \"2026-09\"\n");
    let (ended, asked) = ask(&workspace, |asked, body| {
        if asked.path == "/v1/account" {
            body["id"] = json!("acct_1ABC");
        }
        None
    });
    let found = outcomes(&ended.expect(0));
    let storage = "skipped the catalog names no candidate price at Stripe: set overage_price_id";
    assert_eq!((found[ACME].as_str(), found["acme storage_gb"].as_str()), ("agrees", storage));
    let items = asked.iter().filter(|asked| is_what_if(asked)).map(|asked| asked.form.len());
    assert_eq!(items.collect::<Vec<_>>(), [4; 3]);
}
