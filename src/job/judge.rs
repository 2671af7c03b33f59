//! Judge: the populations and facts that the policy decides on.
//!
//! In: a period's windows with their figures, the comparison, the intents. Out: a [`Decision`]. Pure. Only whole windows on
//! one plan count; others are left out and counted.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::catalog::{Catalog, PushScope, UsagePrice};
use crate::domain::decide::{Decision, PeriodFacts, PushRecords, decide};
use crate::domain::figures::{Disposition, SegmentUsage, WindowFigures, WindowStatus};
use crate::domain::intent::{self, PushMode};
use crate::domain::metrics::{MetricsError, Population};
use crate::domain::number::QuantitySum;
use crate::domain::period::Window;
use crate::domain::policy::Policy;
use crate::domain::population::population;
use crate::domain::reconcile::{Class, ReconciliationRow, Source};
use crate::job::catalogs::Catalogs;
use crate::job::intents::Intents;

/// What a judgement looks at.
pub struct Case<'a> {
    pub figures: &'a [WindowFigures],
    pub comparison: &'a [ReconciliationRow],
    pub intents: &'a Intents,
    pub catalogs: &'a Catalogs<'a>,
    pub push: PushMode,
    pub pending_after: u64,
}

pub fn judge(policy: &Policy, case: &Case<'_>) -> Result<Decision, MetricsError> {
    let of_policy = case.catalogs.current.plans.values().filter(|plan| plan.id.key == policy.plan);
    let mut populations: BTreeMap<&str, Population<'_>> = BTreeMap::new();
    // Overage needs a quota: a meter that is billed from the first unit has nothing to decide.
    let has_quota = |price: &UsagePrice| price.free_quota.is_some_and(|quota| !quota.is_zero());
    let meters = of_policy.flat_map(|plan| plan.usage.iter()).filter(|(_, price)| has_quota(price));
    for (meter, _) in meters {
        let names = (policy.plan.as_str(), meter.as_str());
        let of = || population(names, case.figures, |one| case.catalogs.of(one));
        populations.entry(meter).or_insert_with(of);
    }
    let facts = facts(policy, case);
    decide(policy, &facts, &populations.into_values().collect::<Vec<_>>())
}

fn facts(policy: &Policy, case: &Case<'_>) -> PeriodFacts {
    let incomplete = case.comparison.iter().filter(|row| row.class == Class::Incomplete).count();
    let harmful = |row: &&ReconciliationRow| {
        row.is_difference() && !row.reason.is_some_and(|reason| policy.is_harmless(reason.as_str()))
    };
    let differing = differing(case.comparison);
    let closed = || case.figures.iter().filter(|one| one.status == WindowStatus::Closed);
    let is_billed = |one: &&WindowFigures| {
        let mut plans =
            one.stretches.iter().filter(|part| part.invoiced).filter_map(|part| part.plan.as_ref());
        plans.any(|id| {
            // In doubt it is.
            let Some(catalog) = case.catalogs.of(one) else { return true };
            catalog.plans.get(id).is_some_and(|plan| !plan.usage.is_empty())
        })
    };
    PeriodFacts {
        full_cycle: closed().any(|one| one.full_cycle && !one.trial)
            && closed().filter(is_billed).all(|one| one.full_cycle),
        pending_after: case.pending_after,
        incomplete: incomplete as u64,
        differences: case.comparison.iter().filter(harmful).count() as u64,
        push: closed().map(|one| push_records(one, &differing, case)).fold(
            PushRecords::default(),
            |sum, one| PushRecords { due: sum.due + one.due, failed: sum.failed + one.failed },
        ),
    }
}

/// Records that were to reach Stripe. Pushing, those fail that no intent carries, unless Stripe lacks nothing without them
/// (a record of 0, two that cancel out); observing, all of a tenant whose meter total differs.
fn push_records(figures: &WindowFigures, differing: &Differing<'_>, case: &Case<'_>) -> PushRecords {
    let mut sum = PushRecords::default();
    let Some(catalog) = case.catalogs.of(figures) else { return sum };
    for usage in &figures.usage {
        let Some(target) = target(usage, catalog) else { continue };
        let records = usage.total.records;
        let arrived = match case.push {
            // Stripe shows one level of a gauge, that of the last segment with usage: no other needs an intent.
            PushMode::Push if usage.readings.is_some() && !is_last_of_meter(usage, figures) => records,
            PushMode::Push => {
                let counted = || case.intents.counted(&figures.tenant_id, &usage.meter, usage.range);
                let aggregation = catalog.meters.get(&usage.meter).map(|meter| meter.aggregation);
                let quantity = aggregation.map(|aggregation| intent::arrived(aggregation, counted()));
                let carried: u64 = counted().map(|one| one.records).sum();
                if quantity == Some(Ok(target)) { records } else { carried.min(records) }
            }
            PushMode::Observe
                if differing.contains(&(
                    figures.tenant_id.as_str(),
                    usage.meter.as_str(),
                    figures.window,
                )) =>
            {
                0
            }
            PushMode::Observe => records,
        };
        sum.due += records;
        sum.failed += records - arrived;
    }
    sum
}

fn is_last_of_meter(usage: &SegmentUsage, figures: &WindowFigures) -> bool {
    let is_later = |other: &&SegmentUsage| {
        other.meter == usage.meter
            && other.disposition == Disposition::Billable
            && other.total.records > 0
            && other.range.start > usage.range.start
    };
    !figures.usage.iter().any(|other| is_later(&other))
}

/// What Stripe is to see of it; `None` where that is nothing.
fn target(usage: &SegmentUsage, catalog: &Catalog) -> Option<QuantitySum> {
    let plan = usage.plan.as_ref().and_then(|plan| catalog.plans.get(plan));
    let price = plan.and_then(|plan| plan.usage.get(&usage.meter))?;
    let target: QuantitySum = match price.push {
        PushScope::All => usage.within_cap()?.into(),
        PushScope::Overage => usage.split?.billed.into(),
    };
    (usage.disposition == Disposition::Billable && !target.is_zero()).then_some(target)
}

/// Tenant, meter and window of the meter totals that differ.
type Differing<'a> = BTreeSet<(&'a str, &'a str, Window)>;

fn differing(comparison: &[ReconciliationRow]) -> Differing<'_> {
    let differs = comparison.iter().filter(|row| row.source == Source::MeterTotal && row.is_difference());
    differs.filter_map(|row| Some((row.tenant_id.as_str(), row.meter.as_str(), row.window?))).collect()
}
