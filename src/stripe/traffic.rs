//! Traffic: whether a request goes out, when, and how often.
//!
//! In: the attempts of all requests of one client. Out: their answers, after rates, repetitions and the circuit
//! have had their say. It knows nothing of HTTP and nothing of what is asked.

use super::circuit::Circuit;
use super::endpoint::Endpoint;
use super::error::StripeError;
use super::limiter::Limiter;
use super::limits::{Limits, Peer, Rates, Waits};
use super::retry::{self, Again, Failure, Patience, Tokens};

/// What all requests of a client share.
pub(super) struct Traffic {
    limits: Limits,
    limiter: Limiter,
    tokens: Tokens,
    circuit: Circuit,
}

impl Traffic {
    pub(super) fn new(limits: Limits, peer: Peer) -> Self {
        let rates = match limits.waits {
            Waits::Taken => limits.pace.rates(peer),
            Waits::Skipped => Rates::default(),
        };
        Self {
            limits,
            limiter: Limiter::new(limits.pace.at_a_time(), rates),
            tokens: Tokens::new(),
            circuit: Circuit::default(),
        }
    }

    pub(super) fn at_a_time(&self) -> usize {
        self.limits.pace.at_a_time()
    }

    pub(super) fn has_stopped(&self) -> bool {
        self.circuit.check().is_err()
    }

    /// A whole request: attempts until one succeeds or it makes no sense to go on.
    pub(super) async fn request<T, A, F>(&self, patience: Patience, attempt: A) -> Result<T, StripeError>
    where
        A: FnMut() -> F,
        F: Future<Output = Result<T, Failure>>,
    {
        let result = retry::run(patience, &self.limits, &self.tokens, attempt).await;
        self.circuit.ended(&result);
        result
    }

    /// One attempt, when its turn has come. It may come after the key was refused to another, so that is asked last.
    pub(super) async fn attempt<T>(
        &self,
        endpoint: &Endpoint,
        sent: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.check()?;
        let _slot = self.limiter.admit(endpoint).await;
        self.check()?;
        let result = sent.await;
        match &result {
            Ok(_) => self.limiter.served(endpoint),
            Err(Failure { error: StripeError::RateLimited { reason, .. }, .. }) => {
                self.limiter.limited(endpoint, reason);
            }
            Err(Failure { error, .. }) if error.concerns_all() => self.circuit.halt(error),
            Err(_) => {}
        }
        result
    }

    /// Whether another repetition may be made, beyond those that `request` makes.
    pub(super) fn may_repeat(&self) -> bool {
        self.tokens.take()
    }

    fn check(&self) -> Result<(), Failure> {
        self.circuit.check().map_err(|error| Failure { error, again: Again::No })
    }
}
