//! An own ledger: usage in a table or view of the user's own PostgreSQL, read where it lies.
//!
//! In: the table's name, which column is which, a URL. Out: the ledger's statements on that table, in one read-only snapshot.
//! Never writes, never copies, and names no other table. A row is judged each time it is read: one that no import would take
//! is in no total, and [`LedgerSnapshot::set_aside`] counts it with the reason.

mod relation;
mod sql;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::OnceCell;

use crate::domain::catalog::Meter;
use crate::domain::period::Window;
use crate::domain::text::printable;
use crate::domain::usage::FUTURE_TOLERANCE;
use crate::store::connection::{Pool, Tx, Value};
use crate::store::error::StoreError;
use crate::store::ledger::rows::Properties;
use crate::store::ledger::{LedgerSnapshot, StoredRecord};
use crate::store::row::Row;
use crate::store::{Database, open_postgres};
use relation::Relation;
use sql::{Given, Seen};

/// Where the usage lies and what its columns are called; every name as it is, capitals and blanks included.
#[derive(Clone, Debug)]
pub struct OwnLedger {
    /// `None`: beside the books.
    pub database: Option<Database>,
    pub table: TableName,
    pub columns: Columns,
}

impl OwnLedger {
    /// `url`: where it lies, if not in the database of the books.
    pub fn new(
        url: Option<&str>,
        books: &Database,
        table: TableName,
        columns: Columns,
    ) -> Result<Self, StoreError> {
        let database = url.map(|url| Database::parse(url, Path::new(""))).transpose().map_err(of_ledger)?;
        match database.as_ref().unwrap_or(books) {
            Database::Postgres(_) => Ok(Self { database, table, columns }),
            Database::Sqlite(_) => Err(not_postgres()),
        }
    }
}

impl OwnLedger {
    /// Whether the table or view can be read as its columns are named; it is looked up and no more.
    pub async fn check(&self, books: &Database) -> Result<(), StoreError> {
        let Database::Postgres(url) = self.database.as_ref().unwrap_or(books) else {
            return Err(not_postgres());
        };
        let pool = open_postgres(url).await.map_err(of_ledger)?;
        let mut tx = pool.begin_own_snapshot().await?;
        let found = Relation::look_up(&mut tx, self).await;
        drop(tx);
        pool.close().await;
        found.map(drop)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableName {
    /// `None`: wherever the role's `search_path` finds it.
    pub schema: Option<String>,
    pub name: String,
}

impl fmt::Display for TableName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(out, "{}.", printable(schema))?;
        }
        out.write_str(&printable(&self.name))
    }
}

/// The user's column for each of ours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    pub tenant_id: String,
    pub source_event_id: String,
    pub meter: String,
    pub quantity: String,
    pub occurred_at: String,
    pub recorded_at: Option<String>,
    pub outcome: Option<String>,
    pub source: Option<String>,
    pub properties: Option<String>,
}

/// An own ledger that is looked up when it is first read.
pub struct Own {
    ledger: OwnLedger,
    opened: OnceCell<(Pool, Arc<Relation>)>,
}

impl Own {
    pub(in crate::store) fn new(ledger: OwnLedger) -> Self {
        Self { ledger, opened: OnceCell::new() }
    }

    pub(super) fn table(&self) -> &TableName {
        &self.ledger.table
    }

    pub(super) async fn snapshot(
        &self,
        books: &Pool,
        now: Option<Timestamp>,
    ) -> Result<(Tx, OwnView), StoreError> {
        let (pool, relation) = self.opened.get_or_try_init(|| self.open(books)).await?;
        let latest = now.map(|now| now.saturating_add(FUTURE_TOLERANCE).unwrap_or(now));
        let view = OwnView { relation: relation.clone(), latest, gauges: Vec::new(), known: None };
        Ok((pool.begin_own_snapshot().await?, view))
    }

    pub(super) fn is_read_only(&self) -> StoreError {
        StoreError::OwnLedger(format!("usage is read from {}, and nothing is written there", self.table()))
    }

    pub(in crate::store) async fn close(&self) {
        if let (Some((pool, _)), Some(_)) = (self.opened.get(), &self.ledger.database) {
            pool.close().await;
        }
    }

    async fn open(&self, books: &Pool) -> Result<(Pool, Arc<Relation>), StoreError> {
        let pool = match &self.ledger.database {
            None => books.clone(),
            Some(Database::Postgres(url)) => open_postgres(url).await.map_err(of_ledger)?,
            Some(Database::Sqlite(_)) => return Err(not_postgres()),
        };
        if matches!(pool, Pool::Sqlite(_)) {
            return Err(not_postgres());
        }
        let mut tx = pool.begin_own_snapshot().await?;
        let relation = Relation::look_up(&mut tx, &self.ledger).await?;
        Ok((pool, Arc::new(relation)))
    }
}

/// Two databases are asked: an error says which of them it means.
fn of_ledger(error: StoreError) -> StoreError {
    match error {
        StoreError::Unreachable(text) => StoreError::Unreachable(format!("that of the ledger, {text}")),
        StoreError::BadUrl => {
            StoreError::OwnLedger("its URL is none: write postgres://USER@HOST/NAME".to_owned())
        }
        other => other,
    }
}

fn not_postgres() -> StoreError {
    let text = "it must lie in PostgreSQL. Where the books lie in SQLite, BILLRECON_LEDGER_URL (or the file that \
                BILLRECON_LEDGER_URL_FILE names) says its postgres:// URL";
    StoreError::OwnLedger(text.to_owned())
}

/// The table as one snapshot reads it.
pub(super) struct OwnView {
    relation: Arc<Relation>,
    /// Rows that are dated later lie in the future.
    latest: Option<Timestamp>,
    /// Meters that no correction may lower.
    gauges: Vec<String>,
    /// The meters of the current catalog.
    known: Option<Arc<BTreeSet<String>>>,
}

/// Where a statement looks: what the user's indexes can be asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Near<'a> {
    pub range: Option<Window>,
    /// None: all.
    pub tenants: &'a [&'a str],
}

impl OwnView {
    /// The numbers of the values that every statement needs, which are added to the statement's own.
    fn given(&self, values: &mut Vec<Value>) -> Given {
        let has_corrections = self.relation.properties.is_some();
        let mut give = |value: Value| {
            values.push(value);
            values.len()
        };
        Given {
            latest: self.latest.map(|latest| give(sql::instant_down(latest).into())),
            gauges: (has_corrections && !self.gauges.is_empty()).then(|| give(self.gauges.clone().into())),
        }
    }
}

impl LedgerSnapshot {
    /// Which meters there are, so that an own ledger's rows of others are set aside and its gauges take no negative reading.
    pub fn know(&mut self, meters: &BTreeMap<String, Meter>) {
        if let Some(own) = &mut self.own {
            let is_gauge = |meter: &&Meter| meter.aggregation.is_gauge();
            own.gauges = meters.values().filter(is_gauge).map(|meter| meter.key.clone()).collect();
            own.known = Some(Arc::new(meters.keys().cloned().collect()));
        }
    }

    /// The meters of the current catalog, where an own ledger has to know them.
    pub(super) fn known(&self) -> Option<Arc<BTreeSet<String>>> {
        self.own.as_ref().and_then(|own| own.known.clone())
    }

    pub(super) fn properties(&self) -> Properties {
        if self.own.is_some() { Properties::Json } else { Properties::Texts }
    }

    /// Visits the rows of one of the ledger's statements, on whichever table the usage lies.
    pub(super) async fn visit(
        &mut self,
        template: &str,
        mut values: Vec<Value>,
        near: Near<'_>,
        visit: impl FnMut(Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut sql = self.tx.dialect().render(template);
        if let Some(own) = &self.own {
            let given = own.given(&mut values);
            let table = own.relation.ledger(near, &given, &mut values);
            sql = sql.replacen("usage_ledger", &format!("({table}) AS usage_ledger"), 1);
        }
        self.tx.for_each(sql, values, visit).await
    }

    /// Without a column that tells it, nobody knows when a record came: all are taken to have come at once, so that none is
    /// said to be late for its date.
    pub(super) fn forget_unknown_times(&self, records: &mut [StoredRecord]) {
        if self.own.as_ref().is_some_and(|own| !own.relation.knows_recorded_at()) {
            let newest = records.iter().map(|one| one.recorded_at).max();
            for one in records {
                one.recorded_at = newest.unwrap_or(one.recorded_at);
            }
        }
    }

    /// Rows by UTC day in whole days, of an own ledger. Grouped by the day alone: a tenant each would be as many rows as a
    /// ledger of the user's own can have days times tenants.
    pub(super) async fn own_days(&mut self, days: Window) -> Result<BTreeMap<i64, u64>, StoreError> {
        let sql = "SELECT occurred_at / 86400000000000, COUNT(*) FROM usage_ledger GROUP BY 1";
        let mut by_day = BTreeMap::new();
        // Whether a gauge takes a negative reading depends on the catalog, and these counts are compared across catalogs.
        let gauges = self.own.as_mut().map(|own| std::mem::take(&mut own.gauges));
        let add = |mut row: Row| {
            by_day.insert(row.integer()?, row.count()?);
            Ok(())
        };
        let visited = self.visit(sql, Vec::new(), Near { range: Some(days), tenants: &[] }, add).await;
        if let (Some(own), Some(gauges)) = (&mut self.own, gauges) {
            own.gauges = gauges;
        }
        visited.map(|()| by_day)
    }

    /// Rows of an own ledger in a range of time, and those of no time at all, by tenant, meter and what is wrong with them;
    /// empty where nothing is.
    pub(super) async fn own_seen(&mut self, range: Window) -> Result<Vec<Seen>, StoreError> {
        let Some(own) = &self.own else { return Ok(Vec::new()) };
        let mut values = Vec::new();
        let given = own.given(&mut values);
        let sql = own.relation.seen(range, &given, &mut values);
        let mut all = Vec::new();
        let add = |mut row: Row| {
            let (tenant_id, meter, reason) = (row.text()?, row.text()?, row.text()?);
            all.push(Seen { tenant_id, meter, reason, records: row.count()? });
            Ok(())
        };
        self.tx.for_each(sql, values, add).await?;
        Ok(all)
    }
}
