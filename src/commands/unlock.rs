//! `billrecon unlock`: ends the lease of a process that is gone.
//!
//! In: flags. Out: who held it. Nothing to unlock is no fault.

use jiff::Timestamp;
use serde_json::json;

use crate::cli::{GlobalFlags, UnlockFlags};
use crate::commands::{configured, print, start_logging};
use crate::config::{Config, user_name};
use crate::exit_code::ExitCode;
use crate::job::unlock::{self, Claim};

pub async fn execute(global: &GlobalFlags, flags: &UnlockFlags, now: Timestamp) -> anyhow::Result<ExitCode> {
    let config = Config::load(global)?;
    start_logging(&config.log)?;
    let claim = flags.claim.holder.clone().map_or(Claim::Expired, Claim::Of);
    let held = unlock::unlock(&configured(&config)?, &claim, &user_name(), now).await?;
    print::data(&match (&held, flags.json) {
        (held, true) => print::json(
            &json!({
                "unlocked": held.is_some(), "holder": held.as_ref().map(|held| &held.holder),
                "fence": held.as_ref().map(|held| held.fence),
            })
            .to_string(),
        ),
        (None, false) => "nothing to unlock: the lease is free".to_owned(),
        (Some(held), false) => format!("unlocked: the lease was held by {held}"),
    })?;
    Ok(ExitCode::Done)
}
