//! The sandbox inside a process: seeded from plain data, on a clock that it is told.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use billrecon::sandbox::{
    Clock, Sandbox, Seed, SeedCustomer, SeedFormula, SeedMeter, SeedPrice, SeedScheme, SeedSubscription,
    SeedTier, State,
};
use jiff::Timestamp;
use serde_json::Value;

use super::{Answer, KEY, data, figures, pairs, send};

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A tenant on a base fee and 100 free requests, since 1 September.
pub fn seed() -> Seed {
    let tier = |up_to: Option<&str>, unit: &str| SeedTier {
        up_to: up_to.map(str::to_owned),
        unit_amount_decimal: unit.to_owned(),
        flat_amount_decimal: None,
    };
    let price = |id: &str, meter: Option<&str>, scheme| SeedPrice {
        id: id.to_owned(),
        currency: "try".to_owned(),
        interval: "month".to_owned(),
        meter: meter.map(str::to_owned),
        scheme,
        lookup_key: Some(format!("key_{id}")),
    };
    Seed {
        meters: vec![SeedMeter {
            key: "requests".to_owned(),
            event_name: "req".to_owned(),
            formula: SeedFormula::Sum,
        }],
        prices: vec![
            price(
                "price_base",
                None,
                SeedScheme::PerUnit { unit_amount_decimal: "99900".to_owned(), transform: None },
            ),
            price(
                "price_usage",
                Some("req"),
                SeedScheme::Graduated(vec![tier(Some("100"), "0"), tier(None, "700")]),
            ),
        ],
        customers: vec![SeedCustomer { id: "cus_acme".to_owned(), name: "Acme".to_owned() }],
        subscriptions: vec![SeedSubscription {
            id: "sub_acme".to_owned(),
            customer: "cus_acme".to_owned(),
            prices: vec!["price_base".to_owned(), "price_usage".to_owned()],
            interval: "month".to_owned(),
            anchor: at("2026-09-01T00:00:00Z"),
            started_at: at("2026-09-01T00:00:00Z"),
            ended_at: None,
            trial_end: None,
            past_statuses: Vec::new(),
            status: "active".to_owned(),
            windows: Vec::new(),
        }],
    }
}

/// Starts a sandbox, asks it things, and stops it.
fn asked<T>(state: State, now: &str, seed: &Seed, ask: impl FnOnce(&str) -> T + Send + 'static) -> T
where
    T: Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let sandbox = Sandbox::start(state, Clock::At(at(now)), seed).await.unwrap();
        let address = sandbox.base_url().trim_start_matches("http://").trim_end_matches('/').to_owned();
        let answer = tokio::task::spawn_blocking(move || ask(&address)).await.unwrap();
        sandbox.stop().await;
        answer
    })
}

fn get(address: &str, path: &str) -> Value {
    send(address, "GET", path, &[], &[KEY]).ok()
}

fn report(address: &str, value: &str, identifier: &str, timestamp: &str) -> Answer {
    let timestamp = at(timestamp).as_second().to_string();
    let form = [
        ("event_name", "req"),
        ("payload[stripe_customer_id]", "cus_acme"),
        ("payload[value]", value),
        ("identifier", identifier),
        ("timestamp", &timestamp),
    ];
    send(address, "POST", "/v1/billing/meter_events", &form, &[KEY])
}

fn folder() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("billrecon.db.sandbox");
    (folder, path)
}

fn lines(path: &Path) -> usize {
    fs::read_to_string(path).unwrap().lines().count()
}

fn subscription(address: &str) -> Value {
    get(address, "/v1/subscriptions/sub_acme")
}

fn period(address: &str) -> [i64; 2] {
    let item = &subscription(address)["items"]["data"][0];
    ["current_period_start", "current_period_end"].map(|name| item[name].as_i64().unwrap())
}

fn seconds(instants: [&str; 2]) -> [i64; 2] {
    instants.map(|text| at(text).as_second())
}

#[test]
fn a_seeded_company_is_billed_by_window_and_seeding_again_changes_nothing() {
    let (_folder, path) = folder();
    let file = || State::File(path.clone());
    asked(file(), "2026-10-20T00:00:00Z", &seed(), |address| {
        report(address, "130", "e1", "2026-10-19T00:00:00Z").ok();
        report(address, "40", "e2", "2026-09-20T00:00:00Z").ok();
        let form = [("subscription", "sub_acme")];
        let preview = send(address, "POST", "/v1/invoices/create_preview", &form, &[KEY]).ok();
        assert_eq!(figures(&preview), pairs(&[("1", 99_900), ("100", 0), ("30", 21_000)]));
        let invoices = get(address, "/v1/invoices?subscription=sub_acme");
        // September was finalized before the sandbox first saw its usage.
        assert_eq!(figures(&data(&invoices)[0]), pairs(&[("1", 99_900), ("0", 0)]));
        assert_eq!(data(&invoices)[0]["status"], "paid");
    });
    let before = lines(&path);
    asked(file(), "2026-10-20T00:00:00Z", &seed(), |_| ());
    assert_eq!(lines(&path), before, "nothing new, nothing written");
    // An earlier `now` does not lead back.
    let seen = asked(file(), "2026-09-02T00:00:00Z", &seed(), |address| {
        report(address, "1", "e3", "2026-10-20T00:00:00Z").ok()["created"].clone()
    });
    assert_eq!(seen, at("2026-10-20T00:00:00Z").as_second());
    let renewal = asked(file(), "2026-11-01T01:00:00Z", &seed(), |address| {
        get(address, "/v1/invoices?subscription=sub_acme")["data"][0].clone()
    });
    assert_eq!(figures(&renewal), pairs(&[("1", 99_900), ("100", 0), ("31", 21_700)]));
    assert_eq!(renewal["status"], "paid");
}

#[test]
fn a_dry_run_reads_the_journal_and_never_writes_it() {
    let (_folder, path) = folder();
    let memory = || State::MemoryFrom(path.clone());
    let preview = |address: &str| {
        report(address, "130", "e1", "2026-10-19T00:00:00Z").ok();
        let form = [("subscription", "sub_acme")];
        send(address, "POST", "/v1/invoices/create_preview", &form, &[KEY]).ok()["subtotal"].clone()
    };
    assert_eq!(asked(memory(), "2026-10-20T00:00:00Z", &seed(), preview), 120_900);
    assert!(!path.exists());
    asked(State::File(path.clone()), "2026-10-20T00:00:00Z", &seed(), |address| {
        report(address, "200", "e0", "2026-10-18T00:00:00Z").ok();
    });
    let before = fs::read(&path).unwrap();
    assert_eq!(asked(memory(), "2026-10-25T00:00:00Z", &seed(), preview), 99_900 + 230 * 700);
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_change_of_plan_and_an_end_count_from_now_on() {
    let (_folder, path) = folder();
    let file = || State::File(path.clone());
    asked(file(), "2026-10-10T00:00:00Z", &seed(), |address| {
        report(address, "500", "e1", "2026-10-09T00:00:00Z").ok();
    });
    let mut dearer = seed();
    dearer.prices.push(SeedPrice {
        id: "price_dear".to_owned(),
        currency: "try".to_owned(),
        interval: "month".to_owned(),
        meter: Some("req".to_owned()),
        scheme: SeedScheme::PerUnit { unit_amount_decimal: "1000".to_owned(), transform: None },
        lookup_key: None,
    });
    dearer.subscriptions[0].prices = vec!["price_base".to_owned(), "price_dear".to_owned()];
    asked(file(), "2026-10-15T00:00:00Z", &dearer, |address| {
        report(address, "2", "e2", "2026-10-15T00:00:00Z").ok();
        let form = [("subscription", "sub_acme")];
        let preview = send(address, "POST", "/v1/invoices/create_preview", &form, &[KEY]).ok();
        assert_eq!(figures(&preview), pairs(&[("2", 2_000), ("1", 99_900)]));
    });
    // An end in the past ends it now: what was alive cannot have been dead.
    dearer.subscriptions[0].ended_at = Some(at("2026-10-16T00:00:00Z"));
    dearer.subscriptions[0].status = "canceled".to_owned();
    asked(file(), "2026-10-20T00:00:00Z", &dearer, |address| {
        let shown = subscription(address);
        assert_eq!(shown["status"], "canceled");
        assert_eq!(shown["ended_at"], at("2026-10-20T00:00:00Z").as_second());
        let last = &get(address, "/v1/invoices?subscription=sub_acme")["data"][0];
        assert_eq!(figures(last), pairs(&[("2", 2_000)]));
    });
}

#[test]
fn a_canceled_subscription_without_an_end_ends_when_it_is_heard_of() {
    let (_folder, path) = folder();
    let mut canceled = seed();
    canceled.subscriptions[0].status = "canceled".to_owned();
    for now in ["2026-10-20T00:00:00Z", "2026-10-25T00:00:00Z"] {
        let shown = asked(State::File(path.clone()), now, &canceled, subscription);
        assert_eq!(shown["status"], "canceled");
        assert_eq!(shown["ended_at"], at("2026-10-20T00:00:00Z").as_second());
    }
}

/// The invoices after three months, newest first: `created status reason`, and the period of their usage.
fn invoices_of(status: &str, past: &[(&str, &str)]) -> Vec<String> {
    let (_folder, path) = folder();
    let mut given = seed();
    status.clone_into(&mut given.subscriptions[0].status);
    given.subscriptions[0].past_statuses =
        past.iter().map(|(status, until)| ((*status).to_owned(), at(until))).collect();
    asked(State::File(path), "2026-12-15T00:00:00Z", &given, |address| {
        report(address, "130", "e1", "2026-11-12T00:00:00Z").ok();
        let day = |second: &Value| {
            Timestamp::from_second(second.as_i64().unwrap()).unwrap().strftime("%m-%d").to_string()
        };
        let shown = |one: &Value| {
            assert_eq!(one["automatically_finalizes_at"].is_null(), one["auto_advance"] == false);
            let is_usage = |line: &&Value| line["pricing"]["price_details"]["price"] == "price_usage";
            let period = &data(&one["lines"]).iter().find(is_usage).unwrap()["period"];
            let [created, start, end] = [&one["created"], &period["start"], &period["end"]].map(day);
            let word =
                |name: &str| one[name].as_str().unwrap().trim_start_matches("subscription_").to_owned();
            format!("{created} {} {} {start} {end}", word("status"), word("billing_reason"))
        };
        data(&get(address, "/v1/invoices?subscription=sub_acme")).iter().map(shown).collect()
    })
}

#[test]
fn a_status_decides_which_invoices_there_are_and_never_changes_those_made_before() {
    const BEFORE: [&str; 3] =
        ["11-01 paid cycle 10-01 11-01", "10-01 paid cycle 09-01 10-01", "09-01 paid create 09-01 10-01"];
    let since = [("active", "2026-11-10T00:00:00Z")];
    let with = |newest: &'static str| [&[newest][..], &BEFORE].concat();
    assert_eq!(invoices_of("past_due", &since), with("12-01 paid cycle 11-01 12-01"));
    assert_eq!(invoices_of("unpaid", &since), with("12-01 draft cycle 11-01 12-01"));
    // What was used until the pause is billed with it; then there is no renewal.
    assert_eq!(invoices_of("paused", &since), with("11-10 paid update 11-01 11-10"));
    for status in ["paused", "incomplete", "incomplete_expired"] {
        assert_eq!(invoices_of(status, &[]), BEFORE[2..], "{status}");
    }
}

#[test]
fn windows_may_be_given_one_by_one_and_are_extended_later() {
    let (_folder, path) = folder();
    let file = || State::File(path.clone());
    // Months in Berlin, where the clock changes on 25 October.
    let berlin =
        ["2026-08-31T22:00:00Z", "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z"];
    let mut given = seed();
    let window = |place: usize| (at(berlin[place]), at(berlin[place + 1]));
    given.subscriptions[0].windows = vec![window(0), window(1)];
    given.subscriptions[0].started_at = at(berlin[0]);
    let seen = asked(file(), "2026-10-20T00:00:00Z", &given, period);
    assert_eq!(seen, seconds([berlin[1], berlin[2]]));
    given.subscriptions[0].windows = vec![window(1), window(2)];
    let seen = asked(file(), "2026-11-05T00:00:00Z", &given, |address| {
        let invoices = get(address, "/v1/invoices?subscription=sub_acme");
        let created: Vec<i64> = data(&invoices).iter().map(|one| one["created"].as_i64().unwrap()).collect();
        (period(address), created)
    });
    assert_eq!(seen.0, seconds([berlin[2], berlin[3]]));
    assert_eq!(seen.1, [berlin[2], berlin[1], berlin[0]].map(|text| at(text).as_second()));
}

#[test]
fn what_cannot_be_seeded_is_named() {
    let mut wrong = seed();
    wrong.subscriptions[0].prices.push("price_nowhere".to_owned());
    let (_folder, path) = folder();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let clock = Clock::At(at("2026-10-20T00:00:00Z"));
    let start = runtime.block_on(Sandbox::start(State::File(path.clone()), clock, &wrong));
    let text = start.err().unwrap().to_string();
    assert!(text.contains("sub_acme") && text.contains("price_nowhere"), "{text}");
    // The file is free again, and a dropped sandbox gives it back too.
    drop(runtime.block_on(Sandbox::start(State::File(path.clone()), clock, &seed())).unwrap());
    drop(runtime.block_on(Sandbox::start(State::File(path), clock, &seed())).unwrap());
}

#[test]
fn five_thousand_tenants_are_seeded_at_once() {
    let (_folder, path) = folder();
    let mut many = seed();
    let template = many.subscriptions[0].clone();
    for number in 0..5_000 {
        let customer = format!("cus_{number}");
        many.customers.push(SeedCustomer { id: customer.clone(), name: format!("Tenant {number}") });
        many.subscriptions.push(SeedSubscription {
            id: format!("sub_{number}"),
            customer,
            ..template.clone()
        });
    }
    let begun = Instant::now();
    let page = asked(State::File(path.clone()), "2026-10-20T00:00:00Z", &many, |address| {
        get(address, "/v1/subscriptions?limit=100")
    });
    let first = begun.elapsed();
    let begun = Instant::now();
    asked(State::File(path), "2026-10-20T00:00:00Z", &many, |_| ());
    println!("5,000 tenants: seeded in {first:?}, looked at again in {:?}", begun.elapsed());
    assert_eq!(data(&page).len(), 100);
    assert_eq!(page["has_more"], true);
}
