//! Manners: how an account misbehaves, so that a client can be tried against Stripe's worst days.
//!
//! In: a TOML file, or values made in code. Out: values that the rest of the sandbox asks. The default is no misbehaviour
//! at all, and a key that nobody knows is refused. Never a random source and never the wall clock: what happens follows
//! from the script, its seed, and what is asked.

use std::collections::BTreeMap;
use std::fs;
use std::num::NonZeroU64;
use std::path::Path;

use serde::{Deserialize, Serialize};

pub use super::endpoint::Endpoint;
use super::error::SandboxError;
use super::ids;
use super::routes::Method;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Manners {
    /// Another seed strikes other requests and events.
    pub seed: u64,
    /// What keys that begin with `rk_` may not do.
    pub missing_permissions: Vec<Permission>,
    pub totals: Totals,
    pub drafts: Drafts,
    pub answers: Answers,
    pub lists: Lists,
    pub limits: Limits,
    #[serde(rename = "drop")]
    pub drops: Vec<DropRule>,
    #[serde(rename = "fault")]
    pub faults: Vec<Fault>,
}

/// When previews, summaries and drafts show an event, by the sandbox's clock. What is finalized always has all.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Totals {
    pub late_by_seconds: u32,
    /// On top of it, for each event another number of seconds up to this one.
    pub late_up_to_seconds: u32,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Drafts {
    /// How long a renewal invoice is a draft; Stripe's account settings allow an hour to three days.
    pub seconds: u32,
    /// A draft shows what was known when it was made, until it is finalized.
    pub stale: bool,
}

impl Default for Drafts {
    fn default() -> Self {
        Self { seconds: 3_600, stale: false }
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answers {
    pub shape: Shape,
    pub numbers: Numbers,
    /// Every object has a field that nobody knows, and harmless words are ones that nobody has heard of.
    pub unheard_of: bool,
}

/// The API version whose shapes an account answers in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// 2025-02-24: the subscription on the invoice, price and plan on the line, the period on the subscription.
    Acacia,
    /// 2025-03-31: as today, but without `quantity_decimal`.
    Basil,
    #[default]
    Endive,
}

/// How quantities and amounts of lines, and totals of meters, are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Numbers {
    #[default]
    Plain,
    /// `130.0`
    Float,
    /// `1.3e2`
    Exponent,
    /// `"130"`
    Text,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Lists {
    /// A page begins with the last object of the page before, unless it holds only one.
    pub overlap: bool,
    /// How many lines stand on an invoice or a preview itself.
    pub lines_shown: usize,
    /// A preview's further lines cannot be had: 404.
    pub previews_unpaged: bool,
}

impl Default for Lists {
    fn default() -> Self {
        Self { overlap: false, lines_shown: 10, previews_unpaged: false }
    }
}

/// Real limits, by real time; only a socket has them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    pub latency_ms: u32,
    /// Of all requests together; more are 429.
    pub per_second: Option<NonZeroU64>,
    /// Of each endpoint.
    pub per_second_each: Option<NonZeroU64>,
    /// Of one endpoint, in place of `per_second_each`.
    pub per_second_of: BTreeMap<Endpoint, NonZeroU64>,
}

/// Events that are accepted and never counted; an error report tells of them.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DropRule {
    /// Missing: of every customer.
    pub customer: Option<String>,
    /// Missing: every event. The identifier decides, so it strikes the same event whenever it comes.
    pub one_in: Option<NonZeroU64>,
    pub code: DropCode,
}

/// Stripe's codes for what it finds out later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DropCode {
    ArchivedMeter,
    MeterEventCustomerNotFound,
    MeterEventDimensionCountTooHigh,
    #[default]
    MeterEventInvalidValue,
    MeterEventNoCustomerDefined,
    MeterEventValueTooManyDigits,
    MissingDimensionPayloadKeys,
    NoMeter,
    TimestampInFuture,
    TimestampTooFarInPast,
}

/// What goes wrong with a request, and with which.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    pub what: What,
    /// Missing: all but `test_clocks`.
    pub endpoint: Option<Endpoint>,
    /// Missing: of every customer, and of none.
    pub customer: Option<String>,
    /// Each Nth of the requests that it is for.
    pub every: Option<NonZeroU64>,
    /// By the seed. Each endpoint and customer is counted alone, so the order among them does not matter.
    pub one_in: Option<NonZeroU64>,
    /// So many are spared first.
    #[serde(default)]
    pub skip: u64,
    /// After so many it is over.
    pub times: Option<u64>,
    /// With `rate_limited`: seconds.
    pub retry_after: Option<u64>,
    /// With `rate_limited`.
    pub reason: Option<Reason>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    RateLimited,
    LockTimeout,
    /// A 500 that is kept under the request's key like an answer, and repeated.
    ErrorBefore,
    ErrorAfter,
    /// A page of HTML, of which nothing is kept.
    BadGateway,
    Unavailable,
    HangBefore,
    HangAfter,
    ResetBefore,
    ResetAfter,
    /// It is done, and the connection ends in the middle of the answer.
    Cut,
    /// It is done, and the answer is no JSON.
    Garbled,
    /// The key was rolled.
    Unauthorized,
    /// The key may not do this.
    Forbidden,
}

/// Why a request is too many, in Stripe's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    GlobalRate,
    GlobalConcurrency,
    #[default]
    EndpointRate,
    EndpointConcurrency,
    ResourceSpecific,
}

impl Reason {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GlobalRate => "global-rate",
            Self::GlobalConcurrency => "global-concurrency",
            Self::EndpointRate => "endpoint-rate",
            Self::EndpointConcurrency => "endpoint-concurrency",
            Self::ResourceSpecific => "resource-specific",
        }
    }
}

/// Such as `meter_events:write`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Permission {
    pub endpoint: Endpoint,
    pub writes: bool,
}

impl TryFrom<String> for Permission {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (word, right) = text.split_once(':').unwrap_or((&text, ""));
        let writes = match right {
            "read" => Some(false),
            "write" => Some(true),
            _ => None,
        };
        Endpoint::parse(word).zip(writes).map(|(endpoint, writes)| Self { endpoint, writes }).ok_or_else(
            || {
                format!(
                    "`{text}` is no permission: write an endpoint and a right, such as meter_events:write"
                )
            },
        )
    }
}

impl Fault {
    /// One that strikes every request.
    pub fn new(what: What) -> Self {
        Self {
            what,
            endpoint: None,
            customer: None,
            every: None,
            one_in: None,
            skip: 0,
            times: None,
            retry_after: None,
            reason: None,
        }
    }
}

impl Manners {
    pub fn read(path: &Path) -> Result<Self, SandboxError> {
        let wrong = |problem: String| SandboxError::Manners { path: path.to_owned(), problem };
        let text = fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let manners = toml::from_str::<Self>(&text).map_err(|error| wrong(error.to_string()))?;
        let is_idle = |fault: &&Fault| {
            fault.what != What::RateLimited && (fault.retry_after.is_some() || fault.reason.is_some())
        };
        match manners.faults.iter().find(is_idle) {
            Some(fault) => {
                let what = fault.what;
                Err(wrong(format!("`retry_after` and `reason` belong to `rate_limited`, not to {what:?}")))
            }
            None => Ok(manners),
        }
    }

    pub fn forbids(&self, endpoint: Endpoint, method: Method) -> bool {
        let lacks = |one: &Permission| one.endpoint == endpoint && one.writes == (method != Method::Get);
        self.missing_permissions.iter().any(lacks)
    }

    /// How many seconds after it came an event is shown.
    pub fn lateness(&self, identifier: &str) -> i64 {
        let more = match self.totals.late_up_to_seconds {
            0 => 0,
            most => self.draw(&format!("late {identifier}")) % (u64::from(most) + 1),
        };
        i64::from(self.totals.late_by_seconds).saturating_add_unsigned(more)
    }

    /// Why an event is not counted although it was accepted.
    pub fn dropped(&self, customer: &str, identifier: &str) -> Option<DropCode> {
        let strikes = |(place, one): &(usize, &DropRule)| {
            let is_drawn = |one_in| self.strikes(one_in, &format!("drop {place} {identifier}"));
            one.customer.as_deref().is_none_or(|wanted| wanted == customer) && one.one_in.is_none_or(is_drawn)
        };
        self.drops.iter().enumerate().find(strikes).map(|(_, one)| one.code)
    }

    pub fn strikes(&self, one_in: NonZeroU64, lot: &str) -> bool {
        self.draw(lot).is_multiple_of(one_in.get())
    }

    fn draw(&self, lot: &str) -> u64 {
        // Sixteen hexadecimal digits are 64 bits.
        u64::from_str_radix(&ids::tag(&format!("{} {lot}", self.seed)), 16).unwrap_or_default()
    }
}
