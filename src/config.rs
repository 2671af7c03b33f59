//! Configuration: flags > environment > `billrecon.toml` > defaults.
//!
//! In: the global flags, the file, and what [`environment`] reads; [`keys`] lists all settings. Out: one checked [`Config`]. An unknown key is
//! refused; an error names the key and where it stands. Never prints a database URL, a key or a webhook.

mod address;
mod bounds;
mod environment;
mod example;
mod keys;
mod layers;
mod ledger;
mod log;
mod policy;
mod serve;
mod show;
mod signals;
mod slack;
mod stripe;
mod tolerance;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::Figment;
use figment::value::{Dict, Value};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use serde::Deserialize;

pub use crate::config::environment::{nearest_variable, no_color, unknown_variables, user_name, zone_files};
pub use crate::config::example::example;
pub use crate::config::keys::{KEYS, Key, SECRETS};
pub use crate::config::ledger::LedgerConfig;
pub use crate::config::log::{LogConfig, LogFormat};
pub use crate::config::policy::PolicyText;
pub use crate::config::serve::ServeConfig;
pub use crate::config::show::{SecretShown, Shown, shown};
pub use crate::config::signals::SignalsConfig;
pub use crate::config::slack::{BotConfig, SlackConfig, webhook as slack_webhook};
pub use crate::config::stripe::StripeConfig;

use crate::cli::GlobalFlags;
use crate::config::environment::{Secret, secret, secret_or_file};
use crate::config::layers::{ConfigFile, DEFAULTS, ENVIRONMENT, FLAGS, Layer, wrong_value};
use crate::config::ledger::RawLedger;
use crate::config::serve::RawServe;
use crate::config::signals::RawMetrics;
use crate::config::slack::RawSlack;
use crate::config::stripe::{API_KEY, RawStripe};
use crate::domain::audit::sha256_hex;
use crate::domain::bounds::Bounds;
use crate::domain::intent::PushMode;
use crate::domain::period::{Period, parse_zone};
use crate::domain::reconcile::Tolerances;

#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("{file} cannot be read: {cause}")]
    Unreadable { file: String, cause: std::io::Error },
    #[error("{file}: {problem}")]
    Toml { file: String, problem: String },
    #[error(
        "{file} has mode {mode:o}, so that others than its owner and group can read it, or others than its owner change it: \
         chmod 600, or 640 for a group of its own"
    )]
    Mode { file: String, mode: u32 },
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
    /// The config file, where there is one.
    pub file: Option<PathBuf>,
    pub reports: PathBuf,
    pub log: LogConfig,
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
    pub signals: SignalsConfig,
    /// Whether the one who ran may approve too.
    pub runner_may_approve: bool,
    pub serve: ServeConfig,
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
    log_format: String,
    time_zone: String,
    first_period: Option<String>,
    late_usage_periods: u16,
    settle_delay: String,
    policy: Option<String>,
    lease: RawLease,
    ledger: Option<RawLedger>,
    #[serde(default)]
    stripe: RawStripe,
    push: RawPush,
    #[serde(default)]
    approval: RawApproval,
    #[serde(default)]
    slack: RawSlack,
    #[serde(default)]
    metrics: RawMetrics,
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

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct RawPush {
    mode: Option<String>,
    off_switch: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct RawApproval {
    runner_may_approve: Option<bool>,
}

impl Config {
    pub fn load(flags: &GlobalFlags) -> Result<Self, ConfigError> {
        Ok(Layers::read(flags)?.check()?.0)
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

/// All layers, one over the other.
struct Layers {
    figment: Figment,
    /// The file's folder, else the current one.
    base: PathBuf,
    /// The config file, where there is one.
    file: Option<PathBuf>,
}

impl Layers {
    fn read(flags: &GlobalFlags) -> Result<Self, ConfigError> {
        let file = ConfigFile::find(flags.config.as_deref())?;
        let base = file.as_ref().map(|file| file.folder.clone()).unwrap_or_default();
        let name = file.as_ref().map(|file| file.path.clone().into());
        let defaults = KEYS.iter().filter_map(|key| Some((key.path, key.default_value()?)));
        let mut figment = Figment::from(Layer::new(DEFAULTS, defaults));
        if let Some(file) = file {
            file.require_known_keys()?;
            figment = figment.merge(file);
        }
        Ok(Self { figment: figment.merge(environment::layer()?).merge(given(flags)), base, file: name })
    }

    /// Where a key was set.
    fn origin(&self, key: &str) -> String {
        self.figment.find_metadata(key).map(|found| found.name.to_string()).unwrap_or_default()
    }

    fn check(self) -> Result<(Config, Self), ConfigError> {
        let raw: Raw = self.figment.extract().map_err(|error| wrong_value(&error))?;
        let config = raw.check(&self.base, &|key| self.origin(key))?;
        Ok((Config { file: self.file.clone(), ..config }, self))
    }
}

impl Raw {
    fn check(self, base: &Path, origin: &dyn Fn(&str) -> String) -> Result<Config, ConfigError> {
        let wrong = |key: &str, problem: &str| {
            let origin = origin(key);
            let variable = keys::find(key).filter(|_| origin == ENVIRONMENT).map(Key::variable);
            let key = variable.unwrap_or_else(|| key.to_owned());
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
        let log_format = LogFormat::parse(&self.log_format)
            .ok_or_else(|| wrong("log_format", "is neither text nor json"))?;
        let file = self.stripe.api_key_file.as_deref().map(|file| base.join(file));
        let api_key = secret_or_file(API_KEY, "stripe.api_key_file", file, &origin("stripe.api_key_file"))?;
        Ok(Config {
            base: base_of("database").to_owned(),
            file: None,
            reports: base_of("reports").join(self.reports),
            database_url: self.database,
            ledger: ledger::check(self.ledger, &wrong)?,
            log: LogConfig { filter: self.log, format: log_format },
            time_zone,
            time_zone_name: self.time_zone,
            first_period,
            late_usage_periods: self.late_usage_periods.into(),
            settle_delay,
            lease_ttl,
            stripe: self.stripe.check(api_key, base_of("stripe.sandbox_state"), &wrong)?,
            policy: self.policy.map(|file| PolicyText::read(&base_of("policy").join(file))).transpose()?,
            bounds: bounds::check(&self.bounds, &wrong)?,
            push_mode: push_mode.transpose()?,
            off_switch: base_of("push.off_switch").join(self.push.off_switch),
            tolerances: tolerance::check(&self.tolerance, &wrong)?,
            slack: self.slack.check(&wrong)?,
            signals: self.metrics.check(base, &wrong)?,
            runner_may_approve: self.approval.runner_may_approve.unwrap_or(true),
            serve: self.serve.check(origin("serve.listen") != DEFAULTS, &wrong)?,
        })
    }
}

/// A shorter lease could expire between two heartbeats of a busy machine.
const LEASE_TTL_MIN: Duration = Duration::from_secs(1);

fn duration(text: &str) -> Option<SignedDuration> {
    text.parse().ok().filter(|duration: &SignedDuration| !duration.is_negative())
}

fn given(flags: &GlobalFlags) -> Layer {
    let given = [
        ("database", &flags.database),
        ("reports", &flags.reports),
        ("log", &flags.log),
        ("log_format", &flags.log_format),
    ];
    Layer::new(FLAGS, given.into_iter().filter_map(|(key, text)| Some((key, Value::from(text.as_deref()?)))))
}
