//! Windows: how the life of a subscription is cut into pieces that are billed together.
//!
//! In: a subscription's instants. Out: half-open windows. Months are counted from the anchor, in UTC, and clamped (31
//! January, 28 February, 31 March); windows are never chained. A trial is one window, whatever its length.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

use super::records::{Cycle, Interval, Phase, Subscription, Window};

/// A window that has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    pub window: Window,
    /// The subscription ended with it.
    pub is_last: bool,
}

impl Subscription {
    /// The window that holds an instant, as if the subscription never ended.
    pub fn window_at(&self, instant: i64) -> Window {
        if let Some(window) = self.windows.iter().find(|one| one.start <= instant && instant < one.end) {
            return *window;
        }
        if let Some(trial_end) = self.trial_end.filter(|end| instant < *end) {
            return Window { start: self.start, end: trial_end };
        }
        let at = self.phases.iter().rposition(|phase| phase.from <= instant).unwrap_or(0);
        let Some(phase) = self.phases.get(at) else { return Window { start: instant, end: instant } };
        let window = in_cycle(*phase, instant);
        // Nothing reaches over the start, the trial's end, another phase or a window that was given.
        let given = self.windows.iter().flat_map(|one| [one.start, one.end]);
        let cuts =
            given.chain(self.phases.iter().map(|phase| phase.from)).chain([self.start]).chain(self.trial_end);
        cuts.fold(window, |window, cut| match cut {
            _ if cut <= instant => Window { start: window.start.max(cut), ..window },
            _ => Window { end: window.end.min(cut), ..window },
        })
    }

    /// The window that holds an instant, cut where the subscription ends.
    pub fn live_window_at(&self, instant: i64) -> Ended {
        let window = self.window_at(instant);
        match self.ends_at.filter(|end| *end <= window.end) {
            Some(end) => Ended { window: Window { end, ..window }, is_last: true },
            None => Ended { window, is_last: false },
        }
    }

    /// All windows that have ended, oldest first.
    pub fn ended_windows(&self, now: i64) -> Vec<Ended> {
        let mut ended = Vec::new();
        let mut at = self.start;
        loop {
            let next = self.live_window_at(at);
            if next.window.end > now || next.window.end <= at {
                return ended;
            }
            ended.push(next);
            if next.is_last {
                return ended;
            }
            at = next.window.end;
        }
    }

    pub fn is_trial(&self, window: Window) -> bool {
        self.trial_end.is_some_and(|end| window.end <= end)
    }
}

fn in_cycle(phase: Phase, instant: i64) -> Window {
    let Phase { anchor, cycle, .. } = phase;
    let step = cycle.count.max(1);
    let mut number = match cycle.interval {
        Interval::Day => (instant - anchor).div_euclid(86_400 * step),
        Interval::Week => (instant - anchor).div_euclid(604_800 * step),
        Interval::Month => (months(instant) - months(anchor)).div_euclid(step),
        Interval::Year => (months(instant) - months(anchor)).div_euclid(12 * step),
    };
    // The day within the month decides the last step.
    while boundary(anchor, cycle, number) > instant {
        number -= 1;
    }
    while boundary(anchor, cycle, number + 1) <= instant {
        number += 1;
    }
    Window { start: boundary(anchor, cycle, number), end: boundary(anchor, cycle, number + 1) }
}

fn boundary(anchor: i64, cycle: Cycle, number: i64) -> i64 {
    let steps = number * cycle.count.max(1);
    match cycle.interval {
        Interval::Day => anchor + steps * 86_400,
        Interval::Week => anchor + steps * 604_800,
        Interval::Month => add_months(anchor, steps),
        Interval::Year => add_months(anchor, steps * 12),
    }
}

fn add_months(anchor: i64, months: i64) -> i64 {
    let moved = civil(anchor).saturating_add(Span::new().months(months));
    TimeZone::UTC.to_timestamp(moved).map_or(anchor, Timestamp::as_second)
}

fn months(instant: i64) -> i64 {
    let date = civil(instant).date();
    i64::from(date.year()) * 12 + i64::from(date.month())
}

fn civil(instant: i64) -> DateTime {
    TimeZone::UTC.to_datetime(Timestamp::from_second(instant).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::records::Status;
    use super::*;
    use crate::domain::period::{self, Period};

    fn subscription(interval: Interval, start: i64, anchor: i64, trial_end: Option<i64>) -> Subscription {
        Subscription {
            id: "sub_1".to_owned(),
            customer: "cus_1".to_owned(),
            currency: "usd".to_owned(),
            created: start,
            start,
            trial_end,
            phases: vec![Phase { from: start, anchor, cycle: Cycle { interval, count: 1 } }],
            windows: Vec::new(),
            items: Vec::new(),
            terms: super::super::terms::Terms::default(),
            status: Status::Active,
            past_statuses: Vec::new(),
            ends_at: None,
            cancel_requested_at: None,
            cancel_at_period_end: false,
            ends_unbilled: false,
            invoiced_from: start,
            flexible: false,
            collection_method: "charge_automatically".to_owned(),
            days_until_due: None,
            description: None,
            metadata: super::super::records::Metadata::new(),
        }
    }

    /// The ledger's window of an anchor that holds an instant. It is laid out by labels, this one by steps from the anchor.
    fn of_the_ledger(interval: Interval, anchor: i64, instant: i64) -> Window {
        let at = |second| Timestamp::from_second(second).unwrap();
        let interval =
            if interval == Interval::Year { period::Interval::Year } else { period::Interval::Month };
        let cycle = period::Cycle::Anchored { anchor: at(anchor), interval };
        let first = Period::containing(at(instant), &TimeZone::UTC).previous().previous();
        let labels = std::iter::successors(Some(first), |label| Some(label.next())).take(16);
        let windows = labels.filter_map(|label| cycle.window(label));
        let window = windows.into_iter().find(|one| one.contains(at(instant))).unwrap();
        Window { start: window.start.as_second(), end: window.end.as_second() }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        #[test]
        fn windows_are_those_of_the_ledger_for_any_anchor_and_any_trial(
            start in 946_684_800i64..4_000_000_000,
            trial in prop::option::of(1i64..400 * 86_400),
            later in 0i64..40 * 365 * 86_400,
            is_yearly in any::<bool>(),
            // Of a month's last days as often as not.
            late_in_month in any::<bool>(),
        ) {
            let interval = if is_yearly { Interval::Year } else { Interval::Month };
            let start = if late_in_month { last_days(start) } else { start };
            let trial_end = trial.map(|length| start + length);
            let anchor = trial_end.unwrap_or(start);
            let one = subscription(interval, start, anchor, trial_end);
            let instant = start + later;
            let expected = match trial_end {
                Some(trial_end) if instant < trial_end => Window { start, end: trial_end },
                _ => of_the_ledger(interval, anchor, instant),
            };
            prop_assert_eq!(one.window_at(instant), expected);
        }
    }

    /// The same time on one of the last three days of its month.
    fn last_days(instant: i64) -> i64 {
        let moment = civil(instant);
        let last = i64::from(moment.date().days_in_month());
        instant + 86_400 * (last - instant.rem_euclid(3) - i64::from(moment.date().day()))
    }
}
