//! A Stripe that outlives its callers: `billrecon sandbox` in a process of its own, on the journal of a workspace.
//!
//! In: a workspace whose embedded sandbox has been started once, so that it knows the customers. Out: processes that speak to
//! it by key and address, as they would to Stripe. The journal is open for one process at a time, so what a test stops or
//! lets overlap cannot carry its own sandbox. Ends with its guard; then the embedded one goes on from the same journal.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::support::{Workspace, journal};

pub struct Served<'a> {
    workspace: &'a Workspace,
    child: Child,
    url: String,
}

impl<'a> Served<'a> {
    /// Its clock stands at `now`.
    pub fn start(workspace: &'a Workspace, now: &str) -> Self {
        let state = journal::path(workspace);
        assert!(state.exists(), "the journal would not know the customers");
        let mut command = workspace.command(&["sandbox", "--now", now, "--state"]);
        let mut child = command.arg(state).stdout(Stdio::piped()).spawn().unwrap();
        let mut url = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut url).unwrap();
        Self { workspace, child, url: url.trim().to_owned() }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.workspace.command_at(&self.url, arguments)
    }

    pub fn spawn(&self, arguments: &[&str]) -> Child {
        self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

impl Workspace {
    /// The program with a key, and with Stripe at this address.
    pub fn command_at(&self, url: &str, arguments: &[&str]) -> Command {
        let mut command = self.command(arguments);
        command.env_remove("BILLRECON_STRIPE_SANDBOX");
        command.env("BILLRECON_STRIPE_API_KEY", "sk_test_of_a_test");
        command.env("BILLRECON_STRIPE_API_BASE", url);
        command
    }
}

impl Drop for Served<'_> {
    fn drop(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}
