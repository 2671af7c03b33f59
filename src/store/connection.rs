//! The two databases behind one small face: pools, transactions, values in, rows out.
//!
//! In: statement templates of [`Dialect`] with values. Out: rows that are read column by column. Never builds SQL from
//! data, and never turns a number into a binary float.

use futures_util::TryStreamExt as _;
use jiff::Timestamp;
use sqlx::postgres::{PgArguments, PgPool};
use sqlx::sqlite::{SqliteArguments, SqlitePool};
use sqlx::{Arguments, AssertSqlSafe, Postgres, Sqlite, Transaction};

use crate::domain::number::{Quantity, UnitAmount};
use crate::store::dialect::Dialect;
use crate::store::error::StoreError;
use crate::store::row::{DriverRow, Row};

#[derive(Clone)]
pub(in crate::store) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// A value to bind.
#[derive(Clone, Debug)]
pub(in crate::store) enum Value {
    Integer(i64),
    OptionalInteger(Option<i64>),
    Text(String),
    /// A list for `= ANY(…)`; only PostgreSQL has it.
    Texts(Vec<String>),
    /// Decimal text for PostgreSQL, floor and rest for SQLite.
    Exact(String, (i64, i64)),
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<u64> for Value {
    fn from(number: u64) -> Self {
        Self::Integer(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<Vec<String>> for Value {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}

impl From<Quantity> for Value {
    fn from(quantity: Quantity) -> Self {
        Self::Exact(quantity.to_string(), quantity.floor_and_fraction())
    }
}

impl From<UnitAmount> for Value {
    fn from(amount: UnitAmount) -> Self {
        Self::Exact(amount.to_string(), amount.floor_and_fraction())
    }
}

impl From<Timestamp> for Value {
    fn from(instant: Timestamp) -> Self {
        Self::Integer(nanoseconds(instant))
    }
}

impl From<Option<u64>> for Value {
    fn from(number: Option<u64>) -> Self {
        Self::OptionalInteger(number.map(|number| i64::try_from(number).unwrap_or(i64::MAX)))
    }
}

impl From<Option<Timestamp>> for Value {
    fn from(instant: Option<Timestamp>) -> Self {
        Self::OptionalInteger(instant.map(nanoseconds))
    }
}

/// Nanoseconds since 1970; 64 bits reach from 1677 to 2262, and instants beyond are held at those ends.
pub(in crate::store) fn nanoseconds(instant: Timestamp) -> i64 {
    let exact = instant.as_nanosecond();
    i64::try_from(exact).unwrap_or(if exact < 0 { i64::MIN } else { i64::MAX })
}

/// An open transaction. Dropped without [`Tx::commit`], it is rolled back.
pub(in crate::store) enum Tx {
    Sqlite(Transaction<'static, Sqlite>),
    Postgres(Transaction<'static, Postgres>),
}

/// Nobody waits for ever, neither for a lock nor for a process that stands still or is gone inside a transaction: such
/// a session ends, and with it its locks. `SET LOCAL` is the form that a pooler cannot lose.
/// No statement keeps a name on the server either: behind a pooler the next transaction may meet another session, which
/// does not know it.
const BEGIN_WRITE: &str =
    "BEGIN; SET LOCAL lock_timeout = '10s'; SET LOCAL idle_in_transaction_session_timeout = '60s'";
const BEGIN_SNAPSHOT: &str =
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = '10s'";
/// The same on a table that is not ours. What row security hides from this role would be missing without a word: with
/// `row_security` off such a statement is refused.
const BEGIN_OWN_SNAPSHOT: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL lock_timeout = '10s'; \
                                  SET LOCAL row_security = off";
/// How long closing waits for connections in the middle of a statement.
const CLOSE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(2);

impl Pool {
    /// For writing. SQLite takes its write lock at once: a transaction that reads first and writes later would fail
    /// with SQLITE_BUSY_SNAPSHOT, without waiting.
    pub async fn begin_write(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Self::Sqlite(pool) => Tx::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
            Self::Postgres(pool) => Tx::Postgres(pool.begin_with(BEGIN_WRITE).await?),
        })
    }

    /// One unchanging view of everything, for as long as it is held.
    pub async fn begin_snapshot(&self) -> Result<Tx, StoreError> {
        Ok(match self {
            Self::Sqlite(pool) => Tx::Sqlite(pool.begin_with("BEGIN DEFERRED").await?),
            Self::Postgres(pool) => Tx::Postgres(pool.begin_with(BEGIN_SNAPSHOT).await?),
        })
    }

    /// The same on a table of somebody else's PostgreSQL.
    pub async fn begin_own_snapshot(&self) -> Result<Tx, StoreError> {
        match self {
            Self::Sqlite(_) => self.begin_snapshot().await,
            Self::Postgres(pool) => Ok(Tx::Postgres(pool.begin_with(BEGIN_OWN_SNAPSHOT).await?)),
        }
    }

    pub async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            // A statement that waits for a lock has been given up; the server ends it when we are gone.
            Self::Postgres(pool) => {
                let _given_up = tokio::time::timeout(CLOSE_TIMEOUT, pool.close()).await;
            }
        }
    }
}

impl Tx {
    pub fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    /// Runs a statement; the number of rows that it touched.
    pub async fn execute(&mut self, template: &'static str, values: Vec<Value>) -> Result<u64, StoreError> {
        let sql = AssertSqlSafe(self.dialect().render(template));
        Ok(match self {
            Self::Sqlite(tx) => {
                sqlx::query_with(sql, sqlite_values(values)?).execute(&mut **tx).await?.rows_affected()
            }
            Self::Postgres(tx) => sqlx::query_with(sql, postgres_values(values)?)
                .persistent(false)
                .execute(&mut **tx)
                .await?
                .rows_affected(),
        })
    }

    pub async fn fetch(
        &mut self,
        template: &'static str,
        values: Vec<Value>,
    ) -> Result<Vec<Row>, StoreError> {
        let sql = self.dialect().render(template);
        self.fetch_rendered(sql, values).await
    }

    /// Rows turned into values one by one, so that never more than a few rows of the driver are in memory.
    pub async fn fetch_map<T>(
        &mut self,
        template: &'static str,
        values: Vec<Value>,
        mut map: impl FnMut(Row) -> Result<T, StoreError>,
    ) -> Result<Vec<T>, StoreError> {
        let mut mapped = Vec::new();
        let keep = |row| {
            mapped.push(map(row)?);
            Ok(())
        };
        self.for_each(self.dialect().render(template), values, keep).await?;
        Ok(mapped)
    }

    /// Visits rows one by one. The statement is made of names that the program or the schema knows, never of data.
    pub async fn for_each(
        &mut self,
        sql: String,
        values: Vec<Value>,
        mut visit: impl FnMut(Row) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let sql = AssertSqlSafe(sql);
        match self {
            Self::Sqlite(tx) => {
                let mut rows = sqlx::query_with(sql, sqlite_values(values)?).fetch(&mut **tx);
                while let Some(row) = rows.try_next().await? {
                    visit(DriverRow::Sqlite(row).into())?;
                }
            }
            Self::Postgres(tx) => {
                let mut rows =
                    sqlx::query_with(sql, postgres_values(values)?).persistent(false).fetch(&mut **tx);
                while let Some(row) = rows.try_next().await? {
                    visit(DriverRow::Postgres(row).into())?;
                }
            }
        }
        Ok(())
    }

    /// Inserts rows with as few statements as the bind limits allow; they are made as they are needed. Each column is
    /// bound in the order given; an exact number takes the two columns that its dialect needs. `suffix` is such as
    /// `ON CONFLICT DO NOTHING`.
    pub async fn insert(
        &mut self,
        table: &'static str,
        columns: &'static [&'static str],
        rows: impl IntoIterator<Item = Vec<Value>>,
        suffix: &'static str,
    ) -> Result<Vec<Row>, StoreError> {
        let mut returned = Vec::new();
        let mut rows = rows.into_iter().peekable();
        while let Some(first) = rows.peek() {
            let sql = self.insert_head(table, columns, first);
            let batch: Vec<Vec<Value>> = rows.by_ref().take(ROWS_PER_INSERT).collect();
            let sql = self.insert_rows(sql, &batch, suffix);
            returned.extend(self.fetch_rendered(sql, batch.into_iter().flatten().collect()).await?);
        }
        Ok(returned)
    }

    /// Runs a statement for the rows whose key columns equal one of `keys`, in as many parts as the bind limits ask for.
    /// `template` ends with `IN (VALUES` and gets the rest here.
    pub async fn for_keys(
        &mut self,
        template: &'static str,
        keys: Vec<Vec<Value>>,
    ) -> Result<Vec<Row>, StoreError> {
        let mut found = Vec::new();
        let mut keys = keys.into_iter().peekable();
        while keys.peek().is_some() {
            let batch: Vec<Vec<Value>> = keys.by_ref().take(ROWS_PER_INSERT).collect();
            let head = format!("{} ", self.dialect().render(template));
            let sql = self.insert_rows(head, &batch, ")");
            found.extend(self.fetch_rendered(sql, batch.into_iter().flatten().collect()).await?);
        }
        Ok(found)
    }

    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(tx) => tx.commit().await?,
            Self::Postgres(tx) => tx.commit().await?,
        }
        Ok(())
    }

    async fn fetch_rendered(&mut self, sql: String, values: Vec<Value>) -> Result<Vec<Row>, StoreError> {
        let sql = AssertSqlSafe(sql);
        Ok(match self {
            Self::Sqlite(tx) => {
                let rows = sqlx::query_with(sql, sqlite_values(values)?).fetch_all(&mut **tx).await?;
                rows.into_iter().map(|row| DriverRow::Sqlite(row).into()).collect()
            }
            Self::Postgres(tx) => {
                let rows = sqlx::query_with(sql, postgres_values(values)?)
                    .persistent(false)
                    .fetch_all(&mut **tx)
                    .await?;
                rows.into_iter().map(|row| DriverRow::Postgres(row).into()).collect()
            }
        })
    }

    fn insert_head(&self, table: &str, columns: &[&str], first: &[Value]) -> String {
        let dialect = self.dialect();
        let names: Vec<String> = columns
            .iter()
            .zip(first)
            .map(|(column, value)| match value {
                Value::Exact(..) => dialect.exact_columns(column),
                _ => (*column).to_owned(),
            })
            .collect();
        format!("INSERT INTO {table} ({}) VALUES ", names.join(", "))
    }

    fn insert_rows(&self, mut sql: String, rows: &[Vec<Value>], suffix: &str) -> String {
        let dialect = self.dialect();
        let mut number = 0;
        let mut next = || {
            number += 1;
            dialect.placeholder(number)
        };
        for (index, row) in rows.iter().enumerate() {
            sql.push_str(if index == 0 { "(" } else { ", (" });
            for (index, value) in row.iter().enumerate() {
                sql.push_str(if index == 0 { "" } else { ", " });
                sql.push_str(&next());
                match (dialect, value) {
                    (Dialect::Sqlite, Value::Exact(..)) => sql.push_str(&format!(", {}", next())),
                    (Dialect::Postgres, Value::Exact(..)) => sql.push_str("::text::numeric"),
                    _ => {}
                }
            }
            sql.push(')');
        }
        format!("{sql} {suffix}")
    }
}

/// 20 values a row at most keep a statement below SQLite's limit of 32,766 values and PostgreSQL's of 65,535.
const ROWS_PER_INSERT: usize = 1_000;

fn sqlite_values(values: Vec<Value>) -> Result<SqliteArguments, StoreError> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        let added = match value {
            Value::Integer(number) => arguments.add(number),
            Value::OptionalInteger(number) => arguments.add(number),
            Value::Text(text) => arguments.add(text),
            Value::Texts(_) => Err("SQLite has no lists".into()),
            Value::Exact(_, (floor, rest)) => arguments.add(floor).and_then(|()| arguments.add(rest)),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}

fn postgres_values(values: Vec<Value>) -> Result<PgArguments, StoreError> {
    let mut arguments = PgArguments::default();
    for value in values {
        let added = match value {
            Value::Integer(number) => arguments.add(number),
            Value::OptionalInteger(number) => arguments.add(number),
            Value::Text(text) | Value::Exact(text, _) => arguments.add(text),
            Value::Texts(texts) => arguments.add(texts),
        };
        added.map_err(sqlx::Error::Encode)?;
    }
    Ok(arguments)
}
