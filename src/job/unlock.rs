//! Unlock: ends the lease of a process that is gone.
//!
//! In: the holder that a person names, or that any will do. Out: who held it. A lease that lives is ended only for who names
//! its holder; its process can write nothing from then on, because the fence is raised. Never begins a term itself.

use anyhow::Context as _;
use jiff::Timestamp;

use crate::domain::audit::AuditEvent;
use crate::job::Settings;
use crate::store::lease::Holder;
use crate::store::{Access, Books, StoreError};

/// Whose lease is meant.
#[derive(Clone, Debug)]
pub enum Claim {
    /// This holder's, living or not.
    Of(String),
    /// Anybody's that has expired.
    Expired,
}

/// Who held it; `None`: nobody.
pub async fn unlock(
    settings: &Settings,
    claim: &Claim,
    by: &str,
    now: Timestamp,
) -> anyhow::Result<Option<Holder>> {
    let store = settings.open(Access::Write).await?;
    let unlocked = end(&store.books(), claim, by, now).await;
    store.close().await;
    unlocked
}

async fn end(books: &Books, claim: &Claim, by: &str, now: Timestamp) -> anyhow::Result<Option<Holder>> {
    let Some(held) = books.snapshot().await?.lease_holder().await? else { return Ok(None) };
    let refused = match claim {
        Claim::Of(name) if *name == held.holder => None,
        Claim::Of(name) => Some(format!("`{name}` does not hold the lease")),
        Claim::Expired if held.expires_in_ms <= 0 => None,
        Claim::Expired => Some(format!(
            "the lease is alive; if its process is gone for certain, name it: billrecon unlock --holder {}",
            held.holder
        )),
    };
    if let Some(refused) = refused {
        return Err(StoreError::LeaseHeld(held)).context(refused);
    }
    let event =
        AuditEvent::LeaseUnlocked { holder: held.holder.clone(), fence: held.fence, by: by.to_owned() };
    books.unlock_lease(&held, &event, now).await?;
    Ok(Some(held))
}
