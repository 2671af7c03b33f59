//! Peak memory of a child process, and a big made-up ledger.
//!
//! In: a command; the number of records. Out: what the process used at most, as the kernel counted it; CSV files. The
//! benchmarks share this file. Never keeps a file in memory.

use std::fs::{self, File};
use std::io::{BufWriter, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

/// Runs a command to its end and asserts that it succeeded; its stdout, and its peak resident memory in MiB.
pub fn run(mut command: Command) -> (String, u64) {
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        stdout.read_to_string(&mut text).unwrap();
        text
    });
    let mut peak_kib = 0;
    while !reader.is_finished() {
        peak_kib = peak_kib.max(high_water_kib(&child).unwrap_or(0));
        thread::sleep(Duration::from_millis(5));
    }
    let (text, status) = (reader.join().unwrap(), child.wait().unwrap());
    assert!(status.success(), "{text}");
    (text, peak_kib / 1024)
}

/// The kernel keeps the highest value itself, so only what happens after the last look is missed.
fn high_water_kib(child: &Child) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", child.id())).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Writes catalog, tenants and usage of September 2026: records in the order of time, spread over all tenants.
pub fn write_company(folder: &Path, tenants: u64, records: u64) {
    let catalog = "[[meter]]\nkey = \"requests\"\naggregation = \"sum\"\n\
        [[meter]]\nkey = \"storage_gb\"\naggregation = \"max\"\n\
        [[plan]]\nkey = \"pro\"\ncurrency = \"try\"\namount = 99900\n\
        [[plan.usage]]\nmeter = \"requests\"\nfree_quota = 100\n\
        price = { billing_scheme = \"per_unit\", unit_amount_decimal = \"700\" }\n\
        [[plan.usage]]\nmeter = \"storage_gb\"\n\
        price = { billing_scheme = \"per_unit\", unit_amount_decimal = \"0.0123\" }\n";
    fs::write(folder.join("catalog.toml"), catalog).unwrap();
    let mut file = BufWriter::new(File::create(folder.join("tenants.csv")).unwrap());
    writeln!(file, "tenant_id,plan,currency,started_at,stripe_customer_id,stripe_subscription_id").unwrap();
    for tenant in 0..tenants {
        writeln!(file, "tenant-{tenant:06},pro,try,2026-09-01,cus_{tenant:06},sub_{tenant:06}").unwrap();
    }
    let mut file = BufWriter::new(File::create(folder.join("usage.csv")).unwrap());
    writeln!(file, "tenant_id,meter,quantity,occurred_at,source_event_id").unwrap();
    for record in 0..records {
        // A large odd step visits all tenants in an order that looks like none.
        let tenant = record.wrapping_mul(2_654_435_761) % tenants;
        let meter = if record % 3 == 0 { "storage_gb" } else { "requests" };
        let second = record * 2_591_999 / records;
        let (day, hour, minute) = (1 + second / 86_400, second / 3_600 % 24, second / 60 % 60);
        let quantity = record % 1_000;
        writeln!(
            file,
            "tenant-{tenant:06},{meter},{quantity}.{:04},2026-09-{day:02}T{hour:02}:{minute:02}:{:02}Z,event-{record:09}",
            record % 10_000,
            second % 60
        )
        .unwrap();
    }
}
