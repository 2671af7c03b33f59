//! Deployment: the Dockerfile, the manifests, the units and the crontab of `deploy/`.
//!
//! In: those files, as they are. Out: what is wrong with them, as a list that must be empty; each rule is shown a text that breaks it.
//! Nothing is installed or applied: there is no cluster, no daemon and no systemd here. Programs of others judge where they can.

mod judges;
mod manifests;
mod overlay;
mod program;
mod rules;
mod units;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn home() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn read(path: &str) -> String {
    fs::read_to_string(home().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[track_caller]
fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

/// Every YAML file below `deploy/`.
fn yaml_files() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![home().join("deploy")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|extension| extension == "yaml") {
                found.push(entry);
            }
        }
    }
    found.sort();
    assert!(found.len() >= 8, "{found:?}");
    found
}

/// Objects of the base, in the order of its kustomization.
fn base() -> Vec<Value> {
    let folder = "deploy/kubernetes/base";
    let list = yaml(&read(&format!("{folder}/kustomization.yaml")));
    let files = list["resources"].as_array().unwrap().iter().map(|file| file.as_str().unwrap());
    files.map(|file| yaml(&read(&format!("{folder}/{file}")))).collect()
}

/// The codes of the program, from its own table.
fn exit_codes() -> Vec<i64> {
    let source = read("src/exit_code.rs");
    let codes =
        source.lines().filter_map(|line| line.trim().split_once(" = ")?.1.strip_suffix(',')?.parse().ok());
    codes.collect()
}
