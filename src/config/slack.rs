//! The settings about Slack: where messages go, whom they concern, how quiet they are.
//!
//! In: the table `slack` after all layers, the webhook and the bot's token as text. Out: a checked [`SlackConfig`]. Never shows
//! either of the two.

use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::config::{ConfigError, Secret, address, duration, secret};
use crate::domain::telling::Notify;

const WEBHOOK: &str = "BILLRECON_SLACK_WEBHOOK_URL";
const BOT_TOKEN: &str = "BILLRECON_SLACK_BOT_TOKEN";
const API_BASE: &str = "https://slack.com/api";
/// The same alert is not told again within it.
const ALERT_AGAIN: SignedDuration = SignedDuration::from_hours(24);

#[derive(Clone, Debug)]
pub struct SlackConfig {
    /// It can do more than a webhook, so it goes first where both are set.
    pub bot: Option<BotConfig>,
    pub webhook: Option<SecretString>,
    /// As it was written.
    pub owner: Option<String>,
    pub notify: Notify,
    pub alert_again: SignedDuration,
}

#[derive(Clone, Debug)]
pub struct BotConfig {
    pub token: SecretString,
    pub channel: String,
    /// Without a slash at its end.
    pub api_base: String,
    /// Whether reports go into the thread.
    pub files: bool,
}

/// The table as it was written.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, expecting = "a table")]
pub struct RawSlack {
    channel: Option<String>,
    owner: Option<String>,
    notify: Option<String>,
    alert_again: Option<String>,
    files: Option<bool>,
    api_base: Option<String>,
}

impl RawSlack {
    /// `wrong` names a key's place.
    pub fn check(self, wrong: &dyn Fn(&str, &str) -> ConfigError) -> Result<SlackConfig, ConfigError> {
        let notify = self.notify.as_deref().map_or(Some(Notify::default()), Notify::parse);
        let notify = notify.ok_or_else(|| wrong("slack.notify", "is neither all, changes nor problems"))?;
        let again = self.alert_again.as_deref().map_or(Some(ALERT_AGAIN), duration);
        let alert_again =
            again.ok_or_else(|| wrong("slack.alert_again", "is no duration, such as 90s, 5m or 24h"))?;
        let owner = self.owner.as_deref().map(str::trim).filter(|owner| !owner.is_empty());
        let owner = owner.map(str::to_owned);
        Ok(SlackConfig { bot: self.bot(wrong)?, webhook: webhook()?, owner, notify, alert_again })
    }

    fn bot(self, wrong: &dyn Fn(&str, &str) -> ConfigError) -> Result<Option<BotConfig>, ConfigError> {
        let Some(token) = secret(BOT_TOKEN)?.map(checked_token).transpose()? else { return Ok(None) };
        let Some(channel) = self.channel else {
            let problem =
                format!("is not set, and a bot needs it: name the channel's id, or take {BOT_TOKEN} away");
            return Err(wrong("slack.channel", &problem));
        };
        if channel.is_empty() || !channel.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            let problem = "is no channel's id, such as C024BE91L: Slack shows it below the channel's details";
            return Err(wrong("slack.channel", problem));
        }
        let api_base = self.api_base.unwrap_or_else(|| API_BASE.to_owned());
        address::check(&api_base).map_err(|problem| wrong("slack.api_base", problem))?;
        let api_base = api_base.trim_end_matches('/').to_owned();
        Ok(Some(BotConfig { token, channel, api_base, files: self.files.unwrap_or(true) }))
    }
}

/// The demo asks for it too, and for nothing else of the settings.
pub fn webhook() -> Result<Option<SecretString>, ConfigError> {
    let Some(secret) = secret(WEBHOOK)? else { return Ok(None) };
    address::check(secret.text.expose_secret()).map_err(|problem| ConfigError::Key {
        origin: secret.origin,
        key: secret.name,
        problem: problem.to_owned(),
    })?;
    Ok(Some(secret.text))
}

fn checked_token(secret: Secret) -> Result<SecretString, ConfigError> {
    let text = secret.text.expose_secret();
    let rest = text.strip_prefix("xoxb-").unwrap_or_default();
    if rest.is_empty() || !rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        let problem = "holds no bot token: one begins with xoxb-".to_owned();
        return Err(ConfigError::Key { origin: secret.origin, key: secret.name, problem });
    }
    Ok(secret.text)
}
