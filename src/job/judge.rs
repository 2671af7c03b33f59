//! Judge: the populations and facts that the policy decides on.
//!
//! In: a period's windows with their figures, the comparison, the intents; or facts that a run has kept. Out: a [`Decision`]
//! with its facts. Pure: who is counted, `domain::population` says.

use std::collections::{BTreeMap, BTreeSet};

use jiff::tz::TimeZone;

use crate::domain::catalog::{Billing, Catalog, PushScope, UsagePrice};
use crate::domain::company::CompanyFacts;
use crate::domain::decide::{Decision, Evidence, decide};
use crate::domain::facts::{PeriodFacts, PushRecords};
use crate::domain::figures::{Disposition, SegmentUsage, WindowFigures, WindowStatus};
use crate::domain::intent::{self, PushMode};
use crate::domain::metrics::{MetricsError, Population};
use crate::domain::number::{NumberError, QuantitySum};
use crate::domain::period::{Period, Window};
use crate::domain::policy::Policy;
use crate::domain::population::population;
use crate::domain::reconcile::{ReconciliationRow, Source};
use crate::domain::tenant::Tenant;
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
    pub company: &'a CompanyFacts,
}

/// What is said of a period, and what it is said from.
#[derive(Clone, Debug)]
pub struct Judged {
    pub decision: Decision,
    pub facts: PeriodFacts,
}

/// The company at the two ends of a period.
pub fn company(period: Period, tenants: &[Tenant], catalog: &Catalog, zone: &TimeZone) -> CompanyFacts {
    CompanyFacts::of(tenants, catalog, Window { start: period.start(zone), end: period.next().start(zone) })
}

/// The facts of the period, and what the policy says of them. `earlier` are those of the closed periods before it, the newest
/// first.
pub fn judge(policy: &Policy, case: &Case<'_>, earlier: &[PeriodFacts]) -> anyhow::Result<Judged> {
    let facts = facts(case)?;
    let decision = decide_on(policy, &facts, earlier, case.figures, case.catalogs)?;
    Ok(Judged { decision, facts })
}

/// What the policy says of facts that are known already.
pub fn decide_on(
    policy: &Policy,
    facts: &PeriodFacts,
    earlier: &[PeriodFacts],
    figures: &[WindowFigures],
    catalogs: &Catalogs<'_>,
) -> Result<Decision, MetricsError> {
    let pairs = pairs(policy, figures, catalogs);
    let populations: Vec<Population<'_>> =
        pairs.into_iter().map(|pair| population(pair, figures, |one| catalogs.of(one))).collect();
    decide(policy, &Evidence { facts, earlier, populations: &populations })
}

/// Plans that the policy names, with the meters that they sell with a quota: overage needs one, so that a meter that is billed
/// from the first unit has nothing to decide. By the catalogs that the windows closed with.
fn pairs<'a>(
    policy: &Policy,
    figures: &[WindowFigures],
    catalogs: &'a Catalogs<'_>,
) -> BTreeSet<(&'a str, &'a str)> {
    let closed = figures.iter().filter(|one| one.status == WindowStatus::Closed);
    let by_hash: BTreeMap<&str, &Catalog> =
        closed.filter_map(|one| Some((one.catalog_hash.as_str(), catalogs.of(one)?))).collect();
    let all: Vec<&Catalog> =
        if by_hash.is_empty() { vec![catalogs.current] } else { by_hash.into_values().collect() };
    let named = policy.all_plans();
    let plans = all.into_iter().flat_map(|catalog| catalog.plans.values());
    let judged = plans.filter(|plan| named.contains(plan.id.key.as_str()));
    let has_quota = |price: &UsagePrice| price.free_quota.is_some_and(|quota| !quota.is_zero());
    judged
        .flat_map(|plan| plan.usage.iter().map(move |(meter, price)| (plan, meter, price)))
        .filter(|(.., price)| has_quota(price))
        .map(|(plan, meter, _)| (plan.id.key.as_str(), meter.as_str()))
        .collect()
}

fn facts(case: &Case<'_>) -> Result<PeriodFacts, NumberError> {
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
    let mut facts = PeriodFacts {
        full_cycle: closed().any(|one| one.full_cycle && !one.trial)
            && closed().filter(is_billed).all(|one| one.full_cycle),
        pending_after: case.pending_after,
        push: closed().map(|one| push_records(one, &differing, case)).fold(
            PushRecords::default(),
            |sum, one| PushRecords { due: sum.due + one.due, failed: sum.failed + one.failed },
        ),
        company: case.company.clone(),
        ..PeriodFacts::default()
    };
    facts.add_comparison(case.comparison)?;
    facts.add_windows(case.figures);
    for window in closed() {
        let Some(catalog) = case.catalogs.of(window) else { continue };
        let plans = window.stretches.iter().filter_map(|part| catalog.plans.get(part.plan.as_ref()?));
        for (plan, (meter, price)) in plans.flat_map(|plan| plan.usage.iter().map(move |one| (plan, one))) {
            let of_meter = facts.meter_mut(&plan.id.key, meter);
            of_meter.live = of_meter.live || price.billing == Billing::Live;
        }
    }
    Ok(facts)
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
