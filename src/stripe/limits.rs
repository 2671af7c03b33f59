//! How much we ask of Stripe, and how long we wait for it.
//!
//! In: what the settings say about our pace, and whom we speak to. Out: [`Limits`], and the rates that hold there. It
//! knows numbers only: `limiter` keeps to the rates, `retry` to the waits, `transport` to the rest.

use std::num::NonZeroU32;
use std::time::Duration;

/// How long and how much we take. Tests shorten the times.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub connect_timeout: Duration,
    /// One attempt from its start to the last byte of its answer.
    pub attempt_timeout: Duration,
    /// The most before the first repetition; doubled for each further one. How much of it is taken, chance decides.
    pub first_wait: Duration,
    pub longest_wait: Duration,
    pub answer_bytes: usize,
    pub waits: Waits,
    pub pace: Pace,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            attempt_timeout: Duration::from_secs(30),
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(5),
            // A full page of invoices with ten lines each is some 3 MiB.
            answer_bytes: 16 * 1024 * 1024,
            waits: Waits::Taken,
            pace: Pace::default(),
        }
    }
}

/// Whether the time that somebody waits really passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    Taken,
    /// Waits before a repetition are planned at their longest, counted and left out, and no rate is kept: for simulations,
    /// whose time is not ours and whose course must be the same each time.
    Skipped,
}

/// What somebody has said about our pace; the rest has defaults, which depend on whom we speak to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    pub requests_per_second: Option<NonZeroU32>,
    pub requests_per_second_per_endpoint: Option<NonZeroU32>,
    pub meter_events_per_second: Option<NonZeroU32>,
    pub requests_at_a_time: Option<NonZeroU32>,
}

/// Whom we speak to, as far as rates go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Peer {
    Live,
    /// Stripe's own test mode: a quarter of the rate, and meter events count like everything else.
    Test,
    /// On this machine or in this process: nobody has to be spared.
    StandIn,
}

/// Requests in any one second; `None`: as many as there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Rates {
    pub overall: Option<NonZeroU32>,
    pub per_endpoint: Option<NonZeroU32>,
    pub meter_events: Option<NonZeroU32>,
    pub meter_events_count_overall: bool,
}

/// Enough for 100 requests a second that take a third of one each; Stripe also limits how many are under way.
const AT_A_TIME: usize = 32;

impl Pace {
    pub(super) fn at_a_time(self) -> usize {
        self.requests_at_a_time.map_or(AT_A_TIME, |count| usize::try_from(count.get()).unwrap_or(AT_A_TIME))
    }

    /// By default four fifths of what Stripe allows: the account's other programs ask too. It allows 25 a second for each
    /// endpoint; overall 100 in live mode and 25 in test mode; 1000 meter events in live mode, on an account of their own.
    pub(super) fn rates(self, peer: Peer) -> Rates {
        let (overall, per_endpoint, meter_events) = match peer {
            Peer::Live => (NonZeroU32::new(80), NonZeroU32::new(20), NonZeroU32::new(800)),
            Peer::Test => (NonZeroU32::new(20), NonZeroU32::new(20), NonZeroU32::new(20)),
            Peer::StandIn => (None, None, None),
        };
        Rates {
            overall: self.requests_per_second.or(overall),
            per_endpoint: self.requests_per_second_per_endpoint.or(per_endpoint),
            meter_events: self.meter_events_per_second.or(meter_events),
            meter_events_count_overall: peer == Peer::Test,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_default_stripe_is_asked_for_less_than_it_allows() {
        let most = |rate: Option<NonZeroU32>| rate.map_or(u32::MAX, NonZeroU32::get);
        for (peer, overall, meter_events) in [(Peer::Live, 100, 1000), (Peer::Test, 25, 25)] {
            let rates = Pace::default().rates(peer);
            assert!(most(rates.overall) < overall && most(rates.per_endpoint) < 25, "{peer:?}");
            assert!(most(rates.meter_events) < meter_events, "{peer:?}");
        }
        let nothing = Rates::default();
        assert_eq!(Pace::default().rates(Peer::StandIn), nothing);
    }

    #[test]
    fn what_somebody_has_said_holds_for_everybody() {
        let said = Pace { requests_per_second: NonZeroU32::new(7), ..Pace::default() };
        for peer in [Peer::Live, Peer::Test, Peer::StandIn] {
            assert_eq!(said.rates(peer).overall, NonZeroU32::new(7), "{peer:?}");
            assert_eq!(said.rates(peer).per_endpoint, Pace::default().rates(peer).per_endpoint, "{peer:?}");
        }
    }
}
