//! Migrations: brings the schema up to date, one process at a time.
//!
//! In: an open pool. Out: a schema that this binary knows, or an error. Guards the race of several processes on a
//! fresh database: everything happens in one transaction that first takes a lock (SQLite's write lock; in PostgreSQL a
//! transaction-level advisory lock, which a pooler cannot lose). Never touches a schema newer than itself.

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::PgConnection;
use sqlx::{Acquire as _, Postgres, Sqlite};

use crate::store::Database;
use crate::store::connection::Pool;
use crate::store::error::StoreError;

static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

/// The key of the advisory lock: any number that nothing else in the database uses.
const LOCK: i64 = 7_203_466_011_554_127;

pub(in crate::store) async fn bring_up_to_date(pool: &Pool) -> Result<(), StoreError> {
    match pool {
        Pool::Sqlite(sqlite) => {
            if applied_in_sqlite(sqlite).await? == latest(&SQLITE) {
                return Ok(());
            }
            let mut tx = sqlite.begin_with("BEGIN IMMEDIATE").await?;
            run(&SQLITE, &mut *tx.acquire().await?).await?;
            tx.commit().await?;
        }
        Pool::Postgres(postgres) => {
            if applied_in_postgres(postgres).await? == latest(&POSTGRES) {
                return Ok(());
            }
            let mut tx = postgres.begin().await?;
            sqlx::query("SELECT pg_advisory_xact_lock($1)")
                .bind(LOCK)
                .persistent(false)
                .execute(&mut *tx)
                .await?;
            run(&POSTGRES, &mut *tx.acquire().await?).await?;
            tx.commit().await?;
        }
    }
    Ok(())
}

/// For readers: they cannot mend the schema, so they say what is wrong with it.
pub(in crate::store) async fn require_current(pool: &Pool) -> Result<(), StoreError> {
    let latest = match pool {
        Pool::Sqlite(_) => latest(&SQLITE),
        Pool::Postgres(_) => latest(&POSTGRES),
    };
    let applied = applied(pool).await?;
    if applied == 0 {
        return Err(StoreError::NoDatabase("the URL".to_owned()));
    }
    match applied.cmp(&latest) {
        std::cmp::Ordering::Less => Err(StoreError::OlderSchema),
        std::cmp::Ordering::Equal => Ok(()),
        std::cmp::Ordering::Greater => Err(StoreError::NewerSchema(applied)),
    }
}

/// Number of the newest migration that was applied; 0: none.
pub(in crate::store) async fn applied(pool: &Pool) -> Result<i64, StoreError> {
    match pool {
        Pool::Sqlite(sqlite) => applied_in_sqlite(sqlite).await,
        Pool::Postgres(postgres) => applied_in_postgres(postgres).await,
    }
}

async fn run<C: sqlx::migrate::Migrate>(migrator: &Migrator, connection: &mut C) -> Result<(), StoreError> {
    // The lock is already held, and sqlx's own is a session lock.
    let mut migrator = Migrator::with_migrations(migrator.iter().cloned().collect());
    migrator.set_locking(false);
    migrator.run_direct(None, connection, false).await.map_err(|error| match error {
        MigrateError::VersionMissing(version) => StoreError::NewerSchema(version),
        MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
        other => StoreError::inconsistent("the schema", other),
    })
}

pub(in crate::store) fn newest(database: &Database) -> i64 {
    match database {
        Database::Sqlite(_) => latest(&SQLITE),
        Database::Postgres(_) => latest(&POSTGRES),
    }
}

fn latest(migrator: &Migrator) -> i64 {
    migrator.iter().map(|migration| migration.version).max().unwrap_or_default()
}

async fn applied_in_sqlite(pool: &sqlx::Pool<Sqlite>) -> Result<i64, StoreError> {
    let sql = "SELECT COUNT(*) FROM sqlite_master WHERE name = '_sqlx_migrations'";
    let tables: i64 = sqlx::query_scalar(sql).fetch_one(pool).await?;
    if tables == 0 {
        return Ok(0);
    }
    Ok(sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations").fetch_one(pool).await?)
}

async fn applied_in_postgres(pool: &sqlx::Pool<Postgres>) -> Result<i64, StoreError> {
    let mut tx = pool.begin().await?;
    applied_on(&mut tx).await
}

/// The same on one session.
pub(in crate::store) async fn applied_on(session: &mut PgConnection) -> Result<i64, StoreError> {
    let sql = "SELECT to_regclass('_sqlx_migrations') IS NOT NULL";
    let exists: bool = sqlx::query_scalar(sql).persistent(false).fetch_one(&mut *session).await?;
    if !exists {
        return Ok(0);
    }
    let sql = "SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations";
    Ok(sqlx::query_scalar(sql).persistent(false).fetch_one(session).await?)
}
