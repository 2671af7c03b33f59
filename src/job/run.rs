//! A run: every due period is closed, oldest first, one run per period.
//!
//! In: settings, options, `now`. Out: one [`PeriodOutcome`] per period. A period that cannot be finished never blocks
//! a later one. A dry run does the same up to the plan, from a database that it cannot write to.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;

use crate::domain::catalog::Catalog;
use crate::domain::period::Period;
use crate::domain::tenant::Tenant;
use crate::job::due;
use crate::job::execute::{self, RunFacts};
use crate::job::lease::{Lease, under_lease};
use crate::job::outcome::PeriodOutcome;
use crate::job::plan::{self, PeriodPlan, Purpose};
use crate::job::{Refusal, Settings, current_catalog, deliver, new_run_id, observe};
use crate::store::books::{PeriodJob, PeriodStatus};
use crate::store::{Access, Books, Store, StoreError};

#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    pub period: Option<Period>,
    /// Plan only.
    pub dry_run: bool,
    pub lock_wait: Duration,
}

/// What a wake did, and what it could not do.
#[derive(Debug, Default)]
pub struct Wake {
    pub outcomes: Vec<PeriodOutcome>,
    /// Periods that failed by themselves; the others were not held up.
    pub failures: Vec<anyhow::Error>,
}

impl Wake {
    /// Keeps a failure that concerns one period; passes on one that concerns them all.
    fn take<T>(&mut self, period: Period, result: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
        match result.with_context(|| format!("period {period}")) {
            Ok(value) => Ok(Some(value)),
            Err(error) if concerns_all(&error) => Err(error),
            Err(error) => {
                self.failures.push(error);
                Ok(None)
            }
        }
    }
}

/// Without the database or the lease nothing can go on; anything else is the trouble of one period.
fn concerns_all(error: &anyhow::Error) -> bool {
    let store = error.chain().find_map(|cause| cause.downcast_ref::<StoreError>());
    store.is_some_and(|error| !matches!(error, StoreError::Inconsistent(_)))
}

pub async fn run(settings: &Settings, options: &RunOptions, now: Timestamp) -> anyhow::Result<Wake> {
    if options.dry_run {
        let store = settings.open(Access::ReadOnly).await?;
        let wake = dry_run(settings, options, now, &store).await;
        store.close().await;
        return wake;
    }
    let store = settings.open(Access::Write).await?;
    let books = store.books();
    let wake = under_lease(&books, settings.lease_ttl, options.lock_wait, now, async |lease| {
        let mut wake = Wake::default();
        for run in deliver::committed(&books).await? {
            let delivered = deliver::deliver_committed(&run, settings, lease, &books, now).await;
            wake.take(run.period, delivered)?;
        }
        execute::abandon_dead_runs(lease, &books, now).await?;
        let rules = Rules::read(settings, options, &books, now).await?;
        for period in rules.periods.clone() {
            let outcome = close_period(period, &rules, settings, &store, lease, now).await;
            let outcome = wake.take(period, outcome)?.flatten();
            wake.outcomes.extend(outcome);
        }
        Ok(wake)
    })
    .await;
    store.close().await;
    wake
}

async fn dry_run(
    settings: &Settings,
    options: &RunOptions,
    now: Timestamp,
    store: &Store,
) -> anyhow::Result<Wake> {
    let rules = Rules::read(settings, options, &store.books(), now).await?;
    let mut wake = Wake::default();
    for period in rules.periods.clone() {
        let planned = plan_period(period, &rules, settings, store, now).await;
        let Some(plan) = wake.take(period, planned)? else { continue };
        if rules.explicit || plan.purpose != Purpose::Look {
            wake.outcomes.push(PeriodOutcome::planned(&plan, None, None)?);
        }
    }
    Ok(wake)
}

/// What holds for all periods of a wake.
struct Rules {
    catalog: Catalog,
    catalog_hash: String,
    tenants: Vec<Tenant>,
    periods: Vec<Period>,
    jobs: BTreeMap<Period, PeriodJob>,
    /// A person named the period.
    explicit: bool,
}

impl Rules {
    async fn read(
        settings: &Settings,
        options: &RunOptions,
        books: &Books,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        let mut view = books.snapshot().await?;
        let (stored, catalog) = current_catalog(&mut view).await?;
        let tenants = view.tenants().await?;
        let jobs = view.period_jobs().await?;
        let periods = match options.period {
            Some(period) => vec![explicit_period(period, settings, &tenants, now)?],
            None => match due::first_period(&tenants, settings)? {
                Some(first) => due::begun(first, settings, now),
                None => Vec::new(),
            },
        };
        let is_open = |period: &Period| jobs.get(period).is_none_or(|job| job.status != PeriodStatus::Closed);
        let explicit = options.period.is_some();
        let periods = periods.into_iter().filter(|period| explicit || is_open(period)).collect();
        Ok(Self { catalog, catalog_hash: stored.catalog_hash, tenants, periods, jobs, explicit })
    }
}

fn explicit_period(
    period: Period,
    settings: &Settings,
    tenants: &[Tenant],
    now: Timestamp,
) -> Result<Period, Refusal> {
    if period.start(&settings.time_zone) > now {
        return Err(Refusal::Usage(format!("the period {period} has not begun")));
    }
    // Without any first period the person's word is all there is.
    let first = due::first_period(tenants, settings).ok().flatten();
    match first.filter(|first| period < *first) {
        Some(first) => Err(Refusal::Usage(format!("the period {period} lies before the first one, {first}"))),
        None => Ok(period),
    }
}

/// Observe → plan.
async fn plan_period(
    period: Period,
    rules: &Rules,
    settings: &Settings,
    store: &Store,
    now: Timestamp,
) -> anyhow::Result<PeriodPlan> {
    let mut view = store.books().snapshot().await?;
    let stored = view.windows(period).await?;
    let closed = view.closed_windows(due::reach(period, settings)).await?;
    let windows = due::windows(period, &rules.tenants, settings, &closed, now);
    let observed = observe::observe(period, &windows, &rules.tenants, stored, &store.ledger()).await?;
    Ok(plan::plan(period, &windows, &rules.catalog, observed)?)
}

/// One period: observe → plan → execute → deliver.
async fn close_period(
    period: Period,
    rules: &Rules,
    settings: &Settings,
    store: &Store,
    lease: &Lease,
    now: Timestamp,
) -> anyhow::Result<Option<PeriodOutcome>> {
    if let Some(job) = rules.jobs.get(&period).filter(|job| job.status == PeriodStatus::Closed) {
        return Ok(Some(PeriodOutcome::done_before(job, settings)));
    }
    let books = store.books();
    let plan = plan_period(period, rules, settings, store, now).await?;
    match plan.purpose {
        Purpose::Look if !rules.explicit => return Ok(None),
        Purpose::Unchanged => {
            let job = rules.jobs.get(&period).context("parked windows without a period job")?;
            return Ok(Some(PeriodOutcome::done_before(job, settings)));
        }
        Purpose::Look | Purpose::Close => {}
    }
    let facts = RunFacts {
        started_at: now,
        catalog_hash: rules.catalog_hash.clone(),
        rules_hash: settings.rules_hash.clone(),
        time_zone: settings.time_zone_name.clone(),
    };
    let run = execute::new_run(&plan, new_run_id(now), lease, facts)?;
    execute::start(&run, lease, &books).await?;
    let folder = if plan.purpose == Purpose::Close {
        execute::commit(&plan, &run.run_id, lease, &books, now).await?;
        deliver::deliver_committed(&run, settings, lease, &books, now).await?
    } else {
        deliver::deliver(&run, &plan.report, settings, lease, &books, now).await?
    };
    PeriodOutcome::planned(&plan, Some(run.run_id), Some(folder)).map(Some)
}
