//! The judge: Stripe's official Python SDK drives the sandbox. It shares no code with us.
//!
//! In: `BILLRECON_TEST_STRIPE_PYTHON`, a Python with the pinned `stripe` (`scripts/test --judges` makes one). Out: the
//! script's own assertions. Without judges, which need the network once, there is nothing to run.

use std::path::Path;
use std::process::Command;

use super::Served;
use crate::support::Ended;

#[test]
fn the_official_python_sdk_finds_what_it_expects() {
    if std::env::var_os("BILLRECON_TEST_JUDGES").is_none() {
        return;
    }
    let python = std::env::var("BILLRECON_TEST_STRIPE_PYTHON").expect("scripts/test --judges sets it");
    let sandbox = Served::new();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/sandbox/python_sdk.py");
    let url = format!("http://{}", sandbox.address);
    let ended = Ended::of(Command::new(python).arg(script).arg(url).output().unwrap()).expect(0);
    assert!(ended.stdout.ends_with("all as expected\n"), "{}", ended.stdout);
}
