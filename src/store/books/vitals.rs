//! Vital signs that only the database can count.
//!
//! In: nothing. Out: counts by word, and money by currency. Reads only, and never names a tenant.

use std::collections::BTreeMap;

use crate::domain::intent::IntentState;
use crate::domain::money::Currency;
use crate::domain::policy::VerdictWord;
use crate::domain::reconcile::Class;
use crate::domain::tenant::ParkReason;
use crate::store::books::BooksView;
use crate::store::books::rules::word;
use crate::store::error::StoreError;
use crate::store::row::Row;

impl BooksView {
    pub async fn intents_by_state(&mut self) -> Result<Vec<(IntentState, u64)>, StoreError> {
        let sql = "SELECT state, COUNT(*) FROM intents GROUP BY state";
        let of_state = |mut row: Row| Ok((word(&row.text()?, IntentState::parse)?, row.count()?));
        self.tx.fetch_map(sql, Vec::new(), of_state).await
    }

    pub async fn parked_by_reason(&mut self) -> Result<Vec<(ParkReason, u64)>, StoreError> {
        let sql = "SELECT reason, COUNT(*) FROM parked_windows GROUP BY reason";
        let of_reason = |mut row: Row| Ok((word(&row.text()?, ParkReason::parse)?, row.count()?));
        self.tx.fetch_map(sql, Vec::new(), of_reason).await
    }

    /// Those that are there, for all that is known.
    pub async fn differences_by_class(&mut self) -> Result<Vec<(Class, u64)>, StoreError> {
        let sql = "SELECT class, COUNT(*) FROM differences WHERE gone_at IS NULL GROUP BY class";
        let of_class = |mut row: Row| Ok((word(&row.text()?, Class::parse)?, row.count()?));
        self.tx.fetch_map(sql, Vec::new(), of_class).await
    }

    /// What the rows of closed windows and of each period's last run leave unexplained, each without its sign: what lacks here does not make up for
    /// what is too much there.
    pub async fn unexplained(&mut self) -> Result<BTreeMap<Currency, i128>, StoreError> {
        let sql = "SELECT currency, ledger_amount_minor, stripe_amount_minor FROM reconciliation
            WHERE reason = '' AND class NOT IN ('matched', 'out_of_scope')
                AND (closed = 1 OR run_id IN (SELECT run_id FROM billing_period_jobs))";
        let wrong = |error: &str| StoreError::inconsistent("an amount of the comparison", error);
        let difference = |mut row: Row| {
            let currency = Currency::parse(&row.text()?);
            let currency = currency.map_err(|error| wrong(&error.to_string()))?;
            let (ledger, stripe) = (row.text()?, row.text()?);
            // A side that is not there has no money.
            let minor = |text: &str| match text {
                "" => Ok(0),
                text => text.parse::<i64>().map_err(|error| wrong(&error.to_string())),
            };
            Ok((currency, (i128::from(minor(&ledger)?) - i128::from(minor(&stripe)?)).abs()))
        };
        let mut sums = BTreeMap::new();
        for (currency, minor) in self.tx.fetch_map(sql, Vec::new(), difference).await? {
            *sums.entry(currency).or_default() += minor;
        }
        Ok(sums)
    }

    pub async fn last_verdict(&mut self) -> Result<Option<VerdictWord>, StoreError> {
        Ok(self.last_said().await?.map(|said| said.word))
    }
}
