//! The words of a comparison: what is the case, where Stripe's side comes from, and why.
//!
//! In: a word of the database or of a file. Out: its value, and back. Never a word that is not in these lists.

/// What is the case. The text is the word in the database and in every file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    Matched,
    QuantityMismatch,
    AmountMismatch,
    MissingInStripe,
    MissingInLedger,
    /// Stripe's answer could not be read, or not all of it.
    Incomplete,
    /// Nothing that the ledger speaks of: base fee, prorations, one-off items.
    OutOfScope,
}

impl Class {
    pub const ALL: [Self; 7] = [
        Self::Matched,
        Self::QuantityMismatch,
        Self::AmountMismatch,
        Self::MissingInStripe,
        Self::MissingInLedger,
        Self::Incomplete,
        Self::OutOfScope,
    ];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Matched => "matched",
            Self::QuantityMismatch => "quantity_mismatch",
            Self::AmountMismatch => "amount_mismatch",
            Self::MissingInStripe => "missing_in_stripe",
            Self::MissingInLedger => "missing_in_ledger",
            Self::Incomplete => "incomplete",
            Self::OutOfScope => "out_of_scope",
        }
    }
}

/// Where Stripe's side of a row comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    Preview,
    MeterTotal,
    Invoice,
    Subscription,
}

impl Source {
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Preview, Self::MeterTotal, Self::Invoice, Self::Subscription];
        all.into_iter().find(|source| source.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Preview => "preview",
            Self::MeterTotal => "meter_total",
            Self::Invoice => "invoice",
            Self::Subscription => "subscription",
        }
    }
}

/// Why a row is as it is, as far as the run knows. The words are those of `reason` in `reconciliation.csv`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// Sent, and not in Stripe's total yet.
    LatencyPending,
    /// Not sent, or refused when it was sent.
    NotPushed,
    /// Taken by Stripe and then dropped.
    RejectedAsync,
    /// It came or was first seen when the invoice was final already.
    LateUsage,
    /// Customer, subscription or price are not those that the ledger expects.
    Mapping,
    /// A draft shows what Stripe knew when it was made.
    DraftStale,
    /// The plan changed inside of the window: what was used on an item that is gone is on no invoice.
    MidCycleChange,
    /// In a trial nothing is charged, whatever a line says or does not say.
    Trial,
    /// Usage in the minutes that the window's edges cut may be on either side.
    PeriodBoundary,
    /// Not a line of usage.
    ExtraLines,
    IncompleteData,
}

impl Cause {
    pub const ALL: [Self; 11] = [
        Self::LatencyPending,
        Self::NotPushed,
        Self::RejectedAsync,
        Self::LateUsage,
        Self::Mapping,
        Self::DraftStale,
        Self::MidCycleChange,
        Self::Trial,
        Self::PeriodBoundary,
        Self::ExtraLines,
        Self::IncompleteData,
    ];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::LatencyPending => "latency_pending",
            Self::NotPushed => "not_pushed",
            Self::RejectedAsync => "rejected_async",
            Self::LateUsage => "late_usage",
            Self::Mapping => "mapping",
            Self::DraftStale => "draft_stale",
            Self::MidCycleChange => "mid_cycle_change",
            Self::Trial => "trial",
            Self::PeriodBoundary => "period_boundary",
            Self::ExtraLines => "extra_lines",
            Self::IncompleteData => "incomplete_data",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_as_it_is_written() {
        assert!(Class::ALL.into_iter().all(|class| Class::parse(class.as_str()) == Some(class)));
        assert!(Cause::ALL.into_iter().all(|cause| Cause::parse(cause.as_str()) == Some(cause)));
    }
}
