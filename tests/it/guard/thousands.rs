//! Five thousand tenants in the hour of their drafts, one of them wrong: it is named, alone, at the price of a few lists.
//!
//! In: a company whose usage is pushed, and one event that somebody else sent. Out: who is named, and all requests.

use serde_json::json;

use super::{live, named, nobody};
use crate::billing::server::Proxy;
use crate::billing::world::{DRAFT, KEY, OPEN, World, tenants, usage};
use crate::support::{Ended, Engine};

const TENANTS: usize = 5_000;

#[test]
fn one_wrong_draft_among_five_thousand_is_named_alone_and_costs_one_total() {
    let ids: Vec<String> = (0..TENANTS).map(|number| format!("t{number:04}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let records = usage(ids.iter().map(|id| (*id, "130")));
    let world = World::new(Engine::Sqlite, &live(), &tenants(ids.iter().copied()), &records);
    world.run(OPEN).expect(0);
    world.ask(|sandbox| {
        sandbox.send_event("cus_t4321", "5", "planted");
        sandbox.move_to(DRAFT);
        let proxy = Proxy::start(&sandbox.url());
        let before = std::fs::read(world.workspace.path("billrecon.db")).unwrap();
        let mut command = world.command(&["guard", "--json", "--as-of", DRAFT]);
        command.env_remove("BILLRECON_STRIPE_SANDBOX");
        command.env("BILLRECON_STRIPE_API_KEY", KEY).env("BILLRECON_STRIPE_API_BASE", proxy.url());
        let ended = Ended::of(command.output().unwrap());
        let found = serde_json::from_str(&ended.expect(3).stdout).unwrap();
        assert_eq!(named(&found, "wrong"), ["t4321 35.00 "]);
        nobody(&found, &["needs_run", "uncompared", "settles"]);
        assert_eq!(found["drafts"], json!(TENANTS));
        assert!(std::fs::read(world.workspace.path("billrecon.db")).unwrap() == before);

        let asked = proxy.take();
        let count = |path: &str| asked.iter().filter(|one| one.path.split('?').next() == Some(path)).count();
        let pages = TENANTS / 100;
        assert_eq!(asked.iter().filter(|one| one.is_total()).count(), 1);
        assert_eq!(count("/v1/invoices"), pages);
        // One price has all of them, the other none.
        assert_eq!(count("/v1/subscriptions"), pages + 1);
        assert!(asked.len() <= 2 * pages + 8, "{} requests", asked.len());
        assert!(asked.iter().all(|one| one.method == "GET"));
    });
}
