//! Vital signs: what a monitoring system is told, gathered in one place.
//!
//! In: how the last wake of this process ended, the books and the ledger, read-only. Out: signs in the order of
//! [`Vital::ALL`]. What is not known is left out. Never writes, never takes the lease, never asks Stripe, never names a tenant.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::domain::intent::IntentState;
use crate::domain::policy::VerdictWord;
use crate::domain::reconcile::Class;
use crate::domain::tenant::ParkReason;
use crate::domain::vital::{Sign, Vital};
use crate::job::{Settings, status};
use crate::store::books::BooksView;
use crate::store::{Access, Store};

/// How a wake ended, as the process that ran it knows it.
#[derive(Clone, Debug, Default)]
pub struct WakeEnd {
    pub ended_at: Timestamp,
    pub exit_code: i32,
    pub took: Duration,
    /// By the stage's name.
    pub stages: BTreeMap<&'static str, Duration>,
    /// Of this wake or one before it; `None`: none is known.
    pub last_success: Option<Timestamp>,
}

/// Of the wake alone, where the database cannot be asked.
pub fn of_wake(wake: &WakeEnd) -> Vec<Sign> {
    let mut signs = vec![Sign::new(Vital::LastRun, wake.ended_at.as_second())];
    signs.extend(wake.last_success.map(|at| Sign::new(Vital::LastSuccess, at.as_second())));
    signs.push(Sign::new(Vital::ExitCode, i64::from(wake.exit_code)));
    signs.push(Sign::new(Vital::RunDuration, whole(wake.took.as_secs())));
    let stages = wake.stages.iter();
    signs.extend(
        stages.map(|(name, took)| Sign::labelled(Vital::StageDuration, name, whole(took.as_millis()))),
    );
    signs
}

/// Of the wake, if there was one, and of the database.
pub async fn gather(
    settings: &Settings,
    wake: Option<&WakeEnd>,
    now: Timestamp,
) -> anyhow::Result<Vec<Sign>> {
    let mut signs = wake.map(of_wake).unwrap_or_default();
    let store = settings.open(Access::ReadOnly).await?;
    let found = of_database(settings, &store, now).await;
    store.close().await;
    signs.extend(found?);
    Ok(signs)
}

async fn of_database(settings: &Settings, store: &Store, now: Timestamp) -> anyhow::Result<Vec<Sign>> {
    let mut view = store.books().snapshot().await?;
    let holder = view.lease_holder().await?;
    let is_held = holder.is_some_and(|holder| holder.expires_in_ms > 0);
    let mut signs = vec![Sign::new(Vital::LeaseHeld, i64::from(is_held))];
    signs.extend(due(settings, &mut view, now).await?);
    let jobs = view.period_jobs().await?;
    let pending = jobs.values().map(|job| job.counts.pending_after).sum::<u64>();
    signs.push(Sign::new(Vital::PendingPushes, whole(pending)));
    let pushes = view.intents_by_state().await?;
    signs.extend(each(Vital::Pushes, IntentState::ALL, IntentState::as_str, &pushes));
    let parked = view.parked_by_reason().await?;
    signs.extend(each(Vital::ParkedWindows, ParkReason::ALL, ParkReason::as_str, &parked));
    let quarantined = store.ledger().snapshot().await?.open_quarantine().await?;
    signs.push(Sign::new(Vital::Quarantined, whole(quarantined)));
    let differences = view.differences_by_class().await?;
    let classes = Class::ALL.into_iter().filter(|class| !matches!(class, Class::Matched | Class::OutOfScope));
    signs.extend(each(Vital::OpenDifferences, classes, Class::as_str, &differences));
    let unexplained = view.unexplained().await?;
    signs.extend(
        unexplained
            .into_iter()
            .map(|(currency, minor)| Sign::labelled(Vital::Unexplained, currency.code(), whole(minor))),
    );
    if let Some(said) = view.last_verdict().await? {
        let words = [VerdictWord::Go, VerdictWord::Review, VerdictWord::NoGo, VerdictWord::InsufficientData];
        let of_word =
            |word: VerdictWord| Sign::labelled(Vital::Verdict, word.as_str(), i64::from(word == said));
        signs.extend(words.map(of_word));
    }
    let watched = view.drafts_watched().await?;
    let missed = watched.iter().map(|one| one.windows.saturating_sub(one.seen)).sum::<u64>();
    signs.push(Sign::new(Vital::MissedDrafts, whole(missed)));
    Ok(signs)
}

async fn due(settings: &Settings, view: &mut BooksView, now: Timestamp) -> anyhow::Result<Vec<Sign>> {
    let tenants = view.tenants().await?;
    let due = status::due_periods(settings, &tenants, view, now).await?;
    let since = |end: Timestamp| now.duration_since(end) - settings.settle_delay;
    let oldest = due.iter().map(|(_, end)| since(*end).as_secs().max(0)).max();
    let count = Sign::new(Vital::DuePeriods, whole(due.len()));
    // Where nothing is due nothing is old.
    Ok(vec![count, Sign::new(Vital::OldestDue, oldest.unwrap_or_default())])
}

/// A sign for each word, also for those that nothing is counted under.
fn each<W: Copy + PartialEq>(
    vital: Vital,
    words: impl IntoIterator<Item = W>,
    word_of: impl Fn(W) -> &'static str,
    counts: &[(W, u64)],
) -> Vec<Sign> {
    let count = |word: W| counts.iter().find(|(one, _)| *one == word).map_or(0, |(_, count)| *count);
    words.into_iter().map(|word| Sign::labelled(vital, word_of(word), whole(count(word)))).collect()
}

/// More than 63 bits are told as the most that can be.
fn whole(count: impl TryInto<i64>) -> i64 {
    count.try_into().unwrap_or(i64::MAX)
}
