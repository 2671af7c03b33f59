//! Whatever the evidence, explained and unexplained are the difference.

use proptest::prelude::*;

use super::*;

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
    let states = [BillState::Preview, BillState::Draft, BillState::Final, BillState::Absent];
    let item = (any_units(), -9_999i128..9_999).prop_map(|(quantity, amount)| Item {
        id: String::new(),
        quantity,
        amount,
    });
    let total = (any_units(), 0..Cause::ALL.len(), any_units()).prop_map(|(quantity, cause, explained)| {
        TotalSeen { quantity, cause: Some(Cause::ALL[cause]), explained, ids: Vec::new() }
    });
    let parts = (
        prop::sample::select(states.to_vec()),
        prop::option::of(total),
        prop::collection::vec(any_units(), 0..3),
        any::<bool>(),
        prop::collection::vec(item, 0..3),
        prop::option::of(-9_999i128..9_999),
    );
    parts.prop_map(|(state, total, segments, is_gauge, items, priced)| Bill {
        may_be_late: true,
        state,
        total,
        segments,
        is_gauge,
        items,
        priced,
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
    fn explained_and_unexplained_are_the_difference_and_neither_turns_its_sign(
        (ledger, stripe) in (any_units(), any_units()),
        (ledger_amount, stripe_amount) in (-9_999i128..9_999, -9_999i128..9_999),
        lacks in prop::array::uniform6(any_lack()),
        bill in prop::option::of(any_bill()),
        look in prop::option::of(any_look()),
        (trial, is_charged) in any::<(bool, bool)>(),
    ) {
        let [sent, dropped, duplicated, late, corrected, unsent] = lacks;
        let pushes = Pushes { sent, dropped, duplicated, late, corrected, unsent, arrived: Vec::new() };
        let rates = rates(&["130", "20"]);
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
        let (quantity, amount) = (difference.quantity.unwrap(), difference.amount.unwrap());
        let explained = named.explained_quantity.unwrap();
        let unexplained = quantity.checked_sub(explained).unwrap();
        prop_assert_eq!(explained.checked_add(unexplained).unwrap(), quantity);
        prop_assert!(explained.magnitude() <= quantity.magnitude());
        prop_assert!(explained.is_zero() || explained.is_negative() == quantity.is_negative());
        let money = named.explained_amount.unwrap();
        prop_assert!(money.abs() <= amount.abs() && (money == 0 || money.signum() == amount.signum()));
        if named.cause.is_none() {
            prop_assert!(explained.is_zero() && money == 0);
        }
    }
}
