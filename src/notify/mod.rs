//! Notifiers: how the team hears of a verdict and of what cannot wait for one, and a dead-man's switch of every wake.
//!
//! In: plain values that the job fills. Out: messages that were delivered, or a typed error. Never decides anything, and
//! never knows what a verdict rests on.

pub mod ping;
pub mod slack;

use crate::domain::decide::VerdictWord;

/// What a notice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    Verdict(VerdictWord),
    /// A wake, or one period of it, could not be done.
    Failed,
    /// Windows closed that nobody had looked at in time.
    Missed,
    /// An open period has differences that would stop it.
    Differences,
    /// Drafts at Stripe would go out wrong.
    Drafts,
    /// Something waits for a person, and has been waiting.
    Reminder,
}

impl Topic {
    /// All but verdicts; each is a row of the table in `docs/operations.md`.
    pub const ALERTS: [Self; 5] =
        [Self::Failed, Self::Missed, Self::Differences, Self::Drafts, Self::Reminder];

    /// The word in the outbox.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Verdict(_) => "verdict",
            Self::Failed => "failed",
            Self::Missed => "missed",
            Self::Differences => "differences",
            Self::Drafts => "drafts",
            Self::Reminder => "reminder",
        }
    }

    /// What a person reads first.
    pub fn headline(self) -> &'static str {
        match self {
            Self::Verdict(word) => word.as_str(),
            Self::Failed => "RUN FAILED",
            Self::Missed => "MISSED CLOSE",
            Self::Differences => "DIFFERENCES",
            Self::Drafts => "WRONG DRAFTS",
            Self::Reminder => "WAITING",
        }
    }
}

/// A notice in words. It names tenants by their ids only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    pub topic: Topic,
    /// A label, or what else it is about.
    pub period: String,
    /// `LIVE`, `TEST`, `SANDBOX`, `DEMO SANDBOX`.
    pub mode: String,
    /// Of the period, such as `partial`; empty where there is none.
    pub status: String,
    /// One sentence.
    pub why: String,
    pub reasons: Vec<String>,
    pub metrics: Vec<MetricLine>,
    /// One line per currency.
    pub money: Vec<String>,
    /// Worst first.
    pub differences: Vec<String>,
    /// Where those are that find no room: a file's name, or a command.
    pub rest: String,
    /// Whom it concerns, by the settings.
    pub owner: Option<Owner>,
    pub next_step: String,
    pub next_command: String,
    /// Empty where no run is concerned.
    pub run_id: String,
    pub reports_dir: String,
}

impl Notice {
    /// A notice that says nothing yet.
    pub fn new(topic: Topic, period: String, mode: String) -> Self {
        Self {
            topic,
            period,
            mode,
            status: String::new(),
            why: String::new(),
            reasons: Vec::new(),
            metrics: Vec::new(),
            money: Vec::new(),
            differences: Vec::new(),
            rest: String::new(),
            owner: None,
            next_step: String::new(),
            next_command: String::new(),
            run_id: String::new(),
            reports_dir: String::new(),
        }
    }
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

/// Who looks after the billing: the one text of a message that may mention somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Owner {
    /// A person's id, such as `U024BE7LH`.
    User(String),
    /// The id of a group of persons, such as `S024BE7LH`.
    Group(String),
    /// A name that mentions nobody.
    Name(String),
}

impl Owner {
    /// Slack's ids are capitals and digits; anything else is a name.
    pub fn parse(text: &str) -> Self {
        let is_id = text.len() >= 8
            && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
            && text.bytes().any(|byte| byte.is_ascii_digit());
        match text.chars().next() {
            Some('U' | 'W') if is_id => Self::User(text.to_owned()),
            Some('S') if is_id => Self::Group(text.to_owned()),
            _ => Self::Name(text.to_owned()),
        }
    }
}

/// What a thread tells beside its message, by ids only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Details {
    pub differences: Vec<String>,
    pub exceptions: Vec<String>,
    /// What came late to closed windows.
    pub late: Vec<String>,
}
