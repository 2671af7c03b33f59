//! The settings about signals: who is pinged at a wake's start and end, and where vital signs go.
//!
//! In: the table `metrics` after all layers, the ping's address as text. Out: a checked [`SignalsConfig`]. Never shows the
//! address: whoever has it can say that all is well.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::config::{ConfigError, address, secret};

const PING_URL: &str = "BILLRECON_PING_URL";

#[derive(Clone, Debug, Default)]
pub struct SignalsConfig {
    /// Of a check of the kind of healthchecks.io, without a slash at its end.
    pub ping: Option<SecretString>,
    /// Takes the vital signs of each wake.
    pub textfile: Option<PathBuf>,
}

/// The table as it was written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct RawMetrics {
    textfile: Option<String>,
}

impl RawMetrics {
    /// `wrong` names a key's place.
    pub fn check(
        self,
        base: &Path,
        wrong: &dyn Fn(&str, &str) -> ConfigError,
    ) -> Result<SignalsConfig, ConfigError> {
        let is_file = |text: &String| !text.is_empty() && !text.ends_with('/');
        if !self.textfile.as_ref().is_none_or(is_file) {
            return Err(wrong("metrics.textfile", "is no file, such as metrics/billrecon.prom"));
        }
        Ok(SignalsConfig { ping: ping()?, textfile: self.textfile.map(|file| base.join(file)) })
    }
}

fn ping() -> Result<Option<SecretString>, ConfigError> {
    let Some(secret) = secret(PING_URL)? else { return Ok(None) };
    let text = secret.text.expose_secret();
    address::check(text).map_err(|problem| ConfigError::Key {
        origin: secret.origin.clone(),
        key: secret.name.clone(),
        problem: problem.to_owned(),
    })?;
    Ok(Some(text.trim_end_matches('/').into()))
}
