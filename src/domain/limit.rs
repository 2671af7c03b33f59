//! Limits: which levels of its quota a tenant has reached in a window.
//!
//! In: the figures of a window, the catalog, what is known already. Out: [`LimitEvent`]s, once for a window, meter and level.
//! Never for a trial (it costs nothing), for a parked window (nothing of it is safe to say) or where there is no quota; and
//! never taken back when corrections make the usage smaller again.

use std::collections::BTreeSet;

use crate::domain::catalog::{Catalog, PlanId, UsagePrice};
use crate::domain::figures::{WindowFigures, WindowStatus};
use crate::domain::number::Quantity;
use crate::domain::period::Window;

/// In percent of the quota, ascending. 80 and 100 are those of the overage metrics; the two between them leave a customer
/// time to act.
pub const LEVELS: [u8; 4] = [80, 90, 95, 100];

/// The field order is the order of the rows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LimitEvent {
    pub tenant_id: String,
    /// The plan of the first segment that reached the level.
    pub plan: PlanId,
    pub meter: String,
    pub window: Window,
    pub level: u8,
    /// Of that segment: pro-rated, where the plan says so.
    pub quota: Quantity,
    /// When the level was first seen; it may have grown since.
    pub used: Quantity,
}

/// What makes an event the only one of its kind: tenant, window, meter, level.
pub type LimitKey = (String, Window, String, u8);

impl LimitEvent {
    pub fn key(&self) -> LimitKey {
        (self.tenant_id.clone(), self.window, self.meter.clone(), self.level)
    }
}

/// An event as a report tells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LimitRow {
    pub event: LimitEvent,
    /// No earlier report of the period told it.
    pub is_new: bool,
}

/// What these windows have reached and nobody knows yet.
pub fn reached<'a>(
    windows: impl IntoIterator<Item = &'a WindowFigures>,
    catalog: &Catalog,
    known: impl IntoIterator<Item = LimitKey>,
) -> Vec<LimitEvent> {
    let mut known: BTreeSet<LimitKey> = known.into_iter().collect();
    let of_window = windows.into_iter().flat_map(|window| in_window(window, catalog));
    of_window.filter(|event| known.insert(event.key())).collect()
}

/// Each segment against its own quota, in the order of time.
fn in_window(window: &WindowFigures, catalog: &Catalog) -> Vec<LimitEvent> {
    let mut events = Vec::new();
    if window.status == WindowStatus::Parked || window.trial {
        return events;
    }
    for stretch in window.stretches.iter().filter(|stretch| stretch.invoiced) {
        let Some(plan) = stretch.plan.as_ref().and_then(|plan| catalog.plans.get(plan)) else { continue };
        for (meter, price) in &plan.usage {
            let Some((quota, used)) = measured(window, stretch.range, meter, price) else { continue };
            let levels = LEVELS.into_iter().filter(|level| is_reached(used, quota, *level));
            events.extend(levels.map(|level| LimitEvent {
                tenant_id: window.tenant_id.clone(),
                plan: plan.id.clone(),
                meter: meter.clone(),
                window: window.window,
                level,
                quota,
                used,
            }));
        }
    }
    events
}

/// Quota and usage of a segment, where it has both.
fn measured(
    window: &WindowFigures,
    range: Window,
    meter: &str,
    price: &UsagePrice,
) -> Option<(Quantity, Quantity)> {
    let used = window.billable(range, meter)?.used().to_quantity().ok()?;
    let quota = price.for_part(range, window.window).ok()?.free_quota?;
    (!quota.is_zero()).then_some((quota, used))
}

/// Both are below 10³⁰ in their smallest unit, so the products fit.
fn is_reached(used: Quantity, quota: Quantity, level: u8) -> bool {
    used.scaled() * 100 >= quota.scaled() * i128::from(level)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_at(used: &str, quota: &str, level: u8) -> bool {
        is_reached(Quantity::parse(used).unwrap(), Quantity::parse(quota).unwrap(), level)
    }

    #[test]
    fn a_level_is_reached_exactly_at_it_and_not_a_trillionth_before() {
        for (used, quota, level, is_there) in [
            ("79.999999999999", "100", 80, false),
            ("80", "100", 80, true),
            ("94.999999999999", "100", 95, false),
            ("95", "100", 95, true),
            ("99.999999999999", "100", 100, false),
            ("100", "100", 100, true),
            ("26.4", "33", 80, true),
            ("26.399999999999", "33", 80, false),
            ("1", "1", 100, true),
            ("0", "1", 80, false),
            ("999999999999999.999999999999", "999999999999999", 100, true),
        ] {
            assert_eq!(is_at(used, quota, level), is_there, "{used} of {quota} at {level} %");
        }
        assert!(LEVELS.is_sorted());
    }

    #[test]
    fn the_largest_total_does_not_wrap() {
        let largest = Quantity::from_floor_and_fraction(999_999_999_999_999_999, 0).unwrap();
        assert!(LEVELS.into_iter().all(|level| is_reached(largest, largest, level)));
    }
}
