//! How long it takes to simulate 50 prices for 100,000 tenants in one go, step by step, and what memory it needs.
//!
//! In: `cargo bench --bench simulate`; `PRICES` and `TENANTS` change the size. Out: a line per step, and the peak memory of this
//! process. It judges nothing.

#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark fails by panicking, and reads its own settings"
)]

use std::fs;
use std::time::Instant;

use billrecon::domain::catalog::Catalog;
use billrecon::domain::figures::{Disposition, SegmentUsage, Stretch, WindowFigures, WindowStatus};
use billrecon::domain::number::{Quantity, QuantitySum, UnitAmount};
use billrecon::domain::period::{Period, Window};
use billrecon::domain::pricing::bill::{Fleet, Selection};
use billrecon::domain::pricing::simulate::{Offer, Shock, simulate};
use billrecon::domain::usage::UsageTotal;
use billrecon::ingest::catalog;
use billrecon::job::price::simulate::rows;

const CATALOG: &str = r#"
[[meter]]
key = "calls"
aggregation = "sum"
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

fn main() {
    let (prices, tenants) = (size("PRICES", 50), size("TENANTS", 100_000));
    println!("{prices} prices, {tenants} tenants; load {}", load());
    let catalog = catalog::read(CATALOG, "the benchmark's catalog").unwrap();
    let windows: Vec<WindowFigures> = (0..tenants).map(|number| window(number, &catalog)).collect();
    let started = Instant::now();
    let selection = Selection { plan: "pro", meter: "calls", currency: None, interval: None };
    let period = Period::parse("2026-10").unwrap();
    let mut fleet = Fleet::default();
    for figures in &windows {
        fleet.add(&selection, (period, figures), Some(&catalog)).unwrap();
    }
    told("bills and next plan", started);
    let (started, shock) = (Instant::now(), Shock::new(Quantity::whole(25).unwrap()).unwrap());
    let candidates = (1..=prices).map(|price| Offer::Major(UnitAmount::whole(i64::try_from(price).unwrap())));
    let offers = [Offer::InForce, Offer::Catalog].into_iter().chain(candidates);
    let offers: Vec<_> = offers.map(|offer| (simulate(&fleet, &offer, shock).unwrap(), offer)).collect();
    told("rating", started);
    let started = Instant::now();
    let rows = rows(&fleet, &offers, 10).unwrap();
    told("joining, grouping, ranking, shocks", started);
    let last = rows.last().unwrap();
    println!("{} rows; at {} the revenue is {}", rows.len(), last.offer, last.revenue);
    println!("{}", peak());
}

/// A closed October; usage from 0 to 299.9 units, the same in every run.
fn window(number: u64, catalog: &Catalog) -> WindowFigures {
    let at = |text: &str| text.parse().unwrap();
    let range = Window { start: at("2026-10-01T00:00:00Z"), end: at("2026-11-01T00:00:00Z") };
    let plan = catalog.plans.keys().find(|plan| plan.key == "pro").unwrap();
    let tenths = number.wrapping_mul(2_654_435_761) % 3_000;
    let used = Quantity::parse(&format!("{}.{}", tenths / 10, tenths % 10)).unwrap();
    let usage = SegmentUsage {
        range,
        plan: Some(plan.clone()),
        meter: "calls".to_owned(),
        disposition: Disposition::Billable,
        total: UsageTotal { records: 1, quantity: QuantitySum::from(used) },
        readings: None,
        taken_back: QuantitySum::ZERO,
        split: None,
    };
    WindowFigures {
        tenant_id: format!("tenant-{number:06}"),
        tenant_name: String::new(),
        window: range,
        accounted: vec![range],
        trial: false,
        stretches: vec![Stretch { range, plan: Some(plan.clone()), invoiced: true }],
        status: WindowStatus::Closed,
        park: None,
        not_billed: false,
        full_cycle: true,
        paying: true,
        catalog_hash: String::new(),
        usage: vec![usage],
        lines: Vec::new(),
    }
}

fn told(step: &str, started: Instant) {
    let took = started.elapsed();
    println!("{step}: {}.{:03} s", took.as_secs(), took.subsec_millis());
}

/// `VmHWM:     1234 kB`
fn peak() -> String {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM: unknown");
    format!("peak memory: {}", line.split_once(':').map(|(_, size)| size.trim()).unwrap_or_default())
}

/// Other work on the machine makes a measurement worth little.
fn load() -> String {
    fs::read_to_string("/proc/loadavg").unwrap_or_default().split(' ').next().unwrap_or("unknown").to_owned()
}

fn size(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}
