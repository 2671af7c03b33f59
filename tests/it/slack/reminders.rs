//! `serve` reminds Slack of what waits for a person, and of nothing else.
//!
//! In: a company with a parked tenant, a Slack that listens, a schedule that rings each second. Out: one message, which names ids and the next
//! step; none where nothing waits.

use std::process::Stdio;

use secrecy::ExposeSecret as _;

use super::server::FakeSlack;
use crate::processes::wait_until;
use crate::support::{CATALOG, Engine, TENANTS, USAGE, Workspace, signal};

/// What Slack was told while `serve` had rung its reminders at least so many times.
fn told(workspace: &Workspace, times: usize) -> Vec<String> {
    let slack = FakeSlack::start(&[]);
    let mut command = workspace.command(&["serve", "--schedule", "0 0 1 1 *"]);
    command
        .env("BILLRECON_SLACK_WEBHOOK_URL", slack.webhook().expose_secret())
        .env("BILLRECON_SERVE_LISTEN", "off");
    command.env("BILLRECON_SERVE_REMINDERS", "* * * * * *").env("BILLRECON_SERVE_GUARD", "off");
    let log = workspace.path("serve.log");
    let file = std::fs::File::create(&log).unwrap();
    let mut child = command.stdout(Stdio::null()).stderr(file).spawn().unwrap();
    wait_until("reminders", || {
        let said = std::fs::read_to_string(&log).unwrap();
        (said.matches("the reminder of").count() >= times).then_some(())
    });
    signal(&child, "TERM");
    assert_eq!(child.wait().unwrap().code(), Some(143));
    slack.requests().into_iter().map(|request| request.body).filter(|body| body.contains("WAITING")).collect()
}

#[test]
fn what_waits_for_a_person_is_told_once_in_an_hour_and_what_does_not_is_not_told() {
    let well = Workspace::with_watched_company(Engine::Sqlite);
    assert_eq!(told(&well, 1), [""; 0]);
    let parked = Workspace::new(Engine::Sqlite);
    let tenants = format!("{TENANTS}mallory,Mallory & Sons,none,try,cus_m,sub_m,active,,2026-09-01,\n");
    let columns = TENANTS.lines().next().unwrap().split(',').count();
    assert_eq!(tenants.lines().last().unwrap().split(',').count(), columns, "{TENANTS}");
    parked.import(CATALOG, &tenants, USAGE);
    parked.run(&["run", "--as-of", "2026-09-20T00:00:00Z"]).expect(3);
    let bodies = told(&parked, 2);
    assert_eq!(bodies.len(), 1, "{bodies:?}");
    assert!(bodies[0].contains("parked window") && bodies[0].contains("billrecon status"), "{}", bodies[0]);
    assert!(bodies[0].contains("mallory") && !bodies[0].contains("Sons"), "{}", bodies[0]);
}
