//! What a period says about the use of one meter by the tenants of one plan.
//!
//! In: a [`Population`], one member per tenant and whole window, zero usage included. Out: [`Metrics`], exact. Never a
//! number about nobody (`None` is printed as n/a), never a sum across currencies, never a rounding.

use std::collections::BTreeMap;

use crate::domain::money::{Currency, MinorAmount, MinorSum, MoneyError};
use crate::domain::number::{NumberError, Quantity, QuantitySum};
use crate::domain::percentile;
use crate::domain::ratio::Ratio;

/// Where one bucket of the quota ends and the next begins, in percent; the last has no end.
pub const BUCKET_STARTS: [u8; 5] = [0, 20, 50, 80, 100];

/// One paying tenant that was on the plan for a whole window.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    pub tenant_id: &'a str,
    /// The tenant's own: one plan key may have several intervals, and a year's quota is not a month's.
    pub quota: Option<Quantity>,
    pub used: Quantity,
    /// The usage lines at the candidate price.
    pub overage_amount: MinorAmount,
    /// Base fee and usage at the candidate price, in minor units.
    pub own_bill: i128,
    /// What the same usage costs on the next plan with its base fee, in the same currency and interval.
    pub next_plan_bill: Option<i128>,
}

/// The tenants of one plan key and one meter.
#[derive(Clone, Debug)]
pub struct Population<'a> {
    pub plan: &'a str,
    pub meter: &'a str,
    pub members: Vec<Member<'a>>,
    /// Trials, partial and mixed windows: counted here and nowhere else.
    pub left_out: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    pub tenants: u64,
    pub left_out: u64,
    /// Those whose quota is none or 0.
    pub tenants_without_quota: u64,
    /// `None` as soon as one tenant has no quota, and among nobody.
    pub quota_use: Option<QuotaUse>,
    pub mean_used: Option<Ratio>,
    pub median_used: Option<Ratio>,
    pub p95_linear: Option<Ratio>,
    pub p95_nearest_rank: Option<Quantity>,
    /// Tenants for whom the next plan is cheaper; `None` where there is no next plan.
    pub enterprise_candidates: Option<u64>,
    pub would_be_overage: BTreeMap<Currency, MinorSum>,
}

/// How far the tenants went into their quota. `at_80` holds those of `at_100` too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaUse {
    pub at_80: u64,
    pub at_100: u64,
    /// Each from its own [`BUCKET_STARTS`] to below the next.
    pub buckets: [u64; 5],
    /// Units above the quota, shared among the tenants of `at_100`; `None` where there are none.
    pub mean_overage: Option<Ratio>,
}

/// A total left its range, which takes usage that no ledger holds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the {what} of plan `{plan}` and meter `{meter}` cannot be added up: the total {cause}; look for an absurd usage record"
)]
pub struct MetricsError {
    pub plan: String,
    pub meter: String,
    pub what: &'static str,
    pub cause: Overflow,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overflow {
    #[error("{0}")]
    Number(#[from] NumberError),
    #[error("{0}")]
    Money(#[from] MoneyError),
}

pub fn measure(population: &Population<'_>) -> Result<Metrics, MetricsError> {
    let fail = |what| {
        move |cause| MetricsError {
            plan: population.plan.to_owned(),
            meter: population.meter.to_owned(),
            what,
            cause,
        }
    };
    let members = &population.members;
    let tenants = count(members);
    let mut ascending: Vec<Quantity> = members.iter().map(|member| member.used).collect();
    ascending.sort_unstable();
    let used = total(ascending.iter().copied()).map_err(fail("used units"))?;
    Ok(Metrics {
        tenants,
        left_out: population.left_out,
        tenants_without_quota: count(members.iter().filter(|member| quota(member).is_none())),
        quota_use: quota_use(members).map_err(fail("overage units"))?,
        mean_used: Ratio::mean(used, tenants),
        median_used: percentile::linear(&ascending, 50),
        p95_linear: percentile::linear(&ascending, 95),
        p95_nearest_rank: percentile::nearest_rank(&ascending, 95),
        enterprise_candidates: enterprise_candidates(members),
        would_be_overage: would_be_overage(members).map_err(fail("would-be overage"))?,
    })
}

impl Metrics {
    pub fn share_at_80(&self) -> Option<Ratio> {
        Ratio::of(self.quota_use.as_ref()?.at_80, self.tenants)
    }

    pub fn share_at_100(&self) -> Option<Ratio> {
        Ratio::of(self.quota_use.as_ref()?.at_100, self.tenants)
    }
}

fn quota_use(members: &[Member<'_>]) -> Result<Option<QuotaUse>, Overflow> {
    let quotas: Option<Vec<Quantity>> = members.iter().map(quota).collect();
    let Some(quotas) = quotas.filter(|quotas| !quotas.is_empty()) else {
        return Ok(None);
    };
    let mut buckets = [0; BUCKET_STARTS.len()];
    let mut overage = Vec::new();
    for (member, quota) in members.iter().zip(quotas) {
        let reached = BUCKET_STARTS.iter().rposition(|percent| has_reached(member.used, quota, *percent));
        // A tenant with a negative total, by corrections, has used nothing of the quota.
        buckets[reached.unwrap_or(0)] += 1;
        if has_reached(member.used, quota, 100) {
            overage.push(member.used.checked_sub(quota)?);
        }
    }
    let at_100 = count(&overage);
    let mean_overage = Ratio::mean(total(overage)?, at_100);
    Ok(Some(QuotaUse { at_80: buckets[3] + buckets[4], at_100, buckets, mean_overage }))
}

/// `used / quota >= percent / 100`, without a division; both sides stay below 10³³.
fn has_reached(used: Quantity, quota: Quantity, percent: u8) -> bool {
    used.scaled() * 100 >= quota.scaled() * i128::from(percent)
}

/// A quota of 0 is none: no share of it can be told.
fn quota(member: &Member<'_>) -> Option<Quantity> {
    member.quota.filter(|quota| *quota > Quantity::ZERO)
}

fn enterprise_candidates(members: &[Member<'_>]) -> Option<u64> {
    let bills = || members.iter().filter_map(|member| Some((member.own_bill, member.next_plan_bill?)));
    bills().next()?;
    Some(count(bills().filter(|(own, next)| own > next)))
}

fn would_be_overage(members: &[Member<'_>]) -> Result<BTreeMap<Currency, MinorSum>, Overflow> {
    let mut sums = BTreeMap::new();
    for amount in members.iter().map(|member| member.overage_amount) {
        let sum = sums.entry(amount.currency).or_insert(MinorSum::zero(amount.currency));
        *sum = sum.checked_add(amount)?;
    }
    Ok(sums)
}

fn total(quantities: impl IntoIterator<Item = Quantity>) -> Result<QuantitySum, Overflow> {
    let add = |sum: QuantitySum, one| sum.checked_add(one);
    quantities.into_iter().try_fold(QuantitySum::ZERO, add).map_err(Overflow::from)
}

fn count(items: impl IntoIterator) -> u64 {
    items.into_iter().fold(0, |count, _| count + 1)
}
