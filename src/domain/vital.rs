//! Vital signs: what a monitoring system is told of the job, by name.
//!
//! In: nothing. Out: the list of signs with their names, labels and meanings, and one value of one sign. Integers only. What is
//! not known has no value; it is never 0 instead.

/// One thing that is told. The words of the verdict's figures are elsewhere, in `metric`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vital {
    LastRun,
    LastSuccess,
    ExitCode,
    RunDuration,
    StageDuration,
    LeaseHeld,
    DuePeriods,
    OldestDue,
    PendingPushes,
    Pushes,
    ParkedWindows,
    Quarantined,
    OpenDifferences,
    Unexplained,
    Verdict,
    MissedDrafts,
}

/// A value of a sign. The label is empty where the sign has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sign {
    pub vital: Vital,
    pub label: String,
    pub value: i64,
}

impl Sign {
    pub fn new(vital: Vital, value: i64) -> Self {
        Self { vital, label: String::new(), value }
    }

    pub fn labelled(vital: Vital, label: &str, value: i64) -> Self {
        Self { vital, label: label.to_owned(), value }
    }
}

impl Vital {
    pub const ALL: [Self; 16] = [
        Self::LastRun,
        Self::LastSuccess,
        Self::ExitCode,
        Self::RunDuration,
        Self::StageDuration,
        Self::LeaseHeld,
        Self::DuePeriods,
        Self::OldestDue,
        Self::PendingPushes,
        Self::Pushes,
        Self::ParkedWindows,
        Self::Quarantined,
        Self::OpenDifferences,
        Self::Unexplained,
        Self::Verdict,
        Self::MissedDrafts,
    ];

    /// Without the `billrecon_` that all begin with.
    pub fn name(self) -> &'static str {
        match self {
            Self::LastRun => "last_run_timestamp_seconds",
            Self::LastSuccess => "last_success_timestamp_seconds",
            Self::ExitCode => "run_exit_code",
            Self::RunDuration => "run_duration_seconds",
            Self::StageDuration => "stage_duration_milliseconds",
            Self::LeaseHeld => "lease_held",
            Self::DuePeriods => "due_periods",
            Self::OldestDue => "oldest_due_seconds",
            Self::PendingPushes => "pending_pushes",
            Self::Pushes => "pushes",
            Self::ParkedWindows => "parked_windows",
            Self::Quarantined => "quarantined_records",
            Self::OpenDifferences => "open_differences",
            Self::Unexplained => "unexplained_difference_minor",
            Self::Verdict => "verdict",
            Self::MissedDrafts => "missed_draft_windows",
        }
    }

    /// What tells its values apart.
    pub fn label(self) -> Option<&'static str> {
        match self {
            Self::StageDuration => Some("stage"),
            Self::Pushes => Some("state"),
            Self::ParkedWindows => Some("reason"),
            Self::OpenDifferences => Some("class"),
            Self::Unexplained => Some("currency"),
            Self::Verdict => Some("verdict"),
            _ => None,
        }
    }

    /// One line without a full stop.
    pub fn help(self) -> &'static str {
        match self {
            Self::LastRun => "When the last wake ended",
            Self::LastSuccess => {
                "When a wake last ended with 0, 3, 20, 21 or 22: all that was due was looked at"
            }
            Self::ExitCode => "The exit code of the last wake",
            Self::RunDuration => "How long the last wake took",
            Self::StageDuration => "How long the last wake spent in a stage, all periods together",
            Self::LeaseHeld => "Whether somebody holds the lease (1) or nobody (0)",
            Self::DuePeriods => "Periods with windows that are final and neither closed nor parked",
            Self::OldestDue => "How long the oldest of those windows has been final by the clock",
            Self::PendingPushes => "What is still to be pushed, as the last run of each period left it",
            Self::Pushes => "Pushes in the books by their state",
            Self::ParkedWindows => "Windows that are parked, by reason",
            Self::Quarantined => "Records in quarantine that nothing has resolved",
            Self::OpenDifferences => "Differences between ledger and Stripe that are there, by class",
            Self::Unexplained => {
                "Money of the differences that no cause explains, without sign, in minor units"
            }
            Self::Verdict => "1 for the verdict that was said last, 0 for the others",
            Self::MissedDrafts => "Closed windows of the newest three periods whose draft nobody looked at",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_sign_has_a_name_of_its_own_that_a_monitoring_system_takes() {
        let mut names: Vec<&str> = Vital::ALL.map(Vital::name).to_vec();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Vital::ALL.len());
        let is_taken = |name: &str| name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
        assert!(names.iter().all(|name| is_taken(name)), "{names:?}");
        assert!(Vital::ALL.iter().all(|vital| !vital.help().ends_with('.')));
    }
}
