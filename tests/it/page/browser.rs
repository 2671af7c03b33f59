//! The judge: a headless Chromium opens the page, sorts it, prints it and measures it.
//!
//! In: the demo's page and a large company's, `BILLRECON_TEST_PYTHON` with Playwright. Out: the script's own assertions. Without
//! judges there is nothing to run.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::large::large_page;
use crate::support::Ended;

fn judge(page: &Path) {
    let python = std::env::var("BILLRECON_TEST_PYTHON").expect("scripts/test --judges sets it");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/page/browser.py");
    let ended = Ended::of(Command::new(python).arg(script).arg(page).output().unwrap()).expect(0);
    assert!(ended.stdout.ends_with("all as expected\n"), "{}", ended.stdout);
}

fn is_asked() -> bool {
    std::env::var_os("BILLRECON_TEST_JUDGES").is_some()
}

#[test]
fn a_browser_shows_sorts_and_prints_the_page_of_the_demo() {
    if !is_asked() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let demo = Command::new(env!("CARGO_BIN_EXE_billrecon")).arg("demo").current_dir(folder.path()).output();
    let told = Ended::of(demo.unwrap()).expect(0).stdout;
    let judged: Vec<&str> =
        told.lines().map(str::trim).filter(|line| line.starts_with("billrecon-demo/reports/")).collect();
    assert_eq!(judged.len(), 2, "{told}");
    for run in judged {
        judge(&folder.path().join(run).join("report.html"));
    }
}

#[test]
fn a_browser_shows_sorts_and_prints_the_page_of_a_large_company() {
    if !is_asked() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    fs::write(&file, large_page()).unwrap();
    judge(&file);
}
