//! Bounds, as a run keeps to them: what each window comes to at the price in force, and what it came to before.
//!
//! In: mapped windows, the catalog, the books. Out: charges, and the windows to set aside before anything more is sent for
//! them. Where the application sends there is nothing to stop, so nothing is set aside.

use std::collections::BTreeMap;

use crate::domain::bounds::{Bounds, Case, Charge};
use crate::domain::catalog::{Billing, Catalog};
use crate::domain::intent::PushMode;
use crate::domain::money::MoneyError;
use crate::domain::parking::Parking;
use crate::domain::period::{Period, Window};
use crate::domain::tenant::ParkReason;
use crate::job::mapping::Mapped;
use crate::store::Books;
use crate::store::StoreError;

/// What Stripe would charge for the usage of each window now. In shadow that is 0.
pub fn charges(mapped: &[Mapped], catalog: &Catalog) -> Result<Vec<Charge>, MoneyError> {
    let mut charges = Vec::new();
    for one in mapped {
        let Some(first) = one.meters.first() else { continue };
        let mut amount = first.expected.amount;
        for using in one.meters.iter().skip(1) {
            amount = amount.checked_add(using.expected.amount)?;
        }
        let (tenant_id, window) = (one.tenant_id.clone(), one.window);
        charges.push(Charge { tenant_id, window, basis: basis(one, catalog), amount });
    }
    Ok(charges)
}

/// The plan at the window's end, and its meters that are charged.
fn basis(one: &Mapped, catalog: &Catalog) -> String {
    let Some(id) = one.meters.first().map(|using| &using.expected.plan) else { return String::new() };
    let usage = catalog.plans.get(id).into_iter().flat_map(|plan| &plan.usage);
    let live: Vec<&str> =
        usage.filter(|(_, price)| price.billing == Billing::Live).map(|(meter, _)| meter.as_str()).collect();
    if live.is_empty() {
        return String::new();
    }
    format!("{} {} {}: {}", id.key, id.interval.as_str(), id.currency, live.join(", "))
}

/// The windows that are above their bounds.
pub async fn exceeded(
    bounds: &Bounds,
    charges: &[Charge],
    period: Period,
    parking: &Parking,
    push: PushMode,
    books: &Books,
) -> Result<BTreeMap<(String, Window), ParkReason>, StoreError> {
    let nothing_is_charged = charges.iter().all(|one| one.amount.minor == 0);
    if push == PushMode::Observe || bounds.are_off() || nothing_is_charged {
        return Ok(BTreeMap::new());
    }
    let mut view = books.snapshot().await?;
    let histories = view.charge_histories().await?;
    let closed = view.charged(period).await?;
    let allows_period = parking.allows_period(period);
    let case = Case { charges, histories: &histories, closed: &closed, allows_period };
    Ok(bounds.exceeded(&case, |one| parking.allows(&one.tenant_id, one.window)))
}
