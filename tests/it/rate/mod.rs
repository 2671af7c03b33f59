//! `billrecon rate` from the outside: Stripe's vectors, any other price against the other witness, plans of a catalog.
//!
//! In: the real binary, files and standard input. Out: amounts and lines. It never has a database, and never makes one.

mod batch;
mod plans;
mod random;
mod vectors;

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{Ended, Engine, Workspace};

/// A folder with these files and nothing else.
fn folder(files: &[(&str, &str)]) -> Workspace {
    let workspace = Workspace::fresh(Engine::Sqlite);
    for (name, text) in files {
        workspace.write(name, text);
    }
    workspace
}

fn batch_of(lines: &[String]) -> Vec<Value> {
    let workspace = folder(&[("batch.ndjson", &(lines.join("\n") + "\n"))]);
    let ended = workspace.run(&["rate", "--batch", "batch.ndjson"]).expect(0);
    assert_eq!(ended.stderr, "");
    ended.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The answers to what comes in on standard input.
fn piped(input: &[u8]) -> Ended {
    let workspace = folder(&[]);
    let mut command = workspace.command(&["rate", "--batch", "-"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let ended = Ended::of(child.wait_with_output().unwrap());
    writer.join().unwrap().unwrap();
    assert_eq!(std::fs::read_dir(workspace.folder.path()).unwrap().count(), 0);
    ended
}

/// Quantity and amount of each line.
fn lines_of(answer: &Value) -> Vec<(String, i64)> {
    let line = |line: &Value| {
        (line["quantity"].as_str().unwrap().to_owned(), line["amount_minor"].as_i64().unwrap())
    };
    answer["lines"].as_array().unwrap_or_else(|| panic!("{answer}")).iter().map(line).collect()
}
