//! The windows of a tenant: which pieces of time are billed together, and on which plan.
//!
//! In: the rows of a tenant, a label, the billing time zone. Out: all windows with that label, cut into segments (one plan
//! each) and gaps (no plan). A trial is a window of its own, so a month may have two. Never picks one of two windows that
//! overlap: the tenant is parked.

use jiff::tz::TimeZone;

use crate::domain::period::{Period, Window};
use crate::domain::tenant::{ParkReason, Subscription, SubscriptionStatus, Tenant};

/// A part of a window on one plan.
#[derive(Clone, Debug)]
pub struct Segment<'a> {
    pub range: Window,
    pub subscription: &'a Subscription,
    /// Stripe makes invoices for it. What is used elsewhere is excluded and reported.
    pub invoiced: bool,
}

/// A window of one tenant.
#[derive(Clone, Debug)]
pub struct TenantWindow<'a> {
    pub tenant: &'a Tenant,
    pub window: Window,
    /// Nothing is charged in it, and it is in no metric.
    pub trial: bool,
    pub segments: Vec<Segment<'a>>,
    /// Parts of the window in which the tenant had no plan; usage there is excluded and reported.
    pub gaps: Vec<Window>,
    /// The time whose usage belongs here: the window, unless a row of the tenant with another cycle takes a part of it.
    pub accounted: Vec<Window>,
    pub park: Option<ParkReason>,
}

impl Segment<'_> {
    fn continues_in(&self, next: &Self) -> bool {
        let ids = |one: &Self| {
            let row = one.subscription;
            (row.plan.clone(), row.stripe_customer_id.clone(), row.stripe_subscription_id.clone())
        };
        self.range.end == next.range.start && self.invoiced == next.invoiced && ids(self) == ids(next)
    }
}

impl<'a> TenantWindow<'a> {
    /// The segments that Stripe makes invoices for.
    pub fn invoiced(&self) -> impl DoubleEndedIterator<Item = &Segment<'a>> {
        self.segments.iter().filter(|segment| segment.invoiced)
    }

    /// Whether there is a plan, and no invoice for any of it.
    pub fn is_inactive(&self) -> bool {
        !self.segments.is_empty() && self.invoiced().next().is_none()
    }
}

/// A window in the cycle of one row, whether the row covers it or not.
struct Laid<'a> {
    row: &'a Subscription,
    window: Window,
    trial: bool,
    /// When the trial began is not known, so its window is not either.
    without_start: bool,
}

impl<'a> Laid<'a> {
    fn segment(&self) -> Option<Segment<'a>> {
        let range = self.row.span().intersection(self.window)?;
        // Where a trial ends in a pause, the row says `paused` from then on; the trial took place.
        let was_in_trial = self.trial && self.row.status == SubscriptionStatus::Paused;
        let invoiced = self.row.status.is_invoiced() || was_in_trial;
        Some(Segment { range, subscription: self.row, invoiced })
    }

    fn park(&self) -> Option<ParkReason> {
        let row = self.row;
        if self.without_start || (row.status == SubscriptionStatus::Trialing && row.trial_end.is_none()) {
            return Some(ParkReason::Trial);
        }
        let ended = row.status != SubscriptionStatus::Canceled || row.ended_at.is_some();
        (!ended).then_some(ParkReason::CanceledWithoutEnd)
    }
}

impl Tenant {
    /// All windows with the label `period`, in time. Those without a segment matter only where there is usage all the
    /// same.
    pub fn windows(&self, period: Period, zone: &TimeZone) -> Vec<TenantWindow<'_>> {
        let rows = self.subscriptions().iter();
        let laid: Vec<Laid<'_>> = rows.flat_map(|row| self.laid(row, period, zone)).collect();
        let is_covered = |one: &&Laid<'_>| one.segment().is_some();
        let overlapping = overlapping(laid.iter().filter(is_covered));
        let taken = |window: Window| {
            overlapping.iter().flatten().any(|one| one.window.intersection(window).is_some())
        };
        let last_row = laid.last().map(|one| one.row);
        let free = laid.iter().filter(|one| Some(one.row) == last_row && !taken(one.window));
        let mut windows: Vec<TenantWindow<'_>> =
            overlapping.iter().map(|group| self.window_of(group, &laid)).collect();
        windows.extend(free.map(|one| self.window_of(&[one], &laid)));
        windows.sort_by_key(|one| one.window);
        windows
    }

    /// One window out of those that have time in common. Where they differ, the first stands for all, parked.
    fn window_of<'a>(&'a self, group: &[&Laid<'a>], laid: &[Laid<'a>]) -> TenantWindow<'a> {
        let (window, trial) = group.first().map_or((NOTHING, false), |one| (one.window, one.trial));
        let segments = joined(group.iter().filter_map(|one| one.segment()));
        let gaps = window.without(self.subscriptions().iter().map(Subscription::span));
        let changes = group.iter().any(|one| one.window != window);
        let park =
            if changes { Some(ParkReason::WindowChange) } else { group.iter().find_map(|one| one.park()) };
        let is_elsewhere = |row: &Subscription| {
            row.span().intersection(window).is_some()
                && !laid.iter().any(|one| one.row == row && one.window == window)
        };
        let accounted = if self.subscriptions().iter().any(is_elsewhere) {
            segments.iter().map(|segment| segment.range).chain(gaps.iter().copied()).collect()
        } else {
            vec![window]
        };
        let park = park.filter(|_| !segments.is_empty());
        TenantWindow { tenant: self, window, trial, segments, gaps, accounted, park }
    }

    /// The windows with the label `period` in the cycle of one row: before its trial, the trial, after it.
    fn laid<'a>(&self, row: &'a Subscription, period: Period, zone: &TimeZone) -> Vec<Laid<'a>> {
        let laid = |window, trial| Laid { row, window, trial, without_start: false };
        let in_cycle = row.cycle(zone).window(period);
        let Some(trial_end) = row.trial_end else {
            return in_cycle.map(|window| laid(window, false)).into_iter().collect();
        };
        // The rows are sorted, so the first one that speaks of this trial tells when it began.
        let first = self.subscriptions().iter().find(|one| one.trial_end == Some(trial_end)).unwrap_or(row);
        let Some(start) = first.started_at else {
            let of_cycle = |window: Window| {
                let trial = window.start < trial_end;
                Laid { row, window, trial, without_start: trial }
            };
            return in_cycle.map(of_cycle).into_iter().collect();
        };
        let trial = Window { start, end: trial_end };
        let mut all = Vec::new();
        if start < trial_end && Period::of_window(trial) == period {
            all.push(laid(trial, true));
        }
        // Nothing of the cycle lies in the trial; what it lays before ends where the trial begins.
        let outside = in_cycle.filter(|window| window.start < start || trial_end <= window.start);
        all.extend(outside.map(|window| {
            let end = if window.start < trial_end { window.end.min(start) } else { window.end };
            laid(Window { end, ..window }, false)
        }));
        all
    }
}

/// Only another plan cuts a window: rows that follow each other on one plan are one segment, with the newest row.
fn joined<'a>(segments: impl Iterator<Item = Segment<'a>>) -> Vec<Segment<'a>> {
    let mut joined: Vec<Segment<'a>> = Vec::new();
    for segment in segments {
        match joined.last_mut().filter(|last| last.continues_in(&segment)) {
            Some(last) => {
                *last = Segment { range: Window { end: segment.range.end, ..last.range }, ..segment };
            }
            None => joined.push(segment),
        }
    }
    joined
}

const NOTHING: Window = Window { start: jiff::Timestamp::MIN, end: jiff::Timestamp::MIN };

/// Windows sorted into groups that have no time in common with each other.
fn overlapping<'l, 'a>(all: impl Iterator<Item = &'l Laid<'a>>) -> Vec<Vec<&'l Laid<'a>>> {
    let mut groups: Vec<Vec<&Laid<'_>>> = Vec::new();
    for one in all {
        let touches = |other: &&Laid<'_>| other.window.intersection(one.window).is_some();
        let (touching, apart): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| group.iter().any(touches));
        groups = apart;
        let mut group: Vec<&Laid<'_>> = touching.into_iter().flatten().collect();
        group.push(one);
        group.sort_by_key(|one| one.row.span());
        groups.push(group);
    }
    groups
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::*;
    use crate::domain::period::{Interval, parse_zone};
    use crate::domain::tenant::tests::row;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn in_trial(row: Subscription, trial_end: &str) -> Subscription {
        Subscription { trial_end: Some(at(trial_end)), ..row }
    }

    fn tenant(rows: Vec<Subscription>) -> Tenant {
        Tenant::new("acme".into(), rows).unwrap()
    }

    fn windows<'a>(tenant: &'a Tenant, period: &str) -> Vec<TenantWindow<'a>> {
        tenant.windows(Period::parse(period).unwrap(), &TimeZone::UTC)
    }

    fn only<'a>(tenant: &'a Tenant, period: &str) -> TenantWindow<'a> {
        let mut all = windows(tenant, period);
        assert_eq!(all.len(), 1, "{all:?}");
        all.remove(0)
    }

    /// `start end` of each window, `T` before a trial's, `-` before one without a plan, the reason after a parked one.
    fn shown(tenant: &Tenant, period: &str) -> Vec<String> {
        let show = |one: &TenantWindow<'_>| {
            let mark = match (one.trial, one.segments.is_empty()) {
                (true, _) => "T ",
                (false, true) => "- ",
                (false, false) => "",
            };
            let park = one.park.map(|reason| format!(" {}", reason.as_str())).unwrap_or_default();
            format!("{mark}{} {}{park}", one.window.start, one.window.end)
        };
        windows(tenant, period).iter().map(show).collect()
    }

    #[test]
    fn a_plan_change_cuts_a_window_into_segments() {
        let change = Some("2026-10-15T12:00:00Z");
        let tenant = tenant(vec![row("pro", change, None), row("starter", None, change)]);
        let window = only(&tenant, "2026-10");
        let plans: Vec<&str> = window.segments.iter().map(|one| one.subscription.plan.key.as_str()).collect();
        assert_eq!(plans, ["starter", "pro"]);
        assert_eq!(window.segments[0].range.end, window.segments[1].range.start);
        assert!(window.gaps.is_empty());
    }

    #[test]
    fn a_plan_change_at_the_edge_of_a_window_leaves_one_segment_in_each() {
        let change = Some("2026-10-01T00:00:00Z");
        let tenant = tenant(vec![row("pro", change, None), row("starter", None, change)]);
        for (period, plan) in [("2026-09", "starter"), ("2026-10", "pro")] {
            let window = only(&tenant, period);
            assert_eq!((window.segments.len(), window.segments[0].range), (1, window.window));
            assert_eq!(window.segments[0].subscription.plan.key, plan);
        }
    }

    #[test]
    fn time_without_a_plan_is_a_gap_of_the_window() {
        let rows = vec![
            row("pro", Some("2026-10-03T00:00:00Z"), Some("2026-10-10T00:00:00Z")),
            row("pro", Some("2026-10-20T00:00:00Z"), None),
        ];
        assert_eq!(only(&tenant(rows), "2026-10").gaps.len(), 2);
        let ended = tenant(vec![row("pro", None, Some("2026-09-01T00:00:00Z"))]);
        let window = only(&ended, "2026-10");
        assert!(window.segments.is_empty());
        assert_eq!(window.gaps, [window.window]);
    }

    #[test]
    fn two_different_windows_that_overlap_park_the_tenant() {
        let change = Some("2026-10-15T00:00:00Z");
        let mut anchored = row("pro", change, None);
        anchored.billing_anchor = change.map(at);
        let tenant = tenant(vec![row("pro", None, change), anchored]);
        assert_eq!(only(&tenant, "2026-10").park, Some(ParkReason::WindowChange));
    }

    #[test]
    fn a_trial_is_a_window_of_its_own_and_its_end_the_anchor_of_those_after_it() {
        // A calendar tenant, and one whose anchor was another.
        let mut anchored = row("pro", Some("2026-10-03T04:05:06Z"), None);
        anchored.billing_anchor = Some(at("2026-10-01T00:00:00Z"));
        for one in [row("pro", Some("2026-10-03T04:05:06Z"), None), anchored] {
            let tenant = tenant(vec![in_trial(one, "2026-10-31T07:08:09Z")]);
            assert_eq!(shown(&tenant, "2026-09"), ["- 2026-09-30T07:08:09Z 2026-10-03T04:05:06Z"]);
            assert_eq!(
                shown(&tenant, "2026-10"),
                ["T 2026-10-03T04:05:06Z 2026-10-31T07:08:09Z", "2026-10-31T07:08:09Z 2026-11-30T07:08:09Z"]
            );
            assert_eq!(shown(&tenant, "2026-11"), ["2026-11-30T07:08:09Z 2026-12-31T07:08:09Z"]);
            assert_eq!(shown(&tenant, "2027-02"), ["2027-02-28T07:08:09Z 2027-03-31T07:08:09Z"]);
        }
    }

    #[test]
    fn a_trial_carries_the_label_of_its_last_month_whatever_its_length() {
        let start = "2026-01-20T00:00:00Z";
        for (trial_end, label) in [
            ("2026-01-27T00:00:00Z", "2026-01"),
            ("2026-02-20T00:00:00Z", "2026-01"),
            ("2026-02-28T00:00:00Z", "2026-01"),
            ("2026-03-01T00:00:00Z", "2026-02"),
            ("2026-07-31T00:00:00Z", "2026-06"),
        ] {
            let tenant = tenant(vec![in_trial(row("pro", Some(start), None), trial_end)]);
            let labels =
                ["2025-12", "2026-01", "2026-02", "2026-03", "2026-04", "2026-05", "2026-06", "2026-07"];
            let of_trial = |label: &&str| windows(&tenant, label).iter().any(|one| one.trial);
            assert_eq!(labels.into_iter().filter(of_trial).collect::<Vec<_>>(), [label], "{trial_end}");
        }
    }

    #[test]
    fn a_plan_change_in_a_trial_is_a_segment_of_it_and_an_end_in_it_leaves_a_gap() {
        let (start, change, trial_end) =
            ("2026-10-01T00:00:00Z", "2026-10-05T00:00:00Z", "2026-10-15T00:00:00Z");
        let rows = vec![
            in_trial(row("starter", Some(start), Some(change)), trial_end),
            in_trial(row("pro", Some(change), None), trial_end),
        ];
        let changed = tenant(rows);
        let all = windows(&changed, "2026-10");
        assert_eq!((all.len(), all[0].trial, all[0].segments.len(), all[1].segments.len()), (2, true, 2, 1));
        let ended = tenant(vec![in_trial(row("pro", Some(start), Some(change)), trial_end)]);
        let all = windows(&ended, "2026-10");
        assert_eq!(all[0].gaps, [Window { start: at(change), end: at(trial_end) }]);
        assert_eq!((all[0].trial, all[1].segments.len()), (true, 0));
        // A row that starts after the trial, or with its end, keeps the anchor and has no trial.
        for start in [trial_end, "2026-11-20T00:00:00Z"] {
            let later = tenant(vec![in_trial(row("pro", Some(start), None), trial_end)]);
            assert_eq!(shown(&later, "2026-11"), ["2026-11-15T00:00:00Z 2026-12-15T00:00:00Z"]);
            assert!(!windows(&later, "2026-10").iter().any(|one| one.trial));
        }
    }

    #[test]
    fn a_trial_without_start_or_end_and_a_cancellation_without_end_park_the_tenant() {
        let trial_end = "2026-10-15T00:00:00Z";
        let no_start = tenant(vec![in_trial(row("pro", None, None), trial_end)]);
        assert_eq!(shown(&no_start, "2026-09"), ["T 2026-09-15T00:00:00Z 2026-10-15T00:00:00Z trial"]);
        assert_eq!(shown(&no_start, "2026-10"), ["2026-10-15T00:00:00Z 2026-11-15T00:00:00Z"]);
        let mut no_end = row("pro", Some("2026-10-01T00:00:00Z"), None);
        no_end.status = SubscriptionStatus::Trialing;
        assert_eq!(
            shown(&tenant(vec![no_end]), "2026-10"),
            ["2026-10-01T00:00:00Z 2026-11-01T00:00:00Z trial"]
        );
        let mut canceled = row("pro", Some("2026-10-01T00:00:00Z"), None);
        canceled.status = SubscriptionStatus::Canceled;
        let shown = shown(&tenant(vec![canceled]), "2026-10");
        assert_eq!(shown, ["2026-10-01T00:00:00Z 2026-11-01T00:00:00Z canceled_without_end"]);
    }

    #[test]
    fn a_trial_that_ends_in_a_pause_was_a_trial_and_what_follows_is_inactive() {
        let mut paused = in_trial(row("pro", Some("2026-10-01T00:00:00Z"), None), "2026-10-15T00:00:00Z");
        paused.status = SubscriptionStatus::Paused;
        let tenant = tenant(vec![paused]);
        let inactive: Vec<bool> = windows(&tenant, "2026-10").iter().map(TenantWindow::is_inactive).collect();
        assert_eq!(inactive, [false, true]);
    }

    /// Stripe's renewal dates. The first is the example of its page "Set the subscription billing renewal date"
    /// (docs.stripe.com/billing/subscriptions/billing-cycle: anchored on 31 January it bills on the last day of the month
    /// closest to the anchor, "February 28 (or February 29 in a leap year), then March 31, April 30"); the others follow
    /// from the rule on that page, and each date was worked out by hand.
    #[test]
    fn windows_begin_on_stripes_renewal_dates() {
        const TIME: &str = "T09:30:15Z";
        let monthly: [(&str, &[&str]); 6] = [
            (
                "2026-01-31",
                &["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31", "2026-06-30"],
            ),
            ("2028-01-31", &["2028-01-31", "2028-02-29", "2028-03-31", "2028-04-30"]),
            ("2027-01-30", &["2027-01-30", "2027-02-28", "2027-03-30", "2027-04-30"]),
            ("2027-01-29", &["2027-01-29", "2027-02-28", "2027-03-29"]),
            ("2024-02-29", &["2024-02-29", "2024-03-29", "2024-04-29"]),
            ("2026-12-31", &["2026-12-31", "2027-01-31", "2027-02-28", "2027-03-31"]),
        ];
        let yearly: [(&str, &[&str]); 3] = [
            ("2024-02-29", &["2024-02-29", "2025-02-28", "2026-02-28", "2027-02-28", "2028-02-29"]),
            ("2026-12-31", &["2026-12-31", "2027-12-31", "2028-12-31"]),
            ("2026-06-15", &["2026-06-15", "2027-06-15"]),
        ];
        let tables = monthly
            .iter()
            .map(|one| (Interval::Month, one))
            .chain(yearly.iter().map(|one| (Interval::Year, one)));
        for (interval, (anchor, dates)) in tables {
            for with_trial in [false, true] {
                let anchor = at(&format!("{anchor}{TIME}"));
                let mut one = row("pro", None, None);
                one.plan.interval = interval;
                // The trial's end is the anchor, whatever the row says beside it.
                if with_trial {
                    one.started_at = Some(anchor - jiff::SignedDuration::from_hours(24 * 14));
                    one.billing_anchor = Some(at("2020-05-17T00:00:00Z"));
                    one.trial_end = Some(anchor);
                } else {
                    one.billing_anchor = Some(anchor);
                }
                let tenant = tenant(vec![one]);
                let starts: Vec<Timestamp> = dates.iter().map(|date| at(&format!("{date}{TIME}"))).collect();
                for pair in starts.windows(2) {
                    let expected = Window { start: pair[0], end: pair[1] };
                    assert_eq!(holding(&tenant, pair[0], &TimeZone::UTC), [expected]);
                    let last = pair[1] - jiff::SignedDuration::from_nanos(1);
                    assert_eq!(holding(&tenant, last, &TimeZone::UTC), [expected]);
                }
            }
        }
    }

    /// All windows that hold an instant, under whatever label near it.
    fn holding(tenant: &Tenant, instant: Timestamp, zone: &TimeZone) -> Vec<Window> {
        let mut period = Period::containing(instant, &TimeZone::UTC);
        // A month for an anchor late in the month, a month for a zone; ahead a year's window or a trial.
        for _ in 0..2 {
            period = period.previous();
        }
        let mut found = Vec::new();
        for _ in 0..17 {
            let windows = tenant.windows(period, zone);
            found.extend(windows.iter().map(|one| one.window).filter(|window| window.contains(instant)));
            period = period.next();
        }
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]
        /// Years 2000 to 2100, any nanosecond, every zone, with and without a trial.
        #[test]
        fn every_instant_lies_in_exactly_one_window_of_a_tenant_with_one_row(
            anchor in prop::option::of(946_684_800i64..4_102_444_800),
            zone in prop::sample::select(jiff::tz::db().available().map(|name| name.to_string()).collect::<Vec<_>>()),
            is_yearly in any::<bool>(),
            start in prop::option::of(946_684_800i64..4_102_444_800),
            trial in prop::option::of(1i64..400 * 86_400),
            second in prop_oneof![
                (946_684_800i64..4_102_444_800).prop_map(Ok),
                // Near the start and the trial's end, where windows are cut.
                (-40 * 86_400i64..440 * 86_400).prop_map(Err),
                prop::sample::select(vec![-1i64, 0, 1]).prop_map(Err),
            ],
            nanosecond in prop::sample::select(vec![0, 1, 999_999_999]),
        ) {
            let instant_of = |second| Timestamp::from_second(second).unwrap();
            let mut one = row("pro", None, None);
            one.billing_anchor = anchor.map(instant_of);
            one.started_at = start.map(instant_of);
            one.trial_end = start.zip(trial).map(|(start, length)| instant_of(start + length));
            if is_yearly {
                one.plan.interval = Interval::Year;
            }
            let edge = one.trial_end.map_or(start.unwrap_or(1_700_000_000), Timestamp::as_second);
            let second = second.unwrap_or_else(|offset| edge + offset);
            let instant = Timestamp::new(second, nanosecond).unwrap();
            let tenant = tenant(vec![one.clone()]);
            let found = holding(&tenant, instant, &parse_zone(&zone).unwrap());
            prop_assert_eq!(found.len(), 1, "{:?} of {:?} in {}", instant, one, zone);
        }
    }
}
