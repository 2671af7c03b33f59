//! The account behind the door: what one request does, and what comes of it.
//!
//! In: a request, its body as text. Out: an [`Outcome`], given only after what the request changed is in the journal. The
//! first answer to an `Idempotency-Key` is kept for 24 hours and repeated. Never knows a socket.

use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde_json::value::RawValue;

use super::State;
use super::auth;
use super::clock::Clock;
use super::dress;
use super::endpoint::{self, Endpoint};
use super::error::{ApiError, SandboxError};
use super::faults::Faults;
use super::ids;
use super::journal::{self, Journal};
use super::manners::{Manners, Reason, What};
use super::records::{Entry, StoredAnswer};
use super::request::Params;
use super::routes::{self, Method};
use super::seed::{self, Seed};
use super::test_clocks;
use super::world::World;

const KEY_LENGTH_MAX: usize = 255;
/// What somebody on the way made of an answer.
const GARBLED: &str = "{\"object\": ";
const VERSION: &str = "2026-09-30.endive";

pub struct Account {
    pub world: World,
    /// `None`: changes stay in memory.
    journal: Option<Journal>,
    pub clock: Clock,
    /// The journal is closed, or could not be written and memory is ahead of it: nothing more is answered.
    broken: bool,
    requests: u64,
    faults: Faults,
}

/// What comes of a request.
pub enum Outcome<T> {
    Answer(T),
    /// The connection ends in the middle of it.
    Cut(T),
    /// The connection is broken before the first byte.
    Reset,
    /// Nothing ever comes.
    Hang,
}

impl<T> Outcome<T> {
    fn map<U>(self, change: impl FnOnce(T) -> U) -> Outcome<U> {
        match self {
            Self::Answer(answer) => Outcome::Answer(change(answer)),
            Self::Cut(answer) => Outcome::Cut(change(answer)),
            Self::Reset => Outcome::Reset,
            Self::Hang => Outcome::Hang,
        }
    }
}

/// An answer before it is on paper.
struct Answer {
    status: u16,
    content_type: &'static str,
    body: String,
    headers: Vec<(&'static str, String)>,
}

impl Answer {
    fn new(status: u16, body: String) -> Self {
        Self { status, content_type: "application/json", body, headers: Vec::new() }
    }

    /// What stands before Stripe, and knows no JSON.
    fn page(status: u16, title: &str) -> Self {
        let title = format!("{status} {title}");
        let page = format!("<html><head><title>{title}</title></head><body><h1>{title}</h1></body></html>");
        Self { content_type: "text/html", ..Self::new(status, page) }
    }
}

impl From<ApiError> for Answer {
    fn from(error: ApiError) -> Self {
        Self { headers: error.headers.clone(), ..Self::new(error.status, error.body().to_string()) }
    }
}

/// A request that a key opens, read.
struct Asked<'a> {
    key: auth::Key,
    method: Method,
    path: &'a str,
    params: Params,
    idempotency_key: Option<&'a str>,
}

impl<'a> Asked<'a> {
    fn of(request: &'a Request<Option<String>>) -> Result<Self, ApiError> {
        let key = auth::check(header(request.headers(), "authorization"))?;
        let too_large = || ApiError::invalid("The request's body is too large or no text.");
        let body = request.body().as_deref().ok_or_else(too_large)?;
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        let method = Method::parse(request.method().as_str());
        let method = method.ok_or_else(|| ApiError::unknown_path(request.method().as_str(), path))?;
        let params = Params::parse(&format!("{query}&{body}"))?;
        // As at Stripe, only what changes something has a key.
        let idempotency_key = header(request.headers(), "idempotency-key").filter(|_| method == Method::Post);
        if idempotency_key.is_some_and(|key| key.is_empty() || key.len() > KEY_LENGTH_MAX) {
            let message = format!("Idempotency keys have 1 to {KEY_LENGTH_MAX} characters.");
            return Err(ApiError::invalid(message));
        }
        Ok(Self { key, method, path, params, idempotency_key })
    }
}

/// When Stripe fails: before or after it has done what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failure {
    Before,
    After,
}

impl Account {
    /// From now on.
    pub fn behave(&mut self, manners: Manners) {
        self.world.manners = Arc::new(manners);
        self.faults = Faults::default();
    }

    /// Reads the history, lets the clock go on, and plants the seed.
    pub fn open(state: State, clock: Clock, seed: &Seed, manners: Manners) -> Result<Self, SandboxError> {
        let mut world = World::new(manners);
        let take = |entry| world.replay(entry);
        let journal = match state {
            State::File(path) => Some(Journal::open(&path, take)?),
            State::MemoryFrom(path) => {
                journal::read(&path, take)?;
                None
            }
            State::Memory => None,
        };
        world.forget_old_answers();
        world.on_wall_clock = matches!(clock, Clock::Wall);
        let mut account =
            Self { world, journal, clock, broken: false, requests: 0, faults: Faults::default() };
        account.plant(seed)?;
        Ok(account)
    }

    /// One write for all that is new.
    pub fn plant(&mut self, seed: &Seed) -> Result<(), SandboxError> {
        let before = self.world.now;
        test_clocks::read(&mut self.world, self.clock);
        seed::plant(&mut self.world, seed)?;
        let at = self.world.now;
        let facts = self.world.take_pending().into_iter();
        let mut entries: Vec<Entry> =
            facts.map(|fact| Entry { at, facts: vec![fact], answer: None }).collect();
        // A time that somebody was told must not be earlier after the next start.
        if entries.is_empty() && at > before && matches!(self.clock, Clock::At(_)) {
            entries.push(Entry { at, facts: Vec::new(), answer: None });
        }
        match &mut self.journal {
            Some(journal) if !entries.is_empty() => journal.append(&entries),
            _ => Ok(()),
        }
    }

    /// Gives the file back, whoever still asks.
    pub fn close(&mut self) {
        self.journal = None;
        self.broken = true;
    }

    /// A body that is `None` was too large or no text; a request with a reason is one too many.
    pub fn outcome(
        &mut self,
        request: &Request<Option<String>>,
        too_many: Option<Reason>,
    ) -> Outcome<Response<Bytes>> {
        self.requests += 1;
        let place = (self.world.event_count(), self.requests, request.uri().path());
        let request_id = ids::derived("req", &format!("{place:?}"));
        let outcome = self.comes_of(request, too_many);
        let outcome = outcome.unwrap_or_else(|error| Outcome::Answer(error.into()));
        outcome.map(|answer| on_paper(answer, &request_id, request.headers()))
    }

    fn comes_of(
        &mut self,
        request: &Request<Option<String>>,
        too_many: Option<Reason>,
    ) -> Result<Outcome<Answer>, ApiError> {
        if self.broken {
            return Err(ApiError::internal("The sandbox could not write its journal. Start it again."));
        }
        test_clocks::read(&mut self.world, self.clock);
        let asked = Asked::of(request)?;
        if let Some(reason) = too_many {
            return Err(ApiError::rate_limited(reason, None));
        }
        let manners = Arc::clone(&self.world.manners);
        let endpoint = Endpoint::of(asked.path);
        let forbidden =
            || ApiError::forbidden(endpoint.map_or_else(String::new, |one| one.permission(asked.method)));
        let is_restricted = asked.key == auth::Key::Restricted;
        if is_restricted && endpoint.is_some_and(|endpoint| manners.forbids(endpoint, asked.method)) {
            return Err(forbidden());
        }
        let customer = || endpoint::customer_of(&self.world, asked.path, &asked.params);
        let Some(fault) = self.faults.strike(&manners, endpoint, customer) else {
            return self.answer(&asked, None).map(Outcome::Answer);
        };
        match fault.what {
            What::RateLimited => {
                Err(ApiError::rate_limited(fault.reason.unwrap_or_default(), fault.retry_after))
            }
            What::LockTimeout => Err(ApiError::lock_timeout()),
            What::Unauthorized => Err(ApiError::expired_key()),
            What::Forbidden => Err(forbidden()),
            What::BadGateway => Ok(Outcome::Answer(Answer::page(502, "Bad Gateway"))),
            What::Unavailable => Ok(Outcome::Answer(Answer::page(503, "Service Unavailable"))),
            What::HangBefore => Ok(Outcome::Hang),
            What::ResetBefore => Ok(Outcome::Reset),
            What::ErrorBefore => self.answer(&asked, Some(Failure::Before)).map(Outcome::Answer),
            What::ErrorAfter => self.answer(&asked, Some(Failure::After)).map(Outcome::Answer),
            What::HangAfter => {
                self.lost(&asked);
                Ok(Outcome::Hang)
            }
            What::ResetAfter => {
                self.lost(&asked);
                Ok(Outcome::Reset)
            }
            What::Cut => Ok(Outcome::Cut(self.lost(&asked))),
            What::Garbled => Ok(Outcome::Answer(Answer { body: GARBLED.to_owned(), ..self.lost(&asked) })),
        }
    }

    /// What the client never learns; a refusal goes the way of any other answer.
    fn lost(&mut self, asked: &Asked<'_>) -> Answer {
        self.answer(asked, None).unwrap_or_else(Answer::from)
    }

    /// The first answer to a key, or a new one.
    fn answer(&mut self, asked: &Asked<'_>, failure: Option<Failure>) -> Result<Answer, ApiError> {
        let Some(key) = asked.idempotency_key else { return self.perform(asked, None, failure) };
        let request =
            ids::tag(&format!("{} {} {}", asked.method.as_str(), asked.path, asked.params.canonical()));
        match self.world.stored_answer(key) {
            Some(stored) if stored.request == request => {
                let mut answer = Answer::new(stored.status, stored.body.get().to_owned());
                answer.headers.push(("idempotent-replayed", "true".to_owned()));
                Ok(answer)
            }
            Some(_) => Err(ApiError::other_parameters(key)),
            None => self.perform(asked, Some((key, request)), failure),
        }
    }

    /// Does it, writes it down, and only then says so.
    fn perform(
        &mut self,
        asked: &Asked<'_>,
        key: Option<(&str, String)>,
        failure: Option<Failure>,
    ) -> Result<Answer, ApiError> {
        let at = self.world.now;
        let failed = || Answer::from(ApiError::internal("An unknown error occurred."));
        let result = match failure {
            Some(Failure::Before) => Ok(failed()),
            _ => routes::answer(&mut self.world, asked.method, asked.path, &asked.params)
                .map(|reply| Answer::new(200, dress::text(&self.world, reply.body))),
        };
        let result = match failure {
            Some(Failure::After) => result.map(|_| failed()),
            _ => result,
        };
        let stored = match (&result, key) {
            (Ok(answer), Some((key, request))) => {
                let body = RawValue::from_string(answer.body.clone()).map_err(no_json)?;
                Some(StoredAnswer { key: key.to_owned(), request, body, status: answer.status })
            }
            // As at Stripe, what was refused is not kept: the same key may come again, mended.
            _ => None,
        };
        if let Some(stored) = &stored {
            self.world.store_answer(stored.clone());
        }
        let facts = self.world.take_pending();
        if !facts.is_empty() || stored.is_some() {
            self.write(&[Entry { at, facts, answer: stored }])?;
        }
        result
    }

    fn write(&mut self, entries: &[Entry]) -> Result<(), ApiError> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        journal.append(entries).map_err(|error| {
            self.broken = true;
            tracing::error!("{error}");
            ApiError::internal("The sandbox could not write its journal. Start it again.")
        })
    }
}

/// Every answer is JSON, so this never happens.
#[expect(clippy::needless_pass_by_value, reason = "the shape that `map_err` wants")]
fn no_json(error: serde_json::Error) -> ApiError {
    ApiError::internal(&format!("The sandbox's answer cannot be kept: {error}"))
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// Stripe indents its answers; that says nothing more, and would be a good part of the time here and at the reader.
fn on_paper(answer: Answer, request_id: &str, asked: &HeaderMap) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(answer.body + "\n"));
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static(answer.content_type));
    let version = asked.get("stripe-version").cloned();
    headers.insert("stripe-version", version.unwrap_or(HeaderValue::from_static(VERSION)));
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert("request-id", value);
    }
    if let Some(key) = asked.get("idempotency-key") {
        headers.insert("idempotency-key", key.clone());
    }
    for (name, value) in answer.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
    response
}
