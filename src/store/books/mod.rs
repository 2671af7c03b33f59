//! The books port: rules, tenants, lease, runs, intents, closed figures, comparison, outbox, audit log.
//!
//! In: values of the domain and a won [`Term`]. Out: the same values, as they were written. [`BooksWrite`] exists only
//! with a valid term, checked inside its transaction, so no state can be written without the lease. Never computes.

mod account;
mod accruals;
mod adjustments;
mod audit;
mod closed;
mod comparison;
mod differences;
mod figures;
mod intents;
mod judged;
mod layout;
mod limits;
mod outbox;
mod parking;
mod reported;
mod rules;
mod runs;
mod seen;
mod vitals;

use std::time::Duration;

pub use crate::domain::audit::AuditRow;
pub use audit::{Approval, CatalogVersion, RunFiles, details};
pub use comparison::ComparedRow;
pub use figures::ClosedWindow;
pub use judged::{Earlier, EarlierPeriod};
pub use limits::StoredLimit;
pub use outbox::{OutboxMessage, Unsent};
pub use parking::{DraftWatch, ParkedWindow};
pub use rules::StoredCatalog;
pub use runs::{JobCounts, MadeWith, PeriodJob, PeriodStatus, Run, RunState};
pub use seen::Look;

use jiff::Timestamp;

use crate::domain::audit::AuditEvent;
use crate::store::connection::{Pool, Tx};
use crate::store::error::StoreError;
use crate::store::lease::{self, Holder, Term};

#[derive(Clone)]
pub struct Books {
    pool: Pool,
}

impl Books {
    pub(in crate::store) fn new(pool: Pool) -> Self {
        Self { pool }
    }

    /// One unchanging view for reading.
    pub async fn snapshot(&self) -> Result<BooksView, StoreError> {
        Ok(BooksView { tx: self.pool.begin_snapshot().await? })
    }

    /// A write transaction under the lease.
    pub async fn write(&self, term: &Term) -> Result<BooksWrite, StoreError> {
        let mut tx = self.pool.begin_write().await?;
        lease::check(&mut tx, term).await?;
        Ok(BooksWrite { tx })
    }

    /// Whether the term is still valid, for a step that writes elsewhere than in the database.
    pub async fn prove(&self, term: &Term) -> Result<(), StoreError> {
        self.write(term).await.map(|_rolled_back| ())
    }

    /// A write transaction that may do nothing but append to the audit log: an import of usage has no lease.
    pub async fn append(&self) -> Result<BooksAppend, StoreError> {
        Ok(BooksAppend { tx: self.pool.begin_write().await? })
    }

    pub async fn take_lease(&self, holder: &str, ttl: Duration) -> Result<Term, StoreError> {
        lease::take(&self.pool, holder, ttl).await
    }

    pub async fn renew_lease(&self, term: &Term, ttl: Duration) -> Result<(), StoreError> {
        lease::renew(&self.pool, term, ttl).await
    }

    /// Ends the term of a holder that is gone, with the audit row that says so.
    pub async fn unlock_lease(
        &self,
        held: &Holder,
        event: &AuditEvent,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut tx = self.pool.begin_write().await?;
        lease::unlock(&mut tx, held).await?;
        audit::append(&mut tx, event, "", now).await?;
        tx.commit().await
    }

    pub async fn release_lease(&self, term: &Term) -> Result<(), StoreError> {
        lease::release(&self.pool, term).await
    }
}

/// Reading; see `rules`, `runs`, `figures` and `audit` for what.
pub struct BooksView {
    tx: Tx,
}

impl BooksView {
    /// Who holds the lease now.
    pub async fn lease_holder(&mut self) -> Result<Option<Holder>, StoreError> {
        lease::current(&mut self.tx).await
    }
}

/// Writing under the lease. Nothing is there before [`BooksWrite::commit`].
pub struct BooksWrite {
    tx: Tx,
}

impl BooksWrite {
    pub async fn commit(self) -> Result<(), StoreError> {
        self.tx.commit().await
    }
}

/// Appending receipts and audit rows without the lease.
pub struct BooksAppend {
    tx: Tx,
}

impl BooksAppend {
    pub async fn commit(self) -> Result<(), StoreError> {
        self.tx.commit().await
    }
}
