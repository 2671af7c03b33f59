//! Edge minutes: usage beside a window that Stripe's total of it holds too, because Stripe's totals know whole minutes only.
//!
//! In: mapped windows, the rows of their tenants, the ledger's totals. Out: for each meter what the ledger knows of the
//! minutes that the window's edges cut. Pure. Of use only where the application sends: what we push lies a minute inside.

use std::collections::BTreeMap;

use crate::domain::catalog::{Catalog, PushScope};
use crate::domain::figures::LedgerTotals;
use crate::domain::intent::level;
use crate::domain::number::{NumberError, Quantity, QuantitySum};
use crate::domain::period::Window;
use crate::domain::reconcile::EdgeMinutes;
use crate::domain::tenant::{Subscription, Tenant};
use crate::job::mapping::{Mapped, MeterUse};

/// The time beside the window in the minutes that its edges cut, as far as the tenant has a row there; in order.
pub fn beside(window: Window, tenant: &Tenant) -> Vec<(Window, &Subscription)> {
    let outside = window.in_whole_minutes().without([window]);
    let rows = |range: Window| {
        let rows = tenant.subscriptions().iter();
        rows.filter_map(move |row| Some((row.span().intersection(range)?, row)))
    };
    outside.into_iter().flat_map(rows).collect()
}

/// Writes what is known of the edges into what is expected of each meter.
pub fn note(
    mapped: &mut [Mapped],
    tenants: &[Tenant],
    catalog: &Catalog,
    totals: &LedgerTotals,
) -> Result<(), NumberError> {
    let tenants: BTreeMap<&str, &Tenant> = tenants.iter().map(|tenant| (tenant.id(), tenant)).collect();
    for one in mapped {
        let Some(tenant) = tenants.get(one.tenant_id.as_str()) else { continue };
        let mut known: Vec<Option<EdgeMinutes>> = Vec::new();
        for using in &one.meters {
            known.push(edges(one, using, tenant, catalog, totals)?);
        }
        for (using, edges) in one.meters.iter_mut().zip(known) {
            using.expected.edges = edges;
        }
    }
    Ok(())
}

/// What is done about them, for `evidence.ndjson`.
pub fn told(edges: EdgeMinutes) -> String {
    match edges {
        EdgeMinutes::Added(units) => {
            format!("{units} units beside the window, in the minutes that its edges cut: taken off the total")
        }
        EdgeMinutes::AtMost(units) => format!(
            "{units} units beside the window, in the minutes that its edges cut: how much of it was above a quota is not known"
        ),
        EdgeMinutes::Level(level) => {
            format!(
                "a reading of {level} beside the window, in a minute that its edge cuts: the total shows it"
            )
        }
    }
}

fn edges(
    one: &Mapped,
    using: &MeterUse,
    tenant: &Tenant,
    catalog: &Catalog,
    totals: &LedgerTotals,
) -> Result<Option<EdgeMinutes>, NumberError> {
    let mut sum = QuantitySum::ZERO;
    let mut is_whole = true;
    let mut shown: Option<Quantity> = None;
    let is_read = level::shown(&using.targets).is_some();
    for (range, row) in beside(one.window, tenant) {
        let price = catalog.plans.get(&row.plan).and_then(|plan| plan.usage.get(&using.meter));
        let usage = totals.get(&range).and_then(|tenants| tenants.get(&one.tenant_id)?.get(&using.meter));
        let (Some(price), Some(usage)) = (price, usage) else { continue };
        if row.stripe_customer_id != one.customer_id {
            continue;
        }
        // A gauge's total shows its last reading: one before the window only where there is none in it.
        let counts = !is_read || one.window.end <= range.start;
        if let Some(readings) = usage.readings.filter(|readings| counts && readings.records > 0) {
            shown = Some(readings.quantity.to_quantity()?);
        }
        sum = sum.checked_add(usage.billable.quantity)?;
        is_whole &= price.push == PushScope::All && !price.hard_cap;
    }
    if using.aggregation.is_gauge() {
        return Ok(shown.map(EdgeMinutes::Level));
    }
    let sum = sum.to_quantity()?;
    let known = if is_whole { EdgeMinutes::Added(sum) } else { EdgeMinutes::AtMost(sum) };
    Ok((!sum.is_zero()).then_some(known))
}
