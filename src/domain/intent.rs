//! Intents: what is to be sent to Stripe, decided before anything is sent.
//!
//! In: what Stripe is to see in all, the intents that exist, `now`. Out: the next intents, or why there is none. Never a new
//! intent while one is in doubt, never a changed one: an intent is repeated to the letter. A meter event's identifier is
//! unique for at least 24 hours only (Stripe, "recording usage API"), so older doubts are resolved by reading.

mod delta;
mod left;
pub mod level;
mod state;
#[cfg(test)]
mod tests;

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::domain::audit::hex;
use crate::domain::catalog::Aggregation;
use crate::domain::number::{NumberError, Quantity, QuantitySum};
use crate::domain::period::{Period, Window};

pub use left::left_over;
pub use state::{IntentState, PushMode};

/// How long Stripe remembers an identifier at least; a little is kept back for clocks.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(23);
/// So long after a request a total is taken to show what it has brought, and Stripe has forgotten the identifier.
const SHOWN: SignedDuration = SignedDuration::from_hours(25);
/// The oldest event that Stripe takes (meter events, `timestamp`); an hour is kept back for clocks.
const OLDEST: SignedDuration = SignedDuration::from_hours(35 * 24 - 1);
/// An event lies this far inside its segment, so that whole-minute totals never miss it.
const MARGIN: SignedDuration = SignedDuration::from_mins(1);
/// How far ahead an event may lie: Stripe takes five minutes, and one is kept back for clocks.
const AHEAD: SignedDuration = SignedDuration::from_mins(4);
/// Stripe refuses values with more significant digits (changelog 2026-04-22.dahlia).
const SIGNIFICANT_DIGITS: usize = 15;
/// What a total must show before more is sent: so that it can always tell which of them have arrived.
const MOST_ON_THEIR_WAY: usize = 8;
/// Why an event that Stripe took counts nothing: meter events are checked after they were accepted.
const DROPPED: &str = "accepted by Stripe and dropped afterwards: the meter's total lacks it";

/// Why an event counts nothing although Stripe says that it has it: somebody used its identifier first.
const NOT_OURS: &str = "Stripe had an event of this identifier before it was sent";

/// What one sequence of pushes is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PushKey {
    pub account_id: String,
    pub tenant_id: String,
    pub customer_id: String,
    pub meter: String,
    pub segment: Window,
}

/// One push: frozen before the first request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    pub key: PushKey,
    pub sequence: i64,
    pub identifier: String,
    /// Units more than before, fewer where it is negative; of a gauge what it stands at. Unbillable: what Stripe lacks.
    pub quantity: Quantity,
    /// Usage records that it stands for.
    pub records: u64,
    /// Whole seconds.
    pub timestamp: Timestamp,
    pub state: IntentState,
    /// When it was first asked for; `None`: never.
    pub attempted_at: Option<Timestamp>,
    /// Why it ended as it did; empty while all is well.
    pub reason: String,
    /// The period whose run planned it.
    pub period: Period,
}

impl Intent {
    /// Whether Stripe may hold it: then its quantity is not sent again.
    pub fn is_counted(&self) -> bool {
        match self.state {
            IntentState::Planned => self.attempted_at.is_some(),
            IntentState::Sent | IntentState::Unknown | IntentState::Confirmed | IntentState::Parked => true,
            IntentState::Rejected | IntentState::Unbillable => false,
        }
    }

    /// Whether it still waits for something.
    pub fn is_pending(&self) -> bool {
        matches!(self.state, IntentState::Planned | IntentState::Sent | IntentState::Unknown)
    }

    /// Whether it may be sent (again): Stripe would still recognise it.
    pub fn may_be_sent(&self, now: Timestamp) -> bool {
        let asks = matches!(self.state, IntentState::Planned | IntentState::Unknown);
        asks && self.attempted_at.is_none_or(|first| now.duration_since(first) < REMEMBERED)
            && now.duration_since(self.timestamp) < OLDEST
    }

    /// Stripe accepted it and counted it nowhere (asynchronous validation of meter events).
    pub fn was_dropped(&self) -> bool {
        self.state == IntentState::Rejected && self.reason == DROPPED
    }

    /// Stripe says that it has it, and had it before it was asked for: it is another's, unless a total shows it.
    pub fn was_duplicate(&self) -> bool {
        self.reason == NOT_OURS
    }

    /// Stripe has it for certain.
    pub fn confirm(&mut self) {
        self.state = IntentState::Confirmed;
        self.reason.clear();
    }

    /// Proven absent: it counts nothing any more, and the next intent takes its place. `open`: its invoice takes usage.
    pub fn give_up(&mut self, open: bool) {
        let reason = match self.state {
            IntentState::Sent | IntentState::Parked if self.was_duplicate() => NOT_OURS,
            IntentState::Sent => DROPPED,
            IntentState::Parked if self.was_taken() => DROPPED,
            _ if open => "proven absent by the meter's total",
            _ => "absent when the invoice was final",
        };
        reason.clone_into(&mut self.reason);
        self.state = IntentState::Rejected;
    }

    /// Stripe took it so lately that its total may not show it yet, whatever has become of the invoice.
    pub fn may_yet_show(&self, now: Timestamp) -> bool {
        let is_late = |first: Timestamp| now.duration_since(first) >= SHOWN;
        self.state == IntentState::Sent && !self.attempted_at.is_none_or(is_late)
    }

    /// Whether nothing can come of it any more, if it is not there yet. `shown`: how long after its first request a total
    /// shows it.
    fn is_past(&self, open: bool, now: Timestamp, shown: SignedDuration) -> bool {
        if self.may_yet_show(now) {
            return false;
        }
        let is_shown = self.attempted_at.is_none_or(|first| now.duration_since(first) >= shown);
        !open || is_shown || now.duration_since(self.timestamp) >= OLDEST
    }
}

/// What Stripe is to see of one segment in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub segment: Window,
    pub quantity: Quantity,
    /// Usage records that it stands for.
    pub records: u64,
    /// Units that corrections took back: as many may be sent with a minus.
    pub taken_back: Quantity,
}

/// One meter of a window, when it is asked what is to be sent.
#[derive(Clone, Copy, Debug)]
pub struct PushCase<'a> {
    pub aggregation: Aggregation,
    /// Of the window; each intent gets its own segment.
    pub key: &'a PushKey,
    /// In the order of time.
    pub targets: &'a [Target],
    /// All of the tenant's in this window, whatever segment they were planned for: a plan that changes afterwards must
    /// not send anything again.
    pub intents: &'a [Intent],
    /// Whether the invoice still takes usage.
    pub open: bool,
    pub period: Period,
    pub now: Timestamp,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Stripe has it.
    Taken,
    /// Stripe has one of its name: ours, if it was asked for before.
    There,
    Refused(String),
    /// No answer that tells.
    Unclear(String),
}

impl Intent {
    /// Takes an answer. `is_first` says that it was never asked for before: a later refusal proves nothing, because an
    /// earlier request may have arrived.
    pub fn answer(&mut self, answer: Answer, is_first: bool) {
        (self.state, self.reason) = match answer {
            Answer::There if is_first => (IntentState::Sent, NOT_OURS.to_owned()),
            Answer::Taken | Answer::There => (IntentState::Sent, String::new()),
            Answer::Refused(reason) if is_first => (IntentState::Rejected, reason),
            Answer::Refused(reason) | Answer::Unclear(reason) => (IntentState::Unknown, reason),
        };
    }
}

/// What is to happen next for one meter of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushStep {
    /// Stripe has, or is about to have, what it is to see.
    Nothing,
    /// New intents, to be committed before they are sent.
    Send(Vec<Intent>),
    /// An earlier intent is in doubt, or must have arrived first; nothing new until then.
    Wait,
    /// They can no longer be sent.
    Unbillable(Vec<Intent>),
    /// More was sent than the ledger holds now.
    AheadOfLedger,
    /// The number does not fit an event.
    TooManyDigits,
}

/// The next step for one meter of a window. What adds up goes as deltas, a gauge as what it stands at.
pub fn next_step(case: PushCase<'_>) -> Result<PushStep, NumberError> {
    if case.aggregation.is_gauge() { level::next_step(case) } else { delta::next_step(case) }
}

/// What a meter's total says about the intents of one customer, meter and window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Stripe holds all that may be there.
    Confirmed,
    /// Stripe's total lacks some: these it holds for certain, those it lacks for good. Of the others it is too early to tell.
    Partly { arrived: Vec<Intent>, absent: Vec<Intent> },
    /// Stripe's total is none that we have sent.
    Foreign,
    /// Too old to be sent again, and the total does not say whether it arrived.
    Undecided,
}

impl Settlement {
    /// Nothing is known yet.
    fn pending() -> Self {
        Self::Partly { arrived: Vec::new(), absent: Vec::new() }
    }
}

/// Reads the doubt out of a total. An intent is proven absent only when it could be seen by now and can no longer be sent:
/// before that one in doubt is simply sent again under its name, and one that was taken may still come.
pub fn settle(
    aggregation: Aggregation,
    intents: &[Intent],
    total: Quantity,
    open: bool,
    now: Timestamp,
) -> Result<Settlement, NumberError> {
    if aggregation.is_gauge() {
        return Ok(level::settle(intents, total, open, now));
    }
    delta::settle(intents, total, open, now)
}

/// What a meter's total will be when these have arrived, which are some of the intents. One of them may be in it already.
pub fn total_with(
    aggregation: Aggregation,
    total: Quantity,
    intents: &[Intent],
    sends: &[Intent],
) -> Result<Quantity, NumberError> {
    if aggregation.is_gauge() {
        return Ok(sends.iter().max_by_key(|one| one.sequence).map_or(total, |newest| newest.quantity));
    }
    let sent = sum(sends.iter().map(|one| one.quantity))?;
    let all = sum(intents.iter().filter(|one| one.is_counted()).map(|one| one.quantity))?;
    let total = total.checked_add(sent)?;
    Ok(if sent.is_negative() { total.max(all) } else { total.min(all) })
}

/// What has reached Stripe of these counted ones: all of it that adds up, or what the newest of a gauge says.
pub fn arrived<'a>(
    aggregation: Aggregation,
    mut counted: impl Iterator<Item = &'a Intent>,
) -> Result<QuantitySum, NumberError> {
    if aggregation.is_gauge() {
        let newest = counted.max_by_key(|one| one.sequence);
        return Ok(newest.map_or(QuantitySum::ZERO, |newest| newest.quantity.into()));
    }
    counted.try_fold(QuantitySum::ZERO, |sum, one| sum.checked_add(one.quantity))
}

/// An intent for a segment; `None` where no instant fits: that one is never sent.
fn planned(
    case: PushCase<'_>,
    target: &Target,
    sequence: i64,
    quantity: Quantity,
    timestamp: Option<Timestamp>,
) -> Intent {
    let key = PushKey { segment: target.segment, ..case.key.clone() };
    Intent {
        sequence,
        identifier: identifier(&key, sequence, quantity),
        quantity,
        records: new_records(target, case.intents),
        timestamp: timestamp.unwrap_or(key.segment.start),
        state: IntentState::Planned,
        attempted_at: None,
        reason: String::new(),
        period: case.period,
        key,
    }
}

/// Why Stripe takes it no more.
fn too_late(case: PushCase<'_>, segment: Window, timestamp: Option<Timestamp>) -> Option<&'static str> {
    if !case.open {
        return Some("the invoice is final");
    }
    match timestamp {
        Some(at) if case.now.duration_since(at) >= OLDEST => Some("older than the 35 days that Stripe takes"),
        Some(_) => None,
        None if instants_in(segment).is_none() => Some("the segment is too short for an event inside it"),
        None => Some("the segment has no room for another event after the last one"),
    }
}

/// Asked for, and nobody knows whether Stripe has it.
fn is_in_doubt(intent: &Intent) -> bool {
    let asked = intent.state == IntentState::Planned && intent.attempted_at.is_some();
    asked || intent.state == IntentState::Unknown
}

/// Whether it accounts for its quantity: Stripe has it, may have it or is about to get it, or it is unbillable.
fn is_accounted(intent: &Intent) -> bool {
    intent.state != IntentState::Rejected
}

/// Whether Stripe may not have it yet, and is to get it.
fn is_on_its_way(intent: &Intent) -> bool {
    intent.is_pending() || intent.state == IntentState::Parked
}

fn lies_in(intent: &Intent, segment: Window) -> bool {
    segment.start <= intent.timestamp && intent.timestamp < segment.end
}

fn last_sequence(intents: &[Intent]) -> i64 {
    intents.iter().map(|one| one.sequence).max().unwrap_or(0)
}

/// The records of a segment that no intent stands for yet.
fn new_records(target: &Target, intents: &[Intent]) -> u64 {
    let there = intents.iter().filter(|one| lies_in(one, target.segment) && is_accounted(one));
    target.records.saturating_sub(there.map(|one| one.records).sum())
}

fn sum(mut quantities: impl Iterator<Item = Quantity>) -> Result<Quantity, NumberError> {
    quantities.try_fold(Quantity::ZERO, Quantity::checked_add)
}

/// Same push, same name: Stripe refuses the second one of a name.
fn identifier(key: &PushKey, sequence: i64, quantity: Quantity) -> String {
    let mut hash = Sha256::new();
    let (start, end) = (key.segment.start.to_string(), key.segment.end.to_string());
    let (sequence, quantity) = (sequence.to_string(), quantity.to_string());
    for part in
        [&key.account_id, &key.tenant_id, &key.customer_id, &key.meter, &start, &end, &sequence, &quantity]
    {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    format!("billrecon-{}", hex(&hash.finalize()))
}

/// The first and the last whole second a minute inside a segment.
fn instants_in(segment: Window) -> Option<(Timestamp, Timestamp)> {
    let first = segment.start.checked_add(MARGIN).ok()?;
    let whole = Timestamp::from_second(first.as_second()).ok()?;
    let first = if whole < first { Timestamp::from_second(whole.as_second() + 1).ok()? } else { whole };
    let last = Timestamp::from_second(segment.end.checked_sub(MARGIN).ok()?.as_second()).ok()?;
    (first <= last).then_some((first, last))
}

fn has_too_many_digits(quantity: Quantity) -> bool {
    let digits: String = quantity.to_string().chars().filter(char::is_ascii_digit).collect();
    digits.trim_start_matches('0').len() > SIGNIFICANT_DIGITS
}
