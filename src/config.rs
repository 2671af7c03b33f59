//! Configuration: flags > environment > `billrecon.toml` > defaults. The only reader of the environment.
//!
//! In: the global flags, and these variables: `BILLRECON_DATABASE_URL`, `BILLRECON_REPORTS`, `BILLRECON_STRIPE_API_KEY`,
//! `BILLRECON_STRIPE_API_BASE`, `BILLRECON_STRIPE_SANDBOX`, `BILLRECON_SLACK_WEBHOOK_URL`, `BILLRECON_SLACK_BOT_TOKEN`, `BILLRECON_LEDGER_URL`, `NO_COLOR`, `USER`. The
//! database URL, the URL of an own ledger, the key, the webhook and the token can stand in a file, which `NAME_FILE` names. Out: one checked [`Config`]. An unknown key is
//! refused; an error names the key and where it stands. Never prints a database URL, a key or a webhook.

mod address;
mod bounds;
mod layers;
mod ledger;
mod policy;
mod slack;
mod stripe;
mod tolerance;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use croner::Cron;
use figment::Figment;
use figment::providers::Serialized;
use figment::value::{Dict, Value};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

pub use crate::config::ledger::LedgerConfig;
pub use crate::config::policy::PolicyText;
pub use crate::config::slack::{BotConfig, SlackConfig, webhook as slack_webhook};
pub use crate::config::stripe::StripeConfig;

use crate::cli::GlobalFlags;
use crate::config::layers::{ConfigFile, ENVIRONMENT, FLAGS, Layer, wrong_value};
use crate::config::ledger::RawLedger;
use crate::config::slack::RawSlack;
use crate::config::stripe::{API_KEY, RawStripe};
use crate::domain::audit::sha256_hex;
use crate::domain::bounds::Bounds;
use crate::domain::intent::PushMode;
use crate::domain::period::{Period, parse_zone};
use crate::domain::reconcile::Tolerances;

/// Keys that a variable sets.
const VARIABLES: [(&str, &str); 4] = [
    ("database", "BILLRECON_DATABASE_URL"),
    ("reports", "BILLRECON_REPORTS"),
    ("stripe.api_base", "BILLRECON_STRIPE_API_BASE"),
    ("stripe.sandbox", "BILLRECON_STRIPE_SANDBOX"),
];

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{file} cannot be read: {cause}")]
    Unreadable { file: String, cause: std::io::Error },
    #[error("{file}: {problem}")]
    Toml { file: String, problem: String },
    #[error("{origin}: {key} {problem}")]
    Key { origin: String, key: String, problem: String },
}

/// What every command needs to know.
#[derive(Clone)]
pub struct Config {
    pub database_url: String,
    /// `None`: usage is imported.
    pub ledger: Option<LedgerConfig>,
    /// Relative paths start here: the config file's folder, else the current one.
    pub base: PathBuf,
    pub reports: PathBuf,
    pub log: String,
    pub time_zone: TimeZone,
    pub time_zone_name: String,
    pub first_period: Option<Period>,
    pub late_usage_periods: usize,
    pub settle_delay: SignedDuration,
    pub lease_ttl: Duration,
    pub stripe: StripeConfig,
    /// `None`: the policy that is built in.
    pub policy: Option<PolicyText>,
    pub bounds: Bounds,
    /// `None`: the account decides.
    pub push_mode: Option<PushMode>,
    /// While this file is there nothing is pushed.
    pub off_switch: PathBuf,
    pub tolerances: Tolerances,
    pub slack: SlackConfig,
    /// Whether the one who ran may approve too.
    pub runner_may_approve: bool,
    /// A cron expression that can be read; whether it ever rings is for `serve` to say.
    pub schedule: String,
}

impl fmt::Debug for Config {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Config").field("reports", &self.reports).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct Raw {
    database: String,
    reports: String,
    log: String,
    time_zone: String,
    first_period: Option<String>,
    late_usage_periods: u16,
    settle_delay: String,
    policy: Option<String>,
    lease: RawLease,
    ledger: Option<RawLedger>,
    #[serde(default)]
    stripe: RawStripe,
    #[serde(default)]
    push: RawPush,
    #[serde(default)]
    approval: RawApproval,
    #[serde(default)]
    slack: RawSlack,
    serve: RawServe,
    #[serde(default)]
    tolerance: Dict,
    #[serde(default)]
    bounds: Dict,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct RawLease {
    ttl: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct RawPush {
    mode: Option<String>,
    off_switch: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct RawApproval {
    runner_may_approve: Option<bool>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct RawServe {
    schedule: String,
}

/// A secret, and where it was found.
struct Secret {
    text: SecretString,
    origin: String,
    name: String,
}

impl Config {
    pub fn load(flags: &GlobalFlags) -> Result<Self, ConfigError> {
        let file = ConfigFile::find(flags.config.as_deref())?;
        let base = file.as_ref().map(|file| file.folder.clone()).unwrap_or_default();
        let mut figment = Figment::from(Serialized::defaults(defaults()));
        if let Some(file) = file {
            figment = figment.merge(file);
        }
        let figment = figment.merge(environment()?).merge(given(flags));
        let raw: Raw = figment.extract().map_err(|error| wrong_value(&error))?;
        let origin =
            |key: &str| figment.find_metadata(key).map(|found| found.name.to_string()).unwrap_or_default();
        raw.check(&base, &origin)
    }

    /// A hash of the settings that figures depend on.
    pub fn rules_hash(&self) -> String {
        let first = self.first_period.map(|period| period.to_string()).unwrap_or_default();
        let push = self.push_mode.map(PushMode::as_str).unwrap_or_default();
        let (zone, delay, bounds) = (&self.time_zone_name, self.settle_delay, &self.bounds);
        let mut rules = format!("{zone}\n{first}\n{delay}\n{push}\n{bounds}");
        if !self.tolerances.is_none() {
            rules += &format!("\n{}", self.tolerances);
        }
        if let Some(ledger) = &self.ledger {
            rules += &format!("\n{}", ledger.rules());
        }
        if let Some(policy) = &self.policy {
            rules += &format!("\n{}", policy.text);
        }
        sha256_hex(rules.as_bytes())
    }
}

fn defaults() -> Dict {
    let text = |text: &str| Value::from(text);
    let table = |key: &str, value: &str| Value::from(Dict::from([(key.to_owned(), text(value))]));
    [
        ("database".to_owned(), text("sqlite://billrecon.db")),
        ("reports".to_owned(), text("reports")),
        ("log".to_owned(), text("info")),
        ("time_zone".to_owned(), text("UTC")),
        ("late_usage_periods".to_owned(), Value::from(12)),
        ("settle_delay".to_owned(), text("2h")),
        ("lease".to_owned(), table("ttl", "60s")),
        ("serve".to_owned(), table("schedule", "5 * * * *")),
    ]
    .into()
}

impl Raw {
    fn check(self, base: &Path, origin: &dyn Fn(&str) -> String) -> Result<Config, ConfigError> {
        let wrong = |key: &str, problem: &str| {
            let origin = origin(key);
            let variable = VARIABLES.iter().find(|(set, _)| *set == key && origin == ENVIRONMENT);
            let key = variable.map_or(key, |(_, name)| name).to_owned();
            ConfigError::Key { origin, key, problem: problem.to_owned() }
        };
        // A path on the command line or in the environment is meant from where the person stands.
        let base_of = |key: &str| match origin(key).as_str() {
            FLAGS | ENVIRONMENT => Path::new(""),
            _ => base,
        };
        let not_a_zone = |_| wrong("time_zone", "is no IANA time zone, such as Europe/Istanbul");
        let time_zone = parse_zone(&self.time_zone).map_err(not_a_zone)?;
        let first_period = self.first_period.as_deref().map(Period::parse).transpose();
        let first_period = first_period.map_err(|_| wrong("first_period", "is no month, such as 2026-10"))?;
        let not_a_duration = |key| wrong(key, "is no duration, such as 90s, 5m or 2h");
        let settle_delay = duration(&self.settle_delay).ok_or_else(|| not_a_duration("settle_delay"))?;
        let lease_ttl = duration(&self.lease.ttl).and_then(|ttl| Duration::try_from(ttl).ok());
        let lease_ttl = lease_ttl.ok_or_else(|| not_a_duration("lease.ttl"))?;
        if lease_ttl < LEASE_TTL_MIN {
            return Err(wrong("lease.ttl", "must be at least 1s"));
        }
        let push_mode = self.push.mode.as_deref().map(|mode| {
            PushMode::parse(mode).ok_or_else(|| wrong("push.mode", "is neither observe nor push"))
        });
        if self.serve.schedule.parse::<Cron>().is_err() {
            return Err(wrong("serve.schedule", "is no cron expression, such as 5 * * * *"));
        }
        let api_key = api_key(self.stripe.api_key_file.as_deref(), base, origin)?;
        Ok(Config {
            base: base_of("database").to_owned(),
            reports: base_of("reports").join(self.reports),
            database_url: self.database,
            ledger: ledger::check(self.ledger, &wrong)?,
            log: self.log,
            time_zone,
            time_zone_name: self.time_zone,
            first_period,
            late_usage_periods: self.late_usage_periods.into(),
            settle_delay,
            lease_ttl,
            stripe: self.stripe.check(api_key, base, &wrong)?,
            policy: self.policy.map(|file| PolicyText::read(&base.join(file))).transpose()?,
            bounds: bounds::check(&self.bounds, &wrong)?,
            push_mode: push_mode.transpose()?,
            off_switch: base.join(self.push.off_switch.as_deref().unwrap_or(OFF_SWITCH)),
            tolerances: tolerance::check(&self.tolerance, &wrong)?,
            slack: self.slack.check(&wrong)?,
            runner_may_approve: self.approval.runner_may_approve.unwrap_or(true),
            schedule: self.serve.schedule,
        })
    }
}

/// `touch` it, and nothing more is sent.
const OFF_SWITCH: &str = "billrecon.off";

/// A shorter lease could expire between two heartbeats of a busy machine.
const LEASE_TTL_MIN: Duration = Duration::from_secs(1);

fn duration(text: &str) -> Option<SignedDuration> {
    text.parse().ok().filter(|duration: &SignedDuration| !duration.is_negative())
}

fn given(flags: &GlobalFlags) -> Layer {
    let given = [("database", &flags.database), ("reports", &flags.reports), ("log", &flags.log)];
    Layer::new(FLAGS, given.into_iter().filter_map(|(key, text)| Some((key, Value::from(text.as_deref()?)))))
}

fn environment() -> Result<Layer, ConfigError> {
    let mut values = Vec::new();
    for (key, name) in VARIABLES {
        let text = match variable(name)? {
            None if key == "database" => file_variable(name)?,
            text => text,
        };
        let Some(text) = text else { continue };
        let value = match (key, text.as_str()) {
            ("stripe.sandbox", "1" | "true") => Value::from(true),
            ("stripe.sandbox", "0" | "false") => Value::from(false),
            ("stripe.sandbox", _) => return Err(wrong_variable(name, "is neither 1, true, 0 nor false")),
            _ => Value::from(text),
        };
        values.push((key, value));
    }
    Ok(Layer::new(ENVIRONMENT, values))
}

/// From the environment, else from the file that the config file names.
fn api_key(
    file: Option<&str>,
    base: &Path,
    origin: &dyn Fn(&str) -> String,
) -> Result<Option<Secret>, ConfigError> {
    const KEY: &str = "stripe.api_key_file";
    if let Some(secret) = secret(API_KEY)? {
        return Ok(Some(secret));
    }
    let Some(file) = file else { return Ok(None) };
    let origin = origin(KEY);
    let text = read_secret(&base.join(file), &format!("{origin}: the file that {KEY} names"))?;
    Ok(Some(Secret { text, origin, name: format!("the file that {KEY} names") }))
}

/// A secret from the variable or from the file that `NAME_FILE` names; from both it would be a guess.
fn secret(name: &'static str) -> Result<Option<Secret>, ConfigError> {
    let origin = ENVIRONMENT.to_owned();
    let file_name = format!("{name}_FILE");
    match (variable(name)?, variable(&file_name)?) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            Err(wrong_variable(name, &format!("and {file_name} are both set; take one away")))
        }
        (Some(text), None) => Ok(Some(Secret { text: text.into(), origin, name: name.to_owned() })),
        (None, Some(path)) => {
            let what = format!("the file that {file_name} names");
            Ok(Some(Secret { text: read_secret(Path::new(&path), &what)?, origin, name: what }))
        }
    }
}

/// `what` stands for the path, which is never shown: somebody may have put the secret itself there.
fn read_secret(path: &Path, what: &str) -> Result<SecretString, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|cause| ConfigError::Unreadable { file: what.to_owned(), cause })?;
    Ok(text.trim().into())
}

/// The content of the file that `NAME_FILE` names.
fn file_variable(name: &str) -> Result<Option<String>, ConfigError> {
    let file_name = format!("{name}_FILE");
    let Some(path) = variable(&file_name)? else { return Ok(None) };
    let text = read_secret(Path::new(&path), &format!("the file that {file_name} names"))?;
    Ok(Some(text.expose_secret().to_owned()))
}

/// A variable; an empty one counts as not set.
fn variable(name: &str) -> Result<Option<String>, ConfigError> {
    match std::env::var_os(name).filter(|text| !text.is_empty()).map(std::ffi::OsString::into_string) {
        None => Ok(None),
        Some(Ok(text)) => Ok(Some(text)),
        Some(Err(_)) => Err(wrong_variable(name, "is no UTF-8 text")),
    }
}

fn wrong_variable(name: &str, problem: &str) -> ConfigError {
    ConfigError::Key { origin: ENVIRONMENT.to_owned(), key: name.to_owned(), problem: problem.to_owned() }
}

/// The person at the machine, as far as it says so: who has said something where nobody is named.
pub fn user_name() -> String {
    let named = ["USER", "LOGNAME"].into_iter().filter_map(std::env::var_os);
    let mut named = named.filter_map(|name| name.into_string().ok());
    named.find(|name| !name.trim().is_empty()).unwrap_or_else(|| "unknown".to_owned())
}

/// Whether the person asked for no colour: no-color.org.
pub fn no_color() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|text| !text.is_empty())
}
