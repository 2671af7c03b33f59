//! Notifiers: how the team hears of a verdict.
//!
//! In: plain values that the job fills. Out: messages that were delivered, or a typed error. Never decides anything, and
//! never knows what a verdict rests on.

pub mod slack;

/// A verdict on a period, in words. It names tenants by their ids only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerdictMessage {
    /// `GO`, `REVIEW`, `NO_GO` or `INSUFFICIENT_DATA`.
    pub verdict: String,
    pub period: String,
    /// `LIVE`, `SANDBOX`, `DEMO SANDBOX`.
    pub mode: String,
    /// `closed` or `partial`.
    pub status: String,
    /// One sentence.
    pub why: String,
    pub reasons: Vec<String>,
    pub metrics: Vec<MetricLine>,
    /// One line per currency.
    pub money: Vec<String>,
    /// Worst first.
    pub differences: Vec<String>,
    pub next_step: String,
    pub next_command: String,
    pub run_id: String,
    pub reports_dir: String,
}

/// A figure of the policy, and whether its rule holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricLine {
    pub plan: String,
    pub meter: String,
    pub metric: String,
    pub value: String,
    pub operator: String,
    pub threshold: String,
    /// `None`: not applicable.
    pub passed: Option<bool>,
    /// Whether the verdict rests on it.
    pub required: bool,
}
