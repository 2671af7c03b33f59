//! The alarm clock of `serve`: it wakes the job now, then at every instant of a schedule, never twice at a time.
//!
//! In: a schedule, a clock as a value, the work of one wake, and a future that ends it all. Out: what ended it. It knows
//! nothing of the work: which periods are due comes from the database, so a wake that was missed is made up by the next.

mod alarm;
mod next;

pub use next::next_wake;

use std::future::Future;
use std::ops::ControlFlow;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::schedule::alarm::AlarmClock;

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

/// Wakes until `stop` comes between two wakes or a wake breaks off. During a wake `stop` is not heard: the work listens
/// itself, and gives back what it holds.
pub async fn keep_waking<T>(
    schedule: &Schedule,
    now: impl Fn() -> Timestamp,
    stop: impl Future<Output = T>,
    mut wake: impl AsyncFnMut(Timestamp) -> ControlFlow<T>,
) -> Result<T, ScheduleError> {
    let next = |after| next_wake(&schedule.expression, &schedule.time_zone, after);
    let mut rung = now();
    // Whoever writes a schedule that never comes hears of it before anything is done.
    next(rung)?;
    let clock = AlarmClock::start().await?;
    let mut stop = std::pin::pin!(stop);
    let ended = loop {
        if let ControlFlow::Break(ended) = wake(rung).await {
            break ended;
        }
        // The next one is armed only now, so two wakes never overlap.
        let ended_at = now().max(rung);
        let planned = next(ended_at)?;
        tracing::info!("the next wake is at {planned}");
        tokio::select! {
            biased;
            ended = &mut stop => break ended,
            result = clock.ring_after(planned.as_second() - now().as_second()) => result?,
        }
        // A clock that was set back must not ring twice for one instant.
        rung = now().max(planned);
    };
    clock.stop().await;
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    fn each_second() -> Schedule {
        Schedule { expression: "* * * * * *".to_owned(), time_zone: TimeZone::UTC }
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
        let work = async |now: Timestamp| {
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
        let ended = run(keep_waking(&each_second(), clock, never, work));
        assert_eq!(ended.unwrap(), "the third wake");
        assert_eq!((most.into_inner(), wakes.into_inner()), (1, 3));
    }

    #[test]
    fn it_stops_between_wakes_and_only_there() {
        let yearly = Schedule { expression: "0 0 1 1 *".to_owned(), time_zone: TimeZone::UTC };
        let finished = Cell::new(false);
        let work = async |_| {
            tokio::time::sleep(Duration::from_millis(50)).await;
            finished.set(true);
            ControlFlow::Continue(())
        };
        // It is there from the beginning, and the wake at the start is finished all the same.
        let stop = std::future::ready("stopped");
        assert_eq!(run(keep_waking(&yearly, clock, stop, work)).unwrap(), "stopped");
        assert!(finished.get());
    }

    #[test]
    fn a_schedule_that_never_comes_is_refused_before_the_first_wake() {
        for expression in ["0 0 30 2 *", "nonsense"] {
            let schedule = Schedule { expression: expression.to_owned(), time_zone: TimeZone::UTC };
            let work = async |_| -> ControlFlow<()> { panic!("it must not wake") };
            assert!(run(keep_waking(&schedule, clock, std::future::pending(), work)).is_err());
        }
    }
}
