//! A Stripe that is reached by a function instead of a socket, as simulations reach the sandbox.
//!
//! In: answers, and failures of the way itself. Out: the same results as over a socket, and no time that passes.

use std::io;
use std::sync::{Arc, Mutex};

use billrecon::stripe::{Exchange, Limits, Stripe, StripeError, Waits};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, Response};
use secrecy::SecretString;

use super::CANARY;

const ACCOUNT: &str = r#"{"id": "acct_1", "object": "account"}"#;

type Outcome = io::Result<Response<Full<Bytes>>>;

fn answer(status: u16, body: &'static str) -> Response<Full<Bytes>> {
    Response::builder().status(status).header("Retry-After", "1").body(Full::from(body)).unwrap()
}

fn failure(kind: io::ErrorKind) -> Outcome {
    Err(io::Error::new(kind, "planted"))
}

/// Outcomes in turn, and the URIs that were asked for.
fn exchange(outcomes: Vec<Outcome>) -> (Exchange, Arc<Mutex<Vec<String>>>) {
    let (outcomes, asked) = (Mutex::new(outcomes.into_iter()), Arc::new(Mutex::new(Vec::new())));
    let log = asked.clone();
    let exchange = move |request: Request<Full<Bytes>>| -> futures_util::future::BoxFuture<'static, Outcome> {
        log.lock().unwrap().push(request.uri().to_string());
        Box::pin(std::future::ready(outcomes.lock().unwrap().next().unwrap()))
    };
    (Arc::new(exchange), asked)
}

fn through(exchange: Exchange) -> Stripe {
    let limits = Limits { waits: Waits::Skipped, ..Limits::default() };
    Stripe::through(exchange, SecretString::from(CANARY), limits).unwrap()
}

#[tokio::test(start_paused = true)]
async fn troubles_are_repeated_as_over_a_socket_and_no_wait_is_taken() {
    let troubles = vec![
        Ok(answer(500, "{}")),
        Ok(answer(429, "{}")),
        failure(io::ErrorKind::ConnectionReset),
        failure(io::ErrorKind::TimedOut),
        Ok(answer(200, ACCOUNT)),
    ];
    let (exchange, asked) = exchange(troubles);
    let began = tokio::time::Instant::now();
    assert_eq!(through(exchange).account().await.unwrap().id, "acct_1");
    // The paused clock runs on whenever everybody waits.
    assert_eq!(began.elapsed(), std::time::Duration::ZERO);
    assert_eq!(asked.lock().unwrap().as_slice(), ["http://localhost/v1/account"; 5]);
}

#[tokio::test]
async fn an_answer_that_is_late_is_told_from_a_connection_that_breaks() {
    for (kind, attempts) in [(io::ErrorKind::TimedOut, 2), (io::ErrorKind::ConnectionReset, 5)] {
        let (exchange, asked) = exchange((0..attempts).map(|_| failure(kind)).collect());
        let error = through(exchange).account().await.unwrap_err();
        assert!(matches!(&error, StripeError::Unavailable { status: None, .. }), "{error:?}");
        assert!(error.to_string().contains("planted"), "{error}");
        assert_eq!(asked.lock().unwrap().len(), attempts);
    }
}
