//! Real cloud usage (`../shared/data/focus-2024-09`), where it is there, and our own small set of the same kind.
//!
//! In: `prices.csv`, `usage.csv`, `expected.csv` of a folder. Out: catalog and tenants made from them, and what the
//! lines must follow from. It computes nothing but a decimal point's place, and that with no code of the project.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use crate::support::csv_rows;

pub struct Cloud {
    folder: PathBuf,
    period: &'static str,
}

/// Decimal text as it stands in the files; nobody has computed with it.
pub struct Expected {
    pub records: u64,
    pub quantity: String,
    pub list_price_usd: String,
    /// What the provider itself printed.
    pub list_cost_usd: String,
}

impl Cloud {
    /// The set that the project ships.
    pub fn shipped() -> Self {
        Self {
            folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/cloud-2026-02"),
            period: "2026-02",
        }
    }

    /// The real set, on machines that have it.
    pub fn real() -> Option<Self> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/focus-2024-09");
        folder.is_dir().then_some(Self { folder, period: "2024-09" })
    }

    pub fn period(&self) -> &'static str {
        self.period
    }

    pub fn usage(&self) -> String {
        fs::read_to_string(self.folder.join("usage.csv")).unwrap()
    }

    /// A plan for each tenant, with a per-unit price for each meter that it used: a subscription at Stripe cannot hold
    /// them all. List prices are in dollars, a price here is in cents.
    pub fn catalog(&self) -> String {
        let prices = self.rows("prices.csv");
        let meter = |row: &BTreeMap<String, String>| {
            format!("[[meter]]\nkey = \"{}\"\naggregation = \"sum\"\n", row["meter"])
        };
        let usage = |row: &BTreeMap<String, String>| {
            format!(
                "[[plan.usage]]\nmeter = \"{}\"\nprice = {{ billing_scheme = \"per_unit\", unit_amount_decimal = \"{}\" }}\n",
                row["meter"],
                times_hundred(&row["list_unit_price_usd"])
            )
        };
        let used: BTreeSet<(String, String)> = self.expected().into_keys().collect();
        let plan = |tenant: &String| {
            let of_tenant =
                prices.iter().filter(|row| used.contains(&(tenant.clone(), row["meter"].clone())));
            let usages: String = of_tenant.map(usage).collect();
            format!("\n[[plan]]\nkey = \"cloud-{tenant}\"\ncurrency = \"usd\"\n{usages}")
        };
        let tenants: BTreeSet<&String> = used.iter().map(|(tenant, _)| tenant).collect();
        let meters: String = prices.iter().map(meter).collect();
        let plans: String = tenants.into_iter().map(plan).collect();
        format!("{meters}{plans}")
    }

    pub fn tenants(&self) -> String {
        let ids: BTreeSet<String> =
            self.rows("usage.csv").into_iter().map(|row| row["tenant_id"].clone()).collect();
        let start = format!("{}-01T00:00:00Z", self.period);
        let rows: String =
            ids.iter().map(|id| format!("{id},cloud-{id},usd,{start},cus_{id},sub_{id}\n")).collect();
        format!("tenant_id,plan,currency,started_at,stripe_customer_id,stripe_subscription_id\n{rows}")
    }

    /// What the month of a tenant on a meter is, by the two.
    pub fn expected(&self) -> BTreeMap<(String, String), Expected> {
        let prices: BTreeMap<String, String> = self
            .rows("prices.csv")
            .into_iter()
            .map(|row| (row["meter"].clone(), row["list_unit_price_usd"].clone()))
            .collect();
        let expected = |row: BTreeMap<String, String>| Expected {
            records: row["events"].parse().unwrap(),
            quantity: row["quantity"].clone(),
            list_price_usd: prices[&row["meter"]].clone(),
            list_cost_usd: row["list_cost_usd"].clone(),
        };
        let rows = self.rows("expected.csv").into_iter();
        rows.map(|row| ((row["tenant_id"].clone(), row["meter"].clone()), expected(row))).collect()
    }

    fn rows(&self, file: &str) -> Vec<BTreeMap<String, String>> {
        csv_rows(&fs::read(self.folder.join(file)).unwrap())
    }
}

/// Moves the decimal point two places to the right.
fn times_hundred(decimal: &str) -> String {
    let (whole, fraction) = decimal.split_once('.').unwrap_or((decimal, ""));
    let padded = format!("{fraction:0<2}");
    let (cents, rest) = padded.split_at(2);
    if rest.is_empty() { format!("{whole}{cents}") } else { format!("{whole}{cents}.{rest}") }
}
