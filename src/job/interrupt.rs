//! Signals: SIGINT and SIGTERM end the work at its next step, so that the lease can be given back.
//!
//! In: the work. Out: its result, or [`Interrupted`]. An open transaction is rolled back; what was committed stays, and
//! the same command goes on from there. A second SIGINT ends the process at once.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Interrupted {
    #[error("interrupted: what was committed stays; run the same command again to go on")]
    Interrupt,
    #[error("terminated: what was committed stays; run the same command again to go on")]
    Terminate,
}

/// The exit code of a process that a second SIGINT ends.
const INTERRUPTED: i32 = 130;

pub async fn unless_interrupted<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let reason = tokio::select! {
        result = work => return result,
        _ = interrupt.recv() => Interrupted::Interrupt,
        _ = terminate.recv() => Interrupted::Terminate,
    };
    tokio::spawn(async move {
        if interrupt.recv().await.is_some() {
            std::process::exit(INTERRUPTED);
        }
    });
    Err(reason.into())
}
