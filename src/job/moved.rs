//! Lookup keys that seem to have moved: subscriptions that still have the price that a key named before.
//!
//! In: tenants, the catalog, what stands at Stripe. Out: one finding for each plan and meter. Pure. Which price a
//! subscription has instead is not asked: it was not found by any price of the catalog, and its tenant is parked.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::catalog::{Billing, Catalog, PriceRef, UsagePrice};
use crate::domain::tenant::Tenant;
use crate::job::checks::{CheckName, Finding, Severity};
use crate::job::standing::Standing;

pub fn moved_keys(
    tenants: &[Tenant],
    catalog: &Catalog,
    standing: &Standing,
    now: Timestamp,
) -> Vec<Finding> {
    // By plan and meter: how many, and the first.
    let mut strays: BTreeMap<_, (u64, &str)> = BTreeMap::new();
    let rows = tenants.iter().flat_map(Tenant::subscriptions);
    for row in rows.filter(|row| row.span().contains(now) && row.status.is_invoiced()) {
        let id = row.stripe_subscription_id.as_str();
        let is_there = id.is_empty() || standing.subscriptions.contains_key(id) || standing.is_unread(id);
        let plan = catalog.plans.get(&row.plan).filter(|_| !is_there);
        for (meter, usage) in plan.into_iter().flat_map(|plan| &plan.usage) {
            if key_in_force(usage).is_some() {
                strays.entry((&row.plan, meter)).or_insert((0, id)).0 += 1;
            }
        }
    }
    let finding = |((plan, meter), (count, first)): ((_, &String), (u64, &str))| {
        let plan: &crate::domain::catalog::PlanId = plan;
        let key = key_in_force(catalog.plans.get(plan)?.usage.get(meter)?)?;
        let price_id = standing.in_force.get(&(plan.clone(), meter.clone()))?;
        let text = format!(
            "the lookup key `{key}` names `{price_id}` now, and {count} subscriptions (the first: {first}) have no price \
             of the catalog: if the key was moved, change them over to `{price_id}`, or name their price by its id"
        );
        let place = format!("plan `{}`, meter `{meter}`", plan.key);
        Some(Finding { severity: Severity::Warn, check: CheckName::PriceExists, place, text })
    };
    strays.into_iter().filter_map(finding).collect()
}

fn key_in_force(usage: &UsagePrice) -> Option<&str> {
    let price = match usage.billing {
        Billing::Shadow => usage.shadow_price.as_ref(),
        Billing::Live => usage.overage_price.as_ref(),
    };
    match price? {
        PriceRef::LookupKey(key) => Some(key),
        PriceRef::Id(_) => None,
    }
}
