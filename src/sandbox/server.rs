//! The socket: HTTP/1.1 on a loopback port, without a framework, so that a connection can also be broken.
//!
//! In: a listener and an account. Out: each request's outcome on its connection. Ends when it is told to: what was asked
//! before is still answered. Never knows what an answer says.

use std::convert::Infallible;
use std::pin::pin;
use std::time::Duration;

use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::account::Outcome;
use super::local::Local;

/// How long it waits where the machine has no more connections to give.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves until `end` changes or its sender is gone.
pub async fn serve(listener: TcpListener, local: Local, mut end: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, local.clone(), end.clone()));
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

async fn connection(stream: TcpStream, local: Local, mut end: watch::Receiver<()>) {
    // Small answers would wait for the client's acknowledgement; where the system refuses, they do.
    let _slower = stream.set_nodelay(true);
    let service = service_fn(async |request| {
        let Outcome::Answer(response) = local.outcome(request).await;
        Ok::<_, Infallible>(response.map(Full::new))
    });
    let mut connection = pin!(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = end.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("a connection to the sandbox has ended: {error}");
    }
}
