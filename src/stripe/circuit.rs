//! When to ask no more: a refused key, or one trouble again and again.
//!
//! In: how each request ended. Out: whether the next may be sent, else the error that it gets instead. What it has once
//! closed stays closed: a wake begins with a new client. It never sends and never waits.

use std::sync::{Mutex, PoisonError};

use super::error::StripeError;

/// So many tenants failing alike are no coincidence.
const ALIKE: u32 = 20;

#[derive(Default)]
pub(super) struct Circuit {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What every further request is told.
    stopped: Option<StripeError>,
    trouble: Option<Trouble>,
    in_a_row: u32,
}

/// Troubles of one kind are alike.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Trouble {
    NoAnswer,
    /// The hundreds of the status.
    Answered(u16),
}

impl Circuit {
    pub(super) fn check(&self) -> Result<(), StripeError> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.stopped.clone().map_or(Ok(()), Err)
    }

    /// The key was refused: the first such answer is everybody's.
    pub(super) fn halt(&self, error: &StripeError) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.stopped.get_or_insert_with(|| error.clone());
    }

    /// A request has ended, after its own repetitions.
    pub(super) fn ended<T>(&self, result: &Result<T, StripeError>) {
        let trouble = match result {
            // What Stripe stored earlier says nothing about now.
            Err(error) if error.is_stored_trouble() => return,
            Err(StripeError::Unavailable { status, .. }) => {
                Some(status.map_or(Trouble::NoAnswer, |status| Trouble::Answered(status / 100)))
            }
            _ => None,
        };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = trouble.is_some() && trouble == state.trouble;
        state.in_a_row = if goes_on { state.in_a_row + 1 } else { u32::from(trouble.is_some()) };
        state.trouble = trouble;
        if let (Err(last), ALIKE, None) = (result, state.in_a_row, &state.stopped) {
            let open = StripeError::CircuitOpen { failures: ALIKE, last: Box::new(last.clone()) };
            tracing::error!("{open}");
            state.stopped = Some(open);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::error::Hints;
    use super::*;

    fn trouble(status: Option<u16>) -> Result<(), StripeError> {
        let (why, request_id) = ("planted".to_owned(), String::new());
        Err(StripeError::Unavailable { status, why, request_id, hints: Hints::default() })
    }

    #[test]
    fn twenty_alike_in_a_row_open_the_circuit_for_good() {
        for status in [None, Some(500), Some(302)] {
            let circuit = Circuit::default();
            for _ in 1..ALIKE {
                circuit.ended(&trouble(status));
                assert_eq!(circuit.check(), Ok(()));
            }
            circuit.ended(&trouble(status));
            let open = circuit.check().unwrap_err();
            assert!(matches!(open, StripeError::CircuitOpen { failures: ALIKE, .. }), "{open:?}");
            circuit.ended(&Ok(()));
            assert_eq!(circuit.check(), Err(open));
        }
    }

    #[test]
    fn a_success_or_another_trouble_begins_the_row_anew() {
        let limited = StripeError::Configuration("another".to_owned());
        for between in [Ok(()), Err(limited), trouble(None)] {
            let circuit = Circuit::default();
            for _ in 1..ALIKE {
                circuit.ended(&trouble(Some(503)));
            }
            circuit.ended(&between);
            for _ in 1..ALIKE {
                circuit.ended(&trouble(Some(500)));
                assert_eq!(circuit.check(), Ok(()), "{between:?}");
            }
            circuit.ended(&trouble(Some(502)));
            assert!(circuit.check().is_err());
        }
    }
}
