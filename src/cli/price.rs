//! Flags of `price suggest` and `price simulate`.
//!
//! In: arguments. Out: plans, periods, prices in major units and percentages, checked as numbers. Never knows a catalog.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::interval;
use crate::domain::money::Currency;
use crate::domain::number::{Quantity, UnitAmount};
use crate::domain::period::{Interval, Period};
use crate::domain::pricing::simulate::Shock;

const SUGGEST_EXAMPLES: &str = "\
Examples:
  billrecon price suggest
  billrecon price suggest --plan pro --target-share 15% --step 0.5 --min 5 --max 9 --at 250";

const SIMULATE_EXAMPLES: &str = "\
Examples:
  billrecon price simulate --prices 5,6,7
  billrecon price simulate --from 1 --to 10 --step 0.5 --periods 2026-09..2026-10 --out bills.csv
  billrecon price simulate --stripe-price price.json";

#[derive(Debug, Subcommand)]
pub enum Price {
    /// The price that brings a share of the base fees, with its checks
    #[command(after_help = SUGGEST_EXAMPLES)]
    Suggest(SuggestFlags),
    /// What all tenants would have paid for closed periods at other prices
    #[command(after_help = SIMULATE_EXAMPLES)]
    Simulate(SimulateFlags),
}

/// Whose price.
#[derive(Args, Debug)]
pub struct PlanFlags {
    /// The plan's key [default: pro, or the only plan with a quota]
    #[arg(long, value_name = "KEY")]
    pub plan: Option<String>,
    /// The meter's key [default: the plan's only meter with a quota]
    #[arg(long, value_name = "KEY")]
    pub meter: Option<String>,
    /// Only plans in this currency
    #[arg(long, value_name = "CODE", value_parser = Currency::parse)]
    pub currency: Option<Currency>,
    /// Only plans by the month, or by the year
    #[arg(long, value_name = "INTERVAL", value_parser = interval)]
    pub interval: Option<Interval>,
}

#[derive(Args, Debug)]
pub struct SuggestFlags {
    /// The closed billing period whose usage counts [default: the newest]
    #[arg(long, value_name = "YYYY-MM", value_parser = Period::parse)]
    pub period: Option<Period>,
    #[command(flatten)]
    pub plan: PlanFlags,
    /// What overage is to bring, as a share of the base fees
    #[arg(long, value_name = "PERCENT", default_value = "20%", value_parser = percent)]
    pub target_share: Quantity,
    /// Prices are multiples of this, in major units
    #[arg(long, value_name = "AMOUNT", default_value = "1", value_parser = above_zero)]
    pub step: UnitAmount,
    /// No price below this, in major units
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    pub min: Option<UnitAmount>,
    /// No price above this, in major units
    #[arg(long, value_name = "AMOUNT", value_parser = amount)]
    pub max: Option<UnitAmount>,
    /// Show both bills at these quantities [default: two and a half quotas]
    #[arg(long, value_name = "QTY", num_args = 1.., value_parser = quantity)]
    pub at: Vec<Quantity>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct SimulateFlags {
    #[command(flatten)]
    pub candidates: CandidateFlags,
    /// One closed billing period [default: the newest]
    #[arg(long, value_name = "YYYY-MM", value_parser = Period::parse, conflicts_with = "periods")]
    pub period: Option<Period>,
    /// All closed billing periods from the first to the last
    #[arg(long, value_name = "FIRST..LAST", value_parser = span)]
    pub periods: Option<(Period, Period)>,
    #[command(flatten)]
    pub plan: PlanFlags,
    /// Name the bills that grow by more than this
    #[arg(long, value_name = "PERCENT", default_value = "25%", value_parser = shock)]
    pub shock: Shock,
    /// How many of them to print for each price and currency
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub top: usize,
    /// Write every bill at every price to this file (CSV); it must not be there yet
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub struct CandidateFlags {
    /// Prices for each unit above the quota, in major units
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = amount)]
    pub prices: Vec<UnitAmount>,
    /// The first of a range of prices, in major units
    #[arg(long, value_name = "AMOUNT", requires_all = ["to", "step"], value_parser = amount)]
    pub from: Option<UnitAmount>,
    /// The last of it
    #[arg(long, value_name = "AMOUNT", requires = "from", value_parser = amount)]
    pub to: Option<UnitAmount>,
    /// From one price of it to the next
    #[arg(long, value_name = "AMOUNT", requires = "from", value_parser = above_zero)]
    pub step: Option<UnitAmount>,
    /// A file with a Price object of Stripe's API (JSON), or - for standard input
    #[arg(long, value_name = "FILE")]
    pub stripe_price: Option<String>,
}

fn amount(text: &str) -> Result<UnitAmount, String> {
    match UnitAmount::parse(text) {
        Ok(amount) if amount.is_negative() => Err("must not be negative".to_owned()),
        Ok(amount) => Ok(amount),
        Err(error) => Err(error.to_string()),
    }
}

fn above_zero(text: &str) -> Result<UnitAmount, String> {
    let amount = amount(text)?;
    if amount.is_zero() { Err("must be above 0".to_owned()) } else { Ok(amount) }
}

fn quantity(text: &str) -> Result<Quantity, String> {
    match Quantity::parse(text) {
        Ok(quantity) if quantity.is_negative() => Err("must not be negative".to_owned()),
        Ok(quantity) => Ok(quantity),
        Err(error) => Err(error.to_string()),
    }
}

/// With its sign: `0.2` could be meant as a share.
fn percent(text: &str) -> Result<Quantity, String> {
    let number = text.strip_suffix('%').ok_or("write a percentage such as 20%")?;
    let percent = quantity(number.trim())?;
    let most = Quantity::whole(1_000_000).map_err(|error| error.to_string())?;
    if percent > most { Err("must be at most 1000000%".to_owned()) } else { Ok(percent) }
}

fn shock(text: &str) -> Result<Shock, String> {
    Shock::new(percent(text)?).ok_or_else(|| "must be from 0% to 1000000%".to_owned())
}

fn span(text: &str) -> Result<(Period, Period), String> {
    let (first, last) = text.split_once("..").ok_or("write two months such as 2026-09..2026-10")?;
    let period = |text| Period::parse(text).map_err(|error| error.to_string());
    let span = (period(first)?, period(last)?);
    if span.0 <= span.1 { Ok(span) } else { Err(format!("{first} comes after {last}")) }
}
