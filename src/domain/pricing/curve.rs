//! Price curves: what a bill comes to as usage grows, on a plan and on the next one.
//!
//! In: the windows of a period, and the catalog that each was rated with. Out: a [`PriceCurve`] for each plan and meter in
//! them, with the bills at exact units. Every bill is rated as a close does; nothing between two points is said.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::catalog::{Catalog, Plan, PlanId};
use crate::domain::figures::{WindowFigures, WindowStatus};
use crate::domain::number::Quantity;
use crate::domain::population::next_plan;
use crate::domain::pricing::even::{Tariff, cheaper_from};

/// Even steps between nothing used and the end of a curve; what turns in between is added.
const STEPS: u64 = 48;
/// A turn that is this many times as far as the quota and the tiers would make all else of the curve too small to see.
const FARTHEST: u64 = 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PriceCurve {
    pub plan: PlanId,
    pub meter: String,
    pub quota: Option<Quantity>,
    /// The plan one step up that sells the meter.
    pub next: Option<PlanId>,
    /// The fewest whole units at which the next plan costs less.
    pub cheaper_from: Option<u64>,
    /// By units, without gaps in what can be rated.
    pub points: Vec<CurvePoint>,
}

/// Base fee and usage of this meter, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CurvePoint {
    pub units: u64,
    pub own_minor: i64,
    pub next_minor: Option<i64>,
}

/// A window whose catalog cannot be read has none. Two versions of a price in one period are two curves.
pub fn curves<'a>(
    windows: &[WindowFigures],
    catalog_of: impl Fn(&WindowFigures) -> Option<&'a Catalog>,
) -> Vec<PriceCurve> {
    let mut versions: BTreeMap<(&PlanId, &str), &WindowFigures> = BTreeMap::new();
    let rated = windows.iter().filter(|one| one.status != WindowStatus::Parked && !one.trial);
    for window in rated {
        for plan in window.stretches.iter().filter_map(|stretch| stretch.plan.as_ref()) {
            versions.entry((plan, &window.catalog_hash)).or_insert(window);
        }
    }
    let mut curves: Vec<PriceCurve> = Vec::new();
    for ((id, _), window) in versions {
        let Some(catalog) = catalog_of(window) else { continue };
        let Some(plan) = catalog.plans.get(id) else { continue };
        for curve in plan.usage.keys().filter_map(|meter| curve(plan, meter, catalog)) {
            if !curves.contains(&curve) {
                curves.push(curve);
            }
        }
    }
    curves.sort_by(|one, other| (&one.plan, &one.meter).cmp(&(&other.plan, &other.meter)));
    curves
}

fn curve(plan: &Plan, meter: &str, catalog: &Catalog) -> Option<PriceCurve> {
    let own = tariff(plan, meter)?;
    let next = next_plan(plan, meter, catalog);
    let next_tariff = next.and_then(|next| tariff(next, meter));
    let cheaper_from = next_tariff.as_ref().and_then(|next| cheaper_from(&own, next));
    let mut turns: BTreeSet<u64> = own.ends().chain(next_tariff.iter().flat_map(Tariff::ends)).collect();
    let near = turns.last().copied().unwrap_or_default().max(1);
    turns.extend(cheaper_from.filter(|from| *from <= near.saturating_mul(FARTHEST) || near == 1));
    let last = round_up(turns.last().copied().unwrap_or_default().saturating_mul(2).max(10));
    let step = (last / STEPS).max(1);
    let even = (0..=STEPS).map(|index| index * step).filter(|units| *units < last);
    let beside = turns.iter().flat_map(|turn| [*turn, turn + 1]).filter(|units| *units < last);
    let units: BTreeSet<u64> = even.chain(beside).chain([last]).collect();
    let point = |units: u64| {
        let used = Quantity::whole(units).ok()?;
        let next_minor = next_tariff.as_ref().and_then(|next| next.bill(used).ok());
        Some(CurvePoint { units, own_minor: own.bill(used).ok()?, next_minor })
    };
    Some(PriceCurve {
        plan: plan.id.clone(),
        meter: meter.to_owned(),
        quota: own.price.free_quota,
        next: next.map(|next| next.id.clone()),
        cheaper_from,
        points: units.into_iter().map_while(point).collect(),
    })
}

fn tariff<'a>(plan: &'a Plan, meter: &str) -> Option<Tariff<'a>> {
    let price = plan.usage.get(meter)?;
    Some(Tariff { base_minor: plan.amount_minor, price, currency: plan.id.currency })
}

/// To one digit, and at most what a quantity holds.
fn round_up(units: u64) -> u64 {
    let mut power = 1u64;
    while units / power >= 10 {
        power *= 10;
    }
    units.div_ceil(power).saturating_mul(power).min(900_000_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_curve_has_one_digit() {
        for (units, end) in [(0, 0), (10, 10), (11, 20), (199, 200), (200, 200), (2_147, 3_000)] {
            assert_eq!(round_up(units), end, "{units}");
        }
        assert_eq!(round_up(u64::MAX), 900_000_000_000_000);
    }
}
