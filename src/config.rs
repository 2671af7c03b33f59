//! Configuration: flags > environment > `billrecon.toml` > defaults. The only reader of the environment.
//!
//! In: the global flags, and these variables: `BILLRECON_DATABASE_URL` (or `BILLRECON_DATABASE_URL_FILE`, a file that
//! holds it), `BILLRECON_REPORTS`, `NO_COLOR`. Out: one checked [`Config`]. An unknown key is refused; an error names
//! the key and where it stands. Never prints a database URL: it may hold a password.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use figment::providers::Serialized;
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use serde::Deserialize;

use crate::cli::GlobalFlags;
use crate::domain::audit::sha256_hex;
use crate::domain::period::{Period, parse_zone};

const FILE: &str = "billrecon.toml";

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
    /// Relative paths start here: the config file's folder, else the current one.
    pub base: PathBuf,
    pub reports: PathBuf,
    pub log: String,
    pub time_zone: TimeZone,
    pub time_zone_name: String,
    pub first_period: Option<Period>,
    pub settle_delay: SignedDuration,
    pub lease_ttl: Duration,
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
    settle_delay: String,
    lease: RawLease,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
struct RawLease {
    ttl: String,
}

impl Config {
    pub fn load(flags: &GlobalFlags) -> Result<Self, ConfigError> {
        let file = ConfigFile::find(flags.config.as_deref())?;
        let base = file.as_ref().map(|file| file.folder.clone()).unwrap_or_default();
        let mut figment = Figment::from(Serialized::defaults(defaults()));
        if let Some(file) = file {
            figment = figment.merge(file);
        }
        let figment = figment.merge(Layer::environment()?).merge(Layer::flags(flags));
        let raw: Raw = figment.extract().map_err(|error| wrong_value(&error))?;
        // A path on the command line or in the environment is meant from where the person stands.
        let here = |key: &str| {
            figment.find_metadata(key).is_some_and(|found| found.name == FLAGS || found.name == ENVIRONMENT)
        };
        let base_of = |key: &str| if here(key) { PathBuf::new() } else { base.clone() };
        let (database_base, reports_base) = (base_of("database"), base_of("reports"));
        let origin =
            |key: &str| figment.find_metadata(key).map(|found| found.name.to_string()).unwrap_or_default();
        raw.check(database_base, &reports_base, &origin)
    }

    /// A hash of the settings that figures depend on.
    pub fn rules_hash(&self) -> String {
        let first = self.first_period.map(|period| period.to_string()).unwrap_or_default();
        sha256_hex(format!("{}\n{first}\n{}", self.time_zone_name, self.settle_delay).as_bytes())
    }
}

fn defaults() -> Dict {
    let text = |text: &str| Value::from(text);
    let lease: Dict = [("ttl".to_owned(), text("60s"))].into();
    [
        ("database".to_owned(), text("sqlite://billrecon.db")),
        ("reports".to_owned(), text("reports")),
        ("log".to_owned(), text("info")),
        ("time_zone".to_owned(), text("UTC")),
        ("settle_delay".to_owned(), text("2h")),
        ("lease".to_owned(), Value::from(lease)),
    ]
    .into()
}

impl Raw {
    fn check(
        self,
        base: PathBuf,
        reports_base: &Path,
        origin: &dyn Fn(&str) -> String,
    ) -> Result<Config, ConfigError> {
        let wrong = |key: &str, problem: &str| ConfigError::Key {
            origin: origin(key),
            key: key.to_owned(),
            problem: problem.to_owned(),
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
        Ok(Config {
            database_url: self.database,
            base,
            reports: reports_base.join(self.reports),
            log: self.log,
            time_zone,
            time_zone_name: self.time_zone,
            first_period,
            settle_delay,
            lease_ttl,
        })
    }
}

/// A shorter lease could expire between two heartbeats of a busy machine.
const LEASE_TTL_MIN: Duration = Duration::from_secs(1);

fn duration(text: &str) -> Option<SignedDuration> {
    text.parse().ok().filter(|duration: &SignedDuration| !duration.is_negative())
}

/// Says which key is wrong and where it stands, and never its value: that may be a password in the wrong place.
fn wrong_value(error: &figment::Error) -> ConfigError {
    use figment::error::Kind;
    let problem = match &error.kind {
        Kind::InvalidType(_, expected) => format!("has the wrong type; expected {expected}"),
        Kind::InvalidValue(_, expected) => format!("has a wrong value; expected {expected}"),
        Kind::UnknownField(_, known) => format!("is no key; known are: {}", known.join(", ")),
        Kind::MissingField(name) => format!("lacks the key `{name}`"),
        _ => "cannot be understood".to_owned(),
    };
    let origin = error.metadata.as_ref().map_or("configuration", |found| found.name.as_ref()).to_owned();
    let key = if error.path.is_empty() { "it".to_owned() } else { error.path.join(".") };
    ConfigError::Key { origin, key, problem }
}

/// What is wrong with TOML, with its place and without its text.
fn toml_problem(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.as_bytes().get(..span.start)).unwrap_or_default();
    let line = 1 + memchr::memchr_iter(b'\n', before).count();
    format!("line {line}: {}", error.message())
}

/// The config file as a layer.
struct ConfigFile {
    path: String,
    folder: PathBuf,
    values: Dict,
}

impl ConfigFile {
    /// A file named by flag must be there; `billrecon.toml` of the current folder may be absent.
    fn find(named: Option<&Path>) -> Result<Option<Self>, ConfigError> {
        let path = named.unwrap_or(Path::new(FILE));
        let file = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(ConfigError::Unreadable { file, cause }),
        };
        let values = toml::from_str(&text).map_err(|error| ConfigError::Toml {
            file: file.clone(),
            problem: toml_problem(&text, &error),
        })?;
        let folder = path.parent().map(Path::to_owned).unwrap_or_default();
        Ok(Some(Self { path: file, folder, values }))
    }
}

impl Provider for ConfigFile {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.path.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok([(Profile::Default, self.values.clone())].into())
    }
}

const ENVIRONMENT: &str = "the environment";
const FLAGS: &str = "the command line";

/// Values from one place that are all text.
struct Layer {
    name: &'static str,
    values: Dict,
}

impl Layer {
    fn environment() -> Result<Self, ConfigError> {
        let mut values = Dict::new();
        for (key, name) in [("database", "BILLRECON_DATABASE_URL"), ("reports", "BILLRECON_REPORTS")] {
            if let Some(text) = variable(name)? {
                values.insert(key.to_owned(), Value::from(text));
            }
        }
        Ok(Self { name: ENVIRONMENT, values })
    }

    fn flags(flags: &GlobalFlags) -> Self {
        let given = [("database", &flags.database), ("reports", &flags.reports), ("log", &flags.log)];
        let values =
            given.into_iter().filter_map(|(key, text)| Some((key.to_owned(), Value::from(text.as_deref()?))));
        Self { name: FLAGS, values: values.collect() }
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name)
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok([(Profile::Default, self.values.clone())].into())
    }
}

/// A variable, or the content of the file that `NAME_FILE` names. An empty one counts as unset.
#[expect(clippy::disallowed_methods, reason = "this file is the one reader of the environment")]
fn variable(name: &'static str) -> Result<Option<String>, ConfigError> {
    if let Some(text) = std::env::var(name).ok().filter(|text| !text.is_empty()) {
        return Ok(Some(text));
    }
    let Some(path) = std::env::var(format!("{name}_FILE")).ok().filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    // The variable is named and not its value: somebody may have put the secret itself there.
    let file = format!("the file that {name}_FILE names");
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(cause) => Err(ConfigError::Unreadable { file, cause }),
    }
}

/// Whether the person asked for no colour: no-color.org.
#[expect(clippy::disallowed_methods, reason = "this file is the one reader of the environment")]
pub fn no_color() -> bool {
    std::env::var("NO_COLOR").is_ok_and(|text| !text.is_empty())
}
