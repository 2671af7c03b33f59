//! The ledger port: usage rows in, totals out.
//!
//! In: judged records, quarantined lines. Out: what became of each record, and totals by tenant and meter. Its
//! statements on usage name `usage_ledger` only, group by tenant and meter, bind every instant and page by tenant range, so that
//! they can be pushed down to shards (`docs/scale` in the design). It needs no lease: rows are only ever added, and
//! adding a row twice changes nothing. Never updates or deletes a usage row. Where the usage lies in a table of the user's own
//! (`own`), the same statements read that one, and nothing is ever written.

mod arrivals;
mod own;
mod quarantine;
mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;

pub use arrivals::Arrivals;
use arrivals::day_of;
pub(in crate::store) use own::Own;
pub use own::{Columns, OwnLedger, TableName};
use own::{Near, OwnView};
pub use quarantine::SetAside;
use rows::{Properties, reading_of, record_of, row_of, total_of};

use crate::domain::aggregation::{Reading, Sums, Tally};
use crate::domain::catalog::{Aggregation, Meter};
use crate::domain::period::Window;
use crate::domain::proof::RecordSum;
use crate::domain::usage::{TotalsByMeter, UsageRecord};
use crate::store::connection::{Pool, Tx, Value};
use crate::store::error::StoreError;
use crate::store::row::Row;

pub struct Ledger {
    pool: Pool,
    own: Option<Arc<Own>>,
    /// Records of an own ledger that are dated later lie in the future.
    now: Option<Timestamp>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Accepted,
    /// The same id with the same body is there already.
    Duplicate,
    /// The same id is there with another body.
    Conflict,
}

/// Counts of one import: `read = accepted + duplicate + quarantined`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receipt {
    pub receipt: String,
    pub file: String,
    pub read: u64,
    pub accepted: u64,
    pub duplicate: u64,
    pub quarantined: u64,
}

impl Ledger {
    pub(in crate::store) fn new(pool: Pool, own: Option<Arc<Own>>, now: Option<Timestamp>) -> Self {
        Self { pool, own, now }
    }

    /// A batch of an import: all of it is there after [`LedgerBatch::commit`], or nothing.
    pub async fn begin(&self) -> Result<LedgerBatch, StoreError> {
        if let Some(own) = &self.own {
            return Err(own.is_read_only());
        }
        Ok(LedgerBatch { tx: self.pool.begin_write().await?, arrived: BTreeMap::new() })
    }

    pub async fn snapshot(&self) -> Result<LedgerSnapshot, StoreError> {
        let Some(own) = &self.own else {
            return Ok(LedgerSnapshot { tx: self.pool.begin_snapshot().await?, newest: None, own: None });
        };
        let (tx, view) = own.snapshot(&self.pool, self.now).await?;
        Ok(LedgerSnapshot { tx, newest: None, own: Some(view) })
    }

    /// The table that is not ours, where there is one.
    pub fn own_table(&self) -> Option<&TableName> {
        self.own.as_ref().map(|own| own.table())
    }
}

pub struct LedgerBatch {
    tx: Tx,
    /// Records that it adds, by the day on which they occurred.
    arrived: BTreeMap<i64, u64>,
}

type Key<'a> = (&'a str, &'a str);

impl LedgerBatch {
    /// Adds the records; the outcomes are in their order.
    pub async fn add(&mut self, records: &[UsageRecord], now: Timestamp) -> Result<Vec<Outcome>, StoreError> {
        let mut firsts: BTreeMap<Key<'_>, &UsageRecord> = BTreeMap::new();
        for record in records {
            firsts.entry(key(record)).or_insert(record);
        }
        // In the order of the keys, so that two imports at once wait for each other and never deadlock.
        let sent = firsts.len();
        let rows = firsts.values().map(|record| row_of(record, now));
        let columns = &[
            "tenant_id",
            "source_event_id",
            "meter",
            "quantity",
            "occurred_at",
            "recorded_at",
            "outcome",
            "source",
            "properties",
        ];
        let suffix = "ON CONFLICT DO NOTHING RETURNING tenant_id, source_event_id";
        let mut added = BTreeSet::new();
        for mut row in self.tx.insert("usage_ledger", columns, rows, suffix).await? {
            added.insert((row.text()?, row.text()?));
        }
        let stored = if added.len() == sent { BTreeMap::new() } else { self.stored(&firsts, &added).await? };
        let mut outcomes = Vec::with_capacity(records.len());
        for record in records {
            let owned = (record.tenant_id.clone(), record.source_event_id.clone());
            let body = stored.get(&owned).or(firsts.get(&key(record)).copied());
            outcomes.push(match body {
                // Taken out of the set, so that a second copy in this batch counts as a duplicate.
                _ if added.remove(&owned) => {
                    *self.arrived.entry(day_of(record.occurred_at)).or_default() += 1;
                    Outcome::Accepted
                }
                Some(body) if body == record => Outcome::Duplicate,
                _ => Outcome::Conflict,
            });
        }
        Ok(outcomes)
    }

    /// Which of these records the ledger holds, by tenant and source event id.
    pub async fn founded(&mut self, keys: &[(&str, &str)]) -> Result<BTreeSet<(String, String)>, StoreError> {
        let keys = keys.iter().map(|(tenant, id)| vec![Value::from(*tenant), Value::from(*id)]).collect();
        let sql = "SELECT tenant_id, source_event_id FROM usage_ledger WHERE (tenant_id, source_event_id) IN (VALUES";
        let rows = self.tx.for_keys(sql, keys).await?;
        rows.into_iter().map(|mut row| Ok((row.text()?, row.text()?))).collect()
    }

    /// The rows that were there before this batch.
    async fn stored(
        &mut self,
        firsts: &BTreeMap<Key<'_>, &UsageRecord>,
        added: &BTreeSet<(String, String)>,
    ) -> Result<BTreeMap<(String, String), UsageRecord>, StoreError> {
        let keys =
            firsts.keys().filter(|(tenant, id)| !added.contains(&((*tenant).to_owned(), (*id).to_owned())));
        let keys = keys.map(|(tenant, id)| vec![Value::from(*tenant), Value::from(*id)]).collect();
        let sql = "SELECT tenant_id, source_event_id, meter, {exact:quantity}, occurred_at, outcome, source, properties
            FROM usage_ledger WHERE (tenant_id, source_event_id) IN (VALUES";
        let rows = self.tx.for_keys(sql, keys).await?;
        rows.into_iter()
            .map(|mut row| {
                record_of(&mut row).map(|one| ((one.tenant_id.clone(), one.source_event_id.clone()), one))
            })
            .collect()
    }

    pub async fn commit(mut self) -> Result<(), StoreError> {
        arrivals::save(&mut self.tx, &self.arrived).await?;
        self.tx.commit().await
    }
}

pub struct LedgerSnapshot {
    tx: Tx,
    newest: Option<Timestamp>,
    /// Usage is read from a table that is not ours.
    own: Option<OwnView>,
}

/// A record as the ledger holds it.
#[derive(Debug)]
pub struct StoredRecord {
    pub record: UsageRecord,
    pub reading: Reading,
    /// When it was imported.
    pub recorded_at: Timestamp,
}

impl LedgerSnapshot {
    /// Usage of the records in `range`, of the tenants from `first` to `last` (both included, compared by bytes). The database
    /// adds up what only has to be added; records with a billable rule and readings of gauges are looked at one by one.
    pub async fn totals(
        &mut self,
        meters: &BTreeMap<String, Meter>,
        range: Window,
        ends: [&str; 2],
    ) -> Result<TotalsByMeter, StoreError> {
        let only = if ends[0] == ends[1] { &ends[..1] } else { &[] };
        self.totals_near(meters, ends, Near { range: Some(range), tenants: only }, range).await
    }

    /// The same of a page of tenants, sorted by bytes. Whether others that lie between them are told too is left open.
    pub async fn totals_of(
        &mut self,
        meters: &BTreeMap<String, Meter>,
        range: Window,
        page: &[&str],
    ) -> Result<TotalsByMeter, StoreError> {
        let [Some(first), Some(last)] = [page.first(), page.last()] else { return Ok(TotalsByMeter::new()) };
        self.totals_near(meters, [first, last], Near { range: Some(range), tenants: page }, range).await
    }

    async fn totals_near(
        &mut self,
        meters: &BTreeMap<String, Meter>,
        [first, last]: [&str; 2],
        near: Near<'_>,
        range: Window,
    ) -> Result<TotalsByMeter, StoreError> {
        let mut totals = self.sums(meters, [first, last], near, range).await?;
        let one_by_one: BTreeMap<&str, &Meter> = meters
            .iter()
            .filter(|(_, meter)| needs_records(meter))
            .map(|(key, meter)| (key.as_str(), meter))
            .collect();
        let mut tallies: BTreeMap<(String, String), Tally<'_>> = BTreeMap::new();
        let properties = self.properties();
        for (key, meter) in one_by_one {
            let values = vec![first.into(), last.into(), range.start.into(), range.end.into(), key.into()];
            let sql = "SELECT tenant_id, source_event_id, {exact:quantity}, occurred_at, outcome, source, properties
                FROM usage_ledger WHERE tenant_id >= ? AND tenant_id <= ? AND occurred_at >= ? AND occurred_at < ? AND meter = ?";
            let add = |mut row: Row| {
                let of_tenant = tallies.entry((row.text()?, key.to_owned()));
                let added =
                    of_tenant.or_insert_with(|| Tally::new(meter)).add(reading_of(&mut row, properties)?);
                added.map_err(|error| StoreError::inconsistent("a total", error))
            };
            self.visit(sql, values, near, add).await?;
        }
        for ((tenant_id, meter), tally) in tallies {
            let usage = tally.finish().map_err(|error| StoreError::inconsistent("a total", error))?;
            totals.entry(tenant_id).or_default().insert(meter, usage);
        }
        Ok(totals)
    }

    /// Of the meters that only have to be added up, and of those that the catalog no longer knows.
    async fn sums(
        &mut self,
        meters: &BTreeMap<String, Meter>,
        [first, last]: [&str; 2],
        near: Near<'_>,
        range: Window,
    ) -> Result<TotalsByMeter, StoreError> {
        let sql = "SELECT tenant_id, meter, COUNT(*), {sum:quantity}, {count_negative:quantity}, {sum_negative:quantity},
            MAX(recorded_at) FROM usage_ledger WHERE tenant_id >= ? AND tenant_id <= ? AND occurred_at >= ? AND occurred_at < ?
            GROUP BY tenant_id, meter";
        let values = vec![first.into(), last.into(), range.start.into(), range.end.into()];
        let (mut totals, mut newest) = (TotalsByMeter::new(), self.newest);
        let known = self.known();
        let add = |mut row: Row| {
            let (tenant_id, key) = (row.text()?, row.text()?);
            let sums = Sums { all: total_of(&mut row)?, negative: total_of(&mut row)? };
            newest = newest.max(Some(row.instant()?));
            // It is set aside: no import would have taken it, neither now nor when the meters were these.
            let is_known = known.as_ref().is_none_or(|known| known.contains(&key));
            if !is_known && !meters.contains_key(&key) {
                return Ok(());
            }
            let meter = meters.get(&key);
            if !meter.is_some_and(needs_records) {
                let usage = sums.usage(meter.map_or(Aggregation::Sum, |meter| meter.aggregation));
                let usage = usage.map_err(|error| StoreError::inconsistent("a total", error))?;
                totals.entry(tenant_id).or_default().insert(key, usage);
            }
            Ok(())
        };
        self.visit(sql, values, near, add).await?;
        self.newest = newest;
        Ok(totals)
    }

    /// When the newest of the records that totals were asked of was imported.
    pub fn newest(&self) -> Option<Timestamp> {
        self.newest
    }

    /// The records of one tenant and meter in `range`, in the order of time.
    pub async fn records(
        &mut self,
        range: Window,
        tenant_id: &str,
        meter: &str,
    ) -> Result<Vec<StoredRecord>, StoreError> {
        let sql = "SELECT tenant_id, source_event_id, meter, {exact:quantity}, occurred_at, outcome, source, properties,
            recorded_at FROM usage_ledger WHERE tenant_id = ? AND meter = ? AND occurred_at >= ? AND occurred_at < ?
            ORDER BY occurred_at, source_event_id";
        let values = vec![tenant_id.into(), meter.into(), range.start.into(), range.end.into()];
        let (properties, mut records) = (self.properties(), Vec::new());
        let add = |mut row: Row| {
            let mut record = record_of(&mut row)?;
            record.properties = properties.write(record.properties)?;
            let reading = Reading {
                source_event_id: record.source_event_id.clone(),
                quantity: record.quantity,
                occurred_at: record.occurred_at,
                outcome: record.outcome.clone(),
                source: record.source.clone(),
                properties: Properties::Texts.read(&record.properties)?,
            };
            records.push(StoredRecord { record, reading, recorded_at: row.instant()? });
            Ok(())
        };
        self.visit(sql, values, Near { range: Some(range), tenants: &[tenant_id] }, add).await?;
        self.forget_unknown_times(&mut records);
        Ok(records)
    }

    /// What `keep` makes of the readings of one tenant and meter in `range`, each with the instant of its import, in the order
    /// of time. `None` where there are more than `most`: then none is read. They are counted first, because a statement on the
    /// ledger has no `LIMIT`.
    pub async fn readings<T>(
        &mut self,
        range: Window,
        (tenant_id, meter): (&str, &str),
        most: u64,
        mut keep: impl FnMut(Reading, Timestamp) -> Option<T>,
    ) -> Result<Option<Vec<T>>, StoreError> {
        let values = || vec![tenant_id.into(), meter.into(), range.start.into(), range.end.into()];
        let sql = "SELECT COUNT(*) FROM usage_ledger WHERE tenant_id = ? AND meter = ? AND occurred_at >= ?
            AND occurred_at < ?";
        let near = || Near { range: Some(range), tenants: std::slice::from_ref(&tenant_id) };
        let mut counted = 0;
        let count = |mut row: Row| row.count().map(|count| counted = count);
        self.visit(sql, values(), near(), count).await?;
        if counted > most {
            return Ok(None);
        }
        let sql =
            "SELECT source_event_id, {exact:quantity}, occurred_at, outcome, source, properties, recorded_at
            FROM usage_ledger WHERE tenant_id = ? AND meter = ? AND occurred_at >= ? AND occurred_at < ?
            ORDER BY occurred_at, source_event_id";
        let (properties, mut kept) = (self.properties(), Vec::new());
        let take = |mut row: Row| {
            kept.extend(keep(reading_of(&mut row, properties)?, row.instant()?));
            Ok(())
        };
        self.visit(sql, values(), near(), take).await?;
        Ok(Some(kept))
    }

    /// The sums of all records of the tenants after one and up to another, by the instant at which they were imported, added
    /// to `sums`. `None`: from the first, to the last.
    pub async fn add_sums(
        &mut self,
        after: Option<&str>,
        to: Option<&str>,
        sums: &mut BTreeMap<Timestamp, RecordSum>,
    ) -> Result<(), StoreError> {
        let bounds = after.map(|_| "tenant_id > ?").into_iter().chain(to.map(|_| "tenant_id <= ?"));
        let bounds: Vec<&str> = bounds.collect();
        let bounds =
            if bounds.is_empty() { String::new() } else { format!(" WHERE {}", bounds.join(" AND ")) };
        let sql = "SELECT tenant_id, source_event_id, meter, {exact:quantity}, occurred_at, outcome, source, properties,
            recorded_at FROM usage_ledger";
        let add = |mut row: Row| {
            let record = record_of(&mut row)?;
            sums.entry(row.instant()?).or_default().add(&record);
            Ok(())
        };
        let values = after.into_iter().chain(to).map(Value::from).collect();
        self.visit(&format!("{sql}{bounds}"), values, Near::default(), add).await
    }
}

/// Whether sums do not tell what a meter comes to.
fn needs_records(meter: &Meter) -> bool {
    meter.aggregation.is_gauge() || !meter.rule.is_empty()
}

fn key(record: &UsageRecord) -> Key<'_> {
    (&record.tenant_id, &record.source_event_id)
}
