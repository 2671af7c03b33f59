//! Which periods are due: from the database, Stripe's invoices and `now`, so that any wake closes all that is left.
//!
//! In: tenants, settings, `now`, how far each window has come at Stripe. Out: periods and the state of each tenant's
//! window. Pure.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::domain::period::{Period, Window};
use crate::domain::tenant::{ParkReason, Tenant, TenantWindow};
use crate::job::connection::Target;
use crate::job::{Refusal, Settings};
use crate::store::books::{ClosedWindow, PeriodJob, PeriodStatus};

/// Closed windows near a period, by tenant.
pub type ClosedWindows = BTreeMap<String, Vec<ClosedWindow>>;

/// The windows of one period, sorted by what is to be done with them, and then by tenant and time.
#[derive(Debug, Default)]
pub struct PeriodWindows<'a> {
    /// Final, and not closed yet.
    pub due: Vec<TenantWindow<'a>>,
    /// Not final yet: not ended, or its invoice still takes usage.
    pub open: Vec<TenantWindow<'a>>,
    /// Closed by an earlier run.
    pub closed: Vec<TenantWindow<'a>>,
    /// The tenant has no plan in them; they matter only where there is usage all the same.
    pub without_plan: Vec<TenantWindow<'a>>,
}

/// What is to be done with a period.
pub enum Turn<'a> {
    Nothing,
    /// It is closed, and what came late to it is looked for.
    Settled(&'a PeriodJob),
    Play,
}

/// `is_only_late`: nothing of it is left to close; `is_explicit`: a person named it.
pub fn turn<'a>(
    job: Option<&'a PeriodJob>,
    windows: &PeriodWindows<'_>,
    is_only_late: bool,
    is_explicit: bool,
) -> Turn<'a> {
    match job.filter(|job| job.status == PeriodStatus::Closed) {
        Some(job) if windows.is_empty() || is_only_late => Turn::Settled(job),
        // What was open or parked in it is gone: it is over.
        None if windows.is_empty() && job.is_some_and(|job| job.status != PeriodStatus::Open) => Turn::Play,
        _ if windows.is_empty() && !is_explicit => Turn::Nothing,
        _ => Turn::Play,
    }
}

impl PeriodWindows<'_> {
    /// Nothing of it is due or open.
    pub fn is_empty(&self) -> bool {
        self.due.is_empty() && self.open.is_empty()
    }

    /// Of a closed period whose windows lie otherwise now, though no tenant was imported since: in another time zone, say.
    /// Late usage belongs to those that closed; of the others nothing was read from Stripe.
    pub fn keep_closed(&mut self, period: Period) {
        let count = self.due.len() + self.open.len();
        tracing::warn!(
            "{period} is closed, and {count} of its windows lie otherwise than when it closed: what came late belongs to \
             those that closed; set time_zone back, or look with `billrecon run --period {period}`"
        );
        self.due.clear();
        self.open.clear();
    }
}

/// Lays out the windows of a period.
pub fn windows<'a>(
    period: Period,
    tenants: &'a [Tenant],
    settings: &Settings,
    closed: &ClosedWindows,
    is_final: impl Fn(&TenantWindow<'_>) -> bool,
) -> PeriodWindows<'a> {
    let mut windows = PeriodWindows::default();
    for mut window in tenants.iter().flat_map(|tenant| tenant.windows(period, &settings.time_zone)) {
        let closed = closed.get(window.tenant.id()).map(Vec::as_slice).unwrap_or_default();
        let is_closed = closed.iter().any(|one| one.window == window.window);
        let is_final = is_final(&window);
        let takes_of = |one: &Window| window.accounted.iter().any(|own| own.intersection(*one).is_some());
        // Two windows of one start are one to the books.
        let is_billed = |one: &ClosedWindow| {
            one.window.start == window.window.start || one.accounted.iter().any(takes_of)
        };
        if !is_closed && closed.iter().any(is_billed) {
            // Its anchor or interval was changed after a close: part of this time is billed already.
            window.park = Some(ParkReason::WindowChange);
        }
        let list = match (window.segments.is_empty(), is_closed, is_final) {
            (_, true, _) => &mut windows.closed,
            (true, _, _) => &mut windows.without_plan,
            (false, _, true) => &mut windows.due,
            (false, _, false) => &mut windows.open,
        };
        list.push(window);
    }
    windows
}

/// The time in which the period's windows lie, so that only closed windows near them need to be read.
pub fn reach(period: Period, tenants: &[Tenant], settings: &Settings) -> Window {
    let windows = tenants.iter().flat_map(|tenant| tenant.windows(period, &settings.time_zone));
    let month =
        Window { start: period.start(&settings.time_zone), end: period.next().start(&settings.time_zone) };
    windows
        .map(|window| window.window)
        .fold(month, |all, one| Window { start: all.start.min(one.start), end: all.end.max(one.end) })
}

/// Whether a window is final where no invoice says so.
pub fn is_settled(window: &TenantWindow<'_>, settle_delay: SignedDuration, now: Timestamp) -> bool {
    window.window.end.saturating_add(settle_delay).is_ok_and(|settled| settled <= now)
}

/// A closed period gets a new window only by an import of tenants.
pub fn is_final(job: &PeriodJob, tenants_version: i64) -> bool {
    job.status == PeriodStatus::Closed && job.tenants_version == tenants_version
}

/// The first period that can be due: the configured one, else the one in which the first tenant started.
pub fn first_period(tenants: &[Tenant], settings: &Settings) -> Result<Option<Period>, Refusal> {
    if settings.first_period.is_some() {
        return Ok(settings.first_period);
    }
    if let Some(tenant) = tenants.iter().find(|tenant| tenant.started_at().is_none()) {
        return Err(Refusal::Configuration(format!(
            "the tenant `{}` has no started_at, so nothing says which period is the first: set first_period in \
             billrecon.toml, or name a period with --period",
            tenant.id()
        )));
    }
    Ok(tenants.iter().filter_map(|tenant| first_label(tenant, settings)).min())
}

/// The month in which a tenant starts, or the one before where its first window began then and carries that label.
fn first_label(tenant: &Tenant, settings: &Settings) -> Option<Period> {
    let zone = &settings.time_zone;
    let month = Period::containing(tenant.started_at()?, zone);
    let covers =
        |period: &Period| tenant.windows(*period, zone).iter().any(|window| !window.segments.is_empty());
    // Two months back: one for the anchor, one for a zone in which the start lies in another month than in UTC.
    [month.previous().previous(), month.previous()].into_iter().find(covers).or(Some(month))
}

/// All periods from `first` that have begun, oldest first.
pub fn begun(first: Period, settings: &Settings, now: Timestamp) -> Vec<Period> {
    let begun = |period: &Period| period.start(&settings.time_zone) <= now;
    std::iter::successors(Some(first), |period| Some(period.next())).take_while(begun).collect()
}

/// What came before the first period was never meant to be billed by us: with a real account somebody must say so.
pub fn require_first_period(settings: &Settings, target: &Target) -> Result<(), Refusal> {
    if target.is_sandbox() || settings.first_period.is_some() {
        return Ok(());
    }
    let text = "with a real account first_period is required: set it in billrecon.toml to the first period that \
                billrecon is to look after, such as first_period = \"2026-10\"";
    Err(Refusal::Configuration(text.to_owned()))
}

pub fn explicit_period(
    period: Period,
    settings: &Settings,
    tenants: &[Tenant],
    now: Timestamp,
) -> Result<Period, Refusal> {
    if period.start(&settings.time_zone) > now {
        return Err(Refusal::Usage(format!("the period {period} has not begun")));
    }
    // Without any first period the person's word is all there is.
    let first = first_period(tenants, settings).ok().flatten();
    match first.filter(|first| period < *first) {
        Some(first) => Err(Refusal::Usage(format!("the period {period} lies before the first one, {first}"))),
        None => Ok(period),
    }
}
