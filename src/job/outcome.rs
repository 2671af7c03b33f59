//! The outcome of one period, as the commands print it.
//!
//! In: a plan that was executed or only made, or the job of an earlier run. Out: plain values. Never reads anything.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::domain::decide::{DecisionRow, Verdict};
use crate::domain::figures::WindowStatus;
use crate::domain::intent::Intent;
use crate::domain::late::Adjustment;
use crate::domain::period::Period;
use crate::domain::reconcile::{Age, Cause, Class, ReconciliationRow};
use crate::domain::report::{Exception, ExceptionKind, Money};
use crate::job::Settings;
use crate::job::plan::{PeriodPlan, Purpose};
use crate::job::what_if::WhatIf;
use crate::store::books::{JobCounts, PeriodJob, PeriodStatus, Run, RunState};

/// What a run has left, with its number: tenants, records, pushes or rows of the comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfinished {
    Parked(u64),
    Quarantined(u64),
    Pending(u64),
    /// An answer of Stripe's is missing.
    Incomplete(u64),
    /// Stripe refused a push.
    Refused(u64),
    /// It can no longer be sent since this run.
    Unbillable(u64),
    /// Usage of closed windows that this run has adjusted.
    Late(u64),
    /// Usage that came late, and nobody can say what it is worth.
    Unvalued(u64),
    /// Records of closed windows that the ledger holds no more.
    Lost(u64),
}

impl Unfinished {
    fn count(self) -> u64 {
        match self {
            Self::Parked(count)
            | Self::Quarantined(count)
            | Self::Pending(count)
            | Self::Incomplete(count)
            | Self::Refused(count)
            | Self::Unbillable(count)
            | Self::Late(count)
            | Self::Unvalued(count)
            | Self::Lost(count) => count,
        }
    }
}

/// What became of one period, for a person and for a program.
#[derive(Clone, Debug)]
pub struct PeriodOutcome {
    pub period: Period,
    /// `None` in a dry run.
    pub run_id: Option<String>,
    pub status: PeriodStatus,
    pub verdict: Option<Verdict>,
    /// The metrics behind the verdict.
    pub decision: Vec<DecisionRow>,
    pub counts: JobCounts,
    /// How many of the errors Stripe has refused in this run; the others came too late. `None`: the counts are those of the run
    /// before.
    pub refused: Option<u64>,
    pub reports_dir: Option<PathBuf>,
    /// What the run did, or would do.
    pub purpose: Option<Purpose>,
    /// Windows that closed in this run.
    pub newly_closed: u64,
    pub provisional: u64,
    /// What was sent, or would be.
    pub pushes: Vec<Intent>,
    pub exceptions: Vec<Exception>,
    /// What came late to closed windows.
    pub adjustments: Vec<Adjustment>,
    /// Rows of the comparison that disagree.
    pub differences: Vec<ReconciliationRow>,
    /// How many of all differences were not there in the run before, and how many of those then are gone.
    pub differences_new: u64,
    pub differences_gone: u64,
    pub money: Vec<Money>,
    /// The message of a judged period.
    pub message: Option<String>,
    /// What is not done, and whoever has to do it.
    pub unfinished: Vec<Unfinished>,
    /// What would be billed at other prices, where that was asked.
    pub what_if: Vec<WhatIf>,
}

impl PeriodOutcome {
    pub fn planned(
        plan: &PeriodPlan,
        pushes: Vec<Intent>,
        run_id: Option<String>,
        reports_dir: Option<PathBuf>,
        message: Option<String>,
    ) -> anyhow::Result<Self> {
        let report = &plan.report;
        // What a dry run only would push is no difference yet.
        let is_sent_for =
            |row: &ReconciliationRow| pushes.iter().any(|one| one.key.tenant_id == row.tenant_id);
        let is_planned = |row: &ReconciliationRow| {
            run_id.is_none() && row.reason == Some(Cause::NotPushed) && is_sent_for(row)
        };
        let disagreeing: Vec<ReconciliationRow> =
            report.comparison.iter().filter(|row| row.is_difference() && !is_planned(row)).cloned().collect();
        Ok(Self {
            period: report.period,
            run_id,
            status: plan.status,
            verdict: report.verdict.clone(),
            decision: report.decision.clone(),
            counts: plan.counts,
            refused: plan.refused,
            reports_dir,
            purpose: Some(plan.purpose),
            newly_closed: plan.writes().iter().filter(|one| one.status == WindowStatus::Closed).count()
                as u64,
            provisional: report.count(WindowStatus::Open),
            pushes,
            exceptions: report.exceptions.clone(),
            differences_new: disagreeing.iter().filter(|row| row.age == Some(Age::New)).count() as u64,
            differences_gone: plan.differences.gone() as u64,
            adjustments: plan.adjustments.clone(),
            differences: disagreeing,
            money: report.money()?,
            message,
            unfinished: unfinished(plan),
            what_if: Vec::new(),
        })
    }

    /// Nothing is left to do, or nothing can be done until a person has acted.
    pub fn done_before(job: &PeriodJob, run: Option<&Run>, settings: &Settings) -> Self {
        let folder = settings.reports.join(job.period.to_string()).join(&job.run_id);
        let delivered = run.is_some_and(|run| run.state == RunState::Finished);
        Self {
            period: job.period,
            run_id: Some(job.run_id.clone()),
            status: job.status,
            verdict: run.and_then(|run| run.verdict.clone()),
            decision: Vec::new(),
            counts: job.counts,
            refused: None,
            reports_dir: delivered.then_some(folder),
            purpose: None,
            newly_closed: 0,
            provisional: 0,
            pushes: Vec::new(),
            exceptions: Vec::new(),
            adjustments: Vec::new(),
            differences: Vec::new(),
            differences_new: 0,
            differences_gone: 0,
            money: Vec::new(),
            message: None,
            unfinished: some([
                Unfinished::Parked(job.counts.parked),
                Unfinished::Pending(job.counts.pending_after),
            ]),
            what_if: Vec::new(),
        }
    }
}

fn unfinished(plan: &PeriodPlan) -> Vec<Unfinished> {
    let (exceptions, counts) = (&plan.report.exceptions, &plan.counts);
    let quarantined = exceptions.iter().filter(|one| one.kind == ExceptionKind::Quarantined);
    let parked: BTreeSet<&str> = exceptions
        .iter()
        .filter(|one| one.kind == ExceptionKind::Parked)
        .map(|one| one.tenant_id.as_str())
        .collect();
    let incomplete = plan.report.comparison.iter().filter(|row| row.class == Class::Incomplete).count();
    some([
        Unfinished::Parked(parked.len() as u64),
        Unfinished::Quarantined(quarantined.map(|one| one.records).sum()),
        Unfinished::Pending(counts.pending_after),
        Unfinished::Incomplete(incomplete as u64),
        Unfinished::Refused(plan.refused.unwrap_or_default()),
        Unfinished::Unbillable(plan.unbillable.len() as u64),
        Unfinished::Late(plan.late.adjusted),
        Unfinished::Unvalued(plan.late.unvalued),
        Unfinished::Lost(plan.late.lost),
    ])
}

fn some<const N: usize>(all: [Unfinished; N]) -> Vec<Unfinished> {
    all.into_iter().filter(|one| one.count() > 0).collect()
}

/// An exception in one line, for a person.
pub fn exception(one: &Exception) -> String {
    let meter = if one.meter.is_empty() { String::new() } else { format!(" on {}", one.meter) };
    let (kind, records) = (one.kind.as_str(), one.records);
    let noun = if records == 1 { "record" } else { "records" };
    let worth = one.amount.map(|amount| format!(", {amount} {}", amount.currency.code().to_uppercase()));
    let worth = worth.unwrap_or_default();
    format!("{kind}: {}{meter}, {} ({records} {noun}{worth}): {}", one.tenant_id, one.reason, one.next_step)
}
