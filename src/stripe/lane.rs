//! One lane of requests: so many in a second, in the order of their coming, slower after a 429.
//!
//! In: a rate; which answers came. Out: the moment at which the next request may leave. In any second no more leave than
//! the rate says, also as the server sees it, where some come sooner than others: requests are spread evenly at 31 of 32
//! parts of the rate, and half a part makes up for timers that ring late.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::state::{InMemoryState, NotKeyed};
use governor::{InsufficientCapacity, Quota, RateLimiter};
use tokio::sync::MutexGuard;
use tokio::time::Instant;

/// The limiter counts in cells, so that a part of a request can be counted too.
const CELLS: u32 = 16;
const PARTS: u64 = 32;
/// A speed is so many sixteenths of the rate; the slowest is one of them.
const FULL_SPEED: u32 = 16;
/// Many requests are under way when the first 429 comes; theirs are no news.
const BETWEEN_HALVINGS: Duration = Duration::from_secs(1);
/// From half of the rate to all of it in four seconds: one 429 by chance costs little, and a limit that is really lower is
/// met seldom.
const BETWEEN_STEPS: Duration = Duration::from_millis(500);

pub(super) struct Lane {
    limiter: RateLimiter<NotKeyed, InMemoryState, Stopwatch, NoOpMiddleware<Duration>>,
    /// More cells than these cannot be taken at once.
    most_cells: u32,
    /// Passed on in the order of asking.
    turn: tokio::sync::Mutex<()>,
    speed: Mutex<Speed>,
}

/// tokio's clock, so that a test's paused clock counts.
#[derive(Clone, Copy)]
struct Stopwatch {
    start: Instant,
}

impl Clock for Stopwatch {
    type Instant = Duration;

    fn now(&self) -> Duration {
        self.start.elapsed()
    }
}

struct Speed {
    sixteenths: u32,
    slowed: Option<Duration>,
    changed: Option<Duration>,
}

impl Lane {
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        let cells = u64::from(per_second.get()) * u64::from(CELLS);
        let interval = Duration::from_nanos(1_000_000_000_u64.div_ceil(cells - cells / PARTS));
        // A timer of tokio's is a millisecond late or two, on a busy machine some more.
        let late = u32::try_from(cells / PARTS / 2).unwrap_or(u32::MAX);
        let most_cells = CELLS.saturating_add(late);
        let quota = Quota::with_period(interval).unwrap_or(Quota::per_second(NonZeroU32::MIN));
        let quota = quota.allow_burst(NonZeroU32::MIN.saturating_add(most_cells - 1));
        Self {
            limiter: RateLimiter::direct_with_clock(quota, Stopwatch { start: Instant::now() }),
            most_cells,
            turn: tokio::sync::Mutex::new(()),
            speed: Mutex::new(Speed { sixteenths: FULL_SPEED, slowed: None, changed: None }),
        }
    }

    /// Waits until all who came before have left.
    pub(super) async fn turn(&self) -> Turn<'_> {
        Turn { lane: self, _held: self.turn.lock().await }
    }

    /// Halves the speed, once a second at most; what it is now, if it has changed.
    pub(super) fn slow_down(&self) -> Option<u32> {
        let mut speed = self.speed.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.limiter.clock().now();
        if speed.sixteenths == 1 || !has_passed(BETWEEN_HALVINGS, speed.slowed, now) {
            return None;
        }
        speed.sixteenths /= 2;
        speed.slowed = Some(now);
        speed.changed = Some(now);
        Some(speed.sixteenths)
    }

    /// After a success: one sixteenth faster, twice a second at most.
    pub(super) fn recover(&self) {
        let mut speed = self.speed.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.limiter.clock().now();
        if speed.sixteenths < FULL_SPEED && has_passed(BETWEEN_STEPS, speed.changed, now) {
            speed.sixteenths += 1;
            speed.changed = Some(now);
        }
    }

    fn sixteenths(&self) -> u32 {
        self.speed.lock().unwrap_or_else(PoisonError::into_inner).sixteenths
    }
}

/// The next in the lane. While it is held, nobody else leaves.
pub(super) struct Turn<'a> {
    lane: &'a Lane,
    _held: MutexGuard<'a, ()>,
}

impl Turn<'_> {
    /// Waits until the rate lets a request leave.
    pub(super) async fn leave(self) {
        let lane = self.lane;
        let mut cells = CELLS * FULL_SPEED / lane.sixteenths();
        while let Some(some) = NonZeroU32::new(cells.min(lane.most_cells)) {
            match lane.limiter.check_n(some) {
                Ok(Ok(())) => cells -= some.get(),
                Ok(Err(not_yet)) => {
                    tokio::time::sleep(not_yet.wait_time_from(lane.limiter.clock().now())).await;
                }
                // Never: so many fit in.
                Err(InsufficientCapacity(_)) => return,
            }
        }
    }
}

fn has_passed(pause: Duration, since: Option<Duration>, now: Duration) -> bool {
    since.is_none_or(|since| now.saturating_sub(since) >= pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn leave(lane: &Lane, count: u32) -> Duration {
        let start = Instant::now();
        for _ in 0..count {
            lane.turn().await.leave().await;
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn the_slowest_is_a_sixteenth_and_the_way_back_takes_fifteen_steps() {
        let lane = Lane::new(NonZeroU32::new(32).unwrap());
        for expected in [Some(8), Some(4), Some(2), Some(1), None] {
            assert_eq!(lane.slow_down(), expected);
            assert_eq!(lane.slow_down(), None);
            tokio::time::advance(BETWEEN_HALVINGS).await;
        }
        let slowest = leave(&lane, 20).await;
        assert!((Duration::from_secs(9)..Duration::from_secs(11)).contains(&slowest), "{slowest:?}");
        for expected in 2..=FULL_SPEED {
            lane.recover();
            lane.recover();
            assert_eq!(lane.sixteenths(), expected);
            tokio::time::advance(BETWEEN_STEPS).await;
        }
        lane.recover();
        assert_eq!(lane.sixteenths(), FULL_SPEED);
    }

    /// What nobody has used is not saved up: after a pause a lane is as careful as before.
    #[tokio::test(start_paused = true)]
    async fn a_pause_is_no_credit() {
        let lane = Lane::new(NonZeroU32::new(100).unwrap());
        tokio::time::advance(Duration::from_mins(10)).await;
        let second = leave(&lane, 101).await;
        assert!((Duration::from_millis(1_005)..Duration::from_millis(1_030)).contains(&second), "{second:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_gives_up_waiting_holds_nobody_up() {
        let lane = Lane::new(NonZeroU32::MIN);
        lane.turn().await.leave().await;
        let given_up = tokio::time::timeout(Duration::from_millis(10), lane.turn().await.leave()).await;
        assert!(given_up.is_err());
        assert!(leave(&lane, 1).await <= Duration::from_millis(1_100));
    }
}
