//! What stands at Stripe whatever the period: the catalog's prices and meters, subscriptions, renewal invoices. Read once a
//! wake, and checked before anything is sent.
//!
//! In: the wire, the catalog. Out: a [`Standing`], or a refusal that names the plan and the price. Never one call per
//! tenant: subscriptions are listed by price, invoices by time, 100 a page. What of a list is not understood is kept apart: it
//! concerns those only whose it may be.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Context as _;
use jiff::Timestamp;

use crate::domain::catalog::{Aggregation, Billing, Catalog, Meter, Plan, PlanId, PriceRef, UsagePrice};
use crate::domain::invoice::{
    Invoice, Listing, MeterFormula, PayloadKeys, StripeMeter, StripePrice, StripeSubscription,
    SubscriptionItem, Unread,
};
use crate::domain::period::Window;
use crate::domain::reconcile::{OtherFormula, Scope};
use crate::domain::tenant::Tenant;
use crate::job::Refusal;
use crate::job::checks::{Finding, PriceAtStripe, Side, Sold, check_catalog, check_items, meter_of, refusal};
use crate::job::connection::Wire;
use crate::job::seed::derived_price;
use crate::stripe::StripeError;

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
    /// Their ids, by customer.
    pub by_customer: BTreeMap<String, Vec<String>>,
    /// By id: the meters whose prices each was listed by.
    pub listed_by: BTreeMap<String, BTreeSet<String>>,
    /// Subscriptions that are not understood, or not wholly, with the meter whose price each was listed by.
    pub unread_subscriptions: Vec<(String, Unread)>,
    /// Customers that two tenants claim: nothing is sent to them.
    pub claimed_twice: BTreeSet<String>,
    /// By subscription.
    pub invoices: BTreeMap<String, Vec<Invoice>>,
    pub unread_invoices: Vec<Unread>,
    /// What is not as it should be and still no reason to stop.
    pub warnings: Vec<Finding>,
}

impl Standing {
    pub fn is_unread(&self, subscription_id: &str) -> bool {
        self.unread_subscriptions.iter().any(|(_, one)| one.id.as_deref() == Some(subscription_id))
    }

    /// Whether a subscription that was not found may be one that is not understood.
    pub fn may_be_unread(&self) -> bool {
        self.unread_subscriptions.iter().any(|(_, one)| one.id.is_none())
    }

    /// The invoice that is not understood, where a subscription's own may be it.
    pub fn unread_invoice(&self, subscription_id: &str) -> Option<&Unread> {
        let may_be = |one: &&Unread| one.subscription_id.as_deref().is_none_or(|id| id == subscription_id);
        self.unread_invoices.iter().find(may_be)
    }
}

#[derive(Debug)]
pub struct MeterAtStripe {
    pub id: String,
    pub event_name: String,
    pub payload_keys: PayloadKeys,
    pub scope: Scope,
    /// It makes another number of its events than the catalog says.
    pub other_formula: Option<OtherFormula>,
}

impl MeterAtStripe {
    /// By one of the catalog's prices, or by any other price of the meter.
    pub fn is_billed_by(&self, item: &SubscriptionItem) -> bool {
        self.scope.price_ids.contains(&item.price_id) || item.meter_id.as_deref() == Some(self.id.as_str())
    }
}

/// Which invoices are read.
#[derive(Clone, Copy, Debug)]
pub struct Invoices {
    /// The oldest instant at which one of interest can have been made.
    pub since: Timestamp,
    pub only_drafts: bool,
}

/// Reads and checks.
#[tracing::instrument(level = "debug", name = "read", skip_all)]
pub async fn read(
    wire: &Wire,
    catalog: &Catalog,
    tenants: &[Tenant],
    invoices: Option<Invoices>,
    now: Timestamp,
) -> anyhow::Result<Standing> {
    let mut standing = Standing::default();
    if catalog.plans.values().all(|plan| plan.usage.is_empty()) {
        return Ok(standing);
    }
    let (sold, meters) = sold(wire, catalog).await?;
    standing.warnings = checked(wire, &sold, &meters);
    if let Some(refusal) = refusal(&standing.warnings) {
        return Err(refusal.into());
    }
    for one in &sold {
        standing.learn(one, &meters);
    }
    read_subscriptions(wire, &mut standing).await?;
    for one in standing.subscriptions.values() {
        standing.by_customer.entry(one.customer_id.clone()).or_default().push(one.id.clone());
    }
    for subscription in standing.subscriptions.values() {
        let meters = standing.meters.iter();
        let twice = meters.filter_map(|(key, meter)| check_items(subscription, key, &meter.scope));
        standing.warnings.extend(twice);
    }
    if let Some(wanted) = invoices {
        read_invoices(wire, tenants, wanted, now, &mut standing).await?;
    }
    Ok(standing)
}

/// What the checks of the catalog find, refusals and warnings alike.
pub async fn findings(wire: &Wire, catalog: &Catalog) -> anyhow::Result<Vec<Finding>> {
    if catalog.plans.values().all(|plan| plan.usage.is_empty()) {
        return Ok(Vec::new());
    }
    let (sold, meters) = sold(wire, catalog).await?;
    Ok(checked(wire, &sold, &meters))
}

/// The usage prices of the catalog with what stands behind their names, and the meters at Stripe.
async fn sold<'a>(wire: &Wire, catalog: &'a Catalog) -> anyhow::Result<(Vec<Sold<'a>>, Vec<StripeMeter>)> {
    let meters = understood(wire.stripe.meters().await?, catalog)?;
    let mut prices = Prices { wire, read: BTreeMap::new() };
    let mut sold = Vec::new();
    for plan in catalog.plans.values() {
        for (meter, usage) in &plan.usage {
            let meter = catalog.meters.get(meter).ok_or_else(|| internal("a plan without its meter"))?;
            let shadow = price_of(usage, plan, meter, Billing::Shadow, &mut prices).await?;
            let overage = price_of(usage, plan, meter, Billing::Live, &mut prices).await?;
            sold.push(Sold { plan, meter, usage, shadow, overage });
        }
    }
    Ok((sold, meters))
}

fn checked(wire: &Wire, sold: &[Sold<'_>], meters: &[StripeMeter]) -> Vec<Finding> {
    let livemode = (!wire.account.is_sandbox()).then_some(wire.account.livemode);
    check_catalog(sold, meters, Side { push: wire.push, livemode })
}

/// A meter that is not understood is of no matter, unless it may be one of ours.
fn understood(meters: Listing<StripeMeter>, catalog: &Catalog) -> Result<Vec<StripeMeter>, StripeError> {
    let Listing { read, unread } = meters;
    let is_found = |meter: &Meter| read.iter().any(|one| one.event_name == meter.event_name);
    match unread.into_iter().next() {
        Some(unread) if !catalog.meters.values().all(is_found) => {
            let what = format!("a meter, which may be one of the catalog's: {}", unread.what);
            Err(StripeError::Undecodable { what, request_id: unread.request_id })
        }
        _ => Ok(read),
    }
}

async fn read_subscriptions(wire: &Wire, standing: &mut Standing) -> Result<(), StripeError> {
    let Standing { meters, subscriptions, listed_by, unread_subscriptions, .. } = standing;
    for (meter, at_stripe) in meters {
        for price_id in &at_stripe.scope.price_ids {
            let Listing { read, unread } = wire.stripe.subscriptions_with_price(price_id).await?;
            for subscription in read {
                listed_by.entry(subscription.id.clone()).or_default().insert(meter.clone());
                subscriptions.insert(subscription.id.clone(), subscription);
            }
            unread_subscriptions.extend(unread.into_iter().map(|one| (meter.clone(), one)));
        }
    }
    Ok(())
}

/// Only those of our tenants are read with all their lines: the account may bill others too.
async fn read_invoices(
    wire: &Wire,
    tenants: &[Tenant],
    wanted: Invoices,
    now: Timestamp,
    standing: &mut Standing,
) -> anyhow::Result<()> {
    let end = now.saturating_add(jiff::SignedDuration::from_secs(1))?;
    let created = Window { start: wanted.since, end };
    let ours: BTreeSet<&str> = tenants
        .iter()
        .flat_map(Tenant::subscriptions)
        .map(|one| one.stripe_subscription_id.as_str())
        .collect();
    let is_ours = |invoice: &Invoice| invoice.subscription_id.as_deref().is_some_and(|id| ours.contains(id));
    let Listing { read, unread } = if wanted.only_drafts {
        wire.stripe.drafts(created, is_ours).await?
    } else {
        wire.stripe.invoices(created, is_ours).await?
    };
    for invoice in read {
        if let Some(subscription_id) = invoice.subscription_id.clone() {
            standing.invoices.entry(subscription_id).or_default().push(invoice);
        }
    }
    standing.unread_invoices = unread;
    Ok(())
}

/// Each price is asked for once a wake, however many plans name it.
struct Prices<'a> {
    wire: &'a Wire,
    read: BTreeMap<PriceRef, Option<StripePrice>>,
}

impl Prices<'_> {
    async fn get(&mut self, price: &PriceRef) -> Result<Option<StripePrice>, StripeError> {
        if let Some(known) = self.read.get(price) {
            return Ok(known.clone());
        }
        let found = self.wire.stripe.price(price).await?;
        self.read.insert(price.clone(), found.clone());
        Ok(found)
    }
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
            other_formula: other_formula(sold.meter.aggregation, at_stripe),
        });
        for price in [&sold.shadow, &sold.overage].into_iter().filter_map(PriceAtStripe::found) {
            entry.scope.price_ids.insert(price.id.clone());
            entry.scope.prices.insert(price.id.clone(), price.price());
        }
    }
}

/// An application may send one event for each record, or one for each hour: a count is a sum of these too.
fn other_formula(aggregation: Aggregation, at_stripe: &StripeMeter) -> Option<OtherFormula> {
    let fits = match (aggregation, at_stripe.formula) {
        _ if at_stripe.pre_aggregates => return Some(OtherFormula(None)),
        (Aggregation::Sum | Aggregation::Count, Some(MeterFormula::Sum))
        | (Aggregation::Count, Some(MeterFormula::Count))
        | (Aggregation::Max | Aggregation::Last, Some(MeterFormula::Last)) => true,
        _ => false,
    };
    (!fits).then_some(OtherFormula(at_stripe.formula))
}

/// A price that the catalog does not name exists in the sandbox only.
async fn price_of(
    usage: &UsagePrice,
    plan: &Plan,
    meter: &Meter,
    billing: Billing,
    prices: &mut Prices<'_>,
) -> anyhow::Result<PriceAtStripe> {
    let named = match billing {
        Billing::Shadow => usage.shadow_price.as_ref(),
        Billing::Live => usage.overage_price.as_ref(),
    };
    let price = match named {
        Some(price) => price.clone(),
        None if prices.wire.account.is_sandbox() => derived_price(&plan.id, &meter.key, usage, billing),
        None => return Ok(PriceAtStripe::Unnamed),
    };
    let place = || format!("plan `{}`, meter `{}`: {price}", plan.id.key, meter.key);
    Ok(match (prices.get(&price).await.with_context(place)?, named) {
        (Some(found), _) => PriceAtStripe::Found(found),
        (None, Some(_)) => match prices.wire.stripe.archived_price(&price).await.with_context(place)? {
            Some(id) => PriceAtStripe::Archived(price, id),
            None => PriceAtStripe::Missing(price),
        },
        (None, None) => PriceAtStripe::Unnamed,
    })
}
