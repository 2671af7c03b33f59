//! The alarm clock of `serve`: it wakes the first work now, then each at every instant of its schedule, never two at a time.
//!
//! In: schedules, the time and the waiting as values, the work of one wake, and a future that ends it all. Out: what ended it. It knows
//! nothing of the work: which periods are due comes from the database, so a wake that was missed is made up by the next.

mod alarm;
mod next;
mod plan;

pub use alarm::AlarmClock;
pub use next::next_wake;
pub use plan::{Alarm, Plan};

use std::future::Future;
use std::ops::ControlFlow;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    #[error("the schedule `{expression}` is no cron expression, such as 5 * * * *: {problem}")]
    Expression { expression: String, problem: String },
    #[error("the schedule `{expression}` never comes")]
    Never { expression: String },
    #[error("the alarm clock has failed ({0}): start `serve` again")]
    Clock(String),
}

/// When to wake.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Five fields, as in a crontab; a sixth in front counts seconds.
    pub expression: String,
    pub time_zone: TimeZone,
}

/// Weekends and the end of a month lie in any such time.
const LOOKED_AT_DAYS: i64 = 40;
/// A week of wakes each minute; no more are looked at.
const LOOKED_AT_WAKES: usize = 7 * 24 * 60;

impl Schedule {
    /// How far apart two wakes can be, to the minute.
    pub fn longest_gap(&self, from: Timestamp) -> Result<SignedDuration, ScheduleError> {
        let end = from.as_second() + LOOKED_AT_DAYS * 24 * 60 * 60;
        let wakes = next::wakes(&self.expression, &self.time_zone, from, 60)?.take(LOOKED_AT_WAKES);
        let (mut longest, mut before) = (0, None);
        for second in wakes {
            longest = longest.max(before.map_or(0, |before| second - before));
            // One that begins in this time counts, however long it is.
            if second > end && before.is_some() {
                break;
            }
            before = Some(second);
        }
        Ok(SignedDuration::from_secs(longest))
    }
}

/// Wakes until `stop` comes between two wakes or a wake breaks off. During a wake `stop` is not heard: the work listens
/// itself, and gives back what it holds. What rings during a wake is answered once, after it. `wait_until` returns at an instant.
pub async fn keep_waking<W: Copy, T>(
    alarms: &[Alarm<W>],
    now: impl Fn() -> Timestamp,
    wait_until: impl AsyncFn(Timestamp) -> Result<(), ScheduleError>,
    stop: impl Future<Output = T>,
    mut wake: impl AsyncFnMut(Timestamp, W) -> ControlFlow<T>,
) -> Result<T, ScheduleError> {
    let mut rung = now();
    // Whoever writes a schedule that never comes hears of it before anything is done.
    let mut plan = Plan::new(alarms, rung)?;
    let mut works: Vec<W> = alarms.first().map(|alarm| alarm.work).into_iter().collect();
    let mut stop = std::pin::pin!(stop);
    loop {
        for work in works {
            if let ControlFlow::Break(ended) = wake(rung, work).await {
                return Ok(ended);
            }
        }
        // The next one is armed only now, so two wakes never overlap.
        let planned = plan.soonest();
        tracing::info!("the next wake is at {planned}");
        let wait = async { if planned > now() { wait_until(planned).await } else { Ok(()) } };
        tokio::select! {
            biased;
            ended = &mut stop => return Ok(ended),
            result = wait => result?,
        }
        // A clock that was set back must not ring twice for one instant.
        rung = now().max(planned);
        works = plan.rung(rung)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    fn alarm(expression: &str) -> Alarm<()> {
        let schedule = Schedule { expression: expression.to_owned(), time_zone: TimeZone::UTC };
        Alarm { work: (), schedule }
    }

    fn each_second() -> Alarm<()> {
        alarm("* * * * * *")
    }

    /// The library itself.
    async fn by_the_clock(at: Timestamp) -> Result<(), ScheduleError> {
        let alarm = AlarmClock::start().await?;
        alarm.ring_after(at.as_second() - clock().as_second()).await?;
        alarm.stop().await;
        Ok(())
    }

    #[expect(clippy::disallowed_methods, reason = "the alarm rings by the wall clock")]
    fn clock() -> Timestamp {
        Timestamp::now()
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
    }

    /// Works for longer than the schedule's step, so that overlaps would show.
    #[test]
    fn it_wakes_at_once_then_again_and_again_and_never_while_a_wake_is_at_work() {
        let (at_work, most, wakes) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let woken_at = Cell::new(None);
        let work = async |now: Timestamp, ()| {
            most.fetch_max(1 + at_work.fetch_add(1, Ordering::SeqCst), Ordering::SeqCst);
            assert!(woken_at.replace(Some(now)).is_none_or(|before| before < now));
            tokio::time::sleep(Duration::from_millis(1_200)).await;
            at_work.fetch_sub(1, Ordering::SeqCst);
            match wakes.fetch_add(1, Ordering::SeqCst) {
                2 => ControlFlow::Break("the third wake"),
                _ => ControlFlow::Continue(()),
            }
        };
        let never = std::future::pending();
        let ended = run(keep_waking(&[each_second()], clock, by_the_clock, never, work));
        assert_eq!(ended.unwrap(), "the third wake");
        assert_eq!((most.into_inner(), wakes.into_inner()), (1, 3));
    }

    #[test]
    fn the_longest_gap_of_a_schedule_is_found_in_whatever_part_of_a_month_it_lies() {
        let minutes = |expression: &str, zone: &str| {
            let time_zone = crate::domain::period::parse_zone(zone).unwrap();
            let schedule = Schedule { expression: expression.to_owned(), time_zone };
            schedule.longest_gap("2027-03-01T12:34:56Z".parse().unwrap()).unwrap().as_mins()
        };
        for (expression, expected) in [
            ("5 * * * *", 60),
            ("*/20 * * * *", 20),
            ("5,10 * * * *", 55),
            ("* * * * *", 1),
            ("* * * * * *", 0),
            ("0 9-17 * * *", 16 * 60),
            ("*/5 9-17 * * MON-FRI", 3 * 24 * 60 - 8 * 60 - 55),
            ("0 0 1 * *", 30 * 24 * 60),
            ("0 0 1 1 *", 366 * 24 * 60),
        ] {
            // A minute of tolerance for schedules of seconds.
            let found = minutes(expression, "UTC");
            assert!((expected..=expected + 1).contains(&found), "{expression}: {found}");
        }
        // On 28 March the clocks skip an hour: what comes daily comes once, an hour late.
        assert_eq!(minutes("30 2 * * *", "Europe/Berlin"), 24 * 60);
        assert_eq!(minutes("30 12 * * *", "Europe/Berlin"), 24 * 60);
    }

    #[test]
    fn it_stops_between_wakes_and_only_there() {
        let yearly = alarm("0 0 1 1 *");
        let finished = Cell::new(false);
        let work = async |_, ()| {
            tokio::time::sleep(Duration::from_millis(50)).await;
            finished.set(true);
            ControlFlow::Continue(())
        };
        // It is there from the beginning, and the wake at the start is finished all the same.
        let stop = std::future::ready("stopped");
        assert_eq!(run(keep_waking(&[yearly], clock, by_the_clock, stop, work)).unwrap(), "stopped");
        assert!(finished.get());
    }

    #[test]
    fn a_schedule_that_never_comes_is_refused_before_the_first_wake() {
        for expression in ["0 0 30 2 *", "nonsense"] {
            let work = async |_, ()| -> ControlFlow<()> { panic!("it must not wake") };
            // Neither as the first nor as another.
            for alarms in [vec![alarm(expression)], vec![each_second(), alarm(expression)]] {
                let never = std::future::pending();
                assert!(run(keep_waking(&alarms, clock, by_the_clock, never, work)).is_err());
            }
        }
    }
}
