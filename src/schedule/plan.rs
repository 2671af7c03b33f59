//! Which alarm rings next. Pure: it waits for nothing and asks no clock.
//!
//! In: alarms, and the instants at which somebody looked. Out: the soonest instant, and what is to be done at one. An alarm that has rung
//! several times since it was answered is answered once: cron would have skipped all but one of them too.

use jiff::Timestamp;

use crate::schedule::{Schedule, ScheduleError, next_wake};

/// A schedule and what it is for.
#[derive(Clone, Debug)]
pub struct Alarm<W> {
    pub work: W,
    pub schedule: Schedule,
}

pub struct Plan<'a, W> {
    /// Each with its next instant.
    alarms: Vec<(&'a Alarm<W>, Timestamp)>,
}

impl<'a, W: Copy> Plan<'a, W> {
    /// Armed for what comes after `from`.
    pub fn new(alarms: &'a [Alarm<W>], from: Timestamp) -> Result<Self, ScheduleError> {
        let armed = alarms.iter().map(|alarm| Ok((alarm, next(&alarm.schedule, from)?)));
        Ok(Self { alarms: armed.collect::<Result<_, ScheduleError>>()? })
    }

    /// When the next one rings; the end of time, where there is none.
    pub fn soonest(&self) -> Timestamp {
        self.alarms.iter().map(|(_, next)| *next).min().unwrap_or(Timestamp::MAX)
    }

    /// What has rung by now, in the order of the alarms; each is armed anew for what comes after now.
    pub fn rung(&mut self, now: Timestamp) -> Result<Vec<W>, ScheduleError> {
        let mut works = Vec::new();
        for (alarm, at) in self.alarms.iter_mut().filter(|(_, at)| *at <= now) {
            *at = next(&alarm.schedule, now)?;
            works.push(alarm.work);
        }
        Ok(works)
    }
}

fn next(schedule: &Schedule, after: Timestamp) -> Result<Timestamp, ScheduleError> {
    next_wake(&schedule.expression, &schedule.time_zone, after)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jiff::tz::TimeZone;

    fn at(text: &str) -> Timestamp {
        format!("2027-03-01T{text}:00Z").parse().unwrap()
    }

    #[test]
    fn alarms_ring_in_their_order_and_one_that_was_missed_rings_once() {
        let alarm = |work, expression: &str| {
            let schedule = Schedule { expression: expression.to_owned(), time_zone: TimeZone::UTC };
            Alarm { work, schedule }
        };
        let alarms =
            [alarm("run", "5 * * * *"), alarm("guard", "25 * * * *"), alarm("reminders", "0 9 * * *")];
        let mut plan = Plan::new(&alarms, at("08:00")).unwrap();
        assert_eq!((plan.soonest(), plan.rung(at("08:04")).unwrap()), (at("08:05"), vec![]));
        assert_eq!(plan.rung(at("08:05")).unwrap(), ["run"]);
        assert_eq!(plan.soonest(), at("08:25"));
        // A run until a quarter past ten.
        assert_eq!(plan.rung(at("10:15")).unwrap(), ["run", "guard", "reminders"]);
        assert_eq!(plan.soonest(), at("10:25"));
        assert_eq!(plan.rung(at("10:25")).unwrap(), ["guard"]);
    }
}
