//! The intents that a run knows of, found by what Stripe's totals speak of.
//!
//! In: intents as they were read and as they change. Out: those of a period, a segment, or a window at one customer. Never
//! decides what becomes of one.

use std::collections::BTreeMap;

use crate::domain::intent::{Intent, IntentState};
use crate::domain::period::{Period, Window};
use crate::job::mapping::Mapped;

/// Intents of a period, by what a meter's total speaks of: tenant, customer, meter.
#[derive(Clone, Debug, Default)]
pub struct Intents {
    by_meter: BTreeMap<MeterKey, Vec<Intent>>,
}

type MeterKey = (String, String, String);

impl Intents {
    pub fn new(all: Vec<Intent>) -> Self {
        let mut intents = Self::default();
        for one in all {
            intents.put(one);
        }
        intents
    }

    /// Adds an intent, or replaces the one of its name.
    pub fn put(&mut self, one: Intent) {
        let key = (one.key.tenant_id.clone(), one.key.customer_id.clone(), one.key.meter.clone());
        let list = self.by_meter.entry(key).or_default();
        match list.iter_mut().find(|known| known.identifier == one.identifier) {
            Some(known) => *known = one,
            None => list.push(one),
        }
    }

    /// As they will be if these are settled and all of those arrive.
    pub fn assuming(&self, settled: &[Intent], sends: &[Intent]) -> Self {
        let mut assumed = self.clone();
        for one in settled {
            assumed.put(one.clone());
        }
        for one in sends {
            assumed.put(Intent { state: IntentState::Sent, ..one.clone() });
        }
        assumed
    }

    /// A dry run takes it that what it would send arrives. How many they are.
    pub fn all_arrive(&mut self, sends: &[Intent]) -> u64 {
        for one in sends {
            self.put(Intent { state: IntentState::Confirmed, ..one.clone() });
        }
        sends.len() as u64
    }

    /// Those that runs of a period planned.
    pub fn of_period(&self, period: Period) -> impl Iterator<Item = &Intent> {
        self.by_meter.values().flatten().filter(move |one| one.period == period)
    }

    /// The intents of a segment that Stripe holds or may hold.
    pub fn counted(&self, tenant_id: &str, meter: &str, segment: Window) -> impl Iterator<Item = &Intent> {
        self.of_tenant(tenant_id)
            .filter(move |(key, _)| key.2 == meter)
            .flat_map(|(_, list)| list)
            .filter(move |one| is_in(one, segment) && one.is_counted())
    }

    /// The intents of one window and meter: those that a meter's total of the window counts.
    pub fn of(&self, mapped: &Mapped, meter: &str) -> Vec<Intent> {
        let key = (mapped.tenant_id.clone(), mapped.customer_id.clone(), meter.to_owned());
        let list = self.by_meter.get(&key).map(Vec::as_slice).unwrap_or_default();
        list.iter().filter(|one| is_in(one, mapped.window)).cloned().collect()
    }

    /// Whether usage of the window went to another customer, as when the tenant's id at Stripe was changed.
    pub fn went_elsewhere(&self, mapped: &Mapped, meter: &str) -> bool {
        self.of_tenant(&mapped.tenant_id).any(|((_, customer_id, of), list)| {
            of == meter
                && *customer_id != mapped.customer_id
                && list.iter().any(|one| is_in(one, mapped.window) && one.is_counted())
        })
    }

    /// What was planned for another customer of the tenant and never asked for: it goes nowhere any more.
    pub fn left_at_another_customer(&self, mapped: &Mapped, meter: &str) -> Vec<Intent> {
        let others = self.of_tenant(&mapped.tenant_id);
        let others = others.filter(|(key, _)| key.2 == meter && key.1 != mapped.customer_id);
        let never_asked = |one: &&Intent| one.state == IntentState::Planned && one.attempted_at.is_none();
        let left =
            others.flat_map(|(_, list)| list).filter(|one| is_in(one, mapped.window)).filter(never_asked);
        let reason = "never sent: the tenant has another customer now";
        left.map(|one| Intent { state: IntentState::Rejected, reason: reason.to_owned(), ..one.clone() })
            .collect()
    }

    fn of_tenant(&self, tenant_id: &str) -> impl Iterator<Item = (&MeterKey, &Vec<Intent>)> {
        let first = (tenant_id.to_owned(), String::new(), String::new());
        self.by_meter.range(first..).take_while(move |(key, _)| key.0 == tenant_id)
    }
}

fn is_in(one: &Intent, window: Window) -> bool {
    window.start <= one.timestamp && one.timestamp < window.end
}
