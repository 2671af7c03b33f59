//! The verdict on a period.
//!
//! In: a policy, the facts of the period and its populations. Out: a [`Decision`]: the word, its reasons as sentences
//! and the rows of `decision.csv`. Never more than the data holds: what is n/a is never counted as good, and without
//! Stripe's answer nothing has been compared, so nothing can be decided.

use crate::domain::metrics::{MetricsError, Population};
use crate::domain::policy::Policy;

pub use crate::domain::policy::VerdictWord;

/// What the team hears. Open periods have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub word: VerdictWord,
    /// Failed advice first, then what decided.
    pub reasons: Vec<String>,
}

/// Usage records that were to reach Stripe, and those that did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PushRecords {
    pub due: u64,
    pub failed: u64,
}

/// What is known about the period as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeriodFacts {
    /// Pushed or observed in time.
    pub full_cycle: bool,
    pub pending_after: u64,
    /// Rows of the comparison for which Stripe gave no whole answer.
    pub incomplete: u64,
    /// Rows neither `matched` nor `out_of_scope`, without the harmless and the incomplete ones.
    pub differences: u64,
    pub push: PushRecords,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    pub verdict: Verdict,
    pub rows: Vec<DecisionRow>,
}

/// One row of `decision.csv`: a rule with its value, or a metric for information.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecisionRow {
    pub plan: String,
    pub meter: String,
    pub metric: String,
    /// Decimal text, or `n/a`.
    pub value: String,
    /// Empty where nothing is asked for.
    pub operator: String,
    pub threshold: String,
    /// `None` where the value is n/a, or nothing is asked for.
    pub passed: Option<bool>,
    pub required: bool,
    pub population: u64,
}

/// Judges each (plan, meter) pair of the policy's plan; the worst word is the period's.
pub fn decide(
    policy: &Policy,
    facts: &PeriodFacts,
    populations: &[Population<'_>],
) -> Result<Decision, MetricsError> {
    let _ = (policy, facts, populations);
    todo!()
}

impl Verdict {
    /// The verdict of a run that has not asked Stripe.
    pub fn ledger_only() -> Self {
        let reason = "LEDGER ONLY: the ledger has not been compared with Stripe";
        Self { word: VerdictWord::InsufficientData, reasons: vec![reason.to_owned()] }
    }
}
