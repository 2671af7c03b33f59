//! `billrecon decide`: what a policy says of a closed period, with every metric and its formula.
//!
//! In: flags. Out: the verdict, its reasons and the metrics, as text or as one JSON object. Changes nothing: the verdict of the
//! run stands.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::cli::{DecideFlags, GlobalFlags};
use crate::commands::{configured, print, start_logging, verdict_code};
use crate::config::Config;
use crate::domain::decide::DecisionRow;
use crate::domain::metric::Metric;
use crate::domain::trend::{Target, TrendRow};
use crate::exit_code::ExitCode;
use crate::job::decide::{Answer, Question, decide};
use crate::job::{PolicyFile, Refusal};

pub async fn execute(global: &GlobalFlags, flags: &DecideFlags) -> anyhow::Result<ExitCode> {
    let config = Config::load(global)?;
    start_logging(&config.log)?;
    let policy = flags.policy.as_deref().map(read).transpose()?;
    let question = Question { period: flags.period, policy };
    let answer = decide(&configured(&config)?, &question).await?;
    print::data(&if flags.json { print::json(&as_json(&answer).to_string()) } else { text(&answer) })?;
    let code = verdict_code(Some(answer.decision.verdict.word), answer.differs);
    Ok(if flags.detailed_exitcode { code } else { ExitCode::Done })
}

fn read(path: &Path) -> Result<PolicyFile, Refusal> {
    let file = path.display().to_string();
    match fs::read_to_string(path) {
        Ok(text) => Ok(PolicyFile { file, text }),
        Err(error) => Err(Refusal::Configuration(format!("the policy {file} cannot be read: {error}"))),
    }
}

fn text(answer: &Answer) -> String {
    let Answer { mode, period, run_id, then, decision, .. } = answer;
    let policy = answer.policy_file.as_deref().unwrap_or("the built-in policy");
    let word = decision.verdict.word.as_str();
    let mut lines = vec![format!("{mode}  {period}  {word}  by {policy}")];
    lines.extend(decision.verdict.reasons.iter().map(|reason| format!("  why: {reason}")));
    lines.push(format!("  run {run_id} said {}; nothing was changed", then.word.as_str()));
    let mut pair = ("", "");
    for row in &decision.rows {
        if pair != (row.plan.as_str(), row.meter.as_str()) {
            pair = (&row.plan, &row.meter);
            lines.push(format!("\n{}, {}", row.plan, row.meter));
        }
        lines.push(metric(row));
    }
    let targets: Vec<String> = answer.trend.iter().filter_map(target).collect();
    if !targets.is_empty() {
        lines.push("\nsince Stripe charges".to_owned());
        lines.extend(targets);
    }
    lines.join("\n")
}

/// Name, value, what is asked, and how it is computed over whom.
fn metric(row: &DecisionRow) -> String {
    let asked = match (row.operator.as_str(), row.passed) {
        ("", _) => String::new(),
        (operator, passed) => {
            let held = match (passed, row.required) {
                (Some(true), _) => "holds",
                (Some(false), true) => "DOES NOT HOLD",
                (Some(false), false) => "does not hold (advice)",
                (None, _) => "n/a",
            };
            format!("  {operator} {} {held}", row.threshold)
        }
    };
    let formula = Metric::of_row(&row.metric).map_or("", |(metric, _)| metric.formula());
    format!("  {} = {}{asked}  [{formula}; population {}]", row.metric, row.value, row.population)
}

fn target(row: &TrendRow) -> Option<String> {
    let met = match row.met {
        Some(true) => "met",
        Some(false) => "not met",
        None => "n/a",
    };
    let target = row.target?.as_str();
    let baseline = row.baseline.as_ref().map(|text| format!(", baseline {text}")).unwrap_or_default();
    Some(format!(
        "  {}  {} {} = {}, target {target}{baseline}: {met}",
        row.period, row.plan, row.metric, row.value
    ))
}

fn as_json(answer: &Answer) -> serde_json::Value {
    let row = |row: &DecisionRow| {
        json!({
            "plan": row.plan, "meter": row.meter, "metric": row.metric, "value": row.value, "operator": row.operator,
            "threshold": row.threshold, "passed": row.passed, "required": row.required, "population": row.population,
            "formula": Metric::of_row(&row.metric).map(|(metric, _)| metric.formula()),
        })
    };
    let trend = |row: &TrendRow| {
        json!({
            "plan": row.plan, "meter": row.meter, "metric": row.metric, "period": row.period.to_string(),
            "value": row.value, "previous": row.previous, "change": row.change,
            "change_share": row.change_share.map(|share| share.to_string()), "baseline": row.baseline,
            "target": row.target.map(Target::as_str), "met": row.met,
        })
    };
    let verdict = &answer.decision.verdict;
    json!({
        "mode": answer.mode,
        "period": answer.period.to_string(),
        "run_id": answer.run_id,
        "policy": answer.policy_file,
        "verdict": verdict.word.as_str(),
        "reasons": verdict.reasons,
        "verdict_of_run": answer.then.word.as_str(),
        "metrics": answer.decision.rows.iter().map(row).collect::<Vec<_>>(),
        "trend": answer.trend.iter().map(trend).collect::<Vec<_>>(),
    })
}
