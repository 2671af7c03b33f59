//! `billrecon run`: pushes, compares and closes what is due, and prints one outcome per period.
//!
//! In: flags. Out: per period a few lines, or one JSON object on one line. With a real account `--as-of` may look back, and
//! then writes nothing; a sandbox takes any time.

use jiff::Timestamp;
use serde_json::json;

use crate::cli::{GlobalFlags, RunFlags};
use crate::commands::watched::Watch;
use crate::commands::{configured, failed, print, start_logging, verdict_code, what_if};
use crate::config::Config;
use crate::domain::intent::Intent;
use crate::domain::late::Adjustment;
use crate::domain::report::Money;
use crate::exit_code::ExitCode;
use crate::job::{self, PeriodOutcome, Purpose, RunOptions, Settings, Unfinished, Wake};

/// How many exceptions, differences and pushes a terminal shows; all are in the files.
pub const SHOWN: usize = 10;

pub async fn execute(global: &GlobalFlags, flags: &RunFlags, now: Timestamp) -> anyhow::Result<ExitCode> {
    let config = Config::load(global)?;
    let stages = start_logging(&config.log)?;
    let settings = configured(&config)?;
    let options = RunOptions {
        period: flags.period,
        dry_run: flags.look.dry_run,
        what_if: flags.look.what_if,
        as_of: flags.as_of,
        lock_wait: flags.lock_wait,
        longest_gap: None,
        csv: flags.csv.format().unwrap_or_default(),
    };
    let watch = Watch::unless(options.look_only(&settings, now), config.signals, stages.clone());
    let begun = watch.begin(now);
    let shown = (!flags.json).then(|| stages.show());
    let wake = job::run(&settings, &options, now).await;
    drop(shown);
    let (wake, told) = match wake {
        Ok(wake) => {
            let told = tell(&wake, &settings, flags);
            (Some(wake), told.map_err(anyhow::Error::from))
        }
        Err(error) => (None, Err(error)),
    };
    let code = told.as_ref().map_or_else(ExitCode::of, |code| *code);
    watch.end(begun, &settings, wake.as_ref(), code).await;
    told
}

fn tell(wake: &Wake, settings: &Settings, flags: &RunFlags) -> std::io::Result<ExitCode> {
    if wake.outcomes.is_empty() && wake.failures.is_empty() {
        print::words(&format!("{}: no billing period is due at {}", wake.mode, wake.now));
    }
    if !settings.tolerances.is_none() {
        print::words(&format!("tolerances: {}", settings.tolerances));
    }
    let code = print_wake(wake, flags.json)?;
    if settings.slack.destination.is_none() {
        print_messages(wake);
    }
    Ok(if flags.detailed_exitcode && code == ExitCode::Done { detailed(wake) } else { code })
}

/// Prints what was done and what failed; the exit code is that of the first failure, or says whether something waits
/// for a person.
pub fn print_wake(wake: &Wake, as_json: bool) -> std::io::Result<ExitCode> {
    for outcome in &wake.outcomes {
        print::data(&if as_json { print::json(&json_line(outcome, wake)) } else { text(outcome, wake) })?;
    }
    let failed: Vec<ExitCode> = wake.failures.iter().map(failed).collect();
    let unfinished = wake.outcomes.iter().any(|outcome| !outcome.unfinished.is_empty());
    Ok(failed.first().copied().unwrap_or(if unfinished { ExitCode::Unfinished } else { ExitCode::Done }))
}

/// Without Slack a person reads the message here; it is no data.
pub fn print_messages(wake: &Wake) {
    for message in wake.outcomes.iter().filter_map(|outcome| outcome.message.as_ref()) {
        print::words(&format!("\nno Slack webhook is set; the message would be:\n{message}"));
    }
}

/// The newest judged period decides; without one, whether anything differs.
fn detailed(wake: &Wake) -> ExitCode {
    let newest = wake.outcomes.iter().rev().find_map(|outcome| outcome.verdict.as_ref());
    let differs = wake.outcomes.iter().any(|outcome| !outcome.differences.is_empty());
    verdict_code(newest.map(|verdict| verdict.word), differs)
}

fn json_line(outcome: &PeriodOutcome, wake: &Wake) -> String {
    let counts = &outcome.counts;
    let mut line = json!({
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
        "differences_new": outcome.differences_new,
        "differences_gone": outcome.differences_gone,
        "reports_dir": outcome.reports_dir,
        "mode": wake.mode,
        "dry_run": wake.dry_run,
        "pushes": outcome.pushes.iter().map(push_json).collect::<Vec<_>>(),
        "adjustments": outcome.adjustments.iter().map(late_json).collect::<Vec<_>>(),
    });
    if wake.what_if {
        line["what_if"] = outcome.what_if.iter().map(what_if::json).collect();
    }
    line.to_string()
}

fn push_json(one: &Intent) -> serde_json::Value {
    json!({
        "tenant_id": one.key.tenant_id, "customer_id": one.key.customer_id, "meter": one.key.meter,
        "identifier": one.identifier, "quantity": one.quantity.to_string(),
        "timestamp": one.timestamp.as_second(),
    })
}

fn late_json(one: &Adjustment) -> serde_json::Value {
    json!({
        "tenant_id": one.tenant_id, "meter": one.meter, "window_start": one.window.start.to_string(),
        "records": one.records, "late_quantity": one.quantity.to_string(),
        "late_amount_minor": one.amount.minor, "currency": one.amount.currency.code(),
    })
}

fn text(outcome: &PeriodOutcome, wake: &Wake) -> String {
    let counts = &outcome.counts;
    let verdict = outcome.verdict.as_ref().map_or("no verdict yet", |verdict| verdict.word.as_str());
    let mut lines = vec![format!(
        "{}  {}  {}  {verdict}  {} tenants: {} closed, {} parked",
        wake.mode,
        outcome.period,
        outcome.status.as_str(),
        counts.tenants,
        counts.closed,
        counts.parked
    )];
    lines.extend(
        outcome.verdict.iter().flat_map(|verdict| &verdict.reasons).map(|reason| format!("  why: {reason}")),
    );
    lines.push(format!("  {}", deed(outcome, wake.dry_run)));
    lines.push(pushed(outcome, wake.dry_run));
    lines.extend(outcome.money.iter().map(|Money { base, usage, .. }| {
        let currency = base.currency.code().to_uppercase();
        format!("  base fees {base} {currency}, usage at candidate prices {usage} {currency}")
    }));
    if wake.dry_run {
        let plan = outcome.pushes.iter().map(|one| {
            format!(
                "would push {} of {} for {} as {}",
                one.quantity, one.key.meter, one.key.tenant_id, one.identifier
            )
        });
        lines.extend(some(&plan.collect::<Vec<_>>(), "run --json"));
    }
    if outcome.differences_new + outcome.differences_gone > 0 {
        lines.push(format!(
            "  since the last run: {} differences new, {} gone",
            outcome.differences_new, outcome.differences_gone
        ));
    }
    let differences: Vec<String> = outcome.differences.iter().map(job::difference).collect();
    lines.extend(some(&differences, "reconciliation.csv"));
    let late: Vec<String> = outcome.adjustments.iter().map(job::late_usage).collect();
    lines.extend(some(&late, "adjustments.csv"));
    let exceptions: Vec<String> = outcome.exceptions.iter().map(job::exception).collect();
    lines.extend(some(&exceptions, "exceptions.csv"));
    lines.extend(outcome.unfinished.iter().map(|one| format!("  unfinished: {}", unfinished(*one))));
    if wake.what_if {
        lines.extend(what_if::text(&outcome.what_if));
    }
    if let (Some(run_id), Some(folder)) = (&outcome.run_id, &outcome.reports_dir) {
        lines.push(format!("  run {run_id}, files in {}", folder.display()));
    }
    lines.join("\n")
}

/// What is left, and who or what goes on with it.
fn unfinished(one: Unfinished) -> String {
    let (count, [single, many], rest) = match one {
        Unfinished::Parked(tenants) => {
            (tenants, ["tenant is parked", "tenants are parked"], "billrecon status says what to do")
        }
        Unfinished::Quarantined(records) => {
            (records, ["record is in quarantine", "records are in quarantine"], "exceptions.csv says why")
        }
        Unfinished::Pending(pushes) => {
            (pushes, ["push waits", "pushes wait"], "the next run goes on with them")
        }
        Unfinished::Incomplete(rows) => (
            rows,
            ["comparison lacks an answer of Stripe's", "comparisons lack an answer of Stripe's"],
            "run again (evidence.ndjson has the request ids)",
        ),
        Unfinished::Refused(pushes) => (
            pushes,
            ["push was refused by Stripe", "pushes were refused by Stripe"],
            "the words on stderr say why, and the next run tries again",
        ),
        Unfinished::Unbillable(pushes) => {
            (pushes, ["push came too late", "pushes came too late"], "exceptions.csv has the money")
        }
        Unfinished::Late(figures) => (
            figures,
            ["closed figure has late usage", "closed figures have late usage"],
            "adjustments.csv has its money, and bills for it go out by hand",
        ),
        Unfinished::Unvalued(figures) => (
            figures,
            [
                "closed figure has late usage without a value",
                "closed figures have late usage without a value",
            ],
            "exceptions.csv says why",
        ),
        Unfinished::Lost(figures) => (
            figures,
            ["closed figure has lost records", "closed figures have lost records"],
            "the ledger holds less than was closed: exceptions.csv names them",
        ),
    };
    format!("{count} {}; {rest}", if count == 1 { single } else { many })
}

/// The first few, and where the rest is.
fn some(all: &[String], rest: &str) -> Vec<String> {
    let mut lines: Vec<String> = all.iter().take(SHOWN).map(|one| format!("  {one}")).collect();
    if all.len() > SHOWN {
        lines.push(format!("  … and {} more in {rest}", all.len() - SHOWN));
    }
    lines
}

fn pushed(outcome: &PeriodOutcome, dry_run: bool) -> String {
    let counts = &outcome.counts;
    if dry_run {
        return format!("  would push for {} tenants' meters", outcome.pushes.len());
    }
    let (pushed, pending) = (counts.pushed, counts.pending_after);
    match outcome.refused {
        Some(refused) => {
            let late = counts.errors.saturating_sub(refused);
            format!("  pushed {pushed}, refused {refused}, too late {late}, pending {pending}")
        }
        None => {
            format!("  before: pushed {pushed}, refused or too late {}, pending {pending}", counts.errors)
        }
    }
}

fn deed(outcome: &PeriodOutcome, dry_run: bool) -> String {
    let (windows, would) = (outcome.newly_closed, if dry_run { "would close" } else { "closed" });
    match outcome.purpose {
        Some(Purpose::Close) => format!("{would} {windows} windows"),
        Some(Purpose::Adjust) => {
            let (late, adjusts) =
                (outcome.adjustments.len(), if dry_run { "would adjust" } else { "adjusted" });
            format!("closes nothing: {adjusts} {late} closed figures for usage that came late")
        }
        Some(Purpose::Look) => {
            format!(
                "closes nothing: {} windows are not final yet, figures are provisional",
                outcome.provisional
            )
        }
        Some(Purpose::Unchanged) | None if outcome.counts.parked > 0 => {
            "nothing new: the parked tenants wait for a person (billrecon status says what to do)".to_owned()
        }
        Some(Purpose::Unchanged) | None if outcome.reports_dir.is_none() => {
            "closed before; its files are still missing, and the next run writes them".to_owned()
        }
        Some(Purpose::Unchanged) | None => "nothing to do: closed by the run below".to_owned(),
    }
}
