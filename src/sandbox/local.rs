//! The account without a socket: the same answers, for a simulation under virtual time.
//!
//! In: a state, a clock, a seed, manners; then requests. Out: answers, or the fault that a client of a socket would have
//! seen. Clones share one account; one request at a time looks at it. Never waits.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body;
use hyper::{Request, Response};
use jiff::Timestamp;

use super::account::{Account, Outcome};
use super::manners::{Limits, Reason};
use super::records::Window;
use super::usage::{Known, aggregate};
use super::{Clock, Manners, SandboxError, Seed, State, decimal};

const BODY_MAX: usize = 1024 * 1024;

#[derive(Clone)]
pub struct Local {
    account: Arc<Mutex<Account>>,
}

impl Local {
    pub fn open(state: State, clock: Clock, seed: &Seed, manners: Manners) -> Result<Self, SandboxError> {
        let account = Account::open(state, clock, seed, manners)?;
        Ok(Self { account: Arc::new(Mutex::new(account)) })
    }

    /// Its clock goes on to that instant, and stands there; never back.
    pub fn reach(&self, now: Timestamp) {
        self.account().clock = Clock::At(now);
    }

    /// What a restart with another seed does.
    pub fn replant(&self, seed: &Seed) -> Result<(), SandboxError> {
        self.account().plant(seed)
    }

    /// From now on it behaves like this; what it has done before stays.
    pub fn behave(&self, manners: Manners) {
        self.account().behave(manners);
    }

    /// An error where a client gets no whole answer.
    pub async fn answer(&self, request: Request<Full<Bytes>>) -> io::Result<Response<Full<Bytes>>> {
        match self.outcome(request, None).await {
            Outcome::Answer(response) => Ok(response.map(Full::new)),
            Outcome::Cut(_) => Err(io::ErrorKind::UnexpectedEof.into()),
            Outcome::Reset => Err(io::ErrorKind::ConnectionReset.into()),
            Outcome::Hang => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// What a meter really holds for a customer, whatever the account shows; `None` where there is no such meter.
    pub fn true_total(
        &self,
        event_name: &str,
        customer: &str,
        start: Timestamp,
        end: Timestamp,
    ) -> Option<String> {
        self.total(event_name, customer, start, end, Known::Received(i64::MAX))
    }

    /// What came in before the renewal invoice of that window left draft: what is billed.
    pub fn billed_total(
        &self,
        event_name: &str,
        customer: &str,
        start: Timestamp,
        end: Timestamp,
    ) -> Option<String> {
        let finalized = end.as_second() + i64::from(self.account().world.manners.drafts.seconds);
        self.total(event_name, customer, start, end, Known::Received(finalized))
    }

    fn total(
        &self,
        event_name: &str,
        customer: &str,
        start: Timestamp,
        end: Timestamp,
        known: Known,
    ) -> Option<String> {
        let account = self.account();
        let meter = account.world.meter_of_event(event_name)?;
        let window = Window { start: start.as_second(), end: end.as_second() };
        let total = aggregate(&account.world, meter, customer, window, known);
        Some(decimal::text(&total.unwrap_or_default()))
    }

    pub(super) async fn outcome<B>(
        &self,
        request: Request<B>,
        too_many: Option<Reason>,
    ) -> Outcome<Response<Bytes>>
    where
        B: Body,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let whole = Limited::new(body, BODY_MAX).collect().await;
        let text = whole.ok().and_then(|whole| String::from_utf8(whole.to_bytes().into()).ok());
        self.account().outcome(&Request::from_parts(parts, text), too_many)
    }

    pub(super) fn limits(&self) -> Limits {
        self.account().world.manners.limits.clone()
    }

    /// Gives the file back, whoever still holds a connection.
    pub(super) fn close(&self) {
        self.account().close();
    }

    /// A thread that panicked while it held the account would have left it whole: nothing is half applied.
    fn account(&self) -> MutexGuard<'_, Account> {
        self.account.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
