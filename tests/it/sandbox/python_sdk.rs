//! The judge: Stripe's official Python SDK drives the sandbox. It shares no code with us.
//!
//! In: `BILLRECON_TEST_PYTHON`, a Python with the pinned `stripe` (`scripts/test --judges` makes one). Out: each
//! script's own assertions. Without judges, which need the network once, there is nothing to run.

use std::path::Path;
use std::process::Command;

use super::Served;
use crate::support::Ended;

/// One fault for each thing that the script looks at.
const MANNERS: &str = r#"
missing_permissions = ["invoices:read"]
fault = [
    { what = "lock_timeout", endpoint = "customers", times = 1 },
    { what = "reset_after", endpoint = "meter_events", times = 1 },
    { what = "error_after", endpoint = "meter_events", skip = 2, times = 1 },
    { what = "rate_limited", endpoint = "products", times = 1, retry_after = 1 },
    { what = "bad_gateway", endpoint = "prices", times = 1 },
    { what = "cut", endpoint = "subscriptions", times = 1 },
    { what = "unauthorized", endpoint = "account" },
]
"#;

#[test]
fn the_official_python_sdk_finds_what_it_expects() {
    judge("python_sdk.py", Served::new);
}

#[test]
fn the_official_python_sdk_sees_each_fault_as_one_of_stripes() {
    judge("python_sdk_manners.py", || Served::mannered(MANNERS));
}

fn judge(script: &str, start: impl FnOnce() -> Served) {
    if std::env::var_os("BILLRECON_TEST_JUDGES").is_none() {
        return;
    }
    let python = std::env::var("BILLRECON_TEST_PYTHON").expect("scripts/test --judges sets it");
    let sandbox = start();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/sandbox").join(script);
    let url = format!("http://{}", sandbox.address);
    let ended = Ended::of(Command::new(python).arg(script).arg(url).output().unwrap()).expect(0);
    assert!(ended.stdout.ends_with("all as expected\n"), "{}", ended.stdout);
}
