//! Databases on the test server: a migrated template, one copy per test; and SQL on the side for both engines.
//!
//! In: the server's URL. Out: databases that are dropped with their owner. Never touches a database that it did not
//! make.

use std::sync::OnceLock;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, Row, SqliteConnection};

use crate::support::{block_on, migrate};

pub struct TestDatabase {
    name: String,
}

impl TestDatabase {
    /// A copy of the migrated template.
    pub fn from_template() -> Self {
        Self::create(&format!("TEMPLATE {}", template()))
    }

    /// Without a schema.
    pub fn empty() -> Self {
        Self::create("TEMPLATE template0")
    }

    /// Without a schema, with what else `CREATE DATABASE` can say.
    pub fn create(options: &str) -> Self {
        let name = format!("billrecon_{}", uuid::Uuid::new_v4().simple());
        administer(&format!("CREATE DATABASE {name} {options}"));
        Self { name }
    }

    pub fn url(&self) -> String {
        url_of(&self.name)
    }

    /// Runs a statement as the server's administrator, with the database's name for `{}`.
    pub fn alter(&self, statement: &str) {
        administer(&statement.replace("{}", &self.name));
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        administer(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name));
    }
}

fn server() -> String {
    std::env::var("BILLRECON_TEST_POSTGRES_URL").expect(
        "BILLRECON_TEST_POSTGRES_URL is not set: run the tests with scripts/test, which starts a PostgreSQL",
    )
}

fn url_of(database: &str) -> String {
    let server = server();
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{database}")
}

fn administer(statement: &str) {
    block_on(async {
        let mut connection = PgConnection::connect(&server()).await.unwrap();
        connection.execute(AssertSqlSafe(statement.to_owned())).await.unwrap();
    });
}

fn template() -> &'static str {
    static TEMPLATE: OnceLock<String> = OnceLock::new();
    TEMPLATE.get_or_init(|| {
        // Left for the server's end: other processes of the same test run may copy it.
        let name = format!("billrecon_template_{}", std::process::id());
        administer(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"));
        administer(&format!("CREATE DATABASE {name} TEMPLATE template0"));
        migrate(&url_of(&name));
        name
    })
}

/// Takes the triggers off a table, as whoever wants to rewrite the past would.
pub fn unprotect(url: &str, table: &str) {
    if !url.starts_with("sqlite:") {
        rows(url, &format!("ALTER TABLE {table} DISABLE TRIGGER USER"));
        return;
    }
    let triggers = format!("SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = '{table}'");
    for trigger in rows(url, &triggers) {
        rows(url, &format!("DROP TRIGGER {}", trigger[0]));
    }
}

/// Rows of a statement whose columns are all text.
pub fn rows(url: &str, statement: &str) -> Vec<Vec<String>> {
    let sql = AssertSqlSafe(statement.to_owned());
    block_on(async {
        if url.starts_with("sqlite:") {
            let mut connection = SqliteConnection::connect(url).await.unwrap();
            let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
            let texts = rows.iter().map(|row| (0..row.len()).map(|at| row.get(at)).collect()).collect();
            connection.close().await.unwrap();
            texts
        } else {
            let mut connection = PgConnection::connect(url).await.unwrap();
            let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
            rows.iter().map(|row| (0..row.len()).map(|at| row.get(at)).collect()).collect()
        }
    })
}
