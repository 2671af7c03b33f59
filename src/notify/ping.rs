//! Pings: a dead-man's switch hears when a wake begins and how it ended, by the protocol of healthchecks.io.
//!
//! In: the check's address, a moment, a few words. Out: nothing, or a [`PingError`]. The address is a secret: neither it nor
//! anything that holds it is ever shown. A ping takes a few seconds at most, whoever does not answer.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, Uri};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

/// For one ping, repetitions and pauses too.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// For one answer: so short that there is time for another try.
const ATTEMPT: Duration = Duration::from_secs(2);
const REPETITIONS: usize = 2;
/// What such checks keep of a body.
const MOST: usize = 10_000;

/// What the check hears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Start,
    /// How it ended: 0 is well, any other code is a failure of the check.
    End(i32),
    /// Words that change nothing of the check: another process works on it, and says itself how it ends.
    Note,
}

/// Why nobody heard it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PingError {
    #[error("it cannot be reached")]
    Unreachable,
    #[error("it did not answer in time")]
    Timeout,
    #[error("it answered with {0}")]
    Refused(u16),
    #[error("its address cannot be read")]
    NoAddress,
    #[error("no certificates of authorities are installed on this machine")]
    NoCertificates,
}

impl PingError {
    fn passes(self) -> bool {
        match self {
            Self::Unreachable | Self::Timeout => true,
            Self::Refused(status) => status == 429 || status >= 500,
            Self::NoAddress | Self::NoCertificates => false,
        }
    }
}

/// Tells the check of one moment; `wake` is the same at the start and at the end.
pub async fn ping(
    check: &SecretString,
    moment: Moment,
    wake: Uuid,
    words: &str,
    within: Duration,
) -> Result<(), PingError> {
    let base = check.expose_secret();
    let place = match moment {
        Moment::Start => "start".to_owned(),
        Moment::End(code) => code.to_string(),
        Moment::Note => "log".to_owned(),
    };
    let uri: Uri = format!("{base}/{place}?rid={wake}").parse().map_err(|_| PingError::NoAddress)?;
    let client = client()?;
    let body = Bytes::copy_from_slice(shortened(words).as_bytes());
    let once = || async {
        let one = post(&client, &uri, &body);
        tokio::time::timeout(ATTEMPT.min(within), one).await.unwrap_or(Err(PingError::Timeout))
    };
    let pauses = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(200))
        .with_max_times(REPETITIONS)
        .with_jitter();
    let all = once.retry(pauses).when(|error| error.passes());
    tokio::time::timeout(within, all).await.unwrap_or(Err(PingError::Timeout))
}

type HttpClient = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// The configuration lets no plain address of another machine pass; a redirect is never followed.
fn client() -> Result<HttpClient, PingError> {
    let tls = HttpsConnectorBuilder::new().with_native_roots().map_err(|_| PingError::NoCertificates)?;
    Ok(Client::builder(TokioExecutor::new()).build(tls.https_or_http().enable_http1().build()))
}

async fn post(client: &HttpClient, uri: &Uri, body: &Bytes) -> Result<(), PingError> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(uri)
        .header("user-agent", concat!("billrecon/", env!("CARGO_PKG_VERSION")))
        .header("content-type", "text/plain; charset=utf-8")
        .body(Full::new(body.clone()))
        .map_err(|_| PingError::NoAddress)?;
    // hyper's own words may name the address.
    let answer = client.request(request).await.map_err(|_| PingError::Unreachable)?;
    let status = answer.status();
    if status.is_success() { Ok(()) } else { Err(PingError::Refused(status.as_u16())) }
}

fn shortened(words: &str) -> &str {
    let mut end = words.len().min(MOST);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    &words[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_words_are_cut_between_two_characters() {
        assert_eq!(shortened("all is well"), "all is well");
        let long = "ü".repeat(MOST);
        assert_eq!(shortened(&long).len(), MOST);
        let odd = format!("a{long}");
        assert_eq!(shortened(&odd).len(), MOST - 1);
    }
}
