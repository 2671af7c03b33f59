//! `billrecon status`: where things stand, in words or JSON.
//!
//! In: the status. Out: lines of at most 80 columns, or one JSON object with all that is known. A terminal sees the
//! names of tenants; JSON goes to other programs and has their ids only.

use jiff::Timestamp;
use serde_json::json;

use crate::cli::{GlobalFlags, StatusFlags};
use crate::commands::park::hold_json;
use crate::commands::run::SHOWN;
use crate::commands::verify::{approval_json, approval_text};
use crate::commands::{configured, print, start_logging};
use crate::config::Config;
use crate::domain::money::MinorSum;
use crate::domain::parking::Hold;
use crate::domain::reconcile::Class;
use crate::exit_code::ExitCode;
use crate::job::status::{self, Parked, Stake, Status};
use crate::store::books::DraftWatch;

const WIDTH: usize = 80;
/// As much of a tenant's name as one line takes.
const NAME: usize = 40;

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
        "lease": status.lease.as_ref().filter(|lease| lease.expires_in_ms > 0).map(|lease| json!({
            "holder": lease.holder, "fence": lease.fence, "held_ms": lease.held_ms,
            "heartbeat_age_ms": lease.heartbeat_age_ms, "expires_in_ms": lease.expires_in_ms,
        })),
        "next_due": status.next_due.iter().map(|one| json!({
            "at": one.at.to_string(), "period": one.period.to_string(), "windows": one.windows,
        })).collect::<Vec<_>>(),
        "last_success": status.last_success.as_ref().map(|run| json!({
            "run_id": run.run_id, "period": run.period.to_string(), "started_at": run.started_at.to_string(),
        })),
        "differences": status.differences.iter()
            .map(|(class, count)| json!({"class": class.as_str(), "count": count})).collect::<Vec<_>>(),
        "due": status.due.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "periods": periods,
        "runs": runs,
        "approvals": status.approvals.iter().map(approval_json).collect::<Vec<_>>(),
        "parked": status.parked.iter().map(parked_json).collect::<Vec<_>>(),
        "at_stake": status.at_stake.iter().map(stake_json).collect::<Vec<_>>(),
        "new_holds": status.new_holds.iter().map(hold_json).collect::<Vec<_>>(),
        "missed_drafts": status.missed_drafts.iter().map(|one| json!({
            "period": one.period.to_string(), "windows": one.windows, "seen": one.seen,
        })).collect::<Vec<_>>(),
    })
    .to_string()
}

fn as_text(status: &Status) -> String {
    let mut lines = vec![format!(
        "{}: {} tenants, {} lines in quarantine",
        status.mode, status.tenants, status.quarantined
    )];
    lines.push(match &status.lease {
        Some(holder) if holder.expires_in_ms <= 0 => {
            format!("lease: free; {} let it expire, and the next run takes it over", holder.holder)
        }
        Some(holder) => format!("lease: {holder}"),
        None => "lease: free".to_owned(),
    });
    let due: Vec<String> = status.due.iter().map(ToString::to_string).collect();
    lines.push(if due.is_empty() {
        "due: nothing".to_owned()
    } else {
        format!("due: {} periods, {} first: `billrecon run` closes them", due.len(), due[0])
    });
    lines.extend(status.next_due.iter().map(|one| {
        let noun = if one.windows == 1 { "window" } else { "windows" };
        format!("next due: {} {noun} of {} at {}", one.windows, one.period, one.at)
    }));
    lines.push(match &status.last_success {
        Some(run) => format!("last success: run {} of {}", run.run_id, run.period),
        None => "last success: none yet".to_owned(),
    });
    lines.push(differences_text(&status.differences));
    lines.extend(status.missed_drafts.iter().flat_map(missed_text));
    lines.extend(parked_lines(status));
    lines.extend(
        status.new_holds.iter().map(|hold| format!("held from the next run on: {}", hold_text(hold))),
    );
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
    let lines: Vec<String> = lines.iter().flat_map(|line| fitting(line)).collect();
    lines.join("\n")
}

/// What the comparison of the last runs left; the reports have the rows.
fn differences_text(differences: &[(Class, u64)]) -> String {
    let counts: Vec<String> =
        differences.iter().map(|(class, count)| format!("{count} {}", class.as_str())).collect();
    if counts.is_empty() {
        "open differences: none".to_owned()
    } else {
        format!("open differences: {}", counts.join(", "))
    }
}

/// A line that is too long goes on in another, further to the right.
fn fitting(line: &str) -> Vec<String> {
    if line.chars().count() <= WIDTH {
        return vec![line.to_owned()];
    }
    let indent = &line[..line.len() - line.trim_start().len()];
    wrapped(line, indent, &format!("{indent}  "))
}

fn parked_json(one: &Parked) -> serde_json::Value {
    let window = &one.window;
    json!({
        "tenant_id": window.tenant_id, "period": window.period.to_string(),
        "window_start": window.window.start.to_string(), "window_end": window.window.end.to_string(),
        "reason": window.reason.as_str(), "since": window.since.to_string(), "run_id": window.run_id,
        "at_stake": one.stake.as_ref().map(stake_json), "hold": one.hold.as_ref().map(hold_json),
        "is_released": one.is_released, "next_step": window.reason.next_step(), "command": one.command(),
    })
}

fn stake_json(stake: &Stake) -> serde_json::Value {
    json!({
        "currency": stake.candidate.currency.code(), "candidate_amount_minor": stake.candidate.minor.to_string(),
        "in_force_amount_minor": stake.in_force.minor.to_string(),
    })
}

fn missed_text(one: &DraftWatch) -> Vec<String> {
    let DraftWatch { period, windows, seen } = one;
    let what = if *seen == 0 {
        format!("no wake fell into a draft hour of {period} ({windows} windows)")
    } else {
        format!("{} of {windows} windows of {period} had no wake in their draft hour", windows - seen)
    };
    wrapped(&format!("warning: {what}: what was used last could not be sent; run billrecon hourly"), "", "  ")
}

fn parked_lines(status: &Status) -> Vec<String> {
    let windows = status.parked.len();
    if windows == 0 {
        return Vec::new();
    }
    let noun = if windows == 1 { "window waits" } else { "windows wait" };
    let mut lines = vec![format!("parked: {windows} {noun} for a person")];
    lines.extend(status.at_stake.iter().map(|stake| format!("  at stake {}", stake_text(stake))));
    lines.extend(status.parked.iter().take(SHOWN).flat_map(parked_text));
    if windows > SHOWN {
        lines.push(format!("  … and {} more: billrecon status --json", windows - SHOWN));
    }
    lines
}

fn parked_text(one: &Parked) -> Vec<String> {
    let window = &one.window;
    let name: String = one.tenant_name.chars().take(NAME).collect();
    let name = if name.is_empty() { name } else { format!(" ({name})") };
    let (reason, since) = (window.reason.as_str(), window.since);
    let mut lines = wrapped(
        &format!("{}{name}, {}: {reason} since {since}", window.tenant_id, window.period),
        "  ",
        "    ",
    );
    lines.push(match &one.stake {
        Some(stake) => format!("    {}", stake_text(stake)),
        None => "    its money is not known: it cannot be rated as it is".to_owned(),
    });
    if let Some(hold) = &one.hold {
        lines.extend(wrapped(&format!("held {}", hold_text(hold)), "    ", "      "));
    }
    let step =
        if one.is_released { "released: the next run goes on with it" } else { window.reason.next_step() };
    lines.extend(wrapped(&format!("next: {step}"), "    ", "      "));
    lines.push(format!("    {}", one.command()));
    lines
}

fn hold_text(hold: &Hold) -> String {
    let scope = hold.period.map_or_else(|| "every period".to_owned(), |period| period.to_string());
    let word = &hold.word;
    format!("{} in {scope}, by {} at {}: {}", hold.tenant_id, word.by, word.at, word.note)
}

fn stake_text(stake: &Stake) -> String {
    let money = |sum: MinorSum| format!("{sum} {}", sum.currency.code().to_uppercase());
    format!("{} at candidate prices, {} at prices in force", money(stake.candidate), money(stake.in_force))
}

/// Words in lines that a terminal shows whole; a word that is longer has a line of its own.
fn wrapped(text: &str, first: &str, other: &str) -> Vec<String> {
    let (mut lines, mut line) = (Vec::new(), first.to_owned());
    let mut is_empty = true;
    for word in text.split_whitespace() {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(std::mem::replace(&mut line, other.to_owned()));
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_break_between_words() {
        let text = "word ".repeat(60);
        let lines = wrapped(&text, "  ", "    ");
        assert!(lines.len() > 2 && lines.iter().all(|line| line.chars().count() <= WIDTH), "{lines:?}");
        assert!(lines[0].starts_with("  word") && lines[1].starts_with("    word"));
        assert_eq!(lines.iter().flat_map(|line| line.split_whitespace()).count(), 60);
    }
}
