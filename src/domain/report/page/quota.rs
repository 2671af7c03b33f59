//! How far each tenant went into its quota, and how many tenants went how far.
//!
//! In: the windows of a report with their lines, and the rows of its decision. Out: the shares, the highest first, and the
//! buckets of those that are counted.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use crate::domain::catalog::PlanId;
use crate::domain::decide::DecisionRow;
use crate::domain::metric::Metric;
use crate::domain::number::Quantity;
use crate::domain::ratio::Ratio;
use crate::domain::report::Report;

/// What a tenant used of a quota in a window, or in a part of it on one plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuotaUse<'a> {
    pub tenant_id: &'a str,
    pub tenant_name: &'a str,
    pub plan: &'a PlanId,
    pub meter: &'a str,
    pub used: Quantity,
    pub quota: Quantity,
    pub share: Ratio,
}

/// Counted tenants of a plan and meter by their share of the quota: from 0, 20, 50, 80 and 100 percent on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Buckets<'a> {
    pub plan: &'a str,
    pub meter: &'a str,
    pub tenants: [u64; 5],
}

impl Report {
    /// The highest share first; what is parked, a trial, or without a quota has none.
    pub fn quota_use(&self) -> Vec<QuotaUse<'_>> {
        let mut all = Vec::new();
        for window in &self.windows {
            let mut seen = BTreeSet::new();
            for line in &window.lines {
                let Some(quota) = line.free_quota.filter(|quota| *quota > Quantity::ZERO) else { continue };
                // A meter has a line for each tier.
                if !seen.insert((line.range, &line.meter)) {
                    continue;
                }
                let used = window.billable(line.range, &line.meter);
                let used = used.and_then(|usage| usage.used().to_quantity().ok()).unwrap_or_default();
                all.extend(Ratio::share(used, quota).map(|share| QuotaUse {
                    tenant_id: &window.tenant_id,
                    tenant_name: &window.tenant_name,
                    plan: &line.plan,
                    meter: &line.meter,
                    used,
                    quota,
                    share,
                }));
            }
        }
        // Sorting is stable, and the windows have an order.
        all.sort_by_key(|one| Reverse(one.share));
        all
    }

    /// As `decision.csv` has them; none where nobody is counted, or somebody has no quota.
    pub fn buckets(&self) -> Vec<Buckets<'_>> {
        let pairs: BTreeSet<(&str, &str)> =
            self.decision.iter().map(|row| (row.plan.as_str(), row.meter.as_str())).collect();
        let value = |(plan, meter): (&str, &str), metric: Metric| {
            let is_it =
                |row: &&DecisionRow| row.plan == plan && row.meter == meter && row.metric == metric.as_str();
            self.decision.iter().find(is_it)?.value.parse::<u64>().ok()
        };
        let of_pair = |pair @ (plan, meter)| {
            let tenants = [
                value(pair, Metric::TenantsFrom0)?,
                value(pair, Metric::TenantsFrom20)?,
                value(pair, Metric::TenantsFrom50)?,
                value(pair, Metric::TenantsFrom80)?,
                value(pair, Metric::TenantsFrom100)?,
            ];
            Some(Buckets { plan, meter, tenants })
        };
        pairs.into_iter().filter_map(of_pair).collect()
    }
}
