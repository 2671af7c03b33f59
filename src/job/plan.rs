//! Plan: what a run will close, park and report. Pure: the same observation and answers give the same plan.
//!
//! In: a period's windows with their figures, what the ledger, the books and Stripe hold. Out: a [`PeriodPlan`], ready to be
//! printed (dry run) or executed. Never writes.

mod counts;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use jiff::Timestamp;

use crate::domain::bounds::Charge;
use crate::domain::catalog::Catalog;
use crate::domain::company::CompanyFacts;
use crate::domain::controls::ControlTotals;
use crate::domain::facts::PeriodFacts;
use crate::domain::figures::{LedgerTotals, WindowFigures, WindowStatus};
use crate::domain::intent::{Intent, PushMode};
use crate::domain::late::{Adjustment, restated};
use crate::domain::limit::LimitEvent;
use crate::domain::period::{Period, Window};
use crate::domain::policy::Policy;
use crate::domain::reconcile::{Claims, Followed, KnownDifference, ReconciliationRow, follow};
use crate::domain::report::page::PageData;
use crate::domain::report::{
    Exception, LedgerSeen, QuarantineCount, Report, exceptions, resolved, unbillable,
};
use crate::domain::tenant::{ParkReason, TenantWindow};
use crate::job::ages;
use crate::job::catalogs::Catalogs;
use crate::job::compare::Compared;
use crate::job::due::PeriodWindows;
use crate::job::intents::Intents;
use crate::job::judge::{Case, Judged, judge};
use crate::job::late::{self, CameLate, Waits};
use crate::job::limits::warn;
use crate::job::mapping::{Mapped, Present, map};
use crate::job::notes::Notes;
use crate::job::observe::Observation;
use crate::job::plan::counts::counts;
use crate::job::stage::Stage;
use crate::job::standing::Standing;
use crate::store::books::{ComparedRow, JobCounts, Look, PeriodStatus};

/// What the run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Windows close, or are parked anew.
    Close,
    /// All that could close is parked for the reasons that are known; nothing is to be written.
    Unchanged,
    /// Nothing closes now: usage is pushed and compared, the figures are provisional.
    Look,
    /// Nothing closes now, and usage came late to what is closed.
    Adjust,
}

#[derive(Debug)]
pub struct PeriodPlan {
    pub purpose: Purpose,
    pub status: PeriodStatus,
    pub counts: JobCounts,
    /// Pushes that Stripe refused in this run. `None`: none was due, and the counts are those of the run before.
    pub refused: Option<u64>,
    pub report: Report,
    /// The rows that this run adds to the comparison.
    pub compared: Vec<ComparedRow>,
    pub differences: Followed,
    pub notes: Notes,
    /// Intents that the close settles: confirmed and unbillable ones.
    pub confirmed: Vec<Intent>,
    pub unbillable: Vec<Intent>,
    /// What came late to closed windows and is adjusted by this run.
    pub adjustments: Vec<Adjustment>,
    /// What of closed windows waits for a person.
    pub late: Waits,
    /// Levels of quotas that were reached, and that nobody knew.
    pub limits: Vec<LimitEvent>,
    pub look: Look,
    /// What the verdict is said from; only of a judged period.
    pub facts: Option<PeriodFacts>,
    /// Where in the report's windows those stand that close now or are parked.
    new: Range<usize>,
}

impl PeriodPlan {
    /// The windows to write.
    pub fn writes(&self) -> &[WindowFigures] {
        self.report.windows.get(self.new.clone()).unwrap_or_default()
    }
}

/// The figures of the windows that are not closed yet, in the order of their windows.
#[derive(Debug)]
pub struct Rated {
    due: Vec<WindowFigures>,
    open: Vec<WindowFigures>,
}

impl Rated {
    #[tracing::instrument(level = "debug", name = "rate", skip_all)]
    pub fn new(windows: &PeriodWindows<'_>, catalog: (&Catalog, &str), totals: &LedgerTotals) -> Self {
        let rate = |window: &TenantWindow<'_>, status| WindowFigures::new(window, catalog, totals, status);
        Self {
            due: windows.due.iter().map(|window| rate(window, WindowStatus::Closed)).collect(),
            open: windows.open.iter().map(|window| rate(window, WindowStatus::Open)).collect(),
        }
    }

    /// Finds the windows that are billed through Stripe; what does not fit there is set aside. A window that has not begun,
    /// and a tenant that starts later in it, is nothing to Stripe yet.
    #[tracing::instrument(level = "debug", name = "map", skip_all)]
    pub fn map(
        &mut self,
        windows: &PeriodWindows<'_>,
        catalog: &Catalog,
        standing: &Standing,
        period: Period,
        stage: impl Fn(&TenantWindow<'_>) -> Stage,
        now: Timestamp,
    ) -> Vec<Mapped> {
        let due = windows.due.iter().zip(&mut self.due);
        let open = windows.open.iter().zip(&mut self.open);
        let mut all = Vec::new();
        let begun = |window: &TenantWindow<'_>| {
            window.segments.first().is_some_and(|segment| segment.range.start <= now)
        };
        for (window, figures) in
            due.chain(open).filter(|(window, figures)| figures.park.is_none() && begun(window))
        {
            match map(window, figures, catalog, standing, Present { stage: stage(window), now, period }) {
                Ok(Some(mapped)) => all.push(mapped),
                Ok(None) => figures.not_billed = window.is_inactive() || is_not_at_stripe(window),
                Err(reason) => figures.set_aside(reason),
            }
        }
        all
    }

    pub fn open(&self) -> &[WindowFigures] {
        &self.open
    }

    pub fn park(&mut self, parked: &BTreeMap<(String, Window), ParkReason>) {
        for figures in self.due.iter_mut().chain(&mut self.open).filter(|one| one.park.is_none()) {
            if let Some(reason) = parked.get(&(figures.tenant_id.clone(), figures.window)) {
                figures.set_aside(*reason);
            }
        }
    }

    /// Tenant and start of the windows that are set aside.
    pub fn parked(&self) -> BTreeSet<(String, Timestamp)> {
        let parked = self.due.iter().chain(&self.open).filter(|one| one.park.is_some());
        parked.map(|one| (one.tenant_id.clone(), one.window.start)).collect()
    }

    /// A window whose answers are missing cannot close.
    pub fn park_incomplete(&mut self, compared: &[Compared]) {
        let incomplete = compared.iter().filter(|one| one.is_incomplete());
        let incomplete: BTreeSet<_> =
            incomplete.map(|one| (one.tenant_id.as_str(), one.window_start)).collect();
        for figures in self.due.iter_mut().filter(|one| one.park.is_none()) {
            if incomplete.contains(&(figures.tenant_id.as_str(), figures.window.start)) {
                figures.set_aside(ParkReason::Incomplete);
            }
        }
    }

    /// Marks what was seen in time, and what Stripe is never asked about.
    fn mark_full_cycles(&mut self, observed: &BTreeSet<(String, Timestamp)>) {
        for figures in &mut self.due {
            figures.full_cycle = observed.contains(&(figures.tenant_id.clone(), figures.window.start));
        }
    }
}

fn is_not_at_stripe(window: &TenantWindow<'_>) -> bool {
    window.segments.iter().all(|segment| segment.subscription.stripe_subscription_id.is_empty())
}

/// What is known when the plan is made.
pub struct Known<'a> {
    pub period: Period,
    /// How far earlier runs have brought it.
    pub was: Option<PeriodStatus>,
    pub windows: &'a PeriodWindows<'a>,
    pub catalogs: &'a Catalogs<'a>,
    pub push: PushMode,
    pub policy: &'a Policy,
    pub company: CompanyFacts,
    pub run_id: &'a str,
    pub now: Timestamp,
    pub charges: Vec<Charge>,
    /// Tenants that are due a push, and whose total could not be read.
    pub unread: BTreeSet<String>,
    pub mapped: &'a [Mapped],
    pub intents: &'a Intents,
    pub confirmed: Vec<Intent>,
    pub unbillable: Vec<Intent>,
    pub pending_before: u64,
    pub pushed: u64,
    pub errors: u64,
    /// In the order of `mapped`; after them what the other windows' invoices hold.
    pub compared: Vec<Compared>,
    /// Rows about what no window has: strange subscriptions, and those that are not understood.
    pub beside: Vec<ReconciliationRow>,
    pub evidence: Vec<String>,
}

#[tracing::instrument(level = "debug", name = "plan", skip_all)]
pub fn plan(mut known: Known<'_>, mut rated: Rated, observation: Observation) -> anyhow::Result<PeriodPlan> {
    let Observation { totals, quarantine, kept, accruals, not_accrued, newest, look } = observation;
    rated.mark_full_cycles(&kept.observed);
    let Rated { due, open } = rated;
    let claims = ages::claims(known.windows, &due, &open);
    let purpose = purpose(&known, (&due, &open), &kept.stored);
    let mut all: Vec<WindowFigures> =
        kept.stored.into_iter().filter(|window| window.status == WindowStatus::Closed).collect();
    let came = late::find(&all, &totals, known.catalogs, kept.adjusted)?;
    let is_news = came.is_news(&kept.told);
    let purpose = if purpose == Purpose::Close || !is_news { purpose } else { Purpose::Adjust };
    let new = all.len()..all.len() + due.len();
    all.extend(due);
    let (status, counts) = (status(&open, &all), counts(&known, &open, &all));
    let notes = Notes::new(&known, &kept.parked, &all[new.clone()], &open);
    let mut rows = compared_rows(&known, &all[new.clone()]);
    let differences = aged(&kept.compared, &mut rows, kept.differences, &claims, known.now);
    known.evidence.extend(ages::evidence(&differences, &rows));
    let comparison = with_new(kept.compared, &rows);
    let judged = matches!(status, PeriodStatus::Closed | PeriodStatus::Partial);
    let earlier = kept.earlier.facts_without_gap(known.period);
    let Judged { decision, facts } = match kept.judged.filter(|_| judged && purpose == Purpose::Adjust) {
        // Late usage changes no closed figure, so what was said of them stands.
        Some(said) => said,
        None => judge_period(&known, &all, &comparison, counts.pending_after, &earlier)?,
    };
    let warned = warn(&known, (&kept.limits, &kept.told), (&all[new.clone()], &open), purpose);
    if purpose == Purpose::Look {
        all.extend(open);
    }
    let beside = (&totals, &quarantine[..], &differences.vanished[..]);
    let (mut exceptions, controls) = beside_the_lines(&known, &all, &came, beside)?;
    exceptions.extend(not_accrued.into_iter().chain(warned.jumps));
    exceptions.sort();
    let report = Report {
        period: known.period,
        ledger: LedgerSeen { records: controls.accepted_records(), recorded_at: newest },
        adjustments: restated(&all, &came.all)?,
        windows: all,
        exceptions,
        controls,
        comparison,
        evidence: known.evidence,
        decision: decision.rows,
        accruals,
        limits: warned.limits,
        forecasts: warned.forecasts,
        verdict: judged.then_some(decision.verdict),
        earlier: kept.earlier.said(),
        page: PageData::default(),
    };
    Ok(PeriodPlan {
        purpose,
        status,
        counts,
        refused: Some(known.errors),
        report,
        compared: rows,
        differences,
        notes,
        confirmed: known.confirmed,
        unbillable: known.unbillable,
        late: came.waits(),
        limits: warned.new,
        adjustments: came.new,
        look,
        facts: judged.then_some(facts),
        new,
    })
}

fn aged(
    earlier: &[ReconciliationRow],
    rows: &mut [ComparedRow],
    known: Vec<KnownDifference>,
    claims: &Claims,
    now: Timestamp,
) -> Followed {
    let mut looked_at: Vec<&mut ReconciliationRow> = rows.iter_mut().map(|one| &mut one.row).collect();
    follow(earlier, &mut looked_at, known, claims, now)
}

/// In the order of the file.
fn with_new(earlier: Vec<ReconciliationRow>, rows: &[ComparedRow]) -> Vec<ReconciliationRow> {
    let mut all = earlier;
    all.extend(rows.iter().map(|one| one.row.clone()));
    all.sort();
    all
}

fn judge_period(
    known: &Known<'_>,
    figures: &[WindowFigures],
    comparison: &[ReconciliationRow],
    pending_after: u64,
    earlier: &[PeriodFacts],
) -> anyhow::Result<Judged> {
    let case = Case {
        figures,
        comparison,
        intents: known.intents,
        catalogs: known.catalogs,
        push: known.push,
        pending_after,
        company: &known.company,
    };
    judge(known.policy, &case, earlier)
}

/// What a person should look at, and proof that each record of the ledger is accounted for. The first windows are those that
/// were closed by earlier runs.
fn beside_the_lines(
    known: &Known<'_>,
    windows: &[WindowFigures],
    came: &CameLate,
    (totals, quarantine, vanished): (&LedgerTotals, &[QuarantineCount], &[KnownDifference]),
) -> anyhow::Result<(Vec<Exception>, ControlTotals)> {
    let without_plan = known.windows.without_plan.iter();
    let strays: Vec<WindowFigures> = without_plan
        .map(|window| WindowFigures::new(window, (known.catalogs.current, ""), totals, WindowStatus::Open))
        .filter(|window| !window.usage.is_empty())
        .collect();
    let looked_at: Vec<&WindowFigures> = windows.iter().chain(&strays).collect();
    let mut exceptions = exceptions(&looked_at, quarantine);
    exceptions.extend(unbillable(known.intents.of_period(known.period), &looked_at, |window| {
        known.catalogs.of(window)
    }));
    exceptions.extend(resolved(vanished, &looked_at));
    exceptions.extend(came.exceptions.iter().cloned());
    let (earlier, now) = looked_at.split_at(came.by_window.len());
    let earlier: Vec<_> = earlier.iter().copied().zip(&came.by_window).collect();
    Ok((exceptions, ControlTotals::prove(&earlier, now, totals)?))
}

fn compared_rows(known: &Known<'_>, new: &[WindowFigures]) -> Vec<ComparedRow> {
    let closing: BTreeSet<(&str, Timestamp)> = new
        .iter()
        .filter(|window| window.status == WindowStatus::Closed)
        .map(|window| (window.tenant_id.as_str(), window.window.start))
        .collect();
    let mut rows = Vec::new();
    for one in &known.compared {
        let closed = closing.contains(&(one.tenant_id.as_str(), one.window_start));
        rows.extend(one.rows.iter().map(|row| ComparedRow { row: row.clone(), closed }));
    }
    rows.extend(known.beside.iter().map(|row| ComparedRow { row: row.clone(), closed: false }));
    rows
}

fn purpose(
    run: &Known<'_>,
    (due, open): (&[WindowFigures], &[WindowFigures]),
    stored: &[WindowFigures],
) -> Purpose {
    let key = |window: &WindowFigures| (window.tenant_id.clone(), window.window);
    let parked = stored.iter().filter(|window| window.status == WindowStatus::Parked);
    let known: BTreeMap<_, _> = parked.map(|window| (key(window), window.park)).collect();
    let is_known = |window: &WindowFigures| known.get(&key(window)) == Some(&window.park);
    // The rules were changed, and nobody is set aside in a window that is no longer there.
    let there: BTreeSet<_> = due.iter().chain(open).map(key).collect();
    let is_gone = known.keys().any(|one| !there.contains(one));
    let is_over = there.is_empty() && matches!(run.was, Some(PeriodStatus::Closing | PeriodStatus::Partial));
    if !due.iter().all(is_known) || is_gone || is_over {
        Purpose::Close
    } else if open.is_empty() && !due.is_empty() && run.confirmed.is_empty() {
        Purpose::Unchanged
    } else {
        Purpose::Look
    }
}

fn status(open: &[WindowFigures], all: &[WindowFigures]) -> PeriodStatus {
    let parked = all.iter().any(|window| window.status == WindowStatus::Parked);
    match (all.is_empty(), open.is_empty(), parked) {
        (true, _, _) => PeriodStatus::Open,
        (false, false, _) => PeriodStatus::Closing,
        (false, true, true) => PeriodStatus::Partial,
        (false, true, false) => PeriodStatus::Closed,
    }
}
