//! The doctor: what is not as a run needs it, or as a careful person would have it.
//!
//! In: settings and what surrounds them. Out: [`Finding`]s, each with its severity, cause and remedy; none where all is well. What is not set up
//! yet (no key, no Slack, no database, no catalog) is no finding. It changes nothing, here or at Stripe or Slack.

pub mod database;
mod places;
mod slack;
mod stripe;
mod zone;

use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};

use crate::job::Settings;
use crate::job::checks::CheckName;

/// What is the matter, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub severity: Severity,
    pub check: Check,
    pub cause: String,
    pub remedy: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// A run would refuse, fail, or do wrong.
    Error,
    /// A run goes on, and something may go wrong one day.
    Warning,
}

impl Severity {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// What was looked at; each is a row of the table in `docs/operations.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    Configuration,
    UnknownVariable,
    FileMode,
    Schedule,
    FirstPeriod,
    DatabaseReach,
    DatabasePrivilege,
    OwnLedger,
    DatabaseSchema,
    DatabasePooler,
    DatabaseTls,
    ClockSkew,
    NetworkFileSystem,
    Disk,
    ReportsFolder,
    TimeZone,
    Certificates,
    StripeReach,
    StripeAccount,
    /// One of the checks before the first push.
    Stripe(CheckName),
    Slack,
    Outbox,
}

impl Check {
    /// All but those of Stripe's catalog, which have a table of their own.
    pub const OWN: [Self; 21] = [
        Self::Configuration,
        Self::UnknownVariable,
        Self::FileMode,
        Self::Schedule,
        Self::FirstPeriod,
        Self::DatabaseReach,
        Self::DatabasePrivilege,
        Self::OwnLedger,
        Self::DatabaseSchema,
        Self::DatabasePooler,
        Self::DatabaseTls,
        Self::ClockSkew,
        Self::NetworkFileSystem,
        Self::Disk,
        Self::ReportsFolder,
        Self::TimeZone,
        Self::Certificates,
        Self::StripeReach,
        Self::StripeAccount,
        Self::Slack,
        Self::Outbox,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::UnknownVariable => "unknown_variable",
            Self::FileMode => "file_mode",
            Self::Schedule => "schedule",
            Self::FirstPeriod => "first_period",
            Self::DatabaseReach => "database_reach",
            Self::DatabasePrivilege => "database_privilege",
            Self::OwnLedger => "own_ledger",
            Self::DatabaseSchema => "database_schema",
            Self::DatabasePooler => "database_pooler",
            Self::DatabaseTls => "database_tls",
            Self::ClockSkew => "clock_skew",
            Self::NetworkFileSystem => "network_file_system",
            Self::Disk => "disk",
            Self::ReportsFolder => "reports_folder",
            Self::TimeZone => "time_zone",
            Self::Certificates => "certificates",
            Self::StripeReach => "stripe_reach",
            Self::StripeAccount => "stripe_account",
            Self::Stripe(check) => check.as_str(),
            Self::Slack => "slack",
            Self::Outbox => "outbox",
        }
    }
}

/// What the settings do not say of themselves.
pub struct Surroundings {
    /// The config file, where there is one.
    pub file: Option<PathBuf>,
    /// Variables that set nothing, each with the one that may be meant.
    pub unknown_variables: Vec<(String, String)>,
    /// How far apart two wakes of `serve` can be; what is wrong with its schedule.
    pub longest_gap: Result<SignedDuration, String>,
    /// The machine's time zone files.
    pub zone_files: PathBuf,
}

impl Finding {
    fn error(check: Check, cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Error, check, cause: cause.into(), remedy: remedy.into() }
    }

    fn warning(check: Check, cause: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, check, cause: cause.into(), remedy: remedy.into() }
    }

    /// A configuration that cannot be read: nothing else can be looked at.
    pub fn of_configuration(error: &anyhow::Error) -> Self {
        Self::error(Check::Configuration, format!("{error:#}"), "mend the setting that is named")
    }
}

/// Errors first; each in the order in which a run would meet it.
pub async fn doctor(settings: &Settings, around: &Surroundings, now: Timestamp) -> Vec<Finding> {
    let mut findings = surroundings(around);
    findings.extend(places::look(settings, around));
    findings.extend(zone::look(settings, around, now));
    let (of_database, is_current) = database::look(settings, now).await;
    findings.extend(of_database);
    findings.extend(Box::pin(stripe::look(settings, around, is_current, now)).await);
    findings.extend(slack::look(settings, is_current).await);
    findings.sort_by_key(|one| one.severity);
    findings
}

fn surroundings(around: &Surroundings) -> Vec<Finding> {
    let unknown = around.unknown_variables.iter().map(|(name, near)| {
        let cause = format!("the variable {name} sets nothing");
        Finding::warning(
            Check::UnknownVariable,
            cause,
            format!("take it away, or write {near} if that is meant"),
        )
    });
    let schedule = around.longest_gap.as_ref().err().map(|problem| {
        Finding::error(Check::Schedule, problem.clone(), "mend serve.schedule, such as 5 * * * *")
    });
    unknown.chain(schedule).collect()
}
