//! Deltas: how usage that adds up goes to a meter with the formula `sum`: each intent is what the earlier ones lack.
//!
//! In: targets, intents, a meter's total. Out: the next step, or what the total says. A negative delta takes back what
//! corrections took back in the ledger, and never more. Deltas of one sign only are on their way at a time, so that a total
//! always says which of them have arrived. A total is a binary float at Stripe, so ours are compared at that precision.

use jiff::{SignedDuration, Timestamp};

use super::{
    AHEAD, Intent, IntentState, MOST_ON_THEIR_WAY, PushCase, PushStep, SHOWN, Settlement, Target,
    has_too_many_digits, instants_in, is_accounted, is_in_doubt, is_on_its_way, last_sequence, lies_in,
    planned, sum, too_late,
};
use crate::domain::number::{NumberError, Quantity};
use crate::domain::period::Window;

/// As many intents at once can be told apart by their sums; more go to a person.
const MOST_TO_TRY: usize = 12;
/// From the first request for one in doubt to the proof that none of its requests has arrived: for 23 hours it may have been
/// repeated, and then as long as for any other.
const PROVEN: SignedDuration = SignedDuration::from_hours(23 + 25);

pub(super) fn next_step(case: PushCase<'_>) -> Result<PushStep, NumberError> {
    let PushCase { targets, intents, .. } = case;
    let due = sum(targets.iter().map(|target| target.quantity))?;
    let mut rest = due.checked_sub(sum(accounted(intents))?)?;
    if !is_corrected(targets, intents, rest)? {
        return Ok(PushStep::AheadOfLedger);
    }
    if rest.is_zero() {
        return Ok(PushStep::Nothing);
    }
    let turns = |one: &Intent| is_on_its_way(one) && one.quantity.is_negative() != rest.is_negative();
    let too_many = intents.iter().filter(|one| is_on_its_way(one)).count() >= MOST_ON_THEIR_WAY;
    if (case.open && too_many) || intents.iter().any(|one| is_in_doubt(one) || (case.open && turns(one))) {
        return Ok(PushStep::Wait);
    }
    let mut sequence = last_sequence(intents);
    let (mut sends, mut late, mut has_to_wait) = (Vec::new(), Vec::new(), false);
    for target in targets {
        let lacking = lacking(target, intents)?;
        let quantity = if rest.is_negative() {
            lacking.min(Quantity::ZERO).max(rest)
        } else {
            lacking.max(Quantity::ZERO).min(rest)
        };
        if quantity.is_zero() {
            continue;
        }
        if has_too_many_digits(quantity) {
            return Ok(PushStep::TooManyDigits);
        }
        rest = rest.checked_sub(quantity)?;
        let timestamp = instant_in(target.segment, case.now);
        // Stripe takes no event that lies further ahead: a segment that has not begun waits.
        if case.open && timestamp.is_some_and(|at| at.duration_since(case.now) > AHEAD) {
            has_to_wait = true;
            continue;
        }
        sequence += 1;
        let intent = planned(case, target, sequence, quantity, timestamp);
        match too_late(case, target.segment, timestamp) {
            None => sends.push(intent),
            Some(reason) => {
                late.push(Intent { state: IntentState::Unbillable, reason: reason.to_owned(), ..intent });
            }
        }
    }
    // What was sent for a segment that is no longer there cannot be taken back from another.
    if rest.is_negative() {
        return Ok(PushStep::AheadOfLedger);
    }
    Ok(match (sends.is_empty(), has_to_wait && late.is_empty()) {
        (false, _) => PushStep::Send(sends),
        (true, true) => PushStep::Wait,
        (true, false) => PushStep::Unbillable(late),
    })
}

pub(super) fn settle(
    intents: &[Intent],
    total: Quantity,
    open: bool,
    now: Timestamp,
) -> Result<Settlement, NumberError> {
    let counted = || intents.iter().filter(|one| one.is_counted());
    let all = sum(counted().map(|one| one.quantity))?;
    // A correction that has not arrived leaves the total above what it is to be.
    let awaited = counted().filter(|one| one.quantity.is_negative() && is_on_its_way(one));
    let most = all.checked_sub(sum(awaited.map(|one| one.quantity))?)?;
    if total > most.at_float_precision() || total.is_negative() {
        return Ok(Settlement::Foreign);
    }
    if total == all.at_float_precision() {
        return Ok(Settlement::Confirmed);
    }
    let on_their_way: Vec<&Intent> = counted().filter(|one| is_on_its_way(one)).collect();
    let all_past = on_their_way.iter().all(|one| is_past(one, open, now));
    let ways = which_lack(&on_their_way, all, total);
    if ways.is_empty() {
        return Ok(if all_past { Settlement::Undecided } else { Settlement::pending() });
    }
    // When none may still come, it matters to nobody which of two that make up the same it was.
    let ways = if all_past { &ways[..1] } else { &ways };
    let is_absent = |index: usize, one: &Intent| {
        is_past(one, open, now) && ways.iter().all(|way| way & (1 << index) != 0)
    };
    let has_arrived = |index: usize| ways.iter().all(|way| way & (1 << index) == 0);
    let numbered = || on_their_way.iter().copied().enumerate();
    Ok(Settlement::Partly {
        arrived: numbered().filter(|(index, _)| has_arrived(*index)).map(|(_, one)| one.clone()).collect(),
        absent: numbered()
            .filter(|(index, one)| is_absent(*index, one))
            .map(|(_, one)| one.clone())
            .collect(),
    })
}

fn is_past(one: &Intent, open: bool, now: Timestamp) -> bool {
    one.is_past(open, now, if is_in_doubt(one) { PROVEN } else { SHOWN })
}

/// Whether the ledger's corrections explain all that was and is to be taken back. Where they do not, the ledger holds less
/// than it did: an older copy of it, as after a restored backup.
fn is_corrected(targets: &[Target], intents: &[Intent], rest: Quantity) -> Result<bool, NumberError> {
    let falls = |quantity: &Quantity| quantity.is_negative();
    let back = sum(accounted(intents).filter(falls).chain(Some(rest).filter(falls)))?;
    let taken_back = sum(targets.iter().map(|target| target.taken_back))?;
    Ok(back.magnitude() <= taken_back)
}

/// What a segment lacks: its target less the intents whose instant lies in it.
fn lacking(target: &Target, intents: &[Intent]) -> Result<Quantity, NumberError> {
    let there = intents.iter().filter(|one| lies_in(one, target.segment) && is_accounted(one));
    target.quantity.checked_sub(sum(there.map(|one| one.quantity))?)
}

/// As near to `now` as can be.
fn instant_in(segment: Window, now: Timestamp) -> Option<Timestamp> {
    let (first, last) = instants_in(segment)?;
    Timestamp::from_second(now.clamp(first, last).as_second()).ok()
}

fn accounted(intents: &[Intent]) -> impl Iterator<Item = Quantity> {
    intents.iter().filter(|one| is_accounted(one)).map(|one| one.quantity)
}

/// All ways in which a total can lack some of the intents, each as the bits of those that it lacks. Too many intents to try
/// have none.
fn which_lack(intents: &[&Intent], all: Quantity, total: Quantity) -> Vec<u32> {
    if intents.len() > MOST_TO_TRY {
        return Vec::new();
    }
    let lacked = |way: u32| (0..).zip(intents).filter(move |(index, _)| way & (1 << index) != 0);
    let without = |way: u32| all.checked_sub(sum(lacked(way).map(|(_, one)| one.quantity))?);
    let explains = |way: &u32| without(*way).is_ok_and(|rest| rest.at_float_precision() == total);
    (1..1u32 << intents.len()).filter(explains).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::Aggregation;
    use crate::domain::intent::tests::{at, corrected, in_state, october, quantity, target};

    fn step(targets: &[Target], intents: &[Intent], open: bool, now: &str) -> PushStep {
        crate::domain::intent::tests::step(Aggregation::Sum, targets, intents, open, now)
    }

    fn sent(step: PushStep) -> Vec<Intent> {
        in_state(step, IntentState::Sent)
    }

    fn confirmed(step: PushStep) -> Vec<Intent> {
        in_state(step, IntentState::Confirmed)
    }

    fn settled(known: &[Intent], total: &str) -> Settlement {
        settle(known, quantity(total), true, at("2026-10-12T00:00:00Z")).unwrap()
    }

    fn absent(lost: &[Intent]) -> Settlement {
        Settlement::Partly { arrived: Vec::new(), absent: lost.to_vec() }
    }

    /// Sent at these hours of 10 October, one a piece.
    fn sent_at(pieces: &[(&str, &str)]) -> Vec<Intent> {
        let (mut known, mut due) = (Vec::new(), Quantity::ZERO);
        for (piece, hour) in pieces {
            due = due.checked_add(quantity(piece)).unwrap();
            let asked = format!("2026-10-10T{hour}:00:00Z");
            let mut next = sent(step(&[target(october(), &due.to_string())], &known, true, &asked));
            next[0].attempted_at = Some(at(&asked));
            known.extend(next);
        }
        known
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
    fn what_corrections_took_back_is_sent_with_a_minus_once_the_rest_has_arrived() {
        let now = "2026-10-11T00:00:00Z";
        let first = sent(step(&[target(october(), "100")], &[], true, "2026-10-10T00:00:00Z"));
        let lower = [corrected("70", "30")];
        assert_eq!(step(&lower, &first, true, now), PushStep::Wait);
        let first = confirmed(step(&[target(october(), "100")], &[], true, "2026-10-10T00:00:00Z"));
        let back = sent(step(&lower, &first, true, now));
        assert_eq!(back[0].quantity.to_string(), "-30");
        let both = [first.clone(), back].concat();
        assert_eq!(step(&lower, &both, true, now), PushStep::Nothing);
        // New usage waits for it in its turn.
        assert_eq!(step(&[corrected("75", "30")], &both, true, now), PushStep::Wait);
        let after = [first.clone(), confirmed(step(&lower, &first, true, now))].concat();
        assert_eq!(sent(step(&[corrected("75", "30")], &after, true, now))[0].quantity.to_string(), "5");
    }

    #[test]
    fn what_no_correction_explains_is_never_taken_back() {
        let now = "2026-10-11T00:00:00Z";
        let first = confirmed(step(&[target(october(), "100")], &[], true, "2026-10-10T00:00:00Z"));
        assert_eq!(step(&[corrected("70", "29")], &first, true, now), PushStep::AheadOfLedger);
        let back = confirmed(step(&[corrected("70", "30")], &first, true, now));
        let both = [first, back].concat();
        // The same correction explains nothing twice, and one that is gone explains nothing.
        assert_eq!(step(&[corrected("40", "30")], &both, true, now), PushStep::AheadOfLedger);
        assert_eq!(step(&[corrected("90", "0")], &both, true, now), PushStep::AheadOfLedger);
        assert!(matches!(step(&[corrected("60", "40")], &both, true, now), PushStep::Send(_)));
    }

    #[test]
    fn a_correction_goes_to_the_segment_that_has_too_much() {
        let half = at("2026-10-20T00:00:00Z");
        let (before, after) = (Window { end: half, ..october() }, Window { start: half, ..october() });
        let early = confirmed(step(&[target(before, "60")], &[], true, "2026-10-10T00:00:00Z"));
        let targets = [target(before, "60"), target(after, "40")];
        let late = confirmed(step(&targets, &early, true, "2026-10-25T00:00:00Z"));
        let taken_back = quantity("10");
        let targets = [Target { taken_back, ..target(before, "50") }, target(after, "40")];
        let back = sent(step(&targets, &[early, late].concat(), true, "2026-10-26T00:00:00Z"));
        assert_eq!(
            (back.len(), back[0].key.segment, back[0].quantity.to_string()),
            (1, before, "-10".into())
        );
    }

    #[test]
    fn a_correction_that_comes_too_late_is_unbillable_with_its_minus() {
        let first = confirmed(step(&[target(october(), "100")], &[], true, "2026-10-10T00:00:00Z"));
        let targets = [corrected("70", "30")];
        let PushStep::Unbillable(late) = step(&targets, &first, false, "2026-11-01T02:00:00Z") else {
            panic!()
        };
        assert_eq!((late.len(), late[0].quantity.to_string()), (1, "-30".to_owned()));
        let both = [first, late].concat();
        assert_eq!(step(&targets, &both, false, "2026-11-01T03:00:00Z"), PushStep::Nothing);
        assert_eq!(settled(&both, "100"), Settlement::Confirmed);
    }

    #[test]
    fn a_total_lies_between_while_a_correction_is_on_its_way() {
        let first = confirmed(step(&[target(october(), "100")], &[], true, "2026-10-10T00:00:00Z"));
        let back = step(&[corrected("70", "30")], &first, true, "2026-10-11T00:00:00Z");
        let both = [first, sent(back)].concat();
        assert_eq!(settled(&both, "100"), Settlement::pending());
        assert_eq!(settled(&both, "70"), Settlement::Confirmed);
        assert_eq!(settled(&both, "101"), Settlement::Foreign);
        assert_eq!(settled(&both, "-1"), Settlement::Foreign);
        let arrived: Vec<Intent> =
            both.into_iter().map(|one| Intent { state: IntentState::Confirmed, ..one }).collect();
        assert_eq!(settled(&arrived, "71"), Settlement::Foreign);
    }

    #[test]
    fn a_segment_that_has_not_begun_waits_and_holds_up_no_other() {
        let half = at("2026-10-20T00:00:00Z");
        let (before, after) = (Window { end: half, ..october() }, Window { start: half, ..october() });
        let targets = [target(before, "60"), target(after, "40")];
        let first = sent(step(&targets, &[], true, "2026-10-10T00:00:00Z"));
        assert_eq!((first.len(), first[0].quantity, first[0].key.segment), (1, quantity("60"), before));
        assert_eq!(step(&targets, &first, true, "2026-10-19T23:50:00Z"), PushStep::Wait);
        let second = sent(step(&targets, &first, true, "2026-10-20T00:00:00Z"));
        assert_eq!((second[0].quantity, second[0].key.segment), (quantity("40"), after));
    }

    #[test]
    fn an_event_lies_a_whole_minute_inside_its_segment() {
        for now in
            ["2026-09-30T23:59:00Z", "2026-10-01T00:00:10.5Z", "2026-10-31T23:59:59Z", "2026-11-01T00:30:00Z"]
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
        let mut known = sent(step(&[target(october(), "5")], &[], true, "2026-10-10T00:00:00Z"));
        known[0].state = IntentState::Unknown;
        known[0].attempted_at = Some(at("2026-10-10T00:00:00Z"));
        assert_eq!(settled(&known, "5"), Settlement::Confirmed);
        assert_eq!(settled(&known, "0"), absent(&known));
        assert_eq!(settled(&known, "3"), Settlement::Undecided);
        assert_eq!(settled(&known, "6"), Settlement::Foreign);
        // A day after the last instant at which it may have been sent again, and not before.
        let read = |now: &str| settle(&known, quantity("0"), true, at(now)).unwrap();
        assert_eq!(read("2026-10-11T23:59:59Z"), Settlement::pending());
        assert!(!known[0].may_be_sent(at("2026-10-10T23:00:00Z")));
        // Within a day it is simply sent again.
        known[0].attempted_at = Some(at("2026-10-11T12:00:00Z"));
        let again = (settled(&known, "0"), known[0].may_be_sent(at("2026-10-12T00:00:00Z")));
        assert_eq!(again, (Settlement::pending(), true));
    }

    #[test]
    fn of_two_in_doubt_none_is_given_up_while_the_other_may_still_come() {
        let first = sent(step(&[target(october(), "5")], &[], true, "2026-10-10T00:00:00Z"));
        let second = sent(step(&[target(october(), "10")], &first, true, "2026-10-11T12:00:00Z"));
        let mut both = [first, second].concat();
        for (one, asked) in both.iter_mut().zip(["2026-10-10T00:00:00Z", "2026-10-11T12:00:00Z"]) {
            one.state = IntentState::Unknown;
            one.attempted_at = Some(at(asked));
        }
        assert_eq!(settled(&both, "5"), Settlement::pending());
        let later = settle(&both, quantity("5"), true, at("2026-10-13T12:00:00Z")).unwrap();
        // They are alike: which of them it is called is all the same.
        let (arrived, absent) = (both[1..].to_vec(), both[..1].to_vec());
        assert_eq!(later, Settlement::Partly { arrived, absent });
    }

    #[test]
    fn of_those_that_stripe_took_a_total_names_the_one_that_it_dropped() {
        let known = sent_at(&[("5", "00"), ("10", "01"), ("20", "02")]);
        let read = |total: &str, now: &str| settle(&known, quantity(total), true, at(now)).unwrap();
        let (dropped, rest) = (known[..1].to_vec(), known[1..].to_vec());
        // Too early: it may still come. That the others have come is certain.
        let early = read("30", "2026-10-10T12:00:00Z");
        assert_eq!(early, Settlement::Partly { arrived: rest.clone(), absent: Vec::new() });
        // A day later the first would be seen, whatever becomes of the others.
        let later = read("30", "2026-10-11T01:30:00Z");
        assert_eq!(later, Settlement::Partly { arrived: rest, absent: dropped.clone() });
        let only_last = read("20", "2026-10-11T01:30:00Z");
        assert_eq!(only_last, Settlement::Partly { arrived: known[2..].to_vec(), absent: dropped });
        assert_eq!(read("29", "2026-10-11T01:30:00Z"), Settlement::pending());
        assert_eq!(read("29", "2026-10-12T00:00:00Z"), Settlement::Undecided);
    }

    #[test]
    fn of_two_that_are_alike_none_is_given_up_while_one_may_still_come() {
        let known = sent_at(&[("5", "00"), ("5", "12")]);
        let read = |now: &str| settle(&known, quantity("5"), true, at(now)).unwrap();
        assert_eq!(read("2026-10-11T06:00:00Z"), Settlement::pending());
        let Settlement::Partly { arrived, absent } = read("2026-10-11T13:00:00Z") else { panic!() };
        assert_eq!((arrived.len(), absent.len()), (1, 1));
    }

    #[test]
    fn a_total_is_compared_at_the_precision_of_a_float() {
        let known = sent_at(&[("100000000.1", "00"), ("0.00000123", "01")]);
        let read = |total: &str| {
            settle(&known, quantity(total).at_float_precision(), true, at("2026-10-10T12:00:00Z"))
        };
        assert_eq!(read("100000000.10000123").unwrap(), Settlement::Confirmed);
        assert_eq!(read("100000000.100001").unwrap(), Settlement::Confirmed);
        let first = Settlement::Partly { arrived: known[..1].to_vec(), absent: Vec::new() };
        assert_eq!(read("100000000.1").unwrap(), first);
        assert_eq!(read("100000000.100002").unwrap(), Settlement::Foreign);
    }

    #[test]
    fn more_is_sent_only_while_a_total_can_tell_them_apart() {
        let pieces: Vec<(&str, &str)> = vec![
            ("1", "00"),
            ("1", "01"),
            ("1", "02"),
            ("1", "03"),
            ("1", "04"),
            ("1", "05"),
            ("1", "06"),
            ("1", "07"),
        ];
        let mut known = sent_at(&pieces);
        let more = [target(october(), "9")];
        assert_eq!(step(&more, &known, true, "2026-10-10T08:00:00Z"), PushStep::Wait);
        known[0].confirm();
        assert!(matches!(step(&more, &known, true, "2026-10-10T08:00:00Z"), PushStep::Send(_)));
    }

    #[test]
    fn what_was_dropped_is_told_from_what_never_arrived() {
        let mut one = sent(step(&[target(october(), "5")], &[], true, "2026-10-10T00:00:00Z")).remove(0);
        one.give_up(true);
        assert!(one.was_dropped() && one.state == IntentState::Rejected && !one.is_counted());
        one.state = IntentState::Unknown;
        one.give_up(true);
        assert!(!one.was_dropped() && one.state == IntentState::Rejected);
    }

    #[test]
    fn a_correction_in_doubt_is_absent_where_the_total_never_fell() {
        let first = confirmed(step(&[target(october(), "100")], &[], true, "2026-10-09T00:00:00Z"));
        let mut back = sent(step(&[corrected("70", "30")], &first, true, "2026-10-10T00:00:00Z"));
        back[0].state = IntentState::Unknown;
        back[0].attempted_at = Some(at("2026-10-10T00:00:00Z"));
        let both = [first, back.clone()].concat();
        assert_eq!(settled(&both, "100"), absent(&back));
        assert_eq!(settled(&both, "70"), Settlement::Confirmed);
        assert_eq!(settled(&both, "80"), Settlement::Undecided);
    }
}
