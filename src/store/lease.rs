//! The lease: one row that says which process may write, until when, in which term.
//!
//! In: a holder's name, a time to live. Out: a [`Term`] with a fence number that grows with every new term. The
//! database's own clock decides about expiry, so clocks of runners may differ. A pause between the check and a write
//! cannot hurt: the check is part of the write's transaction, and a takeover waits for that transaction. Never uses a
//! session lock: behind a pooler two sessions can hold the same one.

use std::fmt;
use std::time::Duration;

use crate::store::connection::{Pool, Tx, Value};
use crate::store::error::StoreError;

/// The one lease that all writers of state compete for.
const NAME: &str = "run";

/// A won lease. Every write of state needs one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Term {
    pub holder: String,
    pub fence: i64,
    /// Who held it before and let it expire.
    pub taken_over_from: Option<String>,
}

/// Who holds the lease now, by the database's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    pub holder: String,
    pub fence: i64,
    pub held_ms: i64,
    pub heartbeat_age_ms: i64,
    pub expires_in_ms: i64,
}

impl fmt::Display for Holder {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |milliseconds: i64| milliseconds / 1000;
        write!(
            out,
            "{} for {} s (term {}), last heartbeat {} s ago, expires in {} s",
            self.holder,
            seconds(self.held_ms),
            self.fence,
            seconds(self.heartbeat_age_ms),
            seconds(self.expires_in_ms)
        )
    }
}

/// Takes the lease if it is free or expired; else [`StoreError::LeaseHeld`].
pub(in crate::store) async fn take(pool: &Pool, holder: &str, ttl: Duration) -> Result<Term, StoreError> {
    match try_to_take(pool, holder, ttl).await {
        // The holder is in the middle of a long transaction: it can still be named.
        Err(StoreError::Busy(text)) => match current(&mut pool.begin_snapshot().await?).await? {
            Some(held) => Err(StoreError::LeaseHeld(held)),
            None => Err(StoreError::Busy(text)),
        },
        tried => tried,
    }
}

async fn try_to_take(pool: &Pool, holder: &str, ttl: Duration) -> Result<Term, StoreError> {
    let mut tx = pool.begin_write().await?;
    let before = current(&mut tx).await?;
    let values = vec![NAME.into(), holder.into(), milliseconds(ttl)];
    let sql = "INSERT INTO lease (name, holder, fence, acquired_at, renewed_at, expires_at)
        VALUES (?, ?, 1, {now_ms}, {now_ms}, {now_ms} + ?)
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, fence = lease.fence + 1,
            acquired_at = excluded.acquired_at, renewed_at = excluded.renewed_at, expires_at = excluded.expires_at
        WHERE lease.expires_at <= {now_ms}
        RETURNING fence";
    let Some(mut won) = tx.fetch(sql, values).await?.pop() else {
        // The row can have changed between the two statements only in PostgreSQL, by a takeover: look again.
        let held = current(&mut tx).await?.or(before);
        return Err(held.map_or(StoreError::LeaseLost, StoreError::LeaseHeld));
    };
    let fence = won.integer()?;
    tx.commit().await?;
    let taken_over_from = before.map(|before| before.holder).filter(|before| !before.is_empty());
    Ok(Term { holder: holder.to_owned(), fence, taken_over_from })
}

/// Prolongs the term. That works past its end too, as long as nobody has begun a new one: the fence proves it.
pub(in crate::store) async fn renew(pool: &Pool, term: &Term, ttl: Duration) -> Result<(), StoreError> {
    let mut tx = pool.begin_write().await?;
    let sql = "UPDATE lease SET renewed_at = {now_ms}, expires_at = {now_ms} + ?
        WHERE name = ? AND fence = ? AND holder = ?";
    let values = vec![milliseconds(ttl), NAME.into(), term.fence.into(), term.holder.as_str().into()];
    match tx.execute(sql, values).await? {
        1 => tx.commit().await,
        _ => Err(StoreError::LeaseLost),
    }
}

/// Ends the term. The row stays, so that the fence goes on growing.
pub(in crate::store) async fn release(pool: &Pool, term: &Term) -> Result<(), StoreError> {
    let mut tx = pool.begin_write().await?;
    let sql = "UPDATE lease SET holder = '', expires_at = 0 WHERE name = ? AND fence = ? AND holder = ?";
    match tx.execute(sql, vec![NAME.into(), term.fence.into(), term.holder.as_str().into()]).await? {
        1 => tx.commit().await,
        _ => Err(StoreError::LeaseLost),
    }
}

/// Ends a term from outside, and raises the fence: who held it can write nothing any more, whatever it believes.
pub(in crate::store) async fn unlock(tx: &mut Tx, held: &Holder) -> Result<(), StoreError> {
    let sql = "UPDATE lease SET holder = '', fence = fence + 1, expires_at = 0 WHERE name = ? AND fence = ? AND holder = ?";
    match tx.execute(sql, vec![NAME.into(), held.fence.into(), held.holder.as_str().into()]).await? {
        1 => Ok(()),
        _ => Err(StoreError::LeaseLost),
    }
}

/// Proves inside a write transaction that the term is still valid, and keeps it so until the transaction ends.
pub(in crate::store) async fn check(tx: &mut Tx, term: &Term) -> Result<(), StoreError> {
    let sql = "SELECT fence FROM lease WHERE name = ? AND fence = ? AND holder = ? AND expires_at > {now_ms} {for_share}";
    let found = tx.fetch(sql, vec![NAME.into(), term.fence.into(), term.holder.as_str().into()]).await?;
    if found.is_empty() { Err(StoreError::LeaseLost) } else { Ok(()) }
}

/// The unexpired or expired holder, if any.
pub(in crate::store) async fn current(tx: &mut Tx) -> Result<Option<Holder>, StoreError> {
    let sql = "SELECT holder, fence, {now_ms} - acquired_at, {now_ms} - renewed_at, expires_at - {now_ms}
        FROM lease WHERE name = ? AND holder <> ''";
    let Some(mut row) = tx.fetch(sql, vec![NAME.into()]).await?.pop() else { return Ok(None) };
    Ok(Some(Holder {
        holder: row.text()?,
        fence: row.integer()?,
        held_ms: row.integer()?,
        heartbeat_age_ms: row.integer()?,
        expires_in_ms: row.integer()?,
    }))
}

fn milliseconds(ttl: Duration) -> Value {
    Value::Integer(i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX))
}
