//! The settings of `serve`: when it wakes for what, and where it answers.
//!
//! In: the table `serve` after all layers. Out: a checked [`ServeConfig`]. Whether a schedule ever rings is for `serve` to say.

use std::net::SocketAddr;

use croner::Cron;
use serde::Deserialize;

use crate::config::ConfigError;

/// An empty variable counts as not set, so there is a word for it.
const OFF: &str = "off";

#[derive(Clone, Debug)]
pub struct ServeConfig {
    /// Cron expressions that can be read; `None`: never.
    pub schedule: String,
    pub guard: Option<String>,
    pub reminders: Option<String>,
    /// `None`: nowhere.
    pub listen: Option<SocketAddr>,
    /// Whether somebody asked for this address: where it is the default, a second `serve` on one machine goes without.
    pub listen_was_set: bool,
}

/// The table as it was written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct RawServe {
    schedule: String,
    guard: String,
    reminders: String,
    listen: String,
}

impl RawServe {
    /// `wrong` names a key's place; `listen_was_set`: it is not the default.
    pub fn check(
        self,
        listen_was_set: bool,
        wrong: &dyn Fn(&str, &str) -> ConfigError,
    ) -> Result<ServeConfig, ConfigError> {
        let cron = |key: &str, text: String| match text.parse::<Cron>() {
            Ok(_) => Ok(text),
            Err(_) => Err(wrong(key, "is no cron expression, such as 5 * * * *")),
        };
        let or_never = |key: &str, text: String| {
            if text == OFF { Ok(None) } else { cron(key, text).map(Some) }
        };
        let listen = match self.listen.as_str() {
            OFF => None,
            text => Some(text.parse().map_err(|_| {
                wrong("serve.listen", "is no address and port, such as 127.0.0.1:9464 or 0.0.0.0:9464")
            })?),
        };
        Ok(ServeConfig {
            schedule: cron("serve.schedule", self.schedule)?,
            guard: or_never("serve.guard", self.guard)?,
            reminders: or_never("serve.reminders", self.reminders)?,
            listen,
            listen_was_set,
        })
    }
}
