//! Arrivals: how many records have come, by the UTC day on which they occurred.
//!
//! In: what a batch of an import adds, in its own transaction. Out: counts. Records are only ever added, so an equal count is
//! the proof that nothing came for these days, and nobody has to read millions of records to see that. All rows are added up each
//! time: a mark at the last one seen would miss a batch that had begun before it and was committed behind it. Never changes a row.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use crate::domain::period::Window;
use crate::store::connection::Tx;
use crate::store::error::StoreError;
use crate::store::ledger::LedgerSnapshot;
use crate::store::row::Row;

const SECONDS_PER_DAY: i64 = 86_400;

/// Records by day.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arrivals(BTreeMap<i64, u64>);

impl Arrivals {
    /// Those of the days that a range touches.
    pub fn within(&self, range: Window) -> u64 {
        let last = range.end.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(range.end);
        if last < range.start {
            return 0;
        }
        self.0.range(day_of(range.start)..=day_of(last)).map(|(_, records)| records).sum()
    }
}

impl LedgerSnapshot {
    pub async fn arrivals(&mut self) -> Result<Arrivals, StoreError> {
        let sql = "SELECT occurred_day, CAST(SUM(records) AS BIGINT) FROM arrivals GROUP BY occurred_day";
        let by_day = self.tx.fetch_map(sql, Vec::new(), |mut row: Row| Ok((row.integer()?, row.count()?)));
        Ok(Arrivals(by_day.await?.into_iter().collect()))
    }
}

/// Adds what a batch brings, by day.
pub(super) async fn save(tx: &mut Tx, by_day: &BTreeMap<i64, u64>) -> Result<(), StoreError> {
    let rows = by_day.iter().map(|(day, records)| vec![(*day).into(), (*records).into()]);
    tx.insert("arrivals", &["occurred_day", "records"], rows, "").await.map(|_| ())
}

/// Days since 1970, in UTC.
pub(super) fn day_of(instant: Timestamp) -> i64 {
    instant.as_second().div_euclid(SECONDS_PER_DAY)
}
