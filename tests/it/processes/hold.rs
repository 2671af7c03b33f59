//! Ways to hold a process where it is: SIGSTOP, a step at a time, and locks in its database.
//!
//! In: a process id, or a database's URL. Out: guards that let go when they are dropped, so that a failed test leaves
//! nothing behind that waits for ever.

use std::process::{Child, Command};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, PgConnection, SqliteConnection};
use tokio::runtime::Runtime;

use super::wait_until;
use crate::support::{Workspace, block_on};

/// Sends a signal to a process that is there.
pub fn send(pid: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().unwrap();
    assert!(sent.success(), "kill -{name} {pid}");
}

/// A process that SIGSTOP holds. Dropped, it goes on.
pub struct Stopped(u32);

impl Stopped {
    /// `None` if the process has ended.
    pub fn stop(pid: u32) -> Option<Self> {
        send(pid, "STOP");
        wait_until("the process stops or has ended", || match condition(pid) {
            'T' => Some(Some(Self(pid))),
            'Z' => Some(None),
            _ => None,
        })
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        send(self.0, "CONT");
    }
}

/// The first letter of the state that `ps` shows: T is stopped, Z has ended and nobody has asked for its exit code.
fn condition(pid: u32) -> char {
    let output = Command::new("ps").args(["-o", "stat=", "-p", &pid.to_string()]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().chars().next().unwrap_or('Z')
}

/// Lets a process run in small steps until `there` is true of a moment in which it stands still; `None` if it ends
/// before. The child must not have been waited for.
pub fn stop_when(child: &Child, mut there: impl FnMut() -> bool) -> Option<Stopped> {
    loop {
        let stopped = Stopped::stop(child.id())?;
        if there() {
            return Some(stopped);
        }
    }
}

/// Whether a process that stands still is in the middle of a transaction that writes.
pub fn holds_write_lock(workspace: &Workspace) -> bool {
    if workspace.url.starts_with("sqlite:") {
        return block_on(sqlite_is_locked(&workspace.url));
    }
    let asked = "SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()
        AND application_name = 'billrecon' AND state = 'active'
        AND COALESCE(wait_event_type, '') NOT IN ('Lock', 'Client')";
    wait_until("the server has done what it was asked for", || (workspace.number(asked) == 0).then_some(()));
    let modes = "mode IN ('RowShareLock', 'RowExclusiveLock')";
    locks(workspace, "lease", &format!("granted AND {modes}")) > 0
}

async fn sqlite_is_locked(url: &str) -> bool {
    let options: SqliteConnectOptions = url.parse().unwrap();
    let mut connection = options.busy_timeout(std::time::Duration::ZERO).connect().await.unwrap();
    let locked = connection.execute("BEGIN IMMEDIATE").await.is_err();
    connection.close().await.unwrap();
    locked
}

/// Whether a statement waits for a lock on a table (PostgreSQL).
pub fn waits_for(workspace: &Workspace, table: &str) -> bool {
    locks(workspace, table, "NOT granted") > 0
}

/// Copies of one database give the same number to a table, and the server lists the locks of all.
fn locks(workspace: &Workspace, table: &str, which: &str) -> i64 {
    let here = "database = (SELECT oid FROM pg_database WHERE datname = current_database())";
    workspace.number(&format!(
        "SELECT COUNT(*) FROM pg_locks WHERE relation = '{table}'::regclass AND {here} AND {which}"
    ))
}

/// A transaction of the test that keeps others waiting.
pub struct Lock {
    runtime: Runtime,
    connection: Option<Locking>,
}

enum Locking {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Lock {
    /// Nobody else can write to the file.
    pub fn sqlite(workspace: &Workspace) -> Self {
        Self::new(async {
            let mut connection = SqliteConnection::connect(&workspace.url).await.unwrap();
            connection.execute("BEGIN IMMEDIATE").await.unwrap();
            Locking::Sqlite(connection)
        })
    }

    /// Nobody else can read or write the table.
    pub fn postgres(workspace: &Workspace, table: &str) -> Self {
        Self::new(async {
            let mut connection = PgConnection::connect(&workspace.url).await.unwrap();
            let sql = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
            connection.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await.unwrap();
            Locking::Postgres(connection)
        })
    }

    fn new(lock: impl Future<Output = Locking>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let connection = Some(runtime.block_on(lock));
        Self { runtime, connection }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // The server rolls back when the connection has ended.
        let _may_have_broken = match self.connection.take() {
            Some(Locking::Sqlite(connection)) => self.runtime.block_on(connection.close()),
            Some(Locking::Postgres(connection)) => self.runtime.block_on(connection.close()),
            None => Ok(()),
        };
    }
}
