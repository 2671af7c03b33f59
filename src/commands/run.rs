//! `billrecon run`: closes what is due and prints one outcome per period.
//!
//! In: flags. Out: per period a few lines, or one JSON object on one line. `--as-of` may look back, and then writes
//! nothing; it may not look ahead.

use jiff::Timestamp;
use serde_json::json;

use crate::cli::{GlobalFlags, RunFlags};
use crate::commands::{configured, failed, print, start_logging};
use crate::config::Config;
use crate::domain::report::Money;
use crate::exit_code::ExitCode;
use crate::job::{self, MODE, PeriodOutcome, Purpose, Refusal, RunOptions, Wake};

/// How many exceptions a terminal shows; all are in `exceptions.csv`.
const EXCEPTIONS_SHOWN: usize = 10;

pub async fn execute(global: &GlobalFlags, flags: &RunFlags, now: Timestamp) -> anyhow::Result<ExitCode> {
    let config = Config::load(global)?;
    start_logging(&config.log)?;
    let settings = configured(&config)?;
    let as_of = flags.as_of.unwrap_or(now);
    if as_of > now {
        let text = format!("--as-of {as_of} lies in the future; only a sandbox can look ahead");
        return Err(Refusal::Configuration(text).into());
    }
    let dry_run = flags.dry_run || as_of < now;
    let options = RunOptions { period: flags.period, dry_run, lock_wait: flags.lock_wait };
    let wake = job::run(&settings, &options, as_of).await?;
    if wake.outcomes.is_empty() && wake.failures.is_empty() {
        print::words(&format!("{MODE}: no billing period is due at {as_of}"));
    }
    Ok(print_wake(&wake, flags.json, dry_run)?)
}

/// Prints what was done and what failed; the exit code is that of the first failure, or says whether something waits
/// for a person.
pub fn print_wake(wake: &Wake, as_json: bool, dry_run: bool) -> std::io::Result<ExitCode> {
    for outcome in &wake.outcomes {
        print::data(&if as_json { json_line(outcome, dry_run) } else { text(outcome, dry_run) })?;
    }
    let failed: Vec<ExitCode> = wake.failures.iter().map(failed).collect();
    let unfinished = wake.outcomes.iter().any(|outcome| outcome.unfinished);
    Ok(failed.first().copied().unwrap_or(if unfinished { ExitCode::Unfinished } else { ExitCode::Done }))
}

fn json_line(outcome: &PeriodOutcome, dry_run: bool) -> String {
    let counts = &outcome.counts;
    json!({
        "run_id": outcome.run_id,
        "period": outcome.period.to_string(),
        "status": outcome.status.as_str(),
        "verdict": outcome.verdict.as_ref().map(|verdict| verdict.word.as_str()),
        "reasons": outcome.verdict.as_ref().map(|verdict| verdict.reasons.clone()).unwrap_or_default(),
        "counts": {
            "tenants": counts.tenants, "closed": counts.closed, "parked": counts.parked,
            "not_billed": counts.not_billed, "pending_before": counts.pending_before, "pushed": counts.pushed,
            "errors": counts.errors, "pending_after": counts.pending_after,
        },
        "reports_dir": outcome.reports_dir,
        "mode": MODE,
        "dry_run": dry_run,
    })
    .to_string()
}

fn text(outcome: &PeriodOutcome, dry_run: bool) -> String {
    let counts = &outcome.counts;
    let verdict = outcome.verdict.as_ref().map_or("no verdict yet", |verdict| verdict.word.as_str());
    let mut lines = vec![format!(
        "{MODE}  {}  {}  {verdict}  {} tenants: {} closed, {} parked",
        outcome.period,
        outcome.status.as_str(),
        counts.tenants,
        counts.closed,
        counts.parked
    )];
    lines.extend(
        outcome.verdict.iter().flat_map(|verdict| &verdict.reasons).map(|reason| format!("  why: {reason}")),
    );
    lines.push(format!("  {}", deed(outcome, dry_run)));
    lines.extend(outcome.money.iter().map(|Money { base, usage }| {
        let currency = base.currency.code().to_uppercase();
        format!("  base fees {base} {currency}, usage at candidate prices {usage} {currency}")
    }));
    lines.extend(outcome.exceptions.iter().take(EXCEPTIONS_SHOWN).map(|one| format!("  {one}")));
    if outcome.exceptions.len() > EXCEPTIONS_SHOWN {
        lines.push(format!("  … and {} more in exceptions.csv", outcome.exceptions.len() - EXCEPTIONS_SHOWN));
    }
    if let (Some(run_id), Some(folder)) = (&outcome.run_id, &outcome.reports_dir) {
        lines.push(format!("  run {run_id}, files in {}", folder.display()));
    }
    lines.join("\n")
}

fn deed(outcome: &PeriodOutcome, dry_run: bool) -> String {
    let (windows, would) = (outcome.newly_closed, if dry_run { "would close" } else { "closed" });
    match outcome.purpose {
        Some(Purpose::Close) => format!("{would} {windows} windows"),
        Some(Purpose::Look) => {
            format!("closes nothing: {} windows are still open, figures are provisional", outcome.provisional)
        }
        Some(Purpose::Unchanged) | None if outcome.counts.parked > 0 => {
            "nothing new: the parked tenants wait for a person (exceptions.csv says what to do)".to_owned()
        }
        Some(Purpose::Unchanged) | None if outcome.reports_dir.is_none() => {
            "closed before; its files are still missing, and the next run writes them".to_owned()
        }
        Some(Purpose::Unchanged) | None => "nothing to do: closed by the run below".to_owned(),
    }
}
