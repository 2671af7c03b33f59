//! Tenants files with faults: all of them are told at once, with their lines, and nothing is imported.
//!
//! In: tenants files. Out: exit code 65, one message with every fault, and the tenants as they were. Never half a file.

use super::{calm, says};
use crate::support::{ENGINES, Ended, Engine, Workspace};

const HEADER: &str =
    "tenant_id,name,plan,currency,status,interval,billing_anchor,trial_end,started_at,ended_at\n";

fn import_tenants(workspace: &Workspace, bytes: impl AsRef<[u8]>) -> Ended {
    workspace.write("new.csv", bytes);
    calm(workspace.run(&["import", "tenants", "new.csv"]))
}

fn tenants(workspace: &Workspace) -> Vec<Vec<String>> {
    workspace.sql("SELECT tenant_id, CAST(position AS TEXT), name, plan, status FROM tenants ORDER BY 1, 2")
}

#[test]
fn all_faults_are_told_with_their_lines_and_nothing_is_imported() {
    let rows: [(&[u8], &str); 13] = [
        (b"new,New,pro,try,active,,,,2026-09-01,", ""),
        (b"backwards,B,pro,try,active,,,,2026-09-02,2026-09-01", "ended_at is not after started_at"),
        (b"currency,C,pro,xyz,active,,,,,", "currency `xyz`"),
        (b"status,S,pro,try,actve,,,,,", "status `actve`"),
        (b"interval,I,pro,try,active,week,,,,", "interval `week`"),
        (b"date,D,pro,try,active,,,,2026-02-30,", "started_at `2026-02-30`"),
        (b"offset,O,pro,try,active,,,,,2026-09-01T00:00:00", "ended_at `2026-09-01T00:00:00`"),
        (b"anchor,A,pro,try,active,,0001-01-01T00:00:00Z,,,", "billing_anchor `0001-01-01T00:00:00Z`"),
        (b"trial,T,pro,try,active,,,99999-01-01,,", "trial_end `99999-01-01`"),
        (b",Nameless,pro,try,active,,,,,", "tenant_id is empty"),
        (b"planless,P,,try,active,,,,,", "plan is empty"),
        (b"short,S,pro", "3 fields"),
        (b"utf-\xff,U,pro,try,active,,,,,", "utf-8"),
    ];
    for engine in ENGINES {
        let workspace = Workspace::with_company(engine);
        let before = tenants(&workspace);
        let body = rows.iter().flat_map(|(row, _)| [*row, b"\n"].concat());
        let ended =
            import_tenants(&workspace, [HEADER.as_bytes().to_vec(), body.collect()].concat()).expect(65);
        says(&ended, "new.csv: nothing was imported");
        for (_, words) in rows {
            says(&ended, words);
        }
        assert_eq!(tenants(&workspace), before);
    }
}

/// Each fault of a row stands behind its line; those of several rows of a tenant name one of the lines too.
#[test]
fn each_fault_names_its_line() {
    let workspace = Workspace::with_company(Engine::Sqlite);
    let ended = import_tenants(
        &workspace,
        format!(
            "{HEADER}ok,Ok,pro,try,active,,,,,\n\
             status,S,pro,try,actve,,,,,\n\
             quoted,\"two, parts\",pro,try,active,week,,,,\n\
             broken,\"two\nlines\",pro,try,active,,,,,\n\
             late,L,pro,xyz,active,,,,,\n"
        ),
    )
    .expect(65);
    for place in ["line 3: status", "line 4: interval", "line 5: ", "line 7: currency"] {
        says(&ended, place);
    }
}

#[test]
fn rows_that_overlap_or_end_before_they_start_are_named_with_a_line() {
    let workspace = Workspace::with_company(Engine::Sqlite);
    let backwards = "back,B,pro,try,active,,,,2026-09-02,2026-09-01\n";
    let ended =
        import_tenants(&workspace, format!("{HEADER}ok,Ok,pro,try,active,,,,,\n{backwards}")).expect(65);
    says(&ended, "`back`");
    says(&ended, "line 3");
    let first = "over,O,pro,try,active,,,,2026-09-01,2026-10-01\n";
    let second = "over,O,starter,try,active,,,,2026-09-30,\n";
    let ended = import_tenants(&workspace, format!("{HEADER}{first}{second}")).expect(65);
    says(&ended, "`over`");
    says(&ended, "line 2 (plan pro) runs until 2026-10-01T00:00:00Z");
    says(&ended, "line 3 (plan starter) starts at 2026-09-30T00:00:00Z");
    says(&ended, "let ended_at of the one be started_at of the other");
    let endless = ["pro", "starter", "pro"].map(|plan| format!("over,O,{plan},try,active,,,,,\n")).concat();
    let ended = import_tenants(&workspace, format!("{HEADER}{endless}")).expect(65);
    says(&ended, "has no end");
    says(&ended, "has no start");
}

#[test]
fn an_unknown_misspelt_or_double_column_is_refused() {
    let workspace = Workspace::with_company(Engine::Sqlite);
    let before = tenants(&workspace);
    let row = "new,pro,try,2026-09-01\n";
    for (header, words) in [
        ("tenant_id,plan,currency,started\n", "the column `started` is unknown"),
        ("tenant_id,plan,curency,started_at\n", "`currency` (is `curency` meant?)"),
        ("tenant_id,plan,currency,plan\n", "`plan` twice"),
        ("tenant,product,money,since\n", "the header lacks `tenant_id`"),
    ] {
        let ended = import_tenants(&workspace, format!("{header}{row}")).expect(65);
        says(&ended, "new.csv: line 1: ");
        says(&ended, words);
    }
    says(&import_tenants(&workspace, "").expect(65), "new.csv: is empty");
    assert_eq!(tenants(&workspace), before);
}

#[test]
fn many_faults_are_counted_beyond_the_first_twenty() {
    let workspace = Workspace::with_company(Engine::Sqlite);
    let rows: String = (0..25).map(|number| format!("t-{number},T,pro,xyz,active,,,,,\n")).collect();
    let ended = import_tenants(&workspace, format!("{HEADER}{rows}")).expect(65);
    assert_eq!(ended.stderr.matches("currency `xyz`").count(), 20, "{}", ended.stderr);
    says(&ended, "and 5 more");
}

/// A control character could break a report's rows or a terminal.
#[test]
fn control_characters_and_endless_ids_are_refused() {
    let workspace = Workspace::with_company(Engine::Sqlite);
    let long = "x".repeat(256);
    for row in ["a\tb,A", "ab,\"A\nB\"", "ab,\"A\rB\"", "ab,A\u{1b}[2J", "a\0b,A", &format!("{long},A")] {
        let ended = import_tenants(&workspace, format!("{HEADER}{row},pro,try,active,,,,,\n")).expect(65);
        says(&ended, "new.csv: nothing was imported");
        assert!(!ended.stderr.contains('\u{1b}'), "{}", ended.stderr);
    }
}

#[test]
fn a_plan_that_the_catalog_lacks_is_a_warning_and_parks_its_tenants_only() {
    for engine in ENGINES {
        let workspace = Workspace::with_watched_company(engine);
        let ended = import_tenants(&workspace, format!("{HEADER}odd,Odd,gold,try,active,,,,2026-09-01,\n"));
        says(&ended.expect(0), "the catalog has no plan gold/month/try");
        let run = workspace.run(&["run", "--period", "2026-09", "--json"]).expect(3).json();
        assert_eq!((&run["status"], &run["counts"]["parked"]), (&"partial".into(), &1.into()));
        // Dodo is closed as well; without a usage price it is not billed through Stripe and counted apart.
        assert_eq!((&run["counts"]["closed"], &run["counts"]["not_billed"]), (&3.into(), &1.into()));
    }
}
