//! The outcome of one period, as the commands print it.
//!
//! In: a plan that was executed or only made, or the job of an earlier run. Out: plain values. Never reads anything.

use std::path::PathBuf;

use crate::domain::decide::Verdict;
use crate::domain::figures::WindowStatus;
use crate::domain::period::Period;
use crate::domain::report::{Exception, ExceptionKind, Money};
use crate::job::Settings;
use crate::job::plan::{PeriodPlan, Purpose};
use crate::store::books::{JobCounts, PeriodJob, PeriodStatus};

/// What became of one period, for a person and for a program.
#[derive(Clone, Debug)]
pub struct PeriodOutcome {
    pub period: Period,
    /// `None` in a dry run.
    pub run_id: Option<String>,
    pub status: PeriodStatus,
    pub verdict: Option<Verdict>,
    pub counts: JobCounts,
    pub reports_dir: Option<PathBuf>,
    /// What the run did, or would do.
    pub purpose: Option<Purpose>,
    /// Windows that closed in this run.
    pub newly_closed: u64,
    pub provisional: u64,
    pub exceptions: Vec<String>,
    pub money: Vec<Money>,
    /// Whether something waits for a person.
    pub unfinished: bool,
}

impl PeriodOutcome {
    pub fn planned(
        plan: &PeriodPlan,
        run_id: Option<String>,
        reports_dir: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let report = &plan.report;
        let waits = |kind| kind == ExceptionKind::Parked || kind == ExceptionKind::Quarantined;
        Ok(Self {
            period: report.period,
            run_id,
            status: plan.status,
            verdict: plan.verdict.clone(),
            counts: plan.counts,
            reports_dir,
            purpose: Some(plan.purpose),
            newly_closed: plan.writes().iter().filter(|one| one.status == WindowStatus::Closed).count()
                as u64,
            provisional: report.count(WindowStatus::Open),
            exceptions: report.exceptions.iter().map(describe).collect(),
            money: report.money()?,
            unfinished: report.exceptions.iter().any(|one| waits(one.kind)),
        })
    }

    /// Nothing is left to do, or nothing can be done until a person has acted.
    pub fn done_before(job: &PeriodJob, settings: &Settings, delivered: bool) -> Self {
        let folder = settings.reports.join(job.period.to_string()).join(&job.run_id);
        let judged = matches!(job.status, PeriodStatus::Closed | PeriodStatus::Partial);
        Self {
            period: job.period,
            run_id: Some(job.run_id.clone()),
            status: job.status,
            verdict: judged.then(Verdict::ledger_only),
            counts: job.counts,
            reports_dir: delivered.then_some(folder),
            purpose: None,
            newly_closed: 0,
            provisional: 0,
            exceptions: Vec::new(),
            money: Vec::new(),
            unfinished: job.counts.parked > 0,
        }
    }
}

fn describe(one: &Exception) -> String {
    let meter = if one.meter.is_empty() { String::new() } else { format!(" on {}", one.meter) };
    let (kind, records) = (one.kind.as_str(), one.records);
    let noun = if records == 1 { "record" } else { "records" };
    format!("{kind}: {}{meter}, {} ({records} {noun}): {}", one.tenant_id, one.reason, one.next_step)
}
