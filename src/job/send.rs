//! Sending: what has been planned and committed goes out, marked before, saved after.
//!
//! In: a push plan, the wire, the lease. Out: intents in their new states, and counts. Repeated to the letter: whatever is
//! killed on the way, nothing counts twice. Never plans anything, and never sends without a valid lease.

use std::collections::BTreeMap;
use std::path::Path;
use std::pin::pin;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;

use crate::domain::intent::{Answer, Intent, IntentState};
use crate::job::concern;
use crate::job::connection::Wire;
use crate::job::intents::Intents;
use crate::job::lease::Lease;
use crate::job::progress::Progress;
use crate::job::push::PushPlan;
use crate::job::standing::Standing;
use crate::store::Books;
use crate::stripe::{Delivery, MeterEvent, StripeError};

/// Pushes that one transaction marks and saves: enough to spread the cost of a disk flush.
const PUSHES_PER_BATCH: usize = 64;

/// What became of the pushes of a period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PushCounts {
    pub pushed: u64,
    pub errors: u64,
}

/// Where a push happens.
pub struct Step<'a> {
    pub run_id: &'a str,
    pub wire: &'a Wire,
    pub standing: &'a Standing,
    pub lease: &'a Lease,
    pub books: &'a Books,
    /// While this file is there nothing is sent.
    pub off_switch: &'a Path,
    pub now: Timestamp,
}

impl Step<'_> {
    fn present(&self) -> Timestamp {
        let age = SignedDuration::try_from(self.lease.age()).unwrap_or(SignedDuration::MAX);
        self.now.saturating_add(age).unwrap_or(Timestamp::MAX)
    }
}

/// Whether somebody has switched pushing off. A file that cannot be looked for may be there.
pub fn is_off(off_switch: &Path) -> bool {
    off_switch.try_exists().unwrap_or(true)
}

/// The pushes of one customer and meter, and whether each is asked for the first time. Stripe takes one call at a time for
/// them (recording usage), so they go one after the other.
type Lane = Vec<(Intent, bool)>;

/// What became of a lane, as far as it came.
#[derive(Default)]
struct Sent {
    intents: Vec<Intent>,
    fault: Option<anyhow::Error>,
}

/// Commits the new intents, then batch by batch: marked as asked for, sent, saved. The next batch is marked while the one
/// before is under way.
#[tracing::instrument(level = "debug", name = "push", skip_all)]
pub async fn execute(plan: &PushPlan, step: &Step<'_>, intents: &mut Intents) -> anyhow::Result<PushCounts> {
    let mut write = step.books.write(step.lease.term()?).await?;
    write.add_intents(&plan.new, step.run_id).await?;
    write.update_intents(&plan.settled).await?;
    write.commit().await?;
    for one in plan.new.iter().chain(&plan.settled) {
        intents.put(one.clone());
    }
    // Side by side, so that none waits with an open transaction for the other; the first fault ends both.
    let (done, results) = mpsc::unbounded_channel();
    let saving = save_all(results, step, intents, plan.sends.len());
    let ((), counts) = tokio::try_join!(send_all(&plan.sends, step, done), saving)?;
    Ok(counts)
}

async fn send_all(
    sends: &[Intent],
    step: &Step<'_>,
    done: mpsc::UnboundedSender<Sent>,
) -> anyhow::Result<()> {
    let marked = stream::iter(batches(sends)).then(|batch| mark(batch, step));
    let lanes = marked.map_ok(|lanes| stream::iter(lanes.into_iter().map(anyhow::Ok))).try_flatten();
    let sending = lanes.map_ok(async |lane| anyhow::Ok(send(lane, step).await));
    let mut sending = pin!(sending.try_buffer_unordered(step.wire.stripe.at_a_time()));
    while let Some(sent) = sending.try_next().await? {
        if done.send(sent).is_err() {
            break;
        }
    }
    Ok(())
}

async fn save_all(
    mut results: mpsc::UnboundedReceiver<Sent>,
    step: &Step<'_>,
    intents: &mut Intents,
    sends: usize,
) -> anyhow::Result<PushCounts> {
    let (mut counts, mut chunk) = (PushCounts::default(), Vec::new());
    let mut progress = Progress::of(sends);
    while results.recv_many(&mut chunk, PUSHES_PER_BATCH).await > 0 {
        let fault = chunk.iter_mut().find_map(|sent| sent.fault.take());
        let sent: Vec<Intent> = chunk.drain(..).flat_map(|sent| sent.intents).collect();
        save(&sent, step).await?;
        progress.steps(sent.len());
        for one in sent {
            match one.state {
                IntentState::Sent => counts.pushed += 1,
                IntentState::Rejected => counts.errors += 1,
                _ => {}
            }
            intents.put(one);
        }
        if let Some(fault) = fault {
            return Err(fault);
        }
    }
    Ok(counts)
}

fn batches(sends: &[Intent]) -> Vec<Vec<Lane>> {
    let mut lanes: BTreeMap<(&str, &str), Lane> = BTreeMap::new();
    for one in sends {
        let lane = lanes.entry((&one.key.customer_id, &one.key.meter)).or_default();
        lane.push((one.clone(), one.attempted_at.is_none()));
    }
    let lanes: Vec<Lane> = lanes.into_values().collect();
    lanes.chunks(PUSHES_PER_BATCH).map(<[Lane]>::to_vec).collect()
}

/// From here on each of them may have arrived.
async fn mark(mut batch: Vec<Lane>, step: &Step<'_>) -> anyhow::Result<Vec<Lane>> {
    if is_off(step.off_switch) || step.wire.stripe.has_stopped() {
        return Ok(Vec::new());
    }
    for (one, _) in batch.iter_mut().flatten() {
        one.attempted_at.get_or_insert(step.now);
    }
    let asked: Vec<Intent> = batch.iter().flatten().map(|(one, _)| one.clone()).collect();
    save(&asked, step).await?;
    Ok(batch)
}

async fn save(intents: &[Intent], step: &Step<'_>) -> anyhow::Result<()> {
    let mut write = step.books.write(step.lease.term()?).await?;
    write.update_intents(intents).await?;
    Ok(write.commit().await?)
}

/// Sends a lane. What concerns every tenant stops the rest of it: they stay as they were.
async fn send(lane: Lane, step: &Step<'_>) -> Sent {
    let mut sent = Sent::default();
    for (mut one, is_first) in lane {
        // The deadline of the lease: past it another run may be sending.
        if let Err(lost) = step.lease.term() {
            sent.fault = Some(lost.into());
            break;
        }
        // A wake may have waited and read for long since it was planned.
        let has_grown_old = !is_first && !one.may_be_sent(step.present());
        if has_grown_old {
            let _concerned = concern::tenant(&one.key.tenant_id);
            tracing::warn!("tenant {}: a push in doubt is too old by now to be repeated", one.key.tenant_id);
        } else if is_off(step.off_switch) {
            one.attempted_at = one.attempted_at.filter(|_| !is_first);
        } else {
            match deliver(&one, step).await {
                Ok(delivery) => settle(&mut one, delivery, is_first),
                Err(error) => {
                    sent.fault = Some(error.into());
                    break;
                }
            }
        }
        sent.intents.push(one);
    }
    sent
}

async fn deliver(one: &Intent, step: &Step<'_>) -> Result<Delivery, StripeError> {
    let Some(meter) = step.standing.meters.get(&one.key.meter) else {
        let why = format!("the meter `{}` is no longer in the catalog", one.key.meter);
        return Ok(Delivery::Unknown { why });
    };
    let event = MeterEvent {
        event_name: meter.event_name.clone(),
        payload_keys: meter.payload_keys.clone(),
        customer_id: one.key.customer_id.clone(),
        identifier: one.identifier.clone(),
        further_key: format!("{}-{}", one.identifier, step.now.as_second()),
        value: one.quantity,
        timestamp: one.timestamp,
    };
    step.wire.stripe.send_event(&event).await
}

fn settle(one: &mut Intent, delivery: Delivery, is_first: bool) {
    let answer = match delivery {
        Delivery::Accepted { .. } | Delivery::AlreadyThere { in_doubt: true, .. } => Answer::Taken,
        Delivery::AlreadyThere { in_doubt: false, .. } => Answer::There,
        Delivery::Rejected { code, message, .. } => Answer::Refused(format!("{code}: {message}")),
        Delivery::Unknown { why } => Answer::Unclear(why),
        Delivery::Stopped => return,
    };
    one.answer(answer, is_first);
    if one.state != IntentState::Sent {
        let _concerned = concern::tenant(&one.key.tenant_id);
        tracing::warn!(
            "tenant {}: push of {} is {}: {}",
            one.key.tenant_id,
            one.quantity,
            one.state.as_str(),
            one.reason
        );
    }
}
