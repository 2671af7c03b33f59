//! Concern: what a line of a log is about, so that a collector finds all lines of a period, a run, a tenant.
//!
//! In: the work, a run's beginning, a tenant's id. Out: the same, within a span that names it. The spans are of the level that every
//! filter lets through; what becomes of them is for the logging to say. Never changes what is done.

use std::future::Future;

use jiff::Timestamp;
use tracing::field::Empty;
use tracing::instrument::{Instrument, Instrumented};
use tracing::span::EnteredSpan;

use crate::domain::period::Period;
use crate::job::lease::Lease;
use crate::job::new_run_id;

/// The work on a period.
pub fn period<F: Future>(period: Period, work: F) -> Instrumented<F> {
    work.instrument(tracing::error_span!("period", %period, run_id = Empty))
}

/// The id of a run of the period at hand. Without a lease it is a dry run's, which nobody will ever find.
pub fn run(lease: Option<&Lease>, now: Timestamp) -> String {
    let run_id = new_run_id(now);
    if lease.is_some() {
        tracing::Span::current().record("run_id", run_id.as_str());
    }
    run_id
}

/// While it is held, lines are about this tenant.
pub fn tenant(tenant_id: &str) -> EnteredSpan {
    tracing::error_span!("tenant", tenant = tenant_id).entered()
}
