//! What a bot adds to the thread of its message.
//!
//! In: details of a run; a notice that takes the place of an earlier one. Out: bodies within Slack's limits.

use slack_morphism::prelude::*;

use crate::notify::slack::render::{body, section};
use crate::notify::slack::text::{fit, list};
use crate::notify::{Details, Notice};

const DIFFERENCES: usize = 2_500;
const EXCEPTIONS: usize = 2_500;
const LATE: usize = 1_500;
const FALLBACK: usize = 600;

/// `None`: there is nothing to add.
pub fn details(details: &Details) -> Option<String> {
    let sections = [
        list("Differences", &details.differences, DIFFERENCES, "reconciliation.csv"),
        list("Exceptions", &details.exceptions, EXCEPTIONS, "exceptions.csv"),
        list("Late usage", &details.late, LATE, "adjustments.csv"),
    ];
    let blocks: Vec<SlackBlock> = sections.into_iter().flatten().map(section).collect();
    let count = |many: &[String], what: &str| format!("{} {what}", many.len());
    let fallback = [
        count(&details.differences, "differences"),
        count(&details.exceptions, "exceptions"),
        count(&details.late, "late"),
    ];
    (!blocks.is_empty()).then(|| body(&fallback.join(", "), blocks))
}

/// One line in the thread for those who have read what stood there before.
pub fn again(notice: &Notice) -> String {
    let Notice { topic, period, status, why, run_id, .. } = notice;
    let text = format!("{} · {period}, now {status}: {why} (run {run_id})", topic.headline());
    let text = fit(&text, FALLBACK);
    body(&text, vec![section(text.clone())])
}
