//! Exit codes of DESIGN §11.
//!
//! In: one trouble each. Out: its code, words on stderr that say what to do, nothing on stdout. Never a code that tells
//! a scheduler to try again what cannot get better, or the other way round.

use std::fs;

use sqlx::{Connection, Executor, SqliteConnection};

use super::{run, says};
use crate::support::{CATALOG, ENGINES, Engine, TENANTS, USAGE, Workspace, block_on};

#[test]
fn wrong_words_on_the_command_line_are_2() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [
        &[][..],
        &["frobnicate"],
        &["run", "--perod", "2026-09"],
        &["run", "--period", "2026-13"],
        &["run", "--period", "september"],
        &["run", "--as-of", "yesterday"],
        &["run", "--lock-wait", "soon"],
        &["run", "--lock-wait", "-5s"],
        &["import"],
        &["import", "usage"],
        &["import", "invoices", "x.csv"],
    ] {
        let ended = run(folder.path(), arguments).expect(2);
        assert!(!ended.stderr.is_empty() && ended.stdout.is_empty(), "{arguments:?}: {ended:?}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn help_and_version_are_0_on_stdout() {
    let folder = tempfile::tempdir().unwrap();
    for arguments in [&["--help"][..], &["--version"], &["run", "--help"], &["import", "usage", "--help"]] {
        let ended = run(folder.path(), arguments).expect(0);
        assert!(ended.stderr.is_empty() && !ended.stdout.is_empty(), "{arguments:?}: {ended:?}");
    }
}

#[test]
fn a_period_that_has_not_begun_or_lies_before_the_first_one_is_2() {
    for engine in ENGINES {
        let workspace = Workspace::with_company(engine);
        says(&workspace.run(&["run", "--period", "2099-01"]).expect(2), "2099-01 has not begun");
        says(&workspace.run(&["run", "--period", "2026-08"]).expect(2), "before the first one, 2026-09");
        assert_eq!(workspace.number("SELECT COUNT(*) FROM runs"), 0);
    }
}

#[test]
fn a_parked_tenant_is_3_until_it_is_mended() {
    for engine in ENGINES {
        let workspace = Workspace::new(engine);
        workspace.import(CATALOG, &TENANTS.replace("Cold,pro", "Cold,gold"), USAGE);
        workspace.watch("2026-09");
        // Parked when it closes, and still parked when nothing new is to be done.
        for _wake in 0..2 {
            let run = workspace.run(&["run", "--period", "2026-09", "--json"]).expect(3).json();
            assert_eq!((&run["status"], &run["counts"]["parked"]), (&"partial".into(), &1.into()));
        }
        workspace.write("tenants.csv", TENANTS);
        workspace.run(&["import", "tenants", "tenants.csv"]).expect(0);
        let run = workspace.run(&["run", "--period", "2026-09", "--json"]).expect(0).json();
        assert_eq!((&run["status"], &run["counts"]["closed"]), (&"closed".into(), &3.into()));
        assert_eq!(run["counts"]["not_billed"], 1);
    }
}

#[test]
fn a_file_that_is_no_database_is_65() {
    let workspace = Workspace::fresh(Engine::Sqlite);
    workspace.write("billrecon.db", "This is a letter, and no database at all.\n".repeat(200));
    workspace.write("catalog.toml", CATALOG);
    for arguments in
        [&["status"][..], &["run"], &["run", "--dry-run"], &["import", "catalog", "catalog.toml"]]
    {
        says(&workspace.run(arguments).expect(65), "billrecon.db");
    }
}

#[test]
fn a_database_below_a_file_or_a_missing_folder_can_not_be_opened() {
    let workspace = Workspace::with_company(Engine::Sqlite);
    workspace.write("file", "");
    for url in ["sqlite://file/billrecon.db", "sqlite://missing/billrecon.db", "sqlite://."] {
        let ended = workspace.run(&["run", "--database", url]);
        assert!(matches!(ended.code, Some(73..=78)), "{url}: {ended:?}");
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
}

/// One of the two tests that take the ten seconds which the program waits for a database.
#[test]
fn a_locked_sqlite_file_is_75() {
    let workspace = Workspace::with_watched_company(Engine::Sqlite);
    let ended = block_on(async {
        let mut other = SqliteConnection::connect(&workspace.url).await.unwrap();
        other.execute("BEGIN EXCLUSIVE").await.unwrap();
        let ended = workspace.run(&["run", "--period", "2026-09"]);
        other.execute("ROLLBACK").await.unwrap();
        ended
    });
    says(&ended.expect(75), "run again");
    workspace.run(&["run", "--period", "2026-09"]).expect(0);
}

/// A role that may read everything and write nothing; dropped with its rights.
struct Reader<'a> {
    workspace: &'a Workspace,
    name: String,
}

impl<'a> Reader<'a> {
    fn new(workspace: &'a Workspace) -> Self {
        let name = format!("reader_{}", uuid::Uuid::new_v4().simple());
        workspace.sql(&format!("CREATE ROLE {name} LOGIN"));
        workspace.sql(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}"));
        Self { workspace, name }
    }

    fn url(&self) -> String {
        self.workspace.url.replacen("//billrecon@", &format!("//{}@", self.name), 1)
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        self.workspace.sql(&format!("DROP OWNED BY {}", self.name));
        self.workspace.sql(&format!("DROP ROLE {}", self.name));
    }
}

#[test]
fn a_role_that_may_only_read_is_77_for_what_writes_and_0_for_what_reads() {
    let workspace = Workspace::with_watched_company(Engine::Postgres);
    let reader = Reader::new(&workspace);
    assert_ne!(reader.url(), workspace.url);
    workspace.write("new.toml", CATALOG.replace("\"700\"", "\"800\""));
    let usage = USAGE.replace("a-1", "a-9");
    workspace.write("new.csv", usage);
    for arguments in [
        &["run", "--period", "2026-09"][..],
        &["import", "catalog", "new.toml"],
        &["import", "tenants", "tenants.csv"],
        &["import", "usage", "new.csv"],
    ] {
        let ended = workspace.run(&[arguments, &["--database", &reader.url()]].concat()).expect(77);
        says(&ended, "permission denied");
    }
    for arguments in [&["status"][..], &["run", "--dry-run", "--period", "2026-09"]] {
        workspace.run(&[arguments, &["--database", &reader.url()]].concat()).expect(0);
    }
    assert!(workspace.report_folders("2026-09").is_empty());
    assert_eq!(workspace.number("SELECT COUNT(*) FROM usage_ledger"), 6);
}

#[test]
fn a_role_that_may_not_even_read_is_77() {
    let workspace = Workspace::with_company(Engine::Postgres);
    let reader = Reader::new(&workspace);
    workspace.sql(&format!("REVOKE SELECT ON ALL TABLES IN SCHEMA public FROM {}", reader.name));
    for arguments in [&["status"][..], &["run"], &["run", "--dry-run"]] {
        workspace.run(&[arguments, &["--database", &reader.url()]].concat()).expect(77);
    }
}

#[test]
fn a_schema_newer_than_the_binary_is_78() {
    for engine in ENGINES {
        let workspace = Workspace::with_company(engine);
        let newest = "SELECT MAX(version) FROM _sqlx_migrations";
        let next = workspace.number(newest) + 1;
        let columns = "description, installed_on, success, checksum, execution_time";
        workspace.sql(&format!(
            "INSERT INTO _sqlx_migrations (version, {columns}) SELECT {next}, {columns} FROM _sqlx_migrations
             WHERE version = ({newest})"
        ));
        for arguments in [&["status"][..], &["run"], &["run", "--dry-run"], &["import", "usage", "usage.csv"]]
        {
            says(&workspace.run(arguments).expect(78), "newer");
        }
        assert_eq!(workspace.number("SELECT COUNT(*) FROM runs"), 0);
    }
}
