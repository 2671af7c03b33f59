//! A month of each company: imported, watched, closed, on both databases with the same bytes.
//!
//! In: the shipped files. Out: what each tenant is to pay, as the company's page says; nothing parked, all of it matched by
//! the sandbox. The bytes of every data file are compared between the databases.

use std::collections::BTreeMap;

use super::{COMPANIES, text, usage_file};
use crate::support::{ENGINES, Engine, Workspace, csv_rows};

const PERIOD: &str = "2026-10";

fn closed(company: &str, engine: Engine) -> Workspace {
    let workspace = Workspace::new(engine);
    for file in ["catalog.toml", "tenants.csv", usage_file(company)] {
        workspace.write(file, text(company, file));
    }
    workspace.run(&["import", "catalog", "catalog.toml"]).expect(0);
    workspace.run(&["import", "tenants", "tenants.csv"]).expect(0);
    let receipt = workspace.run(&["import", "usage", usage_file(company), "--json"]).expect(0).json();
    assert_eq!(receipt["read"], receipt["accepted"]);
    workspace.watch(PERIOD);
    let run = workspace.run(&["run", "--period", PERIOD, "--as-of", "2026-11-02T00:00:00Z", "--json"]);
    let run = run.expect(0).json();
    assert_eq!((&run["status"], &run["counts"]["parked"]), (&"closed".into(), &0.into()));
    workspace
}

/// What each tenant of the company's page pays, in minor units.
fn promised(company: &str) -> BTreeMap<String, i64> {
    let page = text(company, "README.md");
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| tenant |"));
    let amount = |row: &str| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        (cells[1].to_owned(), cells[4].replace([',', '.'], "").parse().unwrap())
    };
    rows.map(amount).collect()
}

fn paid(files: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, i64> {
    let mut paid = BTreeMap::new();
    for row in csv_rows(&files["lines.csv"]) {
        *paid.entry(row["tenant_id"].clone()).or_default() += row["amount_minor"].parse::<i64>().unwrap();
    }
    paid
}

#[test]
fn each_month_closes_with_the_promised_figures_and_the_same_bytes_on_both_databases() {
    for company in COMPANIES {
        let [sqlite, postgres] = ENGINES.map(|engine| closed(company, engine).data_files(PERIOD));
        assert_eq!(sqlite.keys().collect::<Vec<_>>(), postgres.keys().collect::<Vec<_>>());
        for (name, bytes) in &sqlite {
            assert!(bytes == &postgres[name], "{company}: {name} differs");
        }
        let mut promised = promised(company);
        assert!(promised.len() >= 6, "{company}");
        let tenants = text(company, "tenants.csv").lines().count() - 1;
        assert_eq!(promised.len(), tenants, "{company}: the page leaves a tenant out");
        // Who neither has a base fee nor used anything has no line.
        let paid = paid(&sqlite);
        promised.retain(|tenant, amount| *amount != 0 || paid.contains_key(tenant));
        assert_eq!(paid, promised, "{company}");
        let compared = csv_rows(&sqlite["reconciliation.csv"]);
        assert!(!compared.is_empty(), "{company}");
        for row in compared {
            assert!(["matched", "out_of_scope"].contains(&row["class"].as_str()), "{company}: {row:?}");
        }
    }
}

/// Records and units of the exceptions of a company, by tenant and reason.
fn exceptions(company: &str) -> Vec<String> {
    let rows = csv_rows(&closed(company, Engine::Sqlite).data_files(PERIOD)["exceptions.csv"]);
    let told = |row: &BTreeMap<String, String>| {
        format!("{} {} {} {}", row["tenant_id"], row["reason"], row["records"], row["quantity"])
    };
    rows.iter().map(told).collect()
}

#[test]
fn what_is_not_billed_is_named_with_its_units() {
    assert_eq!(exceptions("match-requests"), ["bosphorus no_access 3 12"]);
    assert_eq!(exceptions("session-minutes"), ["ada hard_cap 40 34.75"]);
    let not_billable = ["alba 20", "brook 25", "cove 17", "dune 9", "elm 60", "fjord 35"];
    let mut expected: Vec<String> = not_billable
        .iter()
        .map(|one| {
            let (tenant, records) = one.split_once(' ').unwrap();
            format!("{tenant} not_billable {records} {records}")
        })
        .collect();
    expected.insert(1, "alba hard_cap 112 12".to_owned());
    assert_eq!(exceptions("pay-what-works"), expected);
    assert_eq!(exceptions("iot-fleet"), [""; 0]);
}
