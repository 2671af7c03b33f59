//! What bills tell: money beside units, prices that are not in force, and who can still do something.

use super::*;
use crate::domain::reconcile::OtherPrice;

/// Stripe lacks 20 units worth 140.00, and bills the rest at another price: that is left to be explained.
#[test]
fn a_wrong_price_beside_units_that_are_explained_does_not_hide_in_them() {
    let rates = rates(&["130"]);
    let late = Pushes { late: lack("20"), ..Pushes::default() };
    let evidence = Evidence { rates: Some(&rates), ..pushes(late) };
    for (billed, unexplained) in
        [(7_000, 0), (20_000, 13_000), (22_000, 15_000), (21_000, 14_000), (1_000, -6_000)]
    {
        let difference = bill(("130", 21_000), ("110", billed));
        let explained = decide(&difference, &evidence).explained_amount.unwrap();
        assert_eq!((explained, difference.amount.unwrap() - explained), (-14_000, unexplained), "{billed}");
    }
}

/// Nobody knows in which of two segments they were used: what is at the right price is not made a difference by a guess.
#[test]
fn units_of_one_of_two_segments_are_taken_from_the_one_that_leaves_less_open() {
    let rates = rates(&["130", "120"]);
    let late = Pushes { late: lack("25"), ..Pushes::default() };
    let evidence = Evidence { rates: Some(&rates), ..pushes(late) };
    let explained = |billed| decide(&bill(("250", 35_000), ("225", billed)), &evidence).explained_amount;
    assert_eq!((explained(17_500), explained(21_000)), (Some(-17_500), Some(-14_000)));
}

#[test]
fn of_two_parts_of_one_cause_the_money_of_one_is_not_the_money_of_both() {
    let known = |units_of: &str, amount| Account { amount, ..Account::of(units(units_of)) };
    let both = |one, other| {
        let both = Account::both(Some(one), Some(other)).unwrap();
        (both.units.to_string(), both.amount)
    };
    assert_eq!(both(known("5", Some(50)), known("2", Some(30))), ("7".to_owned(), Some(80)));
    // What has to be rated is rated together.
    assert_eq!(both(known("5", Some(50)), known("2", None)), ("7".to_owned(), None));
    assert_eq!(both(known("5", Some(50)), known("0", None)), ("5".to_owned(), Some(50)));
}

#[test]
fn a_bill_of_other_prices_is_the_subscriptions_fault_and_not_the_usages() {
    let of = |price, bill| with_bill(Bill { price, ..bill });
    let none = bill(("130", 21_000), ("0", 0));
    for state in [BillState::Draft, BillState::Kept, BillState::Final] {
        let no_line = of(OtherPrice::NoLine, billed(state, "130"));
        assert_eq!(told(&none, &no_line), "mapping -130 -21000", "{state:?}");
    }
    // The items of the first segments are gone with their plan.
    let changed = Bill { segments: ["130", "0"].map(units).to_vec(), ..billed(BillState::Final, "130") };
    let (rates, changed) = (rates(&["130", "0"]), of(OtherPrice::NoLine, changed));
    let evidence = Evidence { rates: Some(&rates), ..changed };
    assert_eq!(told(&none, &evidence), "mid_cycle_change -130 -21000");
    // The units agree, at a price that is not in force; whatever that price is.
    let dear = bill(("130", 0), ("130", 21_000));
    for priced in [Some(21_000), None] {
        let other = Bill { priced, ..billed(BillState::Final, "130") };
        assert_eq!(told(&dear, &of(OtherPrice::NotInForce, other)), "mapping 0 21000");
    }
    // Where they do not agree, the units have a cause of their own.
    let stale = of(OtherPrice::NotInForce, billed(BillState::Draft, "130"));
    assert_eq!(told(&bill(("130", 0), ("100", 0)), &stale), "draft_stale -30 0");
}

#[test]
fn nobody_is_asked_to_send_or_to_wait_for_what_will_not_come() {
    let step = |difference: &Difference, evidence: &Evidence<'_>| {
        let named = decide(difference, evidence);
        format!("{} {}", named.cause.unwrap().as_str(), named.next_step)
    };
    let unsent = || pushes(Pushes { unsent: lack("26"), ..Pushes::default() });
    let lacking = total("130", "104");
    assert!(
        step(&lacking, &unsent()).starts_with("not_pushed engineering: see why it was not sent and send it")
    );
    let stands = Evidence { stands: true, ..unsent() };
    assert!(step(&lacking, &stands).starts_with("not_pushed finance: a person let stand what Stripe shows"));
    let less = bill(("130", 0), ("120", 0));
    let draft = |state| with_bill(billed(state, "130"));
    assert!(step(&less, &draft(BillState::Draft)).starts_with("draft_stale nobody yet: Stripe brings"));
    assert!(
        step(&less, &draft(BillState::Kept)).starts_with("draft_stale finance: the draft stays as it is")
    );
}
