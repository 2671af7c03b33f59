//! Status: where the periods, the lease and the last runs stand.
//!
//! In: the books, read-only. Out: one value to print. Never writes, never takes the lease.

use jiff::Timestamp;

use crate::domain::period::Period;
use crate::domain::tenant::{Tenant, TenantWindow};
use crate::job::connection::mode_of;
use crate::job::{Settings, due};
use crate::store::Access;
use crate::store::books::{Approval, BooksView, PeriodJob, PeriodStatus, Run};
use crate::store::lease::Holder;

#[derive(Debug)]
pub struct Status {
    /// The account that the database is pinned to; `NOT PINNED` before the first run.
    pub mode: String,
    pub lease: Option<Holder>,
    pub periods: Vec<PeriodJob>,
    /// Periods with windows that are final, and neither closed nor parked.
    pub due: Vec<Period>,
    pub runs: Vec<Run>,
    /// Of the runs that are named here.
    pub approvals: Vec<Approval>,
    pub tenants: u64,
    pub catalog_hash: Option<String>,
    pub quarantined: u64,
}

pub async fn status(settings: &Settings, now: Timestamp) -> anyhow::Result<Status> {
    let store = settings.open(Access::ReadOnly).await?;
    let mut view = store.books().snapshot().await?;
    let tenants = view.tenants().await?;
    let jobs = view.period_jobs().await?;
    let tenants_version = view.tenants_version().await?;
    let mut due = Vec::new();
    // Without a first period nothing is due by itself; `run` says what to configure.
    if let Some(first) = due::first_period(&tenants, settings).ok().flatten() {
        for period in due::begun(first, settings, now) {
            let is_final = |job: &PeriodJob| {
                job.status == PeriodStatus::Closed && job.tenants_version == tenants_version
            };
            if !jobs.get(&period).is_some_and(is_final)
                && has_due_window(period, &tenants, settings, &mut view, now).await?
            {
                due.push(period);
            }
        }
    }
    let pinned = view.pinned_account().await?;
    let runs = view.newest_runs().await?;
    let mut approvals = view.approvals().await?;
    approvals.retain(|one| {
        let named = jobs.values().map(|job| &job.run_id).chain(runs.iter().map(|run| &run.run_id));
        named.into_iter().any(|run_id| *run_id == one.run_id)
    });
    let status = Status {
        mode: pinned.map_or("NOT PINNED".to_owned(), |account| mode_of(&account, settings.demo)),
        lease: view.lease_holder().await?.filter(|holder| holder.expires_in_ms > 0),
        periods: jobs.into_values().collect(),
        due,
        runs,
        approvals,
        tenants: tenants.len() as u64,
        catalog_hash: view.catalog().await?.map(|catalog| catalog.catalog_hash),
        quarantined: store.ledger().snapshot().await?.open_quarantine().await?,
    };
    drop(view);
    store.close().await;
    Ok(status)
}

async fn has_due_window(
    period: Period,
    tenants: &[Tenant],
    settings: &Settings,
    view: &mut BooksView,
    now: Timestamp,
) -> anyhow::Result<bool> {
    let closed = view.closed_windows(due::reach(period, tenants, settings)).await?;
    let parked = view.parked_keys(period).await?;
    // Without asking Stripe: a window whose invoice is final earlier is due a little before this says so.
    let is_final = |window: &TenantWindow<'_>| due::is_settled(window, settings.settle_delay, now);
    let windows = due::windows(period, tenants, settings, &closed, is_final);
    let key = |window: &TenantWindow<'_>| (window.tenant.id().to_owned(), window.window.start);
    Ok(windows.due.iter().any(|window| !parked.contains(&key(window))))
}
