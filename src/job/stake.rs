//! What is at stake in windows that are parked: what their usage would come to if nothing stood in the way.
//!
//! In: parked windows, tenants, the catalog, the ledger as it is now. Out: money of each, at the candidate price and at the
//! price in force; `None` where it cannot be rated. Never writes, and nothing of it enters a report.

use std::collections::BTreeMap;

use crate::domain::catalog::{Billing, Catalog};
use crate::domain::figures::{WindowFigures, WindowStatus};
use crate::domain::money::{Currency, MinorSum};
use crate::domain::rating::LineKind;
use crate::domain::tenant::{Tenant, TenantWindow};
use crate::job::Settings;
use crate::job::catalogs::Catalogs;
use crate::job::observe::{Ranges, totals_in};
use crate::store::Store;
use crate::store::books::ParkedWindow;

/// Usage without base fees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stake {
    pub candidate: MinorSum,
    pub in_force: MinorSum,
}

/// In the order of `parked`.
pub async fn stakes(
    parked: &[ParkedWindow],
    tenants: &[Tenant],
    catalog: &Catalog,
    settings: &Settings,
    store: &Store,
) -> anyhow::Result<Vec<Option<Stake>>> {
    let by_id: BTreeMap<&str, &Tenant> = tenants.iter().map(|tenant| (tenant.id(), tenant)).collect();
    let laid: Vec<Option<TenantWindow<'_>>> = parked
        .iter()
        .map(|one| {
            let windows = by_id.get(one.tenant_id.as_str())?.windows(one.period, &settings.time_zone);
            let window = windows.into_iter().find(|window| window.window == one.window)?;
            Some(TenantWindow { park: None, ..window })
        })
        .collect();
    let mut ranges = Ranges::new();
    for window in laid.iter().flatten() {
        for segment in &window.segments {
            ranges.entry((segment.range, None)).or_default().insert(window.tenant.id());
        }
    }
    let mut snapshot = store.ledger().snapshot().await?;
    let totals = totals_in(ranges, tenants, &Catalogs::only(catalog), &mut snapshot).await?;
    let figures =
        |window: &TenantWindow<'_>| WindowFigures::new(window, (catalog, ""), &totals, WindowStatus::Open);
    Ok(laid.iter().map(|window| stake(&figures(window.as_ref()?), catalog)).collect())
}

/// The sums by currency of all that can be rated.
pub fn totals<'a>(stakes: impl Iterator<Item = &'a Stake>) -> Vec<Stake> {
    let mut sums: BTreeMap<Currency, Stake> = BTreeMap::new();
    for one in stakes {
        let currency = one.candidate.currency;
        let zero = MinorSum::zero(currency);
        let sum = sums.entry(currency).or_insert(Stake { candidate: zero, in_force: zero });
        sum.candidate.minor += one.candidate.minor;
        sum.in_force.minor += one.in_force.minor;
    }
    sums.into_values().collect()
}

/// A window in two currencies has no one sum.
fn stake(figures: &WindowFigures, catalog: &Catalog) -> Option<Stake> {
    let currency = figures.last_plan()?.currency;
    let zero = MinorSum::zero(currency);
    let mut stake = Stake { candidate: zero, in_force: zero };
    for line in figures.lines.iter().filter(|line| line.line.kind != LineKind::Base) {
        stake.candidate = stake.candidate.checked_add(line.line.amount).ok()?;
        let price = catalog.plans.get(&line.plan)?.usage.get(&line.meter)?;
        if price.billing == Billing::Live {
            stake.in_force = stake.in_force.checked_add(line.line.amount).ok()?;
        }
    }
    figures.park.is_none().then_some(stake)
}
