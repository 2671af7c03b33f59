//! What the figures of a window are held to, with the proof of their control totals.
//!
//! In: a small catalog, tenants, ledger totals. Out: failing tests.

use proptest::prelude::*;

use super::*;
use crate::domain::aggregation::MeterUsage;
use crate::domain::catalog::{Aggregation, Billing, Meter, PushScope};
use crate::domain::controls::{ControlFault, ControlTotals, Measure};
use crate::domain::late::late;
use crate::domain::money::Currency;
use crate::domain::number::UnitAmount;
use crate::domain::period::{Interval, Period};
use crate::domain::price::{Price, Tier, TiersMode};
use crate::domain::rule::Rule;
use crate::domain::tenant::{Subscription, SubscriptionStatus, Tenant};

fn plan_id(key: &str) -> PlanId {
    PlanId { key: key.into(), interval: Interval::Month, currency: Currency::parse("try").unwrap() }
}

/// Plan `pro` sells `calls` with 100 free; nothing sells `other`.
fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    for key in ["calls", "other"] {
        let meter = Meter {
            key: key.into(),
            aggregation: Aggregation::Sum,
            per_source: false,
            rule: Rule::default(),
            event_name: key.into(),
        };
        catalog.add_meter(meter, "meter").unwrap();
    }
    let unit = Price::per_unit(UnitAmount::parse("700").unwrap());
    let quota = Some(Quantity::whole(100).unwrap());
    let price = UsagePrice::new(Billing::Shadow, PushScope::All, quota, unit, "usage").unwrap();
    let usage = [("calls".to_owned(), price)].into();
    catalog
        .add_plan(Plan { id: plan_id("pro"), amount_minor: 99_900, hard_cap: false, usage }, "plan")
        .unwrap();
    catalog
}

fn tenant(plan: &str, started_at: &str) -> Tenant {
    let subscription = Subscription {
        tenant_id: "acme".into(),
        name: "Acme".into(),
        plan: plan_id(plan),
        stripe_customer_id: String::new(),
        stripe_subscription_id: String::new(),
        status: SubscriptionStatus::Active,
        billing_anchor: None,
        trial_end: None,
        started_at: Some(started_at.parse().unwrap()),
        ended_at: None,
    };
    Tenant::new("acme".into(), vec![subscription]).unwrap()
}

fn total(records: u64, quantity: &str) -> UsageTotal {
    UsageTotal { records, quantity: QuantitySum::parse(quantity).unwrap() }
}

/// The same totals for the window and for each of its pieces, split by the caller.
fn totals(pieces: &[(Window, &str, UsageTotal)]) -> LedgerTotals {
    let mut totals = LedgerTotals::new();
    for (range, meter, total) in pieces {
        let tenants = totals.entry(*range).or_default();
        tenants
            .entry("acme".to_owned())
            .or_default()
            .insert((*meter).to_owned(), MeterUsage { billable: *total, ..MeterUsage::default() });
    }
    totals
}

fn october(tenant: &Tenant) -> TenantWindow<'_> {
    tenant.windows(Period::parse("2026-10").unwrap(), &jiff::tz::TimeZone::UTC).remove(0)
}

fn measure(control: &ControlTotals, meter: &str, measure: Measure) -> (u64, String) {
    let total = control.0[meter][&measure];
    (total.records, total.quantity.to_string())
}

#[test]
fn usage_of_a_meter_without_a_price_and_of_a_time_without_a_plan_is_excluded_and_the_totals_tie() {
    let tenant = tenant("pro", "2026-10-10T00:00:00Z");
    let window = october(&tenant);
    let (segment, gap) = (window.segments[0].range, window.gaps[0]);
    let totals = totals(&[
        (window.window, "calls", total(5, "134")),
        (window.window, "other", total(1, "9")),
        (segment, "calls", total(3, "130")),
        (segment, "other", total(1, "9")),
        (gap, "calls", total(2, "4")),
    ]);
    let figures = WindowFigures::new(&window, (&catalog(), "v1"), &totals, WindowStatus::Closed);
    let amounts: Vec<i64> = figures.lines.iter().map(|line| line.line.amount.minor).collect();
    assert_eq!(amounts, [0, 21_000, 99_900]);
    let control = ControlTotals::prove(&[], &[&figures], &totals).unwrap();
    assert_eq!(measure(&control, "calls", Measure::Accepted), (5, "134".into()));
    assert_eq!(measure(&control, "calls", Measure::Excluded), (2, "4".into()));
    assert_eq!(measure(&control, "calls", Measure::Free), (0, "100".into()));
    assert_eq!(measure(&control, "calls", Measure::Billed), (0, "30".into()));
    assert_eq!(measure(&control, "other", Measure::Excluded), (1, "9".into()));
}

#[test]
fn what_the_ledger_holds_beyond_a_closed_window_is_late() {
    let tenant = tenant("pro", "2026-01-01T00:00:00Z");
    let window = october(&tenant);
    let then = totals(&[(window.window, "calls", total(3, "130"))]);
    let closed = WindowFigures::new(&window, (&catalog(), "v1"), &then, WindowStatus::Closed);
    let now = totals(&[(window.window, "calls", total(4, "137.5"))]);
    let late = late(&closed, &now, Some(&catalog()), &[]).unwrap();
    let control = ControlTotals::prove(&[(&closed, &late)], &[], &now).unwrap();
    assert_eq!(measure(&control, "calls", Measure::Late), (1, "7.5".into()));
    assert_eq!(measure(&control, "calls", Measure::InWindow), (3, "130".into()));
}

#[test]
fn a_lost_record_and_a_wrong_line_break_the_proof() {
    let tenant = tenant("pro", "2026-01-01T00:00:00Z");
    let window = october(&tenant);
    let totals_now = totals(&[(window.window, "calls", total(3, "130"))]);
    let mut figures = WindowFigures::new(&window, (&catalog(), "v1"), &totals_now, WindowStatus::Closed);
    let more = totals(&[(window.window, "calls", total(4, "131"))]);
    let fault = ControlTotals::prove(&[], &[&figures], &more).unwrap_err();
    assert_eq!(fault, ControlFault::Records("calls".into()));
    figures.lines[1].line.quantity = Quantity::whole(29).unwrap();
    let fault = ControlTotals::prove(&[], &[&figures], &totals_now).unwrap_err();
    assert_eq!(fault, ControlFault::Lines("acme".into(), "calls".into()));
}

#[test]
fn a_tenant_that_cannot_be_rated_is_parked_with_its_reason() {
    let unknown = tenant("legacy", "2026-01-01T00:00:00Z");
    let window = october(&unknown);
    let some = totals(&[(window.window, "calls", total(1, "12"))]);
    let parked = WindowFigures::new(&window, (&catalog(), "v1"), &some, WindowStatus::Closed);
    assert_eq!((parked.status, parked.park), (WindowStatus::Parked, Some(ParkReason::UnknownPlan)));
    let control = ControlTotals::prove(&[], &[&parked], &some).unwrap();
    assert_eq!(measure(&control, "calls", Measure::Parked), (1, "12".into()));
    let pro = tenant("pro", "2026-01-01T00:00:00Z");
    let window = october(&pro);
    let absurd = totals(&[(window.window, "calls", total(2_000, "2000000000000000000"))]);
    let parked = WindowFigures::new(&window, (&catalog(), "v1"), &absurd, WindowStatus::Closed);
    assert_eq!(parked.park, Some(ParkReason::Overflow));
    assert!(parked.lines.is_empty());
    ControlTotals::prove(&[], &[&parked], &absurd).unwrap();
}

proptest! {
    #[test]
    fn the_totals_of_any_usage_tie(units in 0u64..100_000, milli in 0u32..1_000, records in 1u64..50) {
        let tenant = tenant("pro", "2026-01-01T00:00:00Z");
        let window = october(&tenant);
        let totals = totals(&[(window.window, "calls", total(records, &format!("{units}.{milli:03}")))]);
        let figures = WindowFigures::new(&window, (&catalog(), "v1"), &totals, WindowStatus::Closed);
        prop_assert!(ControlTotals::prove(&[], &[&figures], &totals).is_ok());
    }
}

/// A catalog with one meter and one plan that sells it.
fn selling(aggregation: Aggregation, price: UsagePrice) -> Catalog {
    let mut catalog = Catalog::default();
    let (per_source, rule) = (false, Rule::default());
    let meter = Meter { key: "calls".into(), aggregation, per_source, rule, event_name: "calls".into() };
    catalog.add_meter(meter, "meter").unwrap();
    let usage = [("calls".to_owned(), price)].into();
    let plan = Plan { id: plan_id("pro"), amount_minor: 0, hard_cap: false, usage };
    catalog.add_plan(plan, "plan").unwrap();
    catalog
}

fn per_unit(push: PushScope, quota: Option<u64>) -> UsagePrice {
    let unit = Price::per_unit(UnitAmount::parse("700").unwrap());
    let quota = quota.map(|units| Quantity::whole(units).unwrap());
    UsagePrice::new(Billing::Shadow, push, quota, unit, "usage").unwrap()
}

fn amounts(figures: &WindowFigures) -> Vec<i64> {
    figures.lines.iter().map(|line| line.line.amount.minor).collect()
}

#[test]
fn of_a_gauge_only_the_readings_that_count_are_billed_and_the_others_are_superseded() {
    let tenant = tenant("pro", "2026-01-01T00:00:00Z");
    let window = october(&tenant);
    let usage = MeterUsage {
        billable: total(5, "40"),
        excluded: total(2, "8"),
        readings: Some(total(2, "14")),
        ..MeterUsage::default()
    };
    let by_meter = [("calls".to_owned(), usage)].into();
    let totals: LedgerTotals = [(window.window, [("acme".to_owned(), by_meter)].into())].into();
    let catalog = selling(Aggregation::Max, per_unit(PushScope::All, Some(10)));
    let figures = WindowFigures::new(&window, (&catalog, "v1"), &totals, WindowStatus::Closed);
    assert_eq!(amounts(&figures), [0, 2800]);
    let control = ControlTotals::prove(&[], &[&figures], &totals).unwrap();
    assert_eq!(measure(&control, "calls", Measure::Accepted), (7, "48".into()));
    assert_eq!(measure(&control, "calls", Measure::InWindow), (5, "40".into()));
    assert_eq!(measure(&control, "calls", Measure::Excluded), (2, "8".into()));
    assert_eq!(measure(&control, "calls", Measure::Aggregate), (2, "14".into()));
    assert_eq!(measure(&control, "calls", Measure::Superseded), (3, "26".into()));
    assert_eq!(measure(&control, "calls", Measure::Free).1, "10");
    assert_eq!(measure(&control, "calls", Measure::Billed).1, "4");
    assert!(!control.0["calls"].contains_key(&Measure::Used));
}

#[test]
fn a_hard_cap_ends_the_bill_at_the_quota_and_counts_what_lies_above() {
    let tenant = tenant("pro", "2026-01-01T00:00:00Z");
    let window = october(&tenant);
    let capped = per_unit(PushScope::All, Some(100)).with_hard_cap("usage").unwrap();
    let catalog = selling(Aggregation::Sum, capped);
    let totals = totals(&[(window.window, "calls", total(3, "130.5"))]);
    let figures = WindowFigures::new(&window, (&catalog, "v1"), &totals, WindowStatus::Closed);
    assert_eq!(amounts(&figures), [0]);
    let control = ControlTotals::prove(&[], &[&figures], &totals).unwrap();
    assert_eq!(measure(&control, "calls", Measure::Used).1, "130.5");
    assert_eq!(measure(&control, "calls", Measure::Capped).1, "30.5");
}

#[test]
fn a_negative_total_is_billed_as_nothing_and_the_totals_tie() {
    let tenant = tenant("pro", "2026-01-01T00:00:00Z");
    let window = october(&tenant);
    let totals = totals(&[(window.window, "calls", total(3, "-2.5"))]);
    let catalog = selling(Aggregation::Sum, per_unit(PushScope::All, None));
    let figures = WindowFigures::new(&window, (&catalog, "v1"), &totals, WindowStatus::Closed);
    assert_eq!(amounts(&figures), [0]);
    let control = ControlTotals::prove(&[], &[&figures], &totals).unwrap();
    assert_eq!(measure(&control, "calls", Measure::InWindow), (3, "-2.5".into()));
    assert_eq!(measure(&control, "calls", Measure::Used).1, "0");
    let parked = WindowFigures::new(&window, (&Catalog::default(), ""), &totals, WindowStatus::Closed);
    ControlTotals::prove(&[], &[&parked], &totals).unwrap();
}

/// CAP-PLAYPOST.
#[test]
fn a_fee_for_the_first_tier_is_charged_where_no_record_is() {
    let tenant = tenant("pro", "2026-01-01T00:00:00Z");
    let window = october(&tenant);
    let units = |text: &str| Quantity::parse(text).unwrap();
    let amount = |text: &str| UnitAmount::parse(text).unwrap();
    let first =
        Tier { flat_amount: Some(amount("999")), ..Tier::new(Some(units("100000")), UnitAmount::ZERO) };
    let tiers = vec![first, Tier::new(None, amount("0.02"))];
    let price = Price::tiered(TiersMode::Graduated, tiers).unwrap();
    let price = UsagePrice::new(Billing::Shadow, PushScope::All, None, price, "usage").unwrap();
    let catalog = selling(Aggregation::Sum, price);
    let nothing = LedgerTotals::new();
    let figures = WindowFigures::new(&window, (&catalog, "v1"), &nothing, WindowStatus::Closed);
    assert_eq!(amounts(&figures), [0, 999]);
    ControlTotals::prove(&[], &[&figures], &nothing).unwrap();
}

#[test]
fn a_quota_that_shrinks_with_the_part_of_the_window_does_so_only_where_it_is_to() {
    let tenant = tenant("pro", "2026-10-22T00:00:00Z");
    let window = october(&tenant);
    let range = window.segments[0].range;
    let totals = totals(&[(range, "calls", total(1, "50")), (window.window, "calls", total(1, "50"))]);
    let whole = per_unit(PushScope::Overage, Some(100));
    for (price, expected) in
        [(whole.clone(), vec![0]), (whole.with_prorated_quota("usage").unwrap(), vec![0, 17 * 700])]
    {
        let catalog = selling(Aggregation::Sum, price);
        let figures = WindowFigures::new(&window, (&catalog, "v1"), &totals, WindowStatus::Closed);
        // 100 x 10 / 31 days, begun units free: 33.
        assert_eq!(amounts(&figures), expected);
    }
}

proptest! {
    #[test]
    fn segments_add_up_to_their_window(first in 0u32..1_000_000, second in 0u32..1_000_000) {
        let change = Some("2026-10-15T12:00:00Z".parse().unwrap());
        let rows = tenant("pro", "2026-01-01T00:00:00Z").subscriptions().to_vec();
        let before = Subscription { ended_at: change, ..rows[0].clone() };
        // Another subscription, so that its row is a segment of its own.
        let stripe_subscription_id = "sub_2".to_owned();
        let after = Subscription { started_at: change, stripe_subscription_id, ..rows[0].clone() };
        let tenant = Tenant::new("acme".into(), vec![before, after]).unwrap();
        let window = october(&tenant);
        let text = |milli: u32| format!("{}.{:03}", milli / 1000, milli % 1000);
        let totals = totals(&[
            (window.segments[0].range, "calls", total(1, &text(first))),
            (window.segments[1].range, "calls", total(2, &text(second))),
            (window.window, "calls", total(3, &text(first + second))),
        ]);
        let catalog = selling(Aggregation::Sum, per_unit(PushScope::All, Some(100)));
        let figures = WindowFigures::new(&window, (&catalog, "v1"), &totals, WindowStatus::Closed);
        let control = ControlTotals::prove(&[], &[&figures], &totals).unwrap();
        prop_assert_eq!(measure(&control, "calls", Measure::InWindow), (3, Quantity::parse(&text(first + second)).unwrap().to_string()));
        let free: Vec<Quantity> = figures.usage.iter().filter_map(|usage| usage.split).map(|split| split.free).collect();
        prop_assert!(free.iter().all(|free| *free <= Quantity::whole(100).unwrap()), "each has its own quota");
    }
}

#[test]
fn a_gauge_whose_readings_are_lost_breaks_the_proof() {
    let tenant = tenant("pro", "2026-01-01T00:00:00Z");
    let window = october(&tenant);
    let usage =
        MeterUsage { billable: total(5, "40"), readings: Some(total(2, "14")), ..MeterUsage::default() };
    let by_meter = [("calls".to_owned(), usage)].into();
    let totals: LedgerTotals = [(window.window, [("acme".to_owned(), by_meter)].into())].into();
    let catalog = selling(Aggregation::Max, per_unit(PushScope::All, None));
    let figures = WindowFigures::new(&window, (&catalog, "v1"), &totals, WindowStatus::Closed);
    let mut lost = figures.clone();
    lost.usage[0].readings = None;
    lost.usage[0].split = None;
    let fault = ControlTotals::prove(&[], &[&figures, &lost], &totals).unwrap_err();
    assert_eq!(fault, ControlFault::Readings("calls".into()));
}
