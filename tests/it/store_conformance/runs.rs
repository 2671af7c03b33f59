//! Runs and period jobs.
//!
//! In: runs in every state. Out: the same runs by state, and one job per period with the counts of its last run.

use billrecon::domain::period::Period;
use billrecon::domain::report::{CsvFormat, Delimiter};
use billrecon::store::Store;
use billrecon::store::books::{JobCounts, MadeWith, PeriodJob, PeriodStatus, Run, RunState};
use billrecon::store::lease::Term;

use super::{at, on_both, term};

fn period(text: &str) -> Period {
    Period::parse(text).unwrap()
}

pub(super) fn run(run_id: &str, label: &str, fence: i64) -> Run {
    Run {
        run_id: run_id.to_owned(),
        period: period(label),
        state: RunState::Started,
        fence,
        holder: "host/1".to_owned(),
        started_at: at("2026-11-01T00:00:00.123456789Z"),
        code_version: "0.1.0".to_owned(),
        catalog_hash: "c".to_owned(),
        rules_hash: "r".to_owned(),
        bounds: "overage_factor=10".to_owned(),
        time_zone: "Europe/Istanbul".to_owned(),
        period_status: PeriodStatus::Open,
        mode: "SANDBOX".to_owned(),
        account_id: "acct_sandbox".to_owned(),
        tolerances: "quantity 0.5 or 0 of the ledger's".to_owned(),
        os_user: "ada (uid 1000)".to_owned(),
        made_with: MadeWith {
            parameters: [("period".to_owned(), "2026-10".to_owned())].into(),
            csv: CsvFormat { bom: true, delimiter: Delimiter::Tab },
            stripe_api_version: "2026-09-30.endive".to_owned(),
            tz_database: "2026a".to_owned(),
            database_schema: 14,
        },
        verdict: None,
    }
}

/// Each count differs, so that no two columns can be mixed up.
pub(super) fn job(run_id: &str, label: &str, status: PeriodStatus, from: u64) -> PeriodJob {
    let counts = JobCounts {
        tenants: from,
        closed: from + 1,
        parked: from + 2,
        not_billed: from + 3,
        pending_before: from + 4,
        pushed: from + 5,
        errors: from + 6,
        pending_after: from + 7,
    };
    PeriodJob { period: period(label), status, counts, tenants_version: 7, run_id: run_id.to_owned() }
}

async fn start(store: &Store, term: &Term, runs: &[Run]) {
    let mut write = store.books().write(term).await.unwrap();
    for run in runs {
        write.start_run(run).await.unwrap();
    }
    write.commit().await.unwrap();
}

async fn commit(store: &Store, term: &Term, job: &PeriodJob) {
    let mut write = store.books().write(term).await.unwrap();
    write.commit_run(&job.run_id, job, None).await.unwrap();
    write.commit().await.unwrap();
}

async fn in_state(store: &Store, state: RunState) -> Vec<Run> {
    store.books().snapshot().await.unwrap().runs(state).await.unwrap()
}

async fn ids_in_state(store: &Store, state: RunState) -> Vec<String> {
    in_state(store, state).await.into_iter().map(|run| run.run_id).collect()
}

#[test]
fn a_run_goes_from_started_over_committed_to_finished() {
    on_both(async |store, _| {
        let term = term(&store).await;
        start(&store, &term, &[run("r-1", "2026-10", 1)]).await;
        assert_eq!(in_state(&store, RunState::Started).await, [run("r-1", "2026-10", 1)]);
        commit(&store, &term, &job("r-1", "2026-10", PeriodStatus::Partial, 5)).await;
        assert!(in_state(&store, RunState::Started).await.is_empty());
        let committed = Run {
            state: RunState::Committed,
            period_status: PeriodStatus::Partial,
            ..run("r-1", "2026-10", 1)
        };
        assert_eq!(in_state(&store, RunState::Committed).await, std::slice::from_ref(&committed));
        let mut write = store.books().write(&term).await.unwrap();
        write.finish_run("r-1", "sha").await.unwrap();
        write.commit().await.unwrap();
        assert!(in_state(&store, RunState::Committed).await.is_empty());
        assert_eq!(
            in_state(&store, RunState::Finished).await,
            [Run { state: RunState::Finished, ..committed }]
        );
    });
}

#[test]
fn a_period_has_one_job_with_the_counts_of_the_run_that_touched_it_last() {
    on_both(async |store, _| {
        let term = term(&store).await;
        let runs = [run("r-1", "2026-09", 1), run("r-2", "2026-10", 1), run("r-3", "2026-09", 2)];
        start(&store, &term, &runs).await;
        let older = job("r-1", "2026-09", PeriodStatus::Partial, 10);
        let other = job("r-2", "2026-10", PeriodStatus::Closing, 20);
        let newer = job("r-3", "2026-09", PeriodStatus::Closed, 30);
        for job in [&older, &other, &newer] {
            commit(&store, &term, job).await;
        }
        let jobs = store.books().snapshot().await.unwrap().period_jobs().await.unwrap();
        assert_eq!(jobs.into_values().collect::<Vec<_>>(), [newer, other]);
    });
}

#[test]
fn only_a_run_that_has_committed_nothing_can_be_abandoned() {
    on_both(async |store, _| {
        let term = term(&store).await;
        start(&store, &term, &[run("dead", "2026-09", 1), run("alive", "2026-10", 1)]).await;
        commit(&store, &term, &job("alive", "2026-10", PeriodStatus::Closed, 0)).await;
        let mut write = store.books().write(&term).await.unwrap();
        write.abandon_run("dead").await.unwrap();
        write.abandon_run("alive").await.unwrap();
        write.commit().await.unwrap();
        assert_eq!(ids_in_state(&store, RunState::Abandoned).await, ["dead"]);
        assert_eq!(ids_in_state(&store, RunState::Committed).await, ["alive"]);
    });
}

#[test]
fn runs_of_a_state_come_oldest_first_and_the_newest_five_newest_first() {
    on_both(async |store, _| {
        let term = term(&store).await;
        // By term, then period, then id; the ids alone would give another order.
        let runs = [
            run("a", "2026-10", 3),
            run("b", "2026-09", 2),
            run("c", "2026-09", 3),
            run("d", "2026-09", 1),
            run("e", "2026-10", 2),
            run("f", "2026-09", 2),
        ];
        start(&store, &term, &runs).await;
        assert_eq!(ids_in_state(&store, RunState::Started).await, ["d", "b", "f", "e", "c", "a"]);
        let newest = store.books().snapshot().await.unwrap().newest_runs().await.unwrap();
        assert_eq!(
            newest.iter().map(|run| run.run_id.as_str()).collect::<Vec<_>>(),
            ["a", "c", "e", "f", "b"]
        );
    });
}

#[test]
fn a_run_id_is_taken_once() {
    on_both(async |store, _| {
        let term = term(&store).await;
        start(&store, &term, &[run("r-1", "2026-09", 1)]).await;
        let mut write = store.books().write(&term).await.unwrap();
        assert!(write.start_run(&run("r-1", "2026-10", 2)).await.is_err());
    });
}
