//! Intents: what is to be sent to Stripe, decided before anything is sent.
//!
//! In: what Stripe is to see in all, the intents that exist, `now`. Out: the next intents, or why there is none. Never a new intent while one is in doubt, never a changed one: an intent is repeated to the letter.
//! A meter event's identifier is unique for at least 24 hours only (Stripe, "recording usage API"), so older doubts are
//! resolved by reading.

use jiff::{SignedDuration, Timestamp};
use sha2::{Digest, Sha256};

use crate::domain::audit::hex;
use crate::domain::number::{NumberError, Quantity};
use crate::domain::period::{Period, Window};

/// How long Stripe remembers an identifier at least; a little is kept back for clocks.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(23);
/// The oldest event that Stripe takes (meter events, `timestamp`); an hour is kept back for clocks.
const OLDEST: SignedDuration = SignedDuration::from_hours(35 * 24 - 1);
/// An event lies this far inside its segment, so that whole-minute totals never miss it.
const MARGIN: SignedDuration = SignedDuration::from_mins(1);
/// As many intents in doubt at once can be told apart by their sum; more go to a person.
const MOST_IN_DOUBT: usize = 12;
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
}

/// What Stripe is to see of one segment in all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    pub segment: Window,
    pub quantity: Quantity,
    /// Usage records that it stands for.
    pub records: u64,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Stripe has it; a duplicate says so too.
    Taken,
    Refused(String),
    /// No answer that tells.
    Unclear(String),
}

impl Intent {
    /// Takes an answer. `is_first` says that it was never asked for before: a later refusal proves nothing, because an
    /// earlier request may have arrived.
    pub fn answer(&mut self, answer: Answer, is_first: bool) {
        (self.state, self.reason) = match answer {
            Answer::Taken => (IntentState::Sent, String::new()),
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
    /// An earlier intent is in doubt; nothing new until that is settled.
    Wait,
    /// They can no longer be sent.
    Unbillable(Vec<Intent>),
    /// More was sent than the ledger holds now.
    AheadOfLedger,
    /// The number does not fit an event.
    TooManyDigits,
}

/// The next step for one meter of a window. `key` is that of the window; each intent gets its own segment. `intents` are
/// all of the tenant's in this window, whatever segment they were planned for: a plan that changes afterwards must not
/// send anything again. `open` says whether the invoice still takes usage.
pub fn next_step(
    key: &PushKey,
    targets: &[Target],
    intents: &[Intent],
    open: bool,
    period: Period,
    now: Timestamp,
) -> Result<PushStep, NumberError> {
    let due = sum(targets.iter().map(|target| target.quantity))?;
    let accounted = sum(intents.iter().filter(|one| is_accounted(one)).map(|one| one.quantity))?;
    if due < accounted {
        return Ok(PushStep::AheadOfLedger);
    }
    let mut rest = due.checked_sub(accounted)?;
    if rest.is_zero() {
        return Ok(PushStep::Nothing);
    }
    if intents.iter().any(is_in_doubt) {
        return Ok(PushStep::Wait);
    }
    let mut sequence = intents.iter().map(|one| one.sequence).max().unwrap_or(0);
    let (mut sends, mut late) = (Vec::new(), Vec::new());
    for target in targets {
        let (lacking, records) = lacking(target, intents)?;
        let quantity = lacking.min(rest);
        if quantity.is_zero() {
            continue;
        }
        rest = rest.checked_sub(quantity)?;
        sequence += 1;
        let key = PushKey { segment: target.segment, ..key.clone() };
        let intent = planned(key, sequence, quantity, records, period, now);
        if significant_digits(quantity) > SIGNIFICANT_DIGITS {
            return Ok(PushStep::TooManyDigits);
        }
        match too_late(&intent, open, now) {
            None => sends.push(intent),
            Some(reason) => {
                late.push(Intent { state: IntentState::Unbillable, reason: reason.to_owned(), ..intent });
            }
        }
    }
    Ok(if sends.is_empty() { PushStep::Unbillable(late) } else { PushStep::Send(sends) })
}

/// What a segment lacks: its target less the intents whose instant lies in it.
fn lacking(target: &Target, intents: &[Intent]) -> Result<(Quantity, u64), NumberError> {
    let inside = |one: &&Intent| {
        target.segment.start <= one.timestamp && one.timestamp < target.segment.end && is_accounted(one)
    };
    let there = || intents.iter().filter(inside);
    let quantity = target.quantity.checked_sub(sum(there().map(|one| one.quantity))?)?;
    let records = target.records.saturating_sub(there().map(|one| one.records).sum());
    Ok((quantity.max(Quantity::ZERO), records))
}

fn planned(
    key: PushKey,
    sequence: i64,
    quantity: Quantity,
    records: u64,
    period: Period,
    now: Timestamp,
) -> Intent {
    Intent {
        sequence,
        identifier: identifier(&key, sequence, quantity),
        quantity,
        records,
        // Where no instant fits, it is never sent.
        timestamp: timestamp_in(key.segment, now).unwrap_or(key.segment.start),
        state: IntentState::Planned,
        attempted_at: None,
        reason: String::new(),
        period,
        key,
    }
}

fn too_late(intent: &Intent, open: bool, now: Timestamp) -> Option<&'static str> {
    if !open {
        return Some("the invoice is final");
    }
    if timestamp_in(intent.key.segment, now).is_none() {
        return Some("the segment is too short for an event inside it");
    }
    let old = now.duration_since(intent.timestamp) >= OLDEST;
    old.then_some("older than the 35 days that Stripe takes")
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

fn sum(mut quantities: impl Iterator<Item = Quantity>) -> Result<Quantity, NumberError> {
    quantities.try_fold(Quantity::ZERO, Quantity::checked_add)
}

/// What a meter's total says about the intents of one customer, meter and window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settlement {
    /// Stripe holds all that may be there.
    Confirmed,
    /// Something is on its way, or still in doubt.
    Pending,
    /// These are proven absent: Stripe's total lacks exactly them.
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
    let missing = counted.checked_sub(total)?;
    Ok(which_make(&lost, missing).map_or(Settlement::Undecided, Settlement::Absent))
}

/// Some of the intents that together make up a quantity. Which of two equal ones it was matters to nobody: neither can
/// arrive any more.
fn which_make(intents: &[Intent], quantity: Quantity) -> Option<Vec<Intent>> {
    if intents.len() > MOST_IN_DOUBT {
        return None;
    }
    let chosen = |choice: u32| {
        (0..).zip(intents).filter(move |(index, _)| choice & (1 << index) != 0).map(|(_, one)| one)
    };
    let makes = |choice: &u32| sum(chosen(*choice).map(|one| one.quantity)).is_ok_and(|one| one == quantity);
    (1..1u32 << intents.len()).find(makes).map(|choice| chosen(choice).cloned().collect())
}

/// What Stripe holds or may hold of these intents.
pub fn counted(intents: &[Intent]) -> Result<Quantity, NumberError> {
    sum(intents.iter().filter(|one| one.is_counted()).map(|one| one.quantity))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn october() -> Window {
        Window { start: at("2026-10-01T00:00:00Z"), end: at("2026-11-01T00:00:00Z") }
    }

    fn key() -> PushKey {
        PushKey {
            account_id: "acct_sandbox".to_owned(),
            tenant_id: "acme".to_owned(),
            customer_id: "cus_acme".to_owned(),
            meter: "calls".to_owned(),
            segment: october(),
        }
    }

    fn target(segment: Window, quantity: &str) -> Target {
        Target { segment, quantity: Quantity::parse(quantity).unwrap(), records: 1 }
    }

    fn step(targets: &[Target], intents: &[Intent], open: bool, now: &str) -> PushStep {
        next_step(&key(), targets, intents, open, Period::parse("2026-10").unwrap(), at(now)).unwrap()
    }

    fn sent(step: PushStep) -> Vec<Intent> {
        let PushStep::Send(mut intents) = step else { panic!("{step:?}") };
        for one in &mut intents {
            one.state = IntentState::Sent;
        }
        intents
    }

    #[test]
    fn what_is_sent_is_the_target_less_what_was_sent_before() {
        let first = sent(step(&[target(october(), "60.5")], &[], true, "2026-10-10T00:00:00Z"));
        let second = sent(step(&[target(october(), "100")], &first, true, "2026-10-11T00:00:00Z"));
        assert_eq!(second[0].quantity.to_string(), "39.5");
        assert_ne!(first[0].identifier, second[0].identifier);
        let both = [first, second].concat();
        assert_eq!(step(&[target(october(), "100")], &both, true, "2026-10-12T00:00:00Z"), PushStep::Nothing);
        assert_eq!(
            step(&[target(october(), "99")], &both, true, "2026-10-12T00:00:00Z"),
            PushStep::AheadOfLedger
        );
    }

    #[test]
    fn a_plan_change_that_is_learnt_of_later_sends_nothing_again() {
        let first = sent(step(&[target(october(), "100")], &[], true, "2026-10-10T00:00:00Z"));
        let half = at("2026-10-20T00:00:00Z");
        let (before, after) = (Window { end: half, ..october() }, Window { start: half, ..october() });
        let now = "2026-10-25T00:00:00Z";
        assert_eq!(step(&[target(before, "60"), target(after, "40")], &first, true, now), PushStep::Nothing);
        let more = sent(step(&[target(before, "60"), target(after, "45")], &first, true, now));
        assert_eq!((more.len(), more[0].quantity.to_string()), (1, "5".to_owned()));
        assert_eq!(more[0].key.segment, after);
    }

    #[test]
    fn an_event_lies_a_whole_minute_inside_its_segment() {
        for now in
            ["2026-09-30T00:00:00Z", "2026-10-01T00:00:10.5Z", "2026-10-31T23:59:59Z", "2026-11-01T00:30:00Z"]
        {
            let one = &sent(step(&[target(october(), "1")], &[], true, now))[0];
            assert!(at("2026-10-01T00:01:00Z") <= one.timestamp, "{now}");
            assert!(one.timestamp <= at("2026-10-31T23:59:00Z"), "{now}");
            assert_eq!(one.timestamp.subsec_nanosecond(), 0);
        }
    }

    #[test]
    fn what_is_final_or_too_old_is_unbillable_and_settled() {
        for (open, now) in [(false, "2026-11-01T02:00:00Z"), (true, "2026-12-06T00:00:00Z")] {
            let targets = [target(october(), "7")];
            let PushStep::Unbillable(intents) = step(&targets, &[], open, now) else { panic!() };
            assert_eq!((intents[0].state, intents[0].is_counted()), (IntentState::Unbillable, false));
            assert_eq!(step(&targets, &intents, open, now), PushStep::Nothing);
        }
    }

    #[test]
    fn sixteen_significant_digits_are_not_sent() {
        let now = "2026-10-10T00:00:00Z";
        let digits = |quantity| step(&[target(october(), quantity)], &[], true, now);
        assert_eq!(digits("1234567890.123456"), PushStep::TooManyDigits);
        assert!(matches!(digits("123456789.123456"), PushStep::Send(_)));
        assert!(matches!(digits("0.000000000001"), PushStep::Send(_)));
    }

    #[test]
    fn a_total_says_what_became_of_an_intent_in_doubt() {
        let now = at("2026-10-12T00:00:00Z");
        let mut known = sent(step(&[target(october(), "5")], &[], true, "2026-10-10T00:00:00Z"));
        known[0].state = IntentState::Unknown;
        known[0].attempted_at = Some(at("2026-10-10T00:00:00Z"));
        let settle = |total: &str| settle(&known, Quantity::parse(total).unwrap(), true, now).unwrap();
        assert_eq!(settle("5"), Settlement::Confirmed);
        assert_eq!(settle("0"), Settlement::Absent(known.clone()));
        assert_eq!(settle("3"), Settlement::Undecided);
        assert_eq!(settle("6"), Settlement::Foreign);
        // Within a day it is simply sent again.
        known[0].attempted_at = Some(at("2026-10-11T12:00:00Z"));
        let again = super::settle(&known, Quantity::ZERO, true, now).unwrap();
        assert_eq!((again, known[0].may_be_sent(now)), (Settlement::Pending, true));
    }

    /// What can happen to a request.
    #[derive(Clone, Copy, Debug)]
    enum Fate {
        Answered,
        LostOnTheWay,
        LostOnTheWayBack,
        Refused,
        DiedBefore,
        DiedAfter,
    }

    fn any_fate() -> impl Strategy<Value = Fate> {
        use Fate::{Answered, DiedAfter, DiedBefore, LostOnTheWay, LostOnTheWayBack, Refused};
        prop_oneof![
            Just(Answered),
            Just(LostOnTheWay),
            Just(LostOnTheWayBack),
            Just(Refused),
            Just(DiedBefore),
            Just(DiedAfter)
        ]
    }

    /// One wake as the job does it, against a Stripe that forgets identifiers after 24 hours.
    fn wake(
        stripe: &mut BTreeMap<String, (Quantity, Timestamp)>,
        billed: &mut Quantity,
        intents: &mut Vec<Intent>,
        due: u64,
        fate: Fate,
        now: Timestamp,
    ) {
        match settle(intents, *billed, true, now).unwrap() {
            Settlement::Confirmed => {
                intents
                    .iter_mut()
                    .filter(|one| one.is_counted())
                    .for_each(|one| one.state = IntentState::Confirmed);
            }
            Settlement::Absent(lost) => {
                for one in intents.iter_mut().filter(|one| lost.contains(one)) {
                    one.state = IntentState::Rejected;
                }
            }
            Settlement::Pending => {}
            Settlement::Foreign | Settlement::Undecided => return,
        }
        let targets = [Target { segment: october(), quantity: Quantity::whole(due).unwrap(), records: due }];
        let mut sends: Vec<usize> =
            (0..intents.len()).filter(|index| intents[*index].may_be_sent(now)).collect();
        let step =
            next_step(&key(), &targets, intents, true, Period::parse("2026-10").unwrap(), now).unwrap();
        if let PushStep::Send(new) = step {
            sends.extend(intents.len()..intents.len() + new.len());
            intents.extend(new);
        }
        for index in sends {
            let one = &mut intents[index];
            if matches!(fate, Fate::DiedBefore) {
                return;
            }
            let is_first = one.attempted_at.is_none();
            one.attempted_at.get_or_insert(now);
            if !matches!(fate, Fate::LostOnTheWay | Fate::Refused) {
                let remembered = stripe
                    .get(&one.identifier)
                    .is_some_and(|(_, first)| now.duration_since(*first) < SignedDuration::from_hours(24));
                if !remembered {
                    stripe.insert(one.identifier.clone(), (one.quantity, now));
                    *billed = billed.checked_add(one.quantity).unwrap();
                }
            }
            let answer = match fate {
                Fate::Answered => Answer::Taken,
                Fate::Refused => Answer::Refused("no".to_owned()),
                Fate::LostOnTheWay | Fate::LostOnTheWayBack => Answer::Unclear("no answer".to_owned()),
                Fate::DiedBefore | Fate::DiedAfter => return,
            };
            one.answer(answer, is_first);
        }
    }

    proptest! {
        #[test]
        fn whatever_is_lost_and_whenever_it_is_run_again_nothing_is_billed_twice(
            wakes in prop::collection::vec((any_fate(), 0u64..4, 1i64..40), 1..25)
        ) {
            let (mut stripe, mut billed, mut intents) = (BTreeMap::new(), Quantity::ZERO, Vec::new());
            let (mut due, mut hours) = (0, 24);
            for (fate, more, pause) in wakes {
                due += more;
                let now = october().start.checked_add(SignedDuration::from_hours(hours)).unwrap();
                wake(&mut stripe, &mut billed, &mut intents, due, fate, now);
                prop_assert!(billed <= Quantity::whole(due).unwrap(), "{} of {}", billed, due);
                hours = (hours + pause).min(700);
            }
            // Left alone for some days, it arrives at exactly what was used.
            for _ in 0..4 {
                let now = october().start.checked_add(SignedDuration::from_hours(hours)).unwrap();
                wake(&mut stripe, &mut billed, &mut intents, due, Fate::Answered, now);
                hours += 10;
            }
            prop_assert_eq!(billed, Quantity::whole(due).unwrap());
        }
    }
}
