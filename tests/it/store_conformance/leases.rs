//! The lease: one holder at a time, a fence that only grows, no write without a valid term.
//!
//! In: takers that are other processes as far as the database can see: each has a store of its own. Out: terms and
//! refusals. A lease that has expired is one with a time to live of zero, so no case waits for a clock to decide it.

use std::time::Duration;

use billrecon::domain::audit::AuditEvent;
use billrecon::domain::period::Period;
use billrecon::store::lease::Term;
use billrecon::store::{Store, StoreError};
use tokio::task::JoinSet;

use super::{HOUR, Side, now, on_both};

const AT_ONCE: Duration = Duration::ZERO;
/// A case that takes longer hangs.
const A_MINUTE: Duration = Duration::from_mins(1);

fn is_lost<T>(result: &Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::LeaseLost))
}

/// One taker's attempt, over connections of its own.
async fn attempt(side: Side, name: String) -> Result<Term, StoreError> {
    let store = side.open().await;
    let result = store.books().take_lease(&name, HOUR).await;
    store.close().await;
    result
}

/// The winner of several takers at once; all others are told who it is.
async fn only_winner(side: &Side) -> Term {
    let mut takers = JoinSet::new();
    for number in 0..8 {
        takers.spawn(attempt(side.clone(), format!("taker-{number}")));
    }
    let (mut won, mut told) = (Vec::new(), Vec::new());
    for result in takers.join_all().await {
        match result {
            Ok(term) => won.push(term),
            Err(StoreError::LeaseHeld(holder)) => told.push((holder.holder, holder.fence)),
            Err(other) => panic!("{other}"),
        }
    }
    assert_eq!((won.len(), told.len()), (1, 7), "{won:?} {told:?}");
    let term = won.remove(0);
    assert_eq!(told, vec![(term.holder.clone(), term.fence); 7]);
    term
}

#[test]
fn one_of_many_takers_wins_and_the_others_are_told_its_name() {
    on_both(async |store, side| {
        let first = only_winner(&side).await;
        assert_eq!((first.fence, &first.taken_over_from), (1, &None));
        store.books().release_lease(&first).await.unwrap();
        let second = only_winner(&side).await;
        assert_eq!((second.fence, &second.taken_over_from), (2, &None));
        store.books().release_lease(&second).await.unwrap();
        let expired = store.books().take_lease("expired", AT_ONCE).await.unwrap();
        let third = only_winner(&side).await;
        assert_eq!((third.fence, third.taken_over_from), (expired.fence + 1, Some("expired".to_owned())));
    });
}

#[test]
fn the_fence_grows_with_every_term_also_for_the_same_holder() {
    on_both(async |store, _| {
        let books = store.books();
        for fence in 1..=3 {
            let term = books.take_lease("same", AT_ONCE).await.unwrap();
            let taken_over_from = (fence > 1).then(|| "same".to_owned());
            assert_eq!(term, Term { holder: "same".to_owned(), fence, taken_over_from });
        }
        let term = books.take_lease("same", HOUR).await.unwrap();
        assert!(matches!(books.take_lease("same", HOUR).await, Err(StoreError::LeaseHeld(_))));
        books.release_lease(&term).await.unwrap();
        assert_eq!(books.take_lease("same", HOUR).await.unwrap().fence, 5);
    });
}

#[test]
fn an_expired_lease_is_taken_over_and_its_former_holder_is_named() {
    on_both(async |store, _| {
        store.books().take_lease("former", AT_ONCE).await.unwrap();
        let term = store.books().take_lease("next", HOUR).await.unwrap();
        assert_eq!((term.fence, term.taken_over_from), (2, Some("former".to_owned())));
    });
}

#[test]
fn a_released_lease_is_free_at_once_and_nobody_is_named() {
    on_both(async |store, _| {
        let books = store.books();
        let first = books.take_lease("first", HOUR).await.unwrap();
        books.release_lease(&first).await.unwrap();
        assert_eq!(books.snapshot().await.unwrap().lease_holder().await.unwrap(), None);
        let second = books.take_lease("second", HOUR).await.unwrap();
        assert_eq!((second.fence, second.taken_over_from.as_ref()), (2, None));
        // Who gives back late is told so, and gives back nothing of the other's.
        assert!(matches!(books.release_lease(&first).await, Err(StoreError::LeaseLost)));
        let holder = books.snapshot().await.unwrap().lease_holder().await.unwrap().unwrap();
        assert_eq!((holder.holder.as_str(), holder.fence), ("second", 2));
    });
}

#[test]
fn the_holder_is_shown_with_what_is_left_of_its_term() {
    on_both(async |store, _| {
        let books = store.books();
        assert_eq!(books.snapshot().await.unwrap().lease_holder().await.unwrap(), None);
        books.take_lease("host/1", HOUR).await.unwrap();
        let holder = books.snapshot().await.unwrap().lease_holder().await.unwrap().unwrap();
        assert_eq!((holder.holder.as_str(), holder.fence), ("host/1", 1));
        // Each column asks the database's clock anew, so the sum is an hour to within the pauses between them.
        let hour = i64::try_from(HOUR.as_millis()).unwrap();
        assert!((holder.held_ms + holder.expires_in_ms - hour).abs() < 60_000, "{holder:?}");
        assert!((holder.held_ms - holder.heartbeat_age_ms).abs() < 60_000, "{holder:?}");
    });
}

async fn assert_powerless(store: &Store, term: &Term) {
    assert!(is_lost(&store.books().write(term).await), "it still writes: {term:?}");
    assert!(is_lost(&store.books().prove(term).await), "it is still proved: {term:?}");
}

#[test]
fn a_term_that_another_has_ended_neither_writes_nor_is_renewed() {
    on_both(async |store, _| {
        let books = store.books();
        // The same name on purpose: a restarted process must not go on with the term of its former life.
        let old = books.take_lease("host/1", AT_ONCE).await.unwrap();
        let new = books.take_lease("host/1", HOUR).await.unwrap();
        assert_powerless(&store, &old).await;
        assert!(is_lost(&books.renew_lease(&old, HOUR).await));
        let forged = [Term { fence: 3, ..new.clone() }, Term { holder: "host/2".to_owned(), ..new.clone() }];
        for term in &forged {
            assert_powerless(&store, term).await;
            assert!(is_lost(&books.renew_lease(term, HOUR).await));
        }
        books.write(&new).await.unwrap().commit().await.unwrap();
        books.prove(&new).await.unwrap();
    });
}

#[test]
fn an_expired_term_writes_nothing_even_if_nobody_took_it_and_can_be_renewed() {
    on_both(async |store, _| {
        let term = store.books().take_lease("host/1", AT_ONCE).await.unwrap();
        assert_powerless(&store, &term).await;
        store.books().renew_lease(&term, HOUR).await.unwrap();
        store.books().prove(&term).await.unwrap();
        assert!(matches!(store.books().take_lease("host/2", HOUR).await, Err(StoreError::LeaseHeld(_))));
    });
}

#[test]
fn a_released_term_writes_nothing_and_cannot_be_renewed() {
    on_both(async |store, _| {
        let term = store.books().take_lease("host/1", HOUR).await.unwrap();
        store.books().release_lease(&term).await.unwrap();
        assert_powerless(&store, &term).await;
        assert!(is_lost(&store.books().renew_lease(&term, HOUR).await));
    });
}

/// A write transaction under a term that soon expires. A machine that is slow right here only makes it ask again.
async fn write_of_a_short_term(store: &Store) -> (Term, billrecon::store::books::BooksWrite) {
    loop {
        let term = store.books().take_lease("slow", Duration::from_millis(500)).await.unwrap();
        if let Ok(write) = store.books().write(&term).await {
            return (term, write);
        }
    }
}

/// Takes the lease as soon as it can be had; the number of audit rows that the new holder sees.
async fn take_over(side: Side) -> usize {
    let store = side.open().await;
    loop {
        match store.books().take_lease("successor", HOUR).await {
            Ok(_) => break,
            Err(StoreError::LeaseHeld(_)) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(other) => panic!("{other}"),
        }
    }
    let rows = store.books().snapshot().await.unwrap().audit_log().await.unwrap().len();
    store.close().await;
    rows
}

async fn until_expired(store: &Store) {
    while store.books().snapshot().await.unwrap().lease_holder().await.unwrap().unwrap().expires_in_ms > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[test]
fn a_write_that_began_in_its_term_is_finished_before_another_can_take_over() {
    on_both(async |store, side| {
        let (term, mut write) = write_of_a_short_term(&store).await;
        let event = AuditEvent::RunAbandoned { period: Period::parse("2026-10").unwrap() };
        write.audit(&event, "r-1", now()).await.unwrap();
        let mut successor = tokio::spawn(take_over(side));
        // By the database's own clock the term is over, and the write is still open.
        tokio::time::timeout(A_MINUTE, until_expired(&store)).await.unwrap();
        // Time in which a successor that can overtake does so; a right one waits however long this is.
        let overtaken = tokio::time::timeout(Duration::from_millis(300), &mut successor).await;
        assert!(overtaken.is_err(), "the successor saw {overtaken:?} rows");
        write.commit().await.unwrap();
        let seen = tokio::time::timeout(A_MINUTE, successor).await.unwrap();
        assert_eq!(seen.unwrap(), 1, "the successor began before the write was there");
        assert_powerless(&store, &term).await;
    });
}
