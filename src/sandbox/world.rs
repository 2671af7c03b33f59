//! The account: everything that the journal has told, and the present instant.
//!
//! In: facts, in their order. Out: records, found by id and by what they belong to. Applying a fact never fails and never
//! looks at a clock, so reading a journal again gives the same account.

use std::collections::BTreeMap;
use std::sync::Arc;

use bigdecimal::BigDecimal;

use super::decimal;
use super::ids;
use super::manners::{DropCode, Manners};
use super::records::{
    Customer, Entry, Event, Fact, Meter, Price, Product, StoredAnswer, Subscription, TestClock,
};
use super::terms::Extras;

/// How long identifiers and idempotency keys are remembered.
pub const REMEMBERED: i64 = 24 * 3_600;

#[derive(Default)]
pub struct World {
    /// The present, in Unix seconds.
    pub now: i64,
    pub manners: Arc<Manners>,
    pub customers: Shelf<Customer>,
    pub products: Shelf<Product>,
    pub prices: Shelf<Price>,
    pub meters: Shelf<Meter>,
    pub subscriptions: Shelf<Subscription>,
    pub clocks: Shelf<TestClock>,
    pub extras: Extras,
    by_customer: BTreeMap<String, Vec<String>>,
    by_tag: BTreeMap<String, String>,
    /// Meter, customer → what counts.
    usage: BTreeMap<(String, String), Vec<Usage>>,
    identifiers: BTreeMap<String, i64>,
    /// In the order in which they came.
    pub dropped: Vec<Dropped>,
    answers: BTreeMap<String, (i64, StoredAnswer)>,
    /// Facts that are applied and not yet in the journal.
    pending: Vec<Fact>,
    events: u64,
    /// Whether time comes from the machine's clock.
    pub on_wall_clock: bool,
    /// How many previews were asked for since the start.
    pub previews: u64,
    /// What was previewed with other items, by the preview's number.
    pub planned: BTreeMap<u64, Subscription>,
}

/// One counted event.
pub struct Usage {
    pub timestamp: i64,
    pub received: i64,
    /// From then on previews, summaries and drafts show it.
    pub shown: i64,
    pub value: BigDecimal,
}

/// An event that was accepted and is not counted.
pub struct Dropped {
    /// `None`: no meter takes events of that name.
    pub meter: Option<String>,
    pub code: DropCode,
    pub identifier: String,
    pub received: i64,
}

/// Records of one kind, by id, with their order of creation.
pub struct Shelf<T> {
    records: BTreeMap<String, T>,
    order: Vec<String>,
}

impl<T> Default for Shelf<T> {
    fn default() -> Self {
        Self { records: BTreeMap::new(), order: Vec::new() }
    }
}

impl<T> Shelf<T> {
    pub fn get(&self, id: &str) -> Option<&T> {
        self.records.get(id)
    }

    pub fn len(&self) -> usize {
        self.order.len()
    }

    pub fn newest_first(&self) -> impl Iterator<Item = &T> {
        self.order.iter().rev().filter_map(|id| self.records.get(id))
    }

    fn put(&mut self, id: String, record: T) {
        if self.records.insert(id.clone(), record).is_none() {
            self.order.push(id);
        }
    }
}

impl World {
    pub fn new(manners: Manners) -> Self {
        Self { manners: Arc::new(manners), ..Self::default() }
    }

    /// Takes in what a journal tells, entry by entry.
    pub fn replay(&mut self, entry: Entry) {
        self.now = self.now.max(entry.at);
        for fact in entry.facts {
            self.apply(fact);
        }
        if let Some(answer) = entry.answer {
            self.answers.insert(answer.key.clone(), (entry.at, answer));
        }
    }

    pub fn forget_old_answers(&mut self) {
        let now = self.now;
        self.answers.retain(|_, (at, _)| now - *at <= REMEMBERED);
    }

    /// Applies a fact and keeps it for the journal.
    pub fn record(&mut self, fact: Fact) {
        self.pending.push(fact.clone());
        self.apply(fact);
    }

    /// Whether the present request has changed anything.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// The facts since the last time.
    pub fn take_pending(&mut self) -> Vec<Fact> {
        std::mem::take(&mut self.pending)
    }

    /// Lets the clock go on; it never goes back.
    pub fn reach(&mut self, instant: i64) {
        self.now = self.now.max(instant);
    }

    /// Whether a test clock has taken over.
    pub fn is_frozen(&self) -> bool {
        self.clocks.len() > 0
    }

    /// A test clock may lead into the past as long as nothing stands on the present instant.
    pub fn may_go_back(&self) -> bool {
        self.on_wall_clock && self.subscriptions.len() == 0 && self.events == 0
    }

    /// An id for something new: what it is, and its place in the history.
    pub fn new_id(&self, prefix: &str, what: &str) -> String {
        let shelves = [self.customers.len(), self.products.len(), self.prices.len(), self.meters.len()];
        let place = (shelves, self.subscriptions.len(), self.clocks.len(), self.events);
        ids::derived(prefix, &format!("{prefix} {place:?} {what}"))
    }

    /// A customer that was not deleted.
    pub fn living_customer(&self, id: &str) -> Option<&Customer> {
        self.customers.get(id).filter(|one| !one.deleted)
    }

    pub fn meter_of_event(&self, event_name: &str) -> Option<&Meter> {
        self.meters.newest_first().find(|meter| meter.event_name == event_name)
    }

    pub fn subscriptions_of(&self, customer: &str) -> impl Iterator<Item = &Subscription> {
        let ids = self.by_customer.get(customer).map(Vec::as_slice).unwrap_or_default();
        ids.iter().rev().filter_map(|id| self.subscriptions.get(id))
    }

    pub fn subscription_by_tag(&self, tag: &str) -> Option<&Subscription> {
        self.by_tag.get(tag).and_then(|id| self.subscriptions.get(id))
    }

    pub fn usage(&self, meter: &str, customer: &str) -> &[Usage] {
        let key = (meter.to_owned(), customer.to_owned());
        self.usage.get(&key).map(Vec::as_slice).unwrap_or_default()
    }

    pub fn event_count(&self) -> u64 {
        self.events
    }

    /// Whether an event with that identifier came in within the last 24 hours.
    pub fn is_known_identifier(&self, identifier: &str) -> bool {
        self.identifiers.get(identifier).is_some_and(|received| self.now - received <= REMEMBERED)
    }

    pub fn stored_answer(&self, key: &str) -> Option<&StoredAnswer> {
        let (at, answer) = self.answers.get(key)?;
        (self.now - at <= REMEMBERED).then_some(answer)
    }

    pub fn store_answer(&mut self, answer: StoredAnswer) {
        self.answers.insert(answer.key.clone(), (self.now, answer));
    }

    fn apply(&mut self, fact: Fact) {
        match fact {
            Fact::Customer(one) => self.customers.put(one.id.clone(), one),
            Fact::Product(one) => self.products.put(one.id.clone(), one),
            Fact::Price(one) => self.apply_price(one),
            Fact::Meter(one) => self.meters.put(one.id.clone(), one),
            Fact::Event(one) => self.apply_event(one),
            Fact::Subscription(one) => self.apply_subscription(one),
            Fact::Extra(one) => self.extras.put(one),
            Fact::Clock(one) => {
                self.now = one.frozen_time;
                self.clocks.put(one.id.clone(), one);
            }
        }
    }

    /// A lookup key belongs to the price that took it last.
    fn apply_price(&mut self, price: Price) {
        if price.lookup_key.is_some() {
            let holders = self.prices.records.values_mut();
            for holder in holders.filter(|one| one.lookup_key == price.lookup_key) {
                holder.lookup_key = None;
            }
        }
        self.prices.put(price.id.clone(), price);
    }

    fn apply_event(&mut self, event: Event) {
        self.events += 1;
        if let Some(counts) = event.counts {
            let value = decimal::stored(&counts.value);
            let shown = event.received.saturating_add(self.manners.lateness(&event.identifier));
            let usage = Usage { timestamp: event.timestamp, received: event.received, shown, value };
            self.usage.entry((counts.meter, counts.customer)).or_default().push(usage);
        }
        if let Some(code) = event.dropped {
            let meter = self.meter_of_event(&event.name).map(|meter| meter.id.clone());
            let identifier = event.identifier.clone();
            self.dropped.push(Dropped { meter, code, identifier, received: event.received });
        }
        self.identifiers.insert(event.identifier, event.received);
    }

    fn apply_subscription(&mut self, subscription: Subscription) {
        if self.subscriptions.get(&subscription.id).is_none() {
            let ids = self.by_customer.entry(subscription.customer.clone()).or_default();
            ids.push(subscription.id.clone());
            self.by_tag.insert(ids::tag(&subscription.id), subscription.id.clone());
        }
        self.subscriptions.put(subscription.id.clone(), subscription);
    }
}
