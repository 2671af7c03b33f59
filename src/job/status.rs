//! Status: where the periods, the lease and the last runs stand, and who is set aside.
//!
//! In: the books and the ledger, read-only. Out: one value to print. Never writes, never takes the lease, never asks Stripe.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::catalog::Catalog;
use crate::domain::parking::{Hold, Parking};
use crate::domain::period::{Period, Window};
use crate::domain::reconcile::Class;
use crate::domain::tenant::{Remedy, Tenant, TenantWindow};
use crate::domain::text::shell_word;
use crate::ingest::catalog;
use crate::job::connection::mode_of;
pub use crate::job::stake::Stake;
use crate::job::stake::{stakes, totals};
use crate::job::{Settings, due};
use crate::store::books::{Approval, BooksView, DraftWatch, ParkedWindow, PeriodJob, Run, RunState};
use crate::store::lease::Holder;
use crate::store::ledger::SetAside;
use crate::store::{Access, Store};

#[derive(Debug)]
pub struct Status {
    /// The account that the database is pinned to; `NOT PINNED` before the first run.
    pub mode: String,
    /// The holder, also of a lease that has expired.
    pub lease: Option<Holder>,
    pub periods: Vec<PeriodJob>,
    /// Periods with windows that are final, and neither closed nor parked.
    pub due: Vec<Period>,
    /// The soonest instants at which windows will be due, with how many, by period.
    pub next_due: Vec<NextDue>,
    pub runs: Vec<Run>,
    /// The newest run that came to its end.
    pub last_success: Option<Run>,
    /// Differences that the last runs saw, by class.
    pub differences: Vec<(Class, u64)>,
    /// Of the runs that are named here.
    pub approvals: Vec<Approval>,
    pub tenants: u64,
    pub catalog_hash: Option<String>,
    pub quarantined: u64,
    /// Most money first, currency by currency.
    pub parked: Vec<Parked>,
    /// By currency, of all that are parked.
    pub at_stake: Vec<Stake>,
    /// Holds that no run has met yet.
    pub new_holds: Vec<Hold>,
    /// Periods with windows that nobody looked at while their invoice was a draft.
    pub missed_drafts: Vec<DraftWatch>,
}

/// Windows that end together.
#[derive(Debug, PartialEq, Eq)]
pub struct NextDue {
    /// Their end and the settle delay; an invoice that is final earlier makes it earlier.
    pub at: Timestamp,
    pub period: Period,
    pub windows: usize,
}

/// How many instants a person is shown.
const NEXT_SHOWN: usize = 3;

/// A window that waits for a person.
#[derive(Debug)]
pub struct Parked {
    pub window: ParkedWindow,
    pub tenant_name: String,
    /// `None`: it cannot be rated as it is.
    pub stake: Option<Stake>,
    /// Who holds the tenant.
    pub hold: Option<Hold>,
    /// A word lets it go on, and no run has met that yet.
    pub is_released: bool,
}

impl Parked {
    /// What to type when the next step is done.
    pub fn command(&self) -> String {
        let ParkedWindow { tenant_id, period, reason, .. } = &self.window;
        let (tenant, reason_word) = (shell_word(tenant_id), reason.as_str());
        if self.is_released {
            return format!("billrecon run --period {period}");
        }
        match reason.remedy() {
            Remedy::Mend => format!("billrecon run --period {period}"),
            Remedy::AllowPeriod => {
                format!("billrecon unpark --period {period} --reason {reason_word} --note TEXT")
            }
            Remedy::Allow | Remedy::LetStand => {
                format!("billrecon unpark {tenant} --period {period} --reason {reason_word} --note TEXT")
            }
            Remedy::EndHold => {
                let only = self.hold.as_ref().and_then(|hold| hold.period);
                let only = only.map(|period| format!(" --period {period}")).unwrap_or_default();
                format!("billrecon unpark {tenant}{only} --note TEXT")
            }
        }
    }
}

pub async fn status(settings: &Settings, now: Timestamp) -> anyhow::Result<Status> {
    let store = settings.open(Access::ReadOnly).await?.at(now);
    let mut view = store.books().snapshot().await?;
    let tenants = view.tenants().await?;
    let jobs = view.period_jobs().await?;
    let due = due_periods(settings, &tenants, &mut view, now).await?;
    let due = due.into_iter().map(|(period, _)| period).collect();
    let pinned = view.pinned_account().await?;
    let stored = view.catalog().await?;
    let parking = view.parking().await?;
    let parked = view.parked().await?;
    let is_met = |hold: &Hold| parked.iter().any(|one| is_held_by(one, hold));
    let new_holds = parking.holds.iter().filter(|hold| !is_met(hold)).cloned().collect();
    let watched = view.drafts_watched().await?;
    let catalog =
        stored.as_ref().map(|stored| catalog::read(&stored.body, "the stored catalog")).transpose()?;
    let stakes = match &catalog {
        Some(catalog) => stakes(&parked, &tenants, catalog, settings, &store).await?,
        None => vec![None; parked.len()],
    };
    let runs = view.newest_runs().await?;
    let approvals = approvals(&jobs, &runs, &mut view).await?;
    let last_success = runs.iter().find(|run| run.state == RunState::Finished).cloned();
    let status = Status {
        mode: pinned.map_or("NOT PINNED".to_owned(), |account| mode_of(&account, settings.demo)),
        lease: view.lease_holder().await?,
        periods: jobs.into_values().collect(),
        due,
        next_due: next_due(&tenants, settings, now),
        differences: view.differences_by_class().await?,
        last_success,
        runs,
        approvals,
        tenants: tenants.len() as u64,
        catalog_hash: stored.map(|catalog| catalog.catalog_hash),
        quarantined: quarantined(settings, &store, &tenants, catalog.unwrap_or_default(), now).await?,
        at_stake: totals(stakes.iter().flatten()),
        parked: worst_first(parked, stakes, &tenants, &parking),
        new_holds,
        missed_drafts: watched.into_iter().filter(|one| one.seen < one.windows).collect(),
    };
    drop(view);
    store.close().await;
    Ok(status)
}

/// Of the runs that stand in the status.
async fn approvals(
    jobs: &BTreeMap<Period, PeriodJob>,
    runs: &[Run],
    view: &mut BooksView,
) -> anyhow::Result<Vec<Approval>> {
    let mut approvals = view.approvals().await?;
    approvals.retain(|one| {
        let named = jobs.values().map(|job| &job.run_id).chain(runs.iter().map(|run| &run.run_id));
        named.into_iter().any(|run_id| *run_id == one.run_id)
    });
    Ok(approvals)
}

/// All lines that imports set aside. Rows of an own ledger are judged anew each time, so only those of this month and of the one
/// before are told, with those that have no readable time.
async fn quarantined(
    settings: &Settings,
    store: &Store,
    tenants: &[Tenant],
    catalog: Catalog,
    now: Timestamp,
) -> anyhow::Result<u64> {
    let mut snapshot = store.ledger().snapshot().await?;
    if settings.ledger.is_none() {
        return Ok(snapshot.open_quarantine().await?);
    }
    let (period, zone) = (Period::containing(now, &settings.time_zone), &settings.time_zone);
    snapshot.know(&catalog.meters);
    let of = SetAside {
        period,
        month: Window { start: period.previous().start(zone), end: period.next().start(zone) },
        tenants: tenants.iter().map(Tenant::id).collect(),
        meters: &catalog.meters,
    };
    Ok(snapshot.quarantine(&of).await?.iter().map(|one| one.records).sum())
}

fn is_held_by(one: &ParkedWindow, hold: &Hold) -> bool {
    one.reason.remedy() == Remedy::EndHold && one.tenant_id == hold.tenant_id && hold.is_for(one.period)
}

fn worst_first(
    parked: Vec<ParkedWindow>,
    stakes: Vec<Option<Stake>>,
    tenants: &[Tenant],
    parking: &Parking,
) -> Vec<Parked> {
    let names: BTreeMap<&str, &str> = tenants.iter().map(|tenant| (tenant.id(), tenant.name())).collect();
    let mut all: Vec<Parked> = parked
        .into_iter()
        .zip(stakes)
        .map(|(window, stake)| {
            let (tenant_id, reason) = (&window.tenant_id, window.reason);
            let hold = parking.hold(tenant_id, window.period).filter(|hold| is_held_by(&window, hold));
            let is_released = match reason.remedy() {
                Remedy::Mend => false,
                Remedy::EndHold => hold.is_none(),
                Remedy::Allow => parking.allows(tenant_id, window.window),
                Remedy::AllowPeriod => parking.allows_period(window.period),
                Remedy::LetStand => parking.stands(tenant_id, window.window),
            };
            let tenant_name = names.get(tenant_id.as_str()).copied().unwrap_or_default().to_owned();
            let hold = hold.cloned();
            Parked { window, tenant_name, stake, hold, is_released }
        })
        .collect();
    // What cannot be rated comes last: nobody knows its money.
    all.sort_by_key(|one| {
        let money = one.stake.map(|stake| (stake.candidate.currency, -stake.candidate.minor));
        (money.is_none(), money, one.window.tenant_id.clone(), one.window.window)
    });
    all
}

/// Each with the end of its oldest window that is due.
pub(in crate::job) async fn due_periods(
    settings: &Settings,
    tenants: &[Tenant],
    view: &mut BooksView,
    now: Timestamp,
) -> anyhow::Result<Vec<(Period, Timestamp)>> {
    let jobs = view.period_jobs().await?;
    let tenants_version = view.tenants_version().await?;
    let mut due = Vec::new();
    // Without a first period nothing is due by itself; `run` says what to configure.
    if let Some(first) = due::first_period(tenants, settings).ok().flatten() {
        for period in due::begun(first, settings, now) {
            if jobs.get(&period).is_some_and(|job| due::is_final(job, tenants_version)) {
                continue;
            }
            let oldest = oldest_due(period, tenants, settings, view, now).await?;
            due.extend(oldest.map(|end| (period, end)));
        }
    }
    Ok(due)
}

/// Of the windows of this month and the one before it: a window's label lies at most so far back.
fn next_due(tenants: &[Tenant], settings: &Settings, now: Timestamp) -> Vec<NextDue> {
    let first = due::first_period(tenants, settings).ok().flatten();
    let begun = first.map(|first| due::begun(first, settings, now)).unwrap_or_default();
    let mut counts: BTreeMap<(Timestamp, Period), usize> = BTreeMap::new();
    for period in begun.into_iter().rev().take(2) {
        for window in tenants.iter().flat_map(|tenant| tenant.windows(period, &settings.time_zone)) {
            let at = window.window.end.checked_add(settings.settle_delay).ok().filter(|at| *at > now);
            if let Some(at) = at {
                *counts.entry((at, period)).or_default() += 1;
            }
        }
    }
    let soonest = counts.into_iter().take(NEXT_SHOWN);
    soonest.map(|((at, period), windows)| NextDue { at, period, windows }).collect()
}

async fn oldest_due(
    period: Period,
    tenants: &[Tenant],
    settings: &Settings,
    view: &mut BooksView,
    now: Timestamp,
) -> anyhow::Result<Option<Timestamp>> {
    let closed = view.closed_windows(due::reach(period, tenants, settings)).await?;
    let parked = view.parked_keys(period).await?;
    // Without asking Stripe: a window whose invoice is final earlier is due a little before this says so.
    let is_final = |window: &TenantWindow<'_>| due::is_settled(window, settings.settle_delay, now);
    let windows = due::windows(period, tenants, settings, &closed, is_final);
    let key = |window: &TenantWindow<'_>| (window.tenant.id().to_owned(), window.window.start);
    let waiting = windows.due.iter().filter(|window| !parked.contains(&key(window)));
    Ok(waiting.map(|window| window.window.end).min())
}
