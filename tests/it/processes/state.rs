//! What a database and its report folders hold, and whether it is whole.
//!
//! In: a workspace. Out: rows as text, or a failed test. Looks on the side, with SQL of its own; hashes are computed
//! with no code of the project but for the audit chain, whose definition that code is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use billrecon::domain::audit::chain;
use billrecon::store::{Access, Database, Store};
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row, SqliteConnection};

use super::PERIOD;
use crate::support::{Workspace, block_on, csv_rows, files, journal};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaseRow {
    pub holder: String,
    pub fence: i64,
    pub acquired_at: i64,
    pub expires_at: i64,
}

impl LeaseRow {
    pub fn is_free(&self) -> bool {
        self.holder.is_empty() && self.expires_at == 0
    }

    /// Holders are named `host/pid`.
    pub fn is_held_by(&self, pid: u32) -> bool {
        self.holder.ends_with(&format!("/{pid}"))
    }
}

/// The lease's row, as soon as there is a database with one.
pub fn lease(workspace: &Workspace) -> Option<LeaseRow> {
    let sql =
        "SELECT holder, CAST(fence AS TEXT), CAST(acquired_at AS TEXT), CAST(expires_at AS TEXT) FROM lease";
    let rows = block_on(ask(&workspace.url, sql)).ok()?;
    let [holder, fence, acquired_at, expires_at] = rows.first()?.as_slice() else { return None };
    Some(LeaseRow {
        holder: holder.clone(),
        fence: fence.parse().unwrap(),
        acquired_at: acquired_at.parse().unwrap(),
        expires_at: expires_at.parse().unwrap(),
    })
}

/// Moves the end of the lease into the past of the database's clock, for a holder whose own clock still trusts it.
pub fn expire_lease(workspace: &Workspace) {
    let expired = workspace.sql("UPDATE lease SET expires_at = 1 RETURNING holder");
    assert_eq!(expired.len(), 1);
}

/// Like [`Workspace::sql`], for a database that may not be there yet.
async fn ask(url: &str, sql: &'static str) -> Result<Vec<Vec<String>>, sqlx::Error> {
    if url.starts_with("sqlite:") {
        let mut connection = SqliteConnection::connect(url).await?;
        let rows = sqlx::query(sql).fetch_all(&mut connection).await;
        connection.close().await?;
        let texts = |row: &sqlx::sqlite::SqliteRow| (0..row.len()).map(|at| row.try_get(at)).collect();
        return rows?.iter().map(texts).collect();
    }
    let mut connection = PgConnection::connect(url).await?;
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&mut connection).await;
    connection.close().await?;
    rows?.iter().map(|row| (0..row.len()).map(|at| row.try_get(at)).collect()).collect()
}

/// Every row of every table but the lease's, as text.
pub fn dump(workspace: &Workspace) -> BTreeMap<String, Vec<String>> {
    let sqlite = workspace.url.starts_with("sqlite:");
    let tables = workspace.sql(if sqlite {
        "SELECT name FROM sqlite_master WHERE type = 'table'"
    } else {
        "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'"
    });
    let tables = tables.into_iter().flatten().filter(|table| table != "lease");
    tables.map(|table| (table.clone(), rows_of(workspace, &table, sqlite))).collect()
}

fn rows_of(workspace: &Workspace, table: &str, sqlite: bool) -> Vec<String> {
    let rows = if sqlite {
        let columns = workspace.sql(&format!("SELECT name FROM pragma_table_info('{table}')"));
        let columns: Vec<String> = columns.iter().map(|name| format!("quote(\"{}\")", name[0])).collect();
        workspace.sql(&format!("SELECT {} FROM {table} ORDER BY 1", columns.join(" || ',' || ")))
    } else {
        workspace.sql(&format!("SELECT one::text FROM {table} one ORDER BY 1"))
    };
    rows.into_iter().flatten().collect()
}

/// Of the period's runs, those that can close it: they begin after its end (and its instants are nanoseconds). Those
/// that push what it uses come before.
const CLOSING: &str = "period = '2026-09' AND started_at >= 1790812800000000000";

/// The ids of the closing runs in this state.
pub fn runs(workspace: &Workspace, state: &str) -> Vec<String> {
    let sql = format!("SELECT run_id FROM runs WHERE {CLOSING} AND state = '{state}' ORDER BY run_id");
    workspace.sql(&sql).into_iter().flatten().collect()
}

/// How far the newest closing run has come.
pub fn state_of_newest_run(workspace: &Workspace) -> Option<String> {
    state_of_newest(workspace, CLOSING)
}

/// How far the newest run that pushes has come.
pub fn state_of_newest_push(workspace: &Workspace) -> Option<String> {
    state_of_newest(workspace, &format!("NOT ({CLOSING})"))
}

fn state_of_newest(workspace: &Workspace, which: &str) -> Option<String> {
    let sql = format!("SELECT state FROM runs WHERE {which} ORDER BY fence DESC LIMIT 1");
    workspace.sql(&sql).into_iter().flatten().next()
}

/// Holder and fence of the closing runs.
pub fn closed_by(workspace: &Workspace) -> Vec<Vec<String>> {
    workspace.sql(&format!("SELECT holder, CAST(fence AS TEXT) FROM runs WHERE {CLOSING}"))
}

/// The folders in which files of the period are being written, each with marks that no later folder has.
pub fn partial_folders(workspace: &Workspace, period: &str) -> BTreeSet<(PathBuf, [i64; 2])> {
    let is_partial = |path: &PathBuf| path.extension().is_some_and(|end| end == "partial");
    let folders = workspace.report_folders(period).into_iter().filter(is_partial);
    let marked = folders.filter_map(|path| {
        let found = fs::metadata(&path).ok()?;
        Some((path, [found.ctime(), found.ctime_nsec()]))
    });
    marked.collect()
}

/// The period is closed once: one job, one finished run, one whole set of files, the same as `expected`; and Stripe's
/// totals are the ledger's, by its own journal and by every row of the comparison.
#[track_caller]
pub fn assert_closed_once(workspace: &Workspace, expected: &BTreeMap<String, Vec<u8>>) {
    let jobs = workspace.sql("SELECT period, status, run_id FROM billing_period_jobs");
    let finished = runs(workspace, "finished");
    assert_eq!(finished.len(), 1, "{finished:?}");
    assert_eq!(jobs, [[PERIOD.to_owned(), "closed".to_owned(), finished[0].clone()]]);
    assert_eq!(workspace.number("SELECT COUNT(*) FROM runs WHERE state IN ('started', 'committed')"), 0);
    let folder = workspace.report_folder(PERIOD);
    assert_eq!(folder.file_name().unwrap().to_str(), Some(&*finished[0]));
    assert!(folder.join("manifest.json").is_file());
    let data = workspace.data_files(PERIOD);
    let names = |files: &BTreeMap<String, Vec<u8>>| files.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&data), names(expected));
    for (name, bytes) in &data {
        assert!(bytes == &expected[name], "{name} differs from the undisturbed one");
    }
    assert_sums(&folder);
    assert_matched(&data["reconciliation.csv"]);
    journal::assert_holds_the_ledger(workspace, PERIOD);
    assert_audit_chain(workspace);
}

/// Every meter total and every invoice is what the ledger says.
#[track_caller]
fn assert_matched(reconciliation: &[u8]) {
    let rows = csv_rows(reconciliation);
    let of = |source: &str| rows.iter().filter(|row| row["source"] == source).count();
    assert!(of("meter_total") > 0 && of("invoice") > 0, "{rows:?}");
    let is_right = |class: &str| class == "matched" || class == "out_of_scope";
    let wrong: Vec<_> = rows.iter().filter(|row| !is_right(&row["class"])).collect();
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(rows.iter().all(|row| row["source"] != "meter_total" || row["class"] == "matched"), "{rows:?}");
}

/// `SHA256SUMS` names every data file with its hash.
#[track_caller]
fn assert_sums(folder: &Path) {
    let mut data = files(folder);
    data.remove("manifest.json");
    let sums = String::from_utf8(data.remove("SHA256SUMS").unwrap()).unwrap();
    let mut named: Vec<&str> = Vec::new();
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        let digest = Sha256::digest(&data[name]);
        let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(sum, hex, "{name}");
        named.push(name);
    }
    named.sort_unstable();
    assert_eq!(named, data.keys().map(String::as_str).collect::<Vec<_>>());
    assert!(fs::metadata(folder.join("manifest.json")).unwrap().len() > 0);
}

/// Every row of the audit log follows from the one before.
#[track_caller]
pub fn assert_audit_chain(workspace: &Workspace) {
    let rows = block_on(async {
        let database = Database::parse(&workspace.url, Path::new("")).unwrap();
        let store = Store::open(&database, Access::ReadOnly).await.unwrap();
        let rows = store.books().snapshot().await.unwrap().audit_log().await.unwrap();
        store.close().await;
        rows
    });
    let mut before = String::new();
    for (row, position) in rows.iter().zip(1..) {
        let at = row.recorded_at.as_nanosecond().to_string();
        let columns = [&position.to_string(), &at, &row.run_id, &row.event, &row.details];
        assert_eq!((row.position, &row.hash), (position, &chain(&before, &columns.map(String::as_str))));
        before.clone_from(&row.hash);
    }
}

/// How often an event stands in the audit log.
pub fn audited(workspace: &Workspace, event: &str) -> i64 {
    workspace.number(&format!("SELECT COUNT(*) FROM audit_log WHERE event = '{event}'"))
}
