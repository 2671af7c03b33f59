//! Reminders: what waits for a person is told again, until somebody does something about it.
//!
//! In: settings, `now`. Out: a message in the outbox, where something waits and a Slack is set; else nothing. It takes no lease, and
//! changes nothing but the outbox. Names tenants by their ids only.

use jiff::{SignedDuration, Timestamp};

use crate::job::alert::{digest, message};
use crate::job::status::{self, Parked, Status};
use crate::job::{Settings, outbox};
use crate::notify::{Notice, Topic};
use crate::store::Access;
use crate::store::books::OutboxMessage;

/// Of two replicas with the same schedule one reminds.
const ONCE_IN: SignedDuration = SignedDuration::from_hours(1);

/// Whether somebody was reminded.
pub async fn remind(settings: &Settings, now: Timestamp) -> anyhow::Result<bool> {
    if !settings.tells_alerts() {
        return Ok(false);
    }
    let status = status::status(settings, now).await?;
    let waiting = waiting(&status);
    if waiting.is_empty() {
        return Ok(false);
    }
    let notice = notice(&status, &waiting, settings, now);
    let message = OutboxMessage { subject: "reminder".to_owned(), ..message(&notice, &digest(["reminder"])) };
    let store = settings.open(Access::Write).await?;
    let books = store.books();
    let mut append = books.append().await?;
    append.add_alert(&message, now.checked_sub(ONCE_IN).unwrap_or(Timestamp::MIN), now).await?;
    append.commit().await?;
    outbox::send(settings, None, &books).await?;
    store.close().await;
    Ok(true)
}

/// One phrase for each kind of thing that only a person can settle.
fn waiting(status: &Status) -> Vec<String> {
    let parked = status.parked.iter().filter(|one| !one.is_released).count();
    let counts = [
        (parked, "parked window", "parked windows"),
        (
            usize::try_from(status.quarantined).unwrap_or(usize::MAX),
            "line in quarantine",
            "lines in quarantine",
        ),
    ];
    let phrase = |(count, one, many): &(usize, &str, &str)| {
        format!("{count} {}", if *count == 1 { one } else { many })
    };
    counts.iter().filter(|(count, ..)| *count > 0).map(phrase).collect()
}

fn notice(status: &Status, waiting: &[String], settings: &Settings, now: Timestamp) -> Notice {
    let oldest = status.parked.iter().filter(|one| !one.is_released).map(|one| one.window.since).min();
    let since =
        oldest.map(|since| format!(", the oldest since {}", since.strftime("%Y-%m-%d"))).unwrap_or_default();
    let line = |one: &Parked| {
        let window = &one.window;
        format!("{}, {}: {}", window.tenant_id, window.period, window.reason.as_str())
    };
    Notice {
        why: format!("{} for a person{since}", waiting_words(waiting)),
        owner: settings.slack.owner.clone(),
        differences: status.parked.iter().filter(|one| !one.is_released).map(line).collect(),
        rest: "billrecon status".to_owned(),
        next_step: "look at what waits, and at what each needs".to_owned(),
        next_command: "billrecon status".to_owned(),
        ..Notice::new(Topic::Reminder, now.strftime("%Y-%m-%d").to_string(), status.mode.clone())
    }
}

fn waiting_words(waiting: &[String]) -> String {
    let verb =
        if waiting.len() == 1 && waiting.iter().all(|one| one.starts_with("1 ")) { "waits" } else { "wait" };
    format!("{} {verb}", waiting.join(" and "))
}
