//! Which periods are due: from the database and `now` alone, so that any wake closes all that is left.
//!
//! In: tenants, settings, `now`. Out: periods and the state of each tenant's window. Pure.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};

use crate::domain::period::Period;
use crate::domain::tenant::{Tenant, TenantWindow};
use crate::job::{Refusal, Settings};

/// Tenant id and window start of windows that are closed already.
pub type ClosedKeys = BTreeSet<(String, Timestamp)>;

/// The windows of one period, sorted by what is to be done with them.
#[derive(Debug, Default)]
pub struct PeriodWindows<'a> {
    /// Final, and not closed yet.
    pub due: Vec<TenantWindow<'a>>,
    /// Not final yet.
    pub open: Vec<TenantWindow<'a>>,
    /// Closed by an earlier run.
    pub closed: Vec<TenantWindow<'a>>,
    /// The tenant has no plan in them; they matter only where there is usage all the same.
    pub without_plan: Vec<TenantWindow<'a>>,
}

/// Lays out the windows of a period.
pub fn windows<'a>(
    period: Period,
    tenants: &'a [Tenant],
    settings: &Settings,
    closed: &ClosedKeys,
    now: Timestamp,
) -> PeriodWindows<'a> {
    let mut windows = PeriodWindows::default();
    for window in tenants.iter().filter_map(|tenant| tenant.window(period, &settings.time_zone)) {
        let is_closed = closed.contains(&(window.tenant.id().to_owned(), window.window.start));
        let is_final = final_at(window.window.end, settings.settle_delay) <= now;
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

/// When a window is final without an invoice that says so.
fn final_at(end: Timestamp, settle_delay: SignedDuration) -> Timestamp {
    end.saturating_add(settle_delay).unwrap_or(Timestamp::MAX)
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
    let first = tenants.iter().filter_map(Tenant::started_at).min();
    Ok(first.map(|first| Period::containing(first, &settings.time_zone)))
}

/// All periods from `first` that have begun, oldest first.
pub fn begun(first: Period, settings: &Settings, now: Timestamp) -> Vec<Period> {
    let begun = |period: &Period| period.start(&settings.time_zone) <= now;
    std::iter::successors(Some(first), |period| Some(period.next())).take_while(begun).collect()
}
