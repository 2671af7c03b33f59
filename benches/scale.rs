//! How fast a large ledger is imported, pushed and closed: records per second and peak memory, on both databases. Stripe is
//! the sandbox inside of the process.
//!
//! In: the binary of the bench profile; `BILLRECON_BENCH_POSTGRES_URL`, an empty database, for PostgreSQL; `RECORDS` and `TENANTS` to change the size. Out: a line per step. It judges
//! nothing: `tests/it/scale.rs` holds the memory bound.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark fails by panicking, and reads its own settings"
)]

#[path = "../tests/it/support/memory.rs"]
mod memory;

use std::process::Command;
use std::time::Instant;

fn main() {
    let records = size("RECORDS", 2_000_000);
    let tenants = size("TENANTS", 5_000);
    let folder = tempfile::tempdir().unwrap();
    memory::write_company(folder.path(), tenants, records);
    println!("{records} records of {tenants} tenants");
    measure("SQLite", "sqlite://billrecon.db", folder.path(), records);
    match variable("BILLRECON_BENCH_POSTGRES_URL") {
        Some(url) => measure("PostgreSQL", &url, folder.path(), records),
        None => println!("PostgreSQL: not measured; set BILLRECON_BENCH_POSTGRES_URL to an empty database"),
    }
}

fn measure(engine: &str, url: &str, folder: &std::path::Path, records: u64) {
    let steps: [&[&str]; 5] = [
        &["import", "catalog", "catalog.toml"],
        &["import", "tenants", "tenants.csv"],
        &["import", "usage", "usage.csv"],
        &["run", "--period", "2026-09", "--as-of", "2026-09-30T12:00:00Z"],
        &["run", "--period", "2026-09"],
    ];
    for step in steps {
        let mut command = Command::new(env!("CARGO_BIN_EXE_billrecon"));
        command.args(step).args(["--log", "error", "--database", url]).current_dir(folder);
        command.env("BILLRECON_STRIPE_SANDBOX", "1");
        let started = Instant::now();
        let (_, peak_mib) = memory::run(command);
        let milliseconds = started.elapsed().as_millis().max(1);
        let rate = u128::from(records) * 1000 / milliseconds;
        println!("{engine}: {}: {milliseconds} ms, {peak_mib} MiB at most", step.join(" "));
        if step.contains(&"usage") || step.contains(&"run") {
            println!("{engine}: {}: {rate} records/s", step[0]);
        }
    }
}

fn size(name: &str, default: u64) -> u64 {
    variable(name).and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
