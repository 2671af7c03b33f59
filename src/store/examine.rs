//! What a database is like, for `doctor`: its schema, what the user may not do there, its clock, what stands in between.
//!
//! In: a database. Out: facts. Changes nothing, and never makes a file.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _};

use crate::store::connection::Pool;
use crate::store::error::StoreError;
use crate::store::{Access, CONNECT_TIMEOUT, Database, PostgresUrl, Store, migrate, open_sqlite};

/// Nobody waits this long for a session of their own; behind a full pooler one waits for ever.
const SESSION_TIMEOUT: Duration = Duration::from_secs(2);

/// Rows are only added to these: the job needs no more, and `docs/operations.md` shows how to grant no more.
const ONLY_ADDED_TO: [&str; 18] = [
    "audit_log",
    "window_usage",
    "window_lines",
    "reconciliation",
    "run_exceptions",
    "run_control_totals",
    "run_evidence",
    "run_decisions",
    "run_facts",
    "run_accruals",
    "run_totals",
    "adjustments",
    "limit_events",
    "holds",
    "releases",
    "import_receipts",
    "catalog_versions",
    "usage_ledger",
];
const CHANGED: [&str; 13] = [
    "account_pin",
    "arrivals",
    "billing_period_jobs",
    "differences",
    "draft_windows",
    "lease",
    "observed_windows",
    "outbox",
    "parked_windows",
    "quarantine",
    "runs",
    "tenants",
    "window_charges",
];
const NEVER_UPDATED: [&str; 1] = ["billing_windows"];
const NEVER_DELETED: [&str; 1] = ["intents"];
/// The driver's own, of which the job only reads.
const MIGRATIONS: &str = "_sqlx_migrations";

#[derive(Debug)]
pub struct Facts {
    pub schema: Schema,
    /// Such as `INSERT on usage_ledger`.
    pub missing: Vec<String>,
    /// How far the database's clock is ahead of 1970, in milliseconds; `None`: it is the clock of this machine.
    pub clock_ms: Option<i64>,
    /// Whether two statements of one session may meet two servers' sessions.
    pub is_pooled: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Schema {
    /// There is no database yet, or nothing of ours in it.
    Absent,
    Older(i64),
    Current,
    Newer(i64),
}

impl Database {
    pub async fn examine(&self) -> Result<Facts, StoreError> {
        let facts = match self {
            Self::Sqlite(path) if !path.exists() => {
                Ok(Facts { schema: Schema::Absent, missing: Vec::new(), clock_ms: None, is_pooled: false })
            }
            Self::Sqlite(path) => {
                let pool = open_sqlite(path, Access::ReadOnly).await.map_err(|error| self.name_in(error))?;
                let applied = migrate::applied(&pool).await;
                pool.close().await;
                let schema = applied.map(|applied| self.schema(applied));
                schema.map(|schema| Facts { schema, missing: Vec::new(), clock_ms: None, is_pooled: false })
            }
            Self::Postgres(url) => self.examine_postgres(url).await,
        };
        facts.map_err(|error| self.name_in(error))
    }

    /// Whether the server is on this machine, or must prove by its certificate that it is the one that is meant.
    pub fn is_safe_on_the_way(&self) -> bool {
        let Self::Postgres(url) = self else { return true };
        let Ok(options) = url.0.parse::<PgConnectOptions>() else { return true };
        let host = options.get_host();
        let is_here = host.starts_with('/')
            || host.eq_ignore_ascii_case("localhost")
            || host.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback());
        is_here || options.get_socket().is_some() || matches!(options.get_ssl_mode(), PgSslMode::VerifyFull)
    }

    fn schema(&self, applied: i64) -> Schema {
        let newest = self.schema_version();
        match applied.cmp(&newest) {
            _ if applied == 0 => Schema::Absent,
            std::cmp::Ordering::Less => Schema::Older(applied),
            std::cmp::Ordering::Equal => Schema::Current,
            std::cmp::Ordering::Greater => Schema::Newer(applied),
        }
    }

    async fn examine_postgres(&self, url: &PostgresUrl) -> Result<Facts, StoreError> {
        let mut one = connect(url).await?;
        let is_pooled = is_pooled(&mut one, url).await?;
        let applied = migrate::applied_on(&mut one).await?;
        let schema = self.schema(applied);
        let missing = match schema {
            Schema::Absent => missing_to_begin(&mut one).await?,
            _ => missing_on_tables(&mut one).await?,
        };
        let clock_ms = sqlx::query_scalar(CLOCK).persistent(false).fetch_one(&mut one).await?;
        one.close().await?;
        Ok(Facts { schema, missing, clock_ms: Some(clock_ms), is_pooled })
    }
}

async fn connect(url: &PostgresUrl) -> Result<PgConnection, StoreError> {
    let options: PgConnectOptions = url.0.parse().map_err(|_| StoreError::BadUrl)?;
    let options = options.application_name("billrecon doctor").disable_statement_logging();
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options)).await;
    Ok(connected.map_err(|_| StoreError::Unreachable("no answer within 10 s".to_owned()))??)
}

/// It does not name `pg_catalog`, so that a test's search path can put another clock before it.
const CLOCK: &str = "SELECT (EXTRACT(EPOCH FROM clock_timestamp()) * 1000)::bigint";

impl Store {
    /// The database's clock in milliseconds since 1970; `None`: it is this machine's.
    pub async fn clock_ms(&self) -> Result<Option<i64>, StoreError> {
        match &self.pool {
            Pool::Sqlite(_) => Ok(None),
            Pool::Postgres(pool) => {
                let mut tx = pool.begin().await?;
                Ok(Some(sqlx::query_scalar(CLOCK).persistent(false).fetch_one(&mut *tx).await?))
            }
        }
    }
}

/// A session keeps its server's process; a pooler in transaction mode gives the freed one to whoever asks first.
async fn is_pooled(one: &mut PgConnection, url: &PostgresUrl) -> Result<bool, StoreError> {
    let process = "SELECT pg_backend_pid()";
    let before: i32 = sqlx::query_scalar(process).persistent(false).fetch_one(&mut *one).await?;
    let mut other = connect(url).await?;
    let mut held = other.begin().await?;
    let _its_own: i32 = sqlx::query_scalar(process).persistent(false).fetch_one(&mut *held).await?;
    let asked = sqlx::query_scalar::<_, i32>(process).persistent(false).fetch_one(&mut *one);
    let after = tokio::time::timeout(SESSION_TIMEOUT, asked).await;
    held.rollback().await?;
    other.close().await?;
    if let Ok(after) = after {
        return Ok(after? != before);
    }
    // It waits for the one session that the server has for the two of them.
    *one = connect(url).await?;
    Ok(true)
}

async fn missing_to_begin(one: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    let sql =
        "SELECT current_schema()::text, COALESCE(has_schema_privilege(current_schema(), 'CREATE'), false)";
    let (schema, may): (Option<String>, bool) =
        sqlx::query_as(sql).persistent(false).fetch_one(&mut *one).await?;
    Ok(match (schema, may) {
        (_, true) => Vec::new(),
        (Some(schema), false) => vec![format!("CREATE on schema {schema}")],
        (None, false) => vec!["a schema in the search path of the user".to_owned()],
    })
}

async fn missing_on_tables(one: &mut PgConnection) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT relname::text, has_table_privilege(oid, 'SELECT'), has_table_privilege(oid, 'INSERT'),
            has_table_privilege(oid, 'UPDATE'), has_table_privilege(oid, 'DELETE')
        FROM pg_class WHERE relkind IN ('r', 'p')
            AND relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = to_regclass('_sqlx_migrations'))
        ORDER BY relname";
    let tables: Vec<(String, bool, bool, bool, bool)> =
        sqlx::query_as(sql).persistent(false).fetch_all(&mut *one).await?;
    let mut missing = Vec::new();
    for (table, select, insert, update, delete) in tables {
        let name = table.as_str();
        let is_changed = CHANGED.contains(&name);
        let needs = [
            ("SELECT", is_ours(name), select),
            ("INSERT", is_ours(name) && name != MIGRATIONS, insert),
            ("UPDATE", is_changed || NEVER_DELETED.contains(&name), update),
            ("DELETE", is_changed || NEVER_UPDATED.contains(&name), delete),
        ];
        let lacking = needs.into_iter().filter(|(_, is_needed, has)| *is_needed && !has);
        missing.extend(lacking.map(|(privilege, ..)| format!("{privilege} on {table}")));
    }
    Ok(missing)
}

/// All tables that a schema of ours has: another's may stand beside them.
pub fn is_ours(table: &str) -> bool {
    let groups: [&[&str]; 4] = [&ONLY_ADDED_TO, &CHANGED, &NEVER_UPDATED, &NEVER_DELETED];
    table == MIGRATIONS || groups.iter().any(|group| group.contains(&table))
}
