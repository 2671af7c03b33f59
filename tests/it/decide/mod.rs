//! Go or no-go: metrics, policies, judging again, trend; through the real binary.
//!
//! In: a company on `pro` (999.00 TRY, 100 requests free, 7.00 each above) with `enterprise` above it. Out: rows of
//! `decision.csv` and `trend.csv`, verdicts, exit codes.

mod again;
mod company;
mod percentiles;
mod policies;
mod spreadsheet;
mod trend;

use std::collections::BTreeMap;

use crate::support::{Engine, Workspace, csv_rows};

/// A row of a table by column.
type Row = BTreeMap<String, String>;

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
  price = { billing_scheme = "per_unit", unit_amount_decimal = "700" }

[[plan]]
key = "enterprise"
currency = "try"
amount = 249900
  [[plan.usage]]
  meter = "b2b.match_request"
  free_quota = 1000
  price = { billing_scheme = "per_unit", unit_amount_decimal = "500" }
"#;

const TENANTS: &str = "tenant_id,plan,currency,stripe_customer_id,stripe_subscription_id,status,started_at,ended_at,interval,trial_end\n";
const USAGE: &str = "tenant_id,meter,quantity,occurred_at,source_event_id\n";

/// A tenant on a plan since September began.
fn tenant(id: &str, plan: &str) -> String {
    format!("{id},{plan},try,cus_{id},sub_{id},active,2026-09-01,,,\n")
}

/// What a tenant used in a month, in one record.
fn used(id: &str, quantity: &str, month: &str) -> String {
    format!("{id},b2b.match_request,{quantity},{month}-10T00:00:00Z,{id}-{month}\n")
}

/// Tenants on `pro`, each with its use of September; `0` without a record.
fn company(engine: Engine, of_each: &[&str]) -> Workspace {
    let workspace = Workspace::new(engine);
    let ids = || (0..).map(|number| format!("t{number:03}"));
    let tenants: String = ids().zip(of_each).map(|(id, _)| tenant(&id, "pro")).collect();
    let records = ids().zip(of_each).filter(|(_, quantity)| **quantity != "0");
    let usage: String = records.map(|(id, quantity)| used(&id, quantity, "2026-09")).collect();
    workspace.import(CATALOG, &format!("{TENANTS}{tenants}"), &format!("{USAGE}{usage}"));
    workspace
}

/// September, pushed in time and closed an hour after its end.
#[track_caller]
fn close_september(workspace: &Workspace) -> serde_json::Value {
    workspace.watch("2026-09");
    workspace
        .run(&["run", "--period", "2026-09", "--as-of", "2026-10-01T03:00:00Z", "--json"])
        .expect(0)
        .json()
}

fn table(workspace: &Workspace, period: &str, name: &str) -> Vec<Row> {
    let folder = workspace.report_folders(period).pop().unwrap();
    csv_rows(&std::fs::read(folder.join(format!("{name}.csv"))).unwrap())
}

/// The value of a metric; the first rule that names it, or the row for information.
#[track_caller]
fn value(rows: &[Row], metric: &str) -> String {
    let row = rows.iter().find(|row| row["metric"] == metric);
    row.unwrap_or_else(|| panic!("no row {metric}"))["value"].clone()
}
