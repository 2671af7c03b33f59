//! The message of a judged period: filled from its plan, kept in the outbox, posted when all else is done.
//!
//! In: a plan, the outbox. Out: a message of the notifier. Its failure changes nothing but a warning and a row that the
//! next run sends. Never names a customer.

use std::path::Path;

use crate::domain::money::MinorSum;
use crate::domain::number::Quantity;
use crate::domain::reason::sentence;
use crate::domain::reconcile::ReconciliationRow;
use crate::domain::report::Money;
use crate::job::Settings;
use crate::job::lease::Lease;
use crate::job::plan::{PeriodPlan, Purpose};
use crate::notify::slack;
use crate::notify::{MetricLine, VerdictMessage};
use crate::store::Books;
use crate::store::books::OutboxMessage;

/// How many differences a message shows; all are in `reconciliation.csv`.
const DIFFERENCES_SHOWN: usize = 5;

/// A message as it will be posted, and as a person without Slack reads it.
pub struct Message {
    json: String,
    pub text: String,
    /// Whether there is a webhook for it.
    pub is_posted: bool,
}

impl Message {
    pub fn outbox(&self, run_id: &str) -> OutboxMessage {
        OutboxMessage {
            message_id: format!("{run_id}/verdict"),
            run_id: run_id.to_owned(),
            body: self.json.clone(),
        }
    }
}

/// One message per judged period, when something of it was decided.
pub fn of_plan(
    plan: &PeriodPlan,
    run_id: &str,
    mode: &str,
    folder: &Path,
    settings: &Settings,
) -> anyhow::Result<Option<Message>> {
    let Some(verdict) = plan.report.verdict.as_ref().filter(|_| plan.purpose == Purpose::Close) else {
        return Ok(None);
    };
    let period = plan.report.period;
    let differences: Vec<&ReconciliationRow> = worst_first(plan);
    let sentences: Vec<String> = verdict.reasons.iter().map(|reason| sentence(reason).to_owned()).collect();
    let message = VerdictMessage {
        verdict: verdict.word.as_str().to_owned(),
        period: period.to_string(),
        mode: mode.to_owned(),
        status: plan.status.as_str().to_owned(),
        why: sentences.last().cloned().unwrap_or_else(|| "every rule of the policy holds".to_owned()),
        reasons: sentences,
        metrics: metrics(plan),
        money: plan.report.money()?.iter().map(money).collect(),
        differences: differences.iter().take(DIFFERENCES_SHOWN).map(|row| difference(row)).collect(),
        next_step: next_step(plan, differences.len()),
        next_command: format!("billrecon run --period {period}"),
        run_id: run_id.to_owned(),
        reports_dir: folder.display().to_string(),
    };
    let body = slack::render(&message);
    let is_posted = settings.slack_webhook.is_some();
    Ok(Some(Message { json: body.json, text: body.text, is_posted }))
}

/// Posts what is in the outbox, oldest first. What fails stays there; where only one message is refused, the others go on.
pub async fn send_outbox(settings: &Settings, lease: &Lease, books: &Books) -> anyhow::Result<()> {
    let Some(webhook) = &settings.slack_webhook else { return Ok(()) };
    for message in books.snapshot().await?.unsent_messages().await? {
        let posted = slack::post(webhook, &message.body).await;
        let problem = posted.as_ref().err().map(ToString::to_string).unwrap_or_default();
        let mut write = books.write(lease.term()?).await?;
        write.settle_message(&message.message_id, &problem).await?;
        write.commit().await?;
        let Err(error) = posted else { continue };
        let run_id = &message.run_id;
        tracing::warn!("the Slack message of run {run_id} was not sent: {problem}; the next run sends it");
        if !error.is_of_one_message() {
            break;
        }
    }
    Ok(())
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
fn in_currency(sum: MinorSum) -> String {
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
