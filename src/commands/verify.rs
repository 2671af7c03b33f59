//! `billrecon verify`: prints what each check of a run came to.
//!
//! In: flags. Out: a line for each check, or one JSON object for each run; 65 when something does not hold. With `--files`
//! it reads a folder and nothing else: no settings, no database.

use serde_json::{Value, json};

use crate::cli::{GlobalFlags, VerifyFlags};
use crate::commands::{configured, print, start_logging};
use crate::config::Config;
use crate::domain::proof::Check;
use crate::exit_code::ExitCode;
use crate::job::verify::{self, Proof, Subject};
use crate::store::books::Approval;

pub async fn execute(global: &GlobalFlags, flags: &VerifyFlags) -> anyhow::Result<ExitCode> {
    let subject = match (&flags.subject.run, flags.subject.period) {
        (Some(run_id), _) => Subject::Run(run_id.clone()),
        (None, Some(period)) => Subject::Period(period),
        (None, None) => Subject::All,
    };
    let proofs = if let Some(folder) = &flags.subject.files {
        vec![verify::verify_files(folder)?]
    } else {
        let config = Config::load(global)?;
        start_logging(&config.log)?;
        verify::verify(&configured(&config)?, &subject, flags.head.as_ref()).await?
    };
    for proof in &proofs {
        print::data(&if flags.json { print::json(&as_json(proof)) } else { as_text(proof) })?;
    }
    let Some(fault) = proofs.iter().find_map(Proof::first_fault) else { return Ok(ExitCode::Done) };
    print::words(&format!("billrecon: does not hold: {fault}"));
    Ok(ExitCode::BadData)
}

fn as_text(proof: &Proof) -> String {
    let mut lines = Vec::new();
    if let Some(period) = proof.period {
        lines.push(format!("run {} of {period}", proof.run_id));
    }
    lines.extend(proof.checks.iter().map(|check| {
        let Check { name, finding } = check;
        format!("{:<11}  {:<14}  {}", finding.as_str().replace('_', " "), name.as_str(), finding.words())
    }));
    lines.extend(proof.approvals.iter().map(approval_text));
    lines.join("\n")
}

/// Who approved a run, for a person.
pub fn approval_text(one: &Approval) -> String {
    format!(
        "approved: run {} by {} ({}) at {}: {}",
        one.run_id, one.by, one.os_user, one.recorded_at, one.note
    )
}

pub fn approval_json(one: &Approval) -> Value {
    json!({
        "run_id": one.run_id, "by": one.by, "os_user": one.os_user, "note": one.note,
        "recorded_at": one.recorded_at.to_string(),
    })
}

fn as_json(proof: &Proof) -> String {
    let checks: Vec<Value> = proof
        .checks
        .iter()
        .map(|Check { name, finding }| {
            json!({"check": name.as_str(), "finding": finding.as_str(), "words": finding.words()})
        })
        .collect();
    json!({
        "run_id": Some(&proof.run_id).filter(|run_id| !run_id.is_empty()),
        "period": proof.period.map(|period| period.to_string()),
        "holds": proof.first_fault().is_none(),
        "checks": checks,
        "first_fault": proof.first_fault(),
        "approvals": proof.approvals.iter().map(approval_json).collect::<Vec<_>>(),
        "head": proof.head.as_ref().map(|(position, hash)| format!("{position}:{hash}")),
    })
    .to_string()
}
