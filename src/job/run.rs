//! A run: every due period is closed, oldest first, one run per period.
//!
//! In: settings, options, `now`. Out: one [`PeriodOutcome`] per period. A period that cannot be finished never blocks
//! a later one. A dry run does the same up to the plan, from a database that it cannot write to.

use std::collections::{BTreeMap, BTreeSet};
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
use crate::store::books::{PeriodJob, PeriodStatus, RunState};
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
        let outcome = look_at_period(period, &rules, settings, store, now).await;
        let outcome = wake.take(period, outcome)?.flatten();
        wake.outcomes.extend(outcome);
    }
    Ok(wake)
}

/// What [`close_period`] would do.
async fn look_at_period(
    period: Period,
    rules: &Rules,
    settings: &Settings,
    store: &Store,
    now: Timestamp,
) -> anyhow::Result<Option<PeriodOutcome>> {
    match plan_period(period, rules, settings, store, now).await? {
        Step::Settled(job) => Ok(rules.settled(job, settings)),
        Step::Nothing => Ok(None),
        Step::Planned(plan) => PeriodOutcome::planned(&plan, None, None).map(Some),
    }
}

/// What holds for all periods of a wake.
struct Rules {
    catalog: Catalog,
    catalog_hash: String,
    tenants: Vec<Tenant>,
    tenants_version: i64,
    periods: Vec<Period>,
    jobs: BTreeMap<Period, PeriodJob>,
    /// Runs whose files are still missing.
    undelivered: BTreeSet<String>,
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
        let tenants_version = view.tenants_version().await?;
        let jobs = view.period_jobs().await?;
        let undelivered = view.runs(RunState::Committed).await?.into_iter().map(|run| run.run_id).collect();
        let mut periods = match options.period {
            Some(period) => vec![explicit_period(period, settings, &tenants, now)?],
            None => match due::first_period(&tenants, settings)? {
                Some(first) => due::begun(first, settings, now),
                None => Vec::new(),
            },
        };
        let explicit = options.period.is_some();
        // A closed period gets a new window only by an import of tenants.
        let is_final =
            |job: &PeriodJob| job.status == PeriodStatus::Closed && job.tenants_version == tenants_version;
        periods.retain(|period| explicit || !jobs.get(period).is_some_and(is_final));
        let catalog_hash = stored.catalog_hash;
        Ok(Self { catalog, catalog_hash, tenants, tenants_version, periods, jobs, undelivered, explicit })
    }

    /// A closed period is worth a word only to a person who asks for it; a parked tenant always is.
    fn settled(&self, job: &PeriodJob, settings: &Settings) -> Option<PeriodOutcome> {
        let outcome = PeriodOutcome::done_before(job, settings, !self.undelivered.contains(&job.run_id));
        (self.explicit || job.status != PeriodStatus::Closed).then_some(outcome)
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

/// What is to be done with a period.
enum Step<'a> {
    /// Nothing, or nothing until a person has acted: an earlier run did all.
    Settled(&'a PeriodJob),
    /// Nothing is final yet, and nobody asked.
    Nothing,
    Planned(Box<PeriodPlan>),
}

/// Observe → plan.
async fn plan_period<'a>(
    period: Period,
    rules: &'a Rules,
    settings: &Settings,
    store: &Store,
    now: Timestamp,
) -> anyhow::Result<Step<'a>> {
    let mut view = store.books().snapshot().await?;
    let closed = view.closed_windows(due::reach(period, &rules.tenants, settings)).await?;
    let windows = due::windows(period, &rules.tenants, settings, &closed, now);
    let job = rules.jobs.get(&period);
    if windows.due.is_empty() {
        match job.filter(|job| job.status == PeriodStatus::Closed) {
            Some(job) => return Ok(Step::Settled(job)),
            None if !rules.explicit => return Ok(Step::Nothing),
            None => {}
        }
    }
    let stored = view.windows(period).await?;
    let observed = observe::observe(period, &windows, &rules.tenants, stored, &store.ledger()).await?;
    let plan = plan::plan(period, &windows, &rules.catalog, observed)?;
    Ok(match job.filter(|_| plan.purpose == Purpose::Unchanged) {
        Some(job) => Step::Settled(job),
        None => Step::Planned(Box::new(plan)),
    })
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
    let books = store.books();
    let plan = match plan_period(period, rules, settings, store, now).await? {
        Step::Nothing => return Ok(None),
        Step::Settled(job) => {
            execute::keep(job, rules.tenants_version, lease, &books).await?;
            return Ok(rules.settled(job, settings));
        }
        Step::Planned(plan) => plan,
    };
    let facts = RunFacts {
        started_at: now,
        catalog_hash: rules.catalog_hash.clone(),
        rules_hash: settings.rules_hash.clone(),
        time_zone: settings.time_zone_name.clone(),
        tenants_version: rules.tenants_version,
    };
    let run = execute::new_run(&plan, new_run_id(now), lease, &facts)?;
    execute::start(&run, lease, &books).await?;
    let mut outcome = PeriodOutcome::planned(&plan, Some(run.run_id.clone()), None)?;
    let folder = if plan.purpose == Purpose::Close {
        execute::commit(&plan, &run.run_id, &facts, lease, &books).await?;
        // The figures come back from the database; two copies of a large company need not be in memory.
        drop(plan);
        deliver::deliver_committed(&run, settings, lease, &books, now).await?
    } else {
        deliver::deliver(&run, &plan.report, settings, lease, &books, now).await?
    };
    outcome.reports_dir = Some(folder);
    Ok(Some(outcome))
}
