//! Execute: writes a plan in one transaction under the lease.
//!
//! In: a plan. Out: a committed run, whose files are written next. A process that dies before the commit leaves
//! nothing; one that dies after it leaves a run that the next wake finishes.

use jiff::Timestamp;

use crate::domain::audit::AuditEvent;
use crate::domain::period::Period;
use crate::job::lease::Lease;
use crate::job::person;
use crate::job::plan::PeriodPlan;
use crate::job::told::Told;
use crate::store::Books;
use crate::store::books::{Look, MadeWith, PeriodJob, PeriodStatus, Run, RunState};

/// Writes that the run has begun, so that a crash leaves a trace.
pub async fn start(run: &Run, lease: &Lease, books: &Books) -> anyhow::Result<()> {
    let mut write = books.write(lease.term()?).await?;
    write.start_run(run).await?;
    Ok(write.commit().await?)
}

/// Closes and parks what the plan says, with the comparison, the verdict and the message that tells it.
#[tracing::instrument(level = "debug", name = "commit", skip_all)]
pub async fn commit(
    plan: &PeriodPlan,
    run_id: &str,
    facts: &RunFacts,
    told: &Told,
    lease: &Lease,
    books: &Books,
) -> anyhow::Result<()> {
    let (period, report) = (plan.report.period, &plan.report);
    let mut write = books.write(lease.term()?).await?;
    write.save_windows(period, plan.writes(), run_id).await?;
    write.add_charges(period, &plan.notes.charges).await?;
    write.save_report(run_id, &report.exceptions, &report.controls).await?;
    write.save_comparison(period, run_id, &plan.compared, &report.evidence).await?;
    write.save_differences(period, &plan.differences).await?;
    write.save_decision(run_id, &report.decision).await?;
    if let Some(facts) = &plan.facts {
        write.save_facts(run_id, facts).await?;
    }
    write.add_adjustments(period, run_id, &plan.adjustments).await?;
    write.save_accruals(run_id, &report.accruals).await?;
    write.add_limit_events((period, run_id), &plan.limits, facts.started_at).await?;
    write.update_intents(&plan.confirmed).await?;
    write.add_intents(&plan.unbillable, run_id).await?;
    write.add_observed_windows(&plan.notes.observed, run_id).await?;
    write.add_drafts(&plan.notes.drafts, run_id).await?;
    write.save_parked(period, &plan.notes.parked).await?;
    told.write(&mut write, facts.started_at).await?;
    write.commit_run(run_id, &job_of(plan, run_id, facts), report.verdict.as_ref()).await?;
    write.save_look(period, plan.look).await?;
    write.save_seen(run_id, report.ledger, &report.money()?).await?;
    let records = write.closed_records(run_id).await?;
    let event = AuditEvent::RunCommitted {
        period,
        status: plan.status.as_str().to_owned(),
        closed: plan.counts.closed,
        parked: plan.counts.parked,
        verdict: report.verdict.as_ref().map_or(String::new(), |verdict| verdict.word.as_str().to_owned()),
        records,
    };
    write.audit(&event, run_id, facts.started_at).await?;
    if !plan.adjustments.is_empty() {
        let records = plan.adjustments.iter().map(|one| one.records).sum();
        let event = AuditEvent::UsageAdjusted { period, adjustments: plan.adjustments.len() as u64, records };
        write.audit(&event, run_id, facts.started_at).await?;
    }
    Ok(write.commit().await?)
}

/// Notes what a run saw that closes nothing: windows seen in time, pushes that arrived, the counts.
#[tracing::instrument(level = "debug", name = "commit", skip_all)]
pub async fn note(
    plan: &PeriodPlan,
    run_id: &str,
    facts: &RunFacts,
    told: &Told,
    lease: &Lease,
    books: &Books,
) -> anyhow::Result<()> {
    let mut write = books.write(lease.term()?).await?;
    told.write(&mut write, facts.started_at).await?;
    write.update_intents(&plan.confirmed).await?;
    write.add_limit_events((plan.report.period, run_id), &plan.limits, facts.started_at).await?;
    write.save_differences(plan.report.period, &plan.differences).await?;
    write.add_observed_windows(&plan.notes.observed, run_id).await?;
    write.add_drafts(&plan.notes.drafts, run_id).await?;
    write.save_parked(plan.report.period, &plan.notes.parked).await?;
    write.save_job(&job_of(plan, run_id, facts)).await?;
    Ok(write.commit().await?)
}

fn job_of(plan: &PeriodPlan, run_id: &str, facts: &RunFacts) -> PeriodJob {
    PeriodJob {
        period: plan.report.period,
        status: plan.status,
        counts: plan.counts,
        tenants_version: facts.tenants_version,
        run_id: run_id.to_owned(),
    }
}

/// Records that a closed period was looked at, with the tenants and the records of now, so that the next wake need not.
pub async fn keep(
    job: &PeriodJob,
    tenants_version: i64,
    look: Option<Look>,
    lease: &Lease,
    books: &Books,
) -> anyhow::Result<()> {
    if job.tenants_version == tenants_version && look.is_none() {
        return Ok(());
    }
    let mut write = books.write(lease.term()?).await?;
    write.keep_closed(job.period, tenants_version).await?;
    if let Some(look) = look {
        write.save_look(job.period, look).await?;
    }
    Ok(write.commit().await?)
}

/// Marks runs that died before they committed anything.
pub async fn abandon_dead_runs(lease: &Lease, books: &Books, now: Timestamp) -> anyhow::Result<()> {
    let dead = books.snapshot().await?.runs(RunState::Started).await?;
    for run in dead {
        tracing::warn!(
            "run {} of {} ended before it closed anything; its work is done again",
            run.run_id,
            run.period
        );
        let mut write = books.write(lease.term()?).await?;
        write.abandon_run(&run.run_id).await?;
        write.audit(&AuditEvent::RunAbandoned { period: run.period }, &run.run_id, now).await?;
        write.commit().await?;
    }
    Ok(())
}

/// The record of a new run.
pub fn new_run(period: Period, run_id: String, lease: &Lease, facts: &RunFacts) -> anyhow::Result<Run> {
    let term = lease.term()?;
    Ok(Run {
        run_id,
        period,
        state: RunState::Started,
        fence: term.fence,
        holder: term.holder.clone(),
        started_at: facts.started_at,
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
        catalog_hash: facts.catalog_hash.clone(),
        rules_hash: facts.rules_hash.clone(),
        bounds: facts.bounds.clone(),
        time_zone: facts.time_zone.clone(),
        period_status: PeriodStatus::Open,
        mode: facts.mode.clone(),
        account_id: facts.account_id.clone(),
        tolerances: facts.tolerances.clone(),
        os_user: person::os_user().to_string(),
        made_with: facts.made_with.clone(),
        verdict: None,
    })
}

/// What a run records about its rules.
pub struct RunFacts {
    pub started_at: Timestamp,
    pub catalog_hash: String,
    pub rules_hash: String,
    pub bounds: String,
    pub time_zone: String,
    pub tenants_version: i64,
    pub mode: String,
    pub account_id: String,
    pub tolerances: String,
    pub made_with: MadeWith,
}
