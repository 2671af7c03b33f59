//! The command line as a person and a scheduler meet it: exit codes, outcomes, configuration, secrets, the demo.
//!
//! In: the real binary. Out: what DESIGN §11 promises of it. Never a panic, never a colour where nobody looks.

mod codes;
mod configuration;
mod demo;
mod every_command;
mod manual;
mod outcomes;
mod secrets;
mod settings;
mod streams;
mod verdicts;

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::Ended;

/// The binary in a folder, with nothing of the tester's settings and no database named.
fn binary(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_billrecon"));
    command.args(arguments).current_dir(folder).stdin(Stdio::null());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("BILLRECON_"))
    {
        command.env_remove(name);
    }
    command
}

pub fn run(folder: &Path, arguments: &[&str]) -> Ended {
    Ended::of(binary(folder, arguments).output().unwrap())
}

/// Fails unless the words are on stderr.
#[track_caller]
fn says(ended: &Ended, words: &str) {
    assert!(ended.stderr.contains(words), "`{words}` is missing in: {}", ended.stderr);
}
