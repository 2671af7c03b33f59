//! The settings about Stripe: the key, the address, the sandbox.
//!
//! In: the table `stripe` after all layers, and the key as text. Out: a checked [`StripeConfig`]. Never shows the key,
//! and never lets two settings stand that contradict each other.

use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::config::{ConfigError, Secret, address};

pub const API_KEY: &str = "BILLRECON_STRIPE_API_KEY";

const API_BASE: &str = "https://api.stripe.com/";
/// Secret and restricted keys; a publishable key cannot do what we do.
const KEY_BEGINNINGS: [&str; 4] = ["sk_test_", "sk_live_", "rk_test_", "rk_live_"];

/// What the job needs to know to talk to Stripe.
#[derive(Clone, Debug)]
pub struct StripeConfig {
    pub api_key: Option<SecretString>,
    /// Ends with a slash.
    pub api_base: String,
    /// Whether the sandbox was asked for.
    pub sandbox: bool,
    /// Where the sandbox keeps its state, where somebody has said so.
    pub sandbox_state: Option<PathBuf>,
}

/// The table as it was written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct RawStripe {
    pub api_key_file: Option<String>,
    api_base: Option<String>,
    #[serde(default)]
    sandbox: bool,
    sandbox_state: Option<String>,
}

impl RawStripe {
    /// `wrong` names a key's place; relative paths start at `base`.
    pub fn check(
        self,
        key: Option<Secret>,
        base: &Path,
        wrong: &dyn Fn(&str, &str) -> ConfigError,
    ) -> Result<StripeConfig, ConfigError> {
        if let Some(Secret { text, origin, name }) = &key {
            check_key(text).map_err(|problem| ConfigError::Key {
                origin: origin.clone(),
                key: name.clone(),
                problem: problem.to_owned(),
            })?;
        }
        if key.is_some() && self.sandbox {
            let problem =
                "is asked for, and there is a key too: take one of the two away (the sandbox needs no key)";
            return Err(wrong("stripe.sandbox", problem));
        }
        if self.api_base.is_some() && key.is_none() {
            let problem = format!(
                "is set without a key: set {API_KEY} or {API_KEY}_FILE, or take it away (the sandbox needs neither)"
            );
            return Err(wrong("stripe.api_base", &problem));
        }
        let mut api_base = self.api_base.unwrap_or_else(|| API_BASE.to_owned());
        address::check(&api_base).map_err(|problem| wrong("stripe.api_base", problem))?;
        if !api_base.ends_with('/') {
            api_base.push('/');
        }
        if self.sandbox_state.as_deref() == Some("") {
            return Err(wrong("stripe.sandbox_state", "is empty; name a file, such as billrecon.sandbox"));
        }
        Ok(StripeConfig {
            api_key: key.map(|secret| secret.text),
            api_base,
            sandbox: self.sandbox,
            sandbox_state: self.sandbox_state.map(|path| base.join(path)),
        })
    }
}

fn check_key(key: &SecretString) -> Result<(), &'static str> {
    let key = key.expose_secret();
    let rest = KEY_BEGINNINGS.iter().find_map(|beginning| key.strip_prefix(beginning));
    let rest = rest.ok_or("holds no Stripe key: one begins with sk_test_, sk_live_, rk_test_ or rk_live_")?;
    let clean = rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if rest.is_empty() || !clean {
        return Err("holds no whole Stripe key: after its beginning come letters and digits only");
    }
    Ok(())
}
