//! Push: plans what is to be sent, sends what has been committed, and reads from totals what arrived.
//!
//! In: mapped windows, their intents, meter totals. Out: intents in their new states, and the tenants that must be set
//! aside. Planned before sent, and repeated to the letter: whatever is killed on the way, nothing counts twice.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::pin::pin;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use tokio::sync::mpsc;

use crate::domain::intent::{
    self, Answer, Intent, IntentState, PushCase, PushKey, PushMode, PushStep, Settlement,
};
use crate::domain::number::NumberError;
use crate::domain::period::Window;
use crate::domain::tenant::ParkReason;
use crate::job::connection::Wire;
use crate::job::intents::Intents;
use crate::job::lease::Lease;
use crate::job::mapping::{Mapped, MeterUse};
use crate::job::reading::Answers;
use crate::job::stage::Stage;
use crate::job::standing::Standing;
use crate::store::Books;
use crate::stripe::{Delivery, MeterEvent, StripeError};

/// Pushes that one transaction marks and saves: enough to spread the cost of a disk flush.
const PUSHES_PER_BATCH: usize = 64;

/// What a run is going to do, printed by a dry run and done by a real one.
#[derive(Debug, Default)]
pub struct PushPlan {
    /// To be committed before anything is sent.
    pub new: Vec<Intent>,
    /// New ones and repeated ones, in the order of sending.
    pub sends: Vec<Intent>,
    /// Settled without sending: confirmed, absent, unbillable.
    pub settled: Vec<Intent>,
    /// New ones that can no longer be sent; they are written with the close.
    pub unbillable: Vec<Intent>,
    /// Tenant and window to set aside.
    pub parked: BTreeMap<(String, Window), ParkReason>,
    /// Tenant and window with more to send, once what is on its way has arrived.
    waiting: BTreeSet<(String, Window)>,
}

/// Plans a period's pushes. Without an answer about a tenant's meter nothing of it is sent.
pub fn plan(
    mapped: &[Mapped],
    intents: &Intents,
    answers: &Answers,
    wire: &Wire,
    now: Timestamp,
) -> Result<PushPlan, NumberError> {
    let mut plan = PushPlan::default();
    if wire.push == PushMode::Observe {
        return Ok(plan);
    }
    for one in mapped {
        for using in &one.meters {
            let meter = using.meter.as_str();
            let Some(total) = answers.total(one, meter) else { continue };
            if intents.went_elsewhere(one, meter) {
                plan.park(one, ParkReason::Mapping);
            }
            let mut known = intents.of(one, meter);
            let open = one.stage != Stage::Final;
            match intent::settle(using.aggregation, &known, total.quantity, open, now)? {
                Settlement::Foreign => plan.park(one, ParkReason::ForeignUsage),
                Settlement::Undecided => plan.park(one, ParkReason::UnknownPush),
                Settlement::Confirmed => plan.confirm(&mut known, |_| true),
                Settlement::Partly { arrived, absent } => {
                    plan.confirm(&mut known, |one| arrived.contains(one));
                    plan.give_up(&mut known, &absent, open);
                }
            }
            if !plan.is_parked(one) {
                plan.next(one, using, &known, wire, now)?;
            }
        }
    }
    // A tenant that is set aside on one meter is set aside whole.
    let parked = std::mem::take(&mut plan.parked);
    let mut windows: BTreeMap<&str, Vec<Window>> = BTreeMap::new();
    for (tenant_id, window) in parked.keys() {
        windows.entry(tenant_id).or_default().push(*window);
    }
    let goes = |one: &Intent| {
        let mut windows = windows.get(one.key.tenant_id.as_str()).into_iter().flatten();
        windows.all(|window| one.key.segment.intersection(*window).is_none())
    };
    plan.new.retain(goes);
    plan.sends.retain(goes);
    plan.unbillable.retain(goes);
    plan.parked = parked;
    Ok(plan)
}

impl PushPlan {
    /// The windows that are to be planned once more when this plan is done.
    pub fn waiting(&self, mapped: &[Mapped]) -> Vec<Mapped> {
        let waits = |one: &&Mapped| {
            self.waiting.contains(&(one.tenant_id.clone(), one.window)) && !self.is_parked(one)
        };
        mapped.iter().filter(waits).cloned().collect()
    }

    /// Without what would be repeated: in one run each is asked for once.
    pub fn only_new(self) -> Self {
        Self { sends: self.new.clone(), ..self }
    }

    pub fn add(&mut self, more: Self) {
        self.new.extend(more.new);
        self.sends.extend(more.sends);
        self.settled.extend(more.settled);
        self.unbillable.extend(more.unbillable);
        self.parked.extend(more.parked);
    }

    fn park(&mut self, one: &Mapped, reason: ParkReason) {
        self.parked.insert((one.tenant_id.clone(), one.window), reason);
    }

    fn is_parked(&self, one: &Mapped) -> bool {
        self.parked.contains_key(&(one.tenant_id.clone(), one.window))
    }

    /// These have arrived, by the meter's total.
    fn confirm(&mut self, known: &mut [Intent], has_arrived: impl Fn(&Intent) -> bool) {
        let waits =
            |one: &&mut Intent| one.is_counted() && one.state != IntentState::Confirmed && has_arrived(one);
        for one in known.iter_mut().filter(waits) {
            one.confirm();
            self.settled.push(one.clone());
        }
    }

    fn give_up(&mut self, known: &mut [Intent], absent: &[Intent], open: bool) {
        for one in known.iter_mut().filter(|one| absent.contains(one)) {
            one.give_up(open);
            self.settled.push(one.clone());
        }
    }

    fn next(
        &mut self,
        one: &Mapped,
        using: &MeterUse,
        known: &[Intent],
        wire: &Wire,
        now: Timestamp,
    ) -> Result<(), NumberError> {
        let open = one.stage != Stage::Final;
        let mut known = known.to_vec();
        self.retry_or_drop(&mut known, open, now);
        let key = PushKey {
            account_id: wire.account.id.clone(),
            tenant_id: one.tenant_id.clone(),
            customer_id: one.customer_id.clone(),
            meter: using.meter.clone(),
            segment: one.window,
        };
        let case = PushCase {
            aggregation: using.aggregation,
            key: &key,
            targets: &using.targets,
            intents: &known,
            open,
            period: one.period,
            now,
        };
        match intent::next_step(case)? {
            PushStep::Nothing => {}
            PushStep::Wait => {
                self.waiting.insert((one.tenant_id.clone(), one.window));
            }
            PushStep::Send(intents) => {
                self.new.extend(intents.iter().cloned());
                self.sends.extend(intents);
            }
            PushStep::Unbillable(intents) => self.unbillable.extend(intents),
            PushStep::AheadOfLedger => self.park(one, ParkReason::StripeAheadOfLedger),
            PushStep::TooManyDigits => self.park(one, ParkReason::TooManyDigits),
        }
        Ok(())
    }

    /// What is planned or in doubt goes out again; what was never asked for is given up once the invoice is final.
    fn retry_or_drop(&mut self, known: &mut [Intent], open: bool, now: Timestamp) {
        for one in known {
            let never_asked = one.state == IntentState::Planned && one.attempted_at.is_none();
            if open && one.may_be_sent(now) {
                self.sends.push(one.clone());
            } else if never_asked {
                one.state = IntentState::Rejected;
                "never sent, and now it is too late".clone_into(&mut one.reason);
                self.settled.push(one.clone());
            }
        }
    }
}

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
    let ((), counts) = tokio::try_join!(send_all(&plan.sends, step, done), save_all(results, step, intents))?;
    if is_off(step.off_switch) {
        let file = step.off_switch.display();
        tracing::warn!("pushing is switched off: what is not sent yet waits until {file} is taken away");
    }
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
) -> anyhow::Result<PushCounts> {
    let (mut counts, mut chunk) = (PushCounts::default(), Vec::new());
    while results.recv_many(&mut chunk, PUSHES_PER_BATCH).await > 0 {
        let fault = chunk.iter_mut().find_map(|sent| sent.fault.take());
        let sent: Vec<Intent> = chunk.drain(..).flat_map(|sent| sent.intents).collect();
        save(&sent, step).await?;
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
        if is_off(step.off_switch) {
            one.attempted_at = one.attempted_at.filter(|_| !is_first);
        } else {
            match deliver(&one, step.wire, step.standing).await {
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

async fn deliver(one: &Intent, wire: &Wire, standing: &Standing) -> Result<Delivery, StripeError> {
    let Some(meter) = standing.meters.get(&one.key.meter) else {
        let why = format!("the meter `{}` is no longer in the catalog", one.key.meter);
        return Ok(Delivery::Unknown { why });
    };
    let event = MeterEvent {
        event_name: meter.event_name.clone(),
        payload_keys: meter.payload_keys.clone(),
        customer_id: one.key.customer_id.clone(),
        identifier: one.identifier.clone(),
        value: one.quantity,
        timestamp: one.timestamp,
    };
    wire.stripe.send_event(&event).await
}

fn settle(one: &mut Intent, delivery: Delivery, is_first: bool) {
    let answer = match delivery {
        // A duplicate means that the first request arrived.
        Delivery::Accepted { .. } | Delivery::AlreadyThere { .. } => Answer::Taken,
        Delivery::Rejected { code, message, .. } => Answer::Refused(format!("{code}: {message}")),
        Delivery::Unknown { why } => Answer::Unclear(why),
        Delivery::Stopped => return,
    };
    one.answer(answer, is_first);
    if one.state != IntentState::Sent {
        tracing::warn!(
            "tenant {}: push of {} is {}: {}",
            one.key.tenant_id,
            one.quantity,
            one.state.as_str(),
            one.reason
        );
    }
}

/// After the sending: which of them have arrived, by totals that were read again.
pub fn confirm(
    mapped: &[Mapped],
    intents: &mut Intents,
    answers: &Answers,
    wire: &Wire,
    now: Timestamp,
) -> Result<Vec<Intent>, NumberError> {
    let mut plan = PushPlan::default();
    if wire.push == PushMode::Observe {
        return Ok(plan.settled);
    }
    for one in mapped {
        for using in &one.meters {
            let Some(total) = answers.total(one, &using.meter) else { continue };
            let mut known = intents.of(one, &using.meter);
            let open = one.stage != Stage::Final;
            match intent::settle(using.aggregation, &known, total.quantity, open, now)? {
                Settlement::Confirmed => plan.confirm(&mut known, |_| true),
                Settlement::Partly { arrived, .. } => plan.confirm(&mut known, |one| arrived.contains(one)),
                Settlement::Foreign | Settlement::Undecided => {}
            }
        }
    }
    for one in &plan.settled {
        intents.put(one.clone());
    }
    Ok(plan.settled)
}
