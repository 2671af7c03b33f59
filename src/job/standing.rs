//! What stands at Stripe whatever the period: the catalog's prices and meters, subscriptions, renewal invoices. Read once a
//! wake, and checked before anything is sent.
//!
//! In: the wire, the catalog. Out: a [`Standing`], or a refusal that names the plan and the price. Never one call per
//! tenant: subscriptions are listed by price, invoices by time, 100 a page.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::domain::catalog::PlanId;
use crate::domain::catalog::{Billing, Catalog, Meter, Plan, UsagePrice};
use crate::domain::invoice::{Invoice, PayloadKeys, StripeMeter, StripePrice, StripeSubscription};
use crate::domain::period::Window;
use crate::domain::reconcile::Scope;
use crate::job::Refusal;
use crate::job::checks::{check_price, check_quota, check_shadow, find_meter, unnamed};
use crate::job::connection::Wire;
use crate::job::seed::derived_price;

/// What was read.
#[derive(Debug, Default)]
pub struct Standing {
    /// The id of the price in force, by plan and meter.
    pub in_force: BTreeMap<(PlanId, String), String>,
    /// By our meter key.
    pub meters: BTreeMap<String, MeterAtStripe>,
    /// By id.
    pub subscriptions: BTreeMap<String, StripeSubscription>,
    /// Customers that two tenants claim: nothing is sent to them.
    pub claimed_twice: BTreeSet<String>,
    /// By subscription.
    pub invoices: BTreeMap<String, Vec<Invoice>>,
}

#[derive(Debug)]
pub struct MeterAtStripe {
    pub id: String,
    pub event_name: String,
    pub payload_keys: PayloadKeys,
    pub scope: Scope,
}

/// Reads and checks. `since` is the oldest instant at which an invoice of interest can have been made.
pub async fn read(
    wire: &Wire,
    catalog: &Catalog,
    since: Option<Timestamp>,
    now: Timestamp,
) -> anyhow::Result<Standing> {
    let mut standing = Standing::default();
    if catalog.plans.values().all(|plan| plan.usage.is_empty()) {
        return Ok(standing);
    }
    let meters = wire.stripe.meters().await?;
    for plan in catalog.plans.values() {
        for (meter, usage) in &plan.usage {
            let meter = catalog.meters.get(meter).ok_or_else(|| internal("a plan without its meter"))?;
            read_usage_price(plan, meter, usage, &meters, wire, &mut standing).await?;
        }
    }
    for price_id in standing.meters.values().flat_map(|meter| &meter.scope.price_ids) {
        for subscription in wire.stripe.subscriptions_with_price(price_id).await? {
            standing.subscriptions.insert(subscription.id.clone(), subscription);
        }
    }
    if let Some(since) = since {
        let created = Window { start: since, end: now.saturating_add(jiff::SignedDuration::from_secs(1))? };
        for invoice in wire.stripe.invoices(created).await? {
            if let Some(subscription_id) = invoice.subscription_id.clone() {
                standing.invoices.entry(subscription_id).or_default().push(invoice);
            }
        }
    }
    Ok(standing)
}

fn internal(text: &str) -> Refusal {
    Refusal::Configuration(format!("the catalog is damaged: {text}; import it again"))
}

async fn read_usage_price(
    plan: &Plan,
    meter: &Meter,
    usage: &UsagePrice,
    meters: &[StripeMeter],
    wire: &Wire,
    standing: &mut Standing,
) -> anyhow::Result<()> {
    let place = format!("plan `{}`, meter `{}`", plan.id.key, meter.key);
    let at_stripe = find_meter(meter, meters, wire.push, &place)?;
    let shadow = price_of(usage, plan, meter, Billing::Shadow, wire, &place).await?;
    let overage = price_of(usage, plan, meter, Billing::Live, wire, &place).await?;
    for price in [&shadow, &overage].into_iter().flatten() {
        check_price(price, plan, at_stripe, &place)?;
    }
    let in_force = match usage.billing {
        Billing::Shadow => check_shadow(shadow.as_ref(), &place)?,
        Billing::Live => overage.as_ref().ok_or_else(|| unnamed(&place, "overage_price_id"))?,
    };
    check_quota(usage, overage.as_ref(), &place)?;
    standing.in_force.insert((plan.id.clone(), meter.key.clone()), in_force.id.clone());
    let entry = standing.meters.entry(meter.key.clone()).or_insert_with(|| MeterAtStripe {
        id: at_stripe.id.clone(),
        event_name: at_stripe.event_name.clone(),
        payload_keys: at_stripe.payload_keys.clone(),
        scope: Scope::default(),
    });
    entry.scope.price_ids.extend([shadow, overage].into_iter().flatten().map(|price| price.id));
    Ok(())
}

/// A price that the catalog names must exist; one that it does not name exists in the sandbox only.
async fn price_of(
    usage: &UsagePrice,
    plan: &Plan,
    meter: &Meter,
    billing: Billing,
    wire: &Wire,
    place: &str,
) -> anyhow::Result<Option<StripePrice>> {
    let named = match billing {
        Billing::Shadow => usage.shadow_price.as_ref(),
        Billing::Live => usage.overage_price.as_ref(),
    };
    let price = match named {
        Some(price) => price.clone(),
        None if wire.account.is_sandbox() => derived_price(&plan.id, &meter.key, usage, billing),
        None => return Ok(None),
    };
    let found = wire.stripe.price(&price).await?;
    match (found, named) {
        (None, Some(_)) => Err(Refusal::Configuration(format!("{place}: Stripe has no {price}")).into()),
        (found, _) => Ok(found),
    }
}
