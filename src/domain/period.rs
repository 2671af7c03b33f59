//! Billing periods, windows and the cycles that lay them out.
//!
//! In: a label such as `2026-10`, a cycle (calendar months in a zone, or an anchor), instants. Out: half-open windows
//! of UTC instants. Never chains windows (31 Jan → 28 Feb → 31 Mar comes from the anchor each time), never reads a
//! clock, never asks the machine for its zone data: the tz database is compiled in.

use std::fmt;

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use jiff::{Timestamp, ToSpan};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PeriodError {
    #[error("`{0}` is not a billing period; write it as YYYY-MM, for example 2026-10")]
    NotAPeriod(String),
    #[error("`{0}` is not an IANA time zone, for example Europe/Istanbul")]
    UnknownZone(String),
}

const MINUTE: i64 = 60;

/// A label for all windows whose last month starts in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period {
    first_day: Date,
}

impl Period {
    pub fn parse(text: &str) -> Result<Self, PeriodError> {
        let wrong = || PeriodError::NotAPeriod(text.chars().take(32).collect());
        let (year, month) = text.split_once('-').ok_or_else(wrong)?;
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if year.len() != 4 || month.len() != 2 || !digits(year) || !digits(month) {
            return Err(wrong());
        }
        let year = year.parse().map_err(|_| wrong())?;
        let month = month.parse().map_err(|_| wrong())?;
        Date::new(year, month, 1).map(|first_day| Self { first_day }).map_err(|_| wrong())
    }

    /// The month that holds `instant` in `zone`.
    pub fn containing(instant: Timestamp, zone: &TimeZone) -> Self {
        Self { first_day: zone.to_datetime(instant).date().first_of_month() }
    }

    #[must_use]
    pub fn next(self) -> Self {
        Self { first_day: self.first_day.saturating_add(1.month()) }
    }

    #[must_use]
    pub fn previous(self) -> Self {
        Self { first_day: self.first_day.saturating_sub(1.month()) }
    }

    /// The label of a window that belongs to no cycle, such as a trial: the month (UTC) in which its last month starts.
    pub fn of_window(window: Window) -> Self {
        let last_month = months_after(window.end, -1).unwrap_or(window.start);
        Self::containing(window.start.max(last_month), &TimeZone::UTC)
    }

    /// The first instant of the month in `zone`.
    pub fn start(self, zone: &TimeZone) -> Timestamp {
        midnight(self.first_day, zone)
    }

    fn months_since_year_zero(self) -> i32 {
        i32::from(self.first_day.year()) * 12 + i32::from(self.first_day.month()) - 1
    }
}

impl fmt::Display for Period {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.pad(&format!("{:04}-{:02}", self.first_day.year(), self.first_day.month()))
    }
}

/// Half-open `[start, end)` of UTC instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Window {
    pub start: Timestamp,
    pub end: Timestamp,
}

impl Window {
    /// The common part, or `None` where there is none.
    pub fn intersection(self, other: Self) -> Option<Self> {
        let common = Self { start: self.start.max(other.start), end: self.end.min(other.end) };
        (common.start < common.end).then_some(common)
    }

    pub fn contains(self, instant: Timestamp) -> bool {
        self.start <= instant && instant < self.end
    }

    /// Widened to whole minutes.
    #[must_use]
    pub fn in_whole_minutes(self) -> Self {
        let floor = |instant: Timestamp| instant.as_second().div_euclid(MINUTE) * MINUTE;
        // Instants near the ends of all time stay as they are.
        let start = Timestamp::from_second(floor(self.start)).unwrap_or(self.start);
        let end = Timestamp::from_second(floor(self.end)).unwrap_or(self.end);
        let next = || Timestamp::from_second(floor(self.end) + MINUTE).unwrap_or(self.end);
        Self { start, end: if end < self.end { next() } else { end } }
    }

    /// What is left of this window without `taken` (sorted or not, overlapping or not), in order.
    pub fn without(self, taken: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut taken: Vec<Self> = taken.into_iter().filter_map(|one| one.intersection(self)).collect();
        taken.sort_unstable();
        let mut gaps = Vec::new();
        let mut start = self.start;
        for one in taken {
            if start < one.start {
                gaps.push(Self { start, end: one.start });
            }
            start = start.max(one.end);
        }
        if start < self.end {
            gaps.push(Self { start, end: self.end });
        }
        gaps
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Interval {
    Month,
    Year,
}

impl Interval {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "month" => Some(Self::Month),
            "year" => Some(Self::Year),
            _ => None,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    pub(in crate::domain) fn months(self) -> i32 {
        match self {
            Self::Month => 1,
            Self::Year => 12,
        }
    }
}

/// How a subscription's windows lie in time.
#[derive(Clone, Debug)]
pub enum Cycle {
    /// Calendar months or years of a zone.
    Calendar { zone: TimeZone, interval: Interval },
    /// Months or years from an anchor, in UTC as Stripe counts them (billing-cycle page: the day is clamped to the
    /// month's last from the original anchor each time).
    Anchored { anchor: Timestamp, interval: Interval },
}

impl Cycle {
    /// The window that carries the label `period`; a yearly cycle has one in one month of twelve.
    pub fn window(&self, period: Period) -> Option<Window> {
        match self {
            Self::Calendar { zone, interval } => calendar_window(period, zone, *interval),
            Self::Anchored { anchor, interval } => anchored_window(period, *anchor, *interval),
        }
    }
}

fn calendar_window(period: Period, zone: &TimeZone, interval: Interval) -> Option<Window> {
    let end = period.next();
    let start = match interval {
        Interval::Month => period,
        Interval::Year => Period { first_day: period.first_day.first_of_year() },
    };
    let is_last_month = interval == Interval::Month || period.first_day.month() == 12;
    is_last_month.then(|| Window { start: start.start(zone), end: end.start(zone) })
}

fn anchored_window(period: Period, anchor: Timestamp, interval: Interval) -> Option<Window> {
    let anchor_month = Period::containing(anchor, &TimeZone::UTC).months_since_year_zero();
    let end_months = period.months_since_year_zero() - anchor_month + 1;
    if end_months.rem_euclid(interval.months()) != 0 {
        return None;
    }
    let start = months_after(anchor, end_months - interval.months())?;
    Some(Window { start, end: months_after(anchor, end_months)? })
}

/// jiff clamps the day to the month's last one, which is Stripe's rule as well.
fn months_after(anchor: Timestamp, months: i32) -> Option<Timestamp> {
    let moved = Offset::UTC.to_datetime(anchor).checked_add(months.months()).ok()?;
    Offset::UTC.to_timestamp(moved).ok()
}

/// The first instant of a day. Where a zone skips midnight, that is the first instant after the gap.
fn midnight(day: Date, zone: &TimeZone) -> Timestamp {
    day.to_zoned(zone.clone()).map_or(Timestamp::MAX, |zoned| zoned.timestamp())
}

/// A zone of the compiled-in tz database.
pub fn parse_zone(name: &str) -> Result<TimeZone, PeriodError> {
    TimeZone::get(name).map_err(|_| PeriodError::UnknownZone(name.chars().take(64).collect()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn window(cycle: &Cycle, period: &str) -> (String, String) {
        let window = cycle.window(Period::parse(period).unwrap()).unwrap();
        (window.start.to_string(), window.end.to_string())
    }

    fn pair(start: &str, end: &str) -> (String, String) {
        (start.to_owned(), end.to_owned())
    }

    #[test]
    fn a_window_is_widened_to_whole_minutes() {
        for (start, end, widened) in [
            (
                "2026-10-01T00:00:00Z",
                "2026-10-01T00:02:00Z",
                ["2026-10-01T00:00:00Z", "2026-10-01T00:02:00Z"],
            ),
            (
                "2026-10-01T00:00:59Z",
                "2026-10-01T00:02:01Z",
                ["2026-10-01T00:00:00Z", "2026-10-01T00:03:00Z"],
            ),
            (
                "2026-10-01T00:00:59.9Z",
                "2026-10-01T00:02:00.000000001Z",
                ["2026-10-01T00:00:00Z", "2026-10-01T00:03:00Z"],
            ),
            (
                "1969-12-31T23:58:30Z",
                "1969-12-31T23:59:59Z",
                ["1969-12-31T23:58:00Z", "1970-01-01T00:00:00Z"],
            ),
        ] {
            let window = Window { start: start.parse().unwrap(), end: end.parse().unwrap() };
            let whole = window.in_whole_minutes();
            assert_eq!([whole.start.to_string(), whole.end.to_string()], widened, "{start} {end}");
            assert_eq!(whole.in_whole_minutes(), whole);
        }
        let always = Window { start: Timestamp::MIN, end: Timestamp::MAX };
        assert!(always.in_whole_minutes().contains(always.start));
    }

    #[test]
    fn an_anchor_on_the_31st_is_clamped_from_the_anchor_and_never_chained() {
        let cycle = Cycle::Anchored { anchor: at("2027-01-31T09:30:15Z"), interval: Interval::Month };
        assert_eq!(window(&cycle, "2027-01"), pair("2027-01-31T09:30:15Z", "2027-02-28T09:30:15Z"));
        assert_eq!(window(&cycle, "2027-02"), pair("2027-02-28T09:30:15Z", "2027-03-31T09:30:15Z"));
        assert_eq!(window(&cycle, "2028-02"), pair("2028-02-29T09:30:15Z", "2028-03-31T09:30:15Z"));
    }

    #[test]
    fn a_yearly_window_carries_the_label_of_its_last_month() {
        let anchored = Cycle::Anchored { anchor: at("2024-02-29T00:00:00Z"), interval: Interval::Year };
        assert_eq!(window(&anchored, "2025-01"), pair("2024-02-29T00:00:00Z", "2025-02-28T00:00:00Z"));
        assert!(anchored.window(Period::parse("2025-02").unwrap()).is_none());
        let calendar = Cycle::Calendar { zone: TimeZone::UTC, interval: Interval::Year };
        assert_eq!(window(&calendar, "2026-12"), pair("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"));
    }

    #[test]
    fn calendar_months_begin_at_midnight_of_their_zone() {
        let month = |zone| Cycle::Calendar { zone: parse_zone(zone).unwrap(), interval: Interval::Month };
        assert_eq!(
            window(&month("Europe/Berlin"), "2027-03"),
            pair("2027-02-28T23:00:00Z", "2027-03-31T22:00:00Z")
        );
        assert_eq!(
            window(&month("Europe/Istanbul"), "2026-10"),
            pair("2026-09-30T21:00:00Z", "2026-10-31T21:00:00Z")
        );
    }

    #[test]
    fn a_wrong_label_or_zone_is_an_error_with_an_example() {
        for text in ["2026-13", "2026-1", "26-10", "2026/10", "", "+026-10", "2026-10-01"] {
            assert!(Period::parse(text).is_err(), "{text}");
        }
        assert!(parse_zone("Europe/Atlantis").is_err());
    }

    /// Every zone of the compiled-in database.
    fn zones() -> Vec<String> {
        let zones: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
        assert!(zones.len() > 500, "{}", zones.len());
        zones
    }

    fn any_cycle() -> impl Strategy<Value = Cycle> {
        let interval = prop_oneof![Just(Interval::Month), Just(Interval::Year)];
        prop_oneof![
            (prop::sample::select(zones()), interval.clone()).prop_map(|(zone, interval)| {
                Cycle::Calendar { zone: parse_zone(&zone).unwrap(), interval }
            }),
            (946_684_800i64..4_102_444_800, interval).prop_map(|(second, interval)| Cycle::Anchored {
                anchor: Timestamp::from_second(second).unwrap(),
                interval
            }),
        ]
    }

    /// Where a clock skips midnight, the month begins with the first instant after; where it shows midnight twice, with
    /// the first of them. Every month of every zone.
    #[test]
    fn a_calendar_month_begins_when_the_zones_clock_first_shows_its_first_day() {
        for name in zones() {
            let zone = parse_zone(&name).unwrap();
            let mut period = Period::parse("2000-01").unwrap();
            while period < Period::parse("2101-01").unwrap() {
                let start = period.start(&zone);
                let before = start - jiff::SignedDuration::from_nanos(1);
                assert!(zone.to_datetime(start).date() >= period.first_day, "{name} {period}");
                assert!(zone.to_datetime(before).date() < period.first_day, "{name} {period}");
                period = period.next();
            }
        }
    }

    /// `zone period first instant`, each from the zone's history in the tz database: midnight skipped, a whole day
    /// skipped, midnight twice.
    #[test]
    fn months_with_a_change_of_clocks_at_their_edge_begin_at_these_instants() {
        for (zone, period, start) in [
            // Samoa had no 30 December 2011.
            ("Pacific/Apia", "2011-12", "2011-12-01T10:00:00Z"),
            ("Pacific/Apia", "2012-01", "2011-12-31T10:00:00Z"),
            // The Line Islands had no 31 December 1994.
            ("Pacific/Kiritimati", "1995-01", "1994-12-31T10:00:00Z"),
            // Paraguay's clocks went from midnight to one o'clock on 1 October 2017.
            ("America/Asuncion", "2017-10", "2017-10-01T04:00:00Z"),
            // St. John's clocks went from 0:01 on 1 November 2009 back to 23:01.
            ("America/St_Johns", "2009-11", "2009-11-01T02:30:00Z"),
            // A quarter of an hour counts.
            ("Asia/Kathmandu", "2026-10", "2026-09-30T18:15:00Z"),
        ] {
            let start_of = Period::parse(period).unwrap().start(&parse_zone(zone).unwrap());
            assert_eq!(start_of, at(start), "{zone} {period}");
        }
    }

    proptest! {
        #[test]
        fn the_windows_of_a_cycle_follow_each_other_without_gap_or_overlap(cycle in any_cycle()) {
            let mut period = Period::parse("2023-01").unwrap();
            let mut windows = Vec::new();
            while period < Period::parse("2031-01").unwrap() {
                windows.extend(cycle.window(period));
                period = period.next();
            }
            prop_assert!(windows.len() == 8 || windows.len() == 96);
            for pair in windows.windows(2) {
                prop_assert_eq!(pair[0].end, pair[1].start);
            }
        }

        #[test]
        fn a_window_and_what_is_taken_from_it_add_up(cuts in prop::collection::vec((0i64..100, 0i64..100), 0..6)) {
            let whole = Window { start: Timestamp::from_second(10).unwrap(), end: Timestamp::from_second(90).unwrap() };
            let taken: Vec<Window> = cuts.iter().map(|(a, b)| Window {
                start: Timestamp::from_second(*a.min(b)).unwrap(), end: Timestamp::from_second(*a.max(b)).unwrap(),
            }).collect();
            let gaps = whole.without(taken.clone());
            for second in 10..90 {
                let instant = Timestamp::from_second(second).unwrap();
                let inside = |one: &Window| one.start <= instant && instant < one.end;
                prop_assert_eq!(gaps.iter().filter(|gap| inside(gap)).count(), usize::from(!taken.iter().any(inside)));
            }
        }
    }
}
