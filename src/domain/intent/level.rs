//! Levels: how a gauge goes to a meter with the formula `last`: each intent says what the gauge stands at, at a later
//! instant than all before it.
//!
//! In: targets, intents, a meter's total. Out: the next step, or what the total says. Stripe shows one level of a window,
//! that of the newest event, so only the last segment with usage counts. Never an instant that an earlier intent has: a
//! newer level must not lie below an older one.

use jiff::{SignedDuration, Timestamp};

use super::{
    AHEAD, Intent, IntentState, PushCase, PushStep, SHOWN, Settlement, Target, has_too_many_digits,
    instants_in, is_in_doubt, is_on_its_way, last_sequence, lies_in, planned, sum, too_late,
};
use crate::domain::catalog::Aggregation;
use crate::domain::number::{NumberError, Quantity};

/// The last seconds of a segment are kept for what is pushed after its end: each push takes one.
const ROOM: SignedDuration = SignedDuration::from_hours(1);

/// Of the targets of a window, the one that Stripe is to show.
pub fn shown(targets: &[Target]) -> Option<&Target> {
    targets.iter().rfind(|target| target.records > 0)
}

pub(super) fn next_step(case: PushCase<'_>) -> Result<PushStep, NumberError> {
    let levels = levels(case.intents, |one| !matches!(one.state, IntentState::Rejected));
    let newest = levels.last();
    let Some(target) = shown(case.targets) else {
        let has_sent = newest.is_some_and(|one| !one.quantity.is_zero());
        return Ok(if has_sent { PushStep::AheadOfLedger } else { PushStep::Nothing });
    };
    // What lies behind it was sent before a change of plan was learnt of.
    let here = newest.filter(|one| target.segment.start <= one.timestamp);
    let accounted = accounted(case.intents, here.copied(), target)?;
    if accounted == target.quantity && (here.is_some() || newest.is_none()) {
        return Ok(PushStep::Nothing);
    }
    // The highest reading of a time never falls. Another segment's was sent before its plan changed.
    let highest = case.targets.iter().map(|target| target.quantity).max();
    if case.aggregation == Aggregation::Max && newest.is_some_and(|one| Some(one.quantity) > highest) {
        return Ok(PushStep::AheadOfLedger);
    }
    let timestamp = instant(case, target);
    let is_ahead = timestamp.is_some_and(|at| at.duration_since(case.now) > AHEAD);
    if levels.iter().any(|one| is_in_doubt(one))
        || (case.open && (is_ahead || is_shown_before(&levels, target.quantity)))
    {
        return Ok(PushStep::Wait);
    }
    if has_too_many_digits(target.quantity) {
        return Ok(PushStep::TooManyDigits);
    }
    let sequence = last_sequence(case.intents) + 1;
    let Some(reason) = too_late(case, target.segment, timestamp) else {
        let intent = planned(case, target, sequence, target.quantity, timestamp);
        return Ok(PushStep::Send(vec![intent]));
    };
    let lacking = target.quantity.checked_sub(accounted)?;
    if lacking.is_zero() {
        return Ok(PushStep::Nothing);
    }
    let intent = planned(case, target, sequence, lacking, None);
    let late = Intent { state: IntentState::Unbillable, reason: reason.to_owned(), ..intent };
    Ok(PushStep::Unbillable(vec![late]))
}

pub(super) fn settle(intents: &[Intent], total: Quantity, open: bool, now: Timestamp) -> Settlement {
    let levels = levels(intents, Intent::is_counted);
    let Some((newest, older)) = levels.split_last() else {
        return if total.is_zero() { Settlement::Confirmed } else { Settlement::Foreign };
    };
    let has_been = |one: &&Intent| one.quantity == total;
    // What was confirmed has arrived, so Stripe shows it or a newer one. What a stale answer shows is older still.
    let confirmed = older.iter().rposition(|one| one.state == IntentState::Confirmed);
    let since = older.get(confirmed.unwrap_or(0)..).unwrap_or_default();
    let nothing_yet = total.is_zero() && levels.iter().all(|one| is_on_its_way(one));
    let may_be = nothing_yet || since.iter().any(has_been);
    let is_doubtful = is_in_doubt(newest) || newest.state == IntentState::Parked;
    if total == newest.quantity && !(is_doubtful && may_be) {
        return Settlement::Confirmed;
    }
    // A level that comes again does no harm, so what can no longer be repeated is given up.
    if may_be && is_on_its_way(newest) && newest.is_past(open, now, SHOWN) {
        return Settlement::Partly { arrived: Vec::new(), absent: vec![(*newest).clone()] };
    }
    if may_be || older.iter().any(has_been) { Settlement::pending() } else { Settlement::Foreign }
}

/// The intents that are levels, in the order in which the newest comes last; what is unbillable is a difference.
fn levels(intents: &[Intent], counts: impl Fn(&Intent) -> bool) -> Vec<&Intent> {
    let is_level = |one: &&Intent| one.state != IntentState::Unbillable && counts(one);
    let mut levels: Vec<&Intent> = intents.iter().filter(is_level).collect();
    levels.sort_by_key(|one| one.sequence);
    levels
}

/// What the segment is accounted for: the level that was sent for it, and what was given up since.
fn accounted(intents: &[Intent], here: Option<&Intent>, target: &Target) -> Result<Quantity, NumberError> {
    let is_later = |one: &Intent| here.is_none_or(|here| here.sequence < one.sequence);
    let given_up = intents
        .iter()
        .filter(|one| one.state == IntentState::Unbillable && lies_in(one, target.segment) && is_later(one));
    let level = here.map_or(Quantity::ZERO, |here| here.quantity);
    level.checked_add(sum(given_up.map(|one| one.quantity))?)
}

/// Whether Stripe may show this quantity before all that is on its way has arrived: then a total would not tell whether
/// the new one has.
fn is_shown_before(levels: &[&Intent], quantity: Quantity) -> bool {
    let confirmed = levels.iter().rposition(|one| one.state == IntentState::Confirmed);
    let since = levels.get(confirmed.unwrap_or(0)..).unwrap_or_default();
    let nothing_yet = confirmed.is_none() && quantity.is_zero();
    since.iter().any(|one| is_on_its_way(one))
        && (nothing_yet || since.iter().any(|one| one.quantity == quantity))
}

/// As near to `now` as can be, later than every earlier intent, and with room behind it while the segment lasts.
fn instant(case: PushCase<'_>, target: &Target) -> Option<Timestamp> {
    let (first, last) = instants_in(target.segment)?;
    let early = last.checked_sub(ROOM).ok()?.max(first);
    let near = Timestamp::from_second(case.now.clamp(first, early).as_second()).ok()?;
    let sent = case.intents.iter().filter(|one| one.state != IntentState::Unbillable);
    let newest = sent.map(|one| one.timestamp).max();
    let free = match newest {
        Some(newest) => Timestamp::from_second(newest.as_second() + 1).ok()?,
        None => near,
    };
    Some(near.max(free)).filter(|at| *at <= last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::intent::tests::{at, in_state, october, quantity, target};
    use crate::domain::period::Window;

    fn last(targets: &[Target], intents: &[Intent], open: bool, now: &str) -> PushStep {
        crate::domain::intent::tests::step(Aggregation::Last, targets, intents, open, now)
    }

    fn max(targets: &[Target], intents: &[Intent], open: bool, now: &str) -> PushStep {
        crate::domain::intent::tests::step(Aggregation::Max, targets, intents, open, now)
    }

    fn sent(step: PushStep) -> Vec<Intent> {
        in_state(step, IntentState::Sent)
    }

    fn confirmed(step: PushStep) -> Vec<Intent> {
        in_state(step, IntentState::Confirmed)
    }

    fn one(level: &str) -> [Target; 1] {
        [target(october(), level)]
    }

    fn halves() -> (Window, Window) {
        let half = at("2026-10-20T00:00:00Z");
        (Window { end: half, ..october() }, Window { start: half, ..october() })
    }

    fn settled(known: &[Intent], total: &str, now: &str) -> Settlement {
        settle(known, quantity(total), true, at(now))
    }

    const EARLY: &str = "2026-10-10T00:00:00Z";
    const LATER: &str = "2026-10-12T00:00:00Z";

    #[test]
    fn a_level_goes_as_it_is_and_later_than_all_before_it() {
        let first = sent(last(&one("8"), &[], true, EARLY));
        assert_eq!((first[0].quantity, first[0].timestamp), (quantity("8"), at(EARLY)));
        assert_eq!(last(&one("8"), &first, true, LATER), PushStep::Nothing);
        let second = sent(last(&one("5.5"), &first, true, EARLY));
        assert_eq!((second[0].quantity, second[0].timestamp), (quantity("5.5"), at("2026-10-10T00:00:01Z")));
        // One that was refused keeps its instant: it may have come late.
        let refused = in_state(last(&one("9"), &first, true, LATER), IntentState::Rejected);
        let again = sent(last(&one("9"), &[first, refused].concat(), true, LATER));
        assert_eq!(again[0].timestamp, at("2026-10-12T00:00:01Z"));
    }

    #[test]
    fn after_the_end_there_is_room_for_more_than_one() {
        let mut known = Vec::new();
        for (level, second) in [("3", "00"), ("4", "01"), ("5", "02")] {
            known.extend(confirmed(last(&one(level), &known, true, "2026-11-01T00:30:00Z")));
            let latest = known.last().unwrap().timestamp;
            assert_eq!(latest, at(&format!("2026-10-31T22:59:{second}Z")));
        }
    }

    #[test]
    fn where_no_instant_is_left_the_difference_is_unbillable() {
        let mut first = confirmed(last(&one("3"), &[], true, EARLY));
        first[0].timestamp = at("2026-10-31T23:59:00Z");
        for open in [true, false] {
            let PushStep::Unbillable(late) = last(&one("5"), &first, open, "2026-11-01T00:30:00Z") else {
                panic!()
            };
            assert_eq!((late[0].quantity, late[0].state), (quantity("2"), IntentState::Unbillable));
            let mut both = [first.clone(), late].concat();
            assert_eq!(last(&one("5"), &both, open, "2026-11-01T00:40:00Z"), PushStep::Nothing);
            // What falls again is given back, and what Stripe shows is what was sent.
            let PushStep::Unbillable(back) = last(&one("4"), &both, open, "2026-11-01T00:50:00Z") else {
                panic!()
            };
            assert_eq!(back[0].quantity, quantity("-1"));
            both.extend(back);
            assert_eq!(settle(&both, quantity("3"), open, at("2026-11-01T01:00:00Z")), Settlement::Confirmed);
        }
    }

    #[test]
    fn the_highest_never_falls_and_the_newest_may() {
        let first = confirmed(max(&one("8"), &[], true, EARLY));
        assert_eq!(max(&one("7"), &first, true, LATER), PushStep::AheadOfLedger);
        assert!(matches!(last(&one("7"), &first, true, LATER), PushStep::Send(_)));
        // A ledger without the readings that were sent is an older copy.
        let gone = [Target { records: 0, ..target(october(), "0") }];
        for step in [max(&gone, &first, true, LATER), last(&gone, &first, true, LATER)] {
            assert_eq!(step, PushStep::AheadOfLedger);
        }
    }

    #[test]
    fn nothing_is_sent_for_a_zero_that_nothing_came_before() {
        assert_eq!(last(&one("0"), &[], true, EARLY), PushStep::Nothing);
        let first = confirmed(last(&one("8"), &[], true, EARLY));
        assert_eq!(sent(last(&one("0"), &first, true, LATER))[0].quantity, Quantity::ZERO);
    }

    #[test]
    fn after_a_plan_change_stripe_is_to_show_the_level_of_the_last_segment_with_usage() {
        let (before, after) = halves();
        let nothing = Target { records: 0, ..target(after, "0") };
        let first = confirmed(max(&[target(before, "9"), nothing], &[], true, "2026-10-19T00:00:00Z"));
        assert_eq!(first[0].key.segment, before);
        // A late reading of the first segment stays in it.
        let now = "2026-10-25T00:00:00Z";
        let late = confirmed(max(&[target(before, "10"), nothing], &first, true, now));
        assert_eq!(late[0].timestamp, at("2026-10-19T22:59:00Z"));
        let known = [first, late].concat();
        // Even the same level goes again, and even 0: the item of the new plan knows nothing of the old one.
        for level in ["4", "10", "0"] {
            let more = sent(max(&[target(before, "10"), target(after, level)], &known, true, now));
            assert_eq!((more[0].key.segment, more[0].quantity), (after, quantity(level)));
        }
    }

    #[test]
    fn a_plan_change_that_is_learnt_of_later_sends_nothing_again() {
        let first = confirmed(last(&one("8"), &[], true, "2026-10-25T00:00:00Z"));
        let (before, after) = halves();
        let now = "2026-10-26T00:00:00Z";
        let nothing = Target { records: 0, ..target(after, "0") };
        assert_eq!(last(&[target(before, "8"), nothing], &first, true, now), PushStep::Nothing);
        assert_eq!(last(&[target(before, "3"), target(after, "8")], &first, true, now), PushStep::Nothing);
    }

    #[test]
    fn a_total_says_what_became_of_a_level_in_doubt() {
        let first = confirmed(last(&one("8"), &[], true, EARLY));
        let mut second = sent(last(&one("5"), &first, true, "2026-10-10T01:00:00Z"));
        let both = [first.clone(), second.clone()].concat();
        for (total, says) in [
            ("5", Settlement::Confirmed),
            ("8", Settlement::Partly { arrived: Vec::new(), absent: second.clone() }),
            ("0", Settlement::Foreign),
            ("6", Settlement::Foreign),
        ] {
            assert_eq!(settled(&both, total, LATER), says, "{total}");
        }
        second[0].state = IntentState::Unknown;
        second[0].attempted_at = Some(at("2026-10-10T01:00:00Z"));
        let both = [first, second.clone()].concat();
        assert_eq!(settled(&both, "8", "2026-10-10T02:00:00Z"), Settlement::pending());
        assert_eq!(settled(&both, "8", LATER), Settlement::Partly { arrived: Vec::new(), absent: second });
        assert_eq!(settled(&both, "5", LATER), Settlement::Confirmed);
        assert_eq!(last(&one("4"), &both, true, "2026-10-10T02:00:00Z"), PushStep::Wait);
        let mut first = sent(last(&one("8"), &[], true, EARLY));
        assert_eq!(settled(&first, "0", "2026-10-10T12:00:00Z"), Settlement::pending());
        let absent = first.clone();
        assert_eq!(settled(&first, "0", LATER), Settlement::Partly { arrived: Vec::new(), absent });
        first[0].state = IntentState::Confirmed;
        assert_eq!(settled(&first, "0", LATER), Settlement::Foreign);
    }

    #[test]
    fn a_level_that_stripe_may_show_already_waits_for_what_is_on_its_way() {
        let first = confirmed(last(&one("10"), &[], true, EARLY));
        let second = sent(last(&one("8"), &first, true, EARLY));
        let both = [first, second].concat();
        // Of 10, 8 and 10 a total of 10 would not tell which has arrived.
        assert_eq!(last(&one("10"), &both, true, LATER), PushStep::Wait);
        assert!(matches!(last(&one("11"), &both, true, LATER), PushStep::Send(_)));
        let unseen = sent(last(&one("7"), &[], true, EARLY));
        assert_eq!(last(&one("0"), &unseen, true, LATER), PushStep::Wait);
    }

    #[test]
    fn an_instant_that_stripe_would_not_take_yet_is_waited_for() {
        let mut first = confirmed(last(&one("3"), &[], true, EARLY));
        first[0].timestamp = at("2026-10-10T01:00:00Z");
        assert_eq!(last(&one("5"), &first, true, EARLY), PushStep::Wait);
    }
}
