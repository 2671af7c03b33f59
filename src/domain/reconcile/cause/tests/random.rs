//! Whatever the evidence, what is explained and what is not come to the difference.

use proptest::prelude::*;

use super::*;
use crate::domain::reconcile::OtherPrice;

fn any_units() -> impl Strategy<Value = Quantity> {
    (-3000i64..3000).prop_map(|tenths| {
        let sign = if tenths < 0 { "-" } else { "" };
        units(&format!("{sign}{}.{}", tenths.abs() / 10, tenths.abs() % 10))
    })
}

fn any_lack() -> impl Strategy<Value = Lack> {
    any_units().prop_map(|units| Lack { units, ids: Vec::new() })
}

fn any_bill() -> impl Strategy<Value = Bill> {
    let states = [BillState::Preview, BillState::Draft, BillState::Kept, BillState::Final, BillState::Absent];
    let item = (any_units(), -9_999i128..9_999).prop_map(|(quantity, amount)| Item {
        id: String::new(),
        quantity,
        amount,
    });
    let total = (any_units(), 0..Cause::ALL.len(), any_units()).prop_map(|(quantity, cause, explained)| {
        TotalSeen { quantity, cause: Some(Cause::ALL[cause]), explained, ids: Proofs::default() }
    });
    let parts = (
        prop::sample::select(states.to_vec()),
        prop::option::of(total),
        prop::collection::vec(any_units(), 0..3),
        any::<bool>(),
        prop::collection::vec(item, 0..3),
        prop::option::of(-9_999i128..9_999),
        prop::sample::select(vec![OtherPrice::No, OtherPrice::NoLine, OtherPrice::NotInForce]),
    );
    parts.prop_map(|(state, total, segments, is_gauge, items, priced, price)| Bill {
        may_be_late: true,
        state,
        total,
        segments,
        is_gauge,
        items,
        priced,
        price,
    })
}

fn any_look() -> impl Strategy<Value = Look> {
    let record = (-40i64..70, 0i64..24, -30i64..200, any::<bool>());
    let records = prop::collection::vec(record, 0..12);
    let days = prop::collection::vec((1i64..31, 0i64..300), 0..6);
    (records, days, 0i64..300, 0i64..300).prop_map(|(records, days, before, after)| {
        let text = |(index, (day, hour, quantity, is_late)): (usize, (i64, i64, i64, bool))| {
            let late = if is_late { " 2026-11-03T00:00:00Z" } else { "" };
            format!("{day}.{hour} {quantity} r{index}{late}")
        };
        let records: Vec<String> = records.into_iter().enumerate().map(text).collect();
        let days: Vec<String> = days.into_iter().map(|(day, quantity)| format!("{day} {quantity}")).collect();
        let [before, after] = [before, after].map(|total| total.to_string());
        look(&records, &days, [&before, &after])
    })
}

proptest! {
    #[test]
    fn explained_units_never_turn_their_sign_and_their_money_does_not_depend_on_the_bill(
        (ledger, stripe) in (any_units(), any_units()),
        (ledger_amount, stripe_amount, other_amount) in (-9_999i128..9_999, -9_999i128..9_999, -9_999i128..9_999),
        lacks in prop::array::uniform6(any_lack()),
        bill in prop::option::of(any_bill()),
        look in prop::option::of(any_look()),
        (trial, is_charged) in any::<(bool, bool)>(),
    ) {
        let [sent, dropped, duplicated, late, corrected, unsent] = lacks;
        let pushes = Pushes { sent, dropped, duplicated, late, corrected, unsent, arrived: Vec::new() };
        let rates = rates(&["130"]);
        let evidence = Evidence {
            trial, pushes, bill, look: look.as_ref(), rates: is_charged.then_some(&rates), ..Evidence::default()
        };
        let difference = Difference {
            ledger,
            stripe,
            quantity: stripe.checked_sub(ledger).ok(),
            ledger_amount: Some(ledger_amount),
            amount: Some(stripe_amount - ledger_amount),
        };
        let named = decide(&difference, &evidence);
        let quantity = difference.quantity.unwrap();
        let explained = named.explained_quantity.unwrap();
        let unexplained = quantity.checked_sub(explained).unwrap();
        prop_assert_eq!(explained.checked_add(unexplained).unwrap(), quantity);
        prop_assert!(explained.magnitude() <= quantity.magnitude());
        prop_assert!(explained.is_zero() || explained.is_negative() == quantity.is_negative());
        let money = named.explained_amount.unwrap();
        if named.cause.is_none() {
            prop_assert!(explained.is_zero() && money == 0);
        }
        // What Stripe charges for the rest does not change the money of units that are explained.
        let charged = |stripe_amount: i128| Difference { amount: Some(stripe_amount - ledger_amount), ..difference };
        let other = decide(&charged(other_amount), &evidence);
        if !quantity.is_zero() && other.cause == named.cause && ![Some(Cause::Trial), Some(Cause::Mapping)].contains(&named.cause) {
            prop_assert_eq!(other.explained_amount, Some(money));
        }
    }
}
