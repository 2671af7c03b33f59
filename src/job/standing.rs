//! What stands at Stripe whatever the period: the catalog's prices and meters, subscriptions, renewal invoices. Read once a
//! wake, and checked before anything is sent.
//!
//! In: the wire, the catalog. Out: a [`Standing`], or a refusal that names the plan and the price. Never one call per
//! tenant: subscriptions are listed by price, invoices by time, 100 a page.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::domain::catalog::PlanId;
use crate::domain::catalog::{Billing, Catalog, Meter, Plan, UsagePrice};
use crate::domain::invoice::{Invoice, PayloadKeys, StripeMeter, StripeSubscription};
use crate::domain::period::Window;
use crate::domain::reconcile::Scope;
use crate::job::Refusal;
use crate::job::checks::{Finding, PriceAtStripe, Side, Sold, check_catalog, check_items, meter_of, refusal};
use crate::job::connection::Wire;
use crate::job::seed::derived_price;

/// What was read.
#[derive(Debug, Default)]
pub struct Standing {
    /// The id of the price in force, by plan and meter.
    pub in_force: BTreeMap<(PlanId, String), String>,
    /// The id of the price that is to be charged later, by plan and meter, where another one is in force.
    pub candidates: BTreeMap<(PlanId, String), String>,
    /// By our meter key.
    pub meters: BTreeMap<String, MeterAtStripe>,
    /// By id.
    pub subscriptions: BTreeMap<String, StripeSubscription>,
    /// Customers that two tenants claim: nothing is sent to them.
    pub claimed_twice: BTreeSet<String>,
    /// By subscription.
    pub invoices: BTreeMap<String, Vec<Invoice>>,
    /// What is not as it should be and still no reason to stop.
    pub warnings: Vec<Finding>,
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
    let mut sold = Vec::new();
    for plan in catalog.plans.values() {
        for (meter, usage) in &plan.usage {
            let meter = catalog.meters.get(meter).ok_or_else(|| internal("a plan without its meter"))?;
            let shadow = price_of(usage, plan, meter, Billing::Shadow, wire).await?;
            let overage = price_of(usage, plan, meter, Billing::Live, wire).await?;
            sold.push(Sold { plan, meter, usage, shadow, overage });
        }
    }
    let livemode = (!wire.account.is_sandbox()).then_some(wire.account.livemode);
    standing.warnings = check_catalog(&sold, &meters, Side { push: wire.push, livemode });
    if let Some(refusal) = refusal(&standing.warnings) {
        return Err(refusal.into());
    }
    for one in &sold {
        standing.learn(one, &meters);
    }
    for price_id in standing.meters.values().flat_map(|meter| &meter.scope.price_ids) {
        for subscription in wire.stripe.subscriptions_with_price(price_id).await? {
            standing.subscriptions.insert(subscription.id.clone(), subscription);
        }
    }
    for subscription in standing.subscriptions.values() {
        let meters = standing.meters.iter();
        let twice = meters.filter_map(|(key, meter)| check_items(subscription, key, &meter.scope));
        standing.warnings.extend(twice);
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

impl Standing {
    /// Where a price and its meter stand, once they have been checked.
    fn learn(&mut self, sold: &Sold<'_>, meters: &[StripeMeter]) {
        let key = (sold.plan.id.clone(), sold.meter.key.clone());
        let id = |price: &PriceAtStripe| price.found().map(|price| price.id.clone());
        let (shadow, overage) = (id(&sold.shadow), id(&sold.overage));
        let (in_force, candidate) = match sold.usage.billing {
            Billing::Shadow => (shadow.clone(), overage.clone()),
            Billing::Live => (overage.clone(), None),
        };
        self.in_force.extend(in_force.map(|id| (key.clone(), id)));
        self.candidates.extend(candidate.map(|id| (key, id)));
        let Some(at_stripe) = meter_of(sold.meter, meters) else { return };
        let entry = self.meters.entry(sold.meter.key.clone()).or_insert_with(|| MeterAtStripe {
            id: at_stripe.id.clone(),
            event_name: at_stripe.event_name.clone(),
            payload_keys: at_stripe.payload_keys.clone(),
            scope: Scope::default(),
        });
        entry.scope.price_ids.extend([shadow, overage].into_iter().flatten());
    }
}

/// A price that the catalog does not name exists in the sandbox only.
async fn price_of(
    usage: &UsagePrice,
    plan: &Plan,
    meter: &Meter,
    billing: Billing,
    wire: &Wire,
) -> anyhow::Result<PriceAtStripe> {
    let named = match billing {
        Billing::Shadow => usage.shadow_price.as_ref(),
        Billing::Live => usage.overage_price.as_ref(),
    };
    let price = match named {
        Some(price) => price.clone(),
        None if wire.account.is_sandbox() => derived_price(&plan.id, &meter.key, usage, billing),
        None => return Ok(PriceAtStripe::Unnamed),
    };
    Ok(match (wire.stripe.price(&price).await?, named) {
        (Some(found), _) => PriceAtStripe::Found(found),
        (None, Some(_)) => PriceAtStripe::Missing(price),
        (None, None) => PriceAtStripe::Unnamed,
    })
}
