//! What processes do to each other, and what is left of one that is stopped, interrupted or killed.
//!
//! In: the real binary, several at a time, and signals. Out: proof that one works and the others say why not, and that
//! whatever dies on the way, the next run ends where an undisturbed one would have, and that Stripe has counted each unit
//! once. Speed never decides a verdict:
//! processes are held at gates, by locks or by SIGSTOP, and a wait is only ever a wait for a condition.

mod company;
pub mod hold;
mod http;
mod kill;
mod pause;
mod race;
mod serve;
mod serve_days;
mod signals;
mod state;

pub use state::{assert_audit_chain, expire_lease};

use std::process::{Child, Output};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Ended, Workspace};

/// The period that all of them close.
pub const PERIOD: &str = "2026-09";
pub const RUN: [&str; 3] = ["run", "--period", PERIOD];
/// A run in the last hours of the period: what the ledger holds goes to Stripe, and nothing closes. Its reports lie apart.
pub const PUSH: [&str; 7] =
    ["run", "--period", PERIOD, "--as-of", "2026-09-30T12:00:00Z", "--reports", "watched"];
/// A run that waits until a dead holder's lease has expired.
pub const RUN_PATIENTLY: [&str; 5] = ["run", "--period", PERIOD, "--lock-wait", "5m"];

/// How long a condition may take to come true on a busy machine; only a hang takes so long.
const LIMIT: Duration = Duration::from_mins(2);

/// Asks again until there is an answer.
#[track_caller]
pub fn wait_until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < LIMIT, "waited {LIMIT:?} in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits for the end of a process that should end by itself; one that hangs is killed and fails the test.
#[track_caller]
pub fn end_of(mut child: Child, what: &str) -> Ended {
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begun.elapsed() > LIMIT {
            child.kill().unwrap();
            panic!("{what}: it hangs; so far it said: {:?}", Ended::of(child.wait_with_output().unwrap()));
        }
        thread::sleep(Duration::from_millis(5));
    }
    let output: Output = child.wait_with_output().unwrap();
    Ended::of(output)
}

/// A config file with a lease of this length, for a process whose lease is to expire, or never to expire, in a test.
pub fn lease_of(workspace: &Workspace, ttl: &str) -> [String; 2] {
    let name = format!("lease-{ttl}.toml");
    workspace.write(&name, format!("[lease]\nttl = \"{ttl}\"\n"));
    ["--config".to_owned(), name]
}

/// `arguments` with a lease of this length.
pub fn with_lease<'a>(arguments: &[&'a str], config: &'a [String; 2]) -> Vec<&'a str> {
    arguments.iter().copied().chain(config.iter().map(String::as_str)).collect()
}
