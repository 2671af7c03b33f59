//! One period, step by step: look → rate → map → read → push → compare → plan → execute → deliver.
//!
//! In: a period and what holds for the wake. Out: its outcome. Without a lease nothing is written and nothing sent but
//! reads: the same steps, up to the plan.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::bounds::Charge;
use crate::domain::intent::Intent;
use crate::domain::period::{Period, Window};
use crate::domain::reconcile::ReconciliationRow;
use crate::domain::tenant::TenantWindow;
use crate::job::beside;
use crate::job::bounds;
use crate::job::catalogs::Catalogs;
use crate::job::compare::{Compared, Sides, orphans, unread};
use crate::job::connection::Wire;
use crate::job::due::{self, ClosedWindows, PeriodWindows, Turn};
use crate::job::edges;
use crate::job::evidence::look::SecondLook;
use crate::job::execute::{self, RunFacts};
use crate::job::intents::Intents;
use crate::job::judge;
use crate::job::lease::Lease;
use crate::job::made_with::made_with;
use crate::job::mapping::Mapped;
use crate::job::observe::{self, Kept, Observation, Scope};
use crate::job::outcome::PeriodOutcome;
use crate::job::parking;
use crate::job::plan::{self, Known, PeriodPlan, Purpose, Rated};
use crate::job::push::{self, PushPlan};
use crate::job::reading::{self, Answers, read_previews, read_totals};
use crate::job::run::Rules;
use crate::job::send::{self, PushCounts};
use crate::job::stage::{self, Stage};
use crate::job::standing::Standing;
use crate::job::told::Told;
use crate::job::what_if::{self, WhatIf};
use crate::job::{RunOptions, Settings, concern, deliver, page};
use crate::store::Store;
use crate::store::books::{Look, PeriodJob};
use crate::stripe::StripeError;

/// What holds for all periods of a wake.
pub struct Wake<'a> {
    pub settings: &'a Settings,
    pub rules: &'a Rules,
    pub wire: &'a Wire,
    pub standing: &'a Standing,
    pub store: &'a Store,
    /// `None`: a dry run.
    pub lease: Option<&'a Lease>,
    pub options: &'a RunOptions,
    pub now: Timestamp,
}

pub async fn play(period: Period, wake: &Wake<'_>) -> anyhow::Result<Option<PeriodOutcome>> {
    let mut view = wake.store.books().snapshot().await?;
    let rules = wake.rules;
    let reach = due::reach(period, &rules.tenants, wake.settings);
    let mut windows = wake.windows(period, &view.closed_windows(reach).await?);
    let job = rules.jobs.get(&period);
    let settled = match due::turn(job, &windows, rules.is_only_late(period), rules.explicit) {
        Turn::Nothing => return Ok(None),
        Turn::Settled(job) => Some(job),
        Turn::Play => None,
    };
    if settled.is_some() && !windows.is_empty() {
        windows.keep_closed(period);
    }
    if let Some(job) = settled.filter(|_| !rules.explicit && !rules.late.contains(&period)) {
        wake.keep(job, None).await?;
        return Ok(rules.settled(job, wake.settings));
    }
    let kept = Kept::read(period, reach, job, &windows, &mut view).await?;
    let catalogs = Catalogs::read(&rules.catalog, &rules.catalog_hash, kept.catalogs(), &mut view).await?;
    let mut intents = Intents::new(view.intents(reach).await?);
    drop(view);
    let beside = wake.beside(settled, &kept);
    let scope = wake.scope(period, reach, &windows, &catalogs, settled.is_some());
    let observed = observe::observe(&scope, kept, &wake.store.ledger()).await?;
    let mut rated = Rated::new(&windows, (&rules.catalog, &rules.catalog_hash), &observed.totals);
    let mut run = PeriodRun { period, run_id: concern::run(wake.lease, wake.now), started: false };
    let exchange = match settled {
        Some(_) => Exchange::default(),
        None => wake.exchange(&mut run, &windows, &mut rated, &mut intents, &observed).await?,
    };
    let what_if = wake.what_if(&exchange, &rated).await?;
    let sends = if send::is_off(&wake.settings.off_switch) { Vec::new() } else { exchange.pushes.sends };
    let pushed = if wake.lease.is_some() { exchange.counts.pushed } else { intents.all_arrive(&sends) };
    let known = Known {
        period,
        was: job.map(|job| job.status),
        windows: &windows,
        catalogs: &catalogs,
        push: wake.wire.push,
        policy: &rules.policy,
        company: judge::company(period, &rules.tenants, &rules.catalog, &wake.settings.time_zone),
        run_id: &run.run_id,
        now: wake.now,
        charges: exchange.charges,
        unread: exchange.pushes.unread,
        mapped: &exchange.mapped,
        intents: &intents,
        confirmed: exchange.confirmed,
        unbillable: exchange.pushes.unbillable,
        pending_before: exchange.pending_before,
        pushed,
        errors: exchange.counts.errors,
        compared: exchange.compared,
        beside,
        evidence: exchange.answers.evidence,
    };
    let mut plan = plan::plan(known, rated, observed)?;
    if let Some(job) = settled {
        if plan.purpose != Purpose::Adjust {
            wake.keep(job, Some(plan.look)).await?;
            return Ok(rules.settled(job, wake.settings));
        }
        (plan.counts, plan.refused) = (job.counts, None);
    }
    let outcome = wake.finish(run, plan, sends).await?;
    Ok(Some(PeriodOutcome { what_if, ..outcome }))
}

/// What passed between us and Stripe about one period.
#[derive(Default)]
struct Exchange {
    mapped: Vec<Mapped>,
    /// What the price in force comes to for each of them.
    charges: Vec<Charge>,
    pushes: PushPlan,
    /// Pushes that waited before this run sent any.
    pending_before: u64,
    counts: PushCounts,
    answers: Answers,
    confirmed: Vec<Intent>,
    /// In the order of `mapped`; after them what the other windows' invoices hold.
    compared: Vec<Compared>,
}

/// A run of one period; its record is written when there is something to write.
struct PeriodRun {
    period: Period,
    run_id: String,
    started: bool,
}

impl<'a> Wake<'a> {
    fn windows(&self, period: Period, closed: &ClosedWindows) -> PeriodWindows<'a> {
        // A subscription may end inside of the window; the window still ends when it ends.
        let is_final =
            |window: &TenantWindow<'_>| self.stage(window) == Stage::Final && window.window.end <= self.now;
        let mut windows = due::windows(period, &self.rules.tenants, self.settings, closed, is_final);
        parking::hold(&self.rules.parking, period, &mut windows);
        windows
    }

    fn stage(&self, window: &TenantWindow<'_>) -> Stage {
        stage::stage(window, self.standing, self.settings.settle_delay, self.now)
    }

    fn facts(&self) -> RunFacts {
        RunFacts {
            started_at: self.now,
            catalog_hash: self.rules.catalog_hash.clone(),
            rules_hash: self.settings.rules_hash.clone(),
            bounds: self.settings.bounds.to_string(),
            time_zone: self.settings.time_zone_name.clone(),
            tenants_version: self.rules.tenants_version,
            mode: self.wire.mode.clone(),
            account_id: self.wire.account.id.clone(),
            tolerances: self.settings.tolerances.to_string(),
            made_with: made_with(self.options, self.settings),
        }
    }

    fn scope<'s>(
        &'s self,
        period: Period,
        reach: Window,
        windows: &'s PeriodWindows<'s>,
        catalogs: &'s Catalogs<'s>,
        is_settled: bool,
    ) -> Scope<'s> {
        Scope {
            period,
            reach,
            windows,
            tenants: &self.rules.tenants,
            catalogs,
            push: self.wire.push,
            zone: &self.settings.time_zone,
            now: self.now,
            is_settled,
        }
    }

    /// What no window has: as it stands at Stripe, or of a closed period as the last run found it.
    fn beside(&self, settled: Option<&PeriodJob>, kept: &Kept) -> Vec<ReconciliationRow> {
        match settled {
            Some(_) => kept.beside.clone(),
            None => [orphans, unread].map(|rows| rows(self.standing, &self.rules.tenants)).concat(),
        }
    }

    /// Nothing of a closed period has changed since it was looked at, but for what is to be kept of this look.
    async fn keep(&self, job: &PeriodJob, look: Option<Look>) -> anyhow::Result<()> {
        let Some(lease) = self.lease else { return Ok(()) };
        execute::keep(job, self.rules.tenants_version, look, lease, &self.store.books()).await
    }

    async fn start(&self, run: &mut PeriodRun, lease: &Lease) -> anyhow::Result<()> {
        if !run.started {
            let record = execute::new_run(run.period, run.run_id.clone(), lease, &self.facts())?;
            execute::start(&record, lease, &self.store.books()).await?;
            run.started = true;
        }
        Ok(())
    }

    /// Map → read totals → push → read previews → compare; tenants that do not fit are set aside in `rated`.
    async fn exchange(
        &self,
        run: &mut PeriodRun,
        windows: &PeriodWindows<'_>,
        rated: &mut Rated,
        intents: &mut Intents,
        observed: &Observation,
    ) -> anyhow::Result<Exchange> {
        let parking = &self.rules.parking;
        let stage = |window: &TenantWindow<'_>| self.stage(window);
        let mut mapped = rated.map(windows, &self.rules.catalog, self.standing, run.period, stage, self.now);
        parking::mark(&mut mapped, parking, &observed.kept.parked);
        edges::note(&mut mapped, &self.rules.tenants, &self.rules.catalog, &observed.totals)?;
        let evidence = reading::unread(self.standing, &self.rules.tenants);
        let mut answers = Answers { evidence, ..Answers::default() };
        read_totals(&mapped, |_| true, self.wire, self.standing, &mut answers).await?;
        rated.park(&answers.without_customer);
        mapped.retain(|one| !answers.is_without_customer(one));
        let charges = bounds::charges(&mapped, &self.rules.catalog)?;
        let (bounds, books) = (&self.settings.bounds, self.store.books());
        let parked = bounds::exceeded(bounds, &charges, run.period, parking, self.wire.push, &books).await?;
        let mut pushes = push::plan(&mapped, intents, &answers, self.wire, parked, self.now)?;
        let pending = intents.of_period(run.period).filter(|one| one.is_pending()).count();
        let pending_before = (pending + pushes.new.len()) as u64;
        let counts = self.push_all(run, &mut pushes, &mapped, intents, &mut answers).await?;
        rated.park(&pushes.parked);
        read_previews(&mapped, self.wire, &mut answers).await?;
        let confirmed = match self.lease {
            Some(_) => push::confirm(&mapped, intents, &answers, self.wire, self.now)?,
            None => Vec::new(),
        };
        // A dry run has settled nothing, and knows it all the same.
        let settled = pushes.settled.iter().filter(|_| self.lease.is_none());
        for one in pushes.unbillable.iter().chain(settled) {
            intents.put(one.clone());
        }
        let mut compared = self.compare(&mapped, intents, &mut answers).await?;
        // The windows that no tenant's figures stand for come after those that are mapped.
        compared.extend(beside::of_others(windows, &mapped, &rated.parked(), self.standing, stage)?);
        rated.park_incomplete(&compared);
        Ok(Exchange { mapped, charges, pushes, pending_before, counts, answers, confirmed, compared })
    }

    /// Compares, and looks once more at what differs for no reason that is known.
    async fn compare(
        &self,
        mapped: &[Mapped],
        intents: &Intents,
        answers: &mut Answers,
    ) -> anyhow::Result<Vec<Compared>> {
        let (standing, wire, now) = (self.standing, self.wire, self.now);
        let tolerances = &self.settings.tolerances;
        let sides = Sides { intents, answers, standing, wire, tolerances, now };
        let mut compared = sides.compare(mapped)?;
        let settle_delay = self.settings.settle_delay;
        let second = SecondLook {
            sides,
            meters: &self.rules.catalog.meters,
            ledger: &self.store.ledger(),
            settle_delay,
        };
        let told = second.look(mapped, &mut compared).await?;
        answers.evidence.extend(told);
        Ok(compared)
    }

    async fn what_if(&self, exchange: &Exchange, rated: &Rated) -> Result<Vec<WhatIf>, StripeError> {
        if !self.options.what_if {
            return Ok(Vec::new());
        }
        let (mapped, answers) = (&exchange.mapped, &exchange.answers);
        what_if::ask(mapped, &self.rules.catalog, self.standing, rated.open(), answers, self.wire).await
    }

    /// Sends what is planned, and then what had to wait for a push in doubt.
    async fn push_all(
        &self,
        run: &mut PeriodRun,
        pushes: &mut PushPlan,
        mapped: &[Mapped],
        intents: &mut Intents,
        answers: &mut Answers,
    ) -> anyhow::Result<PushCounts> {
        let first = self.push(run, pushes, mapped, intents, answers).await?;
        let waiting = pushes.waiting(mapped);
        if waiting.is_empty() {
            return Ok(first);
        }
        let more = if self.lease.is_some() {
            push::plan(&waiting, intents, answers, self.wire, BTreeMap::new(), self.now)?
        } else {
            push::plan_rest(pushes, &waiting, intents, answers, self.wire, self.now)?
        };
        let more = more.only_new();
        let second = self.push(run, &more, mapped, intents, answers).await?;
        pushes.add(more);
        Ok(PushCounts { pushed: first.pushed + second.pushed, errors: first.errors + second.errors })
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
        let step = send::Step {
            run_id: &run.run_id,
            wire: self.wire,
            standing: self.standing,
            lease,
            books: &self.store.books(),
            off_switch: &self.settings.off_switch,
            now: self.now,
        };
        let counts = send::execute(pushes, &step, intents).await?;
        let sent: std::collections::BTreeSet<&str> =
            pushes.sends.iter().map(|one| one.key.tenant_id.as_str()).collect();
        let wanted = |one: &Mapped| sent.contains(one.tenant_id.as_str());
        read_totals(mapped, wanted, self.wire, self.standing, answers).await?;
        Ok(counts)
    }

    /// Execute → deliver. A dry run ends here, with its plan.
    async fn finish(
        &self,
        mut run: PeriodRun,
        plan: PeriodPlan,
        sends: Vec<Intent>,
    ) -> anyhow::Result<PeriodOutcome> {
        let job = self.rules.jobs.get(&run.period);
        if plan.purpose == Purpose::Unchanged
            && !run.started
            && let Some(job) = job
        {
            return Ok(PeriodOutcome::done_before(job, self.rules.last_run(job), self.settings));
        }
        let Some(lease) = self.lease else {
            return PeriodOutcome::planned(&plan, sends, None, None, None);
        };
        self.start(&mut run, lease).await?;
        let books = self.store.books();
        let facts = self.facts();
        let folder = self.settings.reports.join(run.period.to_string()).join(&run.run_id);
        let of_run = (run.run_id.as_str(), facts.mode.as_str(), folder.as_path());
        let told = Told::of_plan(&plan, of_run, self.settings, &self.rules.policy, &books, self.now).await?;
        let text = told.verdict.as_ref().map(|message| message.text.clone());
        let mut outcome = PeriodOutcome::planned(&plan, sends, Some(run.run_id.clone()), None, text)?;
        let record = execute::new_run(run.period, run.run_id.clone(), lease, &facts)?;
        let record = record.judged(plan.status, plan.report.verdict.clone());
        let folder = match plan.purpose {
            Purpose::Close | Purpose::Adjust => {
                execute::commit(&plan, &run.run_id, &facts, &told, lease, &books).await?;
                // The figures come back from the database; two copies of a large company need not be in memory.
                drop(plan);
                deliver::deliver_committed(&record, self.settings, lease, &books, self.now).await?
            }
            Purpose::Look | Purpose::Unchanged => {
                execute::note(&plan, &run.run_id, &facts, &told, lease, &books).await?;
                let report = page::complete(plan.report, &run.run_id, &mut books.snapshot().await?).await?;
                deliver::deliver(&record, &report, self.settings, lease, &books, self.now).await?
            }
        };
        outcome.reports_dir = Some(folder);
        Ok(outcome)
    }
}
