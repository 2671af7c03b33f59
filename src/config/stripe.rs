//! The settings about Stripe: the key, the address, the sandbox, the pace.
//!
//! In: the table `stripe` after all layers, and the key as text. Out: a checked [`StripeConfig`]. Never shows the key,
//! and never lets two settings stand that contradict each other.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::config::{ConfigError, Secret, address};

pub const API_KEY: &str = "BILLRECON_STRIPE_API_KEY";

const API_BASE: &str = "https://api.stripe.com/";
/// Secret and restricted keys; a publishable key cannot do what we do.
const KEY_BEGINNINGS: [&str; 4] = ["sk_test_", "sk_live_", "rk_test_", "rk_live_"];

/// Stripe takes no more than this of anybody, and of most far less.
const MOST_PER_SECOND: i64 = 10_000;
/// Each holds a connection, and its answer in memory.
const MOST_AT_A_TIME: i64 = 1_000;

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
    /// The pace, where somebody has said something about it.
    pub requests_per_second: Option<NonZeroU32>,
    pub requests_per_second_per_endpoint: Option<NonZeroU32>,
    pub meter_events_per_second: Option<NonZeroU32>,
    pub requests_at_a_time: Option<NonZeroU32>,
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
    requests_per_second: Option<i64>,
    requests_per_second_per_endpoint: Option<i64>,
    meter_events_per_second: Option<i64>,
    requests_at_a_time: Option<i64>,
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
        let whole = |key: &str, number: Option<i64>, most: i64| {
            let Some(number) = number else { return Ok(None) };
            let fits = u32::try_from(number).ok().and_then(NonZeroU32::new).filter(|_| number <= most);
            let problem = format!("must be a whole number from 1 to {most}");
            fits.map(Some).ok_or_else(|| wrong(&format!("stripe.{key}"), &problem))
        };
        let rate = |key: &str, number| whole(key, number, MOST_PER_SECOND);
        Ok(StripeConfig {
            api_key: key.map(|secret| secret.text),
            api_base,
            sandbox: self.sandbox,
            sandbox_state: self.sandbox_state.map(|path| base.join(path)),
            requests_per_second: rate("requests_per_second", self.requests_per_second)?,
            requests_per_second_per_endpoint: rate(
                "requests_per_second_per_endpoint",
                self.requests_per_second_per_endpoint,
            )?,
            meter_events_per_second: rate("meter_events_per_second", self.meter_events_per_second)?,
            requests_at_a_time: whole("requests_at_a_time", self.requests_at_a_time, MOST_AT_A_TIME)?,
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
