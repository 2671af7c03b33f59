//! What we keep to: a lane for each endpoint, one that all requests share, and so many requests under way at a time.
//!
//! In: the endpoint of each request, and how it was answered. Out: the moment at which it may leave. A 429 slows what it
//! speaks of, and nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::future::OptionFuture;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::endpoint::Endpoint;
use super::error::RateLimit;
use super::lane::Lane;
use super::limits::Rates;

pub(super) struct Limiter {
    slots: Semaphore,
    rates: Rates,
    overall: Option<Lane>,
    /// Made when they are first needed.
    endpoints: Mutex<BTreeMap<Endpoint, Arc<Lane>>>,
}

impl Limiter {
    pub(super) fn new(at_a_time: usize, rates: Rates) -> Self {
        let (slots, overall) = (Semaphore::new(at_a_time), rates.overall.map(Lane::new));
        Self { slots, rates, overall, endpoints: Mutex::new(BTreeMap::new()) }
    }

    /// Waits until a request may leave; it is under way as long as its slot is held. Only the first in an endpoint's lane
    /// asks for a slot, so a slow lane never holds them all; and what has got its moment leaves at that moment.
    pub(super) async fn admit(&self, endpoint: &Endpoint) -> Option<SemaphorePermit<'_>> {
        let lane = self.lane(endpoint);
        let turn = OptionFuture::from(lane.as_ref().map(|lane| lane.turn())).await;
        // There always is one: the slots are never closed.
        let slot = self.slots.acquire().await.ok();
        if let Some(turn) = turn {
            turn.leave().await;
        }
        if let Some(overall) = self.overall(endpoint) {
            overall.turn().await.leave().await;
        }
        slot
    }

    /// A request was answered as it should be.
    pub(super) fn served(&self, endpoint: &Endpoint) {
        if let Some(lane) = self.lane(endpoint) {
            lane.recover();
        }
        if let Some(overall) = self.overall(endpoint) {
            overall.recover();
        }
    }

    /// A request was answered with 429.
    pub(super) fn limited(&self, endpoint: &Endpoint, reason: &RateLimit) {
        let overall = self.overall(endpoint);
        let slower = match (reason, overall) {
            // Another request holds the object: its own business.
            (RateLimit::ResourceSpecific, _) => return,
            (RateLimit::GlobalRate | RateLimit::GlobalConcurrency, Some(overall)) => overall.slow_down(),
            // What does not count overall has only its own lane to slow.
            _ => self.lane(endpoint).and_then(|lane| lane.slow_down()),
        };
        if let Some(sixteenths) = slower {
            tracing::info!("Stripe limits {endpoint} ({reason}): we go on at {sixteenths}/16 of our rate");
        }
    }

    fn lane(&self, endpoint: &Endpoint) -> Option<Arc<Lane>> {
        let is_event = endpoint.takes_meter_events();
        let rate = if is_event { self.rates.meter_events } else { self.rates.per_endpoint }?;
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        Some(endpoints.entry(endpoint.clone()).or_insert_with(|| Arc::new(Lane::new(rate))).clone())
    }

    fn overall(&self, endpoint: &Endpoint) -> Option<&Lane> {
        let counts = self.rates.meter_events_count_overall || !endpoint.takes_meter_events();
        self.overall.as_ref().filter(|_| counts)
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use hyper::Method;
    use tokio::time::Instant;

    use super::*;

    /// Stripe's test mode counts meter events like everything else, its live mode does not.
    #[tokio::test(start_paused = true)]
    async fn meter_events_count_overall_where_they_must() {
        for (meter_events_count_overall, seconds) in [(true, 19), (false, 9)] {
            let rates =
                Rates { overall: NonZeroU32::new(10), meter_events_count_overall, ..Rates::default() };
            let (limiter, start) = (Limiter::new(1, rates), Instant::now());
            for _ in 0..100 {
                limiter.admit(&Endpoint::of(&Method::GET, "/account")).await;
                limiter.admit(&Endpoint::of(&Method::POST, "/billing/meter_events")).await;
            }
            let took = start.elapsed().as_secs();
            assert!((seconds..=seconds + 2).contains(&took), "{took}");
        }
    }
}
