//! The next instant of a cron expression in a time zone.
//!
//! In: an expression, a zone, an instant. Out: the first instant after it. croner is asked in wall time only; what wall
//! time means when clocks are changed is decided here, by the tz database that everything else in billrecon uses.
//!
//! - A time of day (`30 2 * * *`) comes once a day: where the clocks skip it, at the change; where they repeat it, the
//!   first time.
//! - A repetition (`5 * * * *`) keeps its step: it comes in a repeated hour twice, in a skipped hour not at all.

use chrono::{DateTime, Utc};
use croner::{Cron, JobType};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::schedule::ScheduleError;

/// Wall times differ from UTC by less.
const TWO_DAYS: i64 = 2 * 24 * 60 * 60;
/// Each step leaves a stretch of one offset behind, or jumps to shortly before the instant; more are never needed.
const STEPS: usize = 16;

pub fn next_wake(expression: &str, zone: &TimeZone, after: Timestamp) -> Result<Timestamp, ScheduleError> {
    next_second(&parsed(expression)?, zone, after.as_second())
        .and_then(|second| Timestamp::from_second(second).ok())
        .ok_or_else(|| ScheduleError::Never { expression: expression.to_owned() })
}

/// The instants that follow, in seconds. Of those that are nearer to each other than this, only the first.
pub fn wakes(
    expression: &str,
    zone: &TimeZone,
    after: Timestamp,
    nearer: i64,
) -> Result<impl Iterator<Item = i64>, ScheduleError> {
    let cron = parsed(expression)?;
    let first = next_second(&cron, zone, after.as_second());
    Ok(std::iter::successors(first, move |second| next_second(&cron, zone, second + nearer - 1)))
}

fn parsed(expression: &str) -> Result<Cron, ScheduleError> {
    expression.parse().map_err(|error: croner::errors::CronError| ScheduleError::Expression {
        expression: expression.to_owned(),
        problem: error.to_string(),
    })
}

/// `None`: it never comes.
fn next_second(cron: &Cron, zone: &TimeZone, after: i64) -> Option<i64> {
    let once_a_day = cron.determine_job_type() == JobType::FixedTime;
    let mut from = after + 1;
    for _ in 0..STEPS {
        let stretch = Stretch::around(zone, from)?;
        let mut wall = from + stretch.offset;
        if once_a_day && stretch.began == Some(from) {
            // What the clocks have just skipped comes now; what they repeat has been.
            wall = from + stretch.offset_before;
        } else if once_a_day {
            wall = wall.max(stretch.repeats_until());
        }
        let found = first_match(cron, wall)?;
        if found < from + stretch.offset {
            return Some(from);
        }
        let second = found - stretch.offset;
        match stretch.ends {
            Some(ends) if second >= ends => from = ends.max(found - TWO_DAYS),
            _ => return Some(second),
        }
    }
    None
}

/// The first wall time that matches, from this one on; both as seconds, as if they were UTC.
fn first_match(cron: &Cron, wall: i64) -> Option<i64> {
    let from: DateTime<Utc> = DateTime::from_timestamp(wall, 0)?;
    Some(cron.find_next_occurrence(&from, true).ok()?.timestamp())
}

/// A time between two changes of the clocks.
struct Stretch {
    offset: i64,
    began: Option<i64>,
    /// The offset before it began.
    offset_before: i64,
    ends: Option<i64>,
}

impl Stretch {
    fn around(zone: &TimeZone, second: i64) -> Option<Self> {
        let instant = |second| Timestamp::from_second(second).ok();
        let offset = |second| Some(i64::from(zone.to_offset(instant(second)?).seconds()));
        let began = zone.preceding(instant(second + 1)?).next().map(|change| change.timestamp().as_second());
        let ends = zone.following(instant(second)?).next().map(|change| change.timestamp().as_second());
        let offset_before = began.map_or_else(|| offset(second), |began| offset(began - 1))?;
        Some(Self { offset: offset(second)?, began, offset_before, ends })
    }

    /// The wall time up to which it repeats what was there before; long past, where it repeats nothing.
    fn repeats_until(&self) -> i64 {
        self.began.map_or(i64::MIN, |began| began + self.offset_before)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::period::parse_zone;
    use proptest::prelude::*;

    /// The instants that follow, in UTC.
    #[track_caller]
    fn comes(expression: &str, zone: &str, after: &str, expected: &[&str]) {
        let zone = parse_zone(zone).unwrap();
        let mut instant: Timestamp = after.parse().unwrap();
        for expected in expected {
            instant = next_wake(expression, &zone, instant).unwrap();
            assert_eq!(instant, expected.parse().unwrap(), "{expression} after {after}");
        }
    }

    /// On 2027-03-28 at 01:00 UTC, 02:00 becomes 03:00.
    #[test]
    fn an_hourly_wake_keeps_its_hour_when_the_clocks_go_forward() {
        let expected = ["2027-03-28T00:05:00Z", "2027-03-28T01:05:00Z", "2027-03-28T02:05:00Z"];
        comes("5 * * * *", "Europe/Berlin", "2027-03-27T23:05:00Z", &expected);
    }

    /// On 2027-10-31 at 01:00 UTC, 03:00 becomes 02:00.
    #[test]
    fn an_hourly_wake_keeps_its_hour_when_the_clocks_go_back() {
        let expected =
            ["2027-10-31T00:05:00Z", "2027-10-31T01:05:00Z", "2027-10-31T02:05:00Z", "2027-10-31T03:05:00Z"];
        comes("5 * * * *", "Europe/Berlin", "2027-10-30T23:05:00Z", &expected);
        comes(
            "*/30 2 * * *",
            "Europe/Berlin",
            "2027-10-30T12:00:00Z",
            &[
                "2027-10-31T00:00:00Z",
                "2027-10-31T00:30:00Z",
                "2027-10-31T01:00:00Z",
                "2027-10-31T01:30:00Z",
                "2027-11-01T01:00:00Z",
            ],
        );
    }

    #[test]
    fn a_daily_wake_that_the_clocks_skip_comes_at_the_change() {
        let expected = ["2027-03-27T01:30:00Z", "2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"];
        comes("30 2 * * *", "Europe/Berlin", "2027-03-26T12:00:00Z", &expected);
        // Also for whoever looks in the last moment before it, and not again at it.
        comes("30 2 * * *", "Europe/Berlin", "2027-03-28T00:59:59.9Z", &["2027-03-28T01:00:00Z"]);
        comes("30 2 * * *", "Europe/Berlin", "2027-03-28T01:00:00Z", &["2027-03-29T00:30:00Z"]);
        comes("0 3 * * *", "Europe/Berlin", "2027-03-27T12:00:00Z", &["2027-03-28T01:00:00Z"]);
        comes("59 1 * * *", "Europe/Berlin", "2027-03-27T12:00:00Z", &["2027-03-28T00:59:00Z"]);
    }

    #[test]
    fn a_daily_wake_that_the_clocks_repeat_comes_the_first_time() {
        let expected = ["2027-10-30T00:30:00Z", "2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"];
        comes("30 2 * * *", "Europe/Berlin", "2027-10-29T12:00:00Z", &expected);
        // Also for whoever looks in the second half, before and after the time of day.
        for after in ["2027-10-31T01:00:00Z", "2027-10-31T01:10:00Z", "2027-10-31T01:30:00Z"] {
            comes("30 2 * * *", "Europe/Berlin", after, &["2027-11-01T01:30:00Z"]);
        }
        comes("0 3 * * *", "Europe/Berlin", "2027-10-31T01:10:00Z", &["2027-10-31T02:00:00Z"]);
    }

    #[test]
    fn months_end_where_they_end() {
        let ends = ["2027-01-31T20:59:00Z", "2027-02-28T20:59:00Z", "2027-03-31T20:59:00Z"];
        comes("59 23 L * *", "Europe/Istanbul", "2027-01-10T00:00:00Z", &ends);
        let thirty_firsts = ["2027-01-31T00:00:00Z", "2027-03-31T00:00:00Z", "2027-05-31T00:00:00Z"];
        comes("0 0 31 * *", "UTC", "2027-01-10T00:00:00Z", &thirty_firsts);
        comes("0 0 29 2 *", "Europe/Berlin", "2026-10-01T00:00:00Z", &["2028-02-28T23:00:00Z"]);
        comes("0 0 1 1 *", "America/New_York", "2026-12-31T12:00:00Z", &["2027-01-01T05:00:00Z"]);
    }

    /// Samoa left out 2011-12-30; Lord Howe moves its clocks by half an hour.
    #[test]
    fn the_oddest_changes_of_clocks_are_no_trouble() {
        comes("0 12 30 12 *", "Pacific/Apia", "2011-12-29T00:00:00Z", &["2011-12-30T10:00:00Z"]);
        comes("0 12 * * *", "Pacific/Apia", "2011-12-29T22:00:00Z", &["2011-12-30T10:00:00Z"]);
        let expected = ["2027-04-03T15:00:00Z", "2027-04-03T15:30:00Z", "2027-04-03T16:00:00Z"];
        comes("0 2 * * *", "Australia/Lord_Howe", "2027-04-03T10:00:00Z", &["2027-04-03T15:30:00Z"]);
        comes("*/30 * * * *", "Australia/Lord_Howe", "2027-04-03T14:40:00Z", &expected);
    }

    #[test]
    fn the_instant_itself_and_parts_of_a_second_do_not_count() {
        comes("5 * * * *", "UTC", "2027-01-01T00:05:00Z", &["2027-01-01T01:05:00Z"]);
        comes("5 * * * *", "UTC", "2027-01-01T00:04:59.999Z", &["2027-01-01T00:05:00Z"]);
        comes("* * * * * *", "UTC", "2027-01-01T00:00:00.5Z", &["2027-01-01T00:00:01Z"]);
    }

    #[test]
    fn what_cannot_be_read_and_what_never_comes_are_two_errors() {
        let after = "2027-01-01T00:00:00Z".parse().unwrap();
        for expression in
            ["", "hourly", "* * * *", "60 * * * *", "5 25 * * *", "* * * * * * * *", "ı * * * *"]
        {
            let error = next_wake(expression, &TimeZone::UTC, after).unwrap_err();
            assert!(matches!(error, ScheduleError::Expression { .. }), "{expression}: {error}");
        }
        for expression in ["0 0 30 2 *", "0 0 0 1 1 * 2020"] {
            let error = next_wake(expression, &TimeZone::UTC, after).unwrap_err();
            assert!(matches!(error, ScheduleError::Never { .. }), "{expression}: {error}");
        }
    }

    proptest! {
        /// Minute by minute: nothing that matches on the wall lies between, and what is found matches.
        #[test]
        fn no_minute_of_a_repetition_is_left_out(
            expression in prop::sample::select(vec!["*/5 * * * *", "7 */3 * * *", "*/20 1-4 * * *", "0 * * * SUN", "15 2,3 * * *"]),
            zone in prop::sample::select(vec!["Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Tehran", "UTC", "Africa/Casablanca"]),
            near in prop::sample::select(vec![1_806_195_600_i64, 1_824_944_400, 1_790_000_000, 1_804_000_000]),
            offset in -200_000_i64..200_000,
        ) {
            let zone = parse_zone(zone).unwrap();
            let cron: Cron = expression.parse().unwrap();
            let after = near + offset;
            let found = next_wake(expression, &zone, Timestamp::from_second(after).unwrap()).unwrap().as_second();
            prop_assert!(found > after);
            let matches = |second: i64| {
                let wall = second + i64::from(zone.to_offset(Timestamp::from_second(second).unwrap()).seconds());
                cron.is_time_matching(&DateTime::from_timestamp(wall, 0).unwrap()).unwrap()
            };
            prop_assert!(matches(found));
            let first_minute = (after.div_euclid(60) + 1) * 60;
            let between = (first_minute..found).step_by(60).find(|second| matches(*second));
            prop_assert_eq!(between, None);
        }

        #[test]
        fn no_expression_panics(expression in "[-0-9*/,LW#?@A-Za-z ]{0,24}", after in -62_000_000_000_i64..253_000_000_000) {
            let after = Timestamp::from_second(after).unwrap();
            let zone = parse_zone("Europe/Berlin").unwrap();
            if let Ok(found) = next_wake(&expression, &zone, after) {
                prop_assert!(found > after);
            }
        }
    }
}
