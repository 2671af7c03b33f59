//! What a forecast is held to.
//!
//! In: windows, instants, usage at the edges of what can be said. Out: failing tests.

use super::*;
use crate::domain::catalog::{Aggregation, Billing, Meter, Plan, PushScope};
use crate::domain::figures::{Disposition, Payer, SegmentUsage, Stretch};
use crate::domain::number::{QuantitySum, UnitAmount};
use crate::domain::period::Interval;
use crate::domain::price::Price;
use crate::domain::rule::Rule;
use crate::domain::usage::UsageTotal;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn month(start: &str, end: &str) -> Window {
    Window { start: at(start), end: at(end) }
}

fn february() -> Window {
    month("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z")
}

fn plan_id() -> PlanId {
    PlanId { key: "pro".into(), interval: Interval::Month, currency: Currency::parse("try").unwrap() }
}

/// `calls` with 100 free units of 7.00, `seats` a gauge without a quota.
fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    let mut usage = std::collections::BTreeMap::new();
    for (key, aggregation, quota) in
        [("calls", Aggregation::Sum, Some(100)), ("seats", Aggregation::Max, None)]
    {
        let (key, event_name) = (key.to_owned(), key.to_owned());
        let meter =
            Meter { key: key.clone(), aggregation, per_source: false, rule: Rule::default(), event_name };
        catalog.add_meter(meter, "meter").unwrap();
        let unit = Price::per_unit(UnitAmount::parse("700").unwrap());
        let quota = quota.map(|units| Quantity::whole(units).unwrap());
        let price = UsagePrice::new(Billing::Shadow, PushScope::All, quota, unit, "usage").unwrap();
        usage.insert(key, price);
    }
    catalog.add_plan(Plan { id: plan_id(), amount_minor: 0, hard_cap: false, usage }, "plan").unwrap();
    catalog
}

fn figures(window: Window, meter: &str, used: &str) -> WindowFigures {
    let total = UsageTotal { records: 1, quantity: QuantitySum::parse(used).unwrap() };
    let usage = SegmentUsage {
        range: window,
        plan: Some(plan_id()),
        meter: meter.to_owned(),
        disposition: Disposition::Billable,
        total,
        readings: (meter == "seats").then_some(total),
        taken_back: QuantitySum::ZERO,
        split: None,
    };
    WindowFigures {
        tenant_id: "acme".into(),
        tenant_name: "Acme".into(),
        window,
        accounted: vec![window],
        trial: false,
        stretches: vec![Stretch { range: window, plan: Some(plan_id()), invoiced: true }],
        status: WindowStatus::Open,
        park: None,
        not_billed: false,
        full_cycle: false,
        payer: Payer::Paying,
        catalog_hash: String::new(),
        usage: vec![usage],
        lines: Vec::new(),
    }
}

/// `quantity share minor` of a meter, `n/a` for what cannot be said.
fn told(figures: &WindowFigures, meter: &str, now: &str) -> Option<String> {
    let all = forecasts(figures, &catalog(), &History::default(), at(now));
    let one = all.into_iter().find(|one| one.meter == meter)?;
    let text = |value: Option<Ratio>| value.map_or("n/a".to_owned(), |value| value.to_string());
    let minor = one.amount.map_or("n/a".to_owned(), |amount| amount.minor.to_string());
    Some(format!("{} {} {} {minor}", one.elapsed, text(one.quantity), text(one.share)))
}

#[test]
fn usage_goes_on_as_it_went() {
    let window = figures(february(), "calls", "60");
    for (now, expected) in [
        ("2026-02-01T00:00:00Z", "0 n/a n/a n/a"),
        // A quarter of 28 days.
        ("2026-02-08T00:00:00Z", "0.25 240 2.4 98000"),
        ("2026-02-15T00:00:00Z", "0.5 120 1.2 14000"),
        // 60 x 28 / 27 = 62.2…
        ("2026-02-28T00:00:00Z", "0.964286 62.222222 0.622222 0"),
    ] {
        assert_eq!(told(&window, "calls", now).unwrap(), expected, "{now}");
    }
    // The last instant there is: what is used, and the very little that may follow.
    let last = told(&window, "calls", "2026-02-28T23:59:59.999999999Z").unwrap();
    assert_eq!(last, "1 60 0.6 0");
    // Units beyond the quota are priced to the digit: 30 x 28 / 5 = 168, and 68 x 7.00.
    assert_eq!(
        told(&figures(february(), "calls", "30"), "calls", "2026-02-06T00:00:00Z").unwrap(),
        "0.178571 168 1.68 47600"
    );
}

#[test]
fn a_month_with_a_change_of_clocks_is_as_long_as_it_is() {
    // Berlin's March has 743 hours.
    let march = month("2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z");
    let told = told(&figures(march, "calls", "74.3"), "calls", "2026-03-01T09:00:00Z");
    assert_eq!(told.unwrap(), "0.013459 5520.49 55.2049 3794343");
}

#[test]
fn a_gauge_stays_where_it_stands_also_in_the_first_instant() {
    let window = figures(february(), "seats", "7.5");
    for (now, elapsed) in [("2026-02-01T00:00:00Z", "0"), ("2026-02-15T00:00:00Z", "0.5")] {
        assert_eq!(told(&window, "seats", now).unwrap(), format!("{elapsed} 7.5 n/a 5250"));
    }
}

#[test]
fn what_is_not_used_has_a_row_only_with_a_quota() {
    let window = WindowFigures { usage: Vec::new(), ..figures(february(), "calls", "1") };
    assert_eq!(told(&window, "calls", "2026-02-15T00:00:00Z").unwrap(), "0.5 0 0 0");
    assert_eq!(told(&window, "seats", "2026-02-15T00:00:00Z"), None);
}

#[test]
fn nothing_is_said_of_a_trial_a_parked_window_and_one_that_is_over_or_to_come() {
    let open = figures(february(), "calls", "1");
    let now = "2026-02-15T00:00:00Z";
    assert!(told(&open, "calls", now).is_some());
    assert_eq!(told(&WindowFigures { trial: true, ..open.clone() }, "calls", now), None);
    assert_eq!(told(&WindowFigures { status: WindowStatus::Parked, ..open.clone() }, "calls", now), None);
    assert_eq!(told(&WindowFigures { status: WindowStatus::Closed, ..open.clone() }, "calls", now), None);
    for other in ["2026-01-31T23:59:59.999999999Z", "2026-03-01T00:00:00Z"] {
        assert_eq!(told(&open, "calls", other), None, "{other}");
    }
    let mut paused = open;
    paused.stretches[0].invoiced = false;
    assert_eq!(told(&paused, "calls", now), None);
}

#[test]
fn what_is_too_large_is_not_said_and_never_panics() {
    // A nanosecond has passed of a length that nothing divides.
    let odd = month("2026-02-01T00:00:00Z", "2026-03-01T00:00:00.000000001Z");
    let most = figures(odd, "calls", "999999999999999999.999999999999");
    let told_of = |window: &WindowFigures, now| told(window, "calls", now).unwrap();
    assert_eq!(told_of(&most, "2026-02-01T00:00:00.000000001Z"), "0 n/a n/a n/a");
    // The quantity can be said here, and no bill can hold it.
    let large = figures(february(), "calls", "999999999999999999");
    let told = told_of(&large, "2026-02-01T00:00:00.000000001Z");
    assert_eq!(told, "0 2419199999999999997580800000000000 24191999999999999975808000000000 n/a");
    let eternal = figures(Window { start: Timestamp::MIN, end: Timestamp::MAX }, "calls", "1");
    assert!(told_of(&eternal, "2026-02-01T00:00:00Z").ends_with(" 0"));
}
