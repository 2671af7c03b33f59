//! A database belongs to one account and mode, or to the sandbox, for good.
//!
//! In: a Stripe whose account and mode change between runs, or that is taken away. Out: 78 before anything is sent, and a
//! database that stays as it was. The account's side is the sandbox behind a gate that gives another account's id.

use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};

use jiff::{SignedDuration, Timestamp};
use tokio::runtime::Runtime;

use super::{COLUMNS, METER, Site};
use crate::sandbox::{encoded, exchange};
use crate::stripe::fake::{Fake, Reply, ok};
use crate::support::{CATALOG, ENGINES, Ended, Engine, TENANTS, USAGE, Workspace};

const LIVE_KEY: &str = "sk_live_c4n4ry0f0ur0wn";

/// The site's Stripe as a real account, at the machine's own time: one that no run may choose.
pub(super) struct Gate {
    pub(super) site: Site,
    customer: String,
    first_period: String,
    account: Arc<Mutex<&'static str>>,
    fake: Fake,
    /// What serves it.
    _runtime: Runtime,
}

impl Gate {
    /// One tenant since two days ago, with 130 requests of yesterday that wait to be pushed.
    pub(super) fn new(engine: Engine) -> Self {
        let two_days_ago = Timestamp::now() - SignedDuration::from_hours(48);
        let start = Timestamp::from_second(two_days_ago.as_second()).unwrap();
        let site = Site::since(engine, &start.to_string());
        let (customer, subscription) = site.subscribe(&[&site.base, &site.shadow]);
        let row = format!("acme,Name of acme,pro,try,{customer},{subscription},active,{start},{start}\n");
        site.import("catalog", &site.catalog());
        site.import("tenants", &(COLUMNS.replace("started_at,ended_at", "billing_anchor,started_at") + &row));
        let runtime = Runtime::new().unwrap();
        let account = Arc::new(Mutex::new("acct_1ABC"));
        let (named, address) = (account.clone(), site.stripe.address.clone());
        let fake = runtime.block_on(Fake::new(move |asked, _| {
            if asked.path == "/v1/account" {
                let id = *named.lock().unwrap();
                return ok(format!(r#"{{"id": "{id}", "object": "account"}}"#));
            }
            let query =
                asked.query.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
            let path = format!("{}?{}", asked.path, query.collect::<Vec<_>>().join("&"));
            // What stands behind takes test keys only.
            let headers: Vec<(&str, String)> = ["authorization", "idempotency-key"]
                .into_iter()
                .filter_map(|name| Some((name, asked.headers.get(name)?.replace("_live_", "_test_"))))
                .collect();
            let headers: Vec<(&str, &str)> =
                headers.iter().map(|(name, text)| (*name, text.as_str())).collect();
            let answer = exchange(&address, &asked.method, &path, &asked.raw_body, &headers);
            Reply::Answer { status: answer.status, headers: Vec::new(), body: answer.text }
        }));
        let gate = Self {
            site,
            customer,
            first_period: start.to_string()[..7].to_owned(),
            account,
            fake,
            _runtime: runtime,
        };
        gate.uses("130");
        gate.settings(&format!("first_period = \"{}\"\n[push]\nmode = \"push\"\n", gate.first_period));
        gate
    }

    fn settings(&self, text: &str) {
        self.site.workspace.write("billrecon.toml", text);
    }

    /// More usage of yesterday.
    fn uses(&self, quantity: &str) {
        let yesterday = Timestamp::now() - SignedDuration::from_hours(24);
        let head = "tenant_id,meter,quantity,occurred_at,source_event_id\n";
        self.site.import("usage", &format!("{head}acme,{METER},{quantity},{yesterday},of-{quantity}\n"));
    }

    fn is_account(&self, id: &'static str) {
        *self.account.lock().unwrap() = id;
    }

    pub(super) fn command(&self, flags: &[&str]) -> Command {
        self.any_command(&[&["run"], flags].concat())
    }

    pub(super) fn any_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.site.command(arguments);
        command.env("BILLRECON_STRIPE_API_BASE", self.fake.url());
        command
    }

    /// Method and path of what was asked while something was done.
    fn asked<T>(&self, deed: impl FnOnce() -> T) -> (T, Vec<String>) {
        let before = self.fake.asked().len();
        let done = deed();
        let asked = self.fake.asked().split_off(before);
        (done, asked.into_iter().map(|one| format!("{} {}", one.method, one.path)).collect())
    }

    fn pinned(&self) -> Vec<Vec<String>> {
        self.site.workspace.sql("SELECT account_id, CAST(livemode AS TEXT) FROM account_pin")
    }

    /// Refused in these words, by a dry run too, with no question but whose account it is. What waits goes on waiting.
    #[track_caller]
    fn refuses(&self, words: &[&str], questions: &[&str], set: impl Fn(&mut Command)) {
        let rows = |table: &str| self.site.workspace.number(&format!("SELECT COUNT(*) FROM {table}"));
        let sandboxes = || {
            ["billrecon.db.sandbox", "billrecon.sandbox"]
                .map(|name| fs::read(self.site.workspace.path(name)).ok())
        };
        let known = || (sandboxes(), ["runs", "intents", "audit_log", "outbox"].map(rows), self.pinned());
        let (before, journal) = (known(), self.site.journal());
        let earlier = (Timestamp::now() - SignedDuration::from_hours(1)).to_string();
        for flags in [&[][..], &["--dry-run"], &["--as-of", &earlier]] {
            let mut command = self.command(flags);
            set(&mut command);
            let (ended, asked) = self.asked(|| Ended::of(command.output().unwrap()).expect(78));
            for word in words {
                assert!(ended.stderr.contains(word), "`{word}` is missing in: {}", ended.stderr);
            }
            assert_eq!(
                (asked, ended.stdout),
                (questions.iter().map(|&one| one.into()).collect(), String::new())
            );
        }
        assert!(known() == before, "{:?}", known());
        assert!(self.site.journal() == journal, "something was sent to Stripe");
    }

    /// The good case: what waits is pushed.
    #[track_caller]
    fn pushes(&self, total: &str) {
        self.site.move_to(&Timestamp::now().to_string());
        let (_, asked) = self.asked(|| Ended::of(self.command(&[]).output().unwrap()).expect(0));
        let pushes = asked.iter().filter(|one| *one == "POST /v1/billing/meter_events").count();
        assert_eq!((pushes, self.site.total(&self.customer)), (1, total.to_owned()), "{asked:?}");
    }
}

const WHOSE: [&str; 1] = ["GET /v1/account"];

fn without_key(command: &mut Command) {
    command.env_remove("BILLRECON_STRIPE_API_KEY").env_remove("BILLRECON_STRIPE_API_BASE");
}

#[test]
fn a_database_of_an_account_is_not_served_without_its_key() {
    for engine in ENGINES {
        let gate = Gate::new(engine);
        gate.pushes("130");
        assert_eq!(gate.pinned(), [["acct_1ABC", "0"]]);
        gate.uses("5");
        let without = |command: &mut Command| {
            without_key(command);
            if engine == Engine::Postgres {
                command.env("BILLRECON_STRIPE_SANDBOX", "1");
            }
        };
        gate.refuses(&["acct_1ABC", "there is no key", "BILLRECON_STRIPE_API_KEY"], &[], without);
        if engine == Engine::Postgres {
            gate.refuses(&["there is no Stripe key"], &[], without_key);
        }
        gate.pushes("135");
    }
}

#[test]
fn a_database_of_an_account_takes_no_key_of_another_account_or_mode() {
    for engine in ENGINES {
        let gate = Gate::new(engine);
        gate.pushes("130");
        gate.uses("5");
        gate.is_account("acct_2DEF");
        gate.refuses(&["acct_1ABC in test mode", "acct_2DEF in test mode"], &WHOSE, |_| ());
        gate.is_account("acct_1ABC");
        let live = |command: &mut Command| {
            command.env("BILLRECON_STRIPE_API_KEY", LIVE_KEY);
        };
        gate.refuses(&["acct_1ABC in test mode", "acct_1ABC in live mode"], &WHOSE, live);
        gate.is_account("acct_sandbox_of_somebody");
        gate.refuses(&["acct_1ABC in test mode", "the sandbox"], &WHOSE, |_| ());
        gate.is_account("acct_1ABC");
        assert_eq!(gate.pinned(), [["acct_1ABC", "0"]]);
        gate.pushes("135");
    }
}

#[test]
fn a_database_of_the_sandbox_takes_no_key_of_a_real_account() {
    for engine in ENGINES {
        let gate = Gate::new(engine);
        gate.site.workspace.run(&["run", "--reports", "first"]).expect(0);
        gate.refuses(&["belongs to the sandbox", "acct_1ABC in test mode"], &WHOSE, |_| ());
        let live = |command: &mut Command| {
            command.env("BILLRECON_STRIPE_API_KEY", LIVE_KEY);
        };
        gate.refuses(&["belongs to the sandbox", "acct_1ABC in live mode"], &WHOSE, live);
        gate.site.workspace.run(&["run", "--reports", "first"]).expect(0);
    }
}

#[test]
fn a_real_account_needs_a_first_period_before_anything_is_sent() {
    for engine in ENGINES {
        let gate = Gate::new(engine);
        gate.settings("[push]\nmode = \"push\"\n");
        gate.refuses(&["first_period is required", "billrecon.toml"], &WHOSE, |_| ());
        // Whose it is was not decided by a run that was refused.
        assert!(gate.pinned().is_empty());
        gate.settings(&format!("first_period = \"{}\"\n[push]\nmode = \"push\"\n", gate.first_period));
        gate.pushes("130");
    }
}

#[test]
fn a_real_account_is_only_observed_until_somebody_asks_for_pushes() {
    let gate = Gate::new(Engine::Sqlite);
    gate.settings(&format!("first_period = \"{}\"\n", gate.first_period));
    let (_, asked) = gate.asked(|| Ended::of(gate.command(&[]).output().unwrap()).expect(0));
    let changes = |one: &&String| !one.starts_with("GET ") && !one.ends_with("/create_preview");
    assert_eq!(asked.iter().find(changes), None);
    assert_ne!(gate.site.total(&gate.customer), "130");
    gate.settings(&format!("first_period = \"{}\"\n[push]\nmode = \"push\"\n", gate.first_period));
    gate.pushes("130");
}

#[test]
fn postgresql_without_a_key_asks_for_one_before_anything_is_created() {
    let workspace = Workspace::fresh(Engine::Postgres);
    let tables = "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema NOT IN ('pg_catalog', 'information_schema')";
    let run = |flags: &[&str]| {
        let mut command = workspace.command(&[&["run"], flags].concat());
        Ended::of(command.env_remove("BILLRECON_STRIPE_SANDBOX").output().unwrap())
    };
    for flags in [&[][..], &["--dry-run"], &["--as-of", "2026-10-20T10:00:00Z"]] {
        let ended = run(flags).expect(78);
        for word in ["BILLRECON_STRIPE_API_KEY", "BILLRECON_STRIPE_SANDBOX=1"] {
            assert!(ended.stderr.contains(word), "{}", ended.stderr);
        }
        assert_eq!((workspace.number(tables), ended.stdout.as_str()), (0, ""));
        assert_eq!(fs::read_dir(workspace.folder.path()).unwrap().count(), 0);
    }
    workspace.import(CATALOG, TENANTS, USAGE);
    run(&[]).expect(78);
    assert_eq!(workspace.number("SELECT COUNT(*) FROM runs"), 0);
    assert!(!workspace.path("billrecon.sandbox").exists() && !workspace.path("reports").exists());
    workspace.watch("2026-09");
    assert_ne!(workspace.number("SELECT COUNT(*) FROM intents"), 0);
}
