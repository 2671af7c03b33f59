//! Requests on the wire: one pooled HTTP client for Stripe's API or for whatever stands in for it.
//!
//! In: requests as async-stripe builds them, a checked base URL, the key. Out: status, Stripe's headers and the whole
//! body, or why there is none. It follows no redirect, so the key never travels to another host, and it never shows the
//! key. async-stripe's own client is not used: it opens a connection for each request, knows no jitter, loses the status
//! of answers that it cannot read, and hides Stripe's headers.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Either, Full, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request, Response, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use secrecy::{ExposeSecret, SecretString};
use stripe_client_core::{RequestBuilder, StripeMethod};

use super::endpoint::Endpoint;
use super::error::{Hints, StripeError, shown, shown_word};
use super::limits::{Limits, Peer};
use super::retry::{Again, Failure, is_worth_repeating};

/// The API version whose shapes we ask for and decode. It is the one that async-stripe's requests are generated from,
/// pinned here so that an account's own default version never changes what we read.
pub const STRIPE_VERSION: &str = "2026-09-30.endive";
const OUR_AGENT: &str = concat!("billrecon/", env!("CARGO_PKG_VERSION"));
const FORM: &str = "application/x-www-form-urlencoded";

const STRIPE_VERSION_HEADER: HeaderName = HeaderName::from_static("stripe-version");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
const SHOULD_RETRY: HeaderName = HeaderName::from_static("stripe-should-retry");
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
const LIMITED_REASON: HeaderName = HeaderName::from_static("stripe-rate-limited-reason");
const RETRY_AFTER: HeaderName = HeaderName::from_static("retry-after");

const NO_KEY: &str = "the key holds a character that no key of Stripe's has; look for a line break in it";
/// What requests are laid onto that never leave the process.
const DIRECT_BASE: &str = "http://localhost/";

/// Below the idle limits of usual load balancers, so that we seldom write into a connection that is being closed.
const IDLE_CONNECTION: Duration = Duration::from_secs(30);

/// A way of a request to its answer other than a socket: the sandbox in the same process, a simulation. An error of kind
/// `TimedOut` stands for an answer that did not come in time, any other for a broken connection.
pub type Exchange =
    Arc<dyn Fn(Request<Full<Bytes>>) -> BoxFuture<'static, io::Result<Response<Full<Bytes>>>> + Send + Sync>;

/// One request, ready to be sent as often as needed.
#[derive(Debug)]
pub(super) struct Call {
    endpoint: Endpoint,
    method: Method,
    uri: Uri,
    body: Option<Bytes>,
    idempotency_key: Option<HeaderValue>,
}

/// A whole answer with status 2xx.
#[derive(Debug)]
pub(super) struct Answer {
    pub body: Bytes,
    pub request_id: String,
}

/// What an answer says before its body.
pub(super) struct Head {
    pub status: u16,
    pub request_id: String,
    pub hints: Hints,
}

/// An answer that is not 2xx.
pub(super) struct Refusal<'a> {
    pub head: Head,
    pub body: &'a [u8],
    /// The word of a 429 for the limit that it speaks of.
    pub limited_reason: &'a str,
}

pub(super) struct Transport {
    api_base: String,
    key: SecretString,
    client: HttpClient,
    limits: Limits,
}

/// A plain base URL needs no certificates, and a secure one never gets a plain connection.
enum HttpClient {
    Secure(Client<HttpsConnector<HttpConnector>, Full<Bytes>>),
    Plain(Client<HttpConnector, Full<Bytes>>),
    Direct(Exchange),
}

impl Call {
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// The same request under another key.
    pub(super) fn under(self, idempotency_key: &str) -> Result<Self, StripeError> {
        let key = HeaderValue::from_str(idempotency_key).map_err(|_| cannot_stand("an identifier"))?;
        Ok(Self { idempotency_key: Some(key), ..self })
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Transport").field("api_base", &self.api_base).finish_non_exhaustive()
    }
}

impl Transport {
    pub(super) fn new(api_base: String, key: SecretString, limits: Limits) -> Result<Self, StripeError> {
        let wrong = |what: &str| Err(StripeError::Configuration(what.to_owned()));
        let Ok(base) = api_base.parse::<Uri>() else {
            return wrong("the base URL of the API is no URL");
        };
        if base.authority().is_none_or(|authority| authority.as_str().contains('@')) {
            return wrong("the base URL of the API needs a host, and no user or password");
        }
        if !api_base.ends_with('/') || base.query().is_some() {
            return wrong("the base URL of the API must end in `/`, without a query");
        }
        if bearer(&key).is_none() {
            return wrong(NO_KEY);
        }
        let client = match base.scheme_str() {
            Some("https") => HttpClient::Secure(secure_client(&limits)?),
            Some("http") => HttpClient::Plain(pool(&limits).build(connector(&limits))),
            _ => return wrong("the base URL of the API must begin with https:// or http://"),
        };
        Ok(Self { api_base, key, client, limits })
    }

    pub(super) fn through(
        exchange: Exchange,
        key: SecretString,
        limits: Limits,
    ) -> Result<Self, StripeError> {
        if bearer(&key).is_none() {
            return Err(StripeError::Configuration(NO_KEY.to_owned()));
        }
        Ok(Self { api_base: DIRECT_BASE.to_owned(), key, client: HttpClient::Direct(exchange), limits })
    }

    pub(super) fn peer(&self) -> Peer {
        match &self.client {
            HttpClient::Secure(_) if self.is_live() => Peer::Live,
            HttpClient::Secure(_) => Peer::Test,
            // The settings take plain http for addresses of this machine only.
            HttpClient::Plain(_) | HttpClient::Direct(_) => Peer::StandIn,
        }
    }

    pub(super) fn is_live(&self) -> bool {
        is_live(self.key.expose_secret())
    }

    /// Text from outside, fit to be shown.
    pub(super) fn shown(&self, text: &str) -> String {
        shown(text, &self.key)
    }

    pub(super) fn shown_word(&self, text: &str) -> String {
        shown_word(text, &self.key)
    }

    /// Lays a request of async-stripe's onto our base URL.
    pub(super) fn call(
        &self,
        request: RequestBuilder,
        idempotency_key: Option<&str>,
    ) -> Result<Call, StripeError> {
        let query = request
            .query
            .filter(|query| !query.is_empty())
            .map_or_else(String::new, |query| format!("?{query}"));
        let uri = format!("{}v1{}{query}", self.api_base, request.path);
        let uri = uri.parse().map_err(|_| cannot_stand("an id"))?;
        let method = match request.method {
            StripeMethod::Get => Method::GET,
            StripeMethod::Post => Method::POST,
            StripeMethod::Delete => Method::DELETE,
        };
        let endpoint = Endpoint::of(&method, &request.path);
        let call = Call { endpoint, method, uri, body: request.body.map(Bytes::from), idempotency_key: None };
        match idempotency_key {
            None => Ok(call),
            Some(key) => call.under(key),
        }
    }

    /// Sends it once. `refused` makes the error of an answer that is not 2xx.
    pub(super) async fn attempt(
        &self,
        call: &Call,
        refused: impl Fn(Refusal<'_>) -> StripeError,
    ) -> Result<Answer, Failure> {
        let within = self.limits.attempt_timeout;
        tokio::time::timeout(within, self.exchange(call, refused)).await.unwrap_or_else(|_| {
            let why = format!("no whole answer within {within:?}");
            let (request_id, hints) = (String::new(), Hints::default());
            let error = StripeError::Unavailable { status: None, why, request_id, hints };
            Err(Failure { error, again: Again::TimedOut })
        })
    }

    async fn exchange(
        &self,
        call: &Call,
        refused: impl Fn(Refusal<'_>) -> StripeError,
    ) -> Result<Answer, Failure> {
        let request = self.request(call).map_err(|error| Failure { error, again: Again::No })?;
        let response = match &self.client {
            HttpClient::Secure(client) => self.begun(client.request(request).await)?.map(Either::Left),
            HttpClient::Plain(client) => self.begun(client.request(request).await)?.map(Either::Left),
            HttpClient::Direct(exchange) => self.begun(exchange(request).await)?.map(Either::Right),
        };
        let (parts, body) = response.into_parts();
        let headers = &parts.headers;
        let request_id = self.shown_word(header(headers, &REQUEST_ID).unwrap_or_default());
        let head = Head { status: parts.status.as_u16(), request_id, hints: hints(headers) };
        let body = self.body(&head, body).await?;
        if parts.status.is_success() {
            return Ok(Answer { body, request_id: head.request_id });
        }
        let after = retry_after(headers);
        let repeat = is_worth_repeating(head.status, head.hints);
        let limited_reason = header(headers, &LIMITED_REASON).unwrap_or_default();
        let error = refused(Refusal { head, body: &body, limited_reason });
        Err(Failure { error, again: if repeat { Again::Yes { after } } else { Again::No } })
    }

    fn begun<T>(&self, answer: Result<T, impl Error + 'static>) -> Result<T, Failure> {
        answer.map_err(|error| self.no_answer(None, &error))
    }

    async fn body(&self, head: &Head, body: Either<Incoming, Full<Bytes>>) -> Result<Bytes, Failure> {
        let limit = self.limits.answer_bytes;
        match Limited::new(body, limit).collect().await {
            Ok(body) => Ok(body.to_bytes()),
            // The same question would bring the same answer.
            Err(error) if error.is::<LengthLimitError>() => {
                let what = format!("it is larger than {limit} bytes (status {})", head.status);
                let error = StripeError::Undecodable { what, request_id: head.request_id.clone() };
                Err(Failure { error, again: Again::No })
            }
            Err(error) => Err(self.no_answer(Some(head), error.as_ref())),
        }
    }

    fn request(&self, call: &Call) -> Result<Request<Full<Bytes>>, StripeError> {
        let impossible = || StripeError::Configuration("the request cannot be written".to_owned());
        let mut request = Request::new(Full::new(call.body.clone().unwrap_or_default()));
        *request.method_mut() = call.method.clone();
        *request.uri_mut() = call.uri.clone();
        let headers = request.headers_mut();
        headers.insert(AUTHORIZATION, bearer(&self.key).ok_or_else(impossible)?);
        headers.insert(STRIPE_VERSION_HEADER, HeaderValue::from_static(STRIPE_VERSION));
        headers.insert(USER_AGENT, HeaderValue::from_static(OUR_AGENT));
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        if call.method == Method::POST {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(FORM));
        }
        if let Some(key) = &call.idempotency_key {
            headers.insert(IDEMPOTENCY_KEY, key.clone());
        }
        Ok(request)
    }

    /// The way broke, perhaps after the answer had begun.
    fn no_answer(&self, head: Option<&Head>, error: &(dyn Error + 'static)) -> Failure {
        let causes: Vec<&(dyn Error + 'static)> =
            std::iter::successors(Some(error), |error| (*error).source()).collect();
        let kind = |cause: &&(dyn Error + 'static)| cause.downcast_ref().map(io::Error::kind);
        let timed_out = causes.iter().filter_map(kind).any(|kind| kind == io::ErrorKind::TimedOut);
        let why: Vec<String> = causes.iter().map(ToString::to_string).collect();
        let why = self.shown(&why.join(": "));
        let again = if timed_out { Again::TimedOut } else { Again::Yes { after: None } };
        let error = StripeError::Unavailable {
            status: head.map(|head| head.status),
            why,
            request_id: head.map(|head| head.request_id.clone()).unwrap_or_default(),
            hints: head.map(|head| head.hints).unwrap_or_default(),
        };
        Failure { error, again }
    }
}

fn cannot_stand(what: &str) -> StripeError {
    StripeError::Configuration(format!("{what} cannot stand in a request"))
}

/// `sk_live_…` and `rk_live_…`; the sandbox's keys and Stripe's test keys say `test`.
fn is_live(key: &str) -> bool {
    key.split('_').nth(1) == Some("live")
}

/// `None` where the key cannot stand in a header.
fn bearer(key: &SecretString) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

fn header<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn hints(headers: &HeaderMap) -> Hints {
    let word = |name| header(headers, name).and_then(|word| word.trim().parse().ok());
    Hints { should_retry: word(&SHOULD_RETRY), replayed: word(&REPLAYED).unwrap_or(false) }
}

/// Seconds only: the other form, a date, would need a clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    header(headers, &RETRY_AFTER)?.trim().parse().ok().map(Duration::from_secs)
}

fn secure_client(limits: &Limits) -> Result<Client<HttpsConnector<HttpConnector>, Full<Bytes>>, StripeError> {
    let builder = HttpsConnectorBuilder::new().with_native_roots().map_err(|error| {
        StripeError::Configuration(format!(
            "no root certificates ({error}): install the package ca-certificates or its like"
        ))
    })?;
    let mut plain = connector(limits);
    plain.enforce_http(false);
    Ok(pool(limits).build(builder.https_only().enable_http1().wrap_connector(plain)))
}

fn connector(limits: &Limits) -> HttpConnector {
    let mut connector = HttpConnector::new();
    connector.set_connect_timeout(Some(limits.connect_timeout));
    connector.set_nodelay(true);
    connector
}

fn pool(limits: &Limits) -> hyper_util::client::legacy::Builder {
    let mut builder = Client::builder(TokioExecutor::new());
    builder
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_CONNECTION)
        .pool_max_idle_per_host(limits.pace.at_a_time());
    builder
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transport(api_base: &str, key: &str) -> Result<Transport, StripeError> {
        Transport::new(api_base.to_owned(), SecretString::from(key), Limits::default())
    }

    #[test]
    fn the_version_is_the_one_that_the_requests_are_generated_from() {
        assert_eq!(stripe_client_core::VERSION.as_str(), STRIPE_VERSION);
    }

    #[test]
    fn a_base_url_or_key_that_cannot_work_is_refused_without_being_shown() {
        for (api_base, key) in [
            ("https://user:hunter2@api.example/", "sk_test_1"),
            ("https://api.example", "sk_test_1"),
            ("https://api.example/?a=hunter2", "sk_test_1"),
            ("ftp://api.example/", "sk_test_1"),
            ("not a url/", "sk_test_1"),
            ("/", "sk_test_1"),
            ("http://127.0.0.1:1/", "sk_test_hunter2\n"),
        ] {
            let error = transport(api_base, key).unwrap_err();
            assert!(matches!(error, StripeError::Configuration(_)), "{api_base}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }

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
    fn only_stripe_itself_is_spared_unless_somebody_says_so() {
        let peer = |api_base, key| transport(api_base, key).unwrap().peer();
        assert_eq!(peer("https://api.stripe.com/", "rk_live_1"), Peer::Live);
        assert_eq!(peer("https://api.stripe.com/", "rk_test_1"), Peer::Test);
        assert_eq!(peer("http://127.0.0.1:1/", "rk_live_1"), Peer::StandIn);
    }

    #[test]
    fn a_path_below_the_base_url_is_kept() {
        let transport = transport("http://127.0.0.1:1/stand-in/", "sk_test_1").unwrap();
        let request = RequestBuilder::new(StripeMethod::Get, "/account");
        let call = transport.call(request, None).unwrap();
        assert_eq!(call.uri.to_string(), "http://127.0.0.1:1/stand-in/v1/account");
    }
}
