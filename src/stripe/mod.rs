//! Stripe, as the job sees it: ask for prices, meters, subscriptions, invoices and totals; send a meter event.
//!
//! In: a base URL and a key. Out: values of `domain::invoice`, or a [`StripeError`]. Requests are async-stripe's
//! generated ones; they travel over our own `transport` and are decoded by our own `decode`, because both of async-stripe's
//! would lose what we need. The sandbox and the real API take the same way. It never decides what is sent, never follows
//! a redirect, and never shows the key.

mod catalog;
mod decode;
mod error;
mod invoices;
mod meters;
mod paging;
mod retry;
mod transport;
mod what_if;

use std::fmt;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use stripe_client_core::{RequestBuilder, StripeMethod};

use crate::domain::invoice::Account;

use decode::{Node, Problem, error_body};
use retry::{Again, Failure, Patience};
use transport::{Answer, Refusal, Transport};

pub use error::StripeError;
pub use meters::{Delivery, MeterEvent};
pub use transport::{Exchange, Limits, Waits};
pub use what_if::{ITEMS_AT_MOST, Replaced};

/// The largest page that Stripe gives; the default of 10 would cost ten times the requests.
const PAGE: i64 = 100;

/// Whom to talk to.
#[derive(Clone, Debug)]
pub struct Target {
    /// Checked, and ending in `/`: `https://api.stripe.com/`.
    pub api_base: String,
    pub api_key: SecretString,
}

/// A connection to one account. Clones share its pool.
#[derive(Clone)]
pub struct Stripe {
    transport: Arc<Transport>,
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
        let transport = Transport::new(target.api_base, target.api_key, limits)?;
        Ok(Self { transport: Arc::new(transport) })
    }

    /// Over another way than a socket, to whatever answers there.
    pub fn through(exchange: Exchange, api_key: SecretString, limits: Limits) -> Result<Self, StripeError> {
        let transport = Transport::through(exchange, api_key, limits)?;
        Ok(Self { transport: Arc::new(transport) })
    }

    /// The account of the key. Its mode is not in the answer: it is a part of the key.
    pub async fn account(&self) -> Result<Account, StripeError> {
        // async-stripe has this one only in a crate of 100 other requests.
        let request = RequestBuilder::new(StripeMethod::Get, "/account");
        let id = self.read(request, |node, _| node.fields()?.get("id").text()).await?;
        Ok(Account { id, livemode: is_live(self.transport.key().expose_secret()) })
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
            let answer = self.transport.attempt(&call, |refusal| self.refused(refusal)).await?;
            let read = Node::root(&answer.body).and_then(|node| decode(&node, &answer.request_id));
            read.map_err(|problem| self.undecodable(&problem, &answer))
        };
        retry::run(Patience::Read, self.transport.limits(), attempt).await
    }

    /// Sends something that must happen once at most; the key makes a repetition the same request.
    async fn send(&self, request: RequestBuilder, idempotency_key: &str) -> Result<Answer, StripeError> {
        let call = self.transport.call(request, Some(idempotency_key))?;
        let attempt = async || self.transport.attempt(&call, |refusal| self.refused(refusal)).await;
        retry::run(Patience::Send, self.transport.limits(), attempt).await
    }

    fn refused(&self, refusal: &Refusal<'_>) -> StripeError {
        let (status, request_id) = (refusal.status, refusal.request_id.clone());
        let body = error_body(refusal.body);
        let said = if body.message.is_empty() {
            format!("status {status}, without an error of Stripe's own")
        } else {
            self.transport.shown(&body.message)
        };
        match status {
            401 | 403 => StripeError::Unauthorized { status, message: said, request_id },
            429 => StripeError::RateLimited { message: said, request_id },
            400..=499 => {
                let code = self.transport.shown_word(&body.code);
                StripeError::Refused { status, code, message: said, request_id }
            }
            300..=399 => {
                let why =
                    "it answers with a redirect, which is never followed; check the base URL of the API";
                StripeError::Unavailable { status: Some(status), why: why.to_owned(), request_id }
            }
            _ => StripeError::Unavailable { status: Some(status), why: said, request_id },
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

/// `sk_live_…` and `rk_live_…`; the sandbox's keys and Stripe's test keys say `test`.
fn is_live(key: &str) -> bool {
    key.split('_').nth(1) == Some("live")
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
    fn the_mode_is_read_from_the_key() {
        for (key, live) in [
            ("sk_live_51abc", true),
            ("rk_live_51abc", true),
            ("sk_test_51abc_live_x", false),
            ("rk_test_1", false),
            ("sandbox", false),
            ("", false),
        ] {
            assert_eq!(is_live(key), live, "{key}");
        }
    }

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
