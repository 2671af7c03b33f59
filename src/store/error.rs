//! What can go wrong with a database, in words for a person.
//!
//! In: driver errors. Out: [`StoreError`], whose variants say what happened and what to do. Never holds a URL with a
//! password, and never a driver's type.

use crate::store::lease::Holder;

#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Its text is not shown: it may hold a password.
    #[error("the database URL is none that is known here: write sqlite://PATH or postgres://USER@HOST/NAME")]
    BadUrl,
    #[error(
        "there is no database at {0}: import a catalog, tenants and usage first (`billrecon import --help`)"
    )]
    NoDatabase(String),
    #[error(
        "the database cannot be reached: {0}. Check that it runs and that the URL is right, then run again"
    )]
    Unreachable(String),
    #[error("the database is busy: {0}. Another process holds a lock; run again when it has ended")]
    Busy(String),
    #[error("the database refused: {0}. Grant the missing privilege to the user of the URL")]
    Forbidden(String),
    #[error("the database cannot write: {0}. Free some space, then run again; nothing was half written")]
    CannotWrite(String),
    #[error("the database file is damaged or is no database: {0}. Restore it from a backup")]
    Damaged(String),
    #[error(
        "the database's schema is newer than this binary (migration {0} is unknown here): use the newer billrecon"
    )]
    NewerSchema(i64),
    #[error("the database has an older schema and is opened read-only: run a command that writes first")]
    OlderSchema,
    /// The table and what is wrong with it or with how it is mapped.
    #[error("the own ledger: {0}")]
    OwnLedger(String),
    #[error("a run holds the lease: {0}. Wait for it (--lock-wait 5m), or let it expire")]
    LeaseHeld(Holder),
    #[error("the lease was lost to another run: nothing more was written. Run again to go on")]
    LeaseLost,
    #[error("stored data is not what was written: {0}")]
    Inconsistent(String),
    #[error("the database refused a statement: {0}")]
    Statement(String),
}

impl StoreError {
    /// A fault of stored data, with the place.
    pub fn inconsistent(place: &str, problem: impl std::fmt::Display) -> Self {
        Self::Inconsistent(format!("{place}: {problem}"))
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(database) => {
                let code = database.code().unwrap_or_default().into_owned();
                let text = database.message().to_owned();
                if database.try_downcast_ref::<sqlx::sqlite::SqliteError>().is_some() {
                    from_sqlite(&code, text)
                } else {
                    from_postgres(&code, text)
                }
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::Protocol(_) => Self::Unreachable(error.to_string()),
            _ => Self::Statement(error.to_string()),
        }
    }
}

/// Primary result codes are the low byte: sqlite.org/rescode.html.
fn from_sqlite(code: &str, text: String) -> StoreError {
    match code.parse::<u32>().map(|code| code & 0xff) {
        Ok(5 | 6) => StoreError::Busy(text),
        Ok(3 | 8) => StoreError::Forbidden(text),
        Ok(10 | 13) => StoreError::CannotWrite(text),
        Ok(11 | 26) => StoreError::Damaged(text),
        Ok(14) => StoreError::Unreachable(text),
        _ => StoreError::Statement(text),
    }
}

/// Classes and codes of the PostgreSQL manual, appendix A.
fn from_postgres(code: &str, text: String) -> StoreError {
    match code {
        "42501" => StoreError::Forbidden(text),
        "53100" => StoreError::CannotWrite(text),
        "25P03" | "40001" | "40P01" | "55P03" | "53300" => StoreError::Busy(text),
        _ if code.starts_with("08")
            || code.starts_with("57P")
            || code.starts_with("28")
            || code == "3D000" =>
        {
            StoreError::Unreachable(text)
        }
        _ => StoreError::Statement(text),
    }
}
