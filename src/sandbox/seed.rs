//! Seeding: brings what the catalog and the tenants say into the account.
//!
//! In: a [`Seed`] of plain text and instants. Out: facts for what is new, and for subscriptions whose prices, status, end,
//! trial or windows have changed; the change counts from the sandbox's present. What is there already stays, so seeding
//! twice changes nothing.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::decimal;
use super::error::SandboxError;
use super::ids;
use super::meters::{CUSTOMER_KEY, VALUE_KEY};
use super::records::{
    Customer, Cycle, Fact, Formula, Interval, Item, Metadata, Meter, PastStatus, Phase, Price, Product,
    Recurring, Round, Scheme, Status, Subscription, Tier, Transform, Window,
};
use super::subscriptions;
use super::terms::Terms;
use super::world::World;

#[derive(Clone, Debug, Default)]
pub struct Seed {
    pub meters: Vec<SeedMeter>,
    pub prices: Vec<SeedPrice>,
    pub customers: Vec<SeedCustomer>,
    pub subscriptions: Vec<SeedSubscription>,
}

#[derive(Clone, Debug)]
pub struct SeedMeter {
    pub key: String,
    pub event_name: String,
    pub formula: SeedFormula,
}

/// How the meter's events become one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SeedFormula {
    Sum,
    Last,
}

#[derive(Clone, Debug)]
pub struct SeedPrice {
    pub id: String,
    pub currency: String,
    /// `month` or `year`.
    pub interval: String,
    /// The event name of the meter; `None` for a fee that is paid in advance.
    pub meter: Option<String>,
    pub scheme: SeedScheme,
    pub lookup_key: Option<String>,
}

/// Decimals as text, in minor units.
#[derive(Clone, Debug)]
pub enum SeedScheme {
    /// Quantities may be divided before they are priced, with what is begun rounded up or left out.
    PerUnit {
        unit_amount_decimal: String,
        transform: Option<(u64, bool)>,
    },
    Graduated(Vec<SeedTier>),
    Volume(Vec<SeedTier>),
}

#[derive(Clone, Debug)]
pub struct SeedTier {
    /// Inclusive; `None` is infinity.
    pub up_to: Option<String>,
    pub unit_amount_decimal: String,
    pub flat_amount_decimal: Option<String>,
}

#[derive(Clone, Debug)]
pub struct SeedCustomer {
    pub id: String,
    pub name: String,
}

#[derive(Clone, Debug)]
pub struct SeedSubscription {
    pub id: String,
    pub customer: String,
    pub prices: Vec<String>,
    pub interval: String,
    pub anchor: Timestamp,
    pub started_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub trial_end: Option<Timestamp>,
    /// Stripe's word.
    pub status: String,
    /// What it was before, and until when; sorted.
    pub past_statuses: Vec<(String, Timestamp)>,
    /// The windows one by one, sorted; empty: months or years from the anchor.
    pub windows: Vec<(Timestamp, Timestamp)>,
}

/// Records everything that is new or has changed.
pub fn plant(world: &mut World, seed: &Seed) -> Result<(), SandboxError> {
    for meter in &seed.meters {
        if world.meter_of_event(&meter.event_name).is_none() {
            let fact = Fact::Meter(new_meter(meter, world.now));
            world.record(fact);
        }
    }
    for price in &seed.prices {
        if world.prices.get(&price.id).is_none() {
            plant_price(world, price)?;
        }
    }
    for customer in &seed.customers {
        if world.customers.get(&customer.id).is_none() {
            let fact = Fact::Customer(new_customer(customer, world.now));
            world.record(fact);
        }
    }
    for given in &seed.subscriptions {
        // What begins later is none of Stripe's business yet.
        if given.started_at.as_second() > world.now {
            continue;
        }
        check(world, given)?;
        let planted = match world.subscriptions.get(&given.id) {
            None => Some(new_subscription(world, given)?),
            Some(old) => changed(world, old, given)?,
        };
        if let Some(subscription) = planted {
            world.record(Fact::Subscription(subscription));
        }
    }
    Ok(())
}

fn new_meter(given: &SeedMeter, now: i64) -> Meter {
    Meter {
        id: ids::derived("mtr", &given.event_name),
        created: now,
        updated: now,
        display_name: given.key.clone(),
        event_name: given.event_name.clone(),
        formula: match given.formula {
            SeedFormula::Sum => Formula::Sum,
            SeedFormula::Last => Formula::Last,
        },
        event_time_window: None,
        customer_key: CUSTOMER_KEY.to_owned(),
        value_key: VALUE_KEY.to_owned(),
        deactivated_at: None,
    }
}

fn new_customer(given: &SeedCustomer, now: i64) -> Customer {
    Customer {
        id: given.id.clone(),
        created: now,
        name: Some(given.name.clone()).filter(|name| !name.is_empty()),
        email: None,
        description: None,
        phone: None,
        test_clock: None,
        metadata: Metadata::new(),
        deleted: false,
    }
}

fn plant_price(world: &mut World, given: &SeedPrice) -> Result<(), SandboxError> {
    let wrong = |problem: String| SandboxError::Seed(format!("price {}: {problem}", given.id));
    let number = |text: &str| match decimal::parse(text) {
        Some(number) => Ok(decimal::text(&number)),
        None => Err(wrong(format!("`{text}` is no decimal number"))),
    };
    let tiers = |tiers: &[SeedTier]| -> Result<Vec<Tier>, SandboxError> {
        let tier = |tier: &SeedTier| {
            Ok(Tier {
                up_to: tier.up_to.as_deref().map(number).transpose()?,
                unit: Some(number(&tier.unit_amount_decimal)?),
                flat: tier.flat_amount_decimal.as_deref().map(number).transpose()?,
            })
        };
        tiers.iter().map(tier).collect()
    };
    let scheme = match &given.scheme {
        SeedScheme::PerUnit { unit_amount_decimal, transform } => {
            let transform = transform.map(|(divide_by, is_up)| {
                let round = if is_up { Round::Up } else { Round::Down };
                Transform { divide_by: i64::try_from(divide_by).unwrap_or(i64::MAX), round }
            });
            Scheme::PerUnit { unit: number(unit_amount_decimal)?, transform }
        }
        SeedScheme::Graduated(given) => Scheme::Graduated(tiers(given)?),
        SeedScheme::Volume(given) => Scheme::Volume(tiers(given)?),
    };
    let meter = given.meter.as_deref().map(|event_name| {
        let meter = world.meter_of_event(event_name);
        meter.map(|one| one.id.clone()).ok_or_else(|| wrong(format!("there is no meter `{event_name}`")))
    });
    let recurring = Recurring { cycle: cycle(&given.interval)?, meter: meter.transpose()? };
    let product = Product {
        id: ids::derived("prod", &given.id),
        created: world.now,
        name: given.lookup_key.clone().unwrap_or_else(|| given.id.clone()),
        active: true,
        description: None,
        unit_label: None,
        metadata: Metadata::new(),
    };
    let price = Price {
        id: given.id.clone(),
        created: world.now,
        product: product.id.clone(),
        active: true,
        currency: given.currency.to_lowercase(),
        nickname: None,
        lookup_key: given.lookup_key.clone(),
        tax_behavior: "unspecified".to_owned(),
        recurring: Some(recurring),
        scheme,
        metadata: Metadata::new(),
    };
    world.record(Fact::Product(product));
    world.record(Fact::Price(price));
    Ok(())
}

fn cycle(interval: &str) -> Result<Cycle, SandboxError> {
    let wrong = || SandboxError::Seed(format!("`{interval}` is no interval: day, week, month or year"));
    Ok(Cycle { interval: Interval::parse(interval).ok_or_else(wrong)?, count: 1 })
}

fn check(world: &World, given: &SeedSubscription) -> Result<(), SandboxError> {
    let wrong = |problem: String| Err(SandboxError::Seed(format!("subscription {}: {problem}", given.id)));
    if world.customers.get(&given.customer).is_none() {
        return wrong(format!("there is no customer `{}`", given.customer));
    }
    match given.prices.iter().find(|id| world.prices.get(id).is_none()) {
        Some(id) => wrong(format!("there is no price `{id}`")),
        None => Ok(()),
    }
}

fn new_subscription(world: &World, given: &SeedSubscription) -> Result<Subscription, SandboxError> {
    let start = given.started_at.as_second();
    let currency = given.prices.first().and_then(|id| world.prices.get(id));
    let trial_end = trial_end(given);
    let anchor = trial_end.unwrap_or(given.anchor.as_second());
    Ok(Subscription {
        id: given.id.clone(),
        customer: given.customer.clone(),
        currency: currency.map_or_else(|| "usd".to_owned(), |price| price.currency.clone()),
        created: start,
        start,
        trial_end,
        phases: vec![Phase { from: start, anchor, cycle: cycle(&given.interval)? }],
        windows: windows(given),
        items: given.prices.iter().map(|id| new_item(world, &given.id, id, start)).collect(),
        terms: Terms::default(),
        status: status(given)?,
        past_statuses: past_statuses(given)?,
        ends_at: ends_at(given, world.now),
        cancel_requested_at: None,
        cancel_at_period_end: false,
        ends_unbilled: false,
        invoiced_from: start,
        flexible: false,
        collection_method: "charge_automatically".to_owned(),
        days_until_due: None,
        description: None,
        metadata: Metadata::new(),
    })
}

/// The subscription as it is now to be, where that differs; one that has ended stays ended.
fn changed(
    world: &World,
    old: &Subscription,
    given: &SeedSubscription,
) -> Result<Option<Subscription>, SandboxError> {
    let now = world.now;
    if old.ends_at.is_some_and(|end| end <= now) {
        return Ok(None);
    }
    let mut new = old.clone();
    new.status = status(given)?;
    if new.status != old.status {
        // Heard of late, but never before the window that is open now: what was invoiced stays.
        let window = old.window_at(now);
        let known = past_statuses(given)?.last().map(|past| past.until);
        let until = known.filter(|until| window.start <= *until && *until <= now).unwrap_or(now);
        new.past_statuses.push(PastStatus { status: old.status, until });
    }
    let ends_at = ends_at(given, now);
    if ends_at != old.ends_at {
        // Nothing ends in the past that was alive until now.
        new.ends_at = ends_at.map(|end| end.max(now));
    }
    subscriptions::change_trial(&mut new, trial_end(given), now);
    change_items(world, &mut new, given, now);
    let cycle = cycle(&given.interval)?;
    let differs = |phase: &Phase| phase.cycle != cycle;
    if new.phases.last().is_some_and(differs) {
        new.phases.push(Phase { from: now, anchor: given.anchor.as_second(), cycle });
    }
    let given_windows = windows(given);
    if given_windows != new.windows {
        new.windows.retain(|window| window.start <= now);
        let known_until = new.windows.last().map_or(i64::MIN, |window| window.end);
        new.windows.extend(given_windows.into_iter().filter(|window| window.start >= known_until));
    }
    Ok((new != *old).then_some(new))
}

fn change_items(world: &World, one: &mut Subscription, given: &SeedSubscription, now: i64) {
    let wanted: BTreeSet<&String> = given.prices.iter().collect();
    for item in one.items.iter_mut().filter(|item| item.removed.is_none()) {
        if !wanted.contains(&item.price) {
            item.removed = Some(now);
        }
    }
    for price in &given.prices {
        if !one.items.iter().any(|item| item.removed.is_none() && item.price == *price) {
            let item = new_item(world, &one.id, price, now);
            one.items.push(item);
        }
    }
}

fn new_item(world: &World, subscription: &str, price: &str, added: i64) -> Item {
    let recurring = world.prices.get(price).and_then(|price| price.recurring.as_ref());
    let is_metered = recurring.is_some_and(|recurring| recurring.meter.is_some());
    let quantity = (!is_metered).then_some(1);
    subscriptions::item(subscription, price, quantity, added, Metadata::new())
}

fn trial_end(given: &SeedSubscription) -> Option<i64> {
    given.trial_end.map(Timestamp::as_second).filter(|end| *end > given.started_at.as_second())
}

/// A canceled subscription of which nobody knows the end ended when this was first heard of.
fn ends_at(given: &SeedSubscription, now: i64) -> Option<i64> {
    let heard_of = (given.status == Status::Canceled.as_str()).then_some(now);
    given.ended_at.map(Timestamp::as_second).or(heard_of)
}

fn windows(given: &SeedSubscription) -> Vec<Window> {
    let window =
        |(start, end): &(Timestamp, Timestamp)| Window { start: start.as_second(), end: end.as_second() };
    given.windows.iter().map(window).filter(|window| window.start < window.end).collect()
}

fn status(given: &SeedSubscription) -> Result<Status, SandboxError> {
    status_of(given, &given.status)
}

fn past_statuses(given: &SeedSubscription) -> Result<Vec<PastStatus>, SandboxError> {
    let past = |(word, until): &(String, Timestamp)| {
        Ok(PastStatus { status: status_of(given, word)?, until: until.as_second() })
    };
    given.past_statuses.iter().map(past).collect()
}

fn status_of(given: &SeedSubscription, word: &str) -> Result<Status, SandboxError> {
    let wrong = || SandboxError::Seed(format!("subscription {}: `{word}` is no status", given.id));
    Status::parse(word).ok_or_else(wrong)
}
