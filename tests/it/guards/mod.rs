//! What must hold before anything is sent, and what is set aside when it does not: from the outside.
//!
//! In: the real binary, and a sandbox in another process whose prices, meters and subscriptions are made over HTTP. Out:
//! exit codes, words, exceptions, and what Stripe holds. Each refusal stands beside the good case, which does push.

mod doctor;
mod findings;
mod mapping;
mod pin;
mod prices;

use std::fs;
use std::process::Command;

use jiff::Timestamp;
use serde_json::Value;

use crate::sandbox::{Served, id};
use crate::support::{Ended, Engine, Workspace, csv_rows};

const METER: &str = "b2b.match_request";
const EVENT: &str = "b2b_match_request";
const START: &str = "2026-10-01T00:00:00Z";
const OPEN: &str = "2026-10-20T10:00:00Z";
const FINAL: &str = "2026-11-01T01:30:00Z";
const KEY: &str = "sk_test_c4n4ry0f0ur0wn";

/// The job on a database of its own, and Stripe in another process.
struct Site {
    workspace: Workspace,
    stripe: Served,
    start: Timestamp,
    meter: String,
    base: String,
    /// Costs nothing.
    shadow: String,
    /// 100 units free, then 7.00 each.
    overage: String,
}

impl Site {
    fn new(engine: Engine) -> Self {
        Self::since(engine, START)
    }

    /// Stripe's time stands at `start` until it is moved.
    fn since(engine: Engine, start: &str) -> Self {
        let stripe = Served::at(tempfile::tempdir().unwrap(), start);
        let meter = meter(&stripe, EVENT, &[]);
        let base = price(&stripe, &[("unit_amount", "99900")]);
        let shadow = price(&stripe, &metered(&meter, &[("unit_amount", "0")]));
        let overage = price(&stripe, &metered(&meter, &free("100")));
        let (workspace, start) = (Workspace::new(engine), start.parse().unwrap());
        Self { workspace, stripe, start, meter, base, shadow, overage }
    }

    /// A new customer with a subscription to these prices since the start.
    fn subscribe(&self, prices: &[&str]) -> (String, String) {
        let customer = self.stripe.customer();
        let start = self.start.as_second().to_string();
        let subscription = self.stripe.subscribe(&customer, prices, &[("backdate_start_date", &start)]);
        (customer, id(&subscription))
    }

    /// The plan `pro` with the prices of this site.
    fn catalog(&self) -> String {
        catalog(EVENT, &format!("\"{}\"", self.shadow), &format!("\"{}\"", self.overage))
    }

    fn import(&self, what: &str, text: &str) {
        self.workspace.write(what, text);
        self.workspace.run(&["import", what, what]).expect(0);
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let url = format!("http://{}/", self.stripe.address);
        let mut command = self.workspace.command(arguments);
        command.env_remove("BILLRECON_STRIPE_SANDBOX");
        command.env("BILLRECON_STRIPE_API_BASE", url).env("BILLRECON_STRIPE_API_KEY", KEY);
        command
    }

    /// A run at an instant; Stripe's time goes there first.
    fn run(&self, as_of: &str) -> Ended {
        self.move_to(as_of);
        self.run_with(&["--as-of", as_of])
    }

    fn run_with(&self, flags: &[&str]) -> Ended {
        Ended::of(self.command(&[&["run", "--json"], flags].concat()).output().unwrap())
    }

    /// Stripe's time never goes back.
    fn move_to(&self, instant: &str) {
        let instant = instant.parse::<Timestamp>().unwrap().as_second();
        let known = self.stripe.get("/v1/test_helpers/test_clocks?limit=1").ok();
        if known["data"][0]["frozen_time"].as_i64().is_none_or(|now| now < instant) {
            let form = [("frozen_time", &*instant.to_string())];
            self.stripe.post("/v1/test_helpers/test_clocks", &form).ok();
        }
    }

    /// What the meter holds of a customer in the months around the test.
    fn total(&self, customer: &str) -> String {
        let day = |text: &str| text.parse::<Timestamp>().unwrap().as_second();
        let (start, end) = (day("2026-09-01T00:00:00Z"), day("2036-01-01T00:00:00Z"));
        let path = format!(
            "/v1/billing/meters/{}/event_summaries?customer={customer}&start_time={start}&end_time={end}",
            self.meter
        );
        self.stripe.get(&path).ok()["data"][0]["aggregated_value"].to_string()
    }

    /// All that was ever changed at Stripe, by whomever.
    fn journal(&self) -> Vec<u8> {
        fs::read(self.stripe.state()).unwrap()
    }
}

/// `more` says what is special about it.
fn meter(stripe: &Served, event_name: &str, more: &[(&str, &str)]) -> String {
    let formula = ("default_aggregation[formula]", "sum");
    let formula = (!more.iter().any(|(name, _)| *name == formula.0)).then_some(formula);
    let common = [("display_name", event_name), ("event_name", event_name)];
    let form: Vec<_> = common.into_iter().chain(formula).chain(more.iter().copied()).collect();
    id(&stripe.post("/v1/billing/meters", &form).ok())
}

/// A monthly price in TRY, unless the form says otherwise.
fn price(stripe: &Served, form: &[(&str, &str)]) -> String {
    let usual = [("currency", "try"), ("recurring[interval]", "month"), ("product_data[name]", "Requests")];
    let usual = usual.into_iter().filter(|(name, _)| !form.iter().any(|(given, _)| given == name));
    let form: Vec<_> = usual.chain(form.iter().copied()).collect();
    id(&stripe.post("/v1/prices", &form).ok())
}

fn metered<'a>(meter: &'a str, form: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&[("recurring[usage_type]", "metered"), ("recurring[meter]", meter)], form].concat()
}

/// So many units at 0, each above them at 7.00.
fn free(units: &str) -> [(&str, &str); 6] {
    [
        ("billing_scheme", "tiered"),
        ("tiers_mode", "graduated"),
        ("tiers[0][up_to]", units),
        ("tiers[0][unit_amount_decimal]", "0"),
        ("tiers[1][up_to]", "inf"),
        ("tiers[1][unit_amount_decimal]", "700"),
    ]
}

/// The prices are TOML values, such as `"price_1"`.
fn catalog(event_name: &str, shadow: &str, overage: &str) -> String {
    format!(
        r#"
[[meter]]
key = "{METER}"
aggregation = "sum"
event_name = "{event_name}"

[[plan]]
key = "pro"
currency = "try"
interval = "month"
amount = 99900
  [[plan.usage]]
  meter = "{METER}"
  push = "all"
  free_quota = 100
  shadow_price_id = {shadow}
  overage_price_id = {overage}
  price = {{ billing_scheme = "tiered", tiers_mode = "graduated", tiers = [
            {{ up_to = 100, unit_amount_decimal = "0" }}, {{ up_to = "inf", unit_amount_decimal = "700" }} ] }}
"#
    )
}

const COLUMNS: &str =
    "tenant_id,name,plan,currency,stripe_customer_id,stripe_subscription_id,status,started_at,ended_at\n";

/// A tenant since October began.
fn tenant(tenant_id: &str, customer: &str, subscription: &str) -> String {
    format!("{tenant_id},Name of {tenant_id},pro,try,{customer},{subscription},active,{START},\n")
}

/// Records of `tenant_id quantity`, all on 5 October; the source event id is made of both.
fn usage(records: &[(&str, &str)]) -> String {
    let row = |(tenant, quantity): &(&str, &str)| {
        format!("{tenant},{METER},{quantity},2026-10-05T00:00:00Z,{tenant}-{quantity}\n")
    };
    let head = "tenant_id,meter,quantity,occurred_at,source_event_id\n".to_owned();
    records.iter().map(row).fold(head, |all, row| all + &row)
}

/// The outcome of a period among those that a run printed.
#[track_caller]
fn outcome(ended: &Ended, period: &str) -> Value {
    let outcomes = ended.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let of_period: Vec<Value> = outcomes.filter(|one| one["period"] == period).collect();
    let [one] = &of_period[..] else { panic!("{period}: {}\n{}", ended.stdout, ended.stderr) };
    one.clone()
}

/// These columns of a table of an outcome's files, with spaces between.
#[track_caller]
fn table<const N: usize>(site: &Site, outcome: &Value, name: &str, columns: [&str; N]) -> Vec<String> {
    let folder = outcome["reports_dir"].as_str().unwrap_or_else(|| panic!("no files: {outcome}"));
    let file = site.workspace.folder.path().join(folder).join(format!("{name}.csv"));
    let rows = csv_rows(&fs::read(file).unwrap());
    rows.iter().map(|row| columns.map(|column| &*row[column]).join(" ")).collect()
}
