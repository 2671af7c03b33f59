//! What the sandbox knows: one record per object of the account, and the facts that a journal line holds.
//!
//! In and out: plain data, decimals as their text, instants as Unix seconds. A record never changes behind the journal's
//! back: a change is the whole record written again.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::manners::DropCode;
use super::terms::{Extra, Terms};

pub type Metadata = BTreeMap<String, String>;

/// One line of the journal: what a request changed, and the answer to be repeated for its idempotency key.
#[derive(Debug, Serialize, Deserialize)]
pub struct Entry {
    pub at: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facts: Vec<Fact>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<StoredAnswer>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct StoredAnswer {
    pub key: String,
    /// A hash of method, path and parameters.
    pub request: String,
    /// As text: there is one for every event of the last 24 hours, and hardly any is asked for again.
    pub body: Box<RawValue>,
    #[serde(default = "done", skip_serializing_if = "is_done")]
    pub status: u16,
}

const fn done() -> u16 {
    200
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the shape that serde wants")]
fn is_done(status: &u16) -> bool {
    *status == done()
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    Customer(Customer),
    Product(Product),
    Price(Price),
    Meter(Meter),
    Event(Event),
    Subscription(Subscription),
    Clock(TestClock),
    Extra(Extra),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Customer {
    pub id: String,
    pub created: i64,
    pub name: Option<String>,
    pub email: Option<String>,
    pub description: Option<String>,
    pub phone: Option<String>,
    pub test_clock: Option<String>,
    pub metadata: Metadata,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub deleted: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    pub id: String,
    pub created: i64,
    pub name: String,
    pub active: bool,
    pub description: Option<String>,
    pub unit_label: Option<String>,
    pub metadata: Metadata,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    pub id: String,
    pub created: i64,
    pub product: String,
    pub active: bool,
    pub currency: String,
    pub nickname: Option<String>,
    pub lookup_key: Option<String>,
    pub tax_behavior: String,
    /// `None`: paid once.
    pub recurring: Option<Recurring>,
    pub scheme: Scheme,
    pub metadata: Metadata,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recurring {
    pub cycle: Cycle,
    /// `None`: licensed, paid in advance; else the meter whose usage is billed afterwards.
    pub meter: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cycle {
    pub interval: Interval,
    pub count: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    Day,
    Week,
    Month,
    Year,
}

impl Interval {
    pub const NAMES: [&str; 4] = ["day", "week", "month", "year"];

    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "day" => Some(Self::Day),
            "week" => Some(Self::Week),
            "month" => Some(Self::Month),
            "year" => Some(Self::Year),
            _ => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scheme {
    PerUnit { unit: String, transform: Option<Transform> },
    Graduated(Vec<Tier>),
    Volume(Vec<Tier>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transform {
    pub divide_by: i64,
    pub round: Round,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Round {
    Up,
    Down,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tier {
    /// Inclusive; `None` is infinity.
    pub up_to: Option<String>,
    pub unit: Option<String>,
    pub flat: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meter {
    pub id: String,
    pub created: i64,
    pub updated: i64,
    pub display_name: String,
    pub event_name: String,
    pub formula: Formula,
    /// Pre-aggregation: a newer event of the same bucket replaces the older one.
    pub event_time_window: Option<Bucket>,
    pub customer_key: String,
    pub value_key: String,
    pub deactivated_at: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Formula {
    Sum,
    Count,
    Last,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bucket {
    Hour,
    Day,
}

impl Bucket {
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    pub name: String,
    pub identifier: String,
    pub payload: Metadata,
    pub timestamp: i64,
    /// When it came in, by the sandbox's clock.
    pub received: i64,
    /// What it counts for; nothing where the meter or the customer was unknown when it came in.
    pub counts: Option<Counts>,
    /// Why it counts for nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<DropCode>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Counts {
    pub meter: String,
    pub customer: String,
    pub value: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    pub id: String,
    pub customer: String,
    pub currency: String,
    pub created: i64,
    pub start: i64,
    pub trial_end: Option<i64>,
    /// How windows are laid out from which instant on; never empty, sorted.
    pub phases: Vec<Phase>,
    /// Windows that were given one by one; where there is none, the phases decide.
    pub windows: Vec<Window>,
    pub items: Vec<Item>,
    #[serde(default, skip_serializing_if = "Terms::is_empty")]
    pub terms: Terms,
    pub status: Status,
    /// What it was before, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub past_statuses: Vec<PastStatus>,
    /// When it ends or ended.
    pub ends_at: Option<i64>,
    pub cancel_requested_at: Option<i64>,
    pub cancel_at_period_end: bool,
    /// Its customer was deleted: nothing bills what was used last.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ends_unbilled: bool,
    /// Windows that ended until then have no renewal invoice.
    pub invoiced_from: i64,
    pub flexible: bool,
    pub collection_method: String,
    pub days_until_due: Option<i64>,
    pub description: Option<String>,
    pub metadata: Metadata,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastStatus {
    pub status: Status,
    pub until: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    pub from: i64,
    pub anchor: i64,
    pub cycle: Cycle,
}

/// Half-open `[start, end)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    pub start: i64,
    pub end: i64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    pub id: String,
    pub price: String,
    /// `None` for metered prices.
    pub quantity: Option<i64>,
    pub added: i64,
    pub removed: Option<i64>,
    pub metadata: Metadata,
}

impl Item {
    /// Whether a window that ends then bills it.
    pub fn is_billed_at(&self, end: i64) -> bool {
        self.added < end && self.removed.is_none_or(|removed| removed >= end)
    }

    pub fn is_live_at(&self, instant: i64) -> bool {
        self.added <= instant && self.removed.is_none_or(|removed| removed > instant)
    }
}

/// Stripe's status, but for what the clock decides: `trialing` and `canceled` are read off the instants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Active,
    Trialing,
    PastDue,
    Unpaid,
    Paused,
    Canceled,
    Incomplete,
    IncompleteExpired,
}

impl Status {
    pub const ALL: [(Self, &str); 8] = [
        (Self::Active, "active"),
        (Self::Trialing, "trialing"),
        (Self::PastDue, "past_due"),
        (Self::Unpaid, "unpaid"),
        (Self::Paused, "paused"),
        (Self::Canceled, "canceled"),
        (Self::Incomplete, "incomplete"),
        (Self::IncompleteExpired, "incomplete_expired"),
    ];

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, name)| *name == text).map(|(status, _)| *status)
    }

    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(status, _)| *status == self).map_or("active", |(_, name)| name)
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TestClock {
    pub id: String,
    pub created: i64,
    pub frozen_time: i64,
    pub name: Option<String>,
}
