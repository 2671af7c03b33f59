//! What `serve` answers over HTTP: whether it lives, whether it can work, and its vital signs.
//!
//! In: a listener, the settings, what the loop last did. Out: plain text. Three paths, GET only; nothing can be changed here, no
//! tenant is named and no secret is known. A slow or broken client holds up nobody.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use jiff::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use crate::commands::serve::clock;
use crate::commands::watched::Watch;
use crate::job::{Settings, vitals};
use crate::render::vitals as text;
use crate::store::Access;

/// More are refused: a probe and a scraper need two.
const CONNECTIONS: usize = 16;
const PATIENCE: Duration = Duration::from_secs(10);
/// Where the machine has no more connections to give.
const PAUSE: Duration = Duration::from_millis(100);
/// An alarm that is this late will not ring any more.
const OVERDUE_S: i64 = 600;
const AT_WORK: i64 = i64::MAX;

/// What the loop does, for whoever asks.
pub struct Pulse {
    /// In seconds, when the next wake is to begin; [`AT_WORK`] during one.
    next: AtomicI64,
}

impl Pulse {
    pub fn new() -> Self {
        Self { next: AtomicI64::new(AT_WORK) }
    }

    pub fn is_at_work(&self) {
        self.next.store(AT_WORK, Ordering::Relaxed);
    }

    pub fn waits_until(&self, at: Timestamp) {
        self.next.store(at.as_second(), Ordering::Relaxed);
    }

    fn is_alive(&self, now: Timestamp) -> bool {
        now.as_second().saturating_sub(self.next.load(Ordering::Relaxed)) < OVERDUE_S
    }
}

/// What an answer is made of.
pub struct Known {
    pub settings: Settings,
    pub pulse: Arc<Pulse>,
    pub watch: Arc<Watch>,
}

/// Answers until it is dropped.
pub async fn serve(listener: TcpListener, known: Arc<Known>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let Ok(place) = room.clone().try_acquire_owned() else { continue };
                let known = known.clone();
                tokio::spawn(async move {
                    connection(stream, known).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!("no connection can be taken: {error}");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, known: Arc<Known>) {
    let service = service_fn(|request| {
        let known = known.clone();
        async move { Ok::<_, Infallible>(answer(&request, &known).await) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
    // Whoever has left wants no answer.
    let _left = server.serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(request: &Request<Incoming>, known: &Known) -> Response<Full<Bytes>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n");
    }
    match request.uri().path() {
        "/health" if known.pulse.is_alive(clock()) => plain(StatusCode::OK, "ok\n"),
        "/health" => plain(StatusCode::SERVICE_UNAVAILABLE, "the alarm clock has stopped\n"),
        "/ready" => ready(known).await,
        "/metrics" => metrics(known).await,
        _ => plain(StatusCode::NOT_FOUND, "there are /health, /ready and /metrics\n"),
    }
}

/// The database can be read: without it no wake can do anything.
async fn ready(known: &Known) -> Response<Full<Bytes>> {
    match known.settings.open(Access::ReadOnly).await {
        Ok(store) => {
            store.close().await;
            plain(StatusCode::OK, "ok\n")
        }
        Err(error) => plain(StatusCode::SERVICE_UNAVAILABLE, &format!("{error:#}\n")),
    }
}

async fn metrics(known: &Known) -> Response<Full<Bytes>> {
    let last = known.watch.last();
    let signs = match vitals::gather(&known.settings, last.as_ref(), clock()).await {
        Ok(signs) => signs,
        // The wakes can be told of without a database, and that there is none shows in what is missing.
        Err(_) => last.as_ref().map(vitals::of_wake).unwrap_or_default(),
    };
    match text::text(signs) {
        Ok(text) => {
            let mut response = plain(StatusCode::OK, &text);
            let kind = hyper::header::HeaderValue::from_static(text::CONTENT_TYPE);
            response.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
            response
        }
        Err(error) => plain(StatusCode::INTERNAL_SERVER_ERROR, &format!("{error}\n")),
    }
}

fn plain(status: StatusCode, text: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text.to_owned())));
    *response.status_mut() = status;
    response
}
