//! The store: two ports, [`Ledger`] for usage rows and [`Books`] for state, on SQLite and on PostgreSQL.
//!
//! In: a database URL. Out: ports whose every statement runs on both databases. Never decides anything: it keeps and
//! finds, and refuses writes without a valid lease term.

pub mod books;
mod connection;
mod dialect;
mod error;
pub mod examine;
pub mod lease;
pub mod ledger;
mod migrate;
mod row;

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};

pub use books::Books;
use connection::Pool;
pub use error::StoreError;
use jiff::Timestamp;
pub use ledger::Ledger;
use ledger::{Own, OwnLedger};

/// A snapshot, the writer and the lease's heartbeat, with one to spare.
const CONNECTIONS: u32 = 4;
/// How long a statement waits for another process's lock on a SQLite file before it says that it is busy.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Page cache of a SQLite connection that writes, in KiB (a negative number says so to SQLite). Records come in the order
/// of time and lie in the order of tenants, so an import touches pages all over the file.
const CACHE_KIB: &str = "-32768";
/// How long a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where the data lies. Its text form holds no password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Database {
    Sqlite(PathBuf),
    Postgres(Box<PostgresUrl>),
}

/// A connection URL, password included, so it has neither `Display` nor an open `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub struct PostgresUrl(String);

impl std::fmt::Debug for PostgresUrl {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("PostgresUrl(…)")
    }
}

impl Database {
    /// Reads `sqlite://PATH` (relative paths start at `base`) or `postgres://…`.
    pub fn parse(url: &str, base: &Path) -> Result<Self, StoreError> {
        if let Some(path) = url.strip_prefix("sqlite://").filter(|path| !path.is_empty()) {
            return Ok(Self::Sqlite(base.join(path)));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            return Ok(Self::Postgres(Box::new(PostgresUrl(url.to_owned()))));
        }
        Err(StoreError::BadUrl)
    }

    /// Adds the file to an error that would not say which file it means.
    fn name_in(&self, error: StoreError) -> StoreError {
        let Self::Sqlite(path) = self else { return error };
        let named = |text| format!("{}: {text}", path.display());
        match error {
            StoreError::Unreachable(text) => StoreError::Unreachable(named(text)),
            StoreError::Damaged(text) => StoreError::Damaged(named(text)),
            StoreError::Busy(text) => StoreError::Busy(named(text)),
            other => other,
        }
    }

    /// `sqlite` or `postgres`.
    pub fn engine(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "sqlite",
            Self::Postgres(_) => "postgres",
        }
    }

    /// Number of the newest migration that this binary knows: a database that was opened for writing has it.
    pub fn schema_version(&self) -> i64 {
        migrate::newest(self)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Makes the file and brings the schema up to date.
    Write,
    /// Changes nothing, not even the schema.
    ReadOnly,
}

/// An open database.
#[derive(Clone)]
pub struct Store {
    pool: Pool,
    /// Usage lies in a table of the user's own.
    own: Option<Arc<Own>>,
    now: Option<Timestamp>,
}

impl Store {
    pub async fn open(database: &Database, access: Access) -> Result<Self, StoreError> {
        let pool = match database {
            Database::Sqlite(path) => open_sqlite(path, access).await,
            Database::Postgres(url) => open_postgres(url).await,
        };
        let opened = async {
            let pool = pool?;
            match access {
                Access::Write => migrate::bring_up_to_date(&pool).await?,
                Access::ReadOnly => migrate::require_current(&pool).await?,
            }
            Ok(Self { pool, own: None, now: None })
        };
        opened.await.map_err(|error| database.name_in(error))
    }

    /// Reads usage from a table of the user's own, which is first asked when usage is.
    #[must_use]
    pub fn with_own_ledger(self, ledger: OwnLedger) -> Self {
        Self { own: Some(Arc::new(Own::new(ledger))), ..self }
    }

    /// Tells an own ledger what lies in the future. An import judged that by the machine's clock, whatever time a sandbox plays,
    /// so `now` is never earlier than that.
    #[must_use]
    pub fn at(self, now: Timestamp) -> Self {
        Self { now: Some(now), ..self }
    }

    pub fn ledger(&self) -> Ledger {
        Ledger::new(self.pool.clone(), self.own.clone(), self.now)
    }

    pub fn books(&self) -> Books {
        Books::new(self.pool.clone())
    }

    /// Waits until all connections are closed, so that SQLite folds its write-ahead log into the file.
    pub async fn close(self) {
        if let Some(own) = &self.own {
            own.close().await;
        }
        self.pool.close().await;
    }
}

async fn open_sqlite(path: &Path, access: Access) -> Result<Pool, StoreError> {
    if access == Access::ReadOnly && !path.exists() {
        return Err(StoreError::NoDatabase(path.display().to_string()));
    }
    if access == Access::Write {
        make_private_file(path)?;
    }
    let options =
        SqliteConnectOptions::new().filename(path).busy_timeout(BUSY_TIMEOUT).disable_statement_logging();
    let options = match access {
        // FULL: a committed intent or close must survive a power cut.
        Access::Write => options
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("cache_size", CACHE_KIB),
        Access::ReadOnly => options.read_only(true),
    };
    let pool = SqlitePoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(CONNECT_TIMEOUT * 2);
    Ok(Pool::Sqlite(pool.connect_with(options).await?))
}

/// The ledger says what customers owe: only its owner may read it. SQLite gives its side files the same mode.
fn make_private_file(path: &Path) -> Result<(), StoreError> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(StoreError::Unreachable(error.to_string()))
        }
        _ => Ok(()),
    }
}

async fn open_postgres(url: &PostgresUrl) -> Result<Pool, StoreError> {
    let options: PgConnectOptions = url.0.parse().map_err(|_| StoreError::BadUrl)?;
    let options = options.application_name("billrecon").disable_statement_logging();
    // The pool asks again and again until its time is up and then says only that; a first connection says why.
    let first = tokio::time::timeout(CONNECT_TIMEOUT, PgConnection::connect_with(&options)).await;
    let first = first.map_err(|_| StoreError::Unreachable("no answer within 10 s".to_owned()))??;
    first.close().await?;
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(CONNECT_TIMEOUT);
    Ok(Pool::Postgres(pool.connect_with(options).await?))
}
