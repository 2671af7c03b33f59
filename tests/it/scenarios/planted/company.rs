//! A company of which a seed has spoiled many tenants, each in one way, and what Stripe knows of it.
//!
//! In: a seed's random numbers, who sends. Out: the files to import, what the application sends, the account's seed. Quantities
//! are integers of thousandths, added up here and by none of the project's code.

use std::collections::BTreeMap;

use billrecon::sandbox::{Seed, SeedCustomer, SeedFormula, SeedMeter, SeedPrice, SeedSubscription};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};

use super::plant::{Plant, Sender};
use crate::simulation::company::{graduated, per_unit, price, subscription, thousandths};

pub const CATALOG: &str = r#"
[[meter]]
key = "calls"
aggregation = "sum"

[[plan]]
key = "pro"
currency = "usd"
  [[plan.usage]]
  meter = "calls"
  billing = "live"
  free_quota = 100
  shadow_price_id = "price_shadow"
  overage_price_id = "price_pro"
  price = { billing_scheme = "tiered", tiers_mode = "graduated", tiers = [
            { up_to = 100, unit_amount_decimal = "0" }, { up_to = "inf", unit_amount_decimal = "7" } ] }

[[plan]]
key = "team"
currency = "usd"
  [[plan.usage]]
  meter = "calls"
  billing = "live"
  shadow_price_id = "price_shadow"
  overage_price_id = "price_team"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "5" }
"#;

/// The same price, and at Stripe another one. Only where the application sends: else it is refused.
const ODD_PLAN: &str = r#"
[[plan]]
key = "odd"
currency = "usd"
  [[plan.usage]]
  meter = "calls"
  billing = "live"
  shadow_price_id = "price_shadow"
  overage_price_id = "price_odd"
  price = { billing_scheme = "per_unit", unit_amount_decimal = "5" }
"#;

/// The last look at the company.
pub const END: &str = "2026-11-05T12:00:00Z";
/// Windows of most tenants: their invoices are final by now.
const ANCHOR: &str = "2026-10-01T00:00:00Z";
/// Windows that are open, and one whose invoice is a draft.
const ANCHOR_OF_OPEN: &str = "2026-10-10T00:00:00Z";
const ANCHOR_OF_DRAFT: &str = "2026-10-05T11:10:00Z";
/// Records that each tenant has; some plants come with one more.
const REGULAR: usize = 3;
/// When a tenant changes its plan.
pub const CHANGE: &str = "2026-10-16T00:00:00Z";

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

struct Record {
    id: String,
    /// In thousandths of a unit.
    units: i64,
    at: Timestamp,
    /// When it comes to the ledger.
    imported: Timestamp,
    /// What it takes back.
    corrects: Option<String>,
}

/// What the application sends.
#[derive(Clone)]
pub struct Event {
    pub identifier: String,
    /// Decimal text.
    pub value: String,
    pub timestamp: Timestamp,
    pub sent: Timestamp,
}

pub struct Tenant {
    pub id: String,
    pub plant: Option<Plant>,
    records: Vec<Record>,
    events: Vec<Event>,
}

impl Tenant {
    fn new(number: usize, plant: Option<Plant>, sender: Sender, random: &mut Rng) -> Self {
        let mut one = Self { id: format!("t{number:04}"), plant, records: Vec::new(), events: Vec::new() };
        // What nothing arrives of is not sent on: these have no more to send then.
        let is_lost = matches!(plant, Some(Plant::DuplicateRejected | Plant::RejectedAsync));
        let days = if is_lost { [11, 12, 13] } else { [12, 18, 24] };
        for day in days {
            let start = at("2026-10-01T00:00:00Z") + SignedDuration::from_hours(24 * (day - 1));
            let used = start + SignedDuration::from_secs(random.i64(0..86_000));
            let batch = if day < 15 { "2026-10-14T23:00:00Z" } else { "2026-10-25T23:00:00Z" };
            one.use_at(used, at(batch), random);
        }
        one.spoil(random);
        if sender == Sender::Application {
            one.send(random);
        }
        one
    }

    fn use_at(&mut self, at: Timestamp, imported: Timestamp, random: &mut Rng) {
        let id = format!("{}-{}", self.id, self.records.len());
        self.records.push(Record { id, units: random.i64(40_000..90_000), at, imported, corrects: None });
    }

    /// What comes to the ledger besides.
    fn spoil(&mut self, random: &mut Rng) {
        let within = |from: &str, seconds: i64, random: &mut Rng| {
            at(from) + SignedDuration::from_secs(random.i64(0..seconds))
        };
        let late = at("2026-11-01T05:00:00Z");
        match self.plant {
            Some(Plant::PeriodBoundary) => {
                let edge = within("2026-10-31T22:00:00Z", 7_000, random);
                self.use_at(edge, at("2026-10-31T23:59:00Z"), random);
            }
            Some(Plant::LateUsage) => {
                let used = within("2026-10-28T00:00:00Z", 86_000, random);
                self.use_at(used, late, random);
            }
            Some(Plant::CorrectionAfterClose) => {
                let (corrects, units) = (self.records[0].id.clone(), -random.i64(1_000..40_000));
                let id = format!("{}-back", self.id);
                let corrects = Some(corrects);
                self.records.push(Record { id, units, at: self.records[0].at, imported: late, corrects });
            }
            Some(Plant::DraftStale) => {
                self.use_at(at("2026-11-05T11:05:00Z"), at("2026-11-05T11:20:00Z"), random);
            }
            Some(Plant::LatencyPending) => {
                self.use_at(at("2026-11-05T11:51:00Z"), at("2026-11-05T11:52:00Z"), random);
            }
            Some(Plant::NotPushed) => {
                self.use_at(at("2026-11-05T11:54:00Z"), at("2026-11-05T11:56:00Z"), random);
            }
            _ => {}
        }
    }

    /// What the application makes of it.
    fn send(&mut self, random: &mut Rng) {
        let chosen = random.usize(..REGULAR);
        for (number, record) in self.records.iter().enumerate() {
            let is_regular = number < REGULAR;
            let mut event = Event {
                identifier: record.id.clone(),
                value: thousandths(record.units),
                timestamp: record.at,
                sent: if is_regular { record.at } else { record.imported },
            };
            match self.plant {
                Some(Plant::NotPushed) => continue,
                Some(Plant::LateUsage | Plant::CorrectionAfterClose) if !is_regular => continue,
                // The wall clock of Istanbul, written as if it were UTC.
                Some(Plant::PeriodBoundary) if !is_regular => {
                    event.timestamp = record.at + SignedDuration::from_hours(3);
                    event.sent = event.timestamp;
                }
                Some(Plant::TimestampShift) if number == chosen => {
                    let second = SignedDuration::from_secs(random.i64(0..60_000));
                    event.timestamp = at("2026-11-04T03:00:00Z") + second;
                    event.sent = event.timestamp;
                }
                Some(Plant::AggregationMismatch) => event.value = thousandths_of_thousandths(record.units),
                Some(Plant::DuplicatePush) if number == chosen => {
                    self.events.push(Event { identifier: format!("{}-again", record.id), ..event.clone() });
                }
                _ => {}
            }
            self.events.push(event);
        }
    }

    pub fn customer(&self) -> String {
        format!("cus_{}", self.id)
    }

    /// What the ledger holds of it in the end, in thousandths.
    pub fn used(&self) -> i64 {
        self.records.iter().map(|record| record.units).sum()
    }

    fn anchor(&self) -> &'static str {
        match self.plant {
            Some(Plant::LatencyPending | Plant::NotPushed | Plant::DoubleMeter) => ANCHOR_OF_OPEN,
            Some(Plant::DraftStale) => ANCHOR_OF_DRAFT,
            _ => ANCHOR,
        }
    }

    fn rows(&self) -> String {
        let (id, anchor) = (&self.id, self.anchor());
        let row = |plan: &str, from: &str, until: &str| {
            format!("{id},{plan},usd,cus_{id},sub_{id},active,{anchor},{from},{until}\n")
        };
        match self.plant {
            Some(Plant::MidCycleChange) => row("pro", anchor, CHANGE) + &row("team", CHANGE, ""),
            Some(Plant::PricingDiff) => row("odd", anchor, ""),
            _ => row("pro", anchor, ""),
        }
    }

    fn at_stripe(&self) -> SeedSubscription {
        let prices: &[&str] = match self.plant {
            Some(Plant::PricingDiff) => &["price_odd"],
            Some(Plant::ExtraLines) => &["price_pro", "price_fee"],
            Some(Plant::DoubleMeter) => &["price_pro", "price_shadow"],
            _ => &["price_pro"],
        };
        let is_strange = self.plant == Some(Plant::Mapping);
        let customer = if is_strange { "cus_stranger".to_owned() } else { self.customer() };
        subscription(&self.id, customer, prices, at(self.anchor()))
    }
}

pub struct Company {
    pub sender: Sender,
    pub tenants: Vec<Tenant>,
}

impl Company {
    /// Two of three tenants are as they should be: a run looks at no more than 200 once more, and all that are spoiled are among
    /// these.
    pub fn new(tenants: usize, sender: Sender, random: &mut Rng) -> Self {
        let plants = Plant::of(sender);
        let tenant = |number| {
            let plant = (random.usize(..3) == 0).then(|| plants[random.usize(..plants.len())]);
            Tenant::new(number, plant, sender, random)
        };
        Self { sender, tenants: (0..tenants).map(tenant).collect() }
    }

    pub fn catalog(&self) -> String {
        if self.sender == Sender::Application { format!("{CATALOG}{ODD_PLAN}") } else { CATALOG.to_owned() }
    }

    pub fn tenants_csv(&self) -> String {
        let head = "tenant_id,plan,currency,stripe_customer_id,stripe_subscription_id,status,billing_anchor,started_at,ended_at\n";
        self.tenants.iter().map(Tenant::rows).fold(head.to_owned(), |all, rows| all + &rows)
    }

    /// What comes to the ledger from one instant to another, the second left out: a file for each time that something comes.
    pub fn imports(&self, from: Timestamp, until: Timestamp) -> BTreeMap<Timestamp, String> {
        let mut files = BTreeMap::new();
        for one in &self.tenants {
            for record in one.records.iter().filter(|one| from <= one.imported && one.imported < until) {
                let head = "tenant_id,meter,quantity,occurred_at,source_event_id,kind,corrects\n";
                let file = files.entry(record.imported).or_insert_with(|| head.to_owned());
                let corrects = record.corrects.as_ref().map(|id| format!("correction,{id}"));
                let corrects = corrects.unwrap_or_else(|| ",".to_owned());
                let (id, units, at) = (&record.id, thousandths(record.units), record.at);
                *file += &format!("{},calls,{units},{at},{id},{corrects}\n", one.id);
            }
        }
        files
    }

    /// What is sent meanwhile, and for which customer, in its order.
    pub fn events(&self, from: Timestamp, until: Timestamp) -> Vec<(String, Event)> {
        let of_tenant = |one: &Tenant| {
            let sent = one.events.iter().filter(|event| from <= event.sent && event.sent < until);
            sent.map(|event| (one.customer(), event.clone())).collect::<Vec<_>>()
        };
        let mut events: Vec<(String, Event)> = self.tenants.iter().flat_map(of_tenant).collect();
        events.sort_by_key(|(customer, event)| (event.sent, customer.clone()));
        events
    }

    pub fn at_stripe(&self) -> Seed {
        let ids = self.tenants.iter().map(Tenant::customer).chain(["cus_stranger".to_owned()]);
        Seed {
            meters: vec![SeedMeter {
                key: "calls".to_owned(),
                event_name: "calls".to_owned(),
                formula: SeedFormula::Sum,
            }],
            prices: prices(),
            customers: ids.map(|id| SeedCustomer { name: id.clone(), id }).collect(),
            subscriptions: self.tenants.iter().map(Tenant::at_stripe).collect(),
        }
    }
}

fn prices() -> Vec<SeedPrice> {
    vec![
        price("price_shadow", Some("calls"), per_unit("0")),
        price("price_pro", Some("calls"), graduated()),
        price("price_team", Some("calls"), per_unit("5")),
        price("price_odd", Some("calls"), per_unit("6")),
        price("price_fee", None, per_unit("9900")),
    ]
}

/// `12345` is `0.012345`: thousands of units, as somebody has sent them.
fn thousandths_of_thousandths(units: i64) -> String {
    format!("{}.{:06}", units / 1_000_000, units % 1_000_000)
}
