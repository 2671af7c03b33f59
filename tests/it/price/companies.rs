//! The five companies: revenue in force is what was billed, the catalog's is what was closed, and every bill is what `rate` says.
//!
//! In: a month of each of `examples/`, in shadow as shipped and with every price live. Out: sums of `reconciliation.csv` and of
//! `lines.csv`, by plain CSV code, and amounts of `rate --batch`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{close, row, simulated};
use crate::support::{Engine, Workspace, csv_rows};

const COMPANIES: [&str; 5] =
    ["match-requests", "session-minutes", "pay-what-works", "iot-fleet", "api-platform"];

fn october(company: &str, live: bool) -> Workspace {
    let workspace = Workspace::new(Engine::Sqlite);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(company);
    let usage = if company == "pay-what-works" { "usage.ndjson" } else { "usage.csv" };
    for (what, file) in [("catalog", "catalog.toml"), ("tenants", "tenants.csv"), ("usage", usage)] {
        let mut text = fs::read_to_string(folder.join(file)).unwrap();
        if what == "catalog" && live {
            text = text.replace("[[plan.usage]]\n", "[[plan.usage]]\n  billing = \"live\"\n");
        }
        workspace.write(file, text);
        workspace.run(&["import", what, file]).expect(0);
    }
    close(&workspace, "2026-10", "2026-11-02T00:00:00Z");
    workspace
}

type Rows = Vec<BTreeMap<String, String>>;

/// What is billed of a plan and meter, in the rows of a file that hold it.
fn total(rows: &Rows, (plan, meter): (&str, &str), amount: &str) -> i64 {
    let is_it = |row: &&BTreeMap<String, String>| row["plan"] == plan && row["meter"] == meter;
    rows.iter().filter(is_it).map(|row| row[amount].parse::<i64>().unwrap()).sum()
}

#[test]
fn revenue_in_force_is_what_was_billed_and_that_of_the_catalog_what_was_closed_for_all_five_companies() {
    for company in COMPANIES {
        for live in [false, true] {
            let workspace = october(company, live);
            let files = workspace.data_files("2026-10");
            let lines = csv_rows(&files["lines.csv"]);
            let mut billed = csv_rows(&files["reconciliation.csv"]);
            billed.retain(|row| row["source"] == "invoice" && row["item"].is_empty());
            let sold: BTreeSet<(String, String)> =
                billed.iter().map(|row| (row["plan"].clone(), row["meter"].clone())).collect();
            assert!(sold.len() > 1 || company == "pay-what-works", "{company}: {sold:?}");
            let mut revenue = 0;
            for (plan, meter) in &sold {
                let found = simulated(&workspace, &["--plan", plan, "--meter", meter, "--prices", "1"]);
                let of = |candidate: &str| row(&found, candidate)["revenue_minor"].as_i64().unwrap();
                let case = format!("{company}, {plan}, {meter}, live: {live}");
                assert_eq!(of("in force"), total(&billed, (plan, meter), "ledger_amount_minor"), "{case}");
                assert_eq!(of("catalog"), total(&lines, (plan, meter), "amount_minor"), "{case}");
                assert!(live || of("in force") == 0, "{case}");
                assert!(!live || of("in force") == of("catalog"), "{case}");
                revenue += of("catalog");
            }
            let all = lines.iter().filter(|row| row["kind"] != "base");
            assert_eq!(revenue, all.map(|row| row["amount_minor"].parse::<i64>().unwrap()).sum::<i64>());
        }
    }
}

/// A plan's price with a candidate amount in it, as Stripe would have it; `rate` takes the quota off in its tiers.
fn price_at(plan: &str, amount: &str) -> Option<Value> {
    let graduated = |quota: u64| {
        json!({"billing_scheme": "tiered", "tiers_mode": "graduated", "tiers": [
            {"up_to": quota, "unit_amount": 0}, {"up_to": "inf", "unit_amount_decimal": amount}]})
    };
    let packages = |units: u64| json!({"unit_amount_decimal": amount, "transform_quantity": {"divide_by": units, "round": "up"}});
    match plan {
        "match-requests pro b2b.match_request" => Some(graduated(100)),
        "match-requests enterprise b2b.match_request" => Some(graduated(1000)),
        "session-minutes starter session_minutes" => Some(graduated(1500)),
        "session-minutes pro session_minutes" => Some(graduated(8000)),
        "pay-what-works pro sessions" => Some(graduated(400)),
        "pay-what-works pay as you go sessions" => Some(json!({"unit_amount_decimal": amount})),
        "iot-fleet professional devices" => Some(graduated(20)),
        "iot-fleet packages devices" => Some(packages(10)),
        "iot-fleet starter storage_gb" => Some(packages(1)),
        "api-platform hybrid api_requests" => Some(graduated(10000)),
        "api-platform volume api_requests" | "api-platform pure metered api_requests" => {
            Some(json!({"unit_amount_decimal": amount}))
        }
        _ => None,
    }
}

#[test]
fn every_simulated_bill_is_what_rate_says() {
    let mut checked = 0;
    for company in COMPANIES {
        let workspace = october(company, false);
        let lines = csv_rows(&workspace.data_files("2026-10")["lines.csv"]);
        let sold: BTreeSet<(&String, &String)> = lines
            .iter()
            .filter(|row| row["kind"] != "base")
            .map(|row| (&row["plan"], &row["meter"]))
            .collect();
        for (number, (plan, meter)) in sold.into_iter().enumerate() {
            let Some(_) = price_at(&format!("{company} {plan} {meter}"), "1") else { continue };
            let out = format!("bills-{number}.csv");
            let prices = "0,0.01,0.333,7,8.125";
            simulated(&workspace, &["--plan", plan, "--meter", meter, "--prices", prices, "--out", &out]);
            let mut bills = csv_rows(&fs::read(workspace.path(&out)).unwrap());
            bills.retain(|row| !["in force", "catalog"].contains(&row["candidate"].as_str()));
            let asked: String = bills
                .iter()
                .map(|row| {
                    // All of them have cents.
                    let amount = format!("{}e2", row["candidate"]);
                    let price = price_at(&format!("{company} {plan} {meter}"), &amount).unwrap();
                    let line = json!({"id": row["tenant_id"], "currency": row["currency"], "price": price, "quantity": row["used"]});
                    format!("{line}\n")
                })
                .collect();
            workspace.write("asked.ndjson", asked);
            let rated = workspace.run(&["rate", "--batch", "asked.ndjson"]).expect(0).stdout;
            assert_eq!(rated.lines().count(), bills.len());
            for (bill, answer) in bills.iter().zip(rated.lines()) {
                let answer: Value = serde_json::from_str(answer).unwrap();
                assert_eq!(
                    answer["amount_minor"].to_string(),
                    bill["usage_amount_minor"],
                    "{company}: {bill:?} {answer}"
                );
                let number = |name: &str| bill[name].parse::<i64>().unwrap();
                // In shadow the base fee is all that is charged for now.
                assert_eq!(
                    number("bill_minor"),
                    number("bill_in_force_minor") + number("usage_amount_minor")
                );
                assert_eq!(number("change_minor"), number("usage_amount_minor"));
                checked += 1;
            }
        }
    }
    assert!(checked > 100, "{checked}");
}
