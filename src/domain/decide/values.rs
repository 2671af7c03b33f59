//! The value of each metric for one plan and meter.
//!
//! In: what was measured of the population, the facts of the period. Out: exact fractions; `None` is n/a. Never adds across
//! currencies, and never divides by nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::company::PlanFacts;
use crate::domain::decide::Evidence;
use crate::domain::facts::{MeterFacts, PeriodFacts};
use crate::domain::metric::{Basis, Metric};
use crate::domain::metrics::{Metrics, QuotaUse};
use crate::domain::money::{Currency, MinorSum};
use crate::domain::number::QuantitySum;
use crate::domain::policy::Policy;
use crate::domain::ratio::Ratio;

pub struct Values<'a> {
    facts: &'a PeriodFacts,
    metrics: &'a Metrics,
    meter: MeterFacts,
    plan: PlanFacts,
    differences: u64,
    clean_cycles: u64,
    /// Tenants of the plan that used up a quota, and all of them.
    at_a_quota: (u64, u64),
}

impl<'a> Values<'a> {
    pub fn new(
        policy: &Policy,
        evidence: &Evidence<'a>,
        (plan, meter): (&str, &str),
        metrics: &'a Metrics,
        at_a_quota: (u64, u64),
    ) -> Self {
        let is_harmless = |cause: &str| policy.is_harmless(cause);
        let facts = evidence.facts;
        let cycles = [facts].into_iter().chain(evidence.earlier);
        Self {
            facts,
            metrics,
            meter: facts.meter(plan, meter).cloned().unwrap_or_default(),
            plan: facts.company.plans.get(plan).cloned().unwrap_or_default(),
            differences: facts.differences(is_harmless),
            clean_cycles: cycles.take_while(|one| one.is_clean(is_harmless)).count() as u64,
            at_a_quota,
        }
    }

    /// Those in which the tenants of the population pay, and the company is paid.
    pub fn currencies(&self) -> BTreeSet<Currency> {
        let codes = self.facts.company.mrr_twelvefold.keys();
        let of_company = codes.filter_map(|code| Currency::parse(code).ok());
        of_company.chain(self.metrics.would_be_overage.keys().copied()).collect()
    }

    pub fn of(&self, metric: Metric, currency: Option<Currency>) -> Option<Ratio> {
        self.of_period(metric)
            .or_else(|| self.of_quota(metric))
            .or_else(|| self.of_use(metric))
            .or_else(|| self.of_money(metric, currency?))
    }

    /// How many the value is about.
    pub fn population(&self, metric: Metric, currency: Option<Currency>) -> u64 {
        let company = &self.facts.company;
        let in_currency = |counts: &BTreeMap<String, u64>| {
            currency.and_then(|currency| counts.get(currency.code()).copied()).unwrap_or_default()
        };
        match metric.basis() {
            Basis::Tenants => self.metrics.tenants,
            Basis::PlanTenants => self.at_a_quota.1,
            Basis::PayingAtStart => company.paying_at_start,
            Basis::PayingAtEnd if metric == Metric::PlanMrr => in_currency(&self.plan.paying_at_end),
            Basis::PayingAtEnd => in_currency(&company.paying_at_end),
            Basis::PlanPayingAtStart => self.plan.paying_at_start,
            Basis::FreeAtStart => company.free_at_start,
        }
    }

    fn of_period(&self, metric: Metric) -> Option<Ratio> {
        let (facts, company) = (self.facts, &self.facts.company);
        let counted = |count| Some(Ratio::whole(count));
        match metric {
            Metric::FullCycle => counted(facts.full_cycle.into()),
            Metric::CleanCycles => counted(self.clean_cycles),
            Metric::Incomplete => counted(facts.incomplete),
            Metric::PendingAfter => counted(facts.pending_after),
            Metric::Differences => counted(self.differences),
            Metric::PushErrorRate => Ratio::of(facts.push.failed, facts.push.due),
            Metric::PushRecordsDue => counted(facts.push.due),
            Metric::PushRecordsFailed => counted(facts.push.failed),
            Metric::Accuracy => share(self.meter.units_confirmed, self.meter.units_due),
            Metric::UnitsDue => Ratio::mean(self.meter.units_due, 1),
            Metric::UnitsConfirmed => Ratio::mean(self.meter.units_confirmed, 1),
            Metric::SuccessRate => Ratio::of(self.meter.records_billable, self.meter.records_all),
            Metric::RecordsAll => counted(self.meter.records_all),
            Metric::RecordsBillable => counted(self.meter.records_billable),
            Metric::BillingLive => counted(self.meter.live.into()),
            Metric::ChurnRate => Ratio::of(company.churned, company.paying_at_start),
            Metric::UpgradeRate => Ratio::of(self.plan.upgraded, self.plan.paying_at_start),
            Metric::ConversionRate => Ratio::of(company.converted, company.free_at_start),
            _ => None,
        }
    }

    fn of_quota(&self, metric: Metric) -> Option<Ratio> {
        let metrics = self.metrics;
        let of_quota = |count: fn(&QuotaUse) -> u64| metrics.quota_use.as_ref().map(count).map(Ratio::whole);
        match metric {
            Metric::Tenants => Some(Ratio::whole(metrics.tenants)),
            Metric::TenantsLeftOut => Some(Ratio::whole(metrics.left_out)),
            Metric::TenantsWithoutQuota => Some(Ratio::whole(metrics.tenants_without_quota)),
            Metric::ShareAt80 => metrics.share_at_80(),
            Metric::ShareAt100 => metrics.share_at_100(),
            Metric::TenantsAt80 => of_quota(|one| one.at_80),
            Metric::TenantsAt100 => of_quota(|one| one.at_100),
            Metric::TenantsFrom0 => of_quota(|one| one.buckets[0]),
            Metric::TenantsFrom20 => of_quota(|one| one.buckets[1]),
            Metric::TenantsFrom50 => of_quota(|one| one.buckets[2]),
            Metric::TenantsFrom80 => of_quota(|one| one.buckets[3]),
            Metric::TenantsFrom100 => of_quota(|one| one.buckets[4]),
            Metric::TenantsAtAQuota => Some(Ratio::whole(self.at_a_quota.0)),
            Metric::ShareAtAQuota => Ratio::of(self.at_a_quota.0, self.at_a_quota.1),
            Metric::MeanOverage => metrics.quota_use.as_ref()?.mean_overage,
            _ => None,
        }
    }

    fn of_use(&self, metric: Metric) -> Option<Ratio> {
        let metrics = self.metrics;
        match metric {
            Metric::MeanUsed => metrics.mean_used,
            Metric::MedianUsed => metrics.median_used,
            Metric::P90Linear => metrics.p90_linear,
            Metric::P90NearestRank => metrics.p90_nearest_rank.map(Ratio::from),
            Metric::P95Linear => metrics.p95_linear,
            Metric::P95NearestRank => metrics.p95_nearest_rank.map(Ratio::from),
            Metric::EnterpriseCandidates => metrics.enterprise_candidates.map(Ratio::whole),
            Metric::EnterpriseCandidateShare => metrics.enterprise_candidate_share(),
            _ => None,
        }
    }

    fn of_money(&self, metric: Metric, currency: Currency) -> Option<Ratio> {
        let company = &self.facts.company;
        let sum = |sums: &BTreeMap<Currency, MinorSum>| sums.get(&currency).map(|sum| sum.minor);
        let twelvefold = |sums: &BTreeMap<String, i128>| sums.get(currency.code()).copied();
        let overage = || sum(&self.metrics.would_be_overage);
        match metric {
            Metric::EnterpriseSavings => Ratio::new(sum(&self.metrics.enterprise_savings)?, 1),
            Metric::WouldBeOverage => Ratio::new(overage()?, 1),
            Metric::OverageShareOfMrr => of_month(overage()?, twelvefold(&company.mrr_twelvefold)?),
            Metric::OverageShareOfPlanMrr => of_month(overage()?, twelvefold(&self.plan.mrr_twelvefold)?),
            Metric::Mrr => Ratio::new(twelvefold(&company.mrr_twelvefold)?, 12),
            Metric::PlanMrr => Ratio::new(twelvefold(&self.plan.mrr_twelvefold)?, 12),
            Metric::Arpu => {
                let paying = company.paying_at_end.get(currency.code())?;
                Ratio::new(twelvefold(&company.mrr_twelvefold)?, u128::from(*paying).checked_mul(12)?)
            }
            _ => None,
        }
    }
}

/// `amount / (twelvefold / 12)`.
fn of_month(amount: i128, twelvefold: i128) -> Option<Ratio> {
    Ratio::new(amount.checked_mul(12)?, u128::try_from(twelvefold).ok()?)
}

fn share(part: QuantitySum, whole: QuantitySum) -> Option<Ratio> {
    Ratio::new(part.scaled(), u128::try_from(whole.scaled()).ok()?)
}
