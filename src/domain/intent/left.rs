//! What is left of a window that goes on as it stands at Stripe: a person has said that nothing more is sent for it.
//!
//! In: targets, intents, a meter's total. Out: the usage that Stripe lacks, as unbillable intents; they are never sent. What
//! Stripe shows counts, whoever sent it: what it has is billed there and must not be billed by hand as well.

use jiff::Timestamp;

use super::{Intent, IntentState, NOT_OURS, PushCase, Target, last_sequence, level, planned, sum};
use crate::domain::number::{NumberError, Quantity};

/// Why one in a window that goes on as it stands at Stripe waits for nothing any more.
const UNSEEN: &str = "accepted by Stripe, and its total does not tell; what Stripe shows stands";
const DOUBTFUL: &str = "nobody can say whether it arrived; what Stripe shows stands";
/// Usage that was there in time and was not sent all the same.
const WITHHELD: &str = "not sent: a person let stand what Stripe shows";
const WITHHELD_WHILE_PARKED: &str = "not sent while the tenant was parked, and now the invoice is final";

impl Intent {
    /// Its window goes on as it stands at Stripe: what was never asked for is given up, and what may be there still counts,
    /// but nothing is asked again. Whether that changes anything.
    pub fn let_stand(&mut self, now: Timestamp) -> bool {
        let (state, reason) = match self.state {
            IntentState::Planned if self.attempted_at.is_none() => (IntentState::Rejected, WITHHELD),
            IntentState::Sent if self.may_yet_show(now) => return false,
            IntentState::Sent if self.was_duplicate() => (IntentState::Parked, NOT_OURS),
            IntentState::Sent => (IntentState::Parked, UNSEEN),
            IntentState::Planned | IntentState::Unknown => (IntentState::Parked, DOUBTFUL),
            IntentState::Confirmed
            | IntentState::Rejected
            | IntentState::Unbillable
            | IntentState::Parked => return false,
        };
        self.state = state;
        reason.clone_into(&mut self.reason);
        true
    }

    /// What can no longer be sent was there in time, and was kept back by us.
    pub fn withhold(&mut self) {
        WITHHELD_WHILE_PARKED.clone_into(&mut self.reason);
    }

    /// Unbillable because it was kept back, not because it came late.
    pub fn was_withheld(&self) -> bool {
        self.state == IntentState::Unbillable && [WITHHELD, WITHHELD_WHILE_PARKED].contains(&&*self.reason)
    }

    /// Stripe took it before its window was let stand.
    pub fn was_taken(&self) -> bool {
        self.reason == UNSEEN
    }
}

/// What the ledger holds beyond Stripe's total and beyond what was given up before. It lies in the newest segments: what was
/// not sent came last.
pub fn left_over(case: PushCase<'_>, total: Quantity) -> Result<Vec<Intent>, NumberError> {
    let targets: Vec<&Target> = if case.aggregation.is_gauge() {
        level::shown(case.targets).into_iter().collect()
    } else {
        case.targets.iter().collect()
    };
    let due = sum(targets.iter().map(|target| target.quantity))?;
    if due.at_float_precision() == total {
        return Ok(Vec::new());
    }
    let given_up = case.intents.iter().filter(|one| one.state == IntentState::Unbillable);
    let mut rest = due.checked_sub(total)?.checked_sub(sum(given_up.map(|one| one.quantity))?)?;
    let mut left = Vec::new();
    let mut sequence = last_sequence(case.intents);
    for target in targets.into_iter().rev() {
        let quantity = target.quantity.min(rest);
        if quantity.is_negative() || quantity.is_zero() {
            continue;
        }
        rest = rest.checked_sub(quantity)?;
        sequence += 1;
        let intent = planned(case, target, sequence, quantity, None);
        left.push(Intent { state: IntentState::Unbillable, reason: WITHHELD.to_owned(), ..intent });
    }
    Ok(left)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::Aggregation;
    use crate::domain::intent::tests::{at, in_state, october, quantity, target};
    use crate::domain::intent::{PushKey, PushStep};
    use crate::domain::period::{Period, Window};

    fn left(aggregation: Aggregation, targets: &[Target], intents: &[Intent], total: &str) -> Vec<Intent> {
        let key = PushKey {
            account_id: "acct".into(),
            tenant_id: "acme".into(),
            customer_id: "cus".into(),
            meter: "calls".into(),
            segment: october(),
        };
        let period = Period::parse("2026-10").unwrap();
        let now = at("2026-11-02T00:00:00Z");
        let case = PushCase { aggregation, key: &key, targets, intents, open: false, period, now };
        left_over(case, quantity(total)).unwrap()
    }

    fn quantities(left: &[Intent]) -> Vec<String> {
        assert!(left.iter().all(|one| one.state == IntentState::Unbillable && one.was_withheld()));
        left.iter().map(|one| one.quantity.to_string()).collect()
    }

    fn sent(targets: &[Target]) -> Vec<Intent> {
        let step =
            crate::domain::intent::tests::step(Aggregation::Sum, targets, &[], true, "2026-10-10T00:00:00Z");
        assert!(matches!(step, PushStep::Send(_)));
        in_state(step, IntentState::Parked)
    }

    #[test]
    fn it_is_what_stripe_lacks_whoever_sent_what_it_has() {
        let of = |total| quantities(&left(Aggregation::Sum, &[target(october(), "130")], &[], total));
        assert_eq!(of("0"), ["130"]);
        assert_eq!(of("4"), ["126"]);
        assert!(of("130").is_empty() && of("131").is_empty());
        // Ours in doubt count as far as they are there.
        let doubtful = sent(&[target(october(), "60")]);
        let after = |total| left(Aggregation::Sum, &[target(october(), "130")], &doubtful, total);
        assert_eq!(quantities(&after("0")), ["130"]);
        assert_eq!(quantities(&after("60")), ["70"]);
        assert_eq!(after("60")[0].sequence, 2);
    }

    #[test]
    fn what_was_given_up_once_is_not_given_up_again() {
        let targets = [target(october(), "130")];
        let before = left(Aggregation::Sum, &targets, &[], "4");
        assert!(left(Aggregation::Sum, &targets, &before, "4").is_empty());
        assert_eq!(quantities(&left(Aggregation::Sum, &[target(october(), "135")], &before, "4")), ["5"]);
    }

    #[test]
    fn it_lies_in_the_newest_segments() {
        let half = at("2026-10-20T00:00:00Z");
        let (before, after) = (Window { end: half, ..october() }, Window { start: half, ..october() });
        let found = left(Aggregation::Sum, &[target(before, "60"), target(after, "40")], &[], "50");
        let found: Vec<_> = found.iter().map(|one| (one.key.segment, one.quantity.to_string())).collect();
        assert_eq!(found, [(after, "40".to_owned()), (before, "10".to_owned())]);
    }

    #[test]
    fn of_a_gauge_it_is_what_the_newest_level_lies_higher() {
        let of = |total| quantities(&left(Aggregation::Last, &[target(october(), "8")], &[], total));
        assert_eq!(of("5"), ["3"]);
        assert!(of("9").is_empty());
    }
}
