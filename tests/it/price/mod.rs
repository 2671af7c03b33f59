//! `price suggest` and `price simulate`, from the outside: the real binary on closed months.
//!
//! In: companies that are made here, and the five of `examples/`. Out: the figures of the plan for them, and those that `rate`
//! and the reports give. Every amount is in minor units.

mod companies;
mod refusals;
mod simulate;
mod suggest;

use serde_json::Value;

use crate::support::{Ended, Engine, Workspace};

/// 999.00 with 100 free, then 7.00; 2,499.00 with 1,000 free, then 5.00.
const CATALOG: &str = r#"
[[meter]]
key = "calls"
aggregation = "sum"
[[plan]]
key = "starter"
currency = "try"
amount = 49900
[[plan]]
key = "pro"
currency = "try"
amount = 99900
  [[plan.usage]]
  meter = "calls"
  free_quota = 100
  price = { unit_amount = 700 }
[[plan]]
key = "enterprise"
currency = "try"
amount = 249900
  [[plan.usage]]
  meter = "calls"
  free_quota = 1000
  price = { unit_amount = 500 }
"#;

/// Name, plan, currency and what it used in October. Two are above the quota, by 30 units on average.
const USED: &[(&str, &str, &str, &str)] = &[
    ("acme", "pro", "try", "120"),
    ("beta", "pro", "try", "140"),
    ("cold", "pro", "try", "0"),
    ("dora", "pro", "try", "99.5"),
    ("echo", "enterprise", "try", "1200"),
    ("fern", "starter", "try", "0"),
];

/// A company whose October is closed, with everything pushed in time.
fn closed(engine: Engine, catalog: &str, used: &[(&str, &str, &str, &str)]) -> Workspace {
    let workspace = Workspace::new(engine);
    let (mut tenants, mut usage) = (
        "tenant_id,plan,currency,stripe_customer_id,stripe_subscription_id,started_at\n".to_owned(),
        "tenant_id,meter,quantity,occurred_at,source_event_id\n".to_owned(),
    );
    for (tenant, plan, currency, quantity) in used {
        tenants.push_str(&format!(
            "{tenant},{plan},{currency},cus_{tenant},sub_{tenant},2026-10-01T00:00:00Z\n"
        ));
        if *quantity != "0" {
            usage.push_str(&format!("{tenant},calls,{quantity},2026-10-15T00:00:00Z,one\n"));
        }
    }
    workspace.import(catalog, &tenants, &usage);
    close(&workspace, "2026-10", "2026-11-02T00:00:00Z");
    workspace
}

#[track_caller]
fn close(workspace: &Workspace, period: &str, after: &str) {
    workspace.watch(period);
    workspace.run(&["run", "--period", period, "--as-of", after]).expect(0);
}

fn asked(workspace: &Workspace, command: &str, arguments: &[&str]) -> Ended {
    workspace.run(&[&["price", command], arguments].concat())
}

#[track_caller]
fn suggested(workspace: &Workspace, arguments: &[&str]) -> Value {
    asked(workspace, "suggest", &[arguments, &["--json"]].concat()).expect(0).json()
}

#[track_caller]
fn simulated(workspace: &Workspace, arguments: &[&str]) -> Value {
    asked(workspace, "simulate", &[arguments, &["--json"]].concat()).expect(0).json()
}

/// The only row of a candidate.
#[track_caller]
fn row<'a>(simulation: &'a Value, candidate: &str) -> &'a Value {
    let all = simulation["candidates"].as_array().unwrap();
    let rows: Vec<&Value> = all.iter().filter(|row| row["candidate"] == candidate).collect();
    assert_eq!(rows.len(), 1, "{candidate}: {all:?}");
    rows[0]
}
