//! What the companies charge: each figure of the plan for them, by `billrecon rate` on the shipped catalogs.
//!
//! In: a plan and what was used. Out: the total with its base fee, in the currency.

use super::folder;
use crate::support::{Engine, Workspace};

/// Company, plan, what was used, total.
const FIGURES: &[(&str, &str, &[&str], &str)] = &[
    ("match-requests", "starter", &[], "499.00"),
    ("match-requests", "pro", &[], "999.00"),
    ("match-requests", "pro", &["b2b.match_request=100"], "999.00"),
    ("match-requests", "pro", &["b2b.match_request=101"], "1006.00"),
    ("match-requests", "pro", &["b2b.match_request=250"], "2049.00"),
    ("match-requests", "enterprise", &["b2b.match_request=1000"], "2499.00"),
    ("match-requests", "enterprise", &["b2b.match_request=1001"], "2504.00"),
    ("session-minutes", "free", &["session_minutes=200"], "0.00"),
    ("session-minutes", "free", &["session_minutes=5000"], "0.00"),
    ("session-minutes", "starter", &["session_minutes=1500"], "9.00"),
    ("session-minutes", "starter", &["session_minutes=2500"], "21.00"),
    ("session-minutes", "build", &["session_minutes=3000"], "19.00"),
    ("session-minutes", "build", &["session_minutes=4000"], "30.00"),
    ("session-minutes", "pro", &["session_minutes=8000"], "39.00"),
    ("session-minutes", "pro", &["session_minutes=9000"], "48.00"),
    ("session-minutes", "agency", &["session_minutes=25000"], "99.00"),
    ("session-minutes", "agency", &["session_minutes=26000"], "107.00"),
    ("pay-what-works", "free", &["sessions=100"], "0.00"),
    ("pay-what-works", "free", &["sessions=101"], "0.00"),
    ("pay-what-works", "pay as you go", &["sessions=1"], "0.10"),
    ("pay-what-works", "pay-as-you-go", &["sessions=1234"], "123.40"),
    ("pay-what-works", "pro", &["sessions=400"], "29.00"),
    ("pay-what-works", "pro", &["sessions=401"], "29.07"),
    ("iot-fleet", "starter", &["devices=5"], "29.00"),
    ("iot-fleet", "starter", &["devices=8"], "44.00"),
    ("iot-fleet", "professional", &["devices=20", "messages=1000000"], "99.00"),
    ("iot-fleet", "professional", &["devices=25", "messages=1500000"], "169.00"),
    ("iot-fleet", "professional", &["messages=1001000"], "99.10"),
    ("iot-fleet", "packages", &["devices=23"], "120.00"),
    ("iot-fleet", "packages", &["devices=0"], "0.00"),
    ("iot-fleet", "graduated", &["devices=5"], "50.00"),
    ("iot-fleet", "graduated", &["devices=6"], "58.00"),
    ("iot-fleet", "graduated", &["devices=20"], "170.00"),
    ("iot-fleet", "graduated", &["devices=21"], "175.00"),
    ("iot-fleet", "storage", &["storage_gb=2.5"], "1.50"),
    ("iot-fleet", "storage", &["storage_gb=3"], "1.50"),
    ("iot-fleet", "starter", &["devices=8", "storage_gb=2.5"], "45.50"),
    ("iot-fleet", "packages", &["storage_gb=2.5"], "1.50"),
    ("iot-fleet", "graduated", &["storage_gb=2.5"], "1.50"),
    ("iot-fleet", "professional", &["storage_gb=2.5"], "100.50"),
    ("api-platform", "pure metered", &["api_requests=1"], "0.01"),
    ("api-platform", "hybrid", &["api_requests=10000"], "99.00"),
    ("api-platform", "hybrid", &["api_requests=10001"], "99.02"),
    ("api-platform", "volume", &["api_requests=10000"], "1000.00"),
    ("api-platform", "volume", &["api_requests=10001"], "500.05"),
];

#[test]
fn every_plan_costs_what_its_company_says() {
    let workspace = Workspace::fresh(Engine::Sqlite);
    for (company, plan, used, total) in FIGURES {
        let catalog = folder(company).join("catalog.toml").display().to_string();
        let mut arguments = vec!["rate", "--catalog", &catalog, "--plan", plan, "--json"];
        for one in *used {
            arguments.extend(["--use", one]);
        }
        let quote = workspace.run(&arguments).expect(0).json();
        assert_eq!(quote["amount"], *total, "{company}, {plan}, {used:?}");
        assert_eq!(quote["currency"], if *company == "match-requests" { "try" } else { "usd" });
    }
}

#[test]
fn a_starter_of_the_marketplace_has_no_access() {
    let workspace = Workspace::fresh(Engine::Sqlite);
    let catalog = folder("match-requests").join("catalog.toml").display().to_string();
    let ended =
        workspace.run(&["rate", "--catalog", &catalog, "--plan", "starter", "--use", "b2b.match_request=1"]);
    assert!(ended.expect(65).stderr.contains("does not sell the meter `b2b.match_request`"));
}
