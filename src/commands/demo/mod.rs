//! `billrecon demo`: a made-up company's two months, played from import to verdict in ./billrecon-demo.
//!
//! In: nothing but a webhook, if one is set. Out: the same words and data files each time. It makes its own folder and
//! touches nothing else; a folder of that name that it did not make is left alone.

mod company;
mod story;
mod telling;

use std::fs;
use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::tz::TimeZone;

use crate::cli::GlobalFlags;
use crate::commands::start_logging;
use crate::config::{LogConfig, LogFormat, slack_webhook};
use crate::domain::audit::sha256_hex;
use crate::domain::bounds::Bounds;
use crate::domain::reconcile::Tolerances;
use crate::domain::telling::Notify;
use crate::exit_code::ExitCode;
use crate::job::{Refusal, Settings, SlackSettings, StripeSettings};
use crate::notify::slack::Destination;
use crate::store::Database;
use crate::stripe::Pace;

const FOLDER: &str = "billrecon-demo";
/// The first line of the demo's config; it marks a folder as ours.
const MARK: &str = "# Written by `billrecon demo`, which makes this folder anew each time.";
const JOURNAL: &str = "billrecon.db.sandbox";

pub async fn execute(global: &GlobalFlags) -> anyhow::Result<ExitCode> {
    let filter = global.log.as_deref().unwrap_or("warn").to_owned();
    start_logging(&LogConfig { filter, format: LogFormat::Text })?;
    let folder = Path::new(FOLDER);
    let settings = settings(folder)?;
    make_folder(folder)?;
    story::play(&settings, folder).await?;
    Ok(ExitCode::Done)
}

fn make_folder(folder: &Path) -> anyhow::Result<()> {
    let config = folder.join("billrecon.toml");
    if let Ok(found) = fs::symlink_metadata(folder) {
        // Never through a link: it may lead to anything.
        let ours = found.is_dir() && fs::read_to_string(&config).is_ok_and(|text| text.starts_with(MARK));
        if !ours {
            let text = format!(
                "./{FOLDER} is there and was not made by the demo: move it away, or go to another folder"
            );
            return Err(Refusal::CannotCreate(text).into());
        }
        fs::remove_dir_all(folder)?;
    }
    let made = fs::create_dir(folder).and_then(|()| {
        fs::write(&config, format!("{MARK}\ndatabase = \"sqlite://billrecon.db\"\nreports = \"reports\"\n"))
    });
    made.map_err(|error| Refusal::CannotCreate(format!("./{FOLDER} cannot be made: {error}")).into())
}

/// No setting of the person counts but the webhook: a demo must not reach a real database or account.
fn settings(folder: &Path) -> anyhow::Result<Settings> {
    Ok(Settings {
        ledger: None,
        database: Database::parse("sqlite://billrecon.db", folder)?,
        reports: folder.join("reports"),
        time_zone: TimeZone::UTC,
        time_zone_name: "UTC".to_owned(),
        first_period: None,
        late_usage_periods: 12,
        settle_delay: SignedDuration::from_hours(2),
        lease_ttl: Duration::from_mins(1),
        rules_hash: sha256_hex(company::CATALOG.as_bytes()),
        policy: None,
        bounds: Bounds::default(),
        stripe: StripeSettings {
            api_key: None,
            api_base: String::new(),
            sandbox: true,
            sandbox_state: Some(folder.join(JOURNAL)),
            pace: Pace::default(),
        },
        push_mode: None,
        off_switch: folder.join("billrecon.off"),
        tolerances: Tolerances::default(),
        slack: SlackSettings {
            destination: slack_webhook()?.map(Destination::Webhook),
            owner: None,
            notify: Notify::All,
            alert_again: SignedDuration::ZERO,
        },
        runner_may_approve: true,
        demo: true,
    })
}
