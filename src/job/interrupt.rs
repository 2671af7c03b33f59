//! Signals: SIGINT and SIGTERM end the work at its next step, so that the lease can be given back.
//!
//! In: the work. Out: its result, or [`Interrupted`]. An open transaction is rolled back; what was committed stays, and
//! the same command goes on from there. A second SIGINT ends the process at once.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Interrupted {
    #[error("interrupted: what was committed stays; run the same command again to go on")]
    Interrupt,
    #[error("terminated: what was committed stays; run the same command again to go on")]
    Terminate,
}

/// The exit code of a process that a second SIGINT ends.
const INTERRUPTED: i32 = 130;

/// Listens from the moment it is made, so that a signal between two pieces of work is not lost.
pub struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    pub fn listen() -> anyhow::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    /// The result of the work, unless a signal has come before it.
    pub async fn unless_interrupted<T>(
        &mut self,
        work: impl Future<Output = anyhow::Result<T>>,
    ) -> anyhow::Result<T> {
        let reason = tokio::select! {
            biased;
            _ = self.interrupt.recv() => Interrupted::Interrupt,
            _ = self.terminate.recv() => Interrupted::Terminate,
            result = work => return result,
        };
        // From here on another listener waits for the second one.
        let mut second = signal(SignalKind::interrupt())?;
        tokio::spawn(async move {
            if second.recv().await.is_some() {
                std::process::exit(INTERRUPTED);
            }
        });
        Err(reason.into())
    }
}
