//! Observe: reads all that a period's plan needs, and nothing else happens.
//!
//! In: the windows of a period. Out: an [`Observation`]. Usage is read in one snapshot, so that records which arrive
//! meanwhile are either wholly in or wholly out; they come late then, and are seen as such by the next run.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::accrual::{Accrual, accruals, open_at_end, parts};
use crate::domain::catalog::Meter;
use crate::domain::decide::Decision;
use crate::domain::figures::{LedgerTotals, Payer, WindowFigures, WindowStatus, stretches};
use crate::domain::intent::PushMode;
use crate::domain::late::Adjustment;
use crate::domain::period::{Period, Window};
use crate::domain::reconcile::{KnownDifference, ReconciliationRow};
use crate::domain::report::{Exception, ExceptionKind, QuarantineCount, not_accrued};
use crate::domain::tenant::{Tenant, TenantWindow};
use crate::domain::usage::TotalsByMeter;
use crate::job::catalogs::{Catalogs, hashes};
use crate::job::due::PeriodWindows;
use crate::job::edges;
use crate::job::judge::Judged;
use crate::job::limits::KnownLimits;
use crate::store::StoreError;
use crate::store::books::{BooksView, Earlier, Look, ParkedWindow, PeriodJob, PeriodStatus};
use crate::store::ledger::{Ledger, LedgerSnapshot, SetAside};

/// A page of tenants that one statement may span. It bounds what a statement returns.
const TENANTS_PER_PAGE: usize = 1_000;

/// What is known about a period.
#[derive(Debug)]
pub struct Observation {
    pub totals: LedgerTotals,
    pub quarantine: Vec<QuarantineCount>,
    pub kept: Kept,
    /// What was used of windows that were open at the period's end; nothing before that.
    pub accruals: Vec<Accrual>,
    /// What is in none of them.
    pub not_accrued: Vec<Exception>,
    /// When the newest record behind the totals was imported.
    pub newest: Option<Timestamp>,
    /// How the period was looked at, for later wakes.
    pub look: Look,
}

/// What the books hold of a period.
#[derive(Debug)]
pub struct Kept {
    /// Windows that earlier runs closed or parked, as they were written.
    pub stored: Vec<WindowFigures>,
    /// Tenant and start of the windows that earlier runs saw at Stripe in time.
    pub observed: BTreeSet<(String, Timestamp)>,
    /// The comparison of the windows that earlier runs closed.
    pub compared: Vec<ReconciliationRow>,
    /// The differences that the last run saw, and those that were gone by then.
    pub differences: Vec<KnownDifference>,
    /// What came late and is adjusted.
    pub adjusted: Vec<Adjustment>,
    /// What the last run that judged the period said.
    pub judged: Option<Judged>,
    /// What was said of the periods before it.
    pub earlier: Earlier,
    /// Of the run that touched the period last: rows of the comparison that no closed window has.
    pub beside: Vec<ReconciliationRow>,
    pub accrued: Vec<Accrual>,
    /// What the last run set aside.
    pub parked: Vec<ParkedWindow>,
    /// The exceptions of the last close.
    pub told: Vec<Exception>,
    pub limits: KnownLimits,
}

impl Kept {
    pub async fn read(
        period: Period,
        reach: Window,
        job: Option<&PeriodJob>,
        windows: &PeriodWindows<'_>,
        view: &mut BooksView,
    ) -> Result<Self, StoreError> {
        let mut kept = Self {
            stored: view.windows(period).await?,
            observed: view.observed_windows(reach).await?,
            compared: view.comparison(period, "").await?,
            differences: view.differences(period).await?,
            adjusted: view.adjustments(period).await?,
            judged: None,
            earlier: view.judged_before(period, i64::MAX).await?,
            beside: Vec::new(),
            accrued: Vec::new(),
            parked: view.parked_in(period).await?,
            told: view.last_exceptions(period).await?,
            limits: KnownLimits::read(period, reach, windows, view).await?,
        };
        // Windows that closed before their layout was kept.
        for one in kept.stored.iter_mut().filter(|one| one.stretches.is_empty()) {
            let laid = windows
                .closed
                .iter()
                .find(|laid| laid.tenant.id() == one.tenant_id && laid.window == one.window);
            if let Some(laid) = laid {
                (one.trial, one.stretches) = (laid.trial, stretches(laid));
                one.payer = Payer::of(laid);
            }
        }
        let Some(job) = job.filter(|job| matches!(job.status, PeriodStatus::Closed | PeriodStatus::Partial))
        else {
            return Ok(kept);
        };
        if let Some(run) = view.last_judged(period).await?
            && let Some(verdict) = run.verdict
        {
            let decision = Decision { verdict, rows: view.decision(&run.run_id).await? };
            let facts = view.facts(&run.run_id).await?;
            kept.judged = facts.map(|facts| Judged { decision, facts });
        }
        kept.beside = view.rows_beside(&job.run_id).await?;
        kept.accrued = view.accruals(&job.run_id).await?;
        Ok(kept)
    }
}

impl Kept {
    /// The catalog versions that its windows closed with.
    pub fn catalogs(&self) -> impl Iterator<Item = &str> {
        hashes(&self.stored).chain(self.limits.catalog_hashes())
    }
}

/// Where to look.
pub struct Scope<'a> {
    pub period: Period,
    pub reach: Window,
    pub windows: &'a PeriodWindows<'a>,
    pub tenants: &'a [Tenant],
    pub catalogs: &'a Catalogs<'a>,
    pub push: PushMode,
    pub zone: &'a TimeZone,
    pub now: Timestamp,
    /// All is closed: what the last run accrued stands.
    pub is_settled: bool,
}

#[tracing::instrument(level = "debug", name = "observe", skip_all)]
pub async fn observe(scope: &Scope<'_>, kept: Kept, ledger: &Ledger) -> anyhow::Result<Observation> {
    let (period, end) = (scope.period, scope.period.next().start(scope.zone));
    let open: Vec<TenantWindow<'_>> = if scope.is_settled || scope.now < end {
        Vec::new()
    } else {
        scope.tenants.iter().flat_map(|tenant| open_at_end(tenant, period, scope.zone)).collect()
    };
    let mut snapshot = ledger.snapshot().await?;
    let mut ranges = ranges(scope, &kept.stored);
    for window in &open {
        for (_, range) in parts(window, end) {
            ranges.entry((range, None)).or_default().insert(window.tenant.id());
        }
    }
    let totals = totals_in(ranges, scope.tenants, scope.catalogs, &mut snapshot).await?;
    let closed = kept.stored.iter().filter(|one| one.status == WindowStatus::Closed);
    let reach = closed.fold(scope.reach, |all, one| Window {
        start: all.start.min(one.window.start),
        end: all.end.max(one.window.end),
    });
    let (accruals, not_accrued) = if scope.is_settled {
        let told = kept.told.iter().filter(|one| one.kind == ExceptionKind::NotAccrued);
        (kept.accrued.clone(), told.cloned().collect())
    } else {
        let (accruals, left_out) = accruals(&open, end, scope.catalogs.current, &totals);
        (accruals, not_accrued(&left_out))
    };
    Ok(Observation {
        quarantine: snapshot.quarantine(&set_aside(scope)).await?,
        look: Look { reach, arrived: snapshot.arrivals(Some(reach)).await?.within(reach) },
        newest: snapshot.newest(),
        totals,
        kept,
        accruals,
        not_accrued,
    })
}

/// What is asked for of the records that cannot be billed.
fn set_aside<'a>(scope: &'a Scope<'_>) -> SetAside<'a> {
    let Scope { period, zone, .. } = *scope;
    SetAside {
        period,
        month: Window { start: period.start(zone), end: period.next().start(zone) },
        tenants: scope.tenants.iter().map(Tenant::id).collect(),
        meters: &scope.catalogs.current.meters,
    }
}

/// Ranges of time, each with the catalog version whose meters count there (`None`: the current one) and the tenants that it is
/// needed of.
pub type Ranges<'a> = BTreeMap<(Window, Option<&'a str>), BTreeSet<&'a str>>;

/// What the ledger holds in these ranges.
pub async fn totals_in(
    ranges: Ranges<'_>,
    tenants: &[Tenant],
    catalogs: &Catalogs<'_>,
    snapshot: &mut LedgerSnapshot,
) -> anyhow::Result<LedgerTotals> {
    snapshot.know(&catalogs.current.meters);
    let mut totals = LedgerTotals::new();
    for ((range, version), ids) in ranges {
        let of_range = totals_of(range, &ids, tenants, catalogs.meters(version), snapshot).await?;
        totals.entry(range).or_default().extend(of_range);
    }
    Ok(totals)
}

/// As it was laid out when it closed, whatever the tenant's rows say now, and by the meters of then.
pub fn add_closed<'a>(ranges: &mut Ranges<'a>, window: &'a WindowFigures, catalogs: &'a Catalogs<'_>) {
    let version = catalogs.other_meters(window);
    for range in window.accounted.iter().copied().chain(window.stretches.iter().map(|one| one.range)) {
        ranges.entry((range, version)).or_default().insert(&window.tenant_id);
    }
}

/// Each range of time that is needed: windows, segments and gaps, and where the application sends also what lies beside them in the minutes that Stripe's
/// totals widen them to. Most companies need one: all tenants on the same calendar month.
fn ranges<'a>(scope: &'a Scope<'_>, stored: &'a [WindowFigures]) -> Ranges<'a> {
    let mut ranges = Ranges::new();
    let windows = scope.windows;
    for window in [&windows.due, &windows.open, &windows.without_plan].into_iter().flatten() {
        for range in pieces(window) {
            ranges.entry((range, None)).or_default().insert(window.tenant.id());
        }
    }
    // What came late to a closed one is looked for. A parked one is laid out and counted anew, by the rules of now.
    for window in stored.iter().filter(|window| window.status == WindowStatus::Closed) {
        add_closed(&mut ranges, window, scope.catalogs);
    }
    if scope.push == PushMode::Observe {
        for window in windows.due.iter().chain(&windows.open) {
            for (range, _) in edges::beside(window.window, window.tenant) {
                ranges.entry((range, None)).or_default().insert(window.tenant.id());
            }
        }
    }
    ranges
}

/// The ranges of time that a window's figures need.
pub fn pieces<'a>(window: &'a TenantWindow<'_>) -> impl Iterator<Item = Window> + 'a {
    let segments = window.segments.iter().map(|segment| segment.range);
    window.accounted.iter().copied().chain(segments).chain(window.gaps.iter().copied())
}

/// The totals of these tenants in one range.
async fn totals_of(
    range: Window,
    ids: &BTreeSet<&str>,
    tenants: &[Tenant],
    meters: &BTreeMap<String, Meter>,
    snapshot: &mut LedgerSnapshot,
) -> anyhow::Result<TotalsByMeter> {
    let mut totals = TotalsByMeter::new();
    for page in pages(ids, tenants) {
        totals.extend(snapshot.totals_of(meters, range, &page).await?);
    }
    Ok(totals)
}

/// Splits tenants into runs of neighbours in the list of all, so that a page reads nobody else's records.
fn pages<'a>(ids: &BTreeSet<&'a str>, tenants: &'a [Tenant]) -> Vec<Vec<&'a str>> {
    let mut pages = Vec::new();
    let mut page: Vec<&str> = Vec::new();
    for tenant in tenants {
        let wanted = ids.contains(tenant.id());
        if wanted {
            page.push(tenant.id());
        }
        if !wanted || page.len() == TENANTS_PER_PAGE {
            pages.push(std::mem::take(&mut page));
        }
    }
    pages.push(page);
    // Whoever is a tenant no more has records all the same.
    let gone = |id: &&&str| tenants.binary_search_by(|tenant| tenant.id().cmp(id)).is_err();
    pages.extend(ids.iter().filter(gone).map(|id| vec![*id]));
    pages.retain(|page| !page.is_empty());
    pages
}
