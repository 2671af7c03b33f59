//! Tenants, their subscriptions in time, and the piece of a billing period that each of them covers.
//!
//! In: subscription rows of one tenant. Out: its window for a period, cut into segments (one plan each) and gaps (no
//! plan). Never guesses between two answers: what is ambiguous is a reason to park.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::catalog::PlanId;
use crate::domain::period::{Cycle, Period, Window};

/// Stripe's subscription statuses (API reference, `subscription.status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubscriptionStatus {
    Active,
    Trialing,
    PastDue,
    Unpaid,
    Paused,
    Canceled,
    Incomplete,
    IncompleteExpired,
}

impl SubscriptionStatus {
    pub const ALL: [Self; 8] = [
        Self::Active,
        Self::Trialing,
        Self::PastDue,
        Self::Unpaid,
        Self::Paused,
        Self::Canceled,
        Self::Incomplete,
        Self::IncompleteExpired,
    ];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Trialing => "trialing",
            Self::PastDue => "past_due",
            Self::Unpaid => "unpaid",
            Self::Paused => "paused",
            Self::Canceled => "canceled",
            Self::Incomplete => "incomplete",
            Self::IncompleteExpired => "incomplete_expired",
        }
    }
}

/// One row of the tenants file: a tenant on one plan from `started_at` (empty: since ever) to `ended_at`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    pub tenant_id: String,
    pub name: String,
    pub plan: PlanId,
    pub stripe_customer_id: String,
    pub stripe_subscription_id: String,
    pub status: SubscriptionStatus,
    pub billing_anchor: Option<Timestamp>,
    pub trial_end: Option<Timestamp>,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
}

impl Subscription {
    /// The time that this row covers.
    pub fn span(&self) -> Window {
        Window {
            start: self.started_at.unwrap_or(Timestamp::MIN),
            end: self.ended_at.unwrap_or(Timestamp::MAX),
        }
    }

    /// The window with the label `period` in the cycle of this row, whether the row covers it or not.
    pub fn window(&self, period: Period, zone: &TimeZone) -> Option<Window> {
        let interval = self.plan.interval;
        let cycle = match self.billing_anchor {
            Some(anchor) => Cycle::Anchored { anchor, interval },
            None => Cycle::Calendar { zone: zone.clone(), interval },
        };
        cycle.window(period)
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TenantFault {
    #[error("ended_at is not after started_at")]
    EndsBeforeStart,
    #[error("two subscriptions overlap: one runs until {0}, the next starts at {1}")]
    Overlap(Timestamp, Timestamp),
}

/// Why a tenant is set aside for a window. The text is the word in the database and in every file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ParkReason {
    /// The catalog has no plan with this key, interval and currency.
    UnknownPlan,
    /// The plans of one period put the tenant in two different windows, or the window overlaps one that is closed.
    WindowChange,
    /// The window touches a trial, which is a window of its own and not rated yet.
    Trial,
    /// A total or an amount does not fit the numbers that a bill can hold.
    Overflow,
    /// The plan sells usage, and the tenant has no Stripe customer or subscription.
    NoStripeMapping,
    /// Customer, subscription or price at Stripe are not those that the ledger names.
    Mapping,
    /// The subscription's period at Stripe is another one than our window.
    WindowMismatch,
    /// Stripe's meter holds usage that we have not sent.
    ForeignUsage,
    /// More was sent than the ledger holds now, as after a restored backup.
    StripeAheadOfLedger,
    /// A push in doubt is older than Stripe's memory, and Stripe's total does not settle it.
    UnknownPush,
    /// The quantity has more digits than an event takes.
    TooManyDigits,
    /// Stripe's answers about the window could not be read when it was to close.
    Incomplete,
}

impl ParkReason {
    pub const ALL: [Self; 12] = [
        Self::UnknownPlan,
        Self::WindowChange,
        Self::Trial,
        Self::Overflow,
        Self::NoStripeMapping,
        Self::Mapping,
        Self::WindowMismatch,
        Self::ForeignUsage,
        Self::StripeAheadOfLedger,
        Self::UnknownPush,
        Self::TooManyDigits,
        Self::Incomplete,
    ];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownPlan => "unknown_plan",
            Self::WindowChange => "window_change",
            Self::Trial => "trial",
            Self::Overflow => "overflow",
            Self::NoStripeMapping => "no_stripe_mapping",
            Self::Mapping => "mapping",
            Self::WindowMismatch => "window_mismatch",
            Self::ForeignUsage => "foreign_usage",
            Self::StripeAheadOfLedger => "stripe_ahead_of_ledger",
            Self::UnknownPush => "unknown_push",
            Self::TooManyDigits => "too_many_digits",
            Self::Incomplete => "incomplete",
        }
    }

    /// What a person does about it.
    pub fn next_step(self) -> &'static str {
        match self {
            Self::UnknownPlan => {
                "add the plan to the catalog or mend the tenant's plan, interval or currency; then run again"
            }
            Self::WindowChange => {
                "give the tenant's rows one billing_anchor and interval, those of the windows closed so far; then run again"
            }
            Self::Trial => "bill this window by hand: trial windows are not rated yet",
            Self::Overflow => "look for a wrong quantity or price: the total exceeds what a bill can hold",
            Self::NoStripeMapping => {
                "give the tenant its stripe_customer_id and stripe_subscription_id; then run again"
            }
            Self::Mapping => {
                "compare the tenant's customer, subscription and metered price with Stripe's (a customer is one tenant's only); then run again"
            }
            Self::WindowMismatch => {
                "set billing_anchor and interval to those of the Stripe subscription; then run again"
            }
            Self::ForeignUsage => {
                "find who else sends usage to this meter: if the application does, set [push] mode = \"observe\""
            }
            Self::StripeAheadOfLedger => {
                "import the usage that the ledger lacks (was a backup restored?); then run again"
            }
            Self::UnknownPush => "compare the meter's total at Stripe with the ledger and settle it by hand",
            Self::TooManyDigits => "look at the quantity: Stripe takes at most 15 significant digits",
            Self::Incomplete => "run again; if it stays, send Stripe the request id in evidence.ndjson",
        }
    }
}

/// A part of a window on one plan.
#[derive(Clone, Debug)]
pub struct Segment<'a> {
    pub range: Window,
    pub subscription: &'a Subscription,
}

/// The window of one tenant for one period.
#[derive(Clone, Debug)]
pub struct TenantWindow<'a> {
    pub tenant: &'a Tenant,
    pub window: Window,
    pub segments: Vec<Segment<'a>>,
    /// Parts of the window in which the tenant had no plan; usage there is excluded and reported.
    pub gaps: Vec<Window>,
    /// The time whose usage belongs here: the window, unless a row of the tenant with another cycle takes a part of it.
    pub accounted: Vec<Window>,
    pub park: Option<ParkReason>,
}

/// All rows of one tenant, in time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tenant {
    id: String,
    subscriptions: Vec<Subscription>,
}

impl Tenant {
    /// Takes all rows of one tenant in any order; there is at least one.
    pub fn new(id: String, mut subscriptions: Vec<Subscription>) -> Result<Self, TenantFault> {
        subscriptions.sort_by_key(Subscription::span);
        if subscriptions.iter().any(|one| one.span().start >= one.span().end) {
            return Err(TenantFault::EndsBeforeStart);
        }
        for pair in subscriptions.windows(2) {
            let (ended, started) = (pair[0].span().end, pair[1].span().start);
            if started < ended {
                return Err(TenantFault::Overlap(ended, started));
            }
        }
        Ok(Self { id, subscriptions })
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn subscriptions(&self) -> &[Subscription] {
        &self.subscriptions
    }

    /// The name on the newest row.
    pub fn name(&self) -> &str {
        self.subscriptions.last().map_or("", |newest| newest.name.as_str())
    }

    /// When the first plan began; `None` when that lies before all time.
    pub fn started_at(&self) -> Option<Timestamp> {
        self.subscriptions.first().and_then(|first| first.started_at)
    }

    /// The window with the label `period`, or `None` where the tenant's cycle has none in it.
    pub fn window(&self, period: Period, zone: &TimeZone) -> Option<TenantWindow<'_>> {
        let laid: Vec<(&Subscription, Window)> =
            self.subscriptions.iter().filter_map(|one| Some((one, one.window(period, zone)?))).collect();
        let segments: Vec<Segment<'_>> =
            laid.iter().filter_map(|(one, window)| segment(one, *window)).collect();
        let covered = |one: &&(&Subscription, Window)| segment(one.0, one.1).is_some();
        let window = laid.iter().find(covered).or(laid.last())?.1;
        let changes = laid.iter().filter(covered).any(|(_, other)| *other != window);
        let trial = segments.iter().any(|one| touches_trial(one));
        let park = match (changes, trial) {
            (true, _) => Some(ParkReason::WindowChange),
            (false, true) => Some(ParkReason::Trial),
            (false, false) => None,
        };
        let gaps = window.without(self.subscriptions.iter().map(Subscription::span));
        let elsewhere = |one: &Subscription| {
            one.span().intersection(window).is_some() && one.window(period, zone) != Some(window)
        };
        let accounted = if self.subscriptions.iter().any(elsewhere) {
            segments.iter().map(|segment| segment.range).chain(gaps.iter().copied()).collect()
        } else {
            vec![window]
        };
        Some(TenantWindow { tenant: self, window, segments, gaps, accounted, park })
    }
}

fn segment(subscription: &Subscription, window: Window) -> Option<Segment<'_>> {
    subscription.span().intersection(window).map(|range| Segment { range, subscription })
}

fn touches_trial(segment: &Segment<'_>) -> bool {
    segment.subscription.trial_end.is_some_and(|trial_end| segment.range.start < trial_end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::money::Currency;
    use crate::domain::period::Interval;

    fn row(plan: &str, started_at: Option<&str>, ended_at: Option<&str>) -> Subscription {
        Subscription {
            tenant_id: "acme".into(),
            name: "Acme".into(),
            plan: PlanId {
                key: plan.into(),
                interval: Interval::Month,
                currency: Currency::parse("try").unwrap(),
            },
            stripe_customer_id: String::new(),
            stripe_subscription_id: String::new(),
            status: SubscriptionStatus::Active,
            billing_anchor: None,
            trial_end: None,
            started_at: started_at.map(|text| text.parse().unwrap()),
            ended_at: ended_at.map(|text| text.parse().unwrap()),
        }
    }

    fn october(tenant: &Tenant) -> TenantWindow<'_> {
        tenant.window(Period::parse("2026-10").unwrap(), &TimeZone::UTC).unwrap()
    }

    #[test]
    fn a_plan_change_cuts_a_window_into_segments() {
        let change = Some("2026-10-15T12:00:00Z");
        let tenant =
            Tenant::new("acme".into(), vec![row("pro", change, None), row("starter", None, change)]).unwrap();
        let window = october(&tenant);
        let plans: Vec<&str> = window.segments.iter().map(|one| one.subscription.plan.key.as_str()).collect();
        assert_eq!(plans, ["starter", "pro"]);
        assert_eq!(window.segments[0].range.end, window.segments[1].range.start);
        assert!(window.gaps.is_empty());
    }

    #[test]
    fn time_without_a_plan_is_a_gap_of_the_window() {
        let rows = vec![
            row("pro", Some("2026-10-03T00:00:00Z"), Some("2026-10-10T00:00:00Z")),
            row("pro", Some("2026-10-20T00:00:00Z"), None),
        ];
        let tenant = Tenant::new("acme".into(), rows).unwrap();
        assert_eq!(october(&tenant).gaps.len(), 2);
        let ended = Tenant::new("acme".into(), vec![row("pro", None, Some("2026-09-01T00:00:00Z"))]).unwrap();
        let window = october(&ended);
        assert!(window.segments.is_empty());
        assert_eq!(window.gaps, [window.window]);
    }

    #[test]
    fn overlapping_rows_and_rows_that_end_before_they_start_are_faults() {
        let overlap = vec![
            row("pro", None, Some("2026-10-10T00:00:00Z")),
            row("pro", Some("2026-10-09T00:00:00Z"), None),
        ];
        assert!(matches!(Tenant::new("acme".into(), overlap), Err(TenantFault::Overlap(..))));
        let backwards = vec![row("pro", Some("2026-10-10T00:00:00Z"), Some("2026-10-10T00:00:00Z"))];
        assert_eq!(Tenant::new("acme".into(), backwards), Err(TenantFault::EndsBeforeStart));
    }

    #[test]
    fn two_different_windows_in_one_period_park_the_tenant() {
        let change = Some("2026-10-15T00:00:00Z");
        let mut anchored = row("pro", change, None);
        anchored.billing_anchor = change.map(|text| text.parse().unwrap());
        let tenant = Tenant::new("acme".into(), vec![row("pro", None, change), anchored]).unwrap();
        assert_eq!(october(&tenant).park, Some(ParkReason::WindowChange));
    }
}
