//! People's words: a tenant is set aside, and goes on.
//!
//! In: who, why, the books. Out: what is said of it from now on, in one transaction under the lease, with its audit rows. A
//! word that is there already is not written again, so a command that was killed may be given once more. Nothing is sent
//! and nothing closes here: the next run does what follows.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::audit::AuditEvent;
use crate::domain::parking::{Hold, Parking, Release, Word};
use crate::domain::period::Period;
use crate::domain::tenant::{ParkReason, Remedy};
use crate::job::explain::find;
use crate::job::interrupt::Signals;
use crate::job::lease::{Lease, under_lease};
use crate::job::{Refusal, Settings};
use crate::store::books::ParkedWindow;
use crate::store::{Access, Books};

/// Who is meant, and what for.
#[derive(Clone, Debug)]
pub struct Order {
    /// `None`: the whole period.
    pub tenant_id: Option<String>,
    /// `None`: all periods.
    pub period: Option<Period>,
    pub reason: Option<ParkReason>,
    pub word: Word,
}

/// Sets a tenant aside. The hold that is in force, and whether it is new.
pub async fn park(settings: &Settings, order: &Order, wait: Duration) -> anyhow::Result<(Hold, bool)> {
    let tenant_id = order.tenant_id.clone().unwrap_or_default();
    let hold = Hold { tenant_id, period: order.period, word: order.word.clone() };
    let work = async |lease: &Lease, books: &Books| {
        let mut view = books.snapshot().await?;
        find(&view.tenants().await?, &hold.tenant_id)?;
        let known = view.parking().await?.holds;
        if let Some(known) = known.into_iter().find(|one| is_same_scope(one, &hold)) {
            return Ok((known, false));
        }
        drop(view);
        let mut write = books.write(lease.term()?).await?;
        write.add_hold(&hold, true).await?;
        write.audit(&AuditEvent::of_hold(&hold, true), "", hold.word.at).await?;
        write.commit().await?;
        Ok((hold.clone(), true))
    };
    speak(settings, wait, order.word.at, work).await
}

fn is_same_scope(one: &Hold, other: &Hold) -> bool {
    one.tenant_id == other.tenant_id && one.period == other.period
}

/// What a release did.
#[derive(Debug, Default)]
pub struct Unparked {
    /// Holds that ended.
    pub ended: Vec<Hold>,
    pub released: Vec<Release>,
    /// Released by an earlier word, and not run since.
    pub already: Vec<ParkedWindow>,
    /// What no word releases.
    pub left: Vec<ParkedWindow>,
}

/// Ends a tenant's hold; where there is none, releases what a person's word can release.
pub async fn unpark(settings: &Settings, order: &Order, wait: Duration) -> anyhow::Result<Unparked> {
    let work = async |lease: &Lease, books: &Books| {
        let mut view = books.snapshot().await?;
        if let Some(tenant_id) = &order.tenant_id {
            find(&view.tenants().await?, tenant_id)?;
        }
        let done = decide(order, &view.parking().await?, &view.parked().await?)?;
        drop(view);
        let mut write = books.write(lease.term()?).await?;
        for hold in &done.ended {
            let ended = Hold { word: order.word.clone(), ..hold.clone() };
            write.add_hold(&ended, false).await?;
            write.audit(&AuditEvent::of_hold(&ended, false), "", order.word.at).await?;
        }
        for release in &done.released {
            write.add_release(release).await?;
            write.audit(&AuditEvent::of_release(release), "", order.word.at).await?;
        }
        write.commit().await?;
        Ok(done)
    };
    speak(settings, wait, order.word.at, work).await
}

async fn speak<T>(
    settings: &Settings,
    wait: Duration,
    now: Timestamp,
    work: impl AsyncFnOnce(&Lease, &Books) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut signals = Signals::listen()?;
    let store = signals.unless_interrupted(settings.open(Access::Write)).await?;
    let books = store.books();
    let work = async |lease: &Lease| work(lease, &books).await;
    let done = under_lease(&books, settings.lease_ttl, wait, now, &mut signals, work).await;
    store.close().await;
    done
}

/// What a word does. Pure.
fn decide(order: &Order, parking: &Parking, parked: &[ParkedWindow]) -> Result<Unparked, Refusal> {
    match &order.tenant_id {
        None => decide_period(order, parking, parked),
        Some(tenant_id) => {
            let ended = holds(tenant_id, order, parking)?;
            if !ended.is_empty() {
                return Ok(Unparked { ended, ..Unparked::default() });
            }
            decide_windows(tenant_id, order, parking, parked)
        }
    }
}

/// The holds that the word ends. Where there is one, nothing else is meant.
fn holds(tenant_id: &str, order: &Order, parking: &Parking) -> Result<Vec<Hold>, Refusal> {
    if order.reason.is_some_and(|reason| reason != ParkReason::Held) {
        return Ok(Vec::new());
    }
    let of_tenant = || parking.holds.iter().filter(|one| one.tenant_id == *tenant_id);
    let Some(period) = order.period else { return Ok(of_tenant().cloned().collect()) };
    let of_period: Vec<Hold> = of_tenant().filter(|one| one.period == Some(period)).cloned().collect();
    if of_period.is_empty() && of_tenant().any(|one| one.period.is_none()) {
        let text =
            format!("`{tenant_id}` is held in every period, not in {period} only: leave --period away");
        return Err(Refusal::Usage(text));
    }
    Ok(of_period)
}

fn decide_windows(
    tenant_id: &str,
    order: &Order,
    parking: &Parking,
    parked: &[ParkedWindow],
) -> Result<Unparked, Refusal> {
    let is_meant = |one: &&ParkedWindow| {
        one.tenant_id == tenant_id
            && order.period.is_none_or(|period| one.period == period)
            && order.reason.is_none_or(|reason| one.reason == reason)
    };
    let mut done = Unparked::default();
    for one in parked.iter().filter(is_meant) {
        let window = Some((one.tenant_id.clone(), one.window));
        let is_known =
            parking.releases.iter().any(|known| known.window == window && known.reason == one.reason);
        match one.reason.remedy() {
            Remedy::Allow | Remedy::LetStand if is_known => done.already.push(one.clone()),
            Remedy::Allow | Remedy::LetStand => {
                let (period, reason, word) = (one.period, one.reason, order.word.clone());
                done.released.push(Release { period, window, reason, word });
            }
            // A hold that has ended, and no run since.
            Remedy::EndHold => done.already.push(one.clone()),
            Remedy::Mend | Remedy::AllowPeriod => done.left.push(one.clone()),
        }
    }
    if done.released.is_empty()
        && done.already.is_empty()
        && let Some(one) = done.left.first()
    {
        return Err(refusal(one));
    }
    Ok(done)
}

/// Why a word does not help.
fn refusal(one: &ParkedWindow) -> Refusal {
    let (tenant_id, period, reason) = (&one.tenant_id, one.period, one.reason.as_str());
    if one.reason.remedy() == Remedy::AllowPeriod {
        let text = format!(
            "`{tenant_id}` is parked because of all of {period} (`{reason}`), so the period is to be released: \
             billrecon unpark --period {period} --reason {reason} --note TEXT"
        );
        return Refusal::Usage(text);
    }
    let step = one.reason.next_step();
    let text = format!("`{tenant_id}` is parked in {period} for `{reason}`, and no word mends that: {step}");
    Refusal::BadData(text)
}

fn decide_period(order: &Order, parking: &Parking, parked: &[ParkedWindow]) -> Result<Unparked, Refusal> {
    let (Some(period), Some(ParkReason::PeriodBound)) = (order.period, order.reason) else {
        let text = "name a tenant; without one only a period's bound is released: billrecon unpark --period YYYY-MM \
                    --reason period_bound --note TEXT";
        return Err(Refusal::Usage(text.to_owned()));
    };
    let reason = ParkReason::PeriodBound;
    let bound: Vec<ParkedWindow> =
        parked.iter().filter(|one| one.period == period && one.reason == reason).cloned().collect();
    let mut done = Unparked::default();
    if parking.allows_period(period) {
        done.already = bound;
    } else if !bound.is_empty() {
        done.released = vec![Release { period, window: None, reason, word: order.word.clone() }];
    }
    Ok(done)
}
