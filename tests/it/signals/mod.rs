//! Signals: what a monitoring system hears of the job: pings, vital signs, logs, a line on a terminal.
//!
//! In: the real binary, a listener in place of a check, files. Out: what was told and in which order. None of it ever changes a wake
//! or its exit code, and none of it tells a secret or a tenant's name.

mod logs;
mod ping;
pub mod terminal;
mod vitals;

use crate::support::{Engine, Workspace};

/// The company, whose two months were looked at in time.
fn watched(engine: Engine) -> Workspace {
    let workspace = Workspace::with_watched_company(engine);
    workspace.watch("2026-10");
    workspace
}

/// Fails unless each line is a JSON object; their values.
#[track_caller]
fn json_lines(text: &str) -> Vec<serde_json::Map<String, serde_json::Value>> {
    let object = |line: &str| match serde_json::from_str(line) {
        Ok(serde_json::Value::Object(object)) => object,
        _ => panic!("no JSON object: {line}"),
    };
    text.lines().map(object).collect()
}
