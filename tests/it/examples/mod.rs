//! The five companies of `examples/`: their prices, and a month of each through the real binary on both databases.
//!
//! In: the folders as they are shipped. Out: every figure that their pages and the plan for them promise. It changes
//! nothing in them: a company runs on a copy.

mod exactness;
mod months;
mod prices;

use std::fs;
use std::path::PathBuf;

const COMPANIES: [&str; 5] =
    ["match-requests", "session-minutes", "pay-what-works", "iot-fleet", "api-platform"];

fn folder(company: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("examples").join(company)
}

fn text(company: &str, file: &str) -> String {
    fs::read_to_string(folder(company).join(file)).unwrap()
}

/// The usage file of a company: CSV or NDJSON.
fn usage_file(company: &str) -> &'static str {
    if company == "pay-what-works" { "usage.ndjson" } else { "usage.csv" }
}
