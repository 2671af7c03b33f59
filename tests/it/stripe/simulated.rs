//! A server in this process that takes its time on tokio's paused clock, and writes down when each request left.
//!
//! In: how long an answer takes, and which one it is. Out: a client, and the log of what it sent.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use billrecon::stripe::{Exchange, Limits, Stripe};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use secrecy::SecretString;
use tokio::time::Instant;

use super::CANARY;

pub type Answer = Response<Full<Bytes>>;

/// An account that is understood; for other questions it is an answer too, if an odd one.
pub fn account() -> Answer {
    answer(200, &[], r#"{"id": "acct_1", "object": "account"}"#)
}

pub fn answer(status: u16, headers: &[(&str, &str)], body: &'static str) -> Answer {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Full::from(body)).unwrap()
}

/// 429 with the reason that Stripe names.
pub fn limited(reason: &str) -> Answer {
    answer(429, &[("Stripe-Rate-Limited-Reason", reason)], "{}")
}

/// Everything that was sent: when, and where to.
#[derive(Clone)]
pub struct Log {
    start: Instant,
    sent: Arc<Mutex<Vec<(Duration, String)>>>,
    under_way: Arc<Mutex<(usize, usize)>>,
}

impl Log {
    pub fn paths(&self) -> Vec<String> {
        self.sent.lock().unwrap().iter().map(|(_, path)| path.clone()).collect()
    }

    /// When requests whose path begins so were sent.
    pub fn times(&self, path: &str) -> Vec<Duration> {
        let sent = self.sent.lock().unwrap();
        sent.iter().filter(|(_, sent)| sent.starts_with(path)).map(|(at, _)| *at).collect()
    }

    /// The most that were sent in any one second.
    pub fn most_in_a_second(&self, path: &str) -> usize {
        let times = self.times(path);
        let from = |start: &Duration| {
            let second = *start..*start + Duration::from_secs(1);
            times.iter().filter(|at| second.contains(at)).count()
        };
        times.iter().map(from).max().unwrap_or(0)
    }

    /// The most that were under way at a time.
    pub fn most_under_way(&self) -> usize {
        self.under_way.lock().unwrap().1
    }
}

/// `answer` is given the path and how many requests there had been of it.
pub fn simulated(
    limits: Limits,
    latency: Duration,
    answer: impl Fn(&str, usize) -> Answer + Send + Sync + 'static,
) -> (Stripe, Log) {
    let start = Instant::now();
    let log = Log { start, sent: Arc::default(), under_way: Arc::default() };
    let (seen, answer, of_path) = (log.clone(), Arc::new(answer), Mutex::new(BTreeMap::new()));
    let exchange: Exchange = Arc::new(move |request: Request<Full<Bytes>>| {
        let path = request.uri().path().to_owned();
        let index = {
            let mut of_path = of_path.lock().unwrap();
            let count = of_path.entry(path.clone()).or_insert(0);
            *count += 1;
            *count - 1
        };
        let (seen, answer) = (seen.clone(), answer.clone());
        Box::pin(async move {
            seen.sent.lock().unwrap().push((seen.start.elapsed(), path.clone()));
            {
                let mut under_way = seen.under_way.lock().unwrap();
                under_way.0 += 1;
                under_way.1 = under_way.1.max(under_way.0);
            }
            tokio::time::sleep(latency).await;
            seen.under_way.lock().unwrap().0 -= 1;
            Ok(answer(&path, index))
        })
    });
    (Stripe::through(exchange, SecretString::from(CANARY), limits).unwrap(), log)
}
