//! What late usage is held to.
//!
//! In: a window of one tenant, records that come in any number of rounds. Out: failing tests.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::domain::aggregation::MeterUsage;
use crate::domain::catalog::{Aggregation, Billing, Meter, Plan, PushScope, UsagePrice};
use crate::domain::figures::WindowStatus;
use crate::domain::money::Currency;
use crate::domain::number::UnitAmount;
use crate::domain::period::{Interval, Period};
use crate::domain::price::{Price, Tier, TiersMode};
use crate::domain::rule::Rule;
use crate::domain::tenant::{Subscription, SubscriptionStatus, Tenant};

fn plan_id() -> PlanId {
    PlanId { key: "pro".into(), interval: Interval::Month, currency: Currency::parse("usd").unwrap() }
}

/// Steps of a third of a cent, so that a price of late units alone would round otherwise than one of all.
fn catalog() -> Catalog {
    let mut catalog = Catalog::default();
    let meter = Meter {
        key: "calls".into(),
        aggregation: Aggregation::Sum,
        per_source: false,
        rule: Rule::default(),
        event_name: "calls".into(),
    };
    catalog.add_meter(meter, "meter").unwrap();
    let unit = |text: &str| UnitAmount::parse(text).unwrap();
    let tiers = vec![
        Tier::new(Some(Quantity::whole(10).unwrap()), unit("0")),
        Tier::new(Some(Quantity::whole(40).unwrap()), unit("0.333333333333")),
        Tier::new(None, unit("7")),
    ];
    let price = Price::tiered(TiersMode::Graduated, tiers).unwrap();
    let price = UsagePrice::new(Billing::Shadow, PushScope::All, None, price, "usage").unwrap();
    let usage = [("calls".to_owned(), price)].into();
    catalog.add_plan(Plan { id: plan_id(), amount_minor: 100, hard_cap: false, usage }, "plan").unwrap();
    catalog
}

fn tenant() -> Tenant {
    let row = Subscription {
        tenant_id: "acme".into(),
        name: "Acme".into(),
        plan: plan_id(),
        stripe_customer_id: String::new(),
        stripe_subscription_id: String::new(),
        status: SubscriptionStatus::Active,
        billing_anchor: None,
        trial_end: None,
        started_at: Some("2026-01-01T00:00:00Z".parse().unwrap()),
        ended_at: None,
    };
    Tenant::new("acme".into(), vec![row]).unwrap()
}

/// The ledger with these records, each in thousandths of a unit.
fn ledger(window: Window, records: &[i64]) -> LedgerTotals {
    let sum: i128 = records.iter().map(|one| i128::from(*one)).sum();
    let quantity = QuantitySum::from_parts(0, sum * 1_000_000_000).unwrap();
    let billable = UsageTotal { records: records.len() as u64, quantity };
    let usage = MeterUsage { billable, ..MeterUsage::default() };
    let by_meter = BTreeMap::from([("calls".to_owned(), usage)]);
    [(window, [("acme".to_owned(), by_meter)].into())].into()
}

fn closed(records: &[i64]) -> (WindowFigures, Window) {
    let tenant = tenant();
    let period = Period::parse("2026-10").unwrap();
    let window = tenant.windows(period, &TimeZone::UTC).remove(0);
    let totals = ledger(window.window, records);
    let figures = WindowFigures::new(&window, (&catalog(), "v1"), &totals, WindowStatus::Closed);
    (figures, window.window)
}

fn usage_amount(figures: &WindowFigures) -> i64 {
    let lines = figures.lines.iter().filter(|line| line.meter == "calls");
    lines.map(|line| line.line.amount.minor).sum()
}

proptest! {
    /// Whatever comes in whatever rounds, the window is restated to what it would have been closed with.
    #[test]
    fn rounds_of_late_usage_add_up_to_the_bill_of_all_of_it(
        first in prop::collection::vec(0i64..30_000, 0..4),
        rounds in prop::collection::vec(prop::collection::vec(-20_000i64..30_000, 0..4), 0..5),
    ) {
        let (window, span) = closed(&first);
        let mut records = first.clone();
        let mut adjusted: Vec<Adjustment> = Vec::new();
        for round in rounds {
            records.extend(&round);
            let totals = ledger(span, &records);
            let came = late(&window, &totals, Some(&catalog()), &adjusted).unwrap();
            prop_assert_eq!(came.adjustments.iter().map(|one| one.records).sum::<u64>(), round.len() as u64);
            adjusted.extend(came.adjustments);
            let again = late(&window, &totals, Some(&catalog()), &adjusted).unwrap();
            prop_assert!(again.adjustments.is_empty(), "{:?}", again.adjustments);
            prop_assert_eq!(again.billable, came.billable);
        }
        let (all_at_once, _) = closed(&records);
        let original = i128::from(usage_amount(&window));
        let windows = [window];
        let rows = restated(&windows, &adjusted).unwrap();
        let Some(row) = rows.first() else { return Ok(()) };
        prop_assert_eq!(rows.len(), 1);
        prop_assert_eq!(row.original_amount.minor, original);
        prop_assert_eq!(row.amount().unwrap().minor, i128::from(usage_amount(&all_at_once)));
        prop_assert_eq!(row.records, (records.len() - first.len()) as u64);
    }
}

/// `now + lost = closed + late`, and nothing that was adjusted is taken back.
#[test]
fn records_that_are_gone_from_the_ledger_are_lost_and_nothing_else_of_the_meter_is_valued() {
    let (window, span) = closed(&[5_000, 7_000]);
    let total = |records, units| UsageTotal { records, quantity: QuantitySum::from_parts(units, 0).unwrap() };
    let one = |total: UsageTotal| BTreeMap::from([("calls".to_owned(), total)]);
    let of = |totals: &LedgerTotals, earlier: &[Adjustment]| {
        let late = late(&window, totals, Some(&catalog()), earlier).unwrap();
        assert!(late.adjustments.is_empty() && late.unvalued.is_empty() && late.excluded.is_empty());
        (late.billable, late.lost)
    };
    assert_eq!(of(&ledger(span, &[5_000]), &[]), (BTreeMap::new(), one(total(1, 7))));
    assert_eq!(of(&LedgerTotals::new(), &[]), (BTreeMap::new(), one(total(2, 12))));
    // What was adjusted is not to be lost either.
    let totals = ledger(span, &[5_000, 7_000, 1_000]);
    let came = late(&window, &totals, Some(&catalog()), &[]).unwrap().adjustments;
    assert_eq!(of(&ledger(span, &[5_000, 7_000]), &came), (one(total(1, 1)), one(total(1, 1))));
    assert_eq!(of(&LedgerTotals::new(), &came), (one(total(1, 1)), one(total(3, 13))));
    // A window that closed without any.
    let (empty, span) = closed(&[]);
    let came = late(&empty, &ledger(span, &[1_000]), Some(&catalog()), &[]).unwrap().adjustments;
    let gone = late(&empty, &LedgerTotals::new(), Some(&catalog()), &came).unwrap();
    assert_eq!((gone.billable, gone.lost), (one(total(1, 1)), one(total(1, 1))));
}

#[test]
fn what_came_for_a_window_of_unknown_layout_is_excluded() {
    let (known, span) = closed(&[5_000]);
    let strange = Window { start: span.start, end: span.start + jiff::SignedDuration::from_hours(1) };
    for stretches in
        [Vec::new(), vec![crate::domain::figures::Stretch { range: strange, ..known.stretches[0].clone() }]]
    {
        let window = WindowFigures { stretches, ..known.clone() };
        let came = late(&window, &ledger(span, &[5_000, 1_500]), Some(&catalog()), &[]).unwrap();
        assert!(came.adjustments.is_empty() && came.billable.is_empty() && came.lost.is_empty());
        let [one] = &came.excluded[..] else { panic!("{:?}", came.excluded) };
        assert_eq!((one.total.records, one.total.quantity.to_string()), (1, "1.5".to_owned()));
        let quiet = late(&window, &ledger(span, &[5_000]), Some(&catalog()), &[]).unwrap();
        assert_eq!(quiet, Late::default());
        let short = late(&window, &LedgerTotals::new(), Some(&catalog()), &[]).unwrap();
        assert_eq!(short.lost["calls"].records, 1);
    }
}

/// The prices of another version would be wrong, and adjustments stay for ever.
#[test]
fn what_came_for_a_window_whose_catalog_cannot_be_read_has_no_value() {
    let (window, span) = closed(&[5_000]);
    let earlier = late(&window, &ledger(span, &[5_000, 1_500]), Some(&catalog()), &[]).unwrap().adjustments;
    let came = late(&window, &ledger(span, &[5_000, 1_500, 2_000]), None, &earlier).unwrap();
    assert!(came.adjustments.is_empty() && came.excluded.is_empty());
    let [one] = &came.unvalued[..] else { panic!("{:?}", came.unvalued) };
    assert_eq!((one.why, one.total.records, &*one.total.quantity.to_string()), (NoValue::NoCatalog, 1, "2"));
    assert_eq!((came.billable["calls"].records, &*came.billable["calls"].quantity.to_string()), (2, "3.5"));
}
