//! The simulation: who pays more at which price, who would rather move up, and who must be asked first.
//!
//! In: closed months. Out: rows, shocks and the file of bills.

use std::fs;

use serde_json::Value;

use super::{CATALOG, USED, asked, close, closed, row, simulated};
use crate::support::{ENGINES, Engine, csv_rows};

#[test]
fn prices_are_told_by_what_they_change_the_same_on_both_databases() {
    let told = ENGINES.map(|engine| {
        let workspace = closed(engine, CATALOG, USED);
        let found = simulated(&workspace, &["--prices", "5,7", "--out", "bills.csv"]);
        (found, fs::read(workspace.path("bills.csv")).unwrap())
    });
    assert!(told[0] == told[1], "{told:?}");
    let found = &told[0].0;
    let names: Vec<&Value> =
        found["candidates"].as_array().unwrap().iter().map(|row| &row["candidate"]).collect();
    assert_eq!(names, ["in force", "catalog", "5", "7"]);
    let five = row(found, "5");
    // 20 and 40 units at 5.00, of four tenants.
    assert_eq!(
        (&five["bills"], &five["tenants"], &five["tenants_affected"]),
        (&4.into(), &4.into(), &2.into())
    );
    assert_eq!((&five["revenue_minor"], &five["difference_minor"]), (&30_000.into(), &30_000.into()));
    let spread =
        ["change_p50_minor", "change_p95_minor", "change_max_minor"].map(|name| five[name].as_i64().unwrap());
    assert_eq!(spread, [0, 20_000, 20_000]);
    assert_eq!(row(found, "in force")["revenue_minor"], 0);
    assert_eq!(row(found, "7"), &{
        let mut catalog = row(found, "catalog").clone();
        catalog["candidate"] = "7".into();
        catalog
    });
    assert_eq!(csv_rows(&told[0].1).len(), 16);
}

#[test]
fn a_bill_that_grows_by_exactly_the_percentage_is_no_shock() {
    // Of 999.00, 25 % are 249.75: 33.3 units at 7.50. A minor unit more is above.
    let used =
        [("edge", "pro", "try", "133.3"), ("over", "pro", "try", "133.302"), ("half", "pro", "try", "150")];
    let workspace = closed(Engine::Sqlite, CATALOG, &used);
    let found = simulated(&workspace, &["--prices", "7.5"]);
    let at = row(&found, "7.5");
    let named: Vec<(&Value, i64)> = at["shocks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["tenant_id"], one["change_minor"].as_i64().unwrap()))
        .collect();
    assert_eq!(named, [(&"half".into(), 37_500), (&"over".into(), 24_977)]);
    assert_eq!((&at["tenants_in_shock"], &at["bills_in_shock"]), (&2.into(), &2.into()));
    let first = simulated(&workspace, &["--prices", "7.5", "--top", "1", "--shock", "24.99%"]);
    assert_eq!(row(&first, "7.5")["shocks"].as_array().unwrap().len(), 1);
    assert_eq!(row(&first, "7.5")["tenants_in_shock"], 3);
    let text = asked(&workspace, "simulate", &["--prices", "7.5", "--top", "1"]).expect(0).stdout;
    assert!(
        text.contains(
            "at 7.5 these grow by more than 25 %:\n  half 2026-10: 999.00 -> 1374.00\n  … and 1 more"
        ),
        "{text}"
    );
}

#[test]
fn a_bill_that_was_nothing_is_always_a_shock_and_the_worst() {
    let catalog =
        CATALOG.replacen("amount = 99900", "amount = 0", 1).replacen("amount = 249900", "amount = 1", 1);
    let used =
        [("acme", "pro", "try", "101"), ("beta", "pro", "try", "100"), ("cold", "enterprise", "try", "1100")];
    let workspace = closed(Engine::Sqlite, &catalog, &used);
    let found = simulated(&workspace, &["--prices", "0.01", "--shock", "1000000%"]);
    assert_eq!(row(&found, "0.01")["shocks"][0]["tenant_id"], "acme");
    assert_eq!(row(&found, "0.01")["tenants_in_shock"], 1);
}

#[test]
fn whoever_would_pay_less_on_the_next_plan_is_counted_and_equality_is_not_less() {
    // Enterprise is 1,500.00 dearer: 150 units above the quota at 10.00 are as much.
    let used = [("even", "pro", "try", "250"), ("more", "pro", "try", "251"), ("less", "pro", "try", "249")];
    let workspace = closed(Engine::Sqlite, CATALOG, &used);
    let found = simulated(&workspace, &["--prices", "10", "--out", "bills.csv"]);
    assert_eq!(row(&found, "10")["tenants_better_on_next_plan"], 1);
    let bills = csv_rows(&fs::read(workspace.path("bills.csv")).unwrap());
    let better: Vec<&String> = bills
        .iter()
        .filter(|row| row["better_on_next_plan"] == "true")
        .map(|row| &row["tenant_id"])
        .collect();
    assert_eq!(better, ["more"]);
    // The top plan has no next one, and its rows say nothing instead of false.
    let top = closed(Engine::Sqlite, CATALOG, &[("echo", "enterprise", "try", "5000")]);
    simulated(&top, &["--plan", "enterprise", "--prices", "10", "--out", "bills.csv"]);
    let bills = csv_rows(&fs::read(top.path("bills.csv")).unwrap());
    assert!(
        bills
            .iter()
            .all(|row| row["next_plan_bill_minor"].is_empty() && row["better_on_next_plan"].is_empty())
    );
}

#[test]
fn currencies_are_never_added() {
    let yen =
        CATALOG.replace("try", "jpy").replace("[[meter]]\nkey = \"calls\"\naggregation = \"sum\"\n", "");
    let used = [USED, &[("yoko", "pro", "jpy", "103")]].concat();
    let workspace = closed(Engine::Sqlite, &format!("{CATALOG}{yen}"), &used);
    let found = simulated(&workspace, &["--prices", "5"]);
    let at: Vec<[String; 3]> = found["candidates"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|row| row["candidate"] == "5")
        .map(|row| [&row["currency"], &row["revenue_minor"], &row["bills"]].map(ToString::to_string))
        .collect();
    // 5 is 500 kurus, and 5 yen.
    assert_eq!(at, [["\"jpy\"", "15", "1"], ["\"try\"", "30000", "4"]]);
    let only = simulated(&workspace, &["--prices", "5", "--currency", "jpy"]);
    assert_eq!(row(&only, "5")["revenue_minor"], 15);
}

#[test]
fn a_price_of_stripe_is_simulated_with_its_own_tiers_and_currency() {
    let workspace = closed(Engine::Sqlite, CATALOG, USED);
    let price = r#"{"id":"price_1","currency":"try","billing_scheme":"tiered","tiers_mode":"graduated","tiers":[
        {"up_to":100,"unit_amount":0},{"up_to":110,"unit_amount":700},{"up_to":null,"unit_amount":300,"flat_amount":1000}]}"#;
    workspace.write("price.json", price);
    let found = simulated(&workspace, &["--stripe-price", "price.json"]);
    // acme: 70.00 + 30.00 + 10.00; beta: 70.00 + 90.00 + 10.00.
    let name = "graduated: to 100 at 0, to 110 at 700, then 300 + 1000 flat";
    assert_eq!(row(&found, name)["revenue_minor"], 28_000);
    let ended =
        asked(&workspace, "simulate", &["--stripe-price", "price.json", "--currency", "usd"]).expect(2);
    assert!(
        ended.stderr.contains("price.json holds a price in try, but --currency says usd"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_hard_cap_brings_nothing_at_any_price_and_no_quota_charges_for_all() {
    let capped = CATALOG.replacen("amount = 99900", "amount = 99900\nhard_cap = true", 1);
    let found = simulated(&closed(Engine::Sqlite, &capped, USED), &["--prices", "5"]);
    assert_eq!(
        (&row(&found, "5")["revenue_minor"], &row(&found, "5")["tenants_affected"]),
        (&0.into(), &0.into())
    );
    let without = CATALOG.replacen("  free_quota = 100\n", "", 1);
    let found = simulated(&closed(Engine::Sqlite, &without, USED), &["--prices", "5"]);
    // 120 + 140 + 99.5 units.
    assert_eq!(row(&found, "5")["revenue_minor"], 179_750);
}

#[test]
fn several_months_are_simulated_together_with_a_row_for_each_bill() {
    let workspace = closed(Engine::Sqlite, CATALOG, USED);
    let more =
        "tenant_id,meter,quantity,occurred_at,source_event_id\nacme,calls,110,2026-11-15T00:00:00Z,two\n";
    workspace.write("more.csv", more);
    workspace.run(&["import", "usage", "more.csv"]).expect(0);
    close(&workspace, "2026-11", "2026-12-02T00:00:00Z");
    let found =
        simulated(&workspace, &["--prices", "5", "--periods", "2026-10..2026-11", "--out", "bills.csv"]);
    let at = row(&found, "5");
    assert_eq!((&at["bills"], &at["tenants"], &at["tenants_affected"]), (&8.into(), &4.into(), &2.into()));
    assert_eq!(at["revenue_minor"], 35_000);
    let newest = simulated(&workspace, &["--prices", "5"]);
    assert_eq!(
        (&newest["periods"][0], &row(&newest, "5")["revenue_minor"]),
        (&"2026-11".into(), &5_000.into())
    );
    let older = simulated(&workspace, &["--prices", "5", "--period", "2026-10"]);
    assert_eq!(row(&older, "5")["revenue_minor"], 30_000);
}

#[test]
fn hostile_names_are_harmless_on_the_terminal_and_in_the_file() {
    let tenant = "=cmd|' /C calc'!A0";
    let workspace =
        closed(Engine::Sqlite, CATALOG, &[(tenant, "pro", "try", "500"), ("+1", "pro", "try", "300")]);
    let ended = asked(&workspace, "simulate", &["--prices", "5", "--out", "bills.csv"]).expect(0);
    assert!(ended.stdout.contains(tenant), "{}", ended.stdout);
    let text = fs::read_to_string(workspace.path("bills.csv")).unwrap();
    assert!(text.contains(",'=cmd|' /C calc'!A0,") && text.contains(",'+1,"), "{text}");
}
