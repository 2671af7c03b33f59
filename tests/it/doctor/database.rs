//! Databases that are not as a run needs them.
//!
//! In: a server that is not there, a role without rights, another schema, another clock, a pooler in between. Out: the finding with its
//! severity, and the code that a run would end with.

use std::fs::Permissions;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use billrecon::job::doctor::Check;
use billrecon::store::examine::is_ours;

use super::finding;
use crate::support::{Ended, Engine, Workspace};

#[test]
fn a_database_that_cannot_be_reached_is_found() {
    let workspace = Workspace::fresh(Engine::Sqlite);
    let with = |url: &str| workspace.run(&["doctor", "--database", url]);
    let ended = with("postgres://app:c4n4ry@127.0.0.1:1/billrecon").expect(75);
    let line = finding(&ended, "error", Check::DatabaseReach);
    assert!(line.contains("cannot be reached") && !line.contains("c4n4ry"), "{line}");
    workspace.write("text.db", "no database".repeat(100));
    let line = finding(&with("sqlite://text.db").expect(78), "error", Check::DatabaseSchema);
    assert!(line.contains("text.db") && line.contains("restore it from a backup"), "{line}");
}

#[test]
fn a_server_elsewhere_has_to_prove_who_it_is() {
    let workspace = Workspace::fresh(Engine::Sqlite);
    // Nobody answers at an address of the documentation's own block; nobody has to.
    let with = |query: &str| {
        workspace.run(&["doctor", "--database", &format!("postgres://app@db.invalid/b{query}")])
    };
    for query in ["", "?sslmode=require", "?sslmode=verify-ca"] {
        finding(&with(query), "warning", Check::DatabaseTls);
    }
    assert!(!with("?sslmode=verify-full").stdout.contains("database_tls"));
    assert!(
        !workspace
            .run(&["doctor", "--database", "postgres://app@127.0.0.1:1/b"])
            .stdout
            .contains("database_tls")
    );
}

#[test]
fn another_schema_is_found() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let workspace = Workspace::new(engine);
        workspace.sql("UPDATE _sqlx_migrations SET version = 99 WHERE version = (SELECT MAX(version) FROM _sqlx_migrations)");
        finding(&workspace.run(&["doctor"]).expect(78), "error", Check::DatabaseSchema);
        workspace.sql("DELETE FROM _sqlx_migrations WHERE version = 99");
        finding(&workspace.run(&["doctor"]).expect(3), "warning", Check::DatabaseSchema);
    }
}

#[test]
fn each_privilege_that_a_role_lacks_is_named() {
    let workspace = Workspace::new(Engine::Postgres);
    let role = format!("doctor_{}", std::process::id());
    workspace.sql(&format!("CREATE ROLE {role} LOGIN"));
    let url = workspace.url.replacen("postgres://billrecon@", &format!("postgres://{role}@"), 1);
    let doctor = || workspace.run(&["doctor", "--database", &url]);
    workspace.sql(&format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"));
    let line = finding(&doctor().expect(77), "error", Check::DatabasePrivilege);
    for privilege in ["INSERT on usage_ledger", "UPDATE on lease", "DELETE on tenants", "UPDATE on intents"] {
        assert!(line.contains(privilege), "{privilege}: {line}");
    }
    assert!(!line.contains("UPDATE on usage_ledger") && !line.contains("DELETE on intents"), "{line}");
    // The role of docs/operations.md is enough.
    let page = include_str!("../../../docs/operations.md");
    let block = page.split("```sql\n").nth(1).unwrap().split("```").next().unwrap();
    for statement in
        block.split(';').map(str::trim).filter(|one| !one.is_empty() && !one.starts_with("CREATE ROLE"))
    {
        workspace.sql(&statement.replace("billrecon_job", &role));
    }
    assert_eq!(doctor().expect(0).stdout, "");
    workspace.sql(&format!("DROP OWNED BY {role}"));
    workspace.sql(&format!("DROP ROLE {role}"));
}

#[test]
fn a_role_that_may_not_begin_is_found_before_there_is_a_schema() {
    let workspace = Workspace::fresh(Engine::Postgres);
    let role = format!("doctor_new_{}", std::process::id());
    workspace.sql(&format!("CREATE ROLE {role} LOGIN"));
    workspace.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    let url = workspace.url.replacen("postgres://billrecon@", &format!("postgres://{role}@"), 1);
    let line = finding(
        &workspace.run(&["doctor", "--database", &url]).expect(77),
        "error",
        Check::DatabasePrivilege,
    );
    assert!(line.contains("CREATE on schema public"), "{line}");
    workspace.sql(&format!("DROP ROLE {role}"));
}

#[test]
fn every_table_of_the_schema_is_known_to_the_doctor() {
    let workspace = Workspace::new(Engine::Postgres);
    let tables = workspace.sql(
        "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace",
    );
    let unknown: Vec<&String> = tables.iter().map(|row| &row[0]).filter(|table| !is_ours(table)).collect();
    assert_eq!(unknown, [""; 0]);
}

#[test]
fn an_own_ledger_that_cannot_be_read_is_found() {
    let workspace = Workspace::new(Engine::Postgres);
    workspace.sql(
        "CREATE TABLE events (who text, id text PRIMARY KEY, what text, how_much float8, at timestamptz)",
    );
    let mapping = |quantity: &str| {
        format!(
            "[ledger]\ntable = \"events\"\n[ledger.columns]\ntenant_id = \"who\"\nsource_event_id = \"id\"\nmeter = \"what\"\n\
             quantity = \"{quantity}\"\noccurred_at = \"at\"\n"
        )
    };
    for (quantity, words) in [("how_much", "how_much"), ("amount", "amount")] {
        workspace.write("billrecon.toml", mapping(quantity));
        let line = finding(&workspace.run(&["doctor"]).expect(78), "error", Check::OwnLedger);
        assert!(line.contains(words) && line.contains("events"), "{line}");
    }
    workspace.sql("ALTER TABLE events ADD COLUMN amount numeric");
    assert_eq!(workspace.run(&["doctor"]).expect(0).stdout, "");
}

/// A search path that stands another clock before the server's.
fn with_clock(workspace: &Workspace, seconds: i64) -> Ended {
    workspace.sql("CREATE SCHEMA IF NOT EXISTS wrong");
    workspace.sql(&format!(
        "CREATE OR REPLACE FUNCTION wrong.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS
         $$ SELECT pg_catalog.clock_timestamp() + make_interval(secs => {seconds}) $$"
    ));
    let url = format!("{}?options=-c%20search_path%3Dwrong,pg_catalog,public", workspace.url);
    workspace.run(&["doctor", "--database", &url])
}

#[test]
fn a_clock_that_is_off_is_found_and_beyond_five_minutes_refused() {
    let workspace = Workspace::with_company(Engine::Postgres);
    assert_eq!(with_clock(&workspace, 30).expect(0).stdout, "");
    let line = finding(&with_clock(&workspace, -120).expect(3), "warning", Check::ClockSkew);
    assert!(line.contains("s apart"), "{line}");
    finding(&with_clock(&workspace, 600).expect(78), "error", Check::ClockSkew);
    let url = format!("{}?options=-c%20search_path%3Dwrong,pg_catalog,public", workspace.url);
    let run = workspace.run(&["run", "--database", &url]).expect(78);
    assert!(run.stderr.contains("clock and the database's are"), "{}", run.stderr);
    assert_eq!(workspace.number("SELECT COUNT(*) FROM runs"), 0);
}

/// `PgBouncer`, where the judges have brought it.
struct Pooler(Child, String);

impl Pooler {
    fn start(workspace: &Workspace, mode: &str) -> Self {
        // It cannot be told to take any port, and one that was free may be another's a moment later.
        (0..5).find_map(|_| Self::try_start(workspace, mode)).expect("pgbouncer listens")
    }

    fn try_start(workspace: &Workspace, mode: &str) -> Option<Self> {
        let server: url::Url = workspace.url.parse().unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        let text = format!(
            "[databases]\n* = host=127.0.0.1 port={} user=billrecon\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
             unix_socket_dir =\nauth_type = any\npool_mode = {mode}\ndefault_pool_size = 4\nlogfile =\npidfile =\n\
             ignore_startup_parameters = extra_float_digits,options\n{}",
            server.port().unwrap(),
            if is_root { "user = nobody\n" } else { "" }
        );
        let file = workspace.write(&format!("pgbouncer.{mode}.ini"), text);
        std::fs::set_permissions(workspace.folder.path(), Permissions::from_mode(0o755)).unwrap();
        let child = Command::new("pgbouncer").arg(file).stderr(Stdio::null()).spawn().unwrap();
        let url = format!("postgres://billrecon@127.0.0.1:{port}{}", server.path());
        let mut pooler = Self(child, url);
        while pooler.0.try_wait().unwrap().is_none() {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Some(pooler);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        None
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

#[test]
fn a_pooler_in_transaction_mode_is_found_and_one_in_session_mode_is_well() {
    if std::env::var_os("BILLRECON_TEST_JUDGES").is_none() {
        return;
    }
    let workspace = Workspace::with_watched_company(Engine::Postgres);
    let session = Pooler::start(&workspace, "session");
    assert_eq!(workspace.run(&["doctor", "--database", &session.1]).expect(0).stdout, "");
    let pooler = Pooler::start(&workspace, "transaction");
    let line = finding(
        &workspace.run(&["doctor", "--database", &pooler.1]).expect(3),
        "warning",
        Check::DatabasePooler,
    );
    assert!(line.contains("the lease holds either way"), "{line}");
    let as_of = ["run", "--as-of", "2026-11-05T00:00:00Z", "--database", &pooler.1];
    let runs = [workspace.spawn(&as_of), workspace.spawn(&as_of)];
    let ended = runs.map(|run| Ended::of(run.wait_with_output().unwrap()));
    let mut codes = ended.each_ref().map(|one| one.code);
    codes.sort_unstable();
    // One of them works, the other hears who does.
    assert_eq!(codes, [Some(3), Some(11)], "{ended:?}");
}
