//! Tenants that are set aside, by safety checks and by people, and how they go on: from the outside.
//!
//! In: the real binary on both databases, the sandbox in another process, words on the command line. Out: exit codes, files,
//! what `status` says, and above all what Stripe holds: never more than once.

mod bounds;
mod holds;
mod last_windows;
mod left_words;
mod releases;
mod status;
mod unlock;

use serde_json::Value;

use crate::billing::world::{Row, World, table};
use crate::support::Ended;

const NOTE: [&str; 4] = ["--note", "seen by hand", "--by", "ada"];

/// A command with a note that ada signs.
fn say(world: &World, arguments: &[&str]) -> Ended {
    Ended::of(world.command(&[arguments, &NOTE].concat()).output().unwrap())
}

fn status(world: &World) -> Value {
    Ended::of(world.command(&["status", "--json"]).output().unwrap()).expect(0).json()
}

/// `tenant kind reason` of the rows of `exceptions.csv`.
fn exceptions(outcome: &Value) -> Vec<String> {
    let rows = table(outcome, "exceptions");
    let shown = |row: &Row| ["tenant_id", "kind", "reason"].map(|name| &*row[name]).join(" ");
    rows.iter().map(shown).collect()
}

/// `event details` of the audit rows of these events, oldest first.
fn audited(world: &World, event: &str) -> Vec<Value> {
    let sql = format!("SELECT details FROM audit_log WHERE event = '{event}' ORDER BY position");
    world.workspace.sql(&sql).iter().map(|row| serde_json::from_str(&row[0]).unwrap()).collect()
}
