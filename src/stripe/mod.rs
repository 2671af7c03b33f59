//! Stripe, as the job sees it: ask for prices, meters, subscriptions, invoices and totals; send a meter event.
//!
//! In: a base URL and a key. Out: values of `domain::invoice`, or a [`StripeError`]. Requests are async-stripe's
//! generated ones; they travel over our own `transport` and are decoded by our own `decode`, because both of async-stripe's
//! would lose what we need. The sandbox and the real API take the same way. It never decides what is sent, never follows
//! a redirect, and never shows the key.

mod catalog;
mod circuit;
mod decode;
mod endpoint;
mod error;
mod invoices;
mod lane;
mod limiter;
mod limits;
mod meters;
mod paging;
mod retry;
mod traffic;
mod transport;
mod what_if;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use secrecy::SecretString;
use stripe_client_core::{RequestBuilder, StripeMethod};

use crate::domain::invoice::Account;

use decode::{Node, Problem, error_body};
use retry::{Again, Failure, Patience};
use traffic::Traffic;
use transport::{Answer, Call, Head, Refusal, Transport};

pub use error::{Hints, RateLimit, StripeError};
pub use limits::{Limits, Pace, Waits};
pub use meters::{Delivery, MeterEvent, Total};
pub use transport::{Exchange, STRIPE_VERSION};
pub use what_if::{ITEMS_AT_MOST, Replaced};

/// The largest page that Stripe gives; the default of 10 would cost ten times the requests.
const PAGE: i64 = 100;

/// What Stripe answers for an id that it does not have.
const MISSING: &str = "resource_missing";

/// Whom to talk to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Checked, and ending in `/`: `https://api.stripe.com/`.
    pub api_base: String,
    pub api_key: SecretString,
}

/// What another program holds, or Stripe is busy with.
const LOCKED: &str = "lock_timeout";

/// A connection to one account. Clones share its pool, its pace, and what has ended it: after a refused key, or many
/// requests that failed alike, nothing more is sent.
#[derive(Clone)]
pub struct Stripe {
    transport: Arc<Transport>,
    traffic: Arc<Traffic>,
}

impl fmt::Debug for Stripe {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.transport.fmt(out)
    }
}

impl Stripe {
    pub fn new(target: Target) -> Result<Self, StripeError> {
        Self::with_limits(target, Limits::default())
    }

    pub fn with_limits(target: Target, limits: Limits) -> Result<Self, StripeError> {
        Ok(Self::over(Transport::new(target.api_base, target.api_key, limits)?, limits))
    }

    /// Over another way than a socket, to whatever answers there.
    pub fn through(exchange: Exchange, api_key: SecretString, limits: Limits) -> Result<Self, StripeError> {
        Ok(Self::over(Transport::through(exchange, api_key, limits)?, limits))
    }

    fn over(transport: Transport, limits: Limits) -> Self {
        let traffic = Arc::new(Traffic::new(limits, transport.peer()));
        Self { transport: Arc::new(transport), traffic }
    }

    /// How many requests are under way at a time: more that are asked for wait.
    pub fn at_a_time(&self) -> usize {
        self.traffic.at_a_time()
    }

    /// Whether it asks nothing any more, because the key was refused or all fails alike.
    pub fn has_stopped(&self) -> bool {
        self.traffic.has_stopped()
    }

    /// The account of the key. Its mode is not in the answer: it is a part of the key.
    pub async fn account(&self) -> Result<Account, StripeError> {
        // async-stripe has this one only in a crate of 100 other requests.
        let request = RequestBuilder::new(StripeMethod::Get, "/account");
        let id = self.read(request, |node, _| node.fields()?.get("id").text()).await?;
        Ok(Account { id, livemode: self.transport.is_live() })
    }

    /// Asks until an answer is understood. Previews are asked this way too: they are a POST, but they change nothing, and
    /// an Idempotency-Key would bring back an old one.
    async fn read<T>(
        &self,
        request: RequestBuilder,
        decode: impl Fn(&Node<'_>, &str) -> Result<T, Problem>,
    ) -> Result<T, StripeError> {
        let call = self.transport.call(request, None)?;
        let attempt = async || {
            let answer = self.attempt(&call).await?;
            let read = Node::root(&answer.body).and_then(|node| decode(&node, &answer.request_id));
            read.map_err(|problem| self.undecodable(&problem, &answer))
        };
        self.traffic.request(Patience::Read, attempt).await
    }

    /// Sends something that must happen once at most; the key makes a repetition the same request. Beside the answer stands
    /// whether an earlier attempt may have arrived: then a refusal proves nothing.
    async fn send(
        &self,
        request: RequestBuilder,
        idempotency_key: &str,
        further_key: &str,
    ) -> Result<(Result<Answer, StripeError>, bool), StripeError> {
        let call = self.transport.call(request, Some(idempotency_key))?;
        let in_doubt = AtomicBool::new(false);
        let attempt = async |call: &Call| {
            let result = self.attempt(call).await;
            let is_lost = |failure: &Failure| matches!(failure.error, StripeError::Unavailable { .. });
            in_doubt.fetch_or(result.as_ref().is_err_and(is_lost), Ordering::Relaxed);
            result
        };
        let sent = self.traffic.request(Patience::Send, async || attempt(&call).await).await;
        let sent = match sent {
            // Stripe stores a trouble of its own under the key and tells it again for a day, without doing anything. Under
            // another key it does look; should the first have been taken after all, the event's own identifier, which stays
            // the same, makes the second one a duplicate.
            Err(error) if error.is_stored_trouble() && self.traffic.may_repeat() => {
                let call = call.under(further_key)?;
                self.traffic.request(Patience::Send, async || attempt(&call).await).await
            }
            sent => sent,
        };
        Ok((sent, in_doubt.into_inner()))
    }

    async fn attempt(&self, call: &Call) -> Result<Answer, Failure> {
        let sent = self.transport.attempt(call, |refusal| self.refused(refusal));
        self.traffic.attempt(call.endpoint(), sent).await
    }

    fn refused(&self, refusal: Refusal<'_>) -> StripeError {
        let Head { status, request_id, hints } = refusal.head;
        let body = error_body(refusal.body);
        let message = if body.message.is_empty() {
            format!("status {status}, without an error of Stripe's own")
        } else {
            self.transport.shown(&body.message)
        };
        match status {
            401 | 403 => StripeError::Unauthorized { status, message, request_id, hints },
            429 => {
                let word = self.transport.shown_word(refusal.limited_reason);
                let reason =
                    if body.code == LOCKED { RateLimit::ResourceSpecific } else { RateLimit::of(word) };
                StripeError::RateLimited { reason, message, request_id, hints }
            }
            400..=499 => {
                let code = self.transport.shown_word(&body.code);
                StripeError::Refused { status, code, message, request_id, hints }
            }
            300..=399 => {
                let why =
                    "it answers with a redirect, which is never followed; check the base URL of the API";
                StripeError::Unavailable { status: Some(status), why: why.to_owned(), request_id, hints }
            }
            _ => StripeError::Unavailable { status: Some(status), why: message, request_id, hints },
        }
    }

    fn undecodable(&self, problem: &Problem, answer: &Answer) -> Failure {
        let again = match problem {
            Problem::NotJson(_) => Again::Yes { after: None },
            Problem::Field { .. } => Again::No,
        };
        let what = self.transport.shown(&problem.to_string());
        let error = StripeError::Undecodable { what, request_id: answer.request_id.clone() };
        Failure { error, again }
    }
}

/// An id as one segment of a path, whatever is in it: old plans have ids that people made up.
fn segment(id: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    id.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_never_leaves_its_place_in_a_path() {
        assert_eq!(segment("price_1-A"), "price_1-A");
        assert_eq!(segment("gold plan/../x?y#z%"), "gold%20plan%2F%2E%2E%2Fx%3Fy%23z%25");
    }

    #[test]
    fn the_futures_can_run_on_any_thread() {
        fn sendable<T: Send>(_: T) {}
        let api_key = SecretString::from("sk_test_1");
        let stripe = Stripe::new(Target { api_base: "http://127.0.0.1:1/".to_owned(), api_key }).unwrap();
        sendable(stripe.account());
        sendable(stripe.meters());
        sendable(stripe.preview("sub_1"));
    }
}
