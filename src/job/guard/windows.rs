//! The windows that draft invoices bill, with their figures from the ledger.
//!
//! In: drafts as they stand at Stripe, tenants, the ledger. Out: a [`Candidate`] for each draft, and those drafts of our
//! subscriptions that bill no window of ours. It reads the usage of no other window.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::domain::figures::{LedgerTotals, WindowFigures, WindowStatus};
use crate::domain::intent::PushMode;
use crate::domain::invoice::Invoice;
use crate::domain::period::Period;
use crate::domain::tenant::{ParkReason, TenantWindow};
use crate::job::catalogs::Catalogs;
use crate::job::due::{self, PeriodWindows};
use crate::job::edges;
use crate::job::guard::finding::{Draft, Finding};
use crate::job::guard::{Case, Rules, Settings};
use crate::job::mapping::{Mapped, Present, map, uses};
use crate::job::observe::{Ranges, pieces, totals_in};
use crate::job::parking;
use crate::job::plan::Rated;
use crate::job::stage::{LONGEST_DRAFT, Stage, renewal_invoice, stage};
use crate::job::standing::Standing;

/// A draft, and what the ledger says of its window.
pub struct Candidate<'a> {
    pub invoice: &'a Invoice,
    pub window: TenantWindow<'a>,
    /// `None`: the plan sells no usage.
    pub mapped: Option<Mapped>,
    /// Why nothing can be compared, or not by the run's rules.
    pub park: Option<ParkReason>,
}

pub struct Found<'a> {
    pub drafts: usize,
    pub candidates: Vec<Candidate<'a>>,
    pub without_window: Vec<Finding>,
}

pub async fn candidates<'a>(case: &Case<'a>, only: Option<Period>) -> anyhow::Result<Found<'a>> {
    let Case { settings, rules, standing, now, .. } = *case;
    let mut found = Found { drafts: 0, candidates: Vec::new(), without_window: Vec::new() };
    let mut known: BTreeSet<&str> = BTreeSet::new();
    for period in only.map_or_else(|| labels(settings, now), |period| vec![period]) {
        let mut windows = drafted(period, settings, rules, standing);
        parking::hold(&rules.parking, period, &mut windows);
        let ids = windows.open.iter().filter_map(|one| Some(renewal_invoice(one, standing)?.id.as_str()));
        known.extend(ids);
        // What came before the first period was never meant to be billed by us.
        if windows.open.is_empty() || rules.first_period.is_some_and(|first| period < first) {
            continue;
        }
        found.candidates.extend(rated(period, windows, case).await?);
    }
    found.drafts = found.candidates.len();
    let strays = standing.invoices.values().flatten().filter(|one| is_renewal(one) && only.is_none());
    for invoice in strays.filter(|one| !known.contains(one.id.as_str())) {
        let draft = Draft::without_window(invoice, case.owners);
        found.without_window.push(Finding::uncompared(draft, "it bills no window of the tenant".to_owned()));
        found.drafts += 1;
    }
    Ok(found)
}

/// What a person makes by hand and what a new subscription begins with renews nothing.
fn is_renewal(invoice: &Invoice) -> bool {
    !matches!(invoice.billing_reason.as_str(), "manual" | "subscription_create") && !invoice.has_left_draft()
}

/// The labels of all windows that can have ended since the oldest draft was made. A label is that of the last month.
fn labels(settings: &Settings, now: Timestamp) -> Vec<Period> {
    let zone = &settings.time_zone;
    let oldest = now.checked_sub(LONGEST_DRAFT).unwrap_or(now);
    let first = Period::containing(oldest, zone).previous().previous();
    due::begun(first, settings, now)
}

/// Windows of the period whose renewal invoice is a draft.
fn drafted<'a>(
    period: Period,
    settings: &Settings,
    rules: &'a Rules,
    standing: &Standing,
) -> PeriodWindows<'a> {
    let has_draft = |window: &TenantWindow<'_>| {
        renewal_invoice(window, standing).is_some_and(|one| !one.has_left_draft())
    };
    let tenants = rules.tenants.iter();
    let all = tenants.flat_map(|tenant| tenant.windows(period, &settings.time_zone));
    let open = all.filter(|window| !window.segments.is_empty() && has_draft(window)).collect();
    PeriodWindows { open, ..PeriodWindows::default() }
}

async fn rated<'a>(
    period: Period,
    windows: PeriodWindows<'a>,
    case: &Case<'a>,
) -> anyhow::Result<Vec<Candidate<'a>>> {
    let Case { rules, standing, now, .. } = *case;
    let totals = totals(&windows.open, case).await?;
    let mut all = Vec::new();
    for window in windows.open {
        let catalog = (&rules.catalog, rules.catalog_hash.as_str());
        let figures = WindowFigures::new(&window, catalog, &totals, WindowStatus::Open);
        let Some(invoice) = renewal_invoice(&window, standing) else { continue };
        let present = Present { stage: Stage::Ended, now, period };
        let judged = match figures.park {
            Some(reason) => Err(reason),
            None => map(&window, &figures, &rules.catalog, standing, present),
        };
        let (mut mapped, park) = match judged {
            Ok(mapped) => (mapped, None),
            Err(reason) => (unfit(&window, &figures, rules, standing, invoice, period), Some(reason)),
        };
        parking::mark(mapped.as_mut_slice(), &rules.parking, &[]);
        edges::note(mapped.as_mut_slice(), &rules.tenants, &rules.catalog, &totals)?;
        all.push(Candidate { invoice, window, mapped, park });
    }
    Ok(all)
}

/// All windows of a period that are not closed, as the next run finds them.
pub async fn unclosed(period: Period, case: &Case<'_>) -> anyhow::Result<Vec<Mapped>> {
    let Case { settings, rules, standing, store, now, .. } = *case;
    let reach = due::reach(period, &rules.tenants, settings);
    let closed = store.books().snapshot().await?.closed_windows(reach).await?;
    let stage = |window: &TenantWindow<'_>| stage(window, standing, settings.settle_delay, now);
    let is_final = |window: &TenantWindow<'_>| stage(window) == Stage::Final;
    let mut windows = due::windows(period, &rules.tenants, settings, &closed, is_final);
    parking::hold(&rules.parking, period, &mut windows);
    let all: Vec<TenantWindow<'_>> = windows.due.iter().chain(&windows.open).cloned().collect();
    let totals = totals(&all, case).await?;
    let mut rated = Rated::new(&windows, (&rules.catalog, &rules.catalog_hash), &totals);
    Ok(rated.map(&windows, &rules.catalog, standing, period, stage, now))
}

/// What the ledger holds of these windows, and where the application sends beside them in the minutes that their edges cut.
async fn totals(windows: &[TenantWindow<'_>], case: &Case<'_>) -> anyhow::Result<LedgerTotals> {
    let Case { rules, store, .. } = *case;
    let mut ranges = Ranges::new();
    for window in windows {
        let cut = match case.wire.push {
            PushMode::Observe => edges::beside(window.window, window.tenant),
            PushMode::Push => Vec::new(),
        };
        for range in pieces(window).chain(cut.into_iter().map(|(range, _)| range)) {
            ranges.entry((range, None)).or_default().insert(window.tenant.id());
        }
    }
    let mut snapshot = store.ledger().snapshot().await?;
    totals_in(ranges, &rules.tenants, &Catalogs::only(&rules.catalog), &mut snapshot).await
}

/// What the ledger expects of a window whose subscription does not fit; `None` where it could not be rated.
fn unfit(
    window: &TenantWindow<'_>,
    figures: &WindowFigures,
    rules: &Rules,
    standing: &Standing,
    invoice: &Invoice,
    period: Period,
) -> Option<Mapped> {
    if figures.park.is_some() {
        return None;
    }
    Some(Mapped {
        tenant_id: figures.tenant_id.clone(),
        period,
        window: window.window,
        stage: Stage::Ended,
        customer_id: invoice.customer_id.clone()?,
        subscription_id: invoice.subscription_id.clone()?,
        invoice_id: Some(invoice.id.clone()),
        meters: uses(window, figures, &rules.catalog, standing).ok()?,
        stands: false,
        was_parked: false,
    })
}
