//! How far a run had come when it was killed.
//!
//! In: what it left in the database, the folders, Stripe's journal and Slack. Out: a [`Step`]. Looks without touching:
//! whoever opens a SQLite file mends it, and that is left to the next run.

use std::fs;

use super::month::{CLOSED, OPEN, Stage};
use crate::support::{Engine, Workspace, journal};

/// In their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Nothing,
    LeaseTaken,
    Started,
    Committed,
    FilesHalfWritten,
    FilesInPlace,
    Closed,
    IntentsCommitted,
    Asked,
    Sent,
    AnswersSaved,
    OpenFilesWritten,
    Posted,
    Told,
    LeaseReturned,
}

pub const STEPS: [Step; 15] = [
    Step::Nothing,
    Step::LeaseTaken,
    Step::Started,
    Step::Committed,
    Step::FilesHalfWritten,
    Step::FilesInPlace,
    Step::Closed,
    Step::IntentsCommitted,
    Step::Asked,
    Step::Sent,
    Step::AnswersSaved,
    Step::OpenFilesWritten,
    Step::Posted,
    Step::Told,
    Step::LeaseReturned,
];

/// `events_before` is what Stripe had counted when the run began.
pub fn reached(stage: &Stage<'_>, events_before: usize) -> Step {
    let workspace = stage.workspace;
    let copy = untouched(workspace);
    let database = copy.as_ref().unwrap_or(workspace);
    let is = |sql: &str| database.number(&format!("SELECT COUNT(*) FROM {sql}")) > 0;
    let closing =
        |state: &str| is(&format!("runs WHERE period = '{CLOSED}' AND state = '{state}' AND {SINCE}"));
    let opening = |state: &str| is(&format!("runs WHERE period = '{OPEN}' AND state = '{state}'"));
    let pushes = |which: &str| is(&format!("intents WHERE period = '{OPEN}' AND {which}"));
    let is_told = is("outbox WHERE state = 'sent'");
    let reached = [
        (Step::LeaseReturned, is_told && is("lease WHERE holder = ''")),
        (Step::Told, is_told),
        (Step::Posted, !stage.slack.requests().is_empty()),
        (Step::OpenFilesWritten, opening("finished")),
        (Step::AnswersSaved, pushes("state IN ('sent', 'confirmed')")),
        (Step::Sent, journal::events(workspace).len() > events_before),
        (Step::Asked, pushes("attempted_at IS NOT NULL")),
        (Step::IntentsCommitted, pushes("state = 'planned'")),
        (Step::Closed, closing("finished")),
        (Step::FilesInPlace, closing("committed") && folders(workspace, false)),
        (Step::FilesHalfWritten, closing("committed") && folders(workspace, true)),
        (Step::Committed, closing("committed")),
        (Step::Started, closing("started")),
        (Step::LeaseTaken, is("lease WHERE holder <> ''")),
    ];
    reached.into_iter().find_map(|(step, is_reached)| is_reached.then_some(step)).unwrap_or(Step::Nothing)
}

/// November's first instant; the runs of October began before.
const SINCE: &str = "started_at >= 1793491200000000000";

fn folders(workspace: &Workspace, partial: bool) -> bool {
    let is_partial = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "partial");
    workspace.report_folders(CLOSED).iter().any(|path| is_partial(path) == partial)
}

fn untouched(workspace: &Workspace) -> Option<Workspace> {
    if !workspace.url.starts_with("sqlite:") {
        return None;
    }
    let copy = Workspace::fresh(Engine::Sqlite);
    for name in ["billrecon.db", "billrecon.db-wal"] {
        if workspace.path(name).exists() {
            fs::copy(workspace.path(name), copy.path(name)).unwrap();
        }
    }
    Some(copy)
}
