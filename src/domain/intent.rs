//! Intents: what is to be sent to Stripe, decided before anything is sent.
//!
//! In: the target of one key (what Stripe is to see in all), the intents that exist, `now`. Out: the next intent, or
//! why there is none. Never a new intent while one is in doubt, never a changed one: an intent is repeated to the letter.
//! A meter event's identifier is unique for at least 24 hours only (Stripe, "recording usage API"), so older doubts are
//! resolved by reading.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::domain::audit::hex;
use crate::domain::number::{NumberError, Quantity};
use crate::domain::period::Window;

/// How long Stripe remembers an identifier at least; a little is kept back for clocks.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(23);
/// The oldest event that Stripe takes (meter events, `timestamp`); an hour is kept back for clocks.
const OLDEST: SignedDuration = SignedDuration::from_hours(35 * 24 - 1);
/// An event lies this far inside its segment, so that whole-minute totals never miss it.
const MARGIN: SignedDuration = SignedDuration::from_mins(1);
/// Stripe refuses values with more significant digits (changelog 2026-04-22.dahlia).
const SIGNIFICANT_DIGITS: usize = 15;

/// What one sequence of pushes is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PushKey {
    pub account_id: String,
    pub tenant_id: String,
    pub customer_id: String,
    pub meter: String,
    pub segment: Window,
}

/// Whether we send usage to Stripe, or only look at what the application sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushMode {
    Observe,
    Push,
}

impl PushMode {
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Observe, Self::Push].into_iter().find(|mode| mode.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Push => "push",
        }
    }
}

/// `planned → sent → confirmed`, or one of the other ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum IntentState {
    Planned,
    Sent,
    Confirmed,
    /// Asked, and no answer that says whether Stripe has it.
    Unknown,
    /// Stripe refused it: it counts nothing.
    Rejected,
    /// It can no longer be sent: settled, and reported with its money.
    Unbillable,
    /// Older than Stripe's memory and still in doubt.
    Parked,
}

impl IntentState {
    pub const ALL: [Self; 7] = [
        Self::Planned,
        Self::Sent,
        Self::Confirmed,
        Self::Unknown,
        Self::Rejected,
        Self::Unbillable,
        Self::Parked,
    ];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Sent => "sent",
            Self::Confirmed => "confirmed",
            Self::Unknown => "unknown",
            Self::Rejected => "rejected",
            Self::Unbillable => "unbillable",
            Self::Parked => "parked",
        }
    }
}

/// One push: frozen before the first request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intent {
    pub key: PushKey,
    pub sequence: i64,
    pub identifier: String,
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
}

/// What is to happen next for one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushStep {
    /// Stripe has, or is about to have, what it is to see.
    Nothing,
    /// A new intent, to be committed before it is sent.
    Send(Intent),
    /// An earlier intent is in doubt; nothing new until that is settled.
    Wait,
    /// It can no longer be sent.
    Unbillable(Intent),
    /// More was sent than the ledger holds now.
    AheadOfLedger,
    /// The number does not fit an event.
    TooManyDigits,
}

/// The next step for a key. `target` and `target_records` are what Stripe is to see of the segment in all; `intents` are
/// all intents of the key; `open` says whether the invoice still takes usage.
pub fn next_step(
    key: &PushKey,
    target: Quantity,
    target_records: u64,
    intents: &[Intent],
    open: bool,
    now: Timestamp,
) -> Result<PushStep, NumberError> {
    let counted = settled(intents)?;
    if target < counted.quantity {
        return Ok(PushStep::AheadOfLedger);
    }
    let quantity = target.checked_sub(counted.quantity)?;
    if quantity.is_zero() {
        return Ok(PushStep::Nothing);
    }
    if intents.iter().any(is_in_doubt) {
        return Ok(PushStep::Wait);
    }
    let records = target_records.saturating_sub(counted.records);
    let timestamp = timestamp_in(key.segment, now);
    let sequence = intents.iter().map(|one| one.sequence).max().unwrap_or(0) + 1;
    let intent = Intent {
        key: key.clone(),
        sequence,
        identifier: identifier(key, sequence, quantity),
        quantity,
        records,
        timestamp: timestamp.unwrap_or(key.segment.start),
        state: IntentState::Planned,
        attempted_at: None,
        reason: String::new(),
    };
    let refused = |reason: &str| {
        let reason = reason.to_owned();
        Ok(PushStep::Unbillable(Intent { state: IntentState::Unbillable, reason, ..intent.clone() }))
    };
    if !open {
        return refused("the invoice is final");
    }
    let Some(timestamp) = timestamp else {
        return refused("the segment is too short for an event inside it");
    };
    if now.duration_since(timestamp) >= OLDEST {
        return refused("older than the 35 days that Stripe takes");
    }
    if significant_digits(quantity) > SIGNIFICANT_DIGITS {
        return Ok(PushStep::TooManyDigits);
    }
    Ok(PushStep::Send(intent))
}

/// Asked for, and nobody knows whether Stripe has it.
fn is_in_doubt(intent: &Intent) -> bool {
    let asked = intent.state == IntentState::Planned && intent.attempted_at.is_some();
    asked || intent.state == IntentState::Unknown
}

/// What the intents of a key account for: what Stripe holds, may hold or is about to get, and what is unbillable.
struct Settled {
    quantity: Quantity,
    records: u64,
}

fn settled(intents: &[Intent]) -> Result<Settled, NumberError> {
    let mut sum = Settled { quantity: Quantity::ZERO, records: 0 };
    for one in intents.iter().filter(|one| one.state != IntentState::Rejected) {
        sum.quantity = sum.quantity.checked_add(one.quantity)?;
        sum.records += one.records;
    }
    Ok(sum)
}

/// What a meter's total says about the intents of one customer, meter and window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Stripe holds all that may be there.
    Confirmed,
    /// Something is on its way, or still in doubt.
    Pending,
    /// These are proven absent: Stripe's total is exactly the rest.
    Absent(Vec<Intent>),
    /// Stripe holds more than we have sent.
    Foreign,
    /// Too old to be sent again, and the total does not say whether it arrived.
    Undecided,
}

/// Reads the doubt out of a total. An intent in doubt is proven absent only when it can no longer be sent: before that
/// it is simply sent again under its name.
pub fn settle(
    intents: &[Intent],
    total: Quantity,
    open: bool,
    now: Timestamp,
) -> Result<Settlement, NumberError> {
    let counted = counted(intents)?;
    if total > counted {
        return Ok(Settlement::Foreign);
    }
    if total == counted {
        return Ok(Settlement::Confirmed);
    }
    let in_doubt = |one: &&Intent| is_in_doubt(one) || one.state == IntentState::Parked;
    let lost: Vec<Intent> =
        intents.iter().filter(in_doubt).filter(|one| !(open && one.may_be_sent(now))).cloned().collect();
    if lost.is_empty() {
        return Ok(Settlement::Pending);
    }
    let absent = lost.iter().map(|one| one.quantity).try_fold(Quantity::ZERO, Quantity::checked_add)?;
    let rest = counted.checked_sub(absent)?;
    Ok(if rest == total { Settlement::Absent(lost) } else { Settlement::Undecided })
}

/// What Stripe holds or may hold of these intents.
pub fn counted(intents: &[Intent]) -> Result<Quantity, NumberError> {
    let counted = intents.iter().filter(|one| one.is_counted());
    counted.map(|one| one.quantity).try_fold(Quantity::ZERO, Quantity::checked_add)
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

/// A whole second inside the segment, a minute from its edges, as near to `now` as can be.
fn timestamp_in(segment: Window, now: Timestamp) -> Option<Timestamp> {
    let first = segment.start.checked_add(MARGIN).ok()?;
    let last = segment.end.checked_sub(MARGIN).ok()?;
    let inside = now.clamp(first, last.max(first));
    let whole = Timestamp::from_second(inside.as_second()).ok()?;
    let whole = if whole < first { Timestamp::from_second(whole.as_second() + 1).ok()? } else { whole };
    (whole <= last).then_some(whole)
}

fn significant_digits(quantity: Quantity) -> usize {
    let digits: String = quantity.to_string().chars().filter(char::is_ascii_digit).collect();
    digits.trim_start_matches('0').len()
}
