//! How well the client uses a limit: the totals, events and previews of many tenants, against a server that takes its time
//! and answers 429 to what is above the limit.
//!
//! In: the binary of the bench profile; `TENANTS`, `LIMIT` (requests a second) and `LATENCY_MS` to change the load. Out: calls
//! per second, the share of the limit that was used, 429s, peak memory of the client, which is a process of its own. It
//! judges nothing: `tests/it/stripe/pace.rs` does, on a paused clock.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark fails by panicking, and reads its own settings"
)]

#[path = "../tests/it/support/memory.rs"]
#[expect(dead_code, reason = "only the memory of a process is measured here")]
mod memory;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::num::NonZeroU32;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use billrecon::domain::invoice::PayloadKeys;
use billrecon::domain::number::Quantity;
use billrecon::domain::period::Window;
use billrecon::stripe::{Delivery, Limits, MeterEvent, Pace, Stripe, Target};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};

/// Where the server listens; set for the client only.
const SERVER: &str = "BILLRECON_BENCH_STRIPE";
const METER_EVENTS: &str = "/v1/billing/meter_events";

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    match std::env::var(SERVER) {
        Ok(api_base) => runtime.block_on(client(api_base)),
        Err(_) => runtime.block_on(measure()),
    }
}

async fn measure() {
    let (tenants, limit) = (size("TENANTS", 2_000), size("LIMIT", 100));
    let latency = Duration::from_millis(size("LATENCY_MS", 200));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let api_base = format!("http://{}/", listener.local_addr().unwrap());
    let server = Arc::new(Server { limit: usize::try_from(limit).unwrap(), latency, seen: Mutex::default() });
    tokio::spawn(serve(listener, server.clone()));
    println!("{tenants} tenants, {limit} requests/s allowed, answers after {latency:?}");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env(SERVER, api_base);
    let (text, peak_mib) = tokio::task::spawn_blocking(|| memory::run(command)).await.unwrap();
    print!("{text}");
    let seen = server.seen.lock().unwrap();
    let took = seen.last.unwrap().duration_since(seen.first.unwrap()).as_millis().max(1);
    let per_mille = seen.served * 1_000_000 / took / u128::from(limit);
    println!("{} calls in {took} ms: {} calls/s", seen.served, seen.served * 1000 / took);
    println!("{}.{} % of the limit, {} answers 429", per_mille / 10, per_mille % 10, seen.refused);
    println!("{peak_mib} MiB at most");
}

/// Does for each tenant what a wake does, one kind of request after the other.
async fn client(api_base: String) {
    let limit = u32::try_from(size("LIMIT", 100)).ok().and_then(NonZeroU32::new);
    let pace = Pace {
        requests_per_second: limit,
        requests_per_second_per_endpoint: limit,
        meter_events_per_second: limit,
        requests_at_a_time: None,
    };
    let target = Target { api_base, api_key: "sk_test_bench".to_owned().into() };
    let stripe = Stripe::with_limits(target, Limits { pace, ..Limits::default() }).unwrap();
    let (tenants, at_a_time) = (size("TENANTS", 2_000), stripe.at_a_time());
    let window = Window {
        start: "2026-10-01T00:00:00Z".parse().unwrap(),
        end: "2026-11-01T00:00:00Z".parse().unwrap(),
    };
    let totals = stream::iter(0..tenants).map(async |tenant| {
        let customer = format!("cus_{tenant}");
        stripe.meter_total("mtr_1", &customer, window).await.is_ok()
    });
    report("totals", &totals.buffer_unordered(at_a_time).collect::<Vec<_>>().await);
    let events = stream::iter(0..tenants).map(async |tenant| {
        let delivery = stripe.send_event(&event(tenant)).await;
        matches!(delivery, Ok(Delivery::Accepted { .. }))
    });
    report("events", &events.buffer_unordered(at_a_time).collect::<Vec<_>>().await);
    let previews = stream::iter(0..tenants)
        .map(async |tenant| matches!(stripe.preview(&format!("sub_{tenant}")).await, Ok(Some(_))));
    report("previews", &previews.buffer_unordered(at_a_time).collect::<Vec<_>>().await);
}

fn report(what: &str, outcomes: &[bool]) {
    let failed = outcomes.iter().filter(|is_good| !**is_good).count();
    println!("{what}: {} asked for, {failed} failed", outcomes.len());
}

fn event(tenant: u64) -> MeterEvent {
    MeterEvent {
        event_name: "calls".to_owned(),
        payload_keys: PayloadKeys::default(),
        customer_id: format!("cus_{tenant}"),
        identifier: format!("br-{tenant}"),
        further_key: String::new(),
        value: Quantity::parse("1").unwrap(),
        timestamp: "2026-10-31T23:59:00Z".parse().unwrap(),
    }
}

struct Server {
    limit: usize,
    latency: Duration,
    seen: Mutex<Seen>,
}

#[derive(Default)]
struct Seen {
    first: Option<Instant>,
    last: Option<Instant>,
    /// What was let in within the last second.
    recent: VecDeque<Instant>,
    /// The same of meter events: Stripe counts them apart.
    recent_events: VecDeque<Instant>,
    served: u128,
    refused: u64,
}

impl Server {
    /// In any one second so many are let in; those that are not do not count.
    fn lets_in(&self, path: &str) -> bool {
        let now = Instant::now();
        let mut seen = self.seen.lock().unwrap();
        let is_event = path == METER_EVENTS;
        let recent = if is_event { &mut seen.recent_events } else { &mut seen.recent };
        while recent.front().is_some_and(|at| now.duration_since(*at) >= Duration::from_secs(1)) {
            recent.pop_front();
        }
        if recent.len() >= self.limit {
            seen.refused += 1;
            return false;
        }
        recent.push_back(now);
        seen.first.get_or_insert(now);
        seen.last = Some(now);
        seen.served += 1;
        true
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let body = request.into_body().collect().await.unwrap().to_bytes();
        if !self.lets_in(&path) {
            let mut response = Response::new(Full::from("{}"));
            *response.status_mut() = hyper::StatusCode::TOO_MANY_REQUESTS;
            response.headers_mut().insert("stripe-rate-limited-reason", "global-rate".parse().unwrap());
            return response;
        }
        tokio::time::sleep(self.latency).await;
        Response::new(Full::from(match path.as_str() {
            METER_EVENTS => format!(r#"{{"identifier": "{}"}}"#, identifier(&body)),
            "/v1/invoices/create_preview" => preview(),
            _ => r#"{"data": [{"id": "mtrusg_1", "aggregated_value": 130}], "has_more": false}"#.to_owned(),
        }))
    }
}

fn identifier(form: &Bytes) -> String {
    let form = String::from_utf8_lossy(form);
    form.split('&').find_map(|pair| pair.strip_prefix("identifier=")).unwrap().to_owned()
}

/// With ten lines, as many as Stripe puts into an answer.
fn preview() -> String {
    let line = |number: u32| {
        format!(
            r#"{{"id": "il_tmp_{number}", "amount": 0, "currency": "try", "quantity": 1,
                 "period": {{"start": 1790812800, "end": 1793491200}}}}"#
        )
    };
    let lines: Vec<String> = (0..10).map(line).collect();
    format!(
        r#"{{"id": "upcoming_in_1", "object": "invoice", "status": "draft", "customer": "cus_1",
             "billing_reason": "upcoming", "created": 1793491200,
             "parent": {{"subscription_details": {{"subscription": "sub_1"}}}},
             "lines": {{"data": [{}], "has_more": false, "url": "/v1/invoices/upcoming_in_1/lines"}}}}"#,
        lines.join(",")
    )
}

async fn serve(listener: TcpListener, server: Arc<Server>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        tokio::spawn(converse(stream, server.clone()));
    }
}

async fn converse(stream: TcpStream, server: Arc<Server>) {
    stream.set_nodelay(true).unwrap();
    let service = service_fn(async |request| Ok::<_, Infallible>(server.answer(request).await));
    // A client that hangs up has what it wanted.
    let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

fn size(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
