//! The socket: HTTP/1.1 on a loopback port, without a framework, so that a connection can also be broken.
//!
//! In: a listener and an account. Out: each request's outcome on its connection, or a broken connection where that is the
//! outcome. Ends when it is told to: what was asked before is still answered. Never knows what an answer says.

use std::error::Error;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::account::Outcome;
use super::local::Local;
use super::throttle::Throttle;

/// How long it waits where the machine has no more connections to give.
const PAUSE: Duration = Duration::from_millis(100);

/// How a connection ends that is not to end well.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error("the connection is broken off after these bytes")]
    After(Bytes),
    #[error("the connection is reset")]
    Reset,
}

/// Serves until `end` changes or its sender is gone.
pub async fn serve(listener: TcpListener, local: Local, mut end: watch::Receiver<()>) {
    let throttle = Arc::new(Throttle::new(&local.limits()));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, local.clone(), throttle.clone(), end.clone()));
                }
                Err(error) => {
                    tracing::warn!("the sandbox cannot take a connection: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
            _ = end.changed() => break,
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(stream: TcpStream, local: Local, throttle: Arc<Throttle>, mut end: watch::Receiver<()>) {
    // Small answers would wait for the client's acknowledgement; where the system refuses, they do.
    let _slower = stream.set_nodelay(true);
    let ends = end.clone();
    let service = service_fn(|request| response(request, &local, &throttle, ends.clone()));
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    let ended = tokio::select! {
        ended = &mut connection => Some(ended),
        _ = end.changed() => None,
    };
    let ended = if let Some(ended) = ended {
        ended
    } else {
        Pin::new(&mut connection).graceful_shutdown();
        (&mut connection).await
    };
    let Err(error) = ended else { return };
    let stream = connection.into_parts().io.into_inner();
    let left = match error.source().and_then(|cause| cause.downcast_ref()) {
        Some(Broken::After(bytes)) => cut_off(stream, bytes).await,
        // What the client sees is a reset, not an end.
        Some(Broken::Reset) => stream.set_zero_linger(),
        None => Ok(()),
    };
    if let Err(error) = left {
        tracing::debug!("a connection to the sandbox was gone before it could be broken: {error}");
    }
}

async fn cut_off(mut stream: TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes).await?;
    stream.shutdown().await
}

async fn response(
    request: Request<Incoming>,
    local: &Local,
    throttle: &Throttle,
    mut end: watch::Receiver<()>,
) -> Result<Response<Full<Bytes>>, Broken> {
    let too_many = throttle.pass(request.uri().path()).await;
    match local.outcome(request, too_many).await {
        Outcome::Answer(response) => Ok(response.map(Full::new)),
        Outcome::Cut(response) => Err(Broken::After(half(&response))),
        Outcome::Reset => Err(Broken::Reset),
        Outcome::Hang => {
            // Until the client gives up, or the sandbox ends.
            let _ended = end.changed().await;
            Err(Broken::Reset)
        }
    }
}

/// The head, and half of the body that it promises.
fn half(response: &Response<Bytes>) -> Bytes {
    let body = response.body();
    let mut text =
        format!("HTTP/1.1 {}\r\ncontent-length: {}\r\n", response.status(), body.len()).into_bytes();
    for (name, value) in response.headers() {
        text.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    text.extend(b"\r\n");
    text.extend(&body[..body.len() / 2]);
    text.into()
}
