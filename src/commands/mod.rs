//! Commands: one thin file each. They turn flags into settings, call the job, and print.
//!
//! In: the parsed command line, `now`. Out: an exit code; data on stdout, words on stderr. Never holds a rule.

mod approve;
mod catalog_preview;
mod completions;
mod config;
mod decide;
mod demo;
mod doctor;
mod explain;
mod guard;
mod import;
mod init;
mod logging;
mod man;
mod own_ledger;
mod park;
mod price;
mod print;
mod progress;
mod rate;
mod report;
mod run;
mod sandbox;
mod serve;
mod stages;
mod status;
mod unlock;
mod verify;
mod watched;
mod what_if;

use jiff::Timestamp;

use crate::cli::{Cli, Command, Config as ConfigCommand};
use crate::commands::logging::start_logging;
use crate::config::{BotConfig, Config, SlackConfig};
use crate::domain::decide::VerdictWord;
use crate::exit_code::ExitCode;
use crate::job::{PolicyFile, Settings, SlackSettings, StripeSettings};
use crate::notify::Owner;
use crate::notify::slack::{Bot, Destination};
use crate::store::Database;
use crate::stripe::Pace;

pub async fn execute(cli: &Cli, now: Timestamp) -> ExitCode {
    let code = match &cli.command {
        Command::Approve(flags) => approve::execute(&cli.global, flags, now).await,
        Command::Completions(flags) => completions::execute(flags),
        Command::Decide(flags) => decide::execute(&cli.global, flags).await,
        Command::Doctor(flags) => doctor::execute(&cli.global, flags, now).await,
        Command::Demo => demo::execute(&cli.global).await,
        Command::Explain(flags) => explain::execute(&cli.global, flags, now).await,
        Command::Guard(flags) => guard::execute(&cli.global, flags, now).await,
        Command::Init(flags) => init::execute(flags),
        Command::Config(ConfigCommand::Show(flags)) => config::execute(&cli.global, flags),
        Command::Import(import) => import::execute(&cli.global, import, now).await,
        Command::Man(flags) => man::execute(flags),
        Command::Price(price) => price::execute(&cli.global, price).await,
        Command::Rate(flags) => rate::execute(flags),
        Command::Report(flags) => report::execute(&cli.global, flags).await,
        Command::Run(flags) => run::execute(&cli.global, flags, now).await,
        Command::Sandbox(flags) => sandbox::execute(flags).await,
        Command::Status(flags) => status::execute(&cli.global, flags, now).await,
        Command::Verify(flags) => verify::execute(&cli.global, flags).await,
        Command::Park(flags) => park::park(&cli.global, flags, now).await,
        Command::Unpark(flags) => park::unpark(&cli.global, flags, now).await,
        Command::Unlock(flags) => unlock::execute(&cli.global, flags, now).await,
        Command::Serve(flags) => serve::execute(&cli.global, flags).await,
    };
    code.unwrap_or_else(|error| failed(&error))
}

/// The code for who asks for it: that of the verdict; with `GO`, or none, whether ledger and Stripe differ.
fn verdict_code(word: Option<VerdictWord>, differs: bool) -> ExitCode {
    match word {
        Some(VerdictWord::NoGo | VerdictWord::Review) => ExitCode::NotYet,
        Some(VerdictWord::InsufficientData) => ExitCode::InsufficientData,
        Some(VerdictWord::Go) | None if differs => ExitCode::Differences,
        Some(VerdictWord::Go) | None => ExitCode::Done,
    }
}

/// Says what went wrong and finds its exit code.
pub fn failed(error: &anyhow::Error) -> ExitCode {
    print::words(&format!("billrecon: {error:#}"));
    ExitCode::of(error)
}

/// Settings for a command that works on the configured database.
fn configured(config: &Config) -> anyhow::Result<Settings> {
    let database = Database::parse(&config.database_url, &config.base)?;
    Ok(Settings {
        ledger: own_ledger::of(config, &database)?,
        database,
        reports: config.reports.clone(),
        time_zone: config.time_zone.clone(),
        time_zone_name: config.time_zone_name.clone(),
        first_period: config.first_period,
        late_usage_periods: config.late_usage_periods,
        settle_delay: config.settle_delay,
        lease_ttl: config.lease_ttl,
        rules_hash: config.rules_hash(),
        policy: config.policy.clone().map(|policy| PolicyFile { file: policy.file, text: policy.text }),
        bounds: config.bounds.clone(),
        stripe: StripeSettings {
            api_key: config.stripe.api_key.clone(),
            api_base: config.stripe.api_base.clone(),
            sandbox: config.stripe.sandbox,
            sandbox_state: config.stripe.sandbox_state.clone(),
            pace: Pace {
                requests_per_second: config.stripe.requests_per_second,
                requests_per_second_per_endpoint: config.stripe.requests_per_second_per_endpoint,
                meter_events_per_second: config.stripe.meter_events_per_second,
                requests_at_a_time: config.stripe.requests_at_a_time,
            },
        },
        push_mode: config.push_mode,
        off_switch: config.off_switch.clone(),
        tolerances: config.tolerances.clone(),
        slack: slack(&config.slack),
        runner_may_approve: config.runner_may_approve,
        demo: false,
    })
}

/// A bot can do more than a webhook, so it goes first.
fn slack(config: &SlackConfig) -> SlackSettings {
    let bot = config.bot.clone().map(|bot| {
        let BotConfig { token, channel, api_base, files } = bot;
        Destination::Bot(Bot { token, channel, api_base, files })
    });
    SlackSettings {
        destination: bot.or_else(|| config.webhook.clone().map(Destination::Webhook)),
        owner: config.owner.as_deref().map(Owner::parse),
        notify: config.notify,
        alert_again: config.alert_again,
    }
}
