//! What the embedded sandbox is to know before anybody asks it: the catalog's meters and prices, the tenants' customers
//! and subscriptions.
//!
//! In: catalog, tenants, `now`. Out: a [`Seed`] of plain texts. The sandbox computes with its own numbers, so nothing but
//! text goes in. Never asked for with a real account.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::domain::audit::sha256_hex;
use crate::domain::catalog::{Billing, Catalog, Plan, PlanId, PriceRef, UsagePrice};
use crate::domain::number::Round;
use crate::domain::period::Period;
use crate::domain::price::{Price, Tier};
use crate::domain::tenant::{Subscription, Tenant};
use crate::job::Settings;
use crate::sandbox::{
    Seed, SeedCustomer, SeedFormula, SeedMeter, SeedPrice, SeedScheme, SeedSubscription, SeedTier,
};

/// How far back calendar windows are laid out for a tenant that has been there since ever.
const MONTHS_BACK: usize = 13;

pub fn seed(catalog: &Catalog, tenants: &[Tenant], settings: &Settings, now: Timestamp) -> Seed {
    let meters = catalog
        .meters
        .values()
        .map(|meter| SeedMeter {
            key: meter.key.clone(),
            event_name: meter.event_name.clone(),
            formula: if meter.aggregation.is_gauge() { SeedFormula::Last } else { SeedFormula::Sum },
        })
        .collect();
    let mapped: Vec<Mapped<'_>> = tenants.iter().flat_map(|tenant| mapped(tenant, now)).collect();
    let customers: BTreeMap<&str, &Subscription> =
        mapped.iter().map(|one| (one.current.stripe_customer_id.as_str(), one.current)).collect();
    let subscriptions = mapped.iter().filter_map(|one| subscription(one, catalog, settings, now)).collect();
    Seed {
        meters,
        prices: catalog.plans.values().flat_map(|plan| prices(plan, catalog)).collect(),
        customers: customers
            .into_iter()
            .map(|(id, one)| SeedCustomer { id: id.to_owned(), name: one.name.clone() })
            .collect(),
        subscriptions,
    }
}

/// The price that the catalog means where it names none: the sandbox has one of this id. A price never changes, so the
/// id of one that charges says what it charges.
pub fn derived_price(plan: &PlanId, meter: &str, usage: &UsagePrice, billing: Billing) -> PriceRef {
    let (prefix, charges) = match billing {
        Billing::Shadow => ("price_shadow", String::new()),
        Billing::Live => ("price_overage", usage.at_stripe().to_string()),
    };
    let parts = [&plan.key, plan.interval.as_str(), plan.currency.code(), meter];
    PriceRef::Id(id_of(prefix, &parts, &charges))
}

/// An id of Stripe's alphabet. What other letters are lost, and what it charges, is in the hash, so that no two prices
/// share one.
fn id_of(prefix: &str, parts: &[&str], charges: &str) -> String {
    let plain = |one: char| if one.is_ascii_alphanumeric() { one } else { '_' };
    let words: String = parts.iter().flat_map(|part| "_".chars().chain(part.chars().map(plain))).collect();
    let hash = sha256_hex(format!("{}\n{charges}", parts.join("\n")).as_bytes());
    format!("{prefix}{}_{}", words.chars().take(64).collect::<String>(), &hash[..8])
}

/// A subscription at Stripe, and the rows of the tenant that speak of it: more than one where the plan has changed.
struct Mapped<'a> {
    rows: Vec<&'a Subscription>,
    /// The row that holds now: the newest that has begun.
    current: &'a Subscription,
}

fn mapped<'a>(tenant: &'a Tenant, now: Timestamp) -> Vec<Mapped<'a>> {
    let mut by_id: BTreeMap<&str, Vec<&'a Subscription>> = BTreeMap::new();
    let has_ids =
        |one: &&Subscription| !one.stripe_customer_id.is_empty() && !one.stripe_subscription_id.is_empty();
    for one in tenant.subscriptions().iter().filter(has_ids) {
        by_id.entry(&one.stripe_subscription_id).or_default().push(one);
    }
    let with_current = |rows: Vec<&'a Subscription>| {
        let begun = rows.iter().rfind(|one| one.started_at.is_none_or(|start| start <= now));
        let current = *begun.or(rows.first())?;
        Some(Mapped { rows, current })
    };
    by_id.into_values().filter_map(with_current).collect()
}

fn base_price_id(plan: &Plan) -> String {
    let id = &plan.id;
    id_of("price_base", &[&id.key, id.interval.as_str(), id.currency.code()], &plan.amount_minor.to_string())
}

fn prices(plan: &Plan, catalog: &Catalog) -> Vec<SeedPrice> {
    let zero = || SeedScheme::PerUnit { unit_amount_decimal: "0".to_owned(), transform: None };
    let mut prices = vec![SeedPrice {
        id: base_price_id(plan),
        lookup_key: None,
        currency: plan.id.currency.code().to_owned(),
        interval: plan.id.interval.as_str().to_owned(),
        meter: None,
        scheme: SeedScheme::PerUnit { unit_amount_decimal: plan.amount_minor.to_string(), transform: None },
    }];
    for (meter, usage) in &plan.usage {
        for (billing, named) in
            [(Billing::Shadow, &usage.shadow_price), (Billing::Live, &usage.overage_price)]
        {
            let scheme = if billing == Billing::Shadow { zero() } else { scheme(usage) };
            let named = named.clone().unwrap_or_else(|| derived_price(&plan.id, meter, usage, billing));
            let (id, lookup_key) = seed_ids(&plan.id, meter, usage, billing, named);
            prices.push(SeedPrice {
                id,
                lookup_key,
                currency: plan.id.currency.code().to_owned(),
                interval: plan.id.interval.as_str().to_owned(),
                meter: catalog.meters.get(meter).map(|meter| meter.event_name.clone()),
                scheme,
            });
        }
    }
    prices
}

fn seed_ids(
    plan: &PlanId,
    meter: &str,
    usage: &UsagePrice,
    billing: Billing,
    named: PriceRef,
) -> (String, Option<String>) {
    match named {
        PriceRef::Id(id) => (id, None),
        PriceRef::LookupKey(key) => match derived_price(plan, meter, usage, billing) {
            PriceRef::Id(id) | PriceRef::LookupKey(id) => (id, Some(key)),
        },
    }
}

/// What Stripe is to charge by when the usage goes live.
fn scheme(usage: &UsagePrice) -> SeedScheme {
    let tiers = |tiers: &[Tier]| tiers.iter().map(tier).collect();
    match usage.at_stripe() {
        Price::PerUnit { unit_amount, transform } => SeedScheme::PerUnit {
            unit_amount_decimal: unit_amount.to_string(),
            transform: transform.map(|one| (one.divide_by, one.round == Round::Up)),
        },
        Price::Graduated(all) => SeedScheme::Graduated(tiers(&all)),
        Price::Volume(all) => SeedScheme::Volume(tiers(&all)),
    }
}

fn tier(tier: &Tier) -> SeedTier {
    SeedTier {
        up_to: tier.up_to.map(|up_to| up_to.to_string()),
        unit_amount_decimal: tier.unit_amount.to_string(),
        flat_amount_decimal: tier.flat_amount.map(|fee| fee.to_string()),
    }
}

/// As it is now: prices and cycle of the current row, from the first row's start to the last one's end. A plan that the
/// catalog lacks has no prices, so none is made.
fn subscription(
    mapped: &Mapped<'_>,
    catalog: &Catalog,
    settings: &Settings,
    now: Timestamp,
) -> Option<SeedSubscription> {
    let current = mapped.current;
    let plan = catalog.plans.get(&current.plan)?;
    let in_force = plan.usage.iter().map(|(meter, usage)| {
        let named = usage.price_in_force().cloned();
        let named = named.unwrap_or_else(|| derived_price(&plan.id, meter, usage, usage.billing));
        seed_ids(&plan.id, meter, usage, usage.billing, named).0
    });
    let prices: Vec<String> = std::iter::once(base_price_id(plan)).chain(in_force).collect();
    // After a trial the anchor is its end, for calendar tenants too.
    let trial_end = current.trial_end.or(mapped.rows.iter().rev().find_map(|one| one.trial_end));
    let windows = if trial_end.is_some() { Vec::new() } else { calendar_windows(mapped, settings, now) };
    let first_window = windows.first().map(|window| window.0);
    let first = mapped.rows.first().and_then(|one| one.started_at);
    let anchor = current.trial_end.or(current.billing_anchor).or(trial_end);
    let started_at = first.or(first_window).or(anchor)?;
    Some(SeedSubscription {
        id: current.stripe_subscription_id.clone(),
        customer: current.stripe_customer_id.clone(),
        prices,
        interval: current.plan.interval.as_str().to_owned(),
        anchor: anchor.unwrap_or(started_at),
        started_at,
        ended_at: mapped.rows.last().and_then(|one| one.ended_at),
        trial_end,
        status: current.status.as_str().to_owned(),
        past_statuses: past_statuses(mapped, now),
        windows,
    })
}

/// What it was before each row that has begun, and until when.
fn past_statuses(mapped: &Mapped<'_>, now: Timestamp) -> Vec<(String, Timestamp)> {
    let changes = mapped.rows.iter().zip(mapped.rows.iter().skip(1));
    let past = |(old, new): (&&Subscription, &&Subscription)| {
        let until = new.started_at.filter(|start| *start <= now && new.status != old.status)?;
        Some((old.status.as_str().to_owned(), until))
    };
    changes.filter_map(past).collect()
}

/// Calendar months of a zone are no anchor's months, so the sandbox is told where they lie. Where the interval changes, a
/// window begins where the one before has ended.
fn calendar_windows(mapped: &Mapped<'_>, settings: &Settings, now: Timestamp) -> Vec<(Timestamp, Timestamp)> {
    let zone = &settings.time_zone;
    let this = Period::containing(now, zone);
    let back = std::iter::successors(Some(this), |period| Some(period.previous())).take(MONTHS_BACK);
    let start = mapped.rows.first().and_then(|one| one.started_at);
    let first = start.map(|start| Period::containing(start, zone)).or(back.last()).unwrap_or(this);
    // A yearly window carries the label of its last month: look a year ahead.
    let last = std::iter::successors(Some(this), |period| Some(period.next())).take(MONTHS_BACK).last();
    let labels = std::iter::successors(Some(first), |period| Some(period.next()))
        .take_while(|period| last.is_none_or(|last| *period <= last));
    let rows = mapped.rows.iter().filter(|one| one.billing_anchor.is_none());
    let of_row = |(period, one): (Period, &Subscription)| {
        one.cycle(zone).window(period).filter(|window| one.span().intersection(*window).is_some())
    };
    let all = labels.flat_map(|period| rows.clone().map(move |one| (period, *one)));
    let laid: BTreeSet<(Timestamp, Timestamp)> =
        all.filter_map(of_row).map(|window| (window.end, window.start)).collect();
    let mut windows = Vec::new();
    let mut until = Timestamp::MIN;
    for (end, start) in laid {
        windows.push((start.max(until), end));
        until = end;
    }
    windows
}
