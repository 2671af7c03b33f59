//! Flags of the commands by which people have a say: park, unpark, unlock, verify, approve.
//!
//! In: arguments. Out: what a person says, checked as text. Never decides anything.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use super::duration;
use crate::domain::period::Period;
use crate::domain::tenant::ParkReason;

/// A line that a person reads at a glance.
const MOST_NOTE: usize = 500;

/// What a person says, and signs.
#[derive(Args, Debug)]
pub struct WordFlags {
    /// Why, for those who look later
    #[arg(long, value_name = "TEXT", value_parser = note)]
    pub note: String,
    /// Who says so [default: the user at this machine]
    #[arg(long, value_name = "NAME", value_parser = note)]
    pub by: Option<String>,
    /// Only this billing period, such as 2026-10
    #[arg(long, value_name = "YYYY-MM", value_parser = Period::parse)]
    pub period: Option<Period>,
    /// How long to wait for another run that holds the lease
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub lock_wait: Duration,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct ParkFlags {
    /// The tenant's id, as in the tenants file
    #[arg(value_name = "TENANT")]
    pub tenant: String,
    #[command(flatten)]
    pub word: WordFlags,
}

#[derive(Args, Debug)]
pub struct UnparkFlags {
    /// The tenant's id; without it a whole period is released from its bound
    #[arg(value_name = "TENANT")]
    pub tenant: Option<String>,
    /// Only what is parked for this reason, as `billrecon status` shows it
    #[arg(long, value_name = "WORD", value_parser = park_reason)]
    pub reason: Option<ParkReason>,
    #[command(flatten)]
    pub word: WordFlags,
}

#[derive(Args, Debug)]
pub struct UnlockFlags {
    #[command(flatten)]
    pub claim: ClaimFlags,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct ClaimFlags {
    /// Whose lease, exactly as `billrecon status` shows it; also one that is alive
    #[arg(long, value_name = "NAME")]
    pub holder: Option<String>,
    /// Whoever's it is, if it has expired
    #[arg(long)]
    pub force: bool,
}

#[derive(Args, Debug)]
pub struct VerifyFlags {
    #[command(flatten)]
    pub subject: VerifySubject,
    /// Where the audit log stood when somebody wrote it down elsewhere; it must still hold that row
    #[arg(long, value_name = "POSITION:HASH", value_parser = head, conflicts_with = "files")]
    pub head: Option<(i64, String)>,
    /// Print one JSON object per run
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct VerifySubject {
    /// The run's id, as in the folder's name
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// The newest run of this billing period
    #[arg(long, value_name = "YYYY-MM", value_parser = Period::parse)]
    pub period: Option<Period>,
    /// The whole ledger and every run
    #[arg(long)]
    pub all: bool,
    /// A folder of files by itself, without any database
    #[arg(long, value_name = "DIR")]
    pub files: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct ApproveFlags {
    /// The run's id, as in the folder's name
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Who approves it
    #[arg(long, value_name = "NAME", value_parser = note)]
    pub by: String,
    /// What was looked at, and why it is right
    #[arg(long, value_name = "TEXT", value_parser = note)]
    pub note: String,
    /// How long to wait for another run that holds the lease
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub lock_wait: Duration,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

fn head(text: &str) -> Result<(i64, String), String> {
    let wrong = || "write what `billrecon verify` printed, such as 12:5f0c…".to_owned();
    let (position, hash) = text.split_once(':').ok_or_else(wrong)?;
    Ok((position.parse().map_err(|_| wrong())?, hash.to_owned()))
}

/// Text of a person that goes into the audit log.
fn note(text: &str) -> Result<String, String> {
    let text = text.trim();
    match text.len() {
        0 => Err("write some words".to_owned()),
        1..=MOST_NOTE if !text.chars().any(char::is_control) => Ok(text.to_owned()),
        _ => Err(format!("write one line of at most {MOST_NOTE} bytes")),
    }
}

fn park_reason(text: &str) -> Result<ParkReason, String> {
    let known = || ParkReason::ALL.map(ParkReason::as_str).join(", ");
    ParkReason::parse(text).ok_or_else(|| format!("is no reason; known are: {}", known()))
}
