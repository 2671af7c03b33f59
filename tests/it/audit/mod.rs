//! The auditor: a closed month holds; one digit anywhere, and `verify` names it.
//!
//! In: a small company, closed by the real binary; a digit that is changed behind its back, with the triggers taken off.
//! Out: 65 and the name of what was changed. It never builds a finding by hand.

mod append_only;
mod approvals;
mod digits;
mod files_alone;
mod log;
mod runs;
mod words;

use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Ended, Engine, Workspace};

/// The small company, looked at in time and then closed.
struct Closed {
    workspace: Workspace,
    run_id: String,
}

impl Closed {
    fn new(engine: Engine) -> Self {
        let workspace = Workspace::with_company(engine);
        let (period, noon) = (["--period", "2026-09"], ["--as-of", "2026-09-30T12:00:00Z"]);
        workspace.run(&["run", period[0], period[1], noon[0], noon[1]]).expect(0);
        let closed = workspace.run(&["run", "--period", "2026-09", "--json"]).expect(0).json();
        let run_id = closed["run_id"].as_str().unwrap().to_owned();
        Self { workspace, run_id }
    }

    fn folder(&self) -> PathBuf {
        self.workspace.path("reports/2026-09").join(&self.run_id)
    }

    fn verify(&self) -> Ended {
        self.workspace.run(&["verify", &self.run_id])
    }

    /// The one object that `verify RUN --json` prints.
    fn proof(&self) -> Value {
        self.workspace.run(&["verify", &self.run_id, "--json"]).json()
    }

    /// What does not hold, over all runs and the whole ledger.
    #[track_caller]
    fn fault(&self) -> String {
        fault(&self.workspace.run(&["verify", "--all"]).expect(65))
    }
}

/// What stderr calls the first fault.
#[track_caller]
fn fault(ended: &Ended) -> String {
    let line = ended.stderr.lines().find_map(|line| line.strip_prefix("billrecon: does not hold: "));
    line.unwrap_or_else(|| panic!("no fault is named: {ended:?}")).to_owned()
}

/// Finding and words of one check.
fn check(proof: &Value, name: &str) -> (String, String) {
    let checks = proof["checks"].as_array().unwrap();
    let one = checks.iter().find(|one| one["check"] == name).unwrap_or_else(|| panic!("{name}: {proof}"));
    let text = |key: &str| one[key].as_str().unwrap().to_owned();
    (text("finding"), text("words"))
}

/// The text with one digit changed to the next one; `at` says which of its digits. Text without digits gets one.
fn other_digit(text: &str, at: usize) -> String {
    let digits: Vec<usize> =
        text.bytes().enumerate().filter(|(_, byte)| byte.is_ascii_digit()).map(|(at, _)| at).collect();
    let Some(place) = digits.get(at % digits.len().max(1)) else { return format!("{text}1") };
    let mut bytes = text.as_bytes().to_vec();
    bytes[*place] = if bytes[*place] == b'9' { b'8' } else { bytes[*place] + 1 };
    String::from_utf8(bytes).unwrap()
}
