//! A notice as a message, within everything that Slack allows.
//!
//! In: a [`Notice`], however long or hostile its texts. Out: the body for a webhook or a bot, what matters most first. Other
//! people's texts are escaped, so that none of them can mention a person, make a link or turn the reading direction. Each part
//! has a budget of its own, so that a long list never pushes out what comes after it.

use slack_morphism::prelude::*;

use crate::domain::decide::VerdictWord;
use crate::notify::slack::text::{cut, fit, list};
use crate::notify::{MetricLine, Notice, Owner, Topic};

/// The body of a webhook request, and the same as plain text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlackBody {
    pub json: String,
    /// For a terminal. The few lines that matter most stand in `json` too, for notifications and screen readers.
    pub text: String,
}

/// Slack's limit.
const HEADER: usize = 150;
const WHY: usize = 600;
const REASONS: usize = 900;
const METRICS: usize = 1_600;
const MONEY: usize = 500;
const DIFFERENCES: usize = 1_600;
const OWNER: usize = 120;
const NEXT_STEP: usize = 400;
const NEXT_COMMAND: usize = 300;
const CONTEXT: usize = 250;
const CONTEXT_ELEMENTS: usize = 3;
/// Braces and names around the texts.
const ENVELOPE: usize = 1_500;

/// Slack refuses about 13,200 characters although each block is within its limit.
pub const MESSAGE: usize = 10_000;
const SECTION: usize = 3_000;
const FALLBACK: usize = HEADER + WHY + NEXT_STEP + NEXT_COMMAND + 20;
const LISTS: usize = REASONS + METRICS + MONEY + DIFFERENCES;
const NEXT: usize = OWNER + NEXT_STEP + NEXT_COMMAND;
const _: () =
    assert!(HEADER + WHY + LISTS + NEXT + CONTEXT_ELEMENTS * CONTEXT + FALLBACK + ENVELOPE <= MESSAGE);
const _: () = assert!(METRICS <= SECTION && DIFFERENCES <= SECTION && NEXT <= SECTION);

/// Words that people and programs look for; the symbol only helps the eye.
fn symbol(topic: Topic) -> &'static str {
    match topic {
        Topic::Verdict(VerdictWord::Go) => "✅",
        Topic::Verdict(VerdictWord::Review) | Topic::Differences | Topic::Drafts | Topic::Reminder => "⚠️",
        Topic::Verdict(VerdictWord::NoGo) => "⛔",
        Topic::Verdict(VerdictWord::InsufficientData) => "❔",
        Topic::Failed => "❌",
        Topic::Missed => "⏰",
    }
}

pub fn render(notice: &Notice) -> SlackBody {
    let lines = plain(notice);
    let escaped: Vec<String> = lines.iter().map(|line| fit(line, FALLBACK)).collect();
    let json = body(&escaped.join("\n"), blocks(notice));
    SlackBody { json, text: terminal(notice) }
}

/// A message as JSON: the fallback, and the blocks.
pub fn body(fallback: &str, blocks: Vec<SlackBlock>) -> String {
    let content = SlackMessageContent::new().with_text(fallback.to_owned()).with_blocks(blocks);
    serde_json::to_string(&SlackApiPostWebhookMessageRequest::new(content))
        .unwrap_or_else(|_| serde_json::json!({ "text": fallback }).to_string())
}

/// What the blocks say, line by line.
fn terminal(notice: &Notice) -> String {
    let mut lines = vec![headline(notice), why(notice)];
    lines.extend(other_reasons(notice).iter().map(|reason| format!("why: {reason}")));
    let failed = notice.metrics.iter().filter(|line| line.passed == Some(false) && line.required);
    lines.extend(failed.map(metric));
    lines.extend(notice.money.iter().map(|money| format!("money: {money}")));
    lines.extend(notice.differences.iter().map(|one| format!("difference: {one}")));
    lines.push(format!("next: {}", notice.next_step));
    lines.push(format!("then: {}", notice.next_command));
    if let Some(owner) = &notice.owner {
        lines.push(format!("owner: {}", name(owner)));
    }
    if !notice.run_id.is_empty() {
        lines.push(format!("run {}, files in {}", notice.run_id, notice.reports_dir));
    }
    lines.iter().map(|line| cut(line, WHY)).collect::<Vec<_>>().join("\n")
}

fn headline(notice: &Notice) -> String {
    let Notice { topic, period, mode, .. } = notice;
    format!("{} {} · {period} · {mode}", symbol(*topic), topic.headline())
}

fn why(notice: &Notice) -> String {
    match notice.status.as_str() {
        "" => notice.why.clone(),
        status => format!("{status}: {}", notice.why),
    }
}

/// What the one sentence does not say already.
fn other_reasons(notice: &Notice) -> Vec<String> {
    notice.reasons.iter().filter(|reason| **reason != notice.why).cloned().collect()
}

/// Each line within its own budget, so that the end is never lost to the middle.
fn plain(notice: &Notice) -> Vec<String> {
    let mut lines = vec![cut(&headline(notice), HEADER), cut(&why(notice), WHY)];
    if !notice.next_step.is_empty() {
        lines.push(format!("Next: {}", cut(&notice.next_step, NEXT_STEP)));
    }
    if !notice.next_command.is_empty() {
        lines.push(cut(&notice.next_command, NEXT_COMMAND));
    }
    lines
}

fn blocks(notice: &Notice) -> Vec<SlackBlock> {
    let metrics: Vec<String> = notice.metrics.iter().map(metric).collect();
    let mut blocks = vec![header(&headline(notice))];
    let sections = [
        Some(fit(&why(notice), WHY)).filter(|why| !why.is_empty()),
        list("Why", &other_reasons(notice), REASONS, "decision.csv"),
        list("Metrics", &metrics, METRICS, "decision.csv"),
        list("Money", &notice.money, MONEY, "summary.csv"),
        list("Differences", &notice.differences, DIFFERENCES, &fit(&notice.rest, 30)),
        next(notice),
    ];
    blocks.extend(sections.into_iter().flatten().map(section));
    let Notice { run_id, mode, reports_dir, .. } = notice;
    let mut context = vec![format!("mode {mode}")];
    if !run_id.is_empty() {
        context.insert(0, format!("run {run_id}"));
        context.push(format!("files in {reports_dir}"));
    }
    let elements = context.iter().map(|text| markdown(fit(text, CONTEXT)).into()).collect();
    blocks.push(SlackContextBlock::new(elements).into());
    blocks
}

fn metric(line: &MetricLine) -> String {
    let MetricLine { plan, meter, metric, value, operator, threshold, passed, required } = line;
    let state = match passed {
        Some(true) => "✅ holds",
        Some(false) => "❌ fails",
        None => "➖ n/a",
    };
    let weight = if *required { "required" } else { "advisory" };
    format!("{state}: {metric} {value} (rule {operator} {threshold}, {weight}) · {plan} · {meter}")
}

fn next(notice: &Notice) -> Option<String> {
    let mut lines = Vec::new();
    if !notice.next_step.is_empty() {
        lines.push(format!("*Next:* {}", fit(&notice.next_step, NEXT_STEP - 20)));
    }
    if !notice.next_command.is_empty() {
        // A backtick would end the code early.
        let command = notice.next_command.replace('`', "'");
        lines.push(format!("`{}`", fit(&command, NEXT_COMMAND - 20)));
    }
    lines.extend(notice.owner.as_ref().map(|owner| format!("*Owner:* {}", mention(owner))));
    (!lines.is_empty()).then(|| lines.join("\n"))
}

/// The one mention in a message: its id was checked to be nothing else.
fn mention(owner: &Owner) -> String {
    match owner {
        Owner::User(id) => format!("<@{}>", fit(id, OWNER - 30)),
        Owner::Group(id) => format!("<!subteam^{}>", fit(id, OWNER - 30)),
        Owner::Name(name) => fit(name, OWNER - 30),
    }
}

fn name(owner: &Owner) -> &str {
    let (Owner::User(name) | Owner::Group(name) | Owner::Name(name)) = owner;
    name
}

pub fn header(text: &str) -> SlackBlock {
    SlackHeaderBlock::new(SlackBlockPlainText::new(fit(text, HEADER)).into()).into()
}

pub fn section(text: String) -> SlackBlock {
    SlackSectionBlock::new().with_text(SlackBlockText::MarkDown(markdown(text))).into()
}

/// Verbatim: Slack makes no links and no mentions out of what looks like one.
fn markdown(text: String) -> SlackBlockMarkDownText {
    SlackBlockMarkDownText::new(text).with_verbatim(true)
}

#[cfg(test)]
mod tests;
