//! Programs of others that know these files better: `kubernetes-validate`, `hadolint`, `systemd-analyze`.
//!
//! In: `BILLRECON_TEST_PYTHON`, beside which the first two are installed (`scripts/test --judges` does it). Without judges nothing is
//! asked.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::overlay::production;
use super::{base, home, read};

/// `None` without judges.
fn judge(name: &str) -> Option<PathBuf> {
    std::env::var_os("BILLRECON_TEST_JUDGES")?;
    let python = std::env::var("BILLRECON_TEST_PYTHON").expect("scripts/test --judges sets it");
    Some(PathBuf::from(python).with_file_name(name))
}

#[test]
fn judge_kubernetes_takes_every_manifest_of_the_base_and_of_production() {
    let Some(validate) = judge("kubernetes-validate") else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut misspelt = base().pop().unwrap();
    misspelt["spec"]["concurencyPolicy"] = "Forbid".into();
    let objects = base().into_iter().chain(production()).map(|object| (object, true));
    for (number, (object, is_right)) in objects.chain([(misspelt, false)]).enumerate() {
        let file = folder.path().join(format!("{number}.yaml"));
        fs::write(&file, object.to_string()).unwrap();
        let ended = Command::new(&validate).arg("--strict").arg(&file).output().unwrap();
        assert_eq!(ended.status.success(), is_right, "{object}: {}", String::from_utf8_lossy(&ended.stdout));
    }
}

#[test]
fn judge_hadolint_takes_the_dockerfile() {
    let Some(hadolint) = judge("hadolint") else { return };
    let right = Command::new(&hadolint).arg("--no-color").arg(home().join("Dockerfile")).output().unwrap();
    assert!(right.status.success(), "{}", String::from_utf8_lossy(&right.stdout));
    let folder = tempfile::tempdir().unwrap();
    let wrong = folder.path().join("Dockerfile");
    fs::write(&wrong, read("Dockerfile").replace(":1.95.0-slim-bookworm", ":latest")).unwrap();
    assert!(!Command::new(&hadolint).arg(wrong).output().unwrap().status.success());
}

#[test]
fn judge_systemd_takes_the_units() {
    if judge("python").is_none() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for unit in fs::read_dir(home().join("deploy/systemd")).unwrap().map(|entry| entry.unwrap().path()) {
        // The program is elsewhere here, and its pages are not installed.
        let text = fs::read_to_string(&unit).unwrap();
        let text = text.replace("/usr/local/bin/billrecon", env!("CARGO_BIN_EXE_billrecon"));
        let text: String = text
            .lines()
            .filter(|line| !line.starts_with("Documentation="))
            .map(|line| format!("{line}\n"))
            .collect();
        fs::write(folder.path().join(unit.file_name().unwrap()), text).unwrap();
    }
    for unit in fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()) {
        let ended = Command::new("systemd-analyze").arg("verify").arg(&unit).output().unwrap();
        assert!(ended.status.success(), "{unit:?}: {}", String::from_utf8_lossy(&ended.stderr));
        assert_eq!(String::from_utf8_lossy(&ended.stderr), "", "{unit:?}");
    }
}
