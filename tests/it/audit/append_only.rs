//! The database itself refuses to change or remove what was closed, reported, imported or sold by.
//!
//! In: statements on the side. Out: refusals, on both databases.

use std::collections::BTreeSet;

use super::Closed;
use crate::support::{ENGINES, Engine};

/// Each table with a column that can be set to itself, and its key.
const TABLES: [(&str, &str); 16] = [
    ("audit_log", "hash"),
    ("billing_windows", "tenant_name"),
    ("window_usage", "records"),
    ("window_lines", "amount_minor"),
    ("reconciliation", "class"),
    ("run_exceptions", "records"),
    ("run_control_totals", "records"),
    ("run_evidence", "body"),
    ("run_decisions", "value"),
    ("run_facts", "body"),
    ("run_accruals", "records"),
    ("run_totals", "late_minor"),
    ("limit_events", "level"),
    ("import_receipts", "accepted"),
    ("catalog_versions", "body"),
    ("usage_ledger", "outcome"),
];

/// Other rooms try these: rows of them come by late usage and by people's words.
const ELSEWHERE: [&str; 3] = ["adjustments", "holds", "releases"];

/// The tables that the database guards.
fn guarded(workspace: &crate::support::Workspace, engine: Engine) -> BTreeSet<String> {
    let rows = workspace.sql(match engine {
        Engine::Sqlite => "SELECT DISTINCT tbl_name FROM sqlite_master WHERE type = 'trigger'",
        Engine::Postgres => {
            "SELECT DISTINCT c.relname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
             WHERE NOT t.tgisinternal"
        }
    });
    rows.into_iter().flatten().collect()
}

fn page(name: &str) -> String {
    std::fs::read_to_string(format!("{}/docs/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

#[test]
fn every_table_that_is_guarded_is_tried_here_told_to_the_auditor_and_kept_from_the_role() {
    let audit = page("audit.md");
    let kept = audit.split("## What is kept").nth(1).unwrap().split("\n## ").next().unwrap();
    let first_cells = kept.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let told: BTreeSet<String> = first_cells
        .flat_map(|cell| cell.split('`').map(str::to_owned).collect::<Vec<_>>())
        .filter(|word| !word.is_empty() && word.chars().all(|one| one.is_ascii_lowercase() || one == '_'))
        .collect();
    let operations = page("operations.md");
    let revoked =
        operations.split("REVOKE UPDATE, DELETE ON ").nth(1).unwrap().split(" FROM ").next().unwrap();
    let revoked: BTreeSet<String> = revoked.split(',').map(|table| table.trim().to_owned()).collect();
    for engine in ENGINES {
        let mut guarded = guarded(&crate::support::Workspace::with_company(engine), engine);
        // An intent's name and quantity are frozen; what became of it is written into its row.
        assert!(guarded.remove("intents"));
        let tried = TABLES.iter().map(|(table, _)| *table).chain(ELSEWHERE).map(str::to_owned).collect();
        assert_eq!(guarded, tried);
        // A run's own row changes until its files are written.
        let of_runs: BTreeSet<String> = guarded.iter().cloned().chain(["runs".to_owned()]).collect();
        assert_eq!(of_runs, told);
        // Parked windows are written anew; what may not be done to closed ones is another statement.
        let but_windows: BTreeSet<String> =
            guarded.into_iter().filter(|table| table != "billing_windows").collect();
        assert_eq!(but_windows, revoked);
    }
}

/// The words with which a statement is refused.
fn refusal(closed: &Closed, statement: &str) -> String {
    let url = closed.workspace.url.clone();
    let answer = std::panic::catch_unwind(|| crate::support::postgres::rows(&url, statement));
    let refused = answer.expect_err(statement);
    refused.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn no_row_of_a_closed_month_can_be_changed_or_removed() {
    for engine in ENGINES {
        let closed = Closed::new(engine);
        // No window of a calendar company is open at the month's end.
        let accrual = "('of-no-run', 0, 'acme', 'pro', 'month', 'try', 'calls', 0, 2, 1, 1, '1', 1)";
        closed.workspace.sql(&format!("INSERT INTO run_accruals VALUES {accrual}"));
        for (table, column) in TABLES {
            let count = closed.workspace.number(&format!("SELECT COUNT(*) FROM {table}"));
            assert!(count > 0, "{table} is empty");
            let mut statements =
                vec![format!("UPDATE {table} SET {column} = {column}"), format!("DELETE FROM {table}")];
            if engine == Engine::Postgres {
                statements.push(format!("TRUNCATE {table}"));
            } else if table != "usage_ledger" {
                statements.push(format!("INSERT OR REPLACE INTO {table} SELECT * FROM {table}"));
            }
            for statement in statements {
                let words = refusal(&closed, &statement);
                assert!(words.contains("append-only"), "{engine:?}, {statement}: {words}");
            }
            assert_eq!(closed.workspace.number(&format!("SELECT COUNT(*) FROM {table}")), count);
        }
        closed.verify().expect(0);
    }
}

#[test]
fn a_role_without_the_rights_still_closes_a_month() {
    let workspace = crate::support::Workspace::with_watched_company(Engine::Postgres);
    let role = format!("billrecon_{}", uuid::Uuid::new_v4().simple());
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md")).unwrap();
    let grants = page.split("```sql\n").nth(1).unwrap().split("```").next().unwrap();
    for statement in grants.split(';').map(str::trim).filter(|statement| !statement.is_empty()) {
        workspace.sql(&statement.replace("billrecon_job", &role).replace("PASSWORD '…'", ""));
    }
    let url = workspace.url.replace("postgres://billrecon@", &format!("postgres://{role}@"));
    assert_ne!(url, workspace.url);
    let run = |arguments: &[&str]| {
        let mut command = workspace.command(arguments);
        crate::support::Ended::of(command.env("BILLRECON_DATABASE_URL", &url).output().unwrap())
    };
    run(&["run", "--period", "2026-09"]).expect(0);
    run(&["verify", "--period", "2026-09"]).expect(0);
    workspace.unprotect("window_lines");
    let refused = std::panic::catch_unwind(|| {
        crate::support::postgres::rows(&url, "UPDATE window_lines SET amount_minor = 0");
    });
    let words = refused.unwrap_err().downcast_ref::<String>().cloned().unwrap_or_default();
    assert!(words.contains("permission denied"), "{words}");
    workspace.sql(&format!("DROP OWNED BY {role}"));
    workspace.sql(&format!("DROP ROLE {role}"));
}
