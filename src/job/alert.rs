//! Alerts: what somebody has to hear of before a verdict, or where there will be none.
//!
//! In: a period's plan, a wake that failed, what the guard has found. Out: messages in the outbox; the same is not told again
//! for a while. A demo has none. Their failure changes nothing but a warning.

use std::collections::BTreeSet;
use std::path::Path;

use jiff::Timestamp;

use crate::domain::audit::sha256_hex;
use crate::domain::figures::{WindowFigures, WindowStatus};
use crate::domain::money::MinorSum;
use crate::domain::policy::Policy;
use crate::domain::reconcile::{Age, Cause, ReconciliationRow};
use crate::job::connection::mode_of;
use crate::job::guard::{Finding, Guarded, Outcome};
use crate::job::interrupt::Interrupted;
use crate::job::message::{difference, in_currency};
use crate::job::plan::{PeriodPlan, Purpose};
use crate::job::stage::LONGEST_DRAFT;
use crate::job::{PeriodOutcome, Refusal, Settings, Wake, outbox};
use crate::notify::slack;
use crate::notify::{Notice, Topic};
use crate::store::books::{OutboxMessage, PeriodStatus};
use crate::store::{Access, Books, StoreError};

/// How much of a digest tells two alerts apart.
const DIGEST: usize = 16;

impl Settings {
    /// Whether alerts are told at all.
    pub fn tells_alerts(&self) -> bool {
        self.slack.destination.is_some() && !self.demo
    }

    /// What was told after this is not told again.
    pub fn told_since(&self, now: Timestamp) -> Timestamp {
        now.checked_sub(self.slack.alert_again).unwrap_or(Timestamp::MIN)
    }
}

/// What is to be told with a plan: windows that closed unseen, and differences of an open period that would stop it.
pub fn of_plan(
    plan: &PeriodPlan,
    (run_id, mode, folder): (&str, &str, &Path),
    settings: &Settings,
    policy: &Policy,
    is_told: bool,
) -> Vec<OutboxMessage> {
    if !settings.tells_alerts() {
        return Vec::new();
    }
    let of_run = |notice: Notice| Notice {
        owner: settings.slack.owner.clone(),
        run_id: run_id.to_owned(),
        reports_dir: folder.display().to_string(),
        ..notice
    };
    let (period, mode) = (plan.report.period.to_string(), mode.to_owned());
    // A verdict on windows that nobody has seen says so itself.
    let missed = if is_told { None } else { missed(plan, &period, &mode) };
    let found = [missed, differences(plan, policy, &period, &mode)];
    found.into_iter().flatten().map(|(notice, digest)| message(&of_run(notice), &digest)).collect()
}

fn missed(plan: &PeriodPlan, period: &str, mode: &str) -> Option<(Notice, String)> {
    // Where nothing is billed nobody has to look.
    plan.facts.as_ref().filter(|facts| !facts.full_cycle)?;
    let is_missed = |one: &&WindowFigures| {
        let is_invoiced = one.stretches.iter().any(|part| part.invoiced);
        one.status == WindowStatus::Closed && !one.full_cycle && !one.trial && is_invoiced
    };
    let missed: Vec<&str> =
        plan.writes().iter().filter(is_missed).map(|one| one.tenant_id.as_str()).collect();
    let first = missed.first()?;
    let why = format!(
        "{} billing windows closed without having been pushed or observed in time, the first of tenant {first}",
        missed.len()
    );
    let notice = Notice {
        why,
        next_step:
            "see that the job wakes every hour: the last usage is sent while Stripe's invoice is a draft"
                .to_owned(),
        next_command: "billrecon status".to_owned(),
        ..Notice::new(Topic::Missed, period.to_owned(), mode.to_owned())
    };
    Some((notice, digest(missed)))
}

/// What was there in the run before, too: usage that was just sent takes Stripe a while.
fn differences(plan: &PeriodPlan, policy: &Policy, period: &str, mode: &str) -> Option<(Notice, String)> {
    let is_blocking = |row: &&ReconciliationRow| {
        row.is_difference()
            && matches!(row.age, Some(Age::Known { .. }))
            && !policy.is_harmless(row.reason.map_or("", Cause::as_str))
    };
    let rows: Vec<&ReconciliationRow> = match plan.purpose {
        Purpose::Look => plan.report.comparison.iter().filter(is_blocking).collect(),
        _ => Vec::new(),
    };
    if rows.is_empty() {
        return None;
    }
    // Numbers move with each hour's usage; who differs in what does not.
    let kinds: BTreeSet<String> = rows
        .iter()
        .map(|row| {
            let reason = row.reason.map_or("", Cause::as_str);
            format!("{}\0{}\0{}\0{reason}", row.tenant_id, row.meter, row.class.as_str())
        })
        .collect();
    let notice = Notice {
        status: "open".to_owned(),
        why: format!(
            "{} differences have been there since an earlier run and would stop the verdict",
            rows.len()
        ),
        differences: rows.iter().map(|row| difference(row)).collect(),
        rest: "reconciliation.csv".to_owned(),
        next_step: "mend them before the period ends".to_owned(),
        next_command: format!("billrecon run --period {period}"),
        ..Notice::new(Topic::Differences, period.to_owned(), mode.to_owned())
    };
    Some((notice, digest(kinds)))
}

/// Periods of a wake that could not be done, and those that should be closed by now.
pub async fn of_wake(wake: &Wake, settings: &Settings, books: &Books) -> Result<(), StoreError> {
    if !settings.tells_alerts() {
        return Ok(());
    }
    for error in &wake.failures {
        let text = format!("{error:#}");
        let subject = text.split(':').next().unwrap_or_default().trim_start_matches("period ");
        let notice = failed(subject, &wake.mode, &text, settings);
        add(&message(&notice, &digest([timeless(&text)])), settings, books, wake.now).await?;
    }
    for outcome in wake.outcomes.iter().filter(|outcome| is_overdue(outcome, settings, wake.now)) {
        let notice = overdue(outcome, &wake.mode, settings);
        add(&message(&notice, &digest([""])), settings, books, wake.now).await?;
    }
    Ok(())
}

/// Windows of a label end before the month after the next one begins, and no draft should live as long as the longest.
fn is_overdue(outcome: &PeriodOutcome, settings: &Settings, now: Timestamp) -> bool {
    let last_end = outcome.period.next().next().start(&settings.time_zone);
    let is_open = matches!(outcome.status, PeriodStatus::Open | PeriodStatus::Closing);
    is_open && last_end.checked_add(LONGEST_DRAFT).is_ok_and(|due| due < now)
}

fn overdue(outcome: &PeriodOutcome, mode: &str, settings: &Settings) -> Notice {
    Notice {
        status: outcome.status.as_str().to_owned(),
        why: "all windows have ended, and some are not closed".to_owned(),
        owner: settings.slack.owner.clone(),
        next_step: "look for invoices that Stripe holds as drafts".to_owned(),
        next_command: format!("billrecon run --period {}", outcome.period),
        run_id: outcome.run_id.clone().unwrap_or_default(),
        reports_dir: outcome.reports_dir.as_ref().map(|dir| dir.display().to_string()).unwrap_or_default(),
        ..Notice::new(Topic::Missed, outcome.period.to_string(), mode.to_owned())
    }
}

/// A wake that could not be done at all, where the database can still be reached.
pub async fn of_failed_wake(error: &anyhow::Error, settings: &Settings, now: Timestamp) {
    // Another run is at work, a person has ended it, or asked for something that cannot be.
    let lost = error.chain().find_map(|cause| cause.downcast_ref::<StoreError>());
    let is_usual = lost
        .is_some_and(|cause| matches!(cause, StoreError::LeaseHeld(_) | StoreError::LeaseLost))
        || error.downcast_ref::<Interrupted>().is_some()
        || matches!(error.downcast_ref::<Refusal>(), Some(Refusal::Usage(_)));
    if is_usual || !settings.tells_alerts() {
        return;
    }
    if let Err(trouble) = tell_failed_wake(&format!("{error:#}"), settings, now).await {
        tracing::warn!("no alert could be kept: {trouble:#}");
    }
}

async fn tell_failed_wake(text: &str, settings: &Settings, now: Timestamp) -> anyhow::Result<()> {
    let store = settings.open(Access::Write).await?;
    let books = store.books();
    let pinned = books.snapshot().await?.pinned_account().await?;
    let mode = pinned.map_or_else(|| "NOT PINNED".to_owned(), |account| mode_of(&account, settings.demo));
    let notice = failed("all periods", &mode, text, settings);
    add(&message(&notice, &digest([timeless(text)])), settings, &books, now).await?;
    outbox::send(settings, None, &books).await?;
    store.close().await;
    Ok(())
}

fn failed(subject: &str, mode: &str, text: &str, settings: &Settings) -> Notice {
    Notice {
        why: text.to_owned(),
        owner: settings.slack.owner.clone(),
        next_step: "mend what it says; the next run goes on where this one ended".to_owned(),
        next_command: "billrecon status".to_owned(),
        ..Notice::new(Topic::Failed, subject.to_owned(), mode.to_owned())
    }
}

/// Drafts that would go out wrong.
pub async fn of_drafts(guarded: &Guarded, settings: &Settings) {
    if !settings.tells_alerts() || !guarded.needs_attention() {
        return;
    }
    if let Err(trouble) = tell_drafts(guarded, settings).await {
        tracing::warn!("no alert could be kept: {trouble:#}");
    }
}

async fn tell_drafts(guarded: &Guarded, settings: &Settings) -> anyhow::Result<()> {
    let open: Vec<&Finding> = guarded.findings.iter().filter(|one| one.outcome != Outcome::Settles).collect();
    let kinds = open.iter().map(|one| format!("{}\0{}", one.draft.invoice_id, one.outcome.as_str()));
    let notice = Notice {
        why: format!("{} of {} draft invoices need somebody before they go out", open.len(), guarded.drafts),
        differences: open.iter().map(|one| draft(one)).collect(),
        rest: "billrecon guard".to_owned(),
        owner: settings.slack.owner.clone(),
        next_step: "hold or mend them while they are drafts".to_owned(),
        next_command: "billrecon guard".to_owned(),
        ..Notice::new(
            Topic::Drafts,
            guarded.now.strftime("%Y-%m-%d %H:%M UTC").to_string(),
            guarded.mode.clone(),
        )
    };
    let alert = OutboxMessage {
        subject: "drafts".to_owned(),
        ..message(&notice, &digest(kinds.collect::<BTreeSet<_>>()))
    };
    let store = settings.open(Access::Write).await?;
    let books = store.books();
    add(&alert, settings, &books, guarded.now).await?;
    outbox::send(settings, None, &books).await?;
    store.close().await;
    Ok(())
}

fn draft(one: &Finding) -> String {
    let at_stake = one.at_stake();
    let money = at_stake.iter().map(|(currency, minor)| {
        format!(", {}", in_currency(MinorSum { minor: *minor, currency: *currency }))
    });
    let (draft, why) =
        (&one.draft, if one.why.is_empty() { String::new() } else { format!(": {}", one.why) });
    let until = draft.finalizes_at.map(|at| format!(", final at {}", at.strftime("%H:%M UTC")));
    format!(
        "{}, {}: {}{}{}{why}",
        draft.tenant_id,
        draft.invoice_id,
        one.outcome.as_str(),
        money.collect::<String>(),
        until.unwrap_or_default()
    )
}

async fn add(
    alert: &OutboxMessage,
    settings: &Settings,
    books: &Books,
    now: Timestamp,
) -> Result<(), StoreError> {
    let mut append = books.append().await?;
    append.add_alert(alert, settings.told_since(now), now).await?;
    append.commit().await
}

pub fn message(notice: &Notice, digest: &str) -> OutboxMessage {
    OutboxMessage {
        run_id: notice.run_id.clone(),
        topic: notice.topic.as_str().to_owned(),
        subject: notice.period.clone(),
        digest: digest.to_owned(),
        body: slack::render(notice).json,
        ..OutboxMessage::default()
    }
}

pub fn digest(parts: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let all: Vec<String> = parts.into_iter().map(|part| part.as_ref().to_owned()).collect();
    sha256_hex(all.join("\n").as_bytes()).chars().take(DIGEST).collect()
}

/// A failure in words that are the same an hour later: run ids, instants and counts have digits.
fn timeless(text: &str) -> String {
    let words = text.split_whitespace().filter(|word| !word.bytes().any(|byte| byte.is_ascii_digit()));
    words.collect::<Vec<_>>().join(" ")
}
