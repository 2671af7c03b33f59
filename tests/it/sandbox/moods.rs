//! How an account as a whole can behave: late totals, dropped events, stale drafts, deleted customers, older shapes,
//! odd numbers, odd lists, and real limits.

use std::collections::BTreeSet;

use billrecon::sandbox::Manners;
use billrecon::sandbox::manners::{Drafts, Totals};
use jiff::Timestamp;
use serde_json::Value;

use super::embedded::at;
use super::local::{ask, open, report};
use super::{DAY, HOUR, KEY, OCTOBER, Served, data, figures, id, pairs};

const NOW: &str = "2026-10-20T00:00:00Z";

async fn total(local: &billrecon::sandbox::Local) -> Value {
    let meters = ask(local, "GET", "/v1/billing/meters", &[], &[KEY]).await.ok();
    let [start, end] = ["2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"].map(|text| at(text).as_second());
    let path = format!(
        "/v1/billing/meters/{}/event_summaries?customer=cus_acme&start_time={start}&end_time={end}",
        id(&data(&meters)[0])
    );
    data(&ask(local, "GET", &path, &[], &[KEY]).await.ok())[0]["aggregated_value"].clone()
}

async fn preview(local: &billrecon::sandbox::Local) -> Value {
    let form = [("subscription", "sub_acme")];
    ask(local, "POST", "/v1/invoices/create_preview", &form, &[KEY]).await.ok()["subtotal"].clone()
}

#[tokio::test]
async fn totals_and_previews_show_an_event_only_after_a_while() {
    let totals = Totals { late_by_seconds: 90, late_up_to_seconds: 0 };
    let local = open(NOW, Manners { totals, ..Manners::default() });
    let now = at(NOW);
    report(&local, "130", "e1", NOW).await.ok();
    let later = |seconds: i64| Timestamp::from_second(now.as_second() + seconds).unwrap();
    for (seconds, shown, subtotal) in [(0, 0, 99_900), (89, 0, 99_900), (90, 130, 120_900)] {
        local.reach(later(seconds));
        assert_eq!(
            (total(&local).await, preview(&local).await),
            (shown.into(), subtotal.into()),
            "{seconds}"
        );
    }
    // What is not shown is there all the same.
    report(&local, "130", "e1", NOW).await.refused(400);
    report(&local, "7", "e2", NOW).await.ok();
    let [start, end] = ["2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"].map(at);
    assert_eq!(local.true_total("req", "cus_acme", start, end), Some("137".to_owned()));
    assert_eq!(total(&local).await, 130);
}

#[tokio::test]
async fn by_seed_each_event_is_late_by_its_own_time() {
    let shown_after = async |seed: u64| {
        let totals = Totals { late_by_seconds: 10, late_up_to_seconds: 600 };
        let local = open(NOW, Manners { seed, totals, ..Manners::default() });
        for number in 0..8 {
            report(&local, &(1_u32 << number).to_string(), &format!("e{number}"), NOW).await.ok();
        }
        let mut seen = Vec::new();
        for seconds in (0..=610).step_by(10) {
            local.reach(Timestamp::from_second(at(NOW).as_second() + seconds).unwrap());
            seen.push(total(&local).await.as_i64().unwrap());
        }
        seen
    };
    let seen = shown_after(1).await;
    assert_eq!((seen[0], seen[61]), (0, 255));
    assert!(seen.iter().collect::<BTreeSet<_>>().len() > 4, "not all at once: {seen:?}");
    assert_eq!(shown_after(1).await, seen);
    assert_ne!(shown_after(2).await, seen);
}

#[tokio::test]
async fn a_draft_may_show_what_was_known_when_it_was_made_until_it_is_finalized_with_all() {
    let drafts = Drafts { seconds: 72 * 3_600, stale: true };
    let totals = Totals { late_by_seconds: 3_600, late_up_to_seconds: 0 };
    let local = open("2026-10-31T22:00:00Z", Manners { drafts, totals, ..Manners::default() });
    let october = "2026-10-31T12:00:00Z";
    report(&local, "110", "e1", october).await.ok();
    local.reach(at("2026-10-31T23:30:00Z"));
    report(&local, "10", "e2", october).await.ok();
    local.reach(at("2026-11-01T00:30:00Z"));
    report(&local, "5", "e3", october).await.ok();
    let renewal = async || {
        let list = ask(&local, "GET", "/v1/invoices?subscription=sub_acme", &[], &[KEY]).await.ok();
        data(&list)[0].clone()
    };
    for now in ["2026-11-01T00:30:00Z", "2026-11-03T23:59:59Z"] {
        local.reach(at(now));
        let draft = renewal().await;
        assert_eq!(draft["status"], "draft");
        assert_eq!(draft["automatically_finalizes_at"], at("2026-11-04T00:00:00Z").as_second());
        assert_eq!(figures(&draft), pairs(&[("1", 99_900), ("100", 0), ("10", 7_000)]), "{now}");
    }
    assert_eq!(total(&local).await, 125);
    // Not yet shown, and billed.
    report(&local, "1", "e4", october).await.ok();
    local.reach(at("2026-11-04T00:00:00Z"));
    report(&local, "1000", "e5", october).await.ok();
    let paid = renewal().await;
    assert_eq!(
        (&paid["status"], figures(&paid)),
        (&"paid".into(), pairs(&[("1", 99_900), ("100", 0), ("26", 18_200)]))
    );
}

#[test]
fn a_dropped_event_is_accepted_never_counted_and_told_in_an_error_report() {
    let sandbox = Served::mannered(
        "[[drop]]\none_in = 4\ncustomer = \"cus_nobody\"\n[[drop]]\none_in = 4\ncode = \"archived_meter\"\n",
    );
    let (customer, meter) = (sandbox.customer(), sandbox.meter("requests", "sum"));
    for number in 0..40 {
        sandbox.report("requests", &customer, "1", &format!("e{number}"), OCTOBER).ok();
    }
    sandbox.report("requests", &customer, "1", "e0", OCTOBER).refused(400);
    let path = format!(
        "/v1/billing/meters/{meter}/event_summaries?customer={customer}&start_time={OCTOBER}&end_time={}",
        OCTOBER + HOUR
    );
    let counted = data(&sandbox.get(&path).ok())[0]["aggregated_value"].as_i64().unwrap();
    assert!((20..40).contains(&counted), "{counted}");
    let of = |filter: &str| sandbox.get(&format!("/v2/core/events{filter}")).ok();
    let reports = of(&format!("?types[]=v1.billing.meter.error_report_triggered&object_id={meter}"));
    let report = &data(&reports)[0];
    assert_eq!((data(&reports).len(), &report["object"]), (1, &"v2.core.event".into()));
    assert_eq!(report["related_object"]["id"], *meter);
    assert_eq!(report["data"]["validation_start"], "2026-10-01T00:00:00.000Z");
    let reason = &report["data"]["reason"];
    assert_eq!(reason["error_count"], 40 - counted);
    let [only] = reason["error_types"].as_array().unwrap().as_slice() else { panic!("{reason}") };
    assert_eq!((&only["code"], &only["error_count"]), (&"archived_meter".into(), &(40 - counted).into()));
    assert_eq!(only["sample_errors"].as_array().unwrap().len(), 3, "samples, not all");
    // What any account drops is told too.
    sandbox.report("unheard_of", &customer, "1", "f1", OCTOBER).ok();
    let unknown = of("?types[]=v1.billing.meter.no_meter_found");
    assert_eq!(data(&unknown)[0]["data"]["reason"]["error_types"][0]["code"], "no_meter");
    let first = of("?limit=1");
    assert_eq!((data(&first).len(), &first["previous_page_url"]), (1, &Value::Null));
    let second = sandbox.get(first["next_page_url"].as_str().unwrap()).ok();
    assert_eq!((data(&second).len(), &second["next_page_url"]), (1, &Value::Null));
    assert_ne!(data(&first)[0]["id"], data(&second)[0]["id"]);
}

#[test]
fn a_deleted_customer_ends_its_subscriptions_and_its_usage_counts_for_nothing() {
    let sandbox = Served::new();
    let clock = sandbox.clock();
    let meter = sandbox.meter("requests", "sum");
    let price = sandbox.metered_price(&meter, &[("unit_amount", "10")]);
    let customer = sandbox.customer();
    let subscription = id(&sandbox.subscribe(&customer, &[&price], &[]));
    sandbox.report("requests", &customer, "5", "e1", OCTOBER).ok();
    clock.advance(OCTOBER + DAY);
    let path = format!("/v1/customers/{customer}");
    for answer in [sandbox.delete(&path), sandbox.get(&path)] {
        let shown = answer.ok();
        assert_eq!(
            (&shown["deleted"], &shown["id"], shown.get("name")),
            (&true.into(), &(*customer).into(), None)
        );
    }
    sandbox.delete(&path).refused(404);
    assert!(data(&sandbox.get("/v1/customers").ok()).is_empty());
    let shown = sandbox.get(&format!("/v1/subscriptions/{subscription}?expand[]=customer")).ok();
    assert_eq!((&shown["status"], &shown["ended_at"]), (&"canceled".into(), &(OCTOBER + DAY).into()));
    assert_eq!(shown["customer"]["deleted"], true);
    // The first invoice, and none of the end.
    assert_eq!(data(&sandbox.get("/v1/invoices").ok()).len(), 1);
    sandbox.report("requests", &customer, "7", "e2", OCTOBER + DAY).ok();
    let summary =
        format!("/v1/billing/meters/{meter}/event_summaries?customer={customer}&start_time=0&end_time=60");
    let gone = sandbox.get(&summary);
    assert_eq!(gone.body["error"]["code"], "resource_missing");
    gone.refused(400);
    let reports = sandbox.get("/v2/core/events").ok();
    let reason = &data(&reports)[0]["data"]["reason"];
    assert_eq!(reason["error_types"][0]["code"], "meter_event_customer_not_found");
    assert_eq!(reason["error_types"][0]["sample_errors"][0]["request"]["identifier"], "e2");
    sandbox.post("/v1/subscriptions", &[("customer", &customer), ("items[0][price]", &price)]).refused(400);
    let again = sandbox.killed_and_started_again("2026-10-02T00:00:00Z");
    assert_eq!(again.get(&path).ok()["deleted"], true);
}

/// An account on usage in tiers, with 130 units used.
fn with_usage(manners: &str) -> (Served, String) {
    let sandbox = Served::mannered(manners);
    let (customer, meter) = (sandbox.customer(), sandbox.meter("requests", "sum"));
    let tiers = [
        ("billing_scheme", "tiered"),
        ("tiers_mode", "graduated"),
        ("tiers[0][up_to]", "100"),
        ("tiers[0][unit_amount]", "0"),
        ("tiers[1][up_to]", "inf"),
        ("tiers[1][unit_amount]", "700"),
    ];
    let price = sandbox.metered_price(&meter, &tiers);
    let subscription = id(&sandbox.subscribe(&customer, &[&price], &[]));
    sandbox.report("requests", &customer, "130", "e1", OCTOBER).ok();
    (sandbox, subscription)
}

#[test]
fn lines_and_subscriptions_may_have_their_older_shapes() {
    let (sandbox, subscription) = with_usage("[answers]\nshape = \"acacia\"\n");
    let preview = sandbox.preview(&subscription);
    assert_eq!((&preview["subscription"], &preview["paid"]), (&(*subscription).into(), &false.into()));
    assert!(preview.get("parent").is_none() && preview.get("total_taxes").is_none());
    let line = &data(&preview["lines"])[1];
    assert_eq!(
        (&line["quantity"], &line["amount"], &line["type"]),
        (&30.into(), &21_000.into(), &"subscription".into())
    );
    assert_eq!((&line["proration"], &line["subscription"]), (&false.into(), &(*subscription).into()));
    assert_eq!((&line["price"]["object"], &line["plan"]["object"]), (&"price".into(), &"plan".into()));
    assert!(line["subscription_item"].as_str().unwrap().starts_with("si_"));
    for name in ["parent", "pricing", "taxes", "quantity_decimal"] {
        assert!(line.get(name).is_none(), "{name}");
    }
    let shown = sandbox.get(&format!("/v1/subscriptions/{subscription}")).ok();
    assert_eq!(shown["current_period_start"], OCTOBER);
    assert_eq!(shown["current_period_end"], OCTOBER + 31 * DAY);
    assert!(shown["items"]["data"][0].get("current_period_start").is_none());
    let (sandbox, subscription) = with_usage("[answers]\nshape = \"basil\"\n");
    let line = data(&sandbox.preview(&subscription)["lines"])[1].clone();
    assert!(line.get("quantity_decimal").is_none() && line.get("pricing").is_some());
}

#[test]
fn numbers_may_be_written_as_floats_with_exponents_or_as_text() {
    for (numbers, quantity, total) in [
        ("float", "\"quantity\":30.0,", "\"aggregated_value\":130.0,"),
        ("exponent", "\"quantity\":3e1,", "\"aggregated_value\":1.3e2,"),
        ("text", "\"quantity\":\"30\",", "\"aggregated_value\":\"130\","),
    ] {
        let (sandbox, subscription) = with_usage(&format!("[answers]\nnumbers = \"{numbers}\"\n"));
        let form = [("subscription", &*subscription)];
        let preview = sandbox.post("/v1/invoices/create_preview", &form).text;
        assert!(preview.contains(quantity), "{preview}");
        assert!(preview.contains(&format!("\"created\":{}", OCTOBER + 31 * DAY)), "times stay: {preview}");
        let meter = id(&data(&sandbox.get("/v1/billing/meters").ok())[0]);
        let customer = id(&data(&sandbox.get("/v1/customers").ok())[0]);
        let path = format!(
            "/v1/billing/meters/{meter}/event_summaries?customer={customer}&start_time={OCTOBER}&end_time={}",
            OCTOBER + HOUR
        );
        let summary = sandbox.get(&path).text;
        assert!(summary.contains(total), "{summary}");
    }
}

#[test]
fn objects_may_have_fields_and_harmless_words_that_nobody_has_heard_of() {
    let (sandbox, subscription) = with_usage("[answers]\nunheard_of = true\n");
    let preview = sandbox.preview(&subscription);
    assert_eq!((&preview["billing_reason"], &preview["status"]), (&"unheard_of".into(), &"draft".into()));
    assert!(preview["unheard_of"].is_object() && data(&preview["lines"])[0]["unheard_of"].is_object());
    assert_eq!(figures(&preview), pairs(&[("100", 0), ("30", 21_000)]));
}

#[test]
fn pages_may_overlap_and_a_previews_further_lines_may_not_be_had() {
    let (sandbox, subscription) =
        with_usage("[lists]\noverlap = true\nlines_shown = 1\npreviews_unpaged = true\n");
    let customers: Vec<String> = (0..4).map(|_| sandbox.customer()).collect();
    let first = sandbox.get("/v1/customers?limit=2").ok();
    let second = sandbox.get(&format!("/v1/customers?limit=2&starting_after={}", customers[2])).ok();
    let ids = |list: &Value| data(list).iter().map(id).collect::<Vec<_>>();
    assert_eq!(ids(&first), [&*customers[3], &customers[2]]);
    assert_eq!(ids(&second), [&*customers[2], &customers[1]]);
    let alone = sandbox.get(&format!("/v1/customers?limit=1&starting_after={}", customers[2])).ok();
    assert_eq!(ids(&alone), [&*customers[1]], "a page of one goes on, or it would never end");
    let preview = sandbox.preview(&subscription);
    assert_eq!((data(&preview["lines"]).len(), &preview["lines"]["has_more"]), (1, &true.into()));
    let after = id(&data(&preview["lines"])[0]);
    let url = preview["lines"]["url"].as_str().unwrap();
    sandbox.get(&format!("{url}?starting_after={after}")).refused(404);
    // An invoice has all its lines.
    let invoice = id(&data(&sandbox.get("/v1/invoices").ok())[0]);
    sandbox.get(&format!("/v1/invoices/{invoice}/lines")).ok();
}

#[test]
fn more_requests_a_second_than_allowed_are_refused_by_the_real_clock() {
    let sandbox = Served::mannered("[limits]\nper_second = 1000\n[limits.per_second_of]\nprices = 3\n");
    let asked = |_| sandbox.get("/v1/prices");
    let limited = (0..1_000).map(asked).find(|one| one.status != 200).unwrap();
    limited.refused(429);
    assert_eq!(limited.headers["stripe-rate-limited-reason"], "endpoint-rate");
    sandbox.get("/v1/products").ok();
}
