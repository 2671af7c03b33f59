//! The schema: what the columns themselves refuse, and migrations under several openers, for readers, for older
//! binaries.
//!
//! In: raw SQL, fresh databases, databases of another version. Out: refusals. The last line of defence is tested
//! without the program in front of it.

use std::fs;
use std::sync::Barrier;

use billrecon::store::{Access, Store, StoreError};

use super::{Side, on_both};
use crate::support::{ENGINES, Engine, Workspace, block_on};

/// Adds a ledger row whose quantity is written as the database writes it; the rest is harmless.
async fn insert(side: &Side, quantity: &str) -> Result<(), String> {
    let columns = match side.engine {
        Engine::Sqlite => "quantity_floor, quantity_rest",
        Engine::Postgres => "quantity",
    };
    let statement = format!(
        "INSERT INTO usage_ledger (tenant_id, source_event_id, meter, {columns}, occurred_at, recorded_at, outcome,
            source, properties) VALUES ('acme', '1', 'calls', {quantity}, 0, 0, '', '', '{{}}')"
    );
    side.execute(&statement).await
}

#[test]
fn the_quantity_column_itself_refuses_what_is_no_quantity() {
    let refused = |engine| match engine {
        Engine::Sqlite => vec![
            "'abc', 0",
            "'NaN', 0",
            "1.5, 0",
            "9e999, 0",
            "x'01', 0",
            "NULL, 0",
            "1000000000000000, 0",
            "-1000000000000001, 0",
            "0, 'abc'",
            "0, 0.5",
            "0, x'01'",
            "0, NULL",
            "0, -1",
            "0, 1000000000000",
        ],
        Engine::Postgres => vec![
            "'abc'",
            "'NaN'",
            "'Infinity'",
            "'-Infinity'",
            "NULL",
            "1000000000000000",
            "-1000000000000000",
            "1e400",
        ],
    };
    on_both(async |_, side| {
        for quantity in refused(side.engine) {
            assert!(insert(&side, quantity).await.is_err(), "{quantity} was taken");
        }
        let highest = match side.engine {
            Engine::Sqlite => "999999999999999, 999999999999",
            Engine::Postgres => "999999999999999.999999999999",
        };
        insert(&side, highest).await.unwrap();
        assert_eq!(side.texts("SELECT CAST(COUNT(*) AS TEXT) FROM usage_ledger").await, ["1"]);
    });
}

/// Versions in the folder of migrations, as the binary was built with.
fn known_versions(engine: Engine) -> Vec<i64> {
    let name = if engine == Engine::Sqlite { "sqlite" } else { "postgres" };
    let folder = format!("{}/migrations/{name}", env!("CARGO_MANIFEST_DIR"));
    let version =
        |entry: fs::DirEntry| entry.file_name().to_string_lossy().split('_').next().unwrap().parse().unwrap();
    let mut versions: Vec<i64> = fs::read_dir(folder).unwrap().map(|entry| version(entry.unwrap())).collect();
    versions.sort_unstable();
    versions
}

async fn applied_versions(side: &Side) -> Vec<i64> {
    let sql = "SELECT CAST(version AS TEXT) FROM _sqlx_migrations ORDER BY version";
    let mut versions: Vec<i64> =
        side.texts(sql).await.iter().map(|version| version.parse().unwrap()).collect();
    versions.sort_unstable();
    versions
}

#[test]
fn eight_openers_of_a_fresh_database_all_succeed_and_migrate_it_once() {
    for engine in ENGINES {
        let workspace = Workspace::fresh(engine);
        let side = Side::of(engine, &workspace);
        let barrier = Barrier::new(8);
        let open = || {
            barrier.wait();
            block_on(async {
                let store = side.try_open(Access::Write).await?;
                // Each opener can work at once.
                store.books().append().await?.commit().await?;
                store.close().await;
                Ok::<(), StoreError>(())
            })
        };
        let results: Vec<Result<(), StoreError>> = std::thread::scope(|scope| {
            let openers: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            openers.into_iter().map(|opener| opener.join().unwrap()).collect()
        });
        assert!(results.iter().all(Result::is_ok), "on {engine:?}: {results:?}");
        assert_eq!(block_on(applied_versions(&side)), known_versions(engine));
    }
}

async fn refusal(side: &Side, access: Access) -> StoreError {
    side.try_open(access).await.err().unwrap()
}

#[test]
fn a_database_of_a_newer_binary_is_refused_by_writers_and_readers() {
    on_both(async |_, side| {
        let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
            SELECT 9999, 'of the future', success, checksum, 0 FROM _sqlx_migrations WHERE version = 1";
        side.execute(newer).await.unwrap();
        for access in [Access::Write, Access::ReadOnly] {
            let error = refusal(&side, access).await;
            assert!(matches!(error, StoreError::NewerSchema(9999)), "{access:?}: {error:?}");
        }
        let known = known_versions(side.engine);
        assert_eq!(applied_versions(&side).await, [known, vec![9999]].concat());
    });
}

#[test]
fn a_reader_of_an_older_schema_says_so_and_does_not_migrate() {
    on_both(async |_, side| {
        let newest =
            "DELETE FROM _sqlx_migrations WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)";
        side.execute(newest).await.unwrap();
        assert!(matches!(refusal(&side, Access::ReadOnly).await, StoreError::OlderSchema));
        let known = known_versions(side.engine);
        assert_eq!(applied_versions(&side).await, known[..known.len() - 1]);
    });
}

#[test]
fn a_reader_of_a_database_without_schema_changes_nothing() {
    let workspace = Workspace::fresh(Engine::Postgres);
    let side = Side::of(Engine::Postgres, &workspace);
    block_on(async {
        assert!(matches!(refusal(&side, Access::ReadOnly).await, StoreError::NoDatabase(_)));
        let tables = "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'";
        assert_eq!(side.texts(tables).await, [""; 0]);
    });
    let workspace = Workspace::fresh(Engine::Sqlite);
    let side = Side::of(Engine::Sqlite, &workspace);
    let files = || fs::read_dir(workspace.folder.path()).unwrap().count();
    assert!(matches!(block_on(refusal(&side, Access::ReadOnly)), StoreError::NoDatabase(_)));
    assert_eq!(files(), 0);
    let file = workspace.write("billrecon.db", "");
    assert!(matches!(block_on(refusal(&side, Access::ReadOnly)), StoreError::NoDatabase(_)));
    assert_eq!((files(), fs::read(file).unwrap()), (1, Vec::new()));
}

#[test]
fn a_reader_cannot_write() {
    let workspace = Workspace::new(Engine::Sqlite);
    let side = Side::of(Engine::Sqlite, &workspace);
    let write = async |store: &Store| store.books().take_lease("reader", super::HOUR).await;
    block_on(async {
        let store = side.try_open(Access::ReadOnly).await.unwrap();
        assert!(write(&store).await.is_err());
        store.close().await;
    });
}
