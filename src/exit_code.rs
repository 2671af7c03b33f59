//! Exit codes: the table of DESIGN §11, and which error means which.
//!
//! In: an error, with everything it was caused by. Out: one code. Any other code of the process is a failure too. Never
//! decides anything from an error's text.

use crate::config::ConfigError;
use crate::domain::late::LateFault;
use crate::domain::money::MoneyError;
use crate::domain::pricing::PricingError;
use crate::domain::quote::QuoteError;
use crate::ingest::IngestError;
use crate::job::{Interrupted, Refusal};
use crate::render::RenderError;
use crate::sandbox::SandboxError;
use crate::schedule::ScheduleError;
use crate::store::StoreError;
use crate::stripe::StripeError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum ExitCode {
    /// Done.
    Done = 0,
    /// An internal error: a fault in billrecon.
    Internal = 1,
    /// Wrong usage of the command line.
    Usage = 2,
    /// Done, but something is parked, pending, incomplete, quarantined or newly unbillable.
    Unfinished = 3,
    /// Another run holds the lease, or ours was lost.
    Lease = 11,
    /// Only with `--detailed-exitcode`: the newest judged period is `NO_GO` or `REVIEW`.
    NotYet = 20,
    /// Only with `--detailed-exitcode`: differences were found, and no verdict says more.
    Differences = 21,
    /// Only with `--detailed-exitcode`: the newest judged period has insufficient data.
    InsufficientData = 22,
    /// Bad data in a file or in the database.
    BadData = 65,
    /// An output file or folder cannot be made.
    CannotCreate = 73,
    /// Reading or writing failed.
    Io = 74,
    /// A passing trouble: try again later.
    TryAgain = 75,
    /// Not permitted by the database or by Stripe.
    Permission = 77,
    /// The configuration is wrong or something has not been set up.
    Configuration = 78,
    /// Interrupted by SIGINT.
    Interrupted = 130,
    /// Terminated by SIGTERM.
    Terminated = 143,
}

impl ExitCode {
    /// The code of the first cause that has one.
    pub fn of(error: &anyhow::Error) -> Self {
        error.chain().find_map(of_cause).unwrap_or(Self::Internal)
    }
}

fn of_cause(cause: &(dyn std::error::Error + 'static)) -> Option<ExitCode> {
    if let Some(error) = cause.downcast_ref::<StoreError>() {
        return Some(of_store(error));
    }
    if let Some(error) = cause.downcast_ref::<StripeError>() {
        return Some(of_stripe(error));
    }
    if let Some(error) = cause.downcast_ref::<IngestError>() {
        return Some(match error {
            IngestError::Io { .. } => ExitCode::Io,
            _ => ExitCode::BadData,
        });
    }
    if let Some(error) = cause.downcast_ref::<QuoteError>() {
        return Some(match error {
            QuoteError::SeveralPlans { .. } => ExitCode::Usage,
            _ => ExitCode::BadData,
        });
    }
    if cause.downcast_ref::<LateFault>().is_some() || cause.downcast_ref::<PricingError>().is_some() {
        return Some(ExitCode::BadData);
    }
    // Amounts that add up to more than 64 bits come from a catalog or from usage.
    if matches!(cause.downcast_ref(), Some(MoneyError::Overflow)) {
        return Some(ExitCode::BadData);
    }
    if let Some(error) = cause.downcast_ref::<RenderError>() {
        return Some(match error {
            RenderError::CannotCreate { .. } | RenderError::Unsafe { .. } | RenderError::Foreign(_) => {
                ExitCode::CannotCreate
            }
            RenderError::Io { .. } => ExitCode::Io,
            RenderError::Figures(_) | RenderError::Workbook(_) => ExitCode::Internal,
        });
    }
    if let Some(refusal) = cause.downcast_ref::<Refusal>() {
        return Some(match refusal {
            Refusal::Usage(_) => ExitCode::Usage,
            Refusal::Configuration(_) => ExitCode::Configuration,
            Refusal::CannotCreate(_) => ExitCode::CannotCreate,
            Refusal::BadData(_) => ExitCode::BadData,
            Refusal::NotPermitted(_) => ExitCode::Permission,
        });
    }
    if let Some(interrupted) = cause.downcast_ref::<Interrupted>() {
        return Some(match interrupted {
            Interrupted::Interrupt => ExitCode::Interrupted,
            Interrupted::Terminate => ExitCode::Terminated,
        });
    }
    if let Some(error) = cause.downcast_ref::<ScheduleError>() {
        return Some(match error {
            ScheduleError::Expression { .. } | ScheduleError::Never { .. } => ExitCode::Configuration,
            ScheduleError::Clock(_) => ExitCode::Internal,
        });
    }
    if let Some(error) = cause.downcast_ref::<SandboxError>() {
        return Some(match error {
            SandboxError::InUse(_) => ExitCode::TryAgain,
            SandboxError::Damaged { .. } | SandboxError::Seed(_) => ExitCode::BadData,
            SandboxError::Manners { .. } => ExitCode::Configuration,
            SandboxError::Journal { .. } | SandboxError::Listen { .. } => ExitCode::Io,
        });
    }
    if cause.downcast_ref::<ConfigError>().is_some() {
        return Some(ExitCode::Configuration);
    }
    cause.downcast_ref::<std::io::Error>().map(|_| ExitCode::Io)
}

fn of_store(error: &StoreError) -> ExitCode {
    match error {
        StoreError::LeaseHeld(_) | StoreError::LeaseLost => ExitCode::Lease,
        StoreError::Damaged(_) | StoreError::Inconsistent(_) => ExitCode::BadData,
        StoreError::CannotWrite(_) => ExitCode::Io,
        StoreError::Unreachable(_) | StoreError::Busy(_) => ExitCode::TryAgain,
        StoreError::Forbidden(_) => ExitCode::Permission,
        StoreError::BadUrl
        | StoreError::OwnLedger(_)
        | StoreError::NoDatabase(_)
        | StoreError::NewerSchema(_)
        | StoreError::OlderSchema => ExitCode::Configuration,
        StoreError::Statement(_) => ExitCode::Internal,
    }
}

/// Of an error that ended the run; one that concerns a single tenant never comes here.
fn of_stripe(error: &StripeError) -> ExitCode {
    match error {
        StripeError::Unauthorized { .. } => ExitCode::Permission,
        StripeError::Unavailable { .. }
        | StripeError::RateLimited { .. }
        | StripeError::CircuitOpen { .. }
        | StripeError::Undecodable { .. } => ExitCode::TryAgain,
        StripeError::Refused { .. } | StripeError::Configuration(_) => ExitCode::Configuration,
    }
}
