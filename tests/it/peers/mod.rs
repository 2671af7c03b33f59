//! Mistakes that others made with this job, each a test named after the mistake: none of them is made here.
//!
//! In: the fourteen of `facts/peers.md`, played with the real binary against the sandbox. Out: what a person would read in
//! files, exit codes and Stripe's own totals. No test looks into the program.

mod figures;
mod runs;

use serde_json::Value;

use crate::billing::world::{Row, World, table};

/// October 2026, at prices that Stripe charges.
const LIVE: &str = r#"
[[meter]]
key = "b2b.match_request"
aggregation = "sum"
event_name = "b2b_match_request"

[[plan]]
key = "pro"
currency = "CURRENCY"
amount = 99900
  [[plan.usage]]
  meter = "b2b.match_request"
  billing = "live"
  price = PRICE
"#;

fn live(currency: &str, price: &str) -> String {
    LIVE.replace("CURRENCY", currency).replace("PRICE", price)
}

fn tiers(mode: &str, tiers: &[&str]) -> String {
    let tiers: Vec<String> = tiers.iter().map(|tier| format!("{{ {tier} }}")).collect();
    format!("{{ billing_scheme = \"tiered\", tiers_mode = \"{mode}\", tiers = [{}] }}", tiers.join(", "))
}

/// `kind tier quantity amount_minor amount` of each usage line and flat fee of a tenant.
fn lines(outcome: &Value, tenant: &str) -> Vec<String> {
    let rows = table(outcome, "lines");
    let of_tenant = rows.iter().filter(|row| row["tenant_id"] == tenant && row["kind"] != "base");
    let shown =
        |row: &Row| ["kind", "tier", "quantity", "amount_minor", "amount"].map(|name| &*row[name]).join(" ");
    of_tenant.map(shown).collect()
}

/// `source class ledger Stripe`, in minor units, of each row about usage that has money.
fn money(outcome: &Value, tenant: &str) -> Vec<String> {
    let rows = table(outcome, "reconciliation");
    let of_tenant = rows.iter().filter(|row| {
        row["tenant_id"] == tenant && !row["meter"].is_empty() && !row["stripe_amount_minor"].is_empty()
    });
    let shown = |row: &Row| {
        ["source", "class", "ledger_amount_minor", "stripe_amount_minor"].map(|name| &*row[name]).join(" ")
    };
    of_tenant.map(shown).collect()
}

/// Rows of the database, as a number.
fn count(world: &World, from: &str) -> i64 {
    world.workspace.number(&format!("SELECT COUNT(*) FROM {from}"))
}
