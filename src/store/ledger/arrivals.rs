//! Arrivals: how many records have come, by the UTC day on which they occurred.
//!
//! In: what a batch of an import adds, in its own transaction. Out: counts. Records are only ever added, so an equal count is
//! the proof that nothing came for these days, and nobody has to read millions of records to see that. All rows are added up each
//! time: a mark at the last one seen would miss a batch that had begun before it and was committed behind it. An own ledger
//! keeps no such counts, so its rows are counted, in the days that are asked for. Never changes a row.

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
pub struct Arrivals {
    by_day: BTreeMap<i64, u64>,
    /// The days that were counted. `None`: all.
    counted: Option<(i64, i64)>,
}

impl Arrivals {
    /// Those of the days that a range touches.
    pub fn within(&self, range: Window) -> u64 {
        let Some((first, last)) = days(range) else { return 0 };
        self.by_day.range(first..=last).map(|(_, records)| records).sum()
    }

    /// Whether only some days were counted.
    pub fn is_partial(&self) -> bool {
        self.counted.is_some()
    }

    /// Whether all days that a range touches were counted.
    pub fn reach(&self, range: Window) -> bool {
        let Some((first, last)) = days(range) else { return true };
        self.counted.is_none_or(|(from, to)| from <= first && last <= to)
    }
}

/// The first and the last day that a range touches.
fn days(range: Window) -> Option<(i64, i64)> {
    let last = range.end.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(range.end);
    (last >= range.start).then(|| (day_of(range.start), day_of(last)))
}

impl LedgerSnapshot {
    /// All that there are; of an own ledger those of the days that `near` touches.
    pub async fn arrivals(&mut self, near: Option<Window>) -> Result<Arrivals, StoreError> {
        if self.own.is_some() {
            let Some((first, last)) = near.and_then(days) else {
                return Ok(Arrivals { by_day: BTreeMap::new(), counted: Some((0, -1)) });
            };
            let whole = Window { start: start_of(first), end: start_of(last + 1) };
            return Ok(Arrivals { by_day: self.own_days(whole).await?, counted: Some((first, last)) });
        }
        let sql = "SELECT occurred_day, CAST(SUM(records) AS BIGINT) FROM arrivals GROUP BY occurred_day";
        let by_day = self.tx.fetch_map(sql, Vec::new(), |mut row: Row| Ok((row.integer()?, row.count()?)));
        Ok(Arrivals { by_day: by_day.await?.into_iter().collect(), counted: None })
    }
}

fn start_of(day: i64) -> Timestamp {
    Timestamp::from_second(day.saturating_mul(SECONDS_PER_DAY)).unwrap_or(Timestamp::MAX)
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
