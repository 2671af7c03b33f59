//! Policy files: both that are shipped, what is refused, and that the order of rules matters.

use std::fs;
use std::path::{Path, PathBuf};

use billrecon::domain::policy::Policy;
use billrecon::ingest;

use super::{CATALOG, TENANTS, USAGE, close_september, company};
use crate::support::{Engine, Workspace};

fn example(company: &str, file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(company).join(file)
}

fn read(company: &str, file: &str) -> String {
    fs::read_to_string(example(company, file)).unwrap()
}

#[test]
fn the_policy_of_the_first_example_is_the_one_that_is_built_in() {
    let catalog = ingest::catalog::read(&read("match-requests", "catalog.toml"), "catalog.toml").unwrap();
    let policy =
        ingest::policy::read(&read("match-requests", "policy.toml"), "policy.toml", &catalog).unwrap();
    assert_eq!(policy, Policy::default_for("pro"));
}

fn decided(workspace: &Workspace, policy: &str) -> serde_json::Value {
    workspace.write("policy.toml", policy);
    workspace.run(&["decide", "--policy", "policy.toml", "--json"]).expect(0).json()
}

const REVIEW_FIRST: &str = r#"
plan = "pro"
[[rule]]
metric = "share_at_100"
operator = "<"
threshold = "30 %"
verdict = "REVIEW"
[[rule]]
metric = "mean_used_units"
operator = ">"
threshold = 50
verdict = "NO_GO"
"#;

/// Of two rules that both do not hold the first one decides.
#[test]
fn the_order_of_two_rules_decides() {
    let workspace = company(Engine::Sqlite, &["100", "100", "0", "0", "0"]);
    close_september(&workspace);
    assert_eq!(decided(&workspace, REVIEW_FIRST)["verdict"], "REVIEW");
    let (head, rules) = REVIEW_FIRST.split_once("[[rule]]").unwrap();
    let (review, mean) = rules.split_once("[[rule]]").unwrap();
    assert_eq!(decided(&workspace, &format!("{head}[[rule]]{mean}[[rule]]{review}"))["verdict"], "NO_GO");
}

/// Each rule of the session-minutes policy, by months of that company.
#[test]
fn every_rule_of_the_second_example_is_reached() {
    // Of four on each plan: how many minutes; whether the month was pushed.
    let go = ["1600", "1700", "100", "100"];
    for (used, is_pushed, verdict, metric) in [
        (go, true, "GO", "share_at_100"),
        (go, false, "INSUFFICIENT_DATA", "full_cycle"),
        (["100", "100", "100", "100"], true, "NO_GO", "share_at_100"),
        (["1500", "1500", "100", "100"], true, "REVIEW", "would_be_overage_minor_usd"),
    ] {
        let workspace = sessions(&used);
        if is_pushed {
            workspace.watch("2026-10");
        }
        let run = workspace.run(&["run", "--period", "2026-10", "--as-of", "2026-11-02T00:00:00Z", "--json"]);
        assert_eq!(run.json()["status"], "closed", "{run:?}");
        let answer = of_sessions(&workspace);
        assert_eq!(answer["verdict"], verdict, "{answer}");
        let reasons = answer["reasons"].as_array().unwrap();
        let told: Vec<&str> = reasons.iter().filter_map(|reason| reason.as_str()).collect();
        let is_it = |one: &&&str| one.contains(&format!("({metric} ")) && !one.starts_with("advice only: ");
        let deciding = told.iter().find(is_it).unwrap_or_else(|| panic!("{told:?}"));
        // What to do first is for a rule that does not hold.
        let advises = deciding.contains(": look at the price") || deciding.contains(": too few");
        assert_eq!(advises, ["NO_GO", "REVIEW"].contains(&verdict), "{deciding}");
    }
}

/// A month in which Stripe holds a thousandth less than the ledger; and one with too few tenants.
#[test]
fn the_second_example_wants_99_9_percent_of_the_units_and_two_tenants() {
    for (late, verdict) in [("3.5", "GO"), ("3.6", "NO_GO")] {
        let workspace = sessions(&["1600", "1700", "100", "100"]);
        workspace.watch("2026-10");
        // It comes when the invoice is final: 3,500 minutes were billed.
        let line = format!("s0,session_minutes,{late},2026-10-12T00:00:00Z,late\n");
        workspace.write("late.csv", format!("{USAGE}{line}"));
        workspace.run(&["import", "usage", "late.csv"]).expect(0);
        workspace.run(&["run", "--period", "2026-10", "--as-of", "2026-11-02T00:00:00Z"]).expect(3);
        let answer = of_sessions(&workspace);
        assert_eq!(answer["verdict"], verdict, "{answer}");
        let code = if verdict == "GO" { 21 } else { 20 };
        workspace.run(&["decide", "--policy", "policy.toml", "--detailed-exitcode"]).expect(code);
        let rows = answer["metrics"].as_array().unwrap();
        let accuracy = rows.iter().find(|row| row["metric"] == "accuracy").unwrap();
        assert_eq!((&accuracy["operator"], &accuracy["threshold"]), (&">=".into(), &"0.999".into()));
        assert_eq!(accuracy["passed"], verdict == "GO");
    }
    let lone = sessions(&["1600"]);
    lone.watch("2026-10");
    lone.run(&["run", "--period", "2026-10", "--as-of", "2026-11-02T00:00:00Z"]).expect(0);
    let answer = of_sessions(&lone);
    assert_eq!(answer["verdict"], "INSUFFICIENT_DATA");
    assert!(answer["reasons"][0].as_str().unwrap().ends_with("(tenants 1, asked >= 2)"), "{answer}");
}

/// The company's price list with tenants on Starter alone (1,500 minutes free, 1.2 cents each above).
fn sessions(of_each: &[&str]) -> Workspace {
    let workspace = Workspace::new(Engine::Sqlite);
    let tenant = |number| format!("s{number},starter,usd,cus_{number},sub_{number},active,2026-10-01,,,\n");
    let record = |(number, used): (usize, &&str)| {
        format!("s{number},session_minutes,{used},2026-10-10T00:00:00Z,e{number}\n")
    };
    let tenants: String = (0..of_each.len()).map(tenant).collect();
    let usage: String = of_each.iter().enumerate().map(record).collect();
    let catalog = read("session-minutes", "catalog.toml");
    workspace.import(&catalog, &format!("{TENANTS}{tenants}"), &format!("{USAGE}{usage}"));
    workspace
}

/// By the shipped policy, of Starter alone.
fn of_sessions(workspace: &Workspace) -> serde_json::Value {
    let policy = read("session-minutes", "policy.toml");
    let plans = "[\"starter\", \"build\", \"pro\", \"agency\"]";
    assert!(policy.contains(plans));
    decided(workspace, &policy.replace(plans, "\"starter\""))
}

#[test]
fn the_worst_plan_of_several_is_the_verdict() {
    let workspace = sessions(&["1600", "1700", "100", "100"]);
    workspace.watch("2026-10");
    workspace.run(&["run", "--period", "2026-10", "--as-of", "2026-11-02T00:00:00Z"]).expect(0);
    // Nobody is on the other plans.
    let answer = decided(&workspace, &read("session-minutes", "policy.toml"));
    assert_eq!(answer["verdict"], "INSUFFICIENT_DATA");
    let plans: std::collections::BTreeSet<&str> =
        answer["metrics"].as_array().unwrap().iter().map(|row| row["plan"].as_str().unwrap()).collect();
    assert_eq!(plans.into_iter().collect::<Vec<_>>(), ["agency", "build", "pro", "starter"]);
}

#[test]
fn an_unknown_name_is_refused_with_its_place() {
    let workspace = company(Engine::Sqlite, &["130"]);
    close_september(&workspace);
    let good = REVIEW_FIRST.trim_start();
    for (wrong, place, says) in [
        (good.replace("plan = \"pro\"", "plan = \"prro\""), "line 1, column 1", "did you mean `pro`?"),
        (good.replace("plan = \"pro\"\n", ""), "line 1", "plan: is missing"),
        (good.replace("share_at_100", "share_at_1000"), "line 3, column 1", "did you mean \"share_at_100\"?"),
        (good.replacen("operator", "opperator", 1), "line 4, column 1", "did you mean `operator`?"),
        (
            good.replacen("\"<\"", "\"=<\"", 1),
            "line 4, column 1",
            "is none of \"=\", \">=\", \">\", \"<=\", \"<\"",
        ),
        (good.replace("REVIEW", "MAYBE"), "line 6, column 1", "is none of"),
        (good.replace("\"REVIEW\"", "\"GO\""), "line 6, column 1", "`GO` is none of"),
        (good.replace("30 %", "30 percent"), "line 5, column 1", "threshold"),
        (good.replace("\"30 %\"", "0.3"), "line 5, column 1", "binary float"),
        (format!("harmless = [\"extra_line\"]\n{good}"), "line 1, column 13", "did you mean `extra_lines`?"),
        (format!("meter = \"b2b.match\"\n{good}"), "line 1, column 1", "is not in the catalog"),
        (format!("minimum_population = 0\n{good}"), "line 1, column 1", "at least 1"),
        (
            good.replacen("metric = \"share_at_100\"", "metric = \"mrr_minor\"", 1),
            "line 2",
            "currency: is missing",
        ),
        (good.replacen("verdict", "currency = \"try\"\nverdict", 1), "line 6, column 1", "is no amount"),
        (good.replacen("verdict", "required = false\nverdict", 1), "line 7, column 1", "only advises"),
        (good.replacen("verdict = \"REVIEW\"\n", "", 1), "line 2", "verdict: is missing"),
        (good.split("[[rule]]").next().unwrap().to_owned(), "line 1", "everything would be GO"),
        (format!("{good}[price]\nminimum = 5\nmaximum = 4\n"), "line 14, column 1", "below the minimum"),
    ] {
        workspace.write("policy.toml", &wrong);
        let ended = workspace.run(&["decide", "--policy", "policy.toml"]).expect(78);
        let told = ended.stderr;
        assert!(
            told.contains("policy.toml: ") && told.contains(place) && told.contains(says),
            "{told}\n{wrong}"
        );
        assert_eq!(ended.stdout, "");
    }
    assert!(CATALOG.contains("key = \"pro\""));
}
