//! What a period says about the use of one meter by the tenants of one plan.
//!
//! In: a [`Population`], one member per tenant and whole window, zero usage included. Out: [`Metrics`], exact. Never a
//! number about nobody (`None` is printed as n/a), never a sum across currencies, never a rounding.

use std::collections::{BTreeMap, BTreeSet};

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
    pub p90_linear: Option<Ratio>,
    pub p90_nearest_rank: Option<Quantity>,
    pub p95_linear: Option<Ratio>,
    pub p95_nearest_rank: Option<Quantity>,
    /// Tenants for whom the next plan is cheaper; `None` where there is no next plan.
    pub enterprise_candidates: Option<u64>,
    /// What the candidates would save together; a currency for each that the tenants pay in.
    pub enterprise_savings: BTreeMap<Currency, MinorSum>,
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
        p90_linear: percentile::linear(&ascending, 90),
        p90_nearest_rank: percentile::nearest_rank(&ascending, 90),
        p95_linear: percentile::linear(&ascending, 95),
        p95_nearest_rank: percentile::nearest_rank(&ascending, 95),
        enterprise_candidates: enterprise_candidates(members),
        enterprise_savings: enterprise_savings(members).map_err(fail("savings on the next plan"))?,
        would_be_overage: would_be_overage(members).map_err(fail("would-be overage"))?,
    })
}

/// The tenants of one plan in all its populations, and those of them that used up a quota.
pub fn at_a_quota(populations: &[&Population<'_>]) -> (u64, u64) {
    let members = || populations.iter().flat_map(|population| &population.members);
    let all: BTreeSet<&str> = members().map(|member| member.tenant_id).collect();
    let is_at =
        |member: &&Member<'_>| quota(member).is_some_and(|quota| has_reached(member.used, quota, 100));
    let reached: BTreeSet<&str> = members().filter(is_at).map(|member| member.tenant_id).collect();
    (reached.len() as u64, all.len() as u64)
}

impl Metrics {
    pub fn enterprise_candidate_share(&self) -> Option<Ratio> {
        Ratio::of(self.enterprise_candidates?, self.tenants)
    }

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

/// Only where there is a next plan.
fn enterprise_savings(members: &[Member<'_>]) -> Result<BTreeMap<Currency, MinorSum>, Overflow> {
    let mut sums = BTreeMap::new();
    for (member, next) in members.iter().filter_map(|member| Some((member, member.next_plan_bill?))) {
        let currency = member.overage_amount.currency;
        let saved = MinorSum { minor: (member.own_bill - next).max(0), currency };
        let sum = sums.entry(currency).or_insert(MinorSum::zero(currency));
        *sum = sum.checked_add(saved)?;
    }
    Ok(sums)
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member<'a>(used: &str, quota: Option<&str>) -> Member<'a> {
        let quota = quota.map(|text| Quantity::parse(text).unwrap());
        let used = Quantity::parse(used).unwrap();
        let overage_amount = MinorAmount::new(0, Currency::parse("try").unwrap());
        Member { tenant_id: "t", quota, used, overage_amount, own_bill: 0, next_plan_bill: None }
    }

    fn measured(members: Vec<Member<'_>>) -> Metrics {
        measure(&Population { plan: "pro", meter: "m", members, left_out: 0 }).unwrap()
    }

    fn of_units(units: &[&str], quota: &str) -> Metrics {
        measured(units.iter().map(|used| member(used, Some(quota))).collect())
    }

    fn shown(ratio: Option<Ratio>) -> String {
        ratio.map_or("n/a".to_owned(), |ratio| ratio.to_string())
    }

    #[test]
    fn a_tenant_exactly_at_a_share_of_the_quota_has_reached_it() {
        let below = "79.999999999999 99.999999999999".split(' ').collect::<Vec<_>>();
        let use_below = of_units(&below, "100").quota_use.unwrap();
        assert_eq!((use_below.at_80, use_below.at_100), (1, 0));
        let metrics = of_units(&["80", "100", "101", "0"], "100");
        assert_eq!(
            (shown(metrics.share_at_80()), shown(metrics.share_at_100())),
            ("0.75".into(), "0.5".into())
        );
    }

    #[test]
    fn every_tenant_falls_into_one_bucket_and_an_edge_opens_the_upper_one() {
        let units =
            ["-5", "0", "19.999999999999", "20", "49", "50", "79", "80", "99.999999999999", "100", "900"];
        assert_eq!(of_units(&units, "100").quota_use.unwrap().buckets, [3, 2, 2, 2, 2]);
    }

    #[test]
    fn the_mean_counts_tenants_without_usage() {
        let metrics = of_units(&["0", "0", "0", "10"], "100");
        assert_eq!((metrics.tenants, shown(metrics.mean_used)), (4, "2.5".into()));
        assert_eq!(
            (shown(metrics.median_used), shown(of_units(&["1", "1", "2"], "9").mean_used)),
            ("0".into(), "1.333333".into())
        );
    }

    #[test]
    fn the_overage_of_the_exceeded_is_shared_among_them_alone() {
        let quota_use = of_units(&["0", "50", "100", "130"], "100").quota_use.unwrap();
        assert_eq!((quota_use.at_100, shown(quota_use.mean_overage)), (2, "15".into()));
        assert_eq!(of_units(&["0", "50"], "100").quota_use.unwrap().mean_overage, None);
    }

    #[test]
    fn each_tenant_is_held_against_its_own_quota() {
        let metrics = measured(vec![member("1000", Some("1200")), member("100", Some("100"))]);
        let quota_use = metrics.quota_use.unwrap();
        assert_eq!((quota_use.at_80, quota_use.at_100), (2, 1));
    }

    #[test]
    fn one_tenant_with_no_quota_or_a_quota_of_0_makes_the_shares_unknown_but_not_the_mean() {
        for quota in [None, Some("0")] {
            let metrics = measured(vec![member("30", Some("100")), member("10", quota)]);
            assert_eq!((metrics.tenants_without_quota, metrics.quota_use.clone()), (1, None));
            assert_eq!((metrics.share_at_80(), metrics.share_at_100()), (None, None));
            assert_eq!(shown(metrics.mean_used), "20");
        }
    }

    #[test]
    fn nobody_has_counts_of_0_and_no_shares_means_or_percentiles() {
        let metrics = measured(Vec::new());
        assert_eq!((metrics.tenants, metrics.tenants_without_quota), (0, 0));
        assert_eq!((&metrics.quota_use, metrics.enterprise_candidates), (&None, None));
        assert_eq!((metrics.mean_used, metrics.median_used, metrics.p95_linear), (None, None, None));
        assert_eq!((metrics.p95_nearest_rank, metrics.would_be_overage.len()), (None, 0));
    }

    #[test]
    fn one_tenant_alone_is_every_mean_and_percentile() {
        let metrics = of_units(&["130"], "100");
        for value in [metrics.mean_used, metrics.median_used, metrics.p90_linear, metrics.p95_linear] {
            assert_eq!(shown(value), "130");
        }
        assert_eq!(
            (metrics.p90_nearest_rank, metrics.p95_nearest_rank),
            (metrics.p95_nearest_rank, Quantity::whole(130).ok())
        );
        assert_eq!((shown(metrics.share_at_80()), shown(metrics.share_at_100())), ("1".into(), "1".into()));
        assert_eq!(shown(metrics.quota_use.unwrap().mean_overage), "30");
    }

    #[test]
    fn tenants_that_all_used_nothing_have_shares_and_means_of_0() {
        let metrics = of_units(&["0", "0", "0"], "100");
        for value in [metrics.share_at_80(), metrics.share_at_100(), metrics.mean_used, metrics.p95_linear] {
            assert_eq!(shown(value), "0");
        }
        let quota_use = metrics.quota_use.unwrap();
        assert_eq!((quota_use.buckets, quota_use.mean_overage), ([3, 0, 0, 0, 0], None));
    }

    /// A tenant with two meters is one tenant of its plan.
    #[test]
    fn a_tenant_at_any_of_its_quotas_is_counted_once() {
        let with = |tenant_id, used| Member { tenant_id, ..member(used, Some("100")) };
        let calls = vec![with("a", "100"), with("b", "99"), with("c", "0")];
        let storage = vec![with("a", "500"), with("b", "100"), Member { quota: None, ..with("d", "9") }];
        let [calls, storage] =
            [calls, storage].map(|members| Population { plan: "pro", meter: "m", members, left_out: 0 });
        assert_eq!(at_a_quota(&[&calls, &storage]), (2, 4));
        assert_eq!(at_a_quota(&[&calls]), (1, 3));
        assert_eq!(at_a_quota(&[]), (0, 0));
    }

    #[test]
    fn a_candidate_for_the_next_plan_pays_less_there_and_not_just_as_much() {
        let bill = |own_bill, next_plan_bill| Member { own_bill, next_plan_bill, ..member("1", Some("1")) };
        let bills = [(101, Some(100)), (100, Some(100)), (99, Some(100)), (1_000, None)];
        let metrics = measured(bills.into_iter().map(|(own, next)| bill(own, next)).collect());
        assert_eq!(metrics.enterprise_candidates, Some(1));
        assert_eq!(measured(vec![bill(9, None)]).enterprise_candidates, None);
        assert_eq!(measured(vec![bill(9, Some(9))]).enterprise_candidates, Some(0));
    }

    #[test]
    fn would_be_overage_is_never_added_across_currencies() {
        let amounts = [(21_000, "try"), (500, "usd"), (700, "try"), (0, "eur")];
        let owing = |(minor, code)| Member {
            overage_amount: MinorAmount::new(minor, Currency::parse(code).unwrap()),
            ..member("1", Some("1"))
        };
        let sums = measured(amounts.into_iter().map(owing).collect()).would_be_overage;
        let shown: Vec<(String, i128)> =
            sums.values().map(|sum| (sum.currency.to_string(), sum.minor)).collect();
        assert_eq!(shown, [("eur".into(), 0), ("try".into(), 21_700), ("usd".into(), 500)]);
    }

    #[test]
    fn the_percentiles_are_of_the_used_units_in_both_definitions() {
        let metrics = of_units(&["140", "5", "101", "12", "95", "20", "77", "33", "58", "41"], "100");
        assert_eq!(shown(metrics.p95_linear), "122.45");
        assert_eq!(metrics.p95_nearest_rank.unwrap().to_string(), "140");
        assert_eq!(shown(metrics.median_used), "49.5");
    }

    fn in_ten_thousandths(units: u32) -> Quantity {
        Quantity::parse(&format!("{}.{:04}", units / 10_000, units % 10_000)).unwrap()
    }

    proptest! {
        #[test]
        fn the_order_of_the_tenants_changes_nothing(
            units in prop::collection::vec(0u32..3_000_000, 1..40), seed in prop::collection::vec(0usize..1000, 40),
        ) {
            let member_of = |units: &u32| Member { used: in_ten_thousandths(*units), ..member("0", Some("100")) };
            let ordered: Vec<Member<'_>> = units.iter().map(member_of).collect();
            let mut shuffled = ordered.clone();
            for (index, other) in seed.iter().enumerate().take(units.len()) {
                shuffled.swap(index, other % units.len());
            }
            prop_assert_eq!(measured(ordered), measured(shuffled));
        }

        #[test]
        fn more_usage_never_lowers_a_share_mean_or_percentile(
            units in prop::collection::vec(0u32..3_000_000, 1..40), who in 0usize..40, more in 1u32..3_000_000,
        ) {
            let member_of = |units: &u32| Member { used: in_ten_thousandths(*units), ..member("0", Some("100")) };
            let before = measured(units.iter().map(member_of).collect());
            let mut units = units;
            let who = who % units.len();
            units[who] += more;
            let after = measured(units.iter().map(member_of).collect());
            prop_assert!(before.share_at_80() <= after.share_at_80());
            prop_assert!(before.share_at_100() <= after.share_at_100());
            prop_assert!(after.share_at_100() <= after.share_at_80() && after.share_at_80() <= Some(Ratio::whole(1)));
            prop_assert!(before.mean_used < after.mean_used);
            prop_assert!(before.p95_linear <= after.p95_linear && before.p95_nearest_rank <= after.p95_nearest_rank);
            prop_assert_eq!(after.quota_use.unwrap().buckets.iter().sum::<u64>(), after.tenants);
        }
    }
}
