//! The account without a socket: the same answers, a clock in the test's hand, and what it really holds.

use std::io;

use billrecon::sandbox::{Clock, Local, Manners, SeedCustomer, State};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response};
use serde_json::Value;

use super::embedded::{at, seed};
use super::{Answer, KEY, answer_of, body_of};

/// What a client of this account sees.
pub async fn raw(
    local: &Local,
    method: &str,
    path: &str,
    form: &[(&str, &str)],
    headers: &[(&str, &str)],
) -> io::Result<Response<Full<Bytes>>> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    local.answer(request.body(Full::from(body_of(form))).unwrap()).await
}

/// The same, where a whole answer must come.
pub async fn ask(
    local: &Local,
    method: &str,
    path: &str,
    form: &[(&str, &str)],
    headers: &[(&str, &str)],
) -> Answer {
    let (parts, body) = raw(local, method, path, form, headers).await.unwrap().into_parts();
    let text = String::from_utf8(body.collect().await.unwrap().to_bytes().into()).unwrap();
    let headers = parts.headers.iter();
    let headers =
        headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect();
    answer_of(parts.status.as_u16(), headers, text)
}

pub async fn report(local: &Local, value: &str, identifier: &str, timestamp: &str) -> Answer {
    let timestamp = at(timestamp).as_second().to_string();
    let form = [
        ("event_name", "req"),
        ("payload[stripe_customer_id]", "cus_acme"),
        ("payload[value]", value),
        ("identifier", identifier),
        ("timestamp", &timestamp),
    ];
    ask(local, "POST", "/v1/billing/meter_events", &form, &[KEY]).await
}

pub fn open(now: &str, manners: Manners) -> Local {
    Local::open(State::Memory, Clock::At(at(now)), &seed(), manners).unwrap()
}

async fn get(local: &Local, path: &str) -> Value {
    ask(local, "GET", path, &[], &[KEY]).await.ok()
}

#[tokio::test]
async fn an_account_without_a_socket_answers_and_its_clock_goes_on_when_it_is_told() {
    let local = open("2026-10-20T00:00:00Z", Manners::default());
    ask(&local, "GET", "/v1/account", &[], &[]).await.refused(401);
    report(&local, "130", "e1", "2026-10-19T00:00:00Z").await.ok();
    report(&local, "130", "e1", "2026-10-19T00:00:00Z").await.refused(400);
    let draft = "/v1/invoices?subscription=sub_acme&status=draft";
    assert_eq!(get(&local, draft).await["data"].as_array().unwrap().len(), 0);
    local.clone().reach(at("2026-11-01T00:30:00Z"));
    assert_eq!(get(&local, draft).await["data"][0]["subtotal"], 99_900 + 30 * 700);
    // Never back.
    local.reach(at("2026-10-20T00:00:00Z"));
    assert_eq!(get(&local, draft).await["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_it_really_holds_and_what_is_billed_can_be_asked_past_every_request() {
    let local = open("2026-10-20T00:00:00Z", Manners::default());
    let (start, end) = (at("2026-10-01T00:00:00Z"), at("2026-11-01T00:00:00Z"));
    let totals = |customer: &str| {
        [local.true_total("req", customer, start, end), local.billed_total("req", customer, start, end)]
    };
    report(&local, "1.5", "e1", "2026-10-19T00:00:00Z").await.ok();
    local.reach(at("2026-11-01T00:59:59Z"));
    report(&local, "2", "e2", "2026-10-31T23:59:59Z").await.ok();
    assert_eq!(totals("cus_acme"), [Some("3.5".to_owned()), Some("3.5".to_owned())]);
    local.reach(at("2026-11-01T01:00:00Z"));
    report(&local, "4", "e3", "2026-10-31T00:00:00Z").await.ok();
    assert_eq!(totals("cus_acme"), [Some("7.5".to_owned()), Some("3.5".to_owned())]);
    assert_eq!(totals("cus_other"), [Some("0".to_owned()), Some("0".to_owned())]);
    assert_eq!(local.true_total("unheard_of", "cus_acme", start, end), None);
}

#[tokio::test]
async fn another_seed_is_planted_as_a_restart_would_plant_it() {
    let local = open("2026-10-20T00:00:00Z", Manners::default());
    let mut more = seed();
    more.customers.push(SeedCustomer { id: "cus_new".to_owned(), name: "New".to_owned() });
    local.replant(&more).unwrap();
    assert_eq!(get(&local, "/v1/customers/cus_new").await["name"], "New");
    more.subscriptions[0].prices.push("price_nowhere".to_owned());
    assert!(local.replant(&more).unwrap_err().to_string().contains("price_nowhere"));
}
