//! The account pin: the one Stripe account and mode, or the sandbox, that this database belongs to.
//!
//! In: an account. Out: the same. Written once: a second pin is refused by its key.

use jiff::Timestamp;

use crate::domain::invoice::Account;
use crate::store::books::{BooksView, BooksWrite};
use crate::store::error::StoreError;

impl BooksView {
    pub async fn pinned_account(&mut self) -> Result<Option<Account>, StoreError> {
        let rows = self.tx.fetch("SELECT account_id, livemode FROM account_pin", Vec::new()).await?;
        let account = rows
            .into_iter()
            .next()
            .map(|mut row| Ok(Account { id: row.text()?, livemode: row.integer()? != 0 }));
        account.transpose()
    }
}

impl BooksWrite {
    pub async fn pin_account(&mut self, account: &Account, now: Timestamp) -> Result<(), StoreError> {
        let sql = "INSERT INTO account_pin (pin, account_id, livemode, pinned_at) VALUES (1, ?, ?, ?)";
        let values = vec![account.id.as_str().into(), i64::from(account.livemode).into(), now.into()];
        self.tx.execute(sql, values).await.map(|_| ())
    }
}
