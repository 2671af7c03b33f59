//! The throttle: real limits by real time, for benchmarks and for clients that must learn to slow down.
//!
//! In: limits, and each request's endpoint as it comes. Out: whether it is one too many, and why. In any second no more
//! than the limit get through. Reads no clock: a place that was taken is free again one second later.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::endpoint::Endpoint;
use super::manners::{Limits, Reason};

const SECOND: Duration = Duration::from_secs(1);

pub struct Throttle {
    latency: Duration,
    all: Option<Arc<Semaphore>>,
    each: BTreeMap<Endpoint, Arc<Semaphore>>,
}

impl Throttle {
    pub fn new(limits: &Limits) -> Self {
        let places = |limit: NonZeroU64| {
            let places = usize::try_from(limit.get()).unwrap_or(usize::MAX);
            Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)))
        };
        let limit =
            |endpoint: &Endpoint| limits.per_second_of.get(endpoint).copied().or(limits.per_second_each);
        Self {
            latency: Duration::from_millis(limits.latency_ms.into()),
            all: limits.per_second.map(places),
            each: Endpoint::all().filter_map(|one| Some((one, places(limit(&one)?)))).collect(),
        }
    }

    /// Lets time pass as the way to Stripe does, and says whether the request is one too many.
    pub async fn pass(&self, path: &str) -> Option<Reason> {
        if !self.latency.is_zero() {
            tokio::time::sleep(self.latency).await;
        }
        let each = Endpoint::of(path).and_then(|endpoint| self.each.get(&endpoint));
        match (taken(each), taken(self.all.as_ref())) {
            (Err(()), _) => Some(Reason::EndpointRate),
            (_, Err(())) => Some(Reason::GlobalRate),
            (Ok(one), Ok(other)) => {
                if one.is_some() || other.is_some() {
                    tokio::spawn(async move {
                        tokio::time::sleep(SECOND).await;
                        drop((one, other));
                    });
                }
                None
            }
        }
    }
}

fn taken(places: Option<&Arc<Semaphore>>) -> Result<Option<OwnedSemaphorePermit>, ()> {
    places.map(|places| Arc::clone(places).try_acquire_owned().map_err(|_| ())).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_more_than_the_limit_pass_in_a_second_and_then_as_many_again() {
        let limits = Limits {
            per_second: NonZeroU64::new(5),
            per_second_each: NonZeroU64::new(2),
            per_second_of: BTreeMap::from([(Endpoint::MeterEvents, NonZeroU64::new(4).unwrap())]),
            ..Limits::default()
        };
        let throttle = Throttle::new(&limits);
        let (prices, events) = ("/v1/prices", "/v1/billing/meter_events");
        for _ in 0..2 {
            let mut seen = Vec::new();
            for path in [prices, prices, prices, events, events, events, events] {
                seen.push(throttle.pass(path).await);
            }
            let (endpoint, global) = (Some(Reason::EndpointRate), Some(Reason::GlobalRate));
            assert_eq!(seen, [None, None, endpoint, None, None, None, global]);
            tokio::time::sleep(Duration::from_millis(1_001)).await;
        }
        let slow = Throttle::new(&Limits { latency_ms: 200, ..Limits::default() });
        let begun = tokio::time::Instant::now();
        assert_eq!(slow.pass(prices).await, None);
        assert_eq!(begun.elapsed(), Duration::from_millis(200));
    }
}
