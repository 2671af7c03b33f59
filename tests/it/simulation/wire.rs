//! What lies between the job and the account: a way without a socket, that sees all that passes.
//!
//! In: requests. Out: the account's answers, their number, and each rule of Stripe's that the job has broken. With the bug
//! it renames what is asked for again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};

use billrecon::sandbox::Local;
use billrecon::stripe::Exchange;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::{Request, Response};

/// What is wrong with the job on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    None,
    /// An event that was asked for before goes out under another name.
    RetryWithNewIdentifier,
}

#[derive(Clone)]
pub struct Wire {
    local: Local,
    bug: Bug,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
pub struct Seen {
    pub requests: u64,
    /// Of them, those without a good answer.
    pub faults: u64,
    /// Of them, those that bring an event.
    pub events: u64,
    pub broken_rules: BTreeSet<String>,
    identifiers: BTreeSet<String>,
    /// Customer and meter of the events that are under way.
    under_way: BTreeSet<String>,
}

impl Wire {
    pub fn new(local: Local, bug: Bug) -> Self {
        Self { local, bug, seen: Arc::default() }
    }

    pub fn exchange(&self) -> Exchange {
        let wire = self.clone();
        Arc::new(move |request| {
            let wire = wire.clone();
            Box::pin(async move { wire.carry(request).await })
        })
    }

    pub fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap()
    }

    async fn carry(&self, request: Request<Full<Bytes>>) -> std::io::Result<Response<Full<Bytes>>> {
        let (mut parts, body) = request.into_parts();
        let mut body = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let lane = value(&body, "payload[stripe_customer_id]")
            .map(|customer| format!("{customer} on {}", value(&body, "event_name").unwrap_or_default()));
        let under_way = lane.map(|lane| UnderWay::new(self.clone(), lane));
        if let (Bug::RetryWithNewIdentifier, Some(identifier)) = (self.bug, value(&body, "identifier")) {
            let other = self.other_name(identifier);
            parts.headers.insert("idempotency-key", other.parse().unwrap());
            body = body.replace(identifier, &other);
        }
        // Whoever else wants to may ask now.
        tokio::task::yield_now().await;
        let answer = self.local.answer(Request::from_parts(parts, Full::from(body))).await;
        let mut seen = self.seen();
        seen.requests += 1;
        seen.events += u64::from(under_way.is_some());
        seen.faults += u64::from(!answer.as_ref().is_ok_and(is_good));
        answer
    }

    fn other_name(&self, identifier: &str) -> String {
        let mut other = identifier.to_owned();
        while !self.seen().identifiers.insert(other.clone()) {
            other.push('x');
        }
        other
    }
}

/// A call that brings an event; it ends with its answer, or when the job stops waiting for one.
struct UnderWay {
    wire: Wire,
    lane: String,
}

impl UnderWay {
    fn new(wire: Wire, lane: String) -> Self {
        let mut seen = wire.seen();
        if !seen.under_way.insert(lane.clone()) {
            seen.broken_rules.insert(format!("two calls at a time for {lane}"));
        }
        drop(seen);
        Self { wire, lane }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.wire.seen().under_way.remove(&self.lane);
    }
}

/// Its body is an object to its end.
fn is_good(answer: &Response<Full<Bytes>>) -> bool {
    let body = answer.body().clone().into_inner().unwrap_or_default();
    answer.status().is_success() && body.trim_ascii_end().ends_with(b"}")
}

/// Of a form, with its brackets as they are or escaped.
fn value<'a>(form: &'a str, name: &str) -> Option<&'a str> {
    let escaped = name.replace('[', "%5B").replace(']', "%5D");
    let is_named = |pair: &&str| pair.split('=').next().is_some_and(|one| one == name || one == escaped);
    form.split('&').find(is_named)?.split_once('=').map(|(_, value)| value)
}
