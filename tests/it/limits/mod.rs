//! Warnings from the outside: levels of a quota, forecasts, jumps.
//!
//! In: a small company in observe mode on both databases. Out: `limit_events.csv`, `forecast.csv` and jumps of
//! `exceptions.csv`, each number made by hand, and the same bytes on either database.

mod forecasts;
mod jumps;
mod levels;
mod plans;
mod told;

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{Engine, Workspace, csv_rows, files};

/// Calls have a quota of 100 a month and of 1,200 a year; seats are a gauge with one of 10. `plus` gives a part of a window its
/// part of the quota; `none` and `zero` have nothing to reach.
const CATALOG: &str = r#"
[[meter]]
key = "calls"
aggregation = "sum"

[[meter]]
key = "seats"
aggregation = "max"

[[plan]]
key = "pro"
currency = "try"
amount = 99900
  [[plan.usage]]
  meter = "calls"
  free_quota = 100
  price = { billing_scheme = "per_unit", unit_amount_decimal = "700" }
  [[plan.usage]]
  meter = "seats"
  free_quota = 10
  price = { billing_scheme = "per_unit", unit_amount_decimal = "50.5" }

[[plan]]
key = "pro"
currency = "try"
interval = "year"
  [[plan.usage]]
  meter = "calls"
  free_quota = 1200
  price = { billing_scheme = "per_unit", unit_amount_decimal = "650" }

[[plan]]
key = "plus"
currency = "try"
  [[plan.usage]]
  meter = "calls"
  push = "overage"
  free_quota = 60
  prorate_quota = true
  price = { billing_scheme = "per_unit", unit_amount_decimal = "500" }

[[plan]]
key = "none"
currency = "try"
  [[plan.usage]]
  meter = "calls"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "700" }

[[plan]]
key = "zero"
currency = "try"
  [[plan.usage]]
  meter = "calls"
  free_quota = 0
  price = { billing_scheme = "per_unit", unit_amount_decimal = "700" }
"#;

const ACME: &str = "acme,pro,2026-09-01";

/// Rows `tenant_id,plan,started_at` and, as far as they are needed, `,ended_at,interval,billing_anchor,trial_end`.
fn company(engine: Engine, tenants: &[&str]) -> Workspace {
    let workspace = Workspace::new(engine).observing();
    workspace.import_rules(CATALOG, &tenant_rows(tenants));
    workspace
}

fn tenant_rows(tenants: &[&str]) -> String {
    let instant = |cell: &str| if cell.is_empty() { String::new() } else { format!("{cell}T00:00:00Z") };
    let row = |row: &&str| {
        let mut cells = row.split(',').chain(std::iter::repeat(""));
        let mut next = || cells.next().unwrap();
        let (tenant, plan, started) = (next(), next(), instant(next()));
        let (ended, interval) = (instant(next()), next());
        let interval = if interval.is_empty() { "month" } else { interval };
        let (anchor, trial) = (instant(next()), instant(next()));
        format!(
            "{tenant},{plan},try,cus_{tenant},sub_{tenant},{started},{ended},{interval},{anchor},{trial}\n"
        )
    };
    let rows: String = tenants.iter().map(row).collect();
    let columns = "tenant_id,plan,currency,stripe_customer_id,stripe_subscription_id,started_at,ended_at";
    format!("{columns},interval,billing_anchor,trial_end\n{rows}")
}

/// Lines `tenant meter quantity day [corrects]`, all of which the ledger takes; the id is `quantity/day`.
fn import(workspace: &Workspace, lines: &[&str]) {
    let line = |line: &&str| {
        let parts: Vec<&str> = line.split(' ').collect();
        let correction = parts.get(4).map_or(",".to_owned(), |id| format!("correction,{id}"));
        let [tenant, meter, quantity, day] = parts[..4] else { panic!("{line}") };
        format!("{tenant},{meter},{quantity},{day}T12:00:00Z,{meter}/{quantity}/{day},{correction}\n")
    };
    let rows: String = lines.iter().map(line).collect();
    let columns = "tenant_id,meter,quantity,occurred_at,source_event_id,kind,corrects";
    workspace.write("usage.csv", format!("{columns}\n{rows}"));
    let receipt = workspace.run(&["import", "usage", "usage.csv", "--json"]).expect(0).json();
    assert_eq!(receipt["accepted"], lines.len());
}

/// What a wake left of one period.
struct Seen {
    json: Value,
    files: BTreeMap<String, Vec<u8>>,
}

/// A wake; each period that it played.
#[track_caller]
fn wake(workspace: &Workspace, as_of: &str, code: i32) -> BTreeMap<String, Seen> {
    let ended = workspace.run(&["run", "--as-of", &format!("{as_of}T00:00:00Z"), "--json"]).expect(code);
    let outcomes = ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap());
    let seen = |json: Value| {
        let files = files(&workspace.path(json["reports_dir"].as_str().unwrap()));
        (json["period"].as_str().unwrap().to_owned(), Seen { json, files })
    };
    outcomes.map(seen).collect()
}

/// September 2026 as a wake on that day sees it.
#[track_caller]
fn september(workspace: &Workspace, as_of: &str) -> Seen {
    wake(workspace, as_of, 0).remove("2026-09").unwrap()
}

impl Seen {
    /// The chosen columns of each row, each row as one text; days without their time.
    fn rows(&self, file: &str, columns: &[&str]) -> Vec<String> {
        let rows = csv_rows(&self.files[file]).into_iter();
        let row = |row: BTreeMap<String, String>| {
            let cells: Vec<String> =
                columns.iter().map(|name| row[*name].replace("T00:00:00Z", "")).collect();
            cells.join(" ")
        };
        rows.map(row).collect()
    }

    /// `tenant plan meter level quota used share change`
    fn levels(&self) -> Vec<String> {
        let columns = ["tenant_id", "plan", "meter", "level", "quota", "used", "used_share", "change"];
        self.rows("limit_events.csv", &columns)
    }

    /// `tenant meter reason records quantity` of the jumps among the exceptions.
    fn jumps(&self) -> Vec<String> {
        let rows =
            self.rows("exceptions.csv", &["kind", "tenant_id", "meter", "reason", "records", "quantity"]);
        rows.iter().filter_map(|row| Some(row.strip_prefix("jump ")?.to_owned())).collect()
    }
}

/// The case on both databases; what it returns must be the same bytes.
fn on_both(case: impl Fn(Engine) -> Vec<Vec<u8>>) {
    let [sqlite, postgres] = crate::support::ENGINES.map(case);
    assert!(!sqlite.is_empty());
    assert_eq!(sqlite, postgres, "the two databases differ");
}
