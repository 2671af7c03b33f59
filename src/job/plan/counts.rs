//! The counts of a period's job, in tenants.
//!
//! In: what is known, the windows after the plan. Out: [`JobCounts`]. Pure.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::figures::{Disposition, WindowFigures, WindowStatus};
use crate::domain::intent::{Intent, PushMode};
use crate::domain::period::Window;
use crate::job::due::PeriodWindows;
use crate::job::plan::Known;
use crate::store::books::JobCounts;

/// What has become of a tenant's windows in the period; the worst of them counts for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standstill {
    NotBilled,
    Closed,
    Open,
    Parked,
}

/// Counts in tenants: one that leaves a trial has two windows in a period.
pub(super) fn counts(known: &Known<'_>, open: &[WindowFigures], all: &[WindowFigures]) -> JobCounts {
    let mut tenants: BTreeMap<&str, Standstill> = BTreeMap::new();
    // Those that are due a push and get none.
    let mut unserved: BTreeSet<&str> = known.unread.iter().map(String::as_str).collect();
    for window in all.iter().chain(open) {
        let state = match window.status {
            WindowStatus::Parked => Standstill::Parked,
            WindowStatus::Open => Standstill::Open,
            WindowStatus::Closed if window.not_billed => Standstill::NotBilled,
            WindowStatus::Closed => Standstill::Closed,
        };
        let worst = tenants.entry(&window.tenant_id).or_insert(state);
        *worst = state.max(*worst);
        if known.push == PushMode::Push && is_due_a_push(window) {
            unserved.insert(&window.tenant_id);
        }
    }
    let of = |state| tenants.values().filter(|one| **one == state).count() as u64;
    let without_invoice = without_invoice(known.windows);
    let is_waited_for = |one: &&Intent| {
        let mut windows = without_invoice.get(one.key.tenant_id.as_str()).into_iter().flatten();
        one.is_pending() && !windows.any(|window| window.contains(one.timestamp))
    };
    let pending = known.intents.of_period(known.period).filter(is_waited_for).count();
    JobCounts {
        tenants: tenants.len() as u64,
        closed: of(Standstill::Closed),
        parked: of(Standstill::Parked),
        not_billed: of(Standstill::NotBilled),
        pending_before: known.pending_before + unserved.len() as u64,
        pushed: known.pushed,
        errors: known.errors + known.unbillable.len() as u64,
        pending_after: (pending + unserved.len()) as u64,
    }
}

fn is_due_a_push(window: &WindowFigures) -> bool {
    window.status == WindowStatus::Parked
        && window
            .usage
            .iter()
            .any(|usage| usage.disposition == Disposition::Billable && !usage.total.quantity.is_zero())
}

/// Windows that Stripe makes no invoice for, by tenant. What was sent for one before, as when a tenant was paused
/// afterwards, is waited for by nobody.
fn without_invoice<'a>(windows: &'a PeriodWindows<'_>) -> BTreeMap<&'a str, Vec<Window>> {
    let mut by_tenant: BTreeMap<&str, Vec<Window>> = BTreeMap::new();
    let all = windows.due.iter().chain(&windows.open).chain(&windows.closed);
    for one in all.filter(|one| one.is_inactive()) {
        by_tenant.entry(one.tenant.id()).or_default().push(one.window);
    }
    by_tenant
}
