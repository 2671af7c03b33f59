//! Observe: reads all that a period's plan needs, and nothing else happens.
//!
//! In: the windows of a period. Out: an [`Observation`]. Usage is read in one snapshot, so that records which arrive
//! meanwhile are either wholly in or wholly out; they come late then, and are seen as such by the next run.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::domain::catalog::Meter;
use crate::domain::figures::{LedgerTotals, WindowFigures};
use crate::domain::intent::PushMode;
use crate::domain::period::{Period, Window};
use crate::domain::reconcile::ReconciliationRow;
use crate::domain::report::QuarantineCount;
use crate::domain::tenant::{Tenant, TenantWindow};
use crate::job::due::PeriodWindows;
use crate::job::edges;
use crate::store::ledger::{Ledger, LedgerSnapshot};

/// A page of tenants that one statement may span. It bounds what a statement returns.
const TENANTS_PER_PAGE: usize = 1_000;

/// What is known about a period.
#[derive(Debug)]
pub struct Observation {
    pub totals: LedgerTotals,
    pub quarantine: Vec<QuarantineCount>,
    /// Windows that earlier runs closed or parked, as they were written.
    pub stored: Vec<WindowFigures>,
    /// Tenant and start of the windows that earlier runs saw at Stripe in time.
    pub observed: BTreeSet<(String, Timestamp)>,
    /// The comparison of the windows that earlier runs closed.
    pub compared: Vec<ReconciliationRow>,
}

/// What the books hold of a period.
#[derive(Debug)]
pub struct Kept {
    pub stored: Vec<WindowFigures>,
    pub observed: BTreeSet<(String, Timestamp)>,
    pub compared: Vec<ReconciliationRow>,
}

#[tracing::instrument(level = "debug", name = "observe", skip_all)]
pub async fn observe(
    period: Period,
    windows: &PeriodWindows<'_>,
    tenants: &[Tenant],
    meters: &BTreeMap<String, Meter>,
    kept: Kept,
    push: PushMode,
    ledger: &Ledger,
) -> anyhow::Result<Observation> {
    let Kept { stored, observed, compared } = kept;
    let mut snapshot = ledger.snapshot().await?;
    let mut totals = LedgerTotals::new();
    for (range, ids) in ranges(windows, &stored, push) {
        totals.insert(range, totals_of(range, &ids, tenants, meters, &mut snapshot).await?);
    }
    let quarantine = snapshot.quarantine(&period.to_string()).await?;
    Ok(Observation { totals, quarantine, stored, observed, compared })
}

/// Each range of time that is needed, with the tenants that need it: windows, segments and gaps, and where the application
/// sends also what lies beside them in the minutes that Stripe's totals widen them to. Most companies need one: all tenants
/// on the same calendar month.
fn ranges<'a>(
    windows: &'a PeriodWindows<'_>,
    stored: &'a [WindowFigures],
    push: PushMode,
) -> BTreeMap<Window, BTreeSet<&'a str>> {
    let mut ranges: BTreeMap<Window, BTreeSet<&str>> = BTreeMap::new();
    let all = [&windows.due, &windows.open, &windows.closed, &windows.without_plan];
    for window in all.into_iter().flatten() {
        for range in pieces(window) {
            ranges.entry(range).or_default().insert(window.tenant.id());
        }
    }
    // A closed window that the tenant's rows no longer lay out: what came late to it is still looked for.
    for window in stored {
        for range in &window.accounted {
            ranges.entry(*range).or_default().insert(&window.tenant_id);
        }
    }
    if push == PushMode::Observe {
        for window in windows.due.iter().chain(&windows.open) {
            for (range, _) in edges::beside(window.window, window.tenant) {
                ranges.entry(range).or_default().insert(window.tenant.id());
            }
        }
    }
    ranges
}

fn pieces<'a>(window: &'a TenantWindow<'_>) -> impl Iterator<Item = Window> + 'a {
    let segments = window.segments.iter().map(|segment| segment.range);
    window.accounted.iter().copied().chain(segments).chain(window.gaps.iter().copied())
}

async fn totals_of(
    range: Window,
    ids: &BTreeSet<&str>,
    tenants: &[Tenant],
    meters: &BTreeMap<String, Meter>,
    snapshot: &mut LedgerSnapshot,
) -> anyhow::Result<crate::domain::usage::TotalsByMeter> {
    let mut totals = crate::domain::usage::TotalsByMeter::new();
    for (first, last) in pages(ids, tenants) {
        totals.extend(snapshot.totals(meters, range, [first, last]).await?);
    }
    Ok(totals)
}

/// Splits tenants into runs of neighbours in the list of all, so that a page reads nobody else's records.
fn pages<'a>(ids: &BTreeSet<&str>, tenants: &'a [Tenant]) -> Vec<(&'a str, &'a str)> {
    let mut pages = Vec::new();
    let mut page: Vec<&str> = Vec::new();
    for tenant in tenants {
        let wanted = ids.contains(tenant.id());
        if wanted {
            page.push(tenant.id());
        }
        if !wanted || page.len() == TENANTS_PER_PAGE {
            pages.extend(ends(&page));
            page.clear();
        }
    }
    pages.extend(ends(&page));
    pages
}

fn ends<'a>(page: &[&'a str]) -> Option<(&'a str, &'a str)> {
    Some((page.first()?, page.last()?))
}
