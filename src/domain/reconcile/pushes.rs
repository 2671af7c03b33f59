//! Pushes: what Stripe lacks of what we sent, or were to send, by what has become of it.
//!
//! In: what a meter is to show, its intents, `now`. Out: for each fate the units that Stripe's total lacks because of it, with
//! the identifiers. Negative where units were to be taken back. Nothing is counted under two fates.

use jiff::Timestamp;

use super::account::Account;
use crate::domain::catalog::Aggregation;
use crate::domain::intent::{Intent, IntentState, Target};
use crate::domain::number::{NumberError, Quantity};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pushes {
    /// Taken by Stripe, and so lately that its total need not show it.
    pub sent: Lack,
    /// Taken by Stripe, and counted nowhere.
    pub dropped: Lack,
    /// Stripe had an event of that name already, which was not ours.
    pub duplicated: Lack,
    /// Came too late to be sent.
    pub late: Lack,
    /// Taken back too late to be sent.
    pub corrected: Lack,
    /// Not sent, refused, or in doubt.
    pub unsent: Lack,
    /// What Stripe is known to hold, one by one.
    pub arrived: Vec<(String, Quantity)>,
}

/// Units that a total lacks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lack {
    pub units: Quantity,
    pub ids: Vec<String>,
}

impl Lack {
    fn add(&mut self, intent: &Intent, units: Quantity) -> Result<(), NumberError> {
        self.units = self.units.checked_add(units)?;
        self.ids.push(intent.identifier.clone());
        Ok(())
    }

    /// Names one whose units are told otherwise, unless a later one has taken its place.
    fn name(&mut self, intent: &Intent, all: &[&Intent]) {
        let follows =
            |later: &&Intent| later.sequence > intent.sequence && later.key.segment == intent.key.segment;
        if intent.state != IntentState::Rejected || !all.iter().any(follows) {
            self.ids.push(intent.identifier.clone());
        }
    }

    /// Takes away what another fate accounts for already.
    fn less(&mut self, units: Quantity) -> Result<(), NumberError> {
        self.units = self.units.checked_sub(units.clamp(Quantity::ZERO, self.units.max(Quantity::ZERO)))?;
        Ok(())
    }

    /// The difference that it makes.
    pub(super) fn account(&self) -> Option<Account> {
        let units = Quantity::ZERO.checked_sub(self.units).ok()?;
        (!units.is_zero()).then(|| Account::of(units).with_ids(self.ids.iter().cloned()))
    }
}

impl Pushes {
    pub fn of(
        aggregation: Aggregation,
        targets: &[Target],
        expected: Quantity,
        intents: &[Intent],
        now: Timestamp,
    ) -> Result<Self, NumberError> {
        let mut ordered: Vec<&Intent> = intents.iter().collect();
        ordered.sort_by_key(|one| one.sequence);
        if aggregation.is_gauge() {
            of_level(expected, &ordered, now)
        } else {
            of_deltas(targets, expected, &ordered, now)
        }
    }

    /// Stripe has one of our pushes twice, or all of them.
    pub(super) fn arrived_again(&self, surplus: Quantity) -> Option<Account> {
        let all = self.arrived.iter().try_fold(Quantity::ZERO, |sum, (_, units)| sum.checked_add(*units));
        let one = self.arrived.iter().find(|(_, units)| *units == surplus);
        let ids: Vec<String> = match one {
            _ if surplus <= Quantity::ZERO => return None,
            Some((id, _)) => vec![id.clone()],
            None if all == Ok(surplus) => self.arrived.iter().map(|(id, _)| id.clone()).collect(),
            None => return None,
        };
        Some(Account::of(surplus).with_ids(ids))
    }
}

/// Of what adds up each intent has its own part.
fn of_deltas(
    targets: &[Target],
    expected: Quantity,
    intents: &[&Intent],
    now: Timestamp,
) -> Result<Pushes, NumberError> {
    let mut pushes = Pushes::default();
    let (mut accounted, mut back, mut given_up) = (Quantity::ZERO, Quantity::ZERO, Quantity::ZERO);
    for &one in intents {
        match Fate::of(one, now) {
            Fate::Arrived => pushes.arrived.push((one.identifier.clone(), one.quantity)),
            Fate::OnItsWay => pushes.sent.add(one, one.quantity)?,
            Fate::Dropped => pushes.dropped.add(one, one.quantity)?,
            Fate::Duplicated => pushes.duplicated.add(one, one.quantity)?,
            Fate::Late if one.quantity.is_negative() => pushes.corrected.add(one, one.quantity)?,
            Fate::Late => pushes.late.add(one, one.quantity)?,
            // What lacks is told by the target: a part of it may have no intent yet.
            Fate::Unsent => {
                pushes.unsent.name(one, intents);
                continue;
            }
        }
        // What was given up is planned anew, and has two intents.
        if one.state == IntentState::Rejected {
            given_up = given_up.checked_add(one.quantity)?;
        } else {
            accounted = accounted.checked_add(one.quantity)?;
            back = back.checked_add(one.quantity.min(Quantity::ZERO))?;
        }
    }
    let unsent = expected.checked_sub(accounted)?;
    // Only what corrections took back may be taken back at Stripe.
    let taken_back = targets.iter().try_fold(back, |sum, target| sum.checked_add(target.taken_back))?;
    let most = Quantity::ZERO.checked_sub(taken_back.max(Quantity::ZERO))?;
    pushes.unsent.units = unsent.max(most);
    let late = pushes.late.units;
    pushes.late.less(given_up)?;
    pushes.unsent.less(given_up.checked_sub(late.checked_sub(pushes.late.units)?)?)?;
    Ok(pushes)
}

/// Of a gauge the newest intent counts: each lacks what it is above the one before.
fn of_level(expected: Quantity, intents: &[&Intent], now: Timestamp) -> Result<Pushes, NumberError> {
    let mut pushes = Pushes::default();
    let (mut level, mut is_given_up) = (Quantity::ZERO, false);
    for &one in intents {
        let rise = one.quantity.checked_sub(level)?;
        match Fate::of(one, now) {
            Fate::Arrived => {
                pushes = Pushes::default();
                (level, is_given_up) = (one.quantity, false);
            }
            Fate::OnItsWay => {
                pushes.sent.add(one, rise)?;
                (level, is_given_up) = (one.quantity, false);
            }
            Fate::Dropped | Fate::Duplicated if one.state == IntentState::Rejected => is_given_up = true,
            Fate::Dropped => {
                pushes.dropped.add(one, rise)?;
                level = one.quantity;
            }
            Fate::Duplicated => {
                pushes.duplicated.add(one, rise)?;
                level = one.quantity;
            }
            // An unbillable one is a difference already.
            Fate::Late => {
                let lack = if is_given_up { &mut pushes.dropped } else { &mut pushes.late };
                lack.add(one, one.quantity)?;
                level = level.checked_add(one.quantity)?;
            }
            Fate::Unsent => pushes.unsent.name(one, intents),
        }
    }
    pushes.unsent.units = expected.checked_sub(level)?;
    Ok(pushes)
}

/// What has become of an intent.
enum Fate {
    Arrived,
    OnItsWay,
    Dropped,
    Duplicated,
    Late,
    Unsent,
}

impl Fate {
    fn of(one: &Intent, now: Timestamp) -> Self {
        match one.state {
            IntentState::Sent | IntentState::Rejected | IntentState::Parked if one.was_duplicate() => {
                Self::Duplicated
            }
            // A person has let stand what Stripe shows: it is not to be sent any more.
            IntentState::Parked if one.was_taken() => Self::Dropped,
            IntentState::Rejected if one.was_dropped() => Self::Dropped,
            IntentState::Sent if one.may_yet_show(now) => Self::OnItsWay,
            IntentState::Sent => Self::Dropped,
            IntentState::Confirmed => Self::Arrived,
            // What we kept back was there in time.
            IntentState::Unbillable if one.was_withheld() => Self::Unsent,
            IntentState::Unbillable => Self::Late,
            IntentState::Planned | IntentState::Unknown | IntentState::Rejected | IntentState::Parked => {
                Self::Unsent
            }
        }
    }
}
