//! What can be wrong with a tenant, and by which word it must be named.
//!
//! In: who sends usage. Out: the causes that can be planted then.

/// Who sends usage to Stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sender {
    /// The job only looks on.
    Application,
    Job,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plant {
    LatencyPending,
    NotPushed,
    RejectedAsync,
    DuplicatePush,
    DuplicateRejected,
    PeriodBoundary,
    LateUsage,
    TimestampShift,
    DraftStale,
    Mapping,
    MidCycleChange,
    PricingDiff,
    ExtraLines,
    IncompleteData,
    AggregationMismatch,
    CorrectionAfterClose,
    DoubleMeter,
}

impl Plant {
    /// The causes that may happen whoever sends, and those of one sender.
    pub fn of(sender: Sender) -> Vec<Self> {
        let mut all = vec![
            Self::LatencyPending,
            Self::NotPushed,
            Self::LateUsage,
            Self::DraftStale,
            Self::Mapping,
            Self::MidCycleChange,
            Self::ExtraLines,
            Self::IncompleteData,
            Self::CorrectionAfterClose,
            Self::DoubleMeter,
        ];
        all.extend(match sender {
            Sender::Application => &[
                Self::DuplicatePush,
                Self::PeriodBoundary,
                Self::TimestampShift,
                Self::PricingDiff,
                Self::AggregationMismatch,
            ][..],
            Sender::Job => &[Self::RejectedAsync, Self::DuplicateRejected],
        });
        all
    }

    /// The word in `reason`, of a row or of a parked tenant.
    pub fn word(self) -> &'static str {
        match self {
            Self::LatencyPending => "latency_pending",
            Self::NotPushed => "not_pushed",
            Self::RejectedAsync => "rejected_async",
            Self::DuplicatePush => "duplicate_push",
            Self::DuplicateRejected => "duplicate_rejected",
            Self::PeriodBoundary => "period_boundary",
            Self::LateUsage => "late_usage",
            Self::TimestampShift => "timestamp_shift",
            Self::DraftStale => "draft_stale",
            Self::Mapping => "mapping",
            Self::MidCycleChange => "mid_cycle_change",
            Self::PricingDiff => "pricing_diff",
            Self::ExtraLines => "extra_lines",
            Self::IncompleteData => "incomplete_data",
            Self::AggregationMismatch => "aggregation_mismatch",
            Self::CorrectionAfterClose => "correction_after_close",
            Self::DoubleMeter => "double_meter",
        }
    }

    /// What may be told besides: a window whose answer is missing cannot close, and all lines of a tenant that is set aside
    /// stand beside the comparison.
    pub fn also(self) -> &'static [&'static str] {
        match self {
            Self::IncompleteData => &["incomplete", "extra_lines"],
            Self::Mapping => &["extra_lines"],
            _ => &[],
        }
    }
}
