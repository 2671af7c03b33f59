//! `billrecon price`: which overage price to set, and what it would change.
//!
//! In: flags. Out: a suggestion or a simulation, as text or JSON. Never holds a figure of its own.

mod simulate;
mod suggest;

use crate::cli::{GlobalFlags, PlanFlags, Price};
use crate::commands::{configured, start_logging};
use crate::config::Config;
use crate::domain::money::{Currency, MinorSum, MoneyError};
use crate::domain::number::UnitAmount;
use crate::domain::period::Period;
use crate::domain::pricing::simulate::in_major;
use crate::exit_code::ExitCode;
use crate::job::Settings;
use crate::job::price::Wanted;

pub async fn execute(global: &GlobalFlags, price: &Price) -> anyhow::Result<ExitCode> {
    match price {
        Price::Suggest(flags) => suggest::execute(global, flags).await,
        Price::Simulate(flags) => simulate::execute(global, flags).await,
    }
}

fn settings(global: &GlobalFlags) -> anyhow::Result<Settings> {
    let config = Config::load(global)?;
    start_logging(&config.log)?;
    configured(&config)
}

fn wanted(flags: &PlanFlags, periods: Option<(Period, Period)>) -> Wanted {
    let PlanFlags { plan, meter, currency, interval } = flags;
    Wanted { plan: plan.clone(), meter: meter.clone(), currency: *currency, interval: *interval, periods }
}

/// A price in major units, with as many places as it has.
fn price(minor: UnitAmount, currency: Currency) -> String {
    format!("{} {}", in_major(minor, currency), code(currency))
}

fn code(currency: Currency) -> String {
    currency.code().to_uppercase()
}

/// JSON holds integers of 64 bits.
fn minor(sum: MinorSum) -> Result<i64, MoneyError> {
    i64::try_from(sum.minor).map_err(|_| MoneyError::Overflow)
}
