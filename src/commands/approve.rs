//! `billrecon approve`: verifies a run, and writes who says that it is right.
//!
//! In: flags. Out: one line, or one JSON object. What does not hold is refused with 65, the runner with 77 where the settings
//! ask for another person.

use jiff::Timestamp;
use serde_json::json;

use crate::cli::{ApproveFlags, GlobalFlags};
use crate::commands::verify::{approval_json, approval_text};
use crate::commands::{configured, print, start_logging};
use crate::config::Config;
use crate::exit_code::ExitCode;
use crate::job::approve::{Request, approve};

pub async fn execute(global: &GlobalFlags, flags: &ApproveFlags, now: Timestamp) -> anyhow::Result<ExitCode> {
    let config = Config::load(global)?;
    start_logging(&config.log)?;
    let request = Request {
        run_id: flags.run.clone(),
        by: flags.by.clone(),
        note: flags.note.clone(),
        lock_wait: flags.lock_wait,
    };
    let approved = approve(&configured(&config)?, &request, now).await?;
    let json = json!({
        "approval": approval_json(&approved.approval),
        "period_status": approved.period_status,
        "again": approved.again,
    });
    let again = if approved.again { "; it was said before, and nothing was added" } else { "" };
    print::data(&if flags.json {
        print::json(&json.to_string())
    } else {
        format!("{} (the period is {}{again})", approval_text(&approved.approval), approved.period_status)
    })?;
    Ok(ExitCode::Done)
}
