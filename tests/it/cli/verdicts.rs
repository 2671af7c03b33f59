//! Exit codes that speak of Stripe: the verdict and the differences (`--detailed-exitcode`), the key, the account.
//!
//! In: a company whose figures make one verdict, or an account that answers in one way. Out: 20, 21, 22, 77, 78, and words
//! that say what to set. Nothing is written where the account is in doubt.

use std::fs;

use super::says;
use crate::support::account::{self, BAD_KEY, COMPANY, OTHER_COMPANY};
use crate::support::{ENGINES, Ended, Engine, TENANTS, Workspace};

const CATALOG: &str = r#"
[[meter]]
key = "b2b.match_request"
aggregation = "sum"

[[plan]]
key = "pro"
currency = "try"
amount = 99900
  [[plan.usage]]
  meter = "b2b.match_request"
  free_quota = 100
  price = { billing_scheme = "tiered", tiers_mode = "graduated", tiers = [
            { up_to = 100, unit_amount_decimal = "0" }, { up_to = "inf", unit_amount_decimal = "700" } ] }
"#;

/// A company of ten on one plan with one meter, of which some exceed their quota of 100 and the others use `rest`; its
/// month was pushed in time, but what `late` says.
fn company(engine: Engine, exceeding: usize, rest: u32, late: &str) -> Workspace {
    let workspace = Workspace::new(engine);
    let header = "tenant_id,plan,currency,stripe_customer_id,stripe_subscription_id,started_at\n";
    let tenant = |number| format!("t{number},pro,try,cus_{number},sub_{number},2026-09-01\n");
    let used = |number| if number < exceeding { 101 } else { rest };
    let row = |number: usize| {
        format!("t{number},b2b.match_request,{},2026-09-10T00:00:00Z,e-{number}\n", used(number))
    };
    let usage_header = "tenant_id,meter,quantity,occurred_at,source_event_id\n";
    let tenants: String = (0..10).map(tenant).collect();
    let usage: String = (0..10).map(row).collect();
    workspace.import(CATALOG, &format!("{header}{tenants}"), &format!("{usage_header}{usage}"));
    workspace.watch("2026-09");
    if !late.is_empty() {
        workspace.write("late.csv", format!("{usage_header}{late}"));
        workspace.run(&["import", "usage", "late.csv"]).expect(0);
    }
    workspace
}

/// Closes September an hour after its end, so that no later month is judged with it; code with and without the flag.
fn close(workspace: &Workspace, detailed: bool) -> Ended {
    let mut arguments = vec!["run", "--json", "--period", "2026-09", "--as-of", "2026-10-01T03:00:00Z"];
    arguments.extend(detailed.then_some("--detailed-exitcode"));
    workspace.run(&arguments)
}

#[test]
fn a_verdict_of_go_is_0() {
    for engine in ENGINES {
        let workspace = company(engine, 2, 60, "");
        assert_eq!(close(&workspace, true).expect(0).json()["verdict"], "GO");
        // What is closed keeps its verdict, and its code.
        assert_eq!(close(&workspace, true).expect(0).json()["verdict"], "GO");
    }
}

#[test]
fn no_go_and_review_are_20_and_only_for_who_asks() {
    for engine in ENGINES {
        for (exceeding, rest, verdict) in [(0, 60, "NO_GO"), (2, 0, "NO_GO"), (3, 60, "REVIEW")] {
            let workspace = company(engine, exceeding, rest, "");
            assert_eq!(close(&workspace, true).expect(20).json()["verdict"], verdict);
            assert_eq!(close(&workspace, true).expect(20).json()["verdict"], verdict);
            assert_eq!(close(&workspace, false).expect(0).json()["verdict"], verdict);
        }
    }
}

#[test]
fn an_open_month_that_differs_is_21_and_one_that_matches_is_0() {
    for engine in ENGINES {
        let workspace = company(engine, 2, 60, "t0,b2b.match_request,5,2026-09-11T00:00:00Z,late\n");
        // Only looking on, so Stripe stays behind the ledger.
        workspace.write("billrecon.toml", "[push]\nmode = \"observe\"\n");
        let look = ["run", "--json", "--period", "2026-09", "--as-of", "2026-09-30T13:00:00Z"];
        let detailed = [&look[..], &["--detailed-exitcode"]].concat();
        assert_eq!(workspace.run(&detailed).expect(21).json()["verdict"], serde_json::Value::Null);
        workspace.run(&look).expect(0);
        fs::remove_file(workspace.path("billrecon.toml")).unwrap();
        workspace.run(&detailed).expect(0);
    }
}

#[test]
fn insufficient_data_is_22_and_what_waits_for_a_person_comes_before_it() {
    for engine in ENGINES {
        // Nobody has used anything, and September is first seen when its invoices are final.
        let workspace = Workspace::new(engine);
        let on_pro: String = TENANTS.split_inclusive('\n').filter(|row| !row.starts_with("dodo")).collect();
        workspace.import(CATALOG, &on_pro, "tenant_id,meter,quantity,occurred_at,source_event_id\n");
        assert_eq!(close(&workspace, true).expect(22).json()["verdict"], "INSUFFICIENT_DATA");
        assert_eq!(close(&workspace, false).expect(0).json()["verdict"], "INSUFFICIENT_DATA");
        let late = company(engine, 2, 60, "t0,b2b.match_request,5,2026-09-11T00:00:00Z,late\n");
        let ended = close(&late, true).expect(3);
        assert!(ended.json()["counts"]["errors"].as_u64() > Some(0), "{ended:?}");
    }
}

/// The company with a first period, for an account that somebody pays.
fn with_first_period(engine: Engine) -> Workspace {
    let workspace = Workspace::with_company(engine);
    workspace.write("billrecon.toml", "first_period = \"2026-09\"\n");
    workspace
}

fn run_at(workspace: &Workspace, url: &str, arguments: &[&str]) -> Ended {
    Ended::of(workspace.command_at(url, arguments).output().unwrap())
}

#[track_caller]
fn assert_untouched(workspace: &Workspace) {
    assert_eq!(workspace.number("SELECT COUNT(*) FROM runs"), 0);
    assert_eq!(workspace.number("SELECT COUNT(*) FROM account_pin"), 0);
}

#[test]
fn a_key_that_stripe_refuses_is_77() {
    let url = account::serve(401, BAD_KEY);
    for engine in ENGINES {
        let workspace = with_first_period(engine);
        for arguments in [&["run"][..], &["run", "--dry-run"], &["run", "--period", "2026-09"]] {
            let ended = run_at(&workspace, &url, arguments).expect(77);
            says(&ended, "key");
            assert!(!ended.stderr.contains("sk_test_of_a_test"), "{}", ended.stderr);
        }
        assert_untouched(&workspace);
    }
}

#[test]
fn a_real_account_without_a_first_period_is_78() {
    let url = account::serve(200, COMPANY);
    for engine in ENGINES {
        let workspace = Workspace::with_company(engine);
        for arguments in [&["run"][..], &["run", "--dry-run"], &["run", "--period", "2026-09"]] {
            says(&run_at(&workspace, &url, arguments).expect(78), "first_period");
        }
        assert_untouched(&workspace);
    }
}

#[test]
fn postgres_without_a_key_and_without_being_told_to_use_the_sandbox_is_78() {
    let workspace = Workspace::with_company(Engine::Postgres);
    for arguments in [&["run"][..], &["run", "--dry-run"], &["run", "--as-of", "2026-09-30T12:00:00Z"]] {
        let mut command = workspace.command(arguments);
        let ended = Ended::of(command.env_remove("BILLRECON_STRIPE_SANDBOX").output().unwrap()).expect(78);
        says(&ended, "BILLRECON_STRIPE_API_KEY");
        says(&ended, "BILLRECON_STRIPE_SANDBOX=1");
    }
    assert_untouched(&workspace);
    // Asked for in the file it is as good.
    workspace.write("billrecon.toml", "[stripe]\nsandbox = true\n");
    let mut command = workspace.command(&["run", "--as-of", "2026-09-30T12:00:00Z"]);
    Ended::of(command.env_remove("BILLRECON_STRIPE_SANDBOX").output().unwrap()).expect(0);
}

/// Starter sells no usage, so a run asks nothing of the account but who it is.
fn pinned(engine: Engine) -> Workspace {
    let workspace = Workspace::new(engine);
    let catalog = "[[plan]]\nkey = \"starter\"\ncurrency = \"try\"\namount = 49900\n";
    let tenants = "tenant_id,plan,currency,started_at\ndodo,starter,try,2026-09-01\n";
    workspace.import(catalog, tenants, "tenant_id,meter,quantity,occurred_at,source_event_id\n");
    workspace.write("billrecon.toml", "first_period = \"2026-09\"\n");
    let ended = run_at(&workspace, &account::serve(200, COMPANY), &["run", "--json", "--period", "2026-09"]);
    assert_eq!(ended.expect(0).json()["mode"], "TEST");
    workspace
}

#[test]
fn a_database_that_is_pinned_to_an_account_refuses_any_other_and_the_sandbox_with_78() {
    let (same, other) = (account::serve(200, COMPANY), account::serve(200, OTHER_COMPANY));
    for engine in ENGINES {
        let workspace = pinned(engine);
        let runs = workspace.number("SELECT COUNT(*) FROM runs");
        for arguments in [&["run"][..], &["run", "--dry-run"], &["run", "--as-of", "2026-10-20T00:00:00Z"]] {
            // The key was taken away: the sandbox would stand in.
            let without_key = workspace.run(arguments).expect(78);
            says(&without_key, "acct_1ABC");
            says(&without_key, "BILLRECON_STRIPE_API_KEY");
            let other = run_at(&workspace, &other, arguments).expect(78);
            says(&other, "acct_1ABC");
            says(&other, "acct_2XYZ");
        }
        assert_eq!(workspace.number("SELECT COUNT(*) FROM runs"), runs);
        assert!(!crate::support::journal::path(&workspace).exists(), "the sandbox was never started");
        run_at(&workspace, &same, &["run"]).expect(0);
    }
}

#[test]
fn a_database_that_is_pinned_to_the_sandbox_refuses_an_account_with_78() {
    let url = account::serve(200, COMPANY);
    for engine in ENGINES {
        let workspace = Workspace::with_watched_company(engine);
        workspace.write("billrecon.toml", "first_period = \"2026-09\"\n");
        let runs = workspace.number("SELECT COUNT(*) FROM runs");
        says(&run_at(&workspace, &url, &["run"]).expect(78), "the sandbox");
        assert_eq!(workspace.number("SELECT COUNT(*) FROM runs"), runs);
        workspace.run(&["run", "--period", "2026-09"]).expect(0);
    }
}
