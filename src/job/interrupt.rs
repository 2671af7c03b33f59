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
            reason = self.come() => reason,
            result = work => return result,
        };
        end_at_the_second()?;
        Err(reason.into())
    }

    /// The result of work that may not be broken off, and the signal that came while it went on. A second SIGINT ends the
    /// process all the same: nobody should have to wait for a database that does not answer.
    pub async fn to_its_end<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> anyhow::Result<(T, Option<Interrupted>)> {
        let mut work = std::pin::pin!(work);
        let reason = tokio::select! {
            biased;
            reason = self.come() => reason,
            result = &mut work => return Ok((result, None)),
        };
        end_at_the_second()?;
        Ok((work.await, Some(reason)))
    }

    async fn come(&mut self) -> Interrupted {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => Interrupted::Interrupt,
            _ = self.terminate.recv() => Interrupted::Terminate,
        }
    }
}

/// From here on another listener waits for the second one.
fn end_at_the_second() -> anyhow::Result<()> {
    let mut second = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        if second.recv().await.is_some() {
            std::process::exit(INTERRUPTED);
        }
    });
    Ok(())
}
