//! What was seen: of the ledger by a run, and how far a period was looked at last.
//!
//! In: counts and sums of a run, in its transaction. Out: the same. A run's are written once with its close, for an auditor;
//! a period's tell the next wake whether records have come since. Never computes.

use std::collections::BTreeMap;

use crate::domain::money::{Currency, MinorSum};
use crate::domain::period::{Period, Window};
use crate::domain::report::{LedgerSeen, Money};
use crate::store::books::runs::period;
use crate::store::books::{BooksView, BooksWrite};
use crate::store::connection::Value;
use crate::store::error::StoreError;
use crate::store::row::Row;

/// A period as it was looked at last: its time, and how many records had arrived for the days of that time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    pub reach: Window,
    pub arrived: u64,
}

impl BooksWrite {
    /// Keeps how a period was looked at; its job must be there.
    pub async fn save_look(&mut self, period: Period, look: Look) -> Result<(), StoreError> {
        let sql =
            "UPDATE billing_period_jobs SET reach_start = ?, reach_end = ?, arrived = ? WHERE period = ?";
        let Look { reach, arrived } = look;
        let values = vec![reach.start.into(), reach.end.into(), arrived.into(), period.to_string().into()];
        self.tx.execute(sql, values).await.map(|_| ())
    }

    /// Keeps what the ledger held when a run read it, and what the figures of the run come to.
    pub async fn save_seen(
        &mut self,
        run_id: &str,
        ledger: LedgerSeen,
        totals: &[Money],
    ) -> Result<(), StoreError> {
        let sql = "UPDATE runs SET ledger_records = ?, ledger_recorded_at = ? WHERE run_id = ?";
        self.tx.execute(sql, vec![ledger.records.into(), ledger.recorded_at.into(), run_id.into()]).await?;
        let columns = &["run_id", "currency", "base_minor", "usage_minor", "late_minor"];
        let rows = totals.iter().map(|one| {
            let sums = [one.base, one.usage, one.late].map(|sum| Value::from(sum.minor.to_string()));
            [run_id.into(), one.base.currency.code().into()].into_iter().chain(sums).collect()
        });
        self.tx.insert("run_totals", columns, rows, "").await.map(|_| ())
    }
}

impl BooksView {
    /// Periods that were looked at since such looks are kept.
    pub async fn looks(&mut self) -> Result<BTreeMap<Period, Look>, StoreError> {
        let sql = "SELECT period, reach_start, reach_end, arrived FROM billing_period_jobs WHERE arrived IS NOT NULL";
        let look = |mut row: Row| {
            let period = period(&row.text()?)?;
            let reach = Window { start: row.instant()?, end: row.instant()? };
            Ok((period, Look { reach, arrived: row.count()? }))
        };
        Ok(self.tx.fetch_map(sql, Vec::new(), look).await?.into_iter().collect())
    }

    /// What the ledger held for a run; nothing is known of a run that has not closed anything.
    pub async fn ledger_seen(&mut self, run_id: &str) -> Result<LedgerSeen, StoreError> {
        let sql = "SELECT ledger_records, ledger_recorded_at FROM runs
            WHERE run_id = ? AND ledger_records IS NOT NULL";
        let seen =
            |mut row: Row| Ok(LedgerSeen { records: row.count()?, recorded_at: row.optional_instant()? });
        Ok(self.tx.fetch_map(sql, vec![run_id.into()], seen).await?.pop().unwrap_or_default())
    }

    /// What the figures of a run came to when they were closed, by currency.
    pub async fn run_totals(&mut self, run_id: &str) -> Result<Vec<Money>, StoreError> {
        let sql = "SELECT currency, base_minor, usage_minor, late_minor FROM run_totals WHERE run_id = ? ORDER BY currency";
        let totals = |mut row: Row| {
            let currency = row.text()?;
            let currency =
                Currency::parse(&currency).map_err(|error| StoreError::inconsistent("a total", error))?;
            let mut sum = || {
                let minor = row.text()?.parse();
                let minor = minor.map_err(|error| StoreError::inconsistent("a total", error))?;
                Ok::<_, StoreError>(MinorSum { minor, currency })
            };
            Ok(Money { base: sum()?, usage: sum()?, late: sum()? })
        };
        self.tx.fetch_map(sql, vec![run_id.into()], totals).await
    }
}
