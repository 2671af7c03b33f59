//! What the embedded sandbox has written down: what the other witness knows.
//!
//! In: a workspace. Out: the journal's bytes, its meter events, what they add up to by customer; and the same sums from the
//! ledger, by SQL and decimal arithmetic that are not the project's. Never opens the journal for writing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use bigdecimal::BigDecimal;
use serde_json::Value;

use crate::support::Workspace;

/// A meter event as it was sent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    pub identifier: String,
    pub customer: String,
    pub name: String,
    /// Decimal text.
    pub value: String,
    /// Unix seconds.
    pub timestamp: i64,
}

pub fn path(workspace: &Workspace) -> PathBuf {
    let is_sqlite = workspace.url.starts_with("sqlite:");
    workspace.path(if is_sqlite { "billrecon.db.sandbox" } else { "billrecon.sandbox" })
}

/// `None` where the sandbox has never been started.
pub fn bytes(workspace: &Workspace) -> Option<Vec<u8>> {
    fs::read(path(workspace)).ok()
}

/// In the order in which they came in. A last line that is not whole was never answered.
pub fn events(workspace: &Workspace) -> Vec<Event> {
    let text = String::from_utf8(bytes(workspace).unwrap_or_default()).unwrap();
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    let entries = whole.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let facts = entries.flat_map(|entry| entry["facts"].as_array().cloned().unwrap_or_default());
    facts
        .filter_map(|mut fact| fact.get_mut("event").map(Value::take))
        .map(|event| event_of(&event))
        .collect()
}

fn event_of(event: &Value) -> Event {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    // What Stripe counts is what was sent, or it would not count it.
    assert_eq!(event["counts"]["value"], event["payload"]["value"], "{event}");
    Event {
        identifier: text(&event["identifier"]),
        customer: text(&event["payload"]["stripe_customer_id"]),
        name: text(&event["name"]),
        value: text(&event["payload"]["value"]),
        timestamp: event["timestamp"].as_i64().unwrap(),
    }
}

/// Customer and event name → units; nothing where there are none.
pub type Sums = BTreeMap<(String, String), BigDecimal>;

/// For every tenant that has a customer at Stripe, what Stripe counted in a month (UTC) is what the ledger holds, and no
/// event came twice.
#[track_caller]
pub fn assert_holds_the_ledger(workspace: &Workspace, period: &str) {
    let first: jiff::civil::Date = format!("{period}-01").parse().unwrap();
    let next = first.last_of_month().tomorrow().unwrap();
    let [start, end] =
        [first, next].map(|day| day.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().as_second());
    let mut events = events(workspace);
    let identifiers: BTreeSet<&str> = events.iter().map(|event| event.identifier.as_str()).collect();
    assert_eq!(identifiers.len(), events.len(), "an event was counted twice");
    events.retain(|event| (start..end).contains(&event.timestamp));
    let mut stripe = Sums::new();
    for event in events {
        let sum = stripe.entry((event.customer, event.name)).or_default();
        *sum += event.value.parse::<BigDecimal>().unwrap();
    }
    let ledger = ledger(workspace, start, end);
    assert!(!ledger.is_empty());
    assert_eq!(without_zeros(stripe), without_zeros(ledger));
}

fn ledger(workspace: &Workspace, start: i64, end: i64) -> Sums {
    let customers: BTreeMap<String, String> = workspace
        .sql("SELECT DISTINCT tenant_id, stripe_customer_id FROM tenants WHERE stripe_customer_id <> ''")
        .into_iter()
        .map(|row| (row[0].clone(), row[1].clone()))
        .collect();
    let quantity = if workspace.url.starts_with("sqlite:") {
        "CAST(SUM(quantity_floor) AS TEXT), CAST(SUM(quantity_rest) AS TEXT)"
    } else {
        "CAST(SUM(quantity) AS TEXT), '0'"
    };
    let sql = format!(
        "SELECT tenant_id, meter, {quantity} FROM usage_ledger
         WHERE occurred_at >= {start}000000000 AND occurred_at < {end}000000000 GROUP BY tenant_id, meter"
    );
    let mut sums = Sums::new();
    for row in workspace.sql(&sql) {
        let Some(customer) = customers.get(&row[0]) else { continue };
        let units: BigDecimal = row[2].parse().unwrap();
        let rest: BigDecimal = format!("{}e-12", row[3]).parse().unwrap();
        // Without a name of its own, a meter's events are called by its key.
        sums.insert((customer.clone(), row[1].replace('.', "_")), units + rest);
    }
    sums
}

fn without_zeros(sums: Sums) -> Sums {
    sums.into_iter()
        .filter(|(_, sum)| *sum != BigDecimal::default())
        .map(|(key, sum)| (key, sum.normalized()))
        .collect()
}
