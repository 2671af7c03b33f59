//! Meters, their events and what they add up to.

use super::{DAY, HOUR, OCTOBER, Served, data, figures, id, pairs};

fn total(sandbox: &Served, meter: &str, customer: &str, from: i64, to: i64) -> serde_json::Value {
    let path = format!(
        "/v1/billing/meters/{meter}/event_summaries?customer={customer}&start_time={from}&end_time={to}"
    );
    sandbox.get(&path).ok()["data"][0]["aggregated_value"].clone()
}

#[test]
fn an_identifier_is_taken_once_in_24_hours() {
    let sandbox = Served::new();
    let clock = sandbox.clock();
    let (meter, customer) = (sandbox.meter("requests", "sum"), sandbox.customer());
    sandbox.report("requests", &customer, "130", "first", OCTOBER).ok();
    let again = sandbox.report("requests", &customer, "130", "first", OCTOBER);
    assert_eq!(again.refused(400), "An event already exists with identifier first.");
    assert_eq!(again.body["error"]["type"], "invalid_request_error");
    assert_eq!(again.headers["stripe-should-retry"], "false");
    assert_eq!(total(&sandbox, &meter, &customer, OCTOBER, OCTOBER + 60), 130);
    clock.advance(OCTOBER + DAY);
    sandbox.report("requests", &customer, "130", "first", OCTOBER).refused(400);
    clock.advance(OCTOBER + DAY + 1);
    sandbox.report("requests", &customer, "130", "first", OCTOBER).ok();
    assert_eq!(total(&sandbox, &meter, &customer, OCTOBER, OCTOBER + 60), 260);
}

#[test]
fn an_event_that_stripe_would_refuse_is_refused() {
    let sandbox = Served::new();
    let (meter, customer) = (sandbox.meter("requests", "sum"), sandbox.customer());
    let oldest = OCTOBER - 35 * DAY;
    let old = sandbox.report("requests", &customer, "1", "old", oldest - 1).refused(400);
    assert!(old.ends_with(&format!("greater than or equal to {oldest}")), "{old}");
    sandbox.report("requests", &customer, "1", "oldest", oldest).ok();
    sandbox.report("requests", &customer, "1", "ahead", OCTOBER + 301).refused(400);
    sandbox.report("requests", &customer, "1", "newest", OCTOBER + 300).ok();
    sandbox.report("requests", &customer, "1234567890.123456", "digits", OCTOBER).refused(400);
    sandbox.report("requests", &customer, "123456789.123456", "15", OCTOBER).ok();
    for value in ["many", "1e3", "", "NaN", "0.0000000000001"] {
        sandbox.report("requests", &customer, value, "value", OCTOBER).refused(400);
    }
    let without = [("event_name", "requests"), ("payload[value]", "1")];
    sandbox.post("/v1/billing/meter_events", &without).refused(400);
    assert_eq!(total(&sandbox, &meter, &customer, oldest, OCTOBER + 360).to_string(), "123456791.123456");
}

#[test]
fn what_no_meter_or_customer_fits_is_accepted_and_dropped() {
    let sandbox = Served::new();
    let (meter, customer) = (sandbox.meter("requests", "sum"), sandbox.customer());
    sandbox.report("requests", "cus_nobody", "1", "a", OCTOBER).ok();
    sandbox.report("nothing", &customer, "1", "b", OCTOBER).ok();
    sandbox.post(&format!("/v1/billing/meters/{meter}/deactivate"), &[]).ok();
    sandbox.report("requests", &customer, "1", "c", OCTOBER).ok();
    sandbox.post(&format!("/v1/billing/meters/{meter}/reactivate"), &[]).ok();
    sandbox.report("requests", &customer, "7", "d", OCTOBER).ok();
    sandbox.report("requests", &customer, "7", "a", OCTOBER).refused(400);
    assert_eq!(total(&sandbox, &meter, &customer, OCTOBER, OCTOBER + 60), 7);
}

#[test]
fn a_summary_includes_its_start_and_not_its_end_and_wants_whole_minutes() {
    let sandbox = Served::new();
    let clock = sandbox.clock();
    clock.advance(OCTOBER + 2 * DAY);
    let (meter, customer) = (sandbox.meter("requests", "sum"), sandbox.customer());
    for (place, instant) in [OCTOBER - 1, OCTOBER, OCTOBER + 59, OCTOBER + 60].into_iter().enumerate() {
        sandbox.report("requests", &customer, "0.1", &format!("e{place}"), instant).ok();
    }
    assert_eq!(total(&sandbox, &meter, &customer, OCTOBER, OCTOBER + 60).to_string(), "0.2");
    let path =
        |query: String| format!("/v1/billing/meters/{meter}/event_summaries?customer={customer}&{query}");
    let refused = [
        format!("start_time={}&end_time={}", OCTOBER + 1, OCTOBER + 60),
        format!("start_time={OCTOBER}&end_time={}", OCTOBER + 59),
        format!("start_time={OCTOBER}&end_time={OCTOBER}"),
        format!("start_time={OCTOBER}"),
        format!("start_time={}&end_time={}&value_grouping_window=hour", OCTOBER + 60, OCTOBER + HOUR),
        format!("start_time={}&end_time={}&value_grouping_window=day", OCTOBER + HOUR, OCTOBER + DAY),
        format!("start_time={OCTOBER}&end_time={}&customer=cus_nobody", OCTOBER + 60),
    ];
    for query in refused {
        sandbox.get(&path(query)).refused(400);
    }
}

#[test]
fn hours_and_days_are_pages_newest_first() {
    let sandbox = Served::new();
    let clock = sandbox.clock();
    clock.advance(OCTOBER + 3 * DAY);
    let (meter, customer) = (sandbox.meter("requests", "sum"), sandbox.customer());
    for hour in 0..12 {
        let instant = OCTOBER + hour * HOUR + 5;
        sandbox.report("requests", &customer, &hour.to_string(), &format!("h{hour}"), instant).ok();
    }
    let path = format!(
        "/v1/billing/meters/{meter}/event_summaries?customer={customer}&start_time={OCTOBER}&end_time={}\
         &value_grouping_window=hour",
        OCTOBER + DAY
    );
    let first = sandbox.get(&path).ok();
    assert_eq!((data(&first).len(), first["has_more"].as_bool()), (10, Some(true)));
    assert_eq!(data(&first)[0]["aggregated_value"], 11);
    let rest = sandbox.get(&format!("{path}&starting_after={}", id(&data(&first)[9]))).ok();
    assert_eq!((data(&rest).len(), rest["has_more"].as_bool()), (2, Some(false)));
    assert_eq!(data(&rest)[1]["start_time"], OCTOBER);
}

#[test]
fn formulas_sum_count_or_take_the_last() {
    for (formula, expected) in [("sum", 12), ("count", 3), ("last", 4)] {
        let sandbox = Served::new();
        let (meter, customer) = (sandbox.meter("gauge", formula), sandbox.customer());
        for (value, ago) in [("3", 120), ("4", 0), ("5", 60)] {
            sandbox.report("gauge", &customer, value, value, OCTOBER - ago).ok();
        }
        assert_eq!(total(&sandbox, &meter, &customer, OCTOBER - 180, OCTOBER + 60), expected, "{formula}");
    }
}

#[test]
fn a_price_counts_its_customers_usage_from_the_subscriptions_start_on() {
    let sandbox = Served::new();
    let clock = sandbox.clock();
    let meter = sandbox.meter("requests", "sum");
    let price = sandbox.metered_price(&meter, &[("unit_amount", "10")]);
    let (mine, other) = (sandbox.customer(), sandbox.customer());
    clock.advance(OCTOBER + HOUR);
    let subscription = id(&sandbox.subscribe(&mine, &[&price], &[]));
    sandbox.report("requests", &mine, "1", "before", OCTOBER + HOUR - 1).ok();
    sandbox.report("requests", &mine, "2", "first", OCTOBER + HOUR).ok();
    sandbox.report("requests", &other, "4", "other", OCTOBER + HOUR).ok();
    assert_eq!(figures(&sandbox.preview(&subscription)), pairs(&[("2", 20)]));
}
