//! A model of the job and of Stripe, to try every order of losses, refusals, deaths and corrections on.
//!
//! In: what was used, and the fate of each wake's requests. Out: what Stripe shows in the end. Stripe forgets identifiers
//! after 24 hours here, as it may.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;

pub(super) fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub(super) fn october() -> Window {
    Window { start: at("2026-10-01T00:00:00Z"), end: at("2026-11-01T00:00:00Z") }
}

pub(super) fn quantity(text: &str) -> Quantity {
    Quantity::parse(text).unwrap()
}

pub(super) fn target(segment: Window, text: &str) -> Target {
    Target { segment, quantity: quantity(text), records: 1, taken_back: Quantity::ZERO }
}

pub(super) fn corrected(text: &str, taken_back: &str) -> Target {
    Target { taken_back: quantity(taken_back), ..target(october(), text) }
}

pub(super) fn step(
    aggregation: Aggregation,
    targets: &[Target],
    intents: &[Intent],
    open: bool,
    now: &str,
) -> PushStep {
    step_at(aggregation, targets, intents, open, at(now))
}

fn step_at(
    aggregation: Aggregation,
    targets: &[Target],
    intents: &[Intent],
    open: bool,
    now: Timestamp,
) -> PushStep {
    let key = PushKey {
        account_id: "acct_sandbox".to_owned(),
        tenant_id: "acme".to_owned(),
        customer_id: "cus_acme".to_owned(),
        meter: "calls".to_owned(),
        segment: october(),
    };
    let period = Period::parse("2026-10").unwrap();
    next_step(PushCase { aggregation, key: &key, targets, intents, open, period, now }).unwrap()
}

pub(super) fn in_state(step: PushStep, state: IntentState) -> Vec<Intent> {
    let PushStep::Send(mut intents) = step else { panic!("{step:?}") };
    for one in &mut intents {
        one.state = state;
        // As near to `now` as its segment allows.
        one.attempted_at = Some(one.timestamp);
    }
    intents
}

/// What can happen to a request.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Answered,
    LostOnTheWay,
    LostOnTheWayBack,
    Refused,
    /// Accepted, and then counted nowhere.
    Dropped,
    DiedBefore,
    DiedAfter,
}

fn any_fate() -> impl Strategy<Value = Fate> {
    use Fate::{Answered, DiedAfter, DiedBefore, Dropped, LostOnTheWay, LostOnTheWayBack, Refused};
    prop_oneof![
        Just(Answered),
        Just(Dropped),
        Just(LostOnTheWay),
        Just(LostOnTheWayBack),
        Just(Refused),
        Just(DiedBefore),
        Just(DiedAfter)
    ]
}

/// One customer's events of one meter, and the intents that they came from.
struct Model {
    aggregation: Aggregation,
    intents: Vec<Intent>,
    /// By identifier: when it was taken last.
    taken: BTreeMap<String, Timestamp>,
    /// In the order in which they came in.
    events: Vec<Event>,
    is_parked: bool,
}

struct Event {
    sequence: i64,
    timestamp: Timestamp,
    value: Quantity,
    /// Totals lag behind.
    shown_from: Timestamp,
}

impl Model {
    fn new(aggregation: Aggregation) -> Self {
        Self {
            aggregation,
            intents: Vec::new(),
            taken: BTreeMap::new(),
            events: Vec::new(),
            is_parked: false,
        }
    }

    fn shown(&self, now: Timestamp) -> Quantity {
        if self.aggregation.is_gauge() {
            return self.newest(now).map_or(Quantity::ZERO, |newest| newest.value);
        }
        sum(self.events.iter().filter(|one| one.shown_from <= now).map(|one| one.value)).unwrap()
    }

    /// Nobody knows which of two at one instant it is: here the one that came first.
    fn newest(&self, now: Timestamp) -> Option<&Event> {
        self.events.iter().rev().filter(|one| one.shown_from <= now).max_by_key(|one| one.timestamp)
    }

    fn take(&mut self, index: usize, (fate, lag): (Fate, i64), now: Timestamp) {
        let one = &self.intents[index];
        let is_known = |first: &Timestamp| now.duration_since(*first) < SignedDuration::from_hours(24);
        if !self.taken.get(&one.identifier).is_some_and(is_known) {
            self.taken.insert(one.identifier.clone(), now);
            if matches!(fate, Fate::Dropped) {
                return;
            }
            let shown_from = now.checked_add(SignedDuration::from_hours(lag)).unwrap();
            let Intent { sequence, timestamp, quantity: value, .. } = *one;
            self.events.push(Event { sequence, timestamp, value, shown_from });
        }
    }

    /// One wake as the job does it: settle, repeat, plan, send.
    fn wake(&mut self, target: Target, (fate, lag): (Fate, i64), now: Timestamp) {
        match settle(self.aggregation, &self.intents, self.shown(now), true, now).unwrap() {
            Settlement::Confirmed => {
                for one in self.intents.iter_mut().filter(|one| one.is_counted()) {
                    one.state = IntentState::Confirmed;
                }
            }
            Settlement::Partly { arrived, absent } => {
                for one in &mut self.intents {
                    if arrived.contains(one) {
                        one.confirm();
                    } else if absent.contains(one)
                        && one.state == IntentState::Sent
                        && !self.aggregation.is_gauge()
                    {
                        // Dropped, or very late: a person decides.
                        self.is_parked = true;
                    } else if absent.contains(one) {
                        one.give_up(true);
                    }
                }
            }
            other @ (Settlement::Foreign | Settlement::Undecided) => {
                panic!("{other:?}: {} of {:?}", self.shown(now), self.intents)
            }
        }
        if self.is_parked {
            return;
        }
        let known = 0..self.intents.len();
        let mut sends: Vec<usize> = known.filter(|index| self.intents[*index].may_be_sent(now)).collect();
        match step_at(self.aggregation, &[target], &self.intents, true, now) {
            PushStep::Send(new) => {
                sends.extend(self.intents.len()..self.intents.len() + new.len());
                self.intents.extend(new);
            }
            PushStep::Nothing | PushStep::Wait => {}
            other => panic!("{other:?}"),
        }
        for index in sends {
            if matches!(fate, Fate::DiedBefore) {
                return;
            }
            let is_first = self.intents[index].attempted_at.is_none();
            self.intents[index].attempted_at.get_or_insert(now);
            if !matches!(fate, Fate::LostOnTheWay | Fate::Refused) {
                self.take(index, (fate, lag), now);
            }
            let answer = match fate {
                Fate::Answered | Fate::Dropped => Answer::Taken,
                Fate::Refused => Answer::Refused("no".to_owned()),
                Fate::LostOnTheWay | Fate::LostOnTheWayBack => Answer::Unclear("no answer".to_owned()),
                Fate::DiedBefore | Fate::DiedAfter => return,
            };
            self.intents[index].answer(answer, is_first);
        }
    }
}

/// Fate of the requests and hours until a total shows them, what has changed, hours to the next wake.
type Wake = ((Fate, i64), i64, i64);

/// `lag`: hours until a total shows what a request has brought.
fn any_wakes(lag: impl Strategy<Value = i64>) -> impl Strategy<Value = Vec<Wake>> {
    prop::collection::vec(((any_fate(), lag), -4i64..6, prop_oneof![0i64..3, 20i64..26]), 1..25)
}

/// Totals that show nearly at once, and such as lag by up to a day.
fn wakes_of_any_lag() -> impl Strategy<Value = Vec<Wake>> {
    prop_oneof![any_wakes(0i64..3), any_wakes(prop_oneof![0i64..3, 20i64..25])]
}

/// Left alone for some days, an answer comes to everything.
const CALM: [Wake; 12] = [((Fate::Answered, 0), 0, 10); 12];
const HOURS_MAX: i64 = 600;

/// The wakes one after the other; towards the month's end time stands still before it grows calm.
fn play(wakes: Vec<Wake>) -> impl Iterator<Item = ((Fate, i64), i64, Timestamp)> {
    let mut hours = 24;
    let start = october().start;
    let noisy = wakes.into_iter().map(move |(fate, change, pause)| {
        hours = (hours + pause).min(HOURS_MAX);
        (fate, change, start.checked_add(SignedDuration::from_hours(hours)).unwrap())
    });
    let calm = (0..).zip(CALM).map(move |(number, (fate, change, pause))| {
        let hours = SignedDuration::from_hours(HOURS_MAX + pause * (number + 1));
        (fate, change, start.checked_add(hours).unwrap())
    });
    noisy.chain(calm)
}

proptest! {
    #[test]
    fn whatever_is_lost_corrected_and_run_again_nothing_is_billed_twice(wakes in wakes_of_any_lag()) {
        let mut model = Model::new(Aggregation::Sum);
        let (mut due, mut highest, mut taken_back) = (0u64, 0, 0);
        for (fate, change, now) in play(wakes) {
            let back = change.min(0).unsigned_abs().min(due);
            due = due - back + change.max(0).unsigned_abs();
            taken_back += back;
            highest = highest.max(due);
            let (quantity, taken_back) = (Quantity::whole(due).unwrap(), Quantity::whole(taken_back).unwrap());
            model.wake(Target { segment: october(), quantity, records: due, taken_back }, fate, now);
            let later = now.checked_add(SignedDuration::from_hours(24)).unwrap();
            let shown = model.shown(later);
            prop_assert!(shown <= Quantity::whole(highest).unwrap(), "{shown} of {due}");
            prop_assert!(!shown.is_negative());
        }
        if !model.is_parked {
            prop_assert_eq!(model.shown(october().end), Quantity::whole(due).unwrap());
        }
    }

    #[test]
    fn a_gauge_ends_at_its_level_and_never_goes_back_to_an_older_one(wakes in any_wakes(0i64..3), is_max: bool) {
        let aggregation = if is_max { Aggregation::Max } else { Aggregation::Last };
        let mut model = Model::new(aggregation);
        let (mut level, mut newest) = (0i64, 0);
        for (fate, change, now) in play(wakes) {
            level = (level + if is_max { change.max(0) } else { change }).max(0);
            let quantity = Quantity::whole(level.unsigned_abs()).unwrap();
            model.wake(Target { quantity, ..target(october(), "0") }, fate, now);
            let sequence = model.newest(now).map_or(0, |newest| newest.sequence);
            prop_assert!(newest <= sequence, "{newest} after {sequence}");
            newest = sequence;
        }
        prop_assert_eq!(model.shown(october().end), Quantity::whole(level.unsigned_abs()).unwrap());
    }
}
