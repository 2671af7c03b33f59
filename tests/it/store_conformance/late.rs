//! Late usage in the store: rows that are only ever added, what has arrived, and what a run has seen.
//!
//! In: adjustments, accruals and sums at the edges of what they can hold. Out: the same, to the digit. By SQL on the side it
//! tries to change what must not change.

use billrecon::domain::accrual::Accrual;
use billrecon::domain::catalog::PlanId;
use billrecon::domain::late::Adjustment;
use billrecon::domain::money::{Currency, MinorAmount, MinorSum};
use billrecon::domain::number::{Quantity, QuantitySum};
use billrecon::domain::period::{Interval, Period};
use billrecon::domain::report::{LedgerSeen, Money};
use billrecon::domain::usage::UsageRecord;
use billrecon::store::Store;
use billrecon::store::books::{Look, PeriodStatus};
use billrecon::store::lease::Term;

use super::runs::{job, run};
use super::{at, now, on_both, term, window};

fn october() -> Period {
    Period::parse("2026-10").unwrap()
}

fn plan(interval: Interval) -> PlanId {
    PlanId { key: "pro ı".to_owned(), interval, currency: Currency::parse("kwd").unwrap() }
}

fn adjustment(meter: &str, quantity: &str, minor: i64) -> Adjustment {
    let plan = plan(Interval::Month);
    Adjustment {
        tenant_id: "acme".to_owned(),
        window: window("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z"),
        range: window("2026-10-01T00:00:00Z", "2026-10-10T00:00:00.000000001Z"),
        meter: meter.to_owned(),
        records: 3,
        quantity: Quantity::parse(quantity).unwrap(),
        amount: MinorAmount::new(minor, plan.currency),
        plan,
    }
}

fn accrual() -> Accrual {
    let plan = plan(Interval::Year);
    Accrual {
        tenant_id: "acme".to_owned(),
        meter: "calls".to_owned(),
        window: window("2026-07-01T00:00:00Z", "2027-07-01T00:00:00Z"),
        until: at("2026-11-01T00:00:00Z"),
        records: 7,
        quantity: QuantitySum::parse("1999999999999998000.000000000001").unwrap(),
        amount: MinorAmount::new(i64::MAX, plan.currency),
        plan,
    }
}

/// Begins a run and closes nothing.
async fn start(store: &Store, term: &Term, run_id: &str) {
    let mut write = store.books().write(term).await.unwrap();
    write.start_run(&run(run_id, "2026-10", term.fence)).await.unwrap();
    write.commit().await.unwrap();
}

#[test]
fn adjustments_come_back_to_the_digit_and_an_older_run_has_those_that_it_knew() {
    on_both(async |store, _| {
        let first = term(&store).await;
        start(&store, &first, "r-1").await;
        let all =
            [adjustment("calls", "-999999999999999.999999999999", i64::MIN), adjustment("jobs", "0", 0)];
        let mut write = store.books().write(&first).await.unwrap();
        write.add_adjustments(october(), "r-1", &all).await.unwrap();
        write.save_accruals("r-1", &[accrual()]).await.unwrap();
        write.commit().await.unwrap();
        store.books().release_lease(&first).await.unwrap();
        let second = term(&store).await;
        start(&store, &second, "r-2").await;
        let more = [adjustment("calls", "0.000000000001", i64::MAX)];
        let mut write = store.books().write(&second).await.unwrap();
        write.add_adjustments(october(), "r-2", &more).await.unwrap();
        write.commit().await.unwrap();
        let mut view = store.books().snapshot().await.unwrap();
        assert_eq!(view.adjustments_of_run(october(), "r-1").await.unwrap(), all);
        let both = [all[0].clone(), more[0].clone(), all[1].clone()];
        assert_eq!(view.adjustments_of_run(october(), "r-2").await.unwrap(), both);
        assert_eq!(view.adjustments(october()).await.unwrap(), both);
        assert_eq!(view.adjustments(october().next()).await.unwrap(), []);
        assert_eq!(view.accruals("r-1").await.unwrap(), [accrual()]);
        assert_eq!(view.accruals("r-2").await.unwrap(), []);
    });
}

#[test]
fn the_database_refuses_to_change_or_to_remove_an_adjustment() {
    on_both(async |store, side| {
        let term = term(&store).await;
        let mut write = store.books().write(&term).await.unwrap();
        write.add_adjustments(october(), "r-1", &[adjustment("calls", "1", 5)]).await.unwrap();
        write.commit().await.unwrap();
        for statement in ["UPDATE adjustments SET amount_minor = 0", "DELETE FROM adjustments"] {
            let refused = side.execute(statement).await.unwrap_err();
            assert!(refused.contains("adjustments is append-only"), "{statement}: {refused}");
        }
        let mut write = store.books().write(&term).await.unwrap();
        assert!(write.add_adjustments(october(), "r-1", &[adjustment("calls", "2", 6)]).await.is_err());
        drop(write);
        let kept = store.books().snapshot().await.unwrap().adjustments(october()).await.unwrap();
        assert_eq!(kept, [adjustment("calls", "1", 5)]);
    });
}

fn record(id: &str, instant: &str) -> UsageRecord {
    UsageRecord {
        tenant_id: "acme".to_owned(),
        source_event_id: id.to_owned(),
        meter: "calls".to_owned(),
        quantity: Quantity::parse("1").unwrap(),
        occurred_at: at(instant),
        outcome: String::new(),
        source: String::new(),
        properties: "{}".to_owned(),
    }
}

async fn arrived(store: &Store, start: &str, end: &str) -> u64 {
    let near = window(start, end);
    store.ledger().snapshot().await.unwrap().arrivals(Some(near)).await.unwrap().within(near)
}

#[test]
fn every_record_that_is_added_is_counted_on_its_day_with_its_batch() {
    on_both(async |store, _| {
        let october = ("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z");
        assert_eq!(arrived(&store, october.0, october.1).await, 0);
        let records = [
            record("a", "2026-09-30T23:59:59.999999999Z"),
            record("b", "2026-10-01T00:00:00Z"),
            record("c", "2026-10-31T23:59:59.999999999Z"),
            record("c", "2026-10-31T23:59:59.999999999Z"),
            record("d", "2026-11-01T00:00:00Z"),
        ];
        for _twice in 0..2 {
            let mut batch = store.ledger().begin().await.unwrap();
            batch.add(&records, now()).await.unwrap();
            batch.commit().await.unwrap();
        }
        // A batch that is given up brings nothing.
        let mut batch = store.ledger().begin().await.unwrap();
        batch.add(&[record("e", "2026-10-10T00:00:00Z")], now()).await.unwrap();
        drop(batch);
        assert_eq!(arrived(&store, october.0, october.1).await, 2);
        assert_eq!(arrived(&store, "2026-09-30T12:00:00Z", "2026-11-01T00:00:00.000000001Z").await, 4);
        assert_eq!(arrived(&store, october.0, october.0).await, 0);
    });
}

#[test]
fn a_look_at_a_period_and_what_a_run_saw_come_back() {
    on_both(async |store, _| {
        let term = term(&store).await;
        start(&store, &term, "r-1").await;
        let look =
            Look { reach: window("2025-10-01T00:00:00Z", "2026-11-01T00:00:00.000000001Z"), arrived: 7 };
        let ledger = LedgerSeen { records: 9, recorded_at: Some(now()) };
        let sum = |minor| MinorSum { minor, currency: Currency::parse("kwd").unwrap() };
        let totals = [Money { base: sum(i128::from(i64::MAX) * 5), usage: sum(0), late: sum(-1) }];
        let mut write = store.books().write(&term).await.unwrap();
        // A period without a job has nothing to keep it at.
        write.save_look(october(), look).await.unwrap();
        write.save_seen("r-1", ledger, &totals).await.unwrap();
        write.commit().await.unwrap();
        let mut view = store.books().snapshot().await.unwrap();
        assert!(view.looks().await.unwrap().is_empty());
        assert_eq!(view.ledger_seen("r-1").await.unwrap(), ledger);
        assert_eq!(view.ledger_seen("r-2").await.unwrap(), LedgerSeen::default());
        assert_eq!(view.run_totals("r-1").await.unwrap(), totals);
        drop(view);
        let mut write = store.books().write(&term).await.unwrap();
        write.save_job(&job("r-1", "2026-10", PeriodStatus::Closed, 1)).await.unwrap();
        write.save_look(october(), look).await.unwrap();
        write.commit().await.unwrap();
        let looks = store.books().snapshot().await.unwrap().looks().await.unwrap();
        assert_eq!(looks.into_iter().collect::<Vec<_>>(), [(october(), look)]);
    });
}
