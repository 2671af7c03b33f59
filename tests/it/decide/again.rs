//! A closed period judged again: by the same policy, by another, after everything else has changed.

use super::{CATALOG, TENANTS, USAGE, close_september, company, tenant, used};
use crate::support::{ENGINES, Engine, Workspace, files};

const ASKS_FOR_MORE: &str = r#"
plan = "pro"
[[rule]]
metric = "share_at_100"
operator = ">="
threshold = "50 %"
verdict = "NO_GO"
"#;

fn judged(engine: Engine) -> Workspace {
    let workspace = company(engine, &["130", "200", "60", "60", "60", "60", "60", "60", "60", "60"]);
    assert_eq!(close_september(&workspace)["verdict"], "GO");
    workspace
}

fn decide(workspace: &Workspace, flags: &[&str], code: i32) -> serde_json::Value {
    let arguments = [&["decide", "--period", "2026-09", "--json"], flags].concat();
    workspace.run(&arguments).expect(code).json()
}

/// Every row that could tell of a decision, and every file.
fn traces(workspace: &Workspace) -> (Vec<Vec<String>>, usize) {
    let sql = "SELECT run_id, state, verdict, reasons FROM runs ORDER BY run_id";
    let mut rows = workspace.sql(sql);
    rows.extend(workspace.sql("SELECT hash FROM audit_log ORDER BY position"));
    rows.extend(
        workspace.sql(
            "SELECT metric || value || operator || threshold FROM run_decisions ORDER BY run_id, position",
        ),
    );
    let folders = workspace.report_folders("2026-09");
    (rows, folders.iter().map(|folder| files(folder).len()).sum())
}

#[test]
fn the_same_policy_says_the_same_whatever_has_changed_since() {
    for engine in ENGINES {
        let workspace = judged(engine);
        let first = decide(&workspace, &[], 0);
        assert_eq!((&first["verdict"], &first["verdict_of_run"]), (&"GO".into(), &"GO".into()));
        let stored = workspace.sql("SELECT reasons FROM runs WHERE verdict = 'GO'");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&stored[0][0]).unwrap(), first["reasons"]);
        // Another quota, another price; and a tenant that has gone over to another plan.
        let dearer = CATALOG.replace("free_quota = 100\n", "free_quota = 10\n").replace("\"700\"", "\"900\"");
        workspace.write("catalog.toml", dearer);
        workspace.run(&["import", "catalog", "catalog.toml"]).expect(0);
        workspace.write("tenants.csv", format!("{TENANTS}{}", tenant("t000", "enterprise")));
        workspace.run(&["import", "tenants", "tenants.csv"]).expect(0);
        workspace
            .write("late.csv", format!("{USAGE}t001,b2b.match_request,5000,2026-09-11T00:00:00Z,late\n"));
        workspace.run(&["import", "usage", "late.csv"]).expect(0);
        assert_eq!(decide(&workspace, &[], 0), first);
    }
}

#[test]
fn another_policy_says_something_else_and_changes_nothing() {
    for engine in ENGINES {
        let workspace = judged(engine);
        let before = traces(&workspace);
        workspace.write("policy.toml", ASKS_FOR_MORE);
        let answer = decide(&workspace, &["--policy", "policy.toml"], 0);
        assert_eq!((&answer["verdict"], &answer["verdict_of_run"]), (&"NO_GO".into(), &"GO".into()));
        assert_eq!(
            answer["reasons"][0],
            "20 % of 10 `pro` tenants used their whole quota of b2b.match_request; the policy asks for at least 50 % \
             (share_at_100 0.2, asked >= 0.5)"
        );
        assert_eq!(traces(&workspace), before);
        let text = workspace.run(&["decide", "--policy", "policy.toml"]).expect(0).stdout;
        assert!(
            text.contains("2026-09  NO_GO  by policy.toml") && text.contains("nothing was changed"),
            "{text}"
        );
        assert!(
            text.contains(
                "share_at_100 = 0.2  >= 0.5 DOES NOT HOLD  [tenants_at_100 / tenants; population 10]"
            )
        );
    }
}

#[test]
fn the_exit_code_tells_the_verdict_to_who_asks_for_it() {
    let workspace = judged(Engine::Sqlite);
    workspace.write("more.toml", ASKS_FOR_MORE);
    workspace.write("many.toml", ASKS_FOR_MORE.replace("[[rule]]", "minimum_population = 11\n[[rule]]"));
    workspace.write("review.toml", ASKS_FOR_MORE.replace("NO_GO", "REVIEW"));
    for (policy, code, verdict) in
        [("more.toml", 20, "NO_GO"), ("review.toml", 20, "REVIEW"), ("many.toml", 22, "INSUFFICIENT_DATA")]
    {
        assert_eq!(
            decide(&workspace, &["--policy", policy, "--detailed-exitcode"], code)["verdict"],
            verdict
        );
        assert_eq!(decide(&workspace, &["--policy", policy], 0)["verdict"], verdict);
    }
    decide(&workspace, &["--detailed-exitcode"], 0);
}

#[test]
fn a_period_that_is_not_closed_is_wrong_usage() {
    let workspace = company(Engine::Sqlite, &["130"]);
    for arguments in [&["decide"][..], &["decide", "--period", "2026-09"]] {
        let ended = workspace.run(arguments).expect(2);
        assert!(ended.stderr.contains("so there is nothing to judge"), "{}", ended.stderr);
    }
    workspace.watch("2026-09");
    let ended = workspace.run(&["decide", "--period", "2026-09"]).expect(2);
    assert!(ended.stderr.contains("2026-09 is not closed"), "{}", ended.stderr);
}

#[test]
fn the_policy_of_the_settings_is_the_one_that_runs_go_by() {
    let workspace = company(Engine::Sqlite, &["130", "200", "60", "60"]);
    workspace.write("billrecon.toml", "policy = \"rules/policy.toml\"\n");
    std::fs::create_dir(workspace.path("rules")).unwrap();
    let missing = workspace.run(&["run", "--as-of", "2026-10-01T03:00:00Z"]).expect(78);
    assert!(missing.stderr.contains("rules/policy.toml cannot be read"), "{}", missing.stderr);
    workspace.write("rules/policy.toml", ASKS_FOR_MORE.replace("share_at_100", "share_at_10"));
    let wrong = workspace.run(&["run", "--as-of", "2026-10-01T03:00:00Z"]).expect(78);
    assert!(wrong.stderr.contains("rules/policy.toml: line 4, column 1"), "{}", wrong.stderr);
    assert_eq!(workspace.number("SELECT COUNT(*) FROM runs"), 0, "a run began");
    workspace.write("rules/policy.toml", ASKS_FOR_MORE);
    let run = close_september(&workspace);
    assert_eq!(run["verdict"], "GO");
    assert!(run["reasons"][0].as_str().unwrap().contains("(share_at_100 0.5, asked >= 0.5)"), "{run}");
    assert_eq!(decide(&workspace, &[], 0)["policy"], "rules/policy.toml");
}

/// Two months: in the second, two cycles in a row were clean.
#[test]
fn a_policy_may_ask_for_several_clean_cycles_in_a_row() {
    for engine in ENGINES {
        let workspace = company(engine, &["130", "200", "60", "60"]);
        workspace.write("two.toml", format!("clean_full_cycles = 2\n{ASKS_FOR_MORE}"));
        workspace.write(
            "october.csv",
            format!("{USAGE}{}{}", used("t000", "150", "2026-10"), used("t001", "100", "2026-10")),
        );
        close_september(&workspace);
        let alone = decide(&workspace, &["--policy", "two.toml"], 0);
        assert_eq!(alone["verdict"], "INSUFFICIENT_DATA");
        assert_eq!(
            alone["reasons"][0],
            "1 full cycle was clean up to this period in a row; the policy asks for at least 2 (clean_cycles 1, asked >= 2)"
        );
        workspace.run(&["import", "usage", "october.csv"]).expect(0);
        workspace.watch("2026-10");
        workspace.run(&["run", "--as-of", "2026-11-01T03:00:00Z"]).expect(0);
        let newest = workspace.run(&["decide", "--policy", "two.toml", "--json"]).expect(0).json();
        assert_eq!((&newest["period"], &newest["verdict"]), (&"2026-10".into(), &"GO".into()), "{newest}");
        assert_eq!(decide(&workspace, &["--policy", "two.toml"], 0)["verdict"], "INSUFFICIENT_DATA");
    }
}
