//! The words of a comparison: what is the case, and where Stripe's side comes from. Why it is so is said by `cause`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_read_as_it_is_written() {
        assert!(Class::ALL.into_iter().all(|class| Class::parse(class.as_str()) == Some(class)));
    }
}
