//! `billrecon status`: where things stand, in words or JSON.
//!
//! In: the status. Out: a few lines of at most 80 columns each, or one JSON object.

use jiff::Timestamp;
use serde_json::json;

use crate::cli::{GlobalFlags, StatusFlags};
use crate::commands::verify::{approval_json, approval_text};
use crate::commands::{configured, print, start_logging};
use crate::config::Config;
use crate::exit_code::ExitCode;
use crate::job::status::{self, Status};

pub async fn execute(global: &GlobalFlags, flags: &StatusFlags, now: Timestamp) -> anyhow::Result<ExitCode> {
    let config = Config::load(global)?;
    start_logging(&config.log)?;
    let status = status::status(&configured(&config)?, now).await?;
    print::data(&if flags.json { print::json(&as_json(&status)) } else { as_text(&status) })?;
    Ok(ExitCode::Done)
}

fn as_json(status: &Status) -> String {
    let periods: Vec<_> = status
        .periods
        .iter()
        .map(|job| {
            json!({
                "period": job.period.to_string(), "status": job.status.as_str(), "run_id": job.run_id,
                "tenants": job.counts.tenants, "closed": job.counts.closed, "parked": job.counts.parked,
            })
        })
        .collect();
    let runs: Vec<_> = status
        .runs
        .iter()
        .map(|run| {
            json!({
                "run_id": run.run_id, "period": run.period.to_string(), "state": run.state.as_str(),
                "started_at": run.started_at.to_string(), "holder": run.holder,
            })
        })
        .collect();
    json!({
        "mode": status.mode,
        "tenants": status.tenants,
        "catalog_hash": status.catalog_hash,
        "quarantined": status.quarantined,
        "lease": status.lease.as_ref().map(|lease| json!({
            "holder": lease.holder, "fence": lease.fence, "held_ms": lease.held_ms,
            "heartbeat_age_ms": lease.heartbeat_age_ms, "expires_in_ms": lease.expires_in_ms,
        })),
        "due": status.due.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "periods": periods,
        "runs": runs,
        "approvals": status.approvals.iter().map(approval_json).collect::<Vec<_>>(),
    })
    .to_string()
}

fn as_text(status: &Status) -> String {
    let mut lines = vec![format!(
        "{}: {} tenants, {} lines in quarantine",
        status.mode, status.tenants, status.quarantined
    )];
    lines.push(match &status.lease {
        Some(holder) => format!("lease: {holder}"),
        None => "lease: free".to_owned(),
    });
    let due: Vec<String> = status.due.iter().map(ToString::to_string).collect();
    lines.push(if due.is_empty() {
        "due: nothing".to_owned()
    } else {
        format!("due: {} periods, {} first: `billrecon run` closes them", due.len(), due[0])
    });
    let parked: u64 = status.periods.iter().map(|job| job.counts.parked).sum();
    if parked > 0 {
        lines.push(format!("parked: {parked} windows wait for a person; exceptions.csv says what to do"));
    }
    lines.push("period   status   tenants  closed  parked  last run".to_owned());
    lines.extend(status.periods.iter().map(|job| {
        let counts = &job.counts;
        format!(
            "{:<8} {:<8} {:>7} {:>7} {:>7}  {}",
            job.period,
            job.status.as_str(),
            counts.tenants,
            counts.closed,
            counts.parked,
            job.run_id
        )
    }));
    lines.extend(
        status.runs.iter().map(|run| format!("run {}  {}  {}", run.run_id, run.period, run.state.as_str())),
    );
    lines.extend(status.approvals.iter().map(approval_text));
    lines.join("\n")
}
