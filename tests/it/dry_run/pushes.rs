//! What a dry run would send: exactly what the real run then sends, and meanwhile nothing but reads and previews.
//!
//! In: the company in its month, with Stripe inside of the process or behind a witness. Out: the printed plan against the
//! sandbox's journal, and every request that was made.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{NO_USAGE, known, run_at};
use crate::support::account::Witness;
use crate::support::served::Served;
use crate::support::{ENGINES, Ended, Workspace, journal};

/// Identifier, customer, quantity and instant of what a run says that it pushes, in all its periods.
fn pushes(ended: &Ended) -> BTreeSet<(String, String, String, i64)> {
    let outcomes = ended.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let pushes = outcomes.flat_map(|outcome| outcome["pushes"].as_array().unwrap().clone());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let push = |push: Value| {
        let [identifier, customer, quantity] =
            ["identifier", "customer_id", "quantity"].map(|key| text(&push[key]));
        (identifier, customer, quantity, push["timestamp"].as_i64().unwrap())
    };
    pushes.map(push).collect()
}

/// The same of what has arrived at Stripe.
fn arrived(workspace: &Workspace) -> BTreeSet<(String, String, String, i64)> {
    let events = journal::events(workspace).into_iter();
    events.map(|event| (event.identifier, event.customer, event.value, event.timestamp)).collect()
}

#[test]
fn the_real_run_sends_exactly_what_the_dry_run_printed() {
    for engine in ENGINES {
        let workspace = Workspace::with_company(engine);
        let mut sent = BTreeSet::new();
        // At first everything; then what has been added; then nothing.
        for (as_of, more, count) in [
            ("2026-09-30T12:00:00Z", "", 3),
            ("2026-09-30T13:00:00Z", "acme,b2b.match_request,5.25,2026-09-30T12:30:00Z,more\n", 1),
            ("2026-10-01T00:30:00Z", "beta,storage_gb,0.5,2026-09-30T12:30:00Z,other\n", 2),
            ("2026-10-01T00:40:00Z", "", 0),
        ] {
            workspace.write("more.csv", format!("{NO_USAGE}{more}"));
            workspace.run(&["import", "usage", "more.csv"]).expect(0);
            let arguments = ["run", "--json", "--as-of", as_of];
            let before = known(&workspace);
            let dry = workspace.run(&[&arguments[..], &["--dry-run"]].concat()).expect(0);
            assert!(known(&workspace) == before, "{engine:?}: {as_of}");
            let planned = pushes(&dry);
            assert_eq!(planned.len(), count, "{engine:?}: {as_of}: {planned:?}");
            assert_eq!(pushes(&workspace.run(&arguments).expect(0)), planned, "{engine:?}: {as_of}");
            let now: BTreeSet<_> = arrived(&workspace).difference(&sent).cloned().collect();
            assert_eq!(now, planned, "{engine:?}: {as_of}");
            sent.extend(now);
        }
        journal::assert_holds_the_ledger(&workspace, "2026-09");
    }
}

/// Stripe is another process here, and what is asked of it is written down on the way.
#[test]
fn it_posts_nothing_but_previews() {
    for engine in ENGINES {
        let workspace = Workspace::with_company(engine);
        workspace.watch_at("2026-09", "2026-09-20T12:00:00Z");
        workspace
            .write("more.csv", format!("{NO_USAGE}acme,b2b.match_request,5,2026-09-21T00:00:00Z,more\n"));
        workspace.run(&["import", "usage", "more.csv"]).expect(0);
        let stripe = Served::start(&workspace, "2026-09-30T12:00:00Z");
        let witness = Witness::before(stripe.url());
        let before = known(&workspace);
        let arguments = ["run", "--json", "--as-of", "2026-09-30T12:00:00Z", "--period", "2026-09"];
        let dry = run_at(&workspace, &witness.url, &[&arguments[..], &["--dry-run"]].concat()).expect(0);
        assert!(known(&workspace) == before);
        assert_eq!(pushes(&dry).len(), 1);
        let posts = |asked: Vec<String>| asked.into_iter().filter(|asked| !asked.starts_with("GET /v1/"));
        let asked = witness.take();
        assert!(asked.len() > 10, "{asked:?}");
        let dry_posts: Vec<String> = posts(asked).collect();
        assert_eq!(dry_posts, ["POST /v1/invoices/create_preview"; 3]);
        let real = run_at(&workspace, &witness.url, &arguments).expect(0);
        assert_eq!(pushes(&real), pushes(&dry));
        let real_posts: Vec<String> = posts(witness.take()).collect();
        let event = ["POST /v1/billing/meter_events".to_owned()];
        assert_eq!(real_posts, [&event[..], &dry_posts].concat());
    }
}
