//! The verdict on a period.
//!
//! In: what is known about a judged period. Out: a [`Verdict`] with its reasons. Never says more than the data holds:
//! without Stripe's answer nothing has been compared, so nothing can be decided.

/// What the team hears. Open periods have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub word: VerdictWord,
    pub reasons: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VerdictWord {
    InsufficientData,
}

impl VerdictWord {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InsufficientData => "INSUFFICIENT_DATA",
        }
    }
}

impl Verdict {
    /// The verdict of a run that has not asked Stripe.
    pub fn ledger_only() -> Self {
        let reason = "LEDGER ONLY: the ledger has not been compared with Stripe";
        Self { word: VerdictWord::InsufficientData, reasons: vec![reason.to_owned()] }
    }
}
