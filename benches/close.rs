//! How long a close takes, stage by stage, and what memory it needs: 50,000 tenants with 1,000,000 records, imported, pushed
//! and closed, on SQLite and on PostgreSQL. Stripe is the sandbox inside of the process, so its work is in `read` and `push`.
//!
//! In: `cargo bench --bench close`; `BILLRECON_TEST_POSTGRES_URL`, a server on which databases may be made; `RECORDS` and
//! `TENANTS` change the size, `MEMORY=1` compares a tenth of the records with all of them instead. Out: a line per step and
//! stage, the peak memory of each step's own process. It judges nothing: `tests/it/scale.rs` holds the memory bound.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark fails by panicking, and reads its own settings"
)]

#[path = "../tests/it/support/memory.rs"]
mod memory;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, PgConnection};

/// In the order of the flow; the names are those of the spans in `src/job`.
const STAGES: [&str; 10] =
    ["open", "observe", "rate", "map", "read", "push", "compare", "plan", "commit", "files"];

fn main() {
    let (records, tenants) = (size("RECORDS", 1_000_000), size("TENANTS", 50_000));
    let sizes = if variable("MEMORY").is_some() { vec![records / 10, records] } else { vec![records] };
    for records in sizes {
        println!("{records} records of {tenants} tenants; load {}", load());
        let folder = tempfile::tempdir().unwrap();
        memory::write_company(folder.path(), tenants, records);
        measure("SQLite", "sqlite://billrecon.db", folder.path());
        match variable("BILLRECON_TEST_POSTGRES_URL") {
            Some(server) => with_database(&server, |url| measure("PostgreSQL", url, folder.path())),
            None => println!("PostgreSQL: not measured; set BILLRECON_TEST_POSTGRES_URL to a server"),
        }
    }
}

fn measure(engine: &str, url: &str, folder: &Path) {
    let in_time = ["run", "--period", "2026-09", "--as-of", "2026-09-30T12:00:00Z"];
    let steps: [(&str, &[&str]); 5] = [
        ("import of the catalog", &["import", "catalog", "catalog.toml"]),
        ("import of the tenants", &["import", "tenants", "tenants.csv"]),
        ("import of the usage", &["import", "usage", "usage.csv"]),
        ("a push", &in_time),
        ("a close", &["run", "--period", "2026-09"]),
    ];
    for (name, step) in steps {
        let log = folder.join("stages.log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_billrecon"));
        command.args(step).args(["--log", "error,billrecon=debug", "--database", url]).current_dir(folder);
        command.env("BILLRECON_STRIPE_SANDBOX", "1").stderr(File::create(&log).unwrap());
        let started = Instant::now();
        let (_, peak_mib) = memory::run(command);
        println!("{engine}: {name}: {}, {peak_mib} MiB at most", shown(started.elapsed()));
        let log = fs::read_to_string(&log).unwrap();
        let took = stages(&log);
        for stage in STAGES.iter().filter(|stage| took.contains_key(**stage)) {
            println!("{engine}:   {stage}: {}", shown(took[*stage]));
        }
    }
}

/// What the closed spans took, waiting included; one inside of another is counted with that.
fn stages(log: &str) -> BTreeMap<&str, Duration> {
    let mut took: BTreeMap<&str, Duration> = BTreeMap::new();
    for line in log.lines() {
        let Some((head, times)) = line.split_once(": close ") else { continue };
        let span = head.rsplit(' ').next().unwrap();
        if !span.contains(':') {
            let times = times.split(' ').map(|part| duration(part.split_once('=').unwrap().1));
            *took.entry(span).or_default() += times.sum();
        }
    }
    took
}

/// `1.25ms`
fn duration(text: &str) -> Duration {
    let digits = text.find(|one: char| !one.is_ascii_digit() && one != '.').unwrap();
    let (number, unit) = text.split_at(digits);
    let power = match unit {
        "ns" => "e-9",
        "µs" => "e-6",
        "ms" => "e-3",
        _ => "",
    };
    Duration::from_secs_f64(format!("{number}{power}").parse().unwrap())
}

fn shown(took: Duration) -> String {
    format!("{}.{:03} s", took.as_secs(), took.subsec_millis())
}

/// Other work on the machine makes a measurement worth little.
fn load() -> String {
    fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next().unwrap_or("unknown").to_owned()
}

/// A database of its own, dropped afterwards.
fn with_database(server: &str, work: impl FnOnce(&str)) {
    let (base, _) = server.rsplit_once('/').unwrap();
    administer(server, "DROP DATABASE IF EXISTS billrecon_bench WITH (FORCE)");
    administer(server, "CREATE DATABASE billrecon_bench TEMPLATE template0");
    work(&format!("{base}/billrecon_bench"));
    administer(server, "DROP DATABASE billrecon_bench WITH (FORCE)");
}

fn administer(server: &str, statement: &'static str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = PgConnection::connect(server).await.unwrap();
        connection.execute(statement).await.unwrap();
    });
}

fn size(name: &str, default: u64) -> u64 {
    variable(name).and_then(|text| text.parse().ok()).unwrap_or(default)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
