//! A company in October 2026 on the plan `pro`, the job on its database, and Stripe's side of it.
//!
//! In: tenants, usage, instants. Out: outcomes, tables of reports, and what Stripe itself shows. Without [`World::remote`]
//! the sandbox stands in; it is asked between runs by serving its journal with `billrecon sandbox`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::server::{Proxy, SandboxProcess};
use crate::support::{Ended, Engine, Workspace, csv_rows};

pub const METER: &str = "b2b.match_request";
pub const KEY: &str = "sk_test_0c4n4ryk3y0";
/// A row of a table by column.
pub type Row = BTreeMap<String, String>;

/// 999 TRY, 100 requests free, 7 TRY each above; Stripe charges 0 for them.
pub const SHADOW: &str = r#"
[[meter]]
key = "b2b.match_request"
aggregation = "sum"
event_name = "b2b_match_request"

[[plan]]
key = "pro"
currency = "try"
interval = "month"
amount = 99900
  [[plan.usage]]
  meter = "b2b.match_request"
  free_quota = 100
  price = { billing_scheme = "tiered", tiers_mode = "graduated", tiers = [
            { up_to = 100, unit_amount_decimal = "0" }, { up_to = "inf", unit_amount_decimal = "700" } ] }
"#;

pub const OPEN: &str = "2026-10-20T10:00:00Z";
pub const DRAFT: &str = "2026-11-01T00:30:00Z";
pub const FINAL: &str = "2026-11-01T01:30:00Z";

/// Customers `cus_ID` with subscriptions `sub_ID` since October began.
pub fn tenants<'a>(ids: impl IntoIterator<Item = &'a str>) -> String {
    let head = "tenant_id,name,plan,currency,stripe_customer_id,stripe_subscription_id,status,started_at\n";
    let row = |id| format!("{id},Name of {id},pro,try,cus_{id},sub_{id},active,2026-10-01T00:00:00Z\n");
    ids.into_iter().map(row).fold(head.to_owned(), |all, row| all + &row)
}

/// One record per tenant and quantity, on 5 October.
pub fn usage<'a>(records: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    let head = "tenant_id,meter,quantity,occurred_at,source_event_id\n".to_owned();
    let row = |(number, (id, quantity)): (usize, (&str, &str))| {
        format!("{id},{METER},{quantity},2026-10-05T00:00:00Z,{quantity}-{number}\n")
    };
    records.into_iter().enumerate().map(row).fold(head, |all, row| all + &row)
}

pub struct World {
    pub workspace: Workspace,
    journal: PathBuf,
    settings: Vec<(&'static str, String)>,
    remote: Option<SandboxProcess>,
}

impl World {
    /// With the sandbox in the job.
    pub fn new(engine: Engine, catalog: &str, tenants: &str, usage: &str) -> Self {
        let workspace = Workspace::new(engine);
        workspace.import(catalog, tenants, usage);
        let journal = workspace.path(match engine {
            Engine::Sqlite => "billrecon.db.sandbox",
            Engine::Postgres => "billrecon.sandbox",
        });
        let reports = workspace.path("reports").display().to_string();
        let settings = vec![("BILLRECON_REPORTS", reports), ("BILLRECON_STRIPE_SANDBOX", "1".to_owned())];
        Self { workspace, journal, settings, remote: None }
    }

    /// With the sandbox in another process, which knows the tenants already. Its time stands still until it is moved.
    pub fn remote(engine: Engine, catalog: &str, tenants: &str, usage: &str, now: &str) -> Self {
        let seeded = Self::new(
            Engine::Sqlite,
            catalog,
            tenants,
            "tenant_id,meter,quantity,occurred_at,source_event_id\n",
        );
        seeded.run("2026-10-01T00:00:00Z").expect(0);
        let mut world = Self::new(engine, catalog, tenants, usage);
        world.journal = world.workspace.path("remote.sandbox");
        fs::copy(&seeded.journal, &world.journal).unwrap();
        let sandbox = SandboxProcess::start(&world.journal, now);
        world.connect(&sandbox.url());
        world.remote = Some(sandbox);
        world
    }

    /// Whom the job takes for Stripe.
    pub fn connect(&mut self, url: &str) {
        self.unset("BILLRECON_STRIPE_SANDBOX");
        self.set("BILLRECON_STRIPE_API_KEY", KEY);
        self.set("BILLRECON_STRIPE_API_BASE", url);
    }

    /// Puts a proxy between the job and the other process.
    pub fn through_proxy(&mut self) -> Proxy {
        let proxy = Proxy::start(&self.sandbox().url());
        self.connect(&proxy.url());
        proxy
    }

    pub fn sandbox(&self) -> &SandboxProcess {
        self.remote.as_ref().unwrap()
    }

    pub fn set(&mut self, name: &'static str, value: &str) {
        self.settings.retain(|(known, _)| *known != name);
        self.settings.push((name, value.to_owned()));
    }

    pub fn unset(&mut self, name: &str) {
        self.settings.retain(|(known, _)| *known != name);
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.workspace.command(arguments);
        // Who stands in for Stripe is said by the settings alone.
        command.env_remove("BILLRECON_STRIPE_SANDBOX");
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command
    }

    /// A run at an instant, its outcomes as JSON. Another process's clock goes there first.
    pub fn run(&self, as_of: &str) -> Ended {
        self.run_with(as_of, &[])
    }

    pub fn run_with(&self, as_of: &str, flags: &[&str]) -> Ended {
        if let Some(sandbox) = &self.remote {
            sandbox.move_to(as_of);
        }
        let arguments = [&["run", "--json", "--as-of", as_of], flags].concat();
        Ended::of(self.command(&arguments).output().unwrap())
    }

    pub fn import_usage(&self, csv: &str) {
        self.workspace.write("more.csv", csv);
        self.workspace.run(&["import", "usage", "more.csv"]).expect(0);
    }

    /// What Stripe's meter shows of a tenant in October.
    pub fn at_stripe(&self, tenant: &str) -> String {
        self.ask(|sandbox| sandbox.total(&format!("cus_{tenant}")))
    }

    /// Asks Stripe, between runs.
    pub fn ask<T>(&self, question: impl FnOnce(&SandboxProcess) -> T) -> T {
        match &self.remote {
            Some(sandbox) => question(sandbox),
            None => question(&SandboxProcess::start(&self.journal, "2026-01-01T00:00:00Z")),
        }
    }

    /// The identifiers of all events that Stripe has taken, in their order.
    pub fn identifiers(&self) -> Vec<String> {
        let journal = fs::read_to_string(&self.journal).unwrap_or_default();
        let entries = journal.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let facts = entries.flat_map(|entry| entry["facts"].as_array().cloned().unwrap_or_default());
        facts.filter_map(|fact| Some(fact.get("event")?["identifier"].as_str().unwrap().to_owned())).collect()
    }

    /// States of all intents with their number.
    pub fn intents(&self) -> Vec<(String, i64)> {
        let sql = "SELECT state, CAST(COUNT(*) AS TEXT) FROM intents GROUP BY state ORDER BY state";
        let rows = self.workspace.sql(sql);
        rows.into_iter().map(|row| (row[0].clone(), row[1].parse().unwrap())).collect()
    }
}

/// The outcome of one period among all that a run printed.
#[track_caller]
pub fn outcome(ended: &Ended, period: &str) -> Value {
    let outcomes = ended.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_period: Vec<Value> = outcomes.filter(|one| one["period"] == period).collect();
    let [one] = &of_period[..] else { panic!("{period}: {}\n{}", ended.stdout, ended.stderr) };
    one.clone()
}

/// A table of the files of an outcome.
#[track_caller]
pub fn table(outcome: &Value, name: &str) -> Vec<Row> {
    csv_rows(&fs::read(folder(outcome).join(format!("{name}.csv"))).unwrap())
}

#[track_caller]
pub fn folder(outcome: &Value) -> &Path {
    Path::new(outcome["reports_dir"].as_str().unwrap_or_else(|| panic!("no files: {outcome}")))
}

/// `source class ledger stripe reason` of each row of the comparison that is about this tenant's usage.
pub fn compared(outcome: &Value, tenant: &str) -> Vec<String> {
    let rows = table(outcome, "reconciliation");
    let of_tenant = rows.iter().filter(|row| row["tenant_id"] == tenant && !row["meter"].is_empty());
    let mut shown: Vec<String> = of_tenant
        .map(|row| {
            let shown =
                ["source", "class", "ledger_quantity", "stripe_quantity", "reason"].map(|name| &*row[name]);
            shown.join(" ").trim_end().to_owned()
        })
        .collect();
    shown.sort();
    shown
}

/// A rule's row of `decision.csv`: value, and whether it passed.
pub fn decided(outcome: &Value, metric: &str) -> (String, String) {
    let rows = table(outcome, "decision");
    let row = rows.iter().find(|row| row["metric"] == metric && !row["operator"].is_empty());
    let row = row.unwrap_or_else(|| panic!("{metric}"));
    (row["value"].clone(), row["passed"].clone())
}
