//! The words of a push: its mode and the states of an intent.
//!
//! In and out: the words that stand in the settings and in the database. Never decides which state comes next.

/// Whether we send usage to Stripe, or only look at what the application sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushMode {
    Observe,
    Push,
}

impl PushMode {
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Observe, Self::Push].into_iter().find(|mode| mode.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Push => "push",
        }
    }
}

/// `planned → sent → confirmed`, or one of the other ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IntentState {
    Planned,
    Sent,
    Confirmed,
    /// Asked, and no answer that says whether Stripe has it.
    Unknown,
    /// Stripe refused it: it counts nothing.
    Rejected,
    /// It can no longer be sent: settled, and reported with its money.
    Unbillable,
    /// Asked for, and its window goes on as it stands at Stripe: it may be there, and is never asked for again.
    Parked,
}

impl IntentState {
    pub const ALL: [Self; 7] = [
        Self::Planned,
        Self::Sent,
        Self::Confirmed,
        Self::Unknown,
        Self::Rejected,
        Self::Unbillable,
        Self::Parked,
    ];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Sent => "sent",
            Self::Confirmed => "confirmed",
            Self::Unknown => "unknown",
            Self::Rejected => "rejected",
            Self::Unbillable => "unbillable",
            Self::Parked => "parked",
        }
    }
}
