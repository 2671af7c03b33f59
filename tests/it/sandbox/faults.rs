//! Faults of single requests: what a client sees, and what was done all the same.

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::num::NonZeroU64;

use billrecon::sandbox::manners::{Endpoint, Fault, What};
use billrecon::sandbox::{Local, Manners};
use serde_json::Value;

use super::local::{ask, open, raw, report};
use super::{Answer, DAY, HOUR, KEY, OCTOBER, Served, body_of, command, data, id, sent};
use crate::support::Ended;

/// A customer and a meter, made before anything can go wrong.
struct Company {
    sandbox: Served,
    customer: String,
    meter: String,
}

impl Company {
    /// One fault, of meter events.
    fn with(fault: &str) -> Self {
        let sandbox = Served::mannered(&format!("[[fault]]\nendpoint = \"meter_events\"\n{fault}\n"));
        let (customer, meter) = (sandbox.customer(), sandbox.meter("requests", "sum"));
        Self { sandbox, customer, meter }
    }

    fn event<'a>(&'a self, identifier: &'a str) -> [(&'a str, &'a str); 4] {
        [
            ("event_name", "requests"),
            ("payload[stripe_customer_id]", &self.customer),
            ("payload[value]", "5"),
            ("identifier", identifier),
        ]
    }

    fn report(&self, identifier: &str) -> Answer {
        self.sandbox.post("/v1/billing/meter_events", &self.event(identifier))
    }

    fn report_with_key(&self, identifier: &str, key: &str) -> Answer {
        let headers = [KEY, ("Idempotency-Key", key)];
        self.sandbox.send("POST", "/v1/billing/meter_events", &self.event(identifier), &headers)
    }

    /// The same, with nothing read yet.
    fn sent(&self, identifier: &str) -> TcpStream {
        let body = body_of(&self.event(identifier));
        sent(&self.sandbox.address, "POST", "/v1/billing/meter_events", &body, &[KEY])
    }

    fn total(&self) -> i64 {
        let path = format!(
            "/v1/billing/meters/{}/event_summaries?customer={}&start_time={OCTOBER}&end_time={}",
            self.meter,
            self.customer,
            OCTOBER + HOUR
        );
        data(&self.sandbox.get(&path).ok())[0]["aggregated_value"].as_i64().unwrap()
    }

    fn journal(&self) -> Vec<u8> {
        fs::read(self.sandbox.state()).unwrap()
    }
}

#[test]
fn one_request_too_many_says_why_and_only_when_told_so_for_how_long() {
    let company =
        Company::with("what = \"rate_limited\"\ntimes = 1\nretry_after = 7\nreason = \"global-rate\"");
    let before = company.journal();
    let limited = company.report("e1");
    assert_eq!(limited.body["error"]["code"], "rate_limit");
    limited.refused(429);
    assert_eq!(limited.headers["retry-after"], "7");
    assert_eq!(limited.headers["stripe-rate-limited-reason"], "global-rate");
    assert!(limited.headers["request-id"].starts_with("req_"));
    assert_eq!(company.journal(), before, "nothing was done");
    company.report("e1").ok();
    let company = Company::with("what = \"rate_limited\"");
    let limited = company.report("e1");
    limited.refused(429);
    assert_eq!(limited.headers["stripe-rate-limited-reason"], "endpoint-rate");
    assert_eq!(
        (limited.headers.get("retry-after"), limited.headers.get("stripe-should-retry")),
        (None, None)
    );
    let company = Company::with("what = \"lock_timeout\"\nevery = 2");
    company.report("e1").ok();
    let locked = company.report("e2");
    assert_eq!(
        (&locked.body["error"]["code"], &*locked.headers["stripe-should-retry"]),
        (&"lock_timeout".into(), "true")
    );
    locked.refused(429);
    assert_eq!(company.total(), 5);
}

#[test]
fn a_500_is_kept_under_its_key_and_repeated_for_24_hours_whether_it_was_done_or_not() {
    for (what, done) in [("error_before", 0), ("error_after", 5)] {
        let company = Company::with(&format!("what = \"{what}\"\ntimes = 1"));
        let clock = company.sandbox.clock();
        let first = company.report_with_key("e1", "k");
        first.refused(500);
        assert_eq!((company.total(), first.headers.get("idempotent-replayed")), (done, None), "{what}");
        let again = company.report_with_key("e1", "k");
        again.refused(500);
        assert_eq!((&*again.headers["idempotent-replayed"], again.text), ("true", first.text));
        // The identifier knows what the key hides.
        let other = company.report_with_key("e1", "other");
        assert_eq!(other.status, if done == 0 { 200 } else { 400 }, "{what}");
        clock.advance(OCTOBER + DAY + 1);
        assert_ne!(company.report_with_key("e1", "k").status, 500, "forgotten");
    }
}

#[test]
fn a_kept_500_survives_the_sandbox_and_leaves_nothing_but_itself() {
    let company = Company::with("what = \"error_before\"\ntimes = 1");
    let before = company.journal().len();
    company.report_with_key("e1", "k").refused(500);
    let line: Value = serde_json::from_slice(&company.journal()[before..]).unwrap();
    assert_eq!((&line["facts"], &line["answer"]["status"]), (&Value::Null, &500.into()));
    let Company { sandbox, customer, meter } = company;
    // Without manners, so it is not struck again.
    let sandbox = sandbox.killed_and_started_again("2026-10-01T00:00:00Z");
    let company = Company { sandbox, customer, meter };
    let again = company.report_with_key("e1", "k");
    again.refused(500);
    assert_eq!(again.headers["idempotent-replayed"], "true");
}

#[test]
fn a_page_of_html_stands_for_stripe_and_nothing_is_kept() {
    for (what, status) in [("bad_gateway", 502), ("unavailable", 503)] {
        let company = Company::with(&format!("what = \"{what}\"\ntimes = 1"));
        let before = company.journal();
        let page = company.report_with_key("e1", "k");
        assert_eq!(
            (page.status, &*page.headers["content-type"], &page.body),
            (status, "text/html", &Value::Null)
        );
        assert!(page.text.starts_with("<html>") && page.headers.contains_key("request-id"));
        assert_eq!(company.journal(), before);
        assert_eq!(company.report_with_key("e1", "k").headers.get("idempotent-replayed"), None);
        assert_eq!(company.total(), 5);
    }
}

#[test]
fn a_connection_is_reset_before_or_after_the_effect() {
    for (what, done) in [("reset_before", 0), ("reset_after", 5)] {
        let company = Company::with(&format!("what = \"{what}\"\ntimes = 1"));
        let before = company.journal();
        let mut bytes = Vec::new();
        let error = company.sent("e1").read_to_end(&mut bytes).unwrap_err();
        assert_eq!((error.kind(), bytes.len()), (ErrorKind::ConnectionReset, 0), "{what}");
        assert_eq!(company.total(), done);
        assert_eq!(company.journal() == before, done == 0);
        assert_eq!(company.report("e1").status, if done == 0 { 200 } else { 400 });
    }
}

#[test]
fn an_answer_is_cut_in_the_middle_though_all_was_done() {
    let company = Company::with("what = \"cut\"\ntimes = 1");
    let mut bytes = Vec::new();
    company.sent("e1").read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.contains("request-id: req_"), "{head}");
    let promised = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let promised: usize = promised.parse().unwrap();
    assert!(body.starts_with('{') && body.len() == promised / 2, "{body}");
    assert_eq!(company.total(), 5);
    let company = Company::with("what = \"garbled\"\ntimes = 1");
    let garbled = company.report("e1");
    assert_eq!((garbled.status, &garbled.body), (200, &Value::Null), "{}", garbled.text);
    assert_eq!(company.total(), 5);
}

#[test]
fn a_request_that_hangs_gets_no_byte_until_the_sandbox_ends() {
    let company = Company::with("what = \"hang_after\"");
    let mut stream = company.sent("e1");
    while company.total() == 0 {}
    stream.set_nonblocking(true).unwrap();
    assert_eq!(stream.peek(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    stream.set_nonblocking(false).unwrap();
    assert_eq!(company.sandbox.ended_by("TERM").code, Some(143));
    let mut bytes = Vec::new();
    let _reset_or_end = stream.read_to_end(&mut bytes);
    assert_eq!(bytes, b"");
}

#[tokio::test]
async fn without_a_socket_a_broken_connection_is_an_error_at_once() {
    let faults = [
        (What::HangBefore, ErrorKind::TimedOut, 0),
        (What::HangAfter, ErrorKind::TimedOut, 1),
        (What::ResetBefore, ErrorKind::ConnectionReset, 0),
        (What::ResetAfter, ErrorKind::ConnectionReset, 1),
        (What::Cut, ErrorKind::UnexpectedEof, 1),
    ];
    for (what, kind, done) in faults {
        let fault = Fault { endpoint: Some(Endpoint::Customers), times: Some(1), ..Fault::new(what) };
        let local = open("2026-10-20T00:00:00Z", Manners { faults: vec![fault], ..Manners::default() });
        let error = raw(&local, "POST", "/v1/customers", &[], &[KEY]).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{what:?}");
        let customers = ask(&local, "GET", "/v1/customers", &[], &[KEY]).await.ok();
        assert_eq!(data(&customers).len(), 1 + done, "{what:?}");
    }
}

#[test]
fn a_key_that_was_rolled_opens_nothing_any_more() {
    let company = Company::with("what = \"unauthorized\"\nskip = 1");
    company.report("e1").ok();
    for identifier in ["e2", "e3"] {
        let gone = company.report(identifier);
        assert_eq!(gone.body["error"]["code"], "api_key_expired");
        assert!(!gone.refused(401).contains("anything"));
    }
    assert_eq!(company.total(), 5);
}

#[test]
fn a_restricted_key_is_told_which_permission_it_lacks() {
    let sandbox = Served::mannered(
        "missing_permissions = [\"customers:write\", \"prices:read\"]\n\
         [[fault]]\nwhat = \"forbidden\"\nendpoint = \"meters\"\n",
    );
    let ask = |method: &str, path: &str, key: &str| {
        sandbox.send(method, path, &[], &[("Authorization", &format!("Bearer {key}"))])
    };
    let refused = ask("POST", "/v1/customers", "rk_test_x").refused(403);
    assert!(refused.contains("Having the 'rak_customer_write' permission would allow"), "{refused}");
    assert!(refused.contains("acct_sandbox") && !refused.contains("rk_test_x"), "{refused}");
    ask("GET", "/v1/prices", "rk_test_x").refused(403);
    ask("GET", "/v1/customers", "rk_test_x").ok();
    assert_eq!(data(&sandbox.get("/v1/customers").ok()).len(), 0);
    ask("POST", "/v1/customers", "sk_test_x").ok();
    let refused = ask("GET", "/v1/billing/meters", "sk_test_x").refused(403);
    assert!(refused.contains("rak_billing_meter_read"), "{refused}");
}

#[test]
fn a_fault_of_all_endpoints_or_of_one_customer_strikes_those_and_leaves_the_clock_alone() {
    let company = Company::with("what = \"lock_timeout\"\ncustomer = \"cus_nobody\"");
    company.report("e1").ok();
    let sandbox = Served::mannered("[[fault]]\nwhat = \"unavailable\"\n");
    let clock = sandbox.clock();
    clock.advance(OCTOBER + HOUR);
    for path in ["/v1/account", "/v1/customers", "/v1/invoices", "/v1/nothing"] {
        assert_eq!(sandbox.get(path).status, 503, "{path}");
    }
    // Who has no key is not known to be anybody.
    sandbox.send("GET", "/v1/account", &[], &[]).refused(401);
    let sandbox = Served::mannered("[[fault]]\nwhat = \"unavailable\"\nendpoint = \"test_clocks\"\n");
    assert_eq!(sandbox.get("/v1/test_helpers/test_clocks").status, 503);
    sandbox.get("/v1/account").ok();
}

/// The answers to a history that makes one of everything.
fn history(sandbox: &Served) -> String {
    let clock = sandbox.clock();
    let meter = sandbox.meter("requests", "sum");
    let price = sandbox.metered_price(&meter, &[("unit_amount_decimal", "3.6")]);
    let customer = sandbox.customer();
    let subscription = id(&sandbox.subscribe(&customer, &[&price], &[]));
    (0..3).for_each(|number| {
        sandbox.report("requests", &customer, "2.5", &format!("e{number}"), OCTOBER).ok();
    });
    sandbox.report("unheard_of", &customer, "1", "e9", OCTOBER).ok();
    let mut texts = sandbox.preview(&subscription).to_string();
    clock.advance(OCTOBER + 31 * DAY + HOUR / 2);
    let summary = format!(
        "/v1/billing/meters/{meter}/event_summaries?customer={customer}&start_time={OCTOBER}&end_time={}",
        OCTOBER + DAY
    );
    let subscription = format!("/v1/subscriptions/{subscription}?expand[]=customer");
    for path in ["/v1/invoices", "/v1/prices", &*subscription, &*summary, "/v1/customers?limit=1"] {
        texts.push_str(&sandbox.get(path).text);
    }
    texts
}

#[test]
fn an_account_with_an_empty_script_answers_as_one_without_manners_byte_for_byte() {
    let plain = Served::new();
    let polite = Served::mannered("seed = 3\n[answers]\nshape = \"endive\"\n");
    assert_eq!(history(&plain), history(&polite));
    assert_eq!(fs::read(plain.state()).unwrap(), fs::read(polite.state()).unwrap());
}

#[tokio::test]
async fn the_same_seed_strikes_the_same_requests_and_another_seed_others() {
    let struck = async |seed: u64| {
        let fault = Fault {
            endpoint: Some(Endpoint::MeterEvents),
            one_in: NonZeroU64::new(3),
            ..Fault::new(What::LockTimeout)
        };
        let local = open("2026-10-20T00:00:00Z", Manners { seed, faults: vec![fault], ..Manners::default() });
        let mut statuses = Vec::new();
        for number in 0..40 {
            statuses.push(report(&local, "1", &format!("e{number}"), "2026-10-19T00:00:00Z").await.status);
        }
        statuses
    };
    let first = struck(1).await;
    assert!(first.contains(&429) && first.contains(&200));
    assert_eq!(struck(1).await, first);
    assert_ne!(struck(2).await, first);
}

#[test]
fn a_manners_file_that_cannot_be_used_is_named_with_what_is_wrong_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let (path, state) = (folder.path().join("manners.toml"), folder.path().join("state"));
    let arguments = ["--state", state.to_str().unwrap(), "--manners", path.to_str().unwrap()];
    let started = || Ended::of(command(&arguments).output().unwrap()).expect(78).stderr;
    assert!(started().contains("manners.toml"), "it is not there");
    let wrong = [
        ("tempo = 1", "tempo"),
        ("[totals]\nlate = 1", "late"),
        ("[[fault]]\nwhat = \"explode\"", "explode"),
        ("[[fault]]\nwhat = \"cut\"\nevery = 0", "zero"),
        ("[[fault]]\nendpoint = \"prices\"", "what"),
        ("[[fault]]\nwhat = \"cut\"\nendpoint = \"price\"", "price"),
        ("[[fault]]\nwhat = \"cut\"\nretry_after = 1", "rate_limited"),
        ("missing_permissions = [\"prices:drink\"]", "prices:drink"),
        ("[limits.per_second_of]\nprice = 1", "price"),
        ("[[drop]]\ncode = \"bored\"", "bored"),
        ("seed = -1", "seed"),
        ("seed =", "seed"),
    ];
    for (text, named) in wrong {
        fs::write(&path, text).unwrap();
        let stderr = started();
        assert!(stderr.contains("manners.toml") && stderr.contains(named), "{text}: {stderr}");
    }
    assert!(!state.exists());
}

#[tokio::test]
async fn a_customers_requests_are_known_by_path_parameter_payload_subscription_and_invoice() {
    let of = |customer: &str| {
        let fault = Fault { customer: Some(customer.to_owned()), ..Fault::new(What::Unavailable) };
        open("2026-10-20T00:00:00Z", Manners { faults: vec![fault], ..Manners::default() })
    };
    let (acme, other) = (of("cus_acme"), of("cus_other"));
    let get = async |local: &Local, path: &str| ask(local, "GET", path, &[], &[KEY]).await;
    let (meters, invoices) =
        (get(&other, "/v1/billing/meters").await.ok(), get(&other, "/v1/invoices").await.ok());
    let (meter, invoice) = (id(&data(&meters)[0]), id(&data(&invoices)[0]));
    let (start, end) = (OCTOBER, OCTOBER + HOUR);
    let paths = [
        "/v1/customers/cus_acme".to_owned(),
        "/v1/subscriptions?customer=cus_acme".to_owned(),
        "/v1/subscriptions/sub_acme".to_owned(),
        "/v1/invoices?subscription=sub_acme".to_owned(),
        format!("/v1/invoices/{invoice}"),
        format!("/v1/invoices/{invoice}/lines"),
        format!(
            "/v1/billing/meters/{meter}/event_summaries?customer=cus_acme&start_time={start}&end_time={end}"
        ),
    ];
    for path in paths {
        assert_eq!(get(&acme, &path).await.status, 503, "{path}");
        get(&other, &path).await.ok();
    }
    let preview = [("subscription", "sub_acme")];
    for (local, status) in [(&acme, 503), (&other, 200)] {
        let shown = ask(local, "POST", "/v1/invoices/create_preview", &preview, &[KEY]).await;
        assert_eq!(shown.status, status);
        assert_eq!(report(local, "1", "e1", "2026-10-19T00:00:00Z").await.status, status);
        get(local, "/v1/invoices").await.ok();
    }
}
