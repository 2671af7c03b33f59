//! The message of a judged period: filled from its plan, written to the outbox with the figures that it speaks of.
//!
//! In: a plan. Out: a message of the notifier, and what a bot adds to its thread. Never names a customer.

use std::path::Path;

use jiff::SignedDuration;

use crate::domain::money::MinorSum;
use crate::domain::number::Quantity;
use crate::domain::reason::sentence;
use crate::domain::reconcile::ReconciliationRow;
use crate::domain::report::Money;
use crate::domain::telling::{Notify, Said};
use crate::job::outcome::exception;
use crate::job::plan::{PeriodPlan, Purpose};
use crate::job::{Settings, late_usage};
use crate::notify::slack::{self, Destination};
use crate::notify::{Details, MetricLine, Notice, Owner, Topic};
use crate::store::books::{OutboxMessage, PeriodStatus};

/// How many differences a message shows; all are in `reconciliation.csv`.
const DIFFERENCES_SHOWN: usize = 5;
/// How many of each a thread shows.
const DETAILS_SHOWN: usize = 10;

/// Where messages go, whom they concern, how quiet they are.
#[derive(Clone, Debug)]
pub struct SlackSettings {
    /// `None`: a person reads them on stderr.
    pub destination: Option<Destination>,
    pub owner: Option<Owner>,
    pub notify: Notify,
    /// The same alert is not told again within it.
    pub alert_again: SignedDuration,
}

/// A message as it will be posted, and as a person without Slack reads it.
#[derive(Debug)]
pub struct Message {
    pub outbox: OutboxMessage,
    pub text: String,
    /// Whether there is a Slack for it.
    pub is_posted: bool,
}

/// One message per judged period, when something of it was decided and the settings want to hear it. `before`: what was said
/// last.
pub fn of_plan(
    plan: &PeriodPlan,
    (run_id, mode, folder): (&str, &str, &Path),
    settings: &Settings,
    before: Option<Said>,
) -> anyhow::Result<Option<Message>> {
    let Some(verdict) = plan.report.verdict.as_ref().filter(|_| plan.purpose == Purpose::Close) else {
        return Ok(None);
    };
    let said = Said { word: verdict.word, is_partial: plan.status == PeriodStatus::Partial };
    if !settings.slack.notify.tells(said, before) {
        return Ok(None);
    }
    let period = plan.report.period;
    let differences = worst_first(plan);
    let sentences: Vec<String> = verdict.reasons.iter().map(|reason| sentence(reason).to_owned()).collect();
    let notice = Notice {
        status: plan.status.as_str().to_owned(),
        why: sentences.last().cloned().unwrap_or_else(|| "every rule of the policy holds".to_owned()),
        reasons: sentences,
        metrics: metrics(plan),
        money: plan.report.money()?.iter().map(money).collect(),
        differences: differences.iter().take(DIFFERENCES_SHOWN).map(|row| difference(row)).collect(),
        rest: "reconciliation.csv".to_owned(),
        owner: settings.slack.owner.clone(),
        next_step: next_step(plan, differences.len()),
        next_command: format!("billrecon run --period {period}"),
        run_id: run_id.to_owned(),
        reports_dir: folder.display().to_string(),
        ..Notice::new(Topic::Verdict(verdict.word), period.to_string(), mode.to_owned())
    };
    let body = slack::render(&notice);
    let outbox = OutboxMessage {
        message_id: format!("{run_id}/verdict"),
        run_id: run_id.to_owned(),
        topic: notice.topic.as_str().to_owned(),
        subject: notice.period.clone(),
        digest: String::new(),
        body: body.json,
        details: slack::details(&details(plan, &differences)).unwrap_or_default(),
        followup: slack::again(&notice),
        folder: folder.display().to_string(),
    };
    let is_posted = settings.slack.destination.is_some();
    Ok(Some(Message { outbox, text: body.text, is_posted }))
}

fn details(plan: &PeriodPlan, differences: &[&ReconciliationRow]) -> Details {
    Details {
        differences: differences.iter().take(DETAILS_SHOWN).map(|row| difference(row)).collect(),
        exceptions: plan.report.exceptions.iter().take(DETAILS_SHOWN).map(exception).collect(),
        late: plan.adjustments.iter().take(DETAILS_SHOWN).map(late_usage).collect(),
    }
}

fn metrics(plan: &PeriodPlan) -> Vec<MetricLine> {
    let ruled = plan.report.decision.iter().filter(|row| !row.operator.is_empty());
    ruled
        .map(|row| MetricLine {
            plan: row.plan.clone(),
            meter: row.meter.clone(),
            metric: row.metric.clone(),
            value: row.value.clone(),
            operator: row.operator.clone(),
            threshold: row.threshold.clone(),
            passed: row.passed,
            required: row.required,
        })
        .collect()
}

fn money(money: &Money) -> String {
    format!("base fees {}, usage at candidate prices {}", in_currency(money.base), in_currency(money.usage))
}

/// As people write it: `-200.00 TRY`.
pub fn in_currency(sum: MinorSum) -> String {
    format!("{sum} {}", sum.currency.code().to_uppercase())
}

/// By money, then by quantity.
fn worst_first(plan: &PeriodPlan) -> Vec<&ReconciliationRow> {
    let mut rows: Vec<&ReconciliationRow> =
        plan.report.comparison.iter().filter(|row| row.is_difference()).collect();
    rows.sort_by_key(|row| {
        let amount = row.difference_amount().map_or(0, i128::abs);
        let quantity = row.difference_quantity().map(Quantity::magnitude);
        std::cmp::Reverse((amount, quantity))
    });
    rows
}

/// What disagrees, in ids and numbers only.
pub fn difference(row: &ReconciliationRow) -> String {
    let known = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
    let quantities = format!(
        "ledger {}, Stripe {}",
        known(row.ledger_quantity.map(|one| one.to_string())),
        known(row.stripe_quantity.map(|one| one.to_string()))
    );
    let money = row
        .difference_amount()
        .filter(|minor| *minor != 0)
        .zip(row.currency)
        .map(|(minor, currency)| format!(", {}", in_currency(MinorSum { minor, currency })));
    let who = if row.tenant_id.is_empty() { row.evidence.first() } else { row.tenant_id.clone() };
    let reason = row.reason.map(|reason| format!(" ({})", reason.as_str())).unwrap_or_default();
    let (class, source) = (row.class.as_str(), row.source.as_str());
    format!("{who}, {}: {class}{reason} by {source}: {quantities}{}", row.meter, money.unwrap_or_default())
}

fn next_step(plan: &PeriodPlan, differences: usize) -> String {
    let parked = plan.counts.parked;
    match (parked, differences) {
        (0, 0) => "nothing is open: sign the reports off".to_owned(),
        (0, _) => "look at reconciliation.csv, worst money first".to_owned(),
        (_, _) => format!("mend the {parked} parked tenants (exceptions.csv says how), then run again"),
    }
}
