//! The lease as the running process sees it: taken, kept alive, trusted only for a while, given back.
//!
//! In: the books, a time to live. Out: a term that may be used for writing, or [`StoreError::LeaseLost`]. The database
//! decides who holds the lease; the monotonic clock here only decides when to stop trusting the last answer. That is
//! the one clock that the job reads.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::task::JoinHandle;

use crate::domain::audit::AuditEvent;
use crate::job::interrupt::Signals;
use crate::store::lease::Term;
use crate::store::{Books, StoreError};

/// How often a waiting process asks again.
const ASK_AGAIN: Duration = Duration::from_millis(200);

pub struct Lease {
    books: Books,
    /// When the wake began to wait for it.
    since: Instant,
    term: Term,
    trusted_until: Arc<Mutex<Option<Instant>>>,
    heartbeat: JoinHandle<()>,
}

/// Runs `work` under the lease and gives it back, whatever became of the work, also where a signal broke it off.
pub async fn under_lease<T>(
    books: &Books,
    ttl: Duration,
    wait: Duration,
    now: Timestamp,
    signals: &mut Signals,
    work: impl AsyncFnOnce(&Lease) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let lease = Lease::take(books, ttl, wait, signals).await?;
    let result = signals
        .unless_interrupted(async {
            lease.audit_takeover(now).await?;
            work(&lease).await
        })
        .await;
    let kept = lease.release().await;
    // What was read under a lost lease may be another run's work, and is not ours to report.
    let done = result?;
    if kept { Ok(done) } else { Err(StoreError::LeaseLost.into()) }
}

impl Lease {
    /// A signal ends the waiting between two questions, never a question: its answer may be that the lease is ours, and what
    /// was won must be given back.
    async fn take(
        books: &Books,
        ttl: Duration,
        wait: Duration,
        signals: &mut Signals,
    ) -> anyhow::Result<Self> {
        let holder = crate::job::holder_name();
        let since = Instant::now();
        let give_up = since + wait;
        loop {
            let asked = Instant::now();
            let (answer, interrupted) = signals.to_its_end(books.take_lease(&holder, ttl)).await?;
            match (answer, interrupted) {
                (Ok(term), Some(reason)) => {
                    Self::keep(books.clone(), term, ttl, since, asked).release().await;
                    return Err(reason.into());
                }
                (Err(_), Some(reason)) => return Err(reason.into()),
                (Ok(term), None) => {
                    let lease = Self::keep(books.clone(), term, ttl, since, asked);
                    // After the first heartbeat is set: whoever reads our words slowly must not cost us the lease.
                    tracing::info!("lease won by {holder} (term {})", lease.term.fence);
                    return Ok(lease);
                }
                (Err(StoreError::LeaseHeld(_) | StoreError::Busy(_)), None) if asked < give_up => {
                    let pause = async {
                        tokio::time::sleep(ASK_AGAIN).await;
                        Ok(())
                    };
                    signals.unless_interrupted(pause).await?;
                }
                (Err(error), None) => return Err(error.into()),
            }
        }
    }

    fn keep(books: Books, term: Term, ttl: Duration, since: Instant, asked: Instant) -> Self {
        let trusted_until = Arc::new(Mutex::new(Some(asked + trust(ttl))));
        let beat = heartbeat(books.clone(), term.clone(), ttl, trusted_until.clone());
        Self { books, since, term, trusted_until, heartbeat: tokio::spawn(beat) }
    }

    /// How old the wake's `now` is: it was read just before the waiting began.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// The term, for one write. Past the deadline nothing may be written: another run may have begun.
    pub fn term(&self) -> Result<&Term, StoreError> {
        let until = *self.trusted_until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.is_some_and(|until| Instant::now() < until) {
            Ok(&self.term)
        } else {
            Err(StoreError::LeaseLost)
        }
    }

    async fn audit_takeover(&self, now: Timestamp) -> anyhow::Result<()> {
        let Some(from) = &self.term.taken_over_from else { return Ok(()) };
        tracing::warn!(
            "the lease of {from} had expired and was taken over; that run ended without giving it back"
        );
        let event = AuditEvent::LeaseTakenOver { holder: self.term.holder.clone(), from: from.clone() };
        let mut write = self.books.write(self.term()?).await?;
        write.audit(&event, "", now).await?;
        Ok(write.commit().await?)
    }

    /// Gives the lease back; `false` if another run has taken it over.
    async fn release(self) -> bool {
        self.heartbeat.abort();
        match self.books.release_lease(&self.term).await {
            Ok(()) => true,
            Err(StoreError::LeaseLost) => false,
            Err(error) => {
                tracing::warn!("the lease could not be given back: {error}; it expires by itself");
                true
            }
        }
    }
}

/// A term is trusted for less than it lasts, so that our clock may run slow by a tenth.
fn trust(ttl: Duration) -> Duration {
    ttl * 9 / 10
}

async fn heartbeat(books: Books, term: Term, ttl: Duration, trusted_until: Arc<Mutex<Option<Instant>>>) {
    let mut pause = ttl / 3;
    loop {
        tokio::time::sleep(pause).await;
        let asked = Instant::now();
        let until = match books.renew_lease(&term, ttl).await {
            Ok(()) => Some(asked + trust(ttl)),
            Err(StoreError::LeaseLost) => None,
            Err(error) => {
                tracing::warn!("the lease could not be renewed: {error}");
                continue;
            }
        };
        // An answer that our own long write held up is old already: ask again at once.
        pause = if asked.elapsed() > ttl / 3 { Duration::ZERO } else { ttl / 3 };
        *trusted_until.lock().unwrap_or_else(PoisonError::into_inner) = until;
        if until.is_none() {
            return;
        }
    }
}
