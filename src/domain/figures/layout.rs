//! How a window is laid out, and what happens to the usage in each part of it.
//!
//! In: a window's segments and gaps, the ledger totals. Out: [`Stretch`]es, which are kept with a closed window, and the
//! usage in them by what happens to it. Late usage is judged by the same stretches, whatever the tenant's rows say by then.

use crate::domain::aggregation::MeterUsage;
use crate::domain::catalog::{Catalog, PlanId};
use crate::domain::figures::{Disposition, LedgerTotals, SegmentUsage};
use crate::domain::period::Window;
use crate::domain::tenant::TenantWindow;
use crate::domain::usage::UsageTotal;

/// A segment or a gap of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    pub range: Window,
    /// `None` in a gap.
    pub plan: Option<PlanId>,
    /// Stripe makes invoices for it.
    pub invoiced: bool,
}

/// Segments first, then gaps, as the window has them.
pub fn stretches(window: &TenantWindow<'_>) -> Vec<Stretch> {
    let segments = window.segments.iter().map(|segment| Stretch {
        range: segment.range,
        plan: Some(segment.subscription.plan.clone()),
        invoiced: segment.invoiced,
    });
    let gaps = window.gaps.iter().map(|gap| Stretch { range: *gap, plan: None, invoiced: false });
    segments.chain(gaps).collect()
}

/// What a tenant used in the stretches, by meter and by what happens to it.
pub(in crate::domain) fn usage_in(
    stretches: &[Stretch],
    tenant_id: &str,
    catalog: &Catalog,
    totals: &LedgerTotals,
) -> Vec<SegmentUsage> {
    let mut usage = Vec::new();
    for stretch in stretches {
        let by_meter = totals.get(&stretch.range).and_then(|tenants| tenants.get(tenant_id));
        for (meter, of_meter) in by_meter.into_iter().flatten() {
            usage.extend(dispositions(stretch, meter, of_meter, catalog).into_iter().map(
                |(disposition, total)| SegmentUsage {
                    range: stretch.range,
                    plan: stretch.plan.clone(),
                    meter: meter.clone(),
                    disposition,
                    total,
                    readings: of_meter.readings.filter(|_| disposition == Disposition::Billable),
                    taken_back: of_meter.taken_back,
                    split: None,
                },
            ));
        }
    }
    usage
}

/// What happens to the records of a meter, with those that it happens to.
fn dispositions(
    stretch: &Stretch,
    meter: &str,
    usage: &MeterUsage,
    catalog: &Catalog,
) -> Vec<(Disposition, UsageTotal)> {
    let parts = match disposition(stretch, meter, catalog) {
        Disposition::Billable => {
            vec![(Disposition::Billable, usage.billable), (Disposition::NotBillable, usage.excluded)]
        }
        // Whatever the rule says of them. Sums in this range cannot overflow: each of the two is far below.
        other => vec![(other, usage.all().unwrap_or(usage.billable))],
    };
    parts.into_iter().filter(|(_, total)| total.records > 0).collect()
}

fn disposition(stretch: &Stretch, meter: &str, catalog: &Catalog) -> Disposition {
    let Some(plan) = &stretch.plan else {
        return Disposition::OutsideSubscription;
    };
    if !stretch.invoiced {
        return Disposition::Inactive;
    }
    match catalog.plans.get(plan) {
        Some(plan) if !plan.usage.contains_key(meter) => Disposition::NoAccess,
        // Without its plan the window is parked, and nothing is known about access.
        Some(_) | None => Disposition::Billable,
    }
}
