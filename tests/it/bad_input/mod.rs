//! Bad input, from the outside: other people's files are wrong in every way, and nobody else's bill changes.
//!
//! In: the real binary, files with one fault each. Out: quarantine with a reason, or an error with file and line and
//! the documented exit code. Never a panic, never a line that is silently dropped.

mod catalog;
mod ndjson;
mod never_panics;
mod tenants;
mod usage_files;
mod usage_lines;

use crate::support::{CATALOG, Ended, Engine, TENANTS, Workspace};

pub const HEADER: &str = "tenant_id,meter,quantity,occurred_at,source_event_id\n";

/// The company's catalog and tenants, and no usage yet.
fn without_usage(engine: Engine) -> Workspace {
    let workspace = Workspace::new(engine);
    workspace.write("catalog.toml", CATALOG);
    workspace.write("tenants.csv", TENANTS);
    workspace.run(&["import", "catalog", "catalog.toml"]).expect(0);
    workspace.run(&["import", "tenants", "tenants.csv"]).expect(0);
    workspace
}

/// Writes a file and imports it as usage.
fn import_usage(workspace: &Workspace, name: &str, bytes: impl AsRef<[u8]>) -> Ended {
    workspace.write(name, bytes);
    calm(workspace.run(&["import", "usage", name, "--json"]))
}

/// No failure may be a panic, whatever its exit code.
#[track_caller]
fn calm(ended: Ended) -> Ended {
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("RUST_BACKTRACE"), "{}", ended.stderr);
    ended
}

/// Fails unless the words are on stderr.
#[track_caller]
fn says(ended: &Ended, words: &str) {
    assert!(ended.stderr.contains(words), "`{words}` is missing in: {}", ended.stderr);
}

/// `[read, accepted, duplicate, quarantined]` of a receipt, after checking that they tie.
#[track_caller]
fn receipt(ended: &Ended) -> [u64; 4] {
    let json = ended.json();
    let [read, accepted, duplicate, quarantined] =
        ["read", "accepted", "duplicate", "quarantined"].map(|name| json[name].as_u64().unwrap());
    assert_eq!(read, accepted + duplicate + quarantined, "{json}");
    [read, accepted, duplicate, quarantined]
}

/// The ledger's rows as text, sorted: tenant, id, meter, instant, properties.
fn ledger(workspace: &Workspace) -> Vec<Vec<String>> {
    workspace.sql(
        "SELECT tenant_id, source_event_id, meter, CAST(occurred_at AS TEXT), outcome, source, properties
         FROM usage_ledger ORDER BY tenant_id, source_event_id",
    )
}
