//! What runs judged from, in the store: written once, read back to the digit, and found again by those that came later.

use std::collections::BTreeMap;

use billrecon::domain::company::{CompanyFacts, PlanFacts};
use billrecon::domain::decide::{DecisionRow, Verdict, VerdictWord};
use billrecon::domain::facts::{MeterFacts, PeriodFacts, PushRecords};
use billrecon::domain::number::QuantitySum;
use billrecon::domain::period::Period;
use billrecon::store::Store;
use billrecon::store::books::PeriodStatus;
use billrecon::store::lease::Term;

use super::runs::{job, run};
use super::{on_both, term};

fn facts(pending_after: u64) -> PeriodFacts {
    let plan = PlanFacts {
        mrr_twelvefold: BTreeMap::from([("kwd".to_owned(), i128::MAX)]),
        paying_at_end: BTreeMap::from([("kwd".to_owned(), u64::MAX)]),
        paying_at_start: 2,
        upgraded: 1,
    };
    PeriodFacts {
        full_cycle: true,
        pending_after,
        incomplete: 3,
        differences: BTreeMap::from([(String::new(), 1), ("late_usage".to_owned(), 2)]),
        push: PushRecords { due: u64::MAX, failed: 4 },
        meters: BTreeMap::from([(
            "pro \"ı\u{202e}".to_owned(),
            BTreeMap::from([(
                "m,\n".to_owned(),
                MeterFacts {
                    units_due: QuantitySum::parse("99999999999999999999999.000000000001").unwrap(),
                    units_confirmed: QuantitySum::ZERO,
                    records_all: 9,
                    records_billable: 8,
                    live: true,
                },
            )]),
        )]),
        company: CompanyFacts {
            churned: 5,
            plans: BTreeMap::from([("pro".to_owned(), plan)]),
            ..CompanyFacts::default()
        },
    }
}

fn row(value: &str) -> DecisionRow {
    DecisionRow {
        plan: "pro".to_owned(),
        meter: "m".to_owned(),
        metric: "churn_rate".to_owned(),
        value: value.to_owned(),
        operator: String::new(),
        threshold: String::new(),
        passed: None,
        required: false,
        population: 7,
    }
}

/// A run that judged a period, or closed it without a word.
async fn judge(store: &Store, term: &Term, (run_id, period): (&str, &str), pending: u64, is_judged: bool) {
    let mut write = store.books().write(term).await.unwrap();
    write.start_run(&run(run_id, period, term.fence)).await.unwrap();
    write.save_decision(run_id, &[row(&pending.to_string())]).await.unwrap();
    write.save_facts(run_id, &facts(pending)).await.unwrap();
    let verdict = is_judged.then(|| Verdict { word: VerdictWord::Go, reasons: Vec::new() });
    write.commit_run(run_id, &job(run_id, period, PeriodStatus::Closed, 1), verdict.as_ref()).await.unwrap();
    write.commit().await.unwrap();
}

#[test]
fn facts_come_back_to_the_digit_and_are_written_once() {
    on_both(async |store, _| {
        let term = term(&store).await;
        judge(&store, &term, ("one", "2026-10"), 6, true).await;
        let mut view = store.books().snapshot().await.unwrap();
        assert_eq!(view.facts("one").await.unwrap(), Some(facts(6)));
        assert_eq!(view.facts("two").await.unwrap(), None);
        drop(view);
        let mut write = store.books().write(&term).await.unwrap();
        assert!(write.save_facts("one", &facts(7)).await.is_err());
    });
}

#[test]
fn of_each_earlier_period_the_newest_run_that_judged_it_is_found() {
    on_both(async |store, _| {
        let first = term(&store).await;
        judge(&store, &first, ("august", "2026-08"), 1, true).await;
        judge(&store, &first, ("september", "2026-09"), 2, true).await;
        judge(&store, &first, ("october", "2026-10"), 9, true).await;
        store.books().release_lease(&first).await.unwrap();
        let second = term(&store).await;
        judge(&store, &second, ("september-2", "2026-09"), 3, true).await;
        judge(&store, &second, ("june", "2026-06"), 4, true).await;
        judge(&store, &second, ("july", "2026-07"), 5, false).await;
        let october = Period::parse("2026-10").unwrap();
        let found = async |fence| {
            let earlier =
                store.books().snapshot().await.unwrap().judged_before(october, fence).await.unwrap();
            let gapless = earlier.facts_without_gap(october).len();
            let said: Vec<(String, String)> = earlier
                .said()
                .into_iter()
                .map(|one| (one.period.to_string(), one.rows[0].value.clone()))
                .collect();
            (said, gapless)
        };
        let pairs = |all: &[(&str, &str)]| -> Vec<(String, String)> {
            all.iter().map(|(period, value)| ((*period).to_owned(), (*value).to_owned())).collect()
        };
        // June is there, and stands behind the gap that July has left.
        assert_eq!(
            found(i64::MAX).await,
            (pairs(&[("2026-09", "3"), ("2026-08", "1"), ("2026-06", "4")]), 2)
        );
        assert_eq!(found(first.fence).await, (pairs(&[("2026-09", "2"), ("2026-08", "1")]), 2));
    });
}
