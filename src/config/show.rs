//! What is set, and where: what `config show` prints.
//!
//! In: the global flags. Out: each setting with its value and its origin, each secret with where it stands. Never a secret, nor a
//! password within a URL.

use figment::Figment;
use figment::value::{Dict, Value};
use secrecy::ExposeSecret as _;
use url::Url;

use crate::cli::GlobalFlags;
use crate::config::environment::place_of_secret;
use crate::config::keys::{KEYS, SECRETS, is_open};
use crate::config::layers::{ENVIRONMENT, paths};
use crate::config::{Config, ConfigError, Layers};

/// Parameters of a connection URL that say nothing secret.
const HARMLESS: [&str; 8] =
    ["sslmode", "sslrootcert", "application_name", "host", "port", "dbname", "user", "connect_timeout"];
const HIDDEN: &str = "REDACTED";

/// A setting.
pub struct Shown {
    /// Dotted, as in `lease.ttl`.
    pub key: String,
    /// As it would stand in `billrecon.toml`; `None`: not set.
    pub value: Option<String>,
    /// The command line, a variable, a file, or `default`; empty where it is not set.
    pub origin: String,
}

/// A secret, without it.
pub struct SecretShown {
    pub variable: &'static str,
    /// `None`: not set.
    pub place: Option<String>,
    /// What anybody may see of it, such as `rk_live_…`.
    pub begins: String,
}

/// Settings that can be loaded, in the order of the file, and the secrets.
pub fn shown(flags: &GlobalFlags) -> Result<(Vec<Shown>, Vec<SecretShown>), ConfigError> {
    let (config, layers) = Layers::read(flags)?.check()?;
    let all: Dict = layers.figment.extract().map_err(|error| super::wrong_value(&error))?;
    let open =
        paths(&all).into_iter().filter(|path| is_open(path) && !KEYS.iter().any(|key| key.path == path));
    let settings = KEYS.iter().map(|key| key.path.to_owned()).chain(open);
    let settings = settings.map(|key| one(key, &layers.figment)).collect();
    let secrets = SECRETS.iter().map(|secret| SecretShown {
        variable: secret.variable,
        place: place_of_secret(secret.variable).or_else(|| of_key_file(secret.variable, &config)),
        begins: begins(secret.variable, &config),
    });
    Ok((settings, secrets.collect()))
}

fn one(key: String, figment: &Figment) -> Shown {
    let value = figment.find_value(&key).ok();
    let origin = value.as_ref().and_then(|_| figment.find_metadata(&key)).map(|found| found.name.to_string());
    let mut origin = origin.unwrap_or_default();
    if origin == ENVIRONMENT {
        let variable = KEYS.iter().find(|one| one.path == key).map(super::keys::Key::variable);
        origin = variable.unwrap_or(origin);
    }
    let value = value.map(|value| match value {
        Value::String(_, text) if key == "database" => toml_text(&without_password(&text)),
        other => toml_value(&other),
    });
    Shown { key, value, origin }
}

/// The key's file stands in the settings.
fn of_key_file(variable: &str, config: &Config) -> Option<String> {
    let is_there = variable == super::API_KEY && config.stripe.api_key.is_some();
    is_there.then(|| "the file that stripe.api_key_file names".to_owned())
}

/// Kind and mode of Stripe's key are no secret.
fn begins(variable: &str, config: &Config) -> String {
    let key = config.stripe.api_key.as_ref().filter(|_| variable == super::API_KEY);
    let kind = key.map(|key| key.expose_secret().chars().take("rk_live_".len()).collect::<String>());
    kind.map(|kind| format!("{kind}…")).unwrap_or_default()
}

/// What cannot be read is not shown.
fn without_password(url: &str) -> String {
    if url.starts_with("sqlite://") {
        return url.to_owned();
    }
    let Ok(mut parsed) = Url::parse(url) else { return HIDDEN.to_owned() };
    if parsed.password().is_some() && parsed.set_password(Some(HIDDEN)).is_err() {
        return HIDDEN.to_owned();
    }
    if parsed.query().is_some() {
        let pairs: Vec<(String, String)> = parsed
            .query_pairs()
            .map(|(name, value)| {
                let is_harmless = HARMLESS.contains(&name.as_ref());
                (name.into_owned(), if is_harmless { value.into_owned() } else { HIDDEN.to_owned() })
            })
            .collect();
        parsed.query_pairs_mut().clear().extend_pairs(pairs);
    }
    parsed.to_string()
}

fn toml_value(value: &Value) -> String {
    match value {
        Value::String(_, text) => toml_text(text),
        Value::Bool(_, flag) => flag.to_string(),
        other => other.to_i128().map_or_else(|| "…".to_owned(), |number| number.to_string()),
    }
}

/// A string of JSON is one of TOML, too.
fn toml_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_shown_without_what_may_be_secret() {
        for (url, expected) in [
            ("postgres://app:secret@host:5433/db", "postgres://app:REDACTED@host:5433/db"),
            ("postgres://app@host/db?sslmode=verify-full", "postgres://app@host/db?sslmode=verify-full"),
            ("postgres://host/db?user=app&password=secret", "postgres://host/db?user=app&password=REDACTED"),
            ("postgres://host/db?sslpassword=s", "postgres://host/db?sslpassword=REDACTED"),
            ("secret", "REDACTED"),
            ("sqlite://billrecon.db", "sqlite://billrecon.db"),
        ] {
            assert_eq!(without_password(url), expected);
        }
    }
}
