//! Usage that comes after its window was closed, from the outside: import, run, read the files.
//!
//! In: a small company in observe mode, records that come late. Out: `adjustments.csv` with hand-made figures, closed files
//! that keep their bytes, exit codes. What windows that are still open owe at a month's end is `accruals`' matter.

mod accruals;
mod damaged;
mod found;
mod kinds;
mod laid_anew;
mod report;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Engine, Workspace, csv_rows, files};

type Row = BTreeMap<String, String>;

const CATALOG: &str = r#"
[[meter]]
key = "calls"
aggregation = "sum"

[[meter]]
key = "devices"
aggregation = "max"

[[meter]]
key = "tokens"
aggregation = "sum"
billable = ["outcome = success"]

[[plan]]
key = "pro"
currency = "try"
amount = 99900
  [[plan.usage]]
  meter = "calls"
  free_quota = 100
  price = { billing_scheme = "per_unit", unit_amount_decimal = "700" }
  [[plan.usage]]
  meter = "devices"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "50.5" }
  [[plan.usage]]
  meter = "tokens"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "1" }

[[plan]]
key = "team"
currency = "try"
amount = 0
  [[plan.usage]]
  meter = "calls"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "300" }
"#;

const TENANTS: &str = "\
tenant_id,name,plan,currency,stripe_customer_id,stripe_subscription_id,started_at
acme,Acme,pro,try,cus_acme,sub_acme,2026-09-01T00:00:00Z
beta,Beta,pro,try,cus_beta,sub_beta,2026-09-01T00:00:00Z
cold,Cold,pro,try,cus_cold,sub_cold,2026-09-01T00:00:00Z
";

/// Acme is 30 beyond its quota of calls, Beta half a call below.
const USAGE: [&str; 4] = [
    "acme calls 130 2026-09-10 success a1",
    "beta calls 99.5 2026-09-10 success b1",
    "acme devices 4 2026-09-10 success d1",
    "acme tokens 10 2026-09-10 success t1",
];

/// The company, with September's usage imported.
fn company(engine: Engine) -> Workspace {
    company_of(engine, &USAGE)
}

fn company_of(engine: Engine, usage: &[&str]) -> Workspace {
    let workspace = Workspace::new(engine).observing();
    workspace.import_rules(CATALOG, TENANTS);
    import(&workspace, usage);
    workspace
}

/// The same, and September is closed.
fn closed(engine: Engine) -> Workspace {
    let workspace = company(engine);
    let outcomes = wake(&workspace, "2026-10-05T00:00:00Z", 0);
    assert_eq!(outcomes[0]["status"], "closed");
    workspace
}

/// Lines in the form `tenant meter quantity day outcome id [corrects]`, all of which the ledger takes.
fn import(workspace: &Workspace, lines: &[&str]) {
    let line = |line: &&str| {
        let parts: Vec<&str> = line.split(' ').collect();
        let correction = parts.get(6).map_or(",".to_owned(), |id| format!("correction,{id}"));
        let [tenant, meter, quantity, day, outcome, id] = parts[..6] else { panic!("{line}") };
        format!("{tenant},{meter},{quantity},{day}T12:00:00Z,{outcome},{id},{correction}\n")
    };
    let rows: String = lines.iter().map(line).collect();
    workspace.write(
        "usage.csv",
        format!("tenant_id,meter,quantity,occurred_at,outcome,source_event_id,kind,corrects\n{rows}"),
    );
    let receipt = workspace.run(&["import", "usage", "usage.csv", "--json"]).expect(0).json();
    assert_eq!(receipt["accepted"], lines.len());
}

/// One wake; what it says of each period.
#[track_caller]
fn wake(workspace: &Workspace, as_of: &str, code: i32) -> Vec<Value> {
    let ended = workspace.run(&["run", "--as-of", as_of, "--json"]).expect(code);
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a wake says of one period, which it must have played.
fn of<'a>(outcomes: &'a [Value], period: &str) -> &'a Value {
    outcomes.iter().find(|one| one["period"] == period).unwrap_or_else(|| panic!("{outcomes:?}"))
}

/// The files that an outcome names.
fn set(workspace: &Workspace, outcome: &Value) -> BTreeMap<String, Vec<u8>> {
    files(&workspace.path(outcome["reports_dir"].as_str().unwrap()))
}

/// `tenant plan meter records original late restated, the same in minor units, currency` of each row.
fn adjusted(set: &BTreeMap<String, Vec<u8>>) -> Vec<String> {
    let columns = [
        "tenant_id",
        "plan",
        "meter",
        "records",
        "original_quantity",
        "late_quantity",
        "restated_quantity",
        "original_amount_minor",
        "late_amount_minor",
        "restated_amount_minor",
        "currency",
    ];
    let rows = csv_rows(&set["adjustments.csv"]).into_iter();
    rows.map(|row| columns.map(|name| row[name].clone()).join(" ")).collect()
}

/// Records and quantity of a control measure.
fn control(set: &BTreeMap<String, Vec<u8>>, meter: &str, measure: &str) -> String {
    let rows = csv_rows(&set["control_totals.csv"]).into_iter();
    let mut found = rows.filter(|row| row["meter"] == meter && row["measure"] == measure);
    let row = found.next().unwrap_or_else(|| panic!("no {measure} of {meter}"));
    format!("{} {}", row["records"], row["quantity"])
}
