//! One period, step by step: look → rate → map → push → read → compare → plan → execute → deliver.
//!
//! In: a period and what holds for the wake. Out: its outcome. Without a lease nothing is written and nothing sent but
//! reads: the same steps, up to the plan.

use jiff::Timestamp;

use crate::domain::intent::Intent;
use crate::domain::period::Period;
use crate::domain::tenant::TenantWindow;
use crate::job::compare::{compare, orphans};
use crate::job::connection::Wire;
use crate::job::due::{self, PeriodWindows};
use crate::job::execute::{self, RunFacts};
use crate::job::lease::Lease;
use crate::job::mapping::{self, Mapped, Stage};
use crate::job::observe::{self, Kept, Observation};
use crate::job::outcome::PeriodOutcome;
use crate::job::plan::{self, Known, Purpose, Rated};
use crate::job::push::{self, Intents, PushCounts, PushPlan};
use crate::job::reading::{Answers, read_previews, read_totals};
use crate::job::run::Rules;
use crate::job::standing::Standing;
use crate::job::{Settings, deliver, message, new_run_id};
use crate::store::Store;
use crate::store::books::PeriodStatus;

/// What holds for all periods of a wake.
pub struct Wake<'a> {
    pub settings: &'a Settings,
    pub rules: &'a Rules,
    pub wire: &'a Wire,
    pub standing: &'a Standing,
    pub store: &'a Store,
    /// `None`: a dry run.
    pub lease: Option<&'a Lease>,
    pub now: Timestamp,
}

pub async fn play(period: Period, wake: &Wake<'_>) -> anyhow::Result<Option<PeriodOutcome>> {
    let mut view = wake.store.books().snapshot().await?;
    let closed = view.closed_windows(due::reach(period, &wake.rules.tenants, wake.settings)).await?;
    let stage = |window: &TenantWindow<'_>| wake.stage(window);
    let windows = due::windows(period, &wake.rules.tenants, wake.settings, &closed, |window| {
        stage(window) == Stage::Final
    });
    let job = wake.rules.jobs.get(&period);
    if windows.due.is_empty() && windows.open.is_empty() && !wake.rules.explicit {
        if let Some(job) = job.filter(|job| job.status == PeriodStatus::Closed) {
            wake.keep(job).await?;
            return Ok(wake.rules.settled(job, wake.settings));
        }
        return Ok(None);
    }
    if let Some(job) = job.filter(|job| is_closed(job, &windows)) {
        wake.keep(job).await?;
        return Ok(wake.rules.settled(job, wake.settings));
    }
    let kept = Kept {
        stored: view.windows(period).await?,
        observed: view.observed_windows(due::reach(period, &wake.rules.tenants, wake.settings)).await?,
        compared: view.comparison(period, "").await?,
    };
    let mut intents =
        Intents::new(view.intents(due::reach(period, &wake.rules.tenants, wake.settings)).await?);
    drop(view);
    let observed =
        observe::observe(period, &windows, &wake.rules.tenants, kept, &wake.store.ledger()).await?;
    let mut rated = Rated::new(&windows, &wake.rules.catalog, &observed.totals);
    let mapped = rated.map(&windows, &wake.rules.catalog, wake.standing, period, stage);
    let mut answers = Answers::default();
    read_totals(&mapped, |_| true, wake.wire, wake.standing, &mut answers).await?;
    let pushes = push::plan(&mapped, &intents, &answers, wake.wire, wake.now)?;
    rated.park(&pushes.parked);
    let pending_before = intents.of_period(period).filter(|one| one.is_pending()).count() + pushes.new.len();
    let mut run = PeriodRun { period, run_id: new_run_id(wake.now), started: false };
    let counts = wake.push(&mut run, &pushes, &mapped, &mut intents, &mut answers).await?;
    read_previews(&mapped, wake.wire, &mut answers).await?;
    let confirmed = match wake.lease {
        Some(_) => push::confirm(&mapped, &mut intents, &answers, wake.wire, wake.now)?,
        None => Vec::new(),
    };
    for one in &pushes.unbillable {
        intents.put(one.clone());
    }
    let compared = compare(&mapped, &intents, &answers, wake.standing, wake.wire)?;
    rated.park_incomplete(&compared);
    let known = Known {
        period,
        windows: &windows,
        catalog: &wake.rules.catalog,
        push: wake.wire.push,
        mapped: &mapped,
        intents: &intents,
        confirmed,
        unbillable: pushes.unbillable.clone(),
        pending_before: pending_before as u64,
        pushed: counts.pushed,
        errors: counts.errors,
        compared,
        orphans: orphans(wake.standing, &wake.rules.tenants),
        evidence: answers.evidence,
    };
    wake.finish(run, &pushes, known, rated, observed).await.map(Some)
}

/// Nothing is left to be done, and an earlier run has closed it.
fn is_closed(job: &crate::store::books::PeriodJob, windows: &PeriodWindows<'_>) -> bool {
    job.status == PeriodStatus::Closed && windows.due.is_empty() && windows.open.is_empty()
}

/// A run of one period; its record is written when there is something to write.
struct PeriodRun {
    period: Period,
    run_id: String,
    started: bool,
}

impl Wake<'_> {
    fn stage(&self, window: &TenantWindow<'_>) -> Stage {
        mapping::stage(window, self.standing, self.settings.settle_delay, self.now)
    }

    fn facts(&self) -> RunFacts {
        RunFacts {
            started_at: self.now,
            catalog_hash: self.rules.catalog_hash.clone(),
            rules_hash: self.settings.rules_hash.clone(),
            time_zone: self.settings.time_zone_name.clone(),
            tenants_version: self.rules.tenants_version,
            mode: self.wire.mode.clone(),
            account_id: self.wire.account.id.clone(),
        }
    }

    async fn keep(&self, job: &crate::store::books::PeriodJob) -> anyhow::Result<()> {
        let Some(lease) = self.lease else { return Ok(()) };
        execute::keep(job, self.rules.tenants_version, lease, &self.store.books()).await
    }

    async fn start(&self, run: &mut PeriodRun, lease: &Lease) -> anyhow::Result<()> {
        if !run.started {
            let record = execute::new_run(run.period, run.run_id.clone(), lease, &self.facts())?;
            execute::start(&record, lease, &self.store.books()).await?;
            run.started = true;
        }
        Ok(())
    }

    /// Sends what is planned, and reads the totals of those tenants again.
    async fn push(
        &self,
        run: &mut PeriodRun,
        pushes: &PushPlan,
        mapped: &[Mapped],
        intents: &mut Intents,
        answers: &mut Answers,
    ) -> anyhow::Result<PushCounts> {
        let Some(lease) = self.lease else { return Ok(PushCounts::default()) };
        if pushes.sends.is_empty() && pushes.settled.is_empty() {
            return Ok(PushCounts::default());
        }
        self.start(run, lease).await?;
        let step = push::Step {
            run_id: &run.run_id,
            wire: self.wire,
            standing: self.standing,
            lease,
            books: &self.store.books(),
            now: self.now,
        };
        let counts = push::execute(pushes, &step, intents).await?;
        let sent: std::collections::BTreeSet<&str> =
            pushes.sends.iter().map(|one| one.key.tenant_id.as_str()).collect();
        let wanted = |one: &Mapped| sent.contains(one.tenant_id.as_str());
        read_totals(mapped, wanted, self.wire, self.standing, answers).await?;
        Ok(counts)
    }

    /// Plan → execute → deliver.
    async fn finish(
        &self,
        mut run: PeriodRun,
        pushes: &PushPlan,
        known: Known<'_>,
        rated: Rated,
        observed: Observation,
    ) -> anyhow::Result<PeriodOutcome> {
        let plan = plan::plan(known, rated, observed)?;
        let job = self.rules.jobs.get(&run.period);
        if plan.purpose == Purpose::Unchanged
            && !run.started
            && let Some(job) = job
        {
            return Ok(PeriodOutcome::done_before(job, self.rules.last_run(job), self.settings));
        }
        let planned: Vec<Intent> = pushes.sends.clone();
        let Some(lease) = self.lease else {
            return PeriodOutcome::planned(&plan, planned, None, None, None);
        };
        self.start(&mut run, lease).await?;
        let books = self.store.books();
        let facts = self.facts();
        let folder = self.settings.reports.join(run.period.to_string()).join(&run.run_id);
        let message = message::of_plan(&plan, &run.run_id, &facts.mode, &folder, self.settings)?;
        let text = message.as_ref().map(|message| message.text.clone());
        let mut outcome = PeriodOutcome::planned(&plan, planned, Some(run.run_id.clone()), None, text)?;
        let record = execute::new_run(run.period, run.run_id.clone(), lease, &facts)?;
        let record = record.judged(plan.status, plan.report.verdict.clone());
        let folder = match plan.purpose {
            Purpose::Close => {
                execute::commit(&plan, &run.run_id, &facts, message.as_ref(), lease, &books).await?;
                // The figures come back from the database; two copies of a large company need not be in memory.
                drop(plan);
                deliver::deliver_committed(&record, self.settings, lease, &books, self.now).await?
            }
            Purpose::Look | Purpose::Unchanged => {
                execute::note(&plan, &run.run_id, &facts, lease, &books).await?;
                deliver::deliver(&record, &plan.report, self.settings, lease, &books, self.now).await?
            }
        };
        outcome.reports_dir = Some(folder);
        Ok(outcome)
    }
}
