//! What is sent to Stripe and to whom: the account pin, intents, windows seen in time.
//!
//! In: intents at the edges of what they can hold. Out: the same, to the digit; by SQL on the side the database has to
//! refuse every other hand.

use billrecon::domain::intent::{Intent, IntentState, PushKey};
use billrecon::domain::invoice::Account;
use billrecon::domain::number::Quantity;
use billrecon::domain::period::{Period, Window};
use billrecon::store::Store;
use billrecon::store::lease::Term;

use super::{at, now, on_both, on_both_and_in_turkish, term, window};

fn october() -> Window {
    window("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z")
}

fn intent(tenant: &str, sequence: i64, quantity: &str) -> Intent {
    Intent {
        key: PushKey {
            account_id: "acct_sandbox".to_owned(),
            tenant_id: tenant.to_owned(),
            customer_id: format!("cus_{tenant}"),
            meter: "calls".to_owned(),
            segment: window("2026-10-01T00:00:00Z", "2026-10-15T12:00:00.123456789Z"),
        },
        sequence,
        identifier: format!("br_{tenant}_{sequence}"),
        quantity: Quantity::parse(quantity).unwrap(),
        records: 3,
        timestamp: at("2026-10-10T00:00:00Z"),
        state: IntentState::Planned,
        attempted_at: None,
        reason: String::new(),
        period: Period::parse("2026-10").unwrap(),
    }
}

async fn add(store: &Store, term: &Term, intents: &[Intent]) {
    let mut write = store.books().write(term).await.unwrap();
    write.add_intents(intents, "r-1").await.unwrap();
    write.commit().await.unwrap();
}

async fn kept(store: &Store) -> Vec<Intent> {
    store.books().snapshot().await.unwrap().intents(october()).await.unwrap()
}

#[test]
fn an_account_is_pinned_once_and_for_good() {
    on_both(async |store, _| {
        let term = term(&store).await;
        assert_eq!(store.books().snapshot().await.unwrap().pinned_account().await.unwrap(), None);
        let first = Account { id: "acct_1Live".to_owned(), livemode: true };
        let mut write = store.books().write(&term).await.unwrap();
        write.pin_account(&first, now()).await.unwrap();
        write.commit().await.unwrap();
        let second = Account { id: "acct_sandbox".to_owned(), livemode: false };
        let mut write = store.books().write(&term).await.unwrap();
        assert!(write.pin_account(&second, now()).await.is_err());
        drop(write);
        assert_eq!(store.books().snapshot().await.unwrap().pinned_account().await.unwrap(), Some(first));
    });
}

#[test]
fn a_meter_has_figures_once_an_intent_of_it_is_planned() {
    on_both(async |store, _| {
        let term = term(&store).await;
        add(&store, &term, &[intent("acme", 1, "1")]).await;
        let mut view = store.books().snapshot().await.unwrap();
        assert!(view.holds_figures_of("calls").await.unwrap());
        assert!(!view.holds_figures_of("storage").await.unwrap());
    });
}

#[test]
fn intents_come_back_to_the_twelfth_place_and_in_the_order_of_their_bytes() {
    on_both_and_in_turkish(async |store, _| {
        let term = term(&store).await;
        let largest = Intent {
            records: i64::MAX as u64,
            attempted_at: Some(at("2026-10-10T00:00:00.123456789Z")),
            reason: "Stripe: \"no\"".to_owned(),
            ..intent("ırmak", 1, "999999999999999.999999999999")
        };
        let smallest = intent("Zeytin", 2, "0.000000000001");
        let first = intent("Zeytin", 1, "130");
        add(&store, &term, &[largest.clone(), smallest.clone(), first.clone()]).await;
        assert_eq!(kept(&store).await, [first, smallest, largest]);
        let november = window("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
        assert!(store.books().snapshot().await.unwrap().intents(november).await.unwrap().is_empty());
    });
}

#[test]
fn an_intent_moves_through_every_state_and_keeps_what_stripe_is_asked_for() {
    on_both(async |store, _| {
        let term = term(&store).await;
        let planned = intent("acme", 1, "0.000000000001");
        add(&store, &term, std::slice::from_ref(&planned)).await;
        for state in IntentState::ALL {
            let moved = Intent {
                state,
                attempted_at: Some(at("2026-10-10T00:00:01Z")),
                reason: format!("it is {}", state.as_str()),
                ..planned.clone()
            };
            let mut write = store.books().write(&term).await.unwrap();
            // Only state, attempt and reason move; another quantity would be another question to Stripe.
            let other = Intent { quantity: Quantity::parse("7").unwrap(), records: 9, ..moved.clone() };
            write.update_intents(&[other]).await.unwrap();
            write.commit().await.unwrap();
            assert_eq!(kept(&store).await, [moved]);
        }
    });
}

#[test]
fn an_update_of_an_intent_that_is_not_there_is_an_error() {
    on_both(async |store, _| {
        let term = term(&store).await;
        let mut write = store.books().write(&term).await.unwrap();
        assert!(write.update_intents(&[intent("acme", 1, "1")]).await.is_err());
    });
}

#[test]
fn an_identifier_and_a_place_in_a_sequence_are_taken_once() {
    on_both(async |store, _| {
        let term = term(&store).await;
        let first = intent("acme", 1, "1");
        add(&store, &term, std::slice::from_ref(&first)).await;
        let same_identifier = Intent { sequence: 2, ..first.clone() };
        let same_place = Intent { identifier: "another".to_owned(), ..first.clone() };
        for second in [same_identifier, same_place] {
            let mut write = store.books().write(&term).await.unwrap();
            assert!(write.add_intents(&[second], "r-2").await.is_err());
        }
        assert_eq!(kept(&store).await, [first]);
    });
}

#[test]
fn the_database_itself_refuses_to_rewrite_or_to_lose_an_intent() {
    on_both(async |store, side| {
        let term = term(&store).await;
        let first = intent("acme", 1, "130.5");
        add(&store, &term, std::slice::from_ref(&first)).await;
        let quantity = match side.engine {
            crate::support::Engine::Sqlite => ["quantity_floor = 1", "quantity_rest = 1"].as_slice(),
            crate::support::Engine::Postgres => ["quantity = 1"].as_slice(),
        };
        let frozen = [
            "account_id = 'x'",
            "tenant_id = 'x'",
            "customer_id = 'x'",
            "meter = 'x'",
            "segment_start = 1",
            "segment_end = 1",
            "sequence = 9",
            "identifier = 'x'",
            "records = 1",
            "event_at = 1",
        ];
        for change in frozen.iter().chain(quantity) {
            let refusal = side.execute(&format!("UPDATE intents SET {change}")).await.unwrap_err();
            assert!(refusal.contains("frozen"), "{change}: {refusal}");
        }
        let refusal = side.execute("DELETE FROM intents").await.unwrap_err();
        assert!(refusal.contains("never removed"), "{refusal}");
        if side.engine == crate::support::Engine::Postgres {
            assert!(side.execute("TRUNCATE intents").await.is_err());
        }
        assert_eq!(kept(&store).await, [first]);
    });
}

#[test]
fn a_window_seen_in_time_is_known_by_the_run_that_saw_it_first() {
    on_both(async |store, side| {
        let term = term(&store).await;
        let october = window("2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z");
        let november = window("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z");
        let seen = [("acme".to_owned(), october), ("beta".to_owned(), november)];
        for run_id in ["r-1", "r-2"] {
            let mut write = store.books().write(&term).await.unwrap();
            write.add_observed_windows(&seen, run_id).await.unwrap();
            write.commit().await.unwrap();
        }
        assert_eq!(side.texts("SELECT DISTINCT run_id FROM observed_windows").await, ["r-1"]);
        // Half-open: what only touches the range is not in it.
        for (range, expected) in [
            (october, vec![("acme".to_owned(), october.start)]),
            (november, vec![("beta".to_owned(), november.start)]),
            (window("2026-12-01T00:00:00Z", "2027-01-01T00:00:00Z"), vec![]),
        ] {
            let found = store.books().snapshot().await.unwrap().observed_windows(range).await.unwrap();
            assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
        }
    });
}

#[test]
fn nothing_of_it_is_written_with_a_term_that_is_over() {
    on_both(async |store, _| {
        let over = term(&store).await;
        let begun = store.books().write(&over).await.unwrap();
        drop(begun);
        store.books().release_lease(&over).await.unwrap();
        // The only way to pin, to add or to settle leads through a write that proves its term.
        assert!(store.books().write(&over).await.is_err());
        let next = term(&store).await;
        assert!(store.books().write(&over).await.is_err(), "another term makes no old one good");
        add(&store, &next, &[intent("acme", 1, "1")]).await;
        assert_eq!(kept(&store).await.len(), 1);
    });
}

#[test]
fn what_was_not_committed_is_not_there() {
    on_both(async |store, _| {
        let term = term(&store).await;
        let mut write = store.books().write(&term).await.unwrap();
        write.add_intents(&[intent("acme", 1, "1")], "r-1").await.unwrap();
        write.pin_account(&Account { id: "acct_1".to_owned(), livemode: false }, now()).await.unwrap();
        drop(write);
        assert!(kept(&store).await.is_empty());
        assert_eq!(store.books().snapshot().await.unwrap().pinned_account().await.unwrap(), None);
    });
}
