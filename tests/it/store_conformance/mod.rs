//! One suite for both databases: each case is an async function over a [`Store`], so both ports are held to the same.
//!
//! In: a migrated database of its own for each case and engine. Out: a failing test; the engine stands in its output.
//! It speaks to the library's ports, and raw SQL stands only where the database itself has to refuse something or has
//! to be tampered with. It never skips an engine.

mod audit;
mod comparison;
mod differences;
mod figures;
mod intents;
mod judged;
mod late;
mod leases;
mod ledger;
mod limits;
mod meters;
mod own;
mod parking;
mod quarantine;
mod rules;
mod runs;
mod schema;
mod statements;

use std::path::Path;
use std::time::Duration;

use billrecon::domain::period::Window;
use billrecon::domain::usage::UsageRecord;
use billrecon::store::lease::Term;
use billrecon::store::{Access, Database, Store, StoreError};
use jiff::Timestamp;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, Row as _, SqliteConnection};

use crate::support::own::{OwnTable, Shape};
use crate::support::postgres::{TestDatabase, unprotect};
use crate::support::{ENGINES, Engine, Workspace, block_on};

/// Long enough that no lease of a case expires by itself.
const HOUR: Duration = Duration::from_hours(1);

/// The way to a case's database beside its store.
#[derive(Clone)]
struct Side {
    engine: Engine,
    url: String,
    /// Usage lies in a table that is not ours.
    own: Option<OwnTable>,
}

impl Side {
    fn of(engine: Engine, workspace: &Workspace) -> Self {
        Self { engine, url: workspace.url.clone(), own: None }
    }

    async fn try_open(&self, access: Access) -> Result<Store, StoreError> {
        Store::open(&Database::parse(&self.url, Path::new("")).unwrap(), access).await
    }

    /// A store with connections of its own, as another process would have.
    async fn open(&self) -> Store {
        let store = self.try_open(Access::Write).await.unwrap();
        match &self.own {
            Some(own) => own.under(store, own.url == self.url),
            None => store,
        }
    }

    /// Usage as it comes to a ledger: by an import, or from whoever fills a table that is not ours.
    async fn add(&self, store: &Store, records: &[UsageRecord]) {
        match &self.own {
            Some(own) => own.add_records(records, now()).await,
            None => {
                ledger::add(store, records).await;
            }
        }
    }

    /// Runs a statement; the database's words where it refuses.
    async fn execute(&self, statement: &str) -> Result<(), String> {
        let sql = AssertSqlSafe(statement.to_owned());
        let result = match self.engine {
            Engine::Sqlite => {
                let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
                let result = connection.execute(sql).await.map(|_| ());
                connection.close().await.unwrap();
                result
            }
            Engine::Postgres => {
                let mut connection = PgConnection::connect(&self.url).await.unwrap();
                connection.execute(sql).await.map(|_| ())
            }
        };
        result.map_err(|error| error.to_string())
    }

    /// Takes away what keeps a table's rows as they are.
    async fn unprotect(&self, table: &str) {
        let (url, table) = (self.url.clone(), table.to_owned());
        tokio::task::spawn_blocking(move || unprotect(&url, &table)).await.unwrap();
    }

    /// The rows of a statement with one column of text.
    async fn texts(&self, statement: &str) -> Vec<String> {
        let sql = AssertSqlSafe(statement.to_owned());
        match self.engine {
            Engine::Sqlite => {
                let mut connection = SqliteConnection::connect(&self.url).await.unwrap();
                let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
                connection.close().await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
            Engine::Postgres => {
                let mut connection = PgConnection::connect(&self.url).await.unwrap();
                let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
                rows.iter().map(|row| row.get(0)).collect()
            }
        }
    }
}

/// Runs a case on a migrated database of each engine.
fn on_both(case: impl AsyncFn(Store, Side)) {
    for engine in ENGINES {
        let workspace = Workspace::new(engine);
        on(Side::of(engine, &workspace), &case);
    }
}

/// Also where the usage lies in a table of the user's own: of each shape, beside the books and elsewhere.
fn on_all(case: impl AsyncFn(Store, Side)) {
    on_both(&case);
    on_own(&case);
}

fn on_all_and_in_turkish(case: impl AsyncFn(Store, Side)) {
    on_both_and_in_turkish(&case);
    on_own(&case);
}

fn on_own(case: impl AsyncFn(Store, Side)) {
    for (engine, shape) in
        [(Engine::Postgres, Shape::Keyed), (Engine::Sqlite, Shape::Loose), (Engine::Sqlite, Shape::View)]
    {
        println!("on an own ledger, {shape:?}");
        let workspace = Workspace::new(engine);
        let apart = TestDatabase::empty();
        let url = if engine == Engine::Postgres { workspace.url.clone() } else { apart.url() };
        let side = Side { own: Some(OwnTable::create(&url, shape)), ..Side::of(engine, &workspace) };
        on(side, &case);
    }
}

/// Also on a PostgreSQL whose own collation and time zone differ from all that the program counts on.
fn on_both_and_in_turkish(case: impl AsyncFn(Store, Side)) {
    on_both(&case);
    let turkish = "TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'tr-TR' ENCODING 'UTF8'";
    let database = TestDatabase::create(turkish);
    database.alter("ALTER DATABASE {} SET timezone TO 'Asia/Kathmandu'");
    let workspace = Workspace::on(database);
    on(Side::of(Engine::Postgres, &workspace), &case);
}

fn on(side: Side, case: &impl AsyncFn(Store, Side)) {
    println!("on {:?}", side.engine);
    block_on(async {
        let store = side.open().await;
        case(store.clone(), side).await;
        store.close().await;
    });
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// The instant at which a case takes place; nothing depends on it.
fn now() -> Timestamp {
    at("2026-11-01T00:00:00Z")
}

fn window(start: &str, end: &str) -> Window {
    Window { start: at(start), end: at(end) }
}

/// A lease for a case that writes.
async fn term(store: &Store) -> Term {
    store.books().take_lease("the case", HOUR).await.unwrap()
}
