//! The account behind the door: what one request does, and what comes of it.
//!
//! In: a request, its body as text. Out: an [`Outcome`], given only after what the request changed is in the journal. The
//! first answer to an `Idempotency-Key` is kept for 24 hours and repeated. Never knows a socket.

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response, StatusCode};
use serde_json::value::RawValue;

use super::State;
use super::auth;
use super::clock::Clock;
use super::error::{ApiError, SandboxError};
use super::ids;
use super::journal::{self, Journal};
use super::manners::Manners;
use super::records::{Entry, StoredAnswer};
use super::request::Params;
use super::routes::{self, Method};
use super::seed::{self, Seed};
use super::test_clocks;
use super::world::World;

const KEY_LENGTH_MAX: usize = 255;
const VERSION: &str = "2026-09-30.endive";

pub struct Account {
    pub world: World,
    /// `None`: changes stay in memory.
    journal: Option<Journal>,
    pub clock: Clock,
    /// The journal is closed, or could not be written and memory is ahead of it: nothing more is answered.
    broken: bool,
    requests: u64,
}

/// What comes of a request.
pub enum Outcome {
    Answer(Response<Bytes>),
}

/// An answer before it is on paper.
struct Answer {
    status: u16,
    body: String,
    replayed: bool,
    should_retry: Option<bool>,
}

impl Answer {
    fn done(body: String) -> Self {
        Self { status: 200, body, replayed: false, should_retry: None }
    }
}

impl From<ApiError> for Answer {
    fn from(error: ApiError) -> Self {
        let body = error.body().to_string();
        Self { status: error.status, body, replayed: false, should_retry: error.should_retry }
    }
}

impl Account {
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
        let mut account = Self { world, journal, clock, broken: false, requests: 0 };
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

    /// A body that is `None` was too large or no text.
    pub fn outcome(&mut self, request: &Request<Option<String>>) -> Outcome {
        self.requests += 1;
        let place = (self.world.event_count(), self.requests, request.uri().path());
        let request_id = ids::derived("req", &format!("{place:?}"));
        let answer = self.answer(request).unwrap_or_else(Answer::from);
        Outcome::Answer(on_paper(answer, &request_id, request.headers()))
    }

    fn answer(&mut self, request: &Request<Option<String>>) -> Result<Answer, ApiError> {
        if self.broken {
            return Err(ApiError::internal("The sandbox could not write its journal. Start it again."));
        }
        test_clocks::read(&mut self.world, self.clock);
        auth::check(header(request.headers(), "authorization"))?;
        let too_large = || ApiError::invalid("The request's body is too large or no text.");
        let body = request.body().as_deref().ok_or_else(too_large)?;
        let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
        let known = Method::parse(request.method().as_str());
        let method = known.ok_or_else(|| ApiError::unknown_path(request.method().as_str(), path))?;
        let params = Params::parse(&format!("{query}&{body}"))?;
        let key = header(request.headers(), "idempotency-key");
        let Some(key) = key.filter(|_| method == Method::Post) else {
            return self.perform(method, path, &params, None);
        };
        if key.is_empty() || key.len() > KEY_LENGTH_MAX {
            let message = format!("Idempotency keys have 1 to {KEY_LENGTH_MAX} characters.");
            return Err(ApiError::invalid(message));
        }
        let asked = ids::tag(&format!("{} {path} {}", method.as_str(), params.canonical()));
        match self.world.stored_answer(key) {
            Some(stored) if stored.request == asked => {
                Ok(Answer { replayed: true, ..Answer::done(stored.body.get().to_owned()) })
            }
            Some(_) => Err(ApiError::other_parameters(key)),
            None => self.perform(method, path, &params, Some((key, asked))),
        }
    }

    /// Does it, writes it down, and only then says so.
    fn perform(
        &mut self,
        method: Method,
        path: &str,
        params: &Params,
        key: Option<(&str, String)>,
    ) -> Result<Answer, ApiError> {
        let at = self.world.now;
        let result =
            routes::answer(&mut self.world, method, path, params).map(|reply| reply.body.to_string());
        let answer = match (&result, key) {
            (Ok(body), Some((key, request))) => {
                let body = RawValue::from_string(body.clone()).map_err(no_json)?;
                Some(StoredAnswer { key: key.to_owned(), request, body })
            }
            // As at Stripe, what was refused is not kept: the same key may come again, mended.
            _ => None,
        };
        if let Some(answer) = &answer {
            self.world.store_answer(answer.clone());
        }
        let facts = self.world.take_pending();
        if !facts.is_empty() || answer.is_some() {
            self.write(&[Entry { at, facts, answer }])?;
        }
        result.map(Answer::done)
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
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let version = asked.get("stripe-version").cloned();
    headers.insert("stripe-version", version.unwrap_or(HeaderValue::from_static(VERSION)));
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert("request-id", value);
    }
    if let Some(key) = asked.get("idempotency-key") {
        headers.insert("idempotency-key", key.clone());
    }
    let mut flag = |name: &'static str, value: bool| {
        let value = HeaderValue::from_static(if value { "true" } else { "false" });
        headers.insert(HeaderName::from_static(name), value);
    };
    if answer.replayed {
        flag("idempotent-replayed", true);
    }
    if let Some(should_retry) = answer.should_retry {
        flag("stripe-should-retry", should_retry);
    }
    response
}
