//! The HTTP side: one axum router on a loopback port.
//!
//! In: requests. Out: JSON answers with Stripe's headers, each given only after what it changed is in the journal. One
//! request at a time looks at the account. The first answer to an `Idempotency-Key` is kept for 24 hours and repeated.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Response};
use serde_json::Value;
use serde_json::value::to_raw_value;

use super::auth;
use super::clock::Clock;
use super::error::ApiError;
use super::ids;
use super::journal::Journal;
use super::records::{Entry, StoredAnswer};
use super::request::Params;
use super::routes::{self, Method};
use super::test_clocks;
use super::world::World;

const BODY_MAX: usize = 1024 * 1024;
const KEY_LENGTH_MAX: usize = 255;
const VERSION: &str = "2026-09-30.endive";

pub struct App {
    pub world: World,
    /// `None`: changes stay in memory.
    pub journal: Option<Journal>,
    pub clock: Clock,
    /// A journal that could not be written: memory is ahead of it, so nothing more is answered.
    pub broken: bool,
    pub requests: u64,
}

pub type Shared = Arc<Mutex<App>>;

pub fn router(app: Shared) -> Router {
    Router::new().fallback(handle).with_state(app)
}

struct Answer {
    status: u16,
    body: Value,
    replayed: bool,
    should_retry: Option<bool>,
}

impl Answer {
    fn done(body: Value, replayed: bool) -> Self {
        Self { status: 200, body, replayed, should_retry: None }
    }
}

impl From<ApiError> for Answer {
    fn from(error: ApiError) -> Self {
        Self { status: error.status, body: error.body(), replayed: false, should_retry: error.should_retry }
    }
}

async fn handle(State(app): State<Shared>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, BODY_MAX).await;
    let query = parts.uri.query().unwrap_or_default();
    let text = bytes.ok().and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
    // A thread that panicked while it held the account would have left it whole: nothing is half applied.
    let mut app = app.lock().unwrap_or_else(PoisonError::into_inner);
    app.requests += 1;
    let place = (app.world.event_count(), app.requests, parts.uri.path());
    let request_id = ids::derived("req", &format!("{place:?}"));
    let answer = match text {
        Some(text) => app.answer(parts.method.as_str(), parts.uri.path(), query, &text, &parts.headers),
        None => Err(ApiError::invalid("The request's body is too large or no text.")),
    };
    let answer = answer.unwrap_or_else(Answer::from);
    drop(app);
    let version = parts.headers.get("stripe-version").cloned();
    response(&answer, &request_id, version.unwrap_or(HeaderValue::from_static(VERSION)), &parts.headers)
}

impl App {
    fn answer(
        &mut self,
        method: &str,
        path: &str,
        query: &str,
        body: &str,
        headers: &HeaderMap,
    ) -> Result<Answer, ApiError> {
        if self.broken {
            return Err(ApiError::internal("The sandbox could not write its journal. Start it again."));
        }
        test_clocks::read(&mut self.world, self.clock);
        auth::check(headers.get("authorization").and_then(|value| value.to_str().ok()))?;
        let known = match method {
            "GET" => Some(Method::Get),
            "POST" => Some(Method::Post),
            "DELETE" => Some(Method::Delete),
            _ => None,
        };
        let method = known.ok_or_else(|| ApiError::unknown_path(method, path))?;
        let params = Params::parse(&format!("{query}&{body}"))?;
        let key = headers.get("idempotency-key").and_then(|value| value.to_str().ok());
        let Some(key) = key.filter(|_| method == Method::Post) else {
            return self.perform(method, path, &params, None);
        };
        if key.is_empty() || key.len() > KEY_LENGTH_MAX {
            let message = format!("Idempotency keys have 1 to {KEY_LENGTH_MAX} characters.");
            return Err(ApiError::invalid(message));
        }
        let request = ids::tag(&format!("{} {path} {}", method.as_str(), params.canonical()));
        match self.world.stored_answer(key) {
            Some(stored) if stored.request == request => {
                Ok(Answer::done(serde_json::from_str(stored.body.get()).map_err(no_json)?, true))
            }
            Some(_) => Err(ApiError::other_parameters(key)),
            None => self.perform(method, path, &params, Some((key, request))),
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
        let result = routes::answer(&mut self.world, method, path, params);
        let answer = match (&result, key) {
            (Ok(reply), Some((key, request))) => {
                let body = to_raw_value(&reply.body).map_err(no_json)?;
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
        result.map(|reply| Answer::done(reply.body, false))
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

fn response(answer: &Answer, request_id: &str, version: HeaderValue, asked: &HeaderMap) -> Response<Body> {
    // Stripe indents its answers; that says nothing more, and would be a good part of the time here and at the reader.
    let mut text = serde_json::to_string(&answer.body).unwrap_or_default();
    text.push('\n');
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = axum::http::StatusCode::from_u16(answer.status).unwrap_or_default();
    let headers = response.headers_mut();
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    headers.insert("stripe-version", version);
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
