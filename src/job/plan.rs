//! Plan: what a run will close, park and report. Pure: the same observation gives the same plan.
//!
//! In: a period's windows, the observation, the catalog. Out: a [`PeriodPlan`], ready to be printed (dry run) or
//! executed. Never writes.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::domain::catalog::Catalog;
use crate::domain::decide::Verdict;
use crate::domain::controls::{ControlFault, ControlTotals};
use crate::domain::figures::{WindowFigures, WindowStatus};
use crate::domain::period::Period;
use crate::domain::report::{Report, exceptions};
use crate::domain::tenant::TenantWindow;
use crate::job::due::PeriodWindows;
use crate::job::observe::Observation;
use crate::store::books::{JobCounts, PeriodStatus};

/// What the run is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Windows close, or are parked anew.
    Close,
    /// All that could close is parked for the reasons that are known; nothing is to be written.
    Unchanged,
    /// Nothing is final yet: the figures are provisional.
    Look,
}

#[derive(Debug)]
pub struct PeriodPlan {
    pub purpose: Purpose,
    pub status: PeriodStatus,
    pub counts: JobCounts,
    pub verdict: Option<Verdict>,
    pub report: Report,
    /// Where in the report's windows those stand that close now or are parked.
    new: Range<usize>,
}

impl PeriodPlan {
    /// The windows to write.
    pub fn writes(&self) -> &[WindowFigures] {
        self.report.windows.get(self.new.clone()).unwrap_or_default()
    }
}

pub fn plan(
    period: Period,
    windows: &PeriodWindows<'_>,
    catalog: &Catalog,
    observed: Observation,
) -> Result<PeriodPlan, ControlFault> {
    let Observation { totals, quarantine, stored } = observed;
    let rate = |window: &TenantWindow<'_>, status| WindowFigures::new(window, catalog, &totals, status);
    let due: Vec<WindowFigures> =
        windows.due.iter().map(|window| rate(window, WindowStatus::Closed)).collect();
    let purpose = purpose(&due, &stored);
    let mut all: Vec<WindowFigures> =
        stored.into_iter().filter(|window| window.status == WindowStatus::Closed).collect();
    let new = all.len()..all.len() + due.len();
    all.extend(due);
    let status = status(windows, &all);
    let counts = counts(windows, &all);
    if purpose == Purpose::Look {
        all.extend(windows.open.iter().map(|window| rate(window, WindowStatus::Open)));
    }
    let without_plan = windows.without_plan.iter().map(|window| rate(window, WindowStatus::Open));
    let strays: Vec<WindowFigures> = without_plan.filter(|window| !window.usage.is_empty()).collect();
    let looked_at: Vec<&WindowFigures> = all.iter().chain(&strays).collect();
    let exceptions = exceptions(&looked_at, &quarantine);
    let (earlier, now) = looked_at.split_at(new.start);
    let controls = ControlTotals::prove(earlier, now, &totals)?;
    let judged = matches!(status, PeriodStatus::Closed | PeriodStatus::Partial);
    let report = Report { period, windows: all, exceptions, controls };
    Ok(PeriodPlan { purpose, status, counts, verdict: judged.then(Verdict::ledger_only), report, new })
}

fn purpose(due: &[WindowFigures], stored: &[WindowFigures]) -> Purpose {
    if due.is_empty() {
        return Purpose::Look;
    }
    let key = |window: &WindowFigures| (window.tenant_id.clone(), window.window, window.park);
    let parked = |window: &&WindowFigures| window.status == WindowStatus::Parked;
    let known: BTreeSet<_> = stored.iter().filter(parked).map(key).collect();
    let is_known = |window: &WindowFigures| known.contains(&key(window));
    if due.iter().all(is_known) { Purpose::Unchanged } else { Purpose::Close }
}

fn status(windows: &PeriodWindows<'_>, all: &[WindowFigures]) -> PeriodStatus {
    let parked = all.iter().any(|window| window.status == WindowStatus::Parked);
    match (all.is_empty(), windows.open.is_empty(), parked) {
        (true, _, _) => PeriodStatus::Open,
        (false, false, _) => PeriodStatus::Closing,
        (false, true, true) => PeriodStatus::Partial,
        (false, true, false) => PeriodStatus::Closed,
    }
}

fn counts(windows: &PeriodWindows<'_>, all: &[WindowFigures]) -> JobCounts {
    let of = |status| all.iter().filter(|window| window.status == status).count() as u64;
    JobCounts {
        tenants: (windows.open.len() + all.len()) as u64,
        closed: of(WindowStatus::Closed),
        parked: of(WindowStatus::Parked),
        ..JobCounts::default()
    }
}
