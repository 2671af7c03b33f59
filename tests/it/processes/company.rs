//! A company that is large enough for a process to be caught at work, prepared once and copied for every case.
//!
//! In: how many tenants and usage rows. Out: workspaces that all begin with the same bytes. Never takes part in a
//! verdict: figures are compared with those of an undisturbed twin.

use std::fs;

use super::PERIOD;
use crate::support::postgres::TestDatabase;
use crate::support::{CATALOG, Engine, Workspace, journal};

/// `count` tenants of the plan `pro`.
pub fn tenants(count: usize) -> String {
    let row = |number| {
        format!("t{number:04},Tenant {number},pro,try,cus_{number:04},sub_{number:04},2026-09-01T00:00:00Z\n")
    };
    let rows: String = (0..count).map(row).collect();
    format!("tenant_id,name,plan,currency,stripe_customer_id,stripe_subscription_id,started_at\n{rows}")
}

const USAGE_HEADER: &str = "tenant_id,meter,quantity,occurred_at,source_event_id\n";

/// One row for each number: clean ones.
pub fn usage(tenants: usize, rows: usize) -> String {
    let rows: String = (0..rows).map(|number| clean_row(number, tenants)).collect();
    format!("{USAGE_HEADER}{rows}")
}

/// The same with all that an import has to tell apart: copies, ids with two bodies, lines that are no records, and
/// lines that a later one mends.
pub fn untidy_usage(tenants: usize, rows: usize) -> String {
    let row = |number: usize| match number % 100 {
        17 => clean_row(number - 10, tenants),
        37 => clean_row(number - 20, tenants).replace(",0.25,", ",0.5,"),
        57 => clean_row(number, tenants).replace(",0.25,", ",1e400,"),
        // Mends the line 30 before it, which has its id and comes from the same tenant.
        87 => clean_row(number - 30, tenants),
        97 => clean_row(number, tenants).replacen('t', "nobody-", 1),
        _ => clean_row(number, tenants),
    };
    let rows: String = (0..rows).map(row).collect();
    format!("{USAGE_HEADER}{rows}")
}

fn clean_row(number: usize, tenants: usize) -> String {
    let (tenant, day, hour) = (number % tenants, 1 + number % 30, number % 24);
    let meter = if number.is_multiple_of(3) { "storage_gb" } else { "b2b.match_request" };
    // Those that other rows refer to have a quantity that can be found in the text.
    let quantity = if number % 10 == 7 { "0.25".to_owned() } else { format!("{}.5", number % 1000) };
    format!("t{tenant:04},{meter},{quantity},2026-09-{day:02}T{hour:02}:00:00Z,e-{number}\n")
}

/// A database that is made once and copied.
pub struct Prepared {
    original: Workspace,
}

impl Prepared {
    /// Catalog and tenants, and the usage if there is any.
    pub fn new(engine: Engine, tenants: &str, usage: Option<&str>) -> Self {
        let original = Workspace::new(engine);
        original.write("catalog.toml", CATALOG);
        original.write("tenants.csv", tenants);
        original.run(&["import", "catalog", "catalog.toml"]).expect(0);
        original.run(&["import", "tenants", "tenants.csv"]).expect(0);
        if let Some(usage) = usage {
            original.write("usage.csv", usage);
            original.run(&["import", "usage", "usage.csv"]).expect(0);
        }
        Self { original }
    }

    /// The same, and its usage was pushed in time: the run that closes it finds everything at Stripe.
    pub fn watched(engine: Engine, tenants: &str, usage: &str) -> Self {
        let prepared = Self::new(engine, tenants, Some(usage));
        prepared.original.watch(PERIOD);
        prepared
    }

    /// The sandbox knows the tenants and has not heard of any usage.
    pub fn seeded(engine: Engine, tenants: &str, usage: &str) -> Self {
        let prepared = Self::new(engine, tenants, None);
        prepared.original.watch_at(PERIOD, "2026-09-01T12:00:00Z");
        prepared.original.write("usage.csv", usage);
        prepared.original.run(&["import", "usage", "usage.csv"]).expect(0);
        prepared
    }

    /// With the sandbox's journal, if there is one.
    pub fn copy(&self) -> Workspace {
        if self.original.url.starts_with("sqlite:") {
            assert!(!self.original.path("billrecon.db-wal").exists(), "the original is still open");
            let copy = Workspace::fresh(Engine::Sqlite);
            fs::copy(self.original.path("billrecon.db"), copy.path("billrecon.db")).unwrap();
            return self.with_journal(copy);
        }
        let (_, name) = self.original.url.rsplit_once('/').unwrap();
        self.with_journal(Workspace::on(TestDatabase::create(&format!("TEMPLATE {name}"))))
    }

    fn with_journal(&self, copy: Workspace) -> Workspace {
        if let Some(bytes) = journal::bytes(&self.original) {
            fs::write(journal::path(&copy), bytes).unwrap();
        }
        copy
    }
}
