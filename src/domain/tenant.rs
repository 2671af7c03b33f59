//! Tenants and their subscriptions in time; `windows` lays out what is billed together.
//!
//! In: subscription rows of one tenant. Out: a checked [`Tenant`], and the reasons to park one. Never guesses between two
//! answers: what is ambiguous is a reason to park.

mod windows;

use jiff::Timestamp;
use jiff::tz::TimeZone;

pub use windows::{Segment, TenantWindow};

use crate::domain::catalog::PlanId;
use crate::domain::period::{Cycle, Window};

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

    /// Whether Stripe makes invoices for a subscription of this status (`docs/subscriptions.md` has a line on each). A
    /// canceled one has them until it ends.
    pub fn is_invoiced(self) -> bool {
        match self {
            Self::Active | Self::Trialing | Self::PastDue | Self::Unpaid | Self::Canceled => true,
            Self::Paused | Self::Incomplete | Self::IncompleteExpired => false,
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

    /// Whether its invoices are paid, or will be asked for until they are. A trial is told by its end.
    pub fn pays(&self) -> bool {
        match self.status {
            SubscriptionStatus::Active | SubscriptionStatus::PastDue => true,
            SubscriptionStatus::Canceled => self.ended_at.is_some(),
            SubscriptionStatus::Trialing
            | SubscriptionStatus::Unpaid
            | SubscriptionStatus::Paused
            | SubscriptionStatus::Incomplete
            | SubscriptionStatus::IncompleteExpired => false,
        }
    }

    /// How its paid windows lie. A trial sets Stripe's anchor to its end, whatever the anchor was before.
    pub fn cycle(&self, zone: &TimeZone) -> Cycle {
        let interval = self.plan.interval;
        match self.trial_end.or(self.billing_anchor) {
            Some(anchor) => Cycle::Anchored { anchor, interval },
            None => Cycle::Calendar { zone: zone.clone(), interval },
        }
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
    /// The tenant is in a trial of which nobody knows when it began or ends.
    Trial,
    /// The subscription is canceled, and nobody knows since when.
    CanceledWithoutEnd,
    /// A total or an amount does not fit the numbers that a bill can hold.
    Overflow,
    /// The plan sells usage, and the tenant has no Stripe customer or subscription.
    NoStripeMapping,
    /// Customer, subscription or price at Stripe are not those that the ledger names.
    Mapping,
    /// Two items of the customer bill one meter at Stripe, each all of its usage.
    DoubleMeter,
    /// Stripe has no such customer: deleted there, or of another account or mode.
    CustomerDeleted,
    /// The subscription's period at Stripe is another one than our window.
    WindowMismatch,
    /// Stripe's meter holds usage that we have not sent.
    ForeignUsage,
    /// More was sent than the ledger holds now, as after a restored backup.
    StripeAheadOfLedger,
    /// A push in doubt is older than Stripe's memory, and Stripe's total does not settle it.
    UnknownPush,
    /// Stripe accepted a push, and a day later its total does not show it. It may have been dropped, or be very late.
    RejectedAsync,
    /// The quantity has more digits than an event takes.
    TooManyDigits,
    /// Stripe's answers about the window could not be read when it was to close.
    Incomplete,
    /// A person has set the tenant aside.
    Held,
    /// The tenant's overage is far above what it was, or above its cap.
    OverageBound,
    /// All overage of the period is above the period's cap.
    PeriodBound,
}

/// How a tenant that is set aside goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The cause is mended; no word releases it.
    Mend,
    /// A person ends the hold.
    EndHold,
    /// A person says that the bound is not for this window.
    Allow,
    /// A person says that the bound is not for this period.
    AllowPeriod,
    /// A person says that what Stripe shows stands: nothing more is sent for the window.
    LetStand,
}

impl ParkReason {
    pub const ALL: [Self; 19] = [
        Self::UnknownPlan,
        Self::WindowChange,
        Self::Trial,
        Self::CanceledWithoutEnd,
        Self::Overflow,
        Self::NoStripeMapping,
        Self::Mapping,
        Self::DoubleMeter,
        Self::CustomerDeleted,
        Self::WindowMismatch,
        Self::ForeignUsage,
        Self::StripeAheadOfLedger,
        Self::UnknownPush,
        Self::RejectedAsync,
        Self::TooManyDigits,
        Self::Incomplete,
        Self::Held,
        Self::OverageBound,
        Self::PeriodBound,
    ];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::UnknownPlan => "unknown_plan",
            Self::WindowChange => "window_change",
            Self::Trial => "trial",
            Self::CanceledWithoutEnd => "canceled_without_end",
            Self::Overflow => "overflow",
            Self::NoStripeMapping => "no_stripe_mapping",
            Self::Mapping => "mapping",
            Self::DoubleMeter => "double_meter",
            Self::CustomerDeleted => "customer_deleted",
            Self::WindowMismatch => "window_mismatch",
            Self::ForeignUsage => "foreign_usage",
            Self::StripeAheadOfLedger => "stripe_ahead_of_ledger",
            Self::UnknownPush => "unknown_push",
            Self::RejectedAsync => "rejected_async",
            Self::TooManyDigits => "too_many_digits",
            Self::Incomplete => "incomplete",
            Self::Held => "held",
            Self::OverageBound => "overage_bound",
            Self::PeriodBound => "period_bound",
        }
    }

    pub fn remedy(self) -> Remedy {
        match self {
            Self::Held => Remedy::EndHold,
            Self::OverageBound => Remedy::Allow,
            Self::PeriodBound => Remedy::AllowPeriod,
            Self::ForeignUsage | Self::StripeAheadOfLedger | Self::UnknownPush | Self::RejectedAsync => {
                Remedy::LetStand
            }
            Self::UnknownPlan
            | Self::WindowChange
            | Self::Trial
            | Self::CanceledWithoutEnd
            | Self::Overflow
            | Self::NoStripeMapping
            | Self::Mapping
            | Self::DoubleMeter
            | Self::CustomerDeleted
            | Self::WindowMismatch
            | Self::TooManyDigits
            | Self::Incomplete => Remedy::Mend,
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
            Self::Trial => {
                "set trial_end and started_at to trial_end and start_date of the Stripe subscription; then run again"
            }
            Self::CanceledWithoutEnd => "set ended_at to that of the Stripe subscription; then run again",
            Self::Overflow => "look for a wrong quantity or price: the total exceeds what a bill can hold",
            Self::NoStripeMapping => {
                "give the tenant its stripe_customer_id and stripe_subscription_id; then run again"
            }
            Self::Mapping => {
                "compare the tenant's customer, subscription, status and metered price with Stripe's (a customer is one tenant's only); then run again"
            }
            Self::DoubleMeter => {
                "remove all of the customer's items on this meter but one at Stripe, on whichever subscription they are; then run again"
            }
            Self::CustomerDeleted => {
                "Stripe has no such customer: give the tenant the stripe ids that it has now, of this account and mode, or bill what it used by hand"
            }
            Self::WindowMismatch => {
                "set billing_anchor and interval to those of the Stripe subscription; then run again"
            }
            Self::ForeignUsage => {
                "find who else sends usage to this meter: if the application does, set [push] mode = \"observe\"; or let Stripe's total stand (billrecon unpark)"
            }
            Self::RejectedAsync => {
                "look at the error reports of the meter at Stripe: it accepted usage and does not count it; it goes on by itself if the total shows it after all, or let Stripe's total stand (billrecon unpark)"
            }
            Self::StripeAheadOfLedger => {
                "import the usage that the ledger lacks (was a backup restored?) and run again; or let Stripe's total stand (billrecon unpark)"
            }
            Self::UnknownPush => {
                "compare the meter's total at Stripe with the ledger, then let Stripe's total stand (billrecon unpark)"
            }
            Self::TooManyDigits => "look at the quantity: Stripe takes at most 15 significant digits",
            Self::Incomplete => "run again; if it stays, send Stripe the request id in evidence.ndjson",
            Self::Held => {
                "a person has set the tenant aside: end that with billrecon unpark when it may go on"
            }
            Self::OverageBound => {
                "look for wrong records or a wrong price: the overage is far above what is usual; if it is right, billrecon unpark"
            }
            Self::PeriodBound => {
                "look for wrong records or a wrong price: the period's overage is above its cap; if it is right, billrecon unpark --period"
            }
        }
    }
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
}

#[cfg(test)]
pub(in crate::domain) mod tests {
    use super::*;
    use crate::domain::money::Currency;
    use crate::domain::period::Interval;

    /// A monthly plan of `acme` in lira.
    pub(in crate::domain) fn row(
        plan: &str,
        started_at: Option<&str>,
        ended_at: Option<&str>,
    ) -> Subscription {
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
    fn every_word_is_read_as_it_is_written_and_every_reason_has_a_next_step() {
        assert!(
            SubscriptionStatus::ALL
                .into_iter()
                .all(|one| SubscriptionStatus::parse(one.as_str()) == Some(one))
        );
        assert!(ParkReason::ALL.into_iter().all(|one| ParkReason::parse(one.as_str()) == Some(one)));
        assert!(ParkReason::ALL.into_iter().all(|one| one.next_step().len() > 20));
    }
}
