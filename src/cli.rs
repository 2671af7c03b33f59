//! The command line.
//!
//! In: arguments. Out: one parsed [`Cli`]. Holds words and types only: what a command does stands in `commands/`.

mod people;
mod price;
mod tool;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use jiff::{SignedDuration, Timestamp};

use crate::domain::money::Currency;
use crate::domain::number::Quantity;
use crate::domain::period::{Interval, Period};
use crate::domain::report::{CsvFormat, Delimiter};

pub use people::{
    ApproveFlags, ClaimFlags, ParkFlags, UnlockFlags, UnparkFlags, VerifyFlags, VerifySubject, WordFlags,
};
pub use price::{CandidateFlags, PlanFlags, Price, SimulateFlags, SuggestFlags};
pub use tool::{CompletionsFlags, ManFlags};

/// Closes usage-billing periods, proves them, and says whether overage pricing is ready.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalFlags,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Args, Clone, Debug, Default)]
pub struct GlobalFlags {
    /// Configuration file [default: billrecon.toml, where there is one]
    #[arg(long, global = true, help_heading = "For every command", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// `sqlite://PATH` or `postgres://USER@HOST/NAME`
    #[arg(long, global = true, help_heading = "For every command", value_name = "URL")]
    pub database: Option<String>,
    /// Folder that takes the reports
    #[arg(long, global = true, help_heading = "For every command", value_name = "DIR")]
    pub reports: Option<String>,
    /// What to log on stderr: error, warn, info, debug, trace, or a filter
    #[arg(long, global = true, help_heading = "For every command", value_name = "LEVEL")]
    pub log: Option<String>,
    /// How logs are written: text, or json with one object a line
    #[arg(long, global = true, help_heading = "For every command", value_name = "FORMAT")]
    pub log_format: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a commented billrecon.toml, an example catalog and a .gitignore; changes no file that is there
    Init(InitFlags),
    /// Show the settings
    #[command(subcommand)]
    Config(Config),
    /// Look for what is not as a run needs it: silent where all is well, else a line per finding with what to do
    Doctor(DoctorFlags),
    /// Bring a catalog, tenants or usage into the database
    #[command(subcommand)]
    Import(Import),
    /// Push usage, compare with Stripe, close every billing period that is due, and write its reports
    Run(RunFlags),
    /// Stay and run by the clock: at once, then whenever the schedule says so
    Serve(ServeFlags),
    /// Show where the periods, the lease and the last runs stand
    Status(StatusFlags),
    /// Name the draft invoices that would go out wrong, while Stripe still holds them; changes nothing
    Guard(GuardFlags),
    /// Tell how a tenant's figures of a period came about: records, exclusions, quota, tiers, lines
    Explain(ExplainFlags),
    /// Print a closed period's figures by tenant, plan and meter, as they were closed or with what came late
    Report(ReportFlags),
    /// Recompute a run's files, totals and audit chain, and name the first thing that does not hold
    Verify(VerifyFlags),
    /// Say that a run's figures are right, after they have been verified: one more row of the audit log
    Approve(ApproveFlags),
    /// Judge a closed period again, by this or another policy; changes nothing
    Decide(DecideFlags),
    /// Which overage price to set, and what it would change for every tenant
    #[command(subcommand)]
    Price(Price),
    /// Price quantities, by a plan of a catalog or by Stripe prices: a calculator without database, key or network
    #[command(after_help = RATE_EXAMPLES)]
    Rate(RateFlags),
    /// Set a tenant aside: from the next run on nothing is sent for it and its windows do not close
    Park(ParkFlags),
    /// Let a tenant go on that a person or a safety check has set aside
    Unpark(UnparkFlags),
    /// End the lease of a process that is gone
    Unlock(UnlockFlags),
    /// Play a made-up company's months in ./billrecon-demo: no set-up, no key, nothing leaves the machine
    Demo,
    /// Serve a subset of Stripe's billing API on this machine, for tests: nothing is charged, nothing leaves the machine
    Sandbox(SandboxFlags),
    /// Print what a shell reads to complete commands and flags, such as for `source <(billrecon completions bash)`
    Completions(CompletionsFlags),
    /// Print the manual's main page, or write a page for each command into a folder
    Man(ManFlags),
}

#[derive(Debug, Subcommand)]
pub enum Import {
    /// Meters, plans and prices (TOML)
    Catalog(CatalogFlags),
    /// Tenants and their subscriptions (CSV)
    Tenants(ImportFlags),
    /// Usage records (CSV or NDJSON)
    Usage(UsageFlags),
}

#[derive(Debug, Subcommand)]
pub enum Config {
    /// What is set, in the form of billrecon.toml; secrets are named and not shown
    Show(ConfigShowFlags),
}

#[derive(Args, Debug)]
pub struct ConfigShowFlags {
    /// Say of each setting where it was set
    #[arg(long)]
    pub origin: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct DoctorFlags {
    /// Take warnings for errors
    #[arg(long)]
    pub strict: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct InitFlags {
    /// The folder, which is made if it is not there
    #[arg(default_value = ".", value_name = "DIR")]
    pub folder: PathBuf,
}

#[derive(Args, Debug)]
pub struct ImportFlags {
    /// The file, or - for standard input
    pub file: String,
    /// How long to wait for another run that holds the lease
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub lock_wait: Duration,
    /// Print the receipt as one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct CatalogFlags {
    #[command(flatten)]
    pub import: ImportFlags,
    /// Say what would change against the current catalog, plan by plan, and change nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Usage takes no lease, so there is none to wait for.
#[derive(Args, Debug)]
pub struct UsageFlags {
    /// The file, or - for standard input
    pub file: String,
    /// Print the receipt as one JSON object
    #[arg(long)]
    pub json: bool,
}

const RATE_EXAMPLES: &str = "\
Examples:
  billrecon rate --catalog catalog.toml --plan pro --use b2b.match_request=250
  echo '{\"id\":1,\"currency\":\"usd\",\"price\":{\"unit_amount_decimal\":\"0.05\"},\"quantity\":\"30\"}' | billrecon rate --batch -";

#[derive(Args, Debug)]
pub struct RateFlags {
    /// A catalog (TOML), or - for standard input
    #[arg(long, value_name = "FILE", requires = "plan", required_unless_present = "batch")]
    pub catalog: Option<String>,
    /// The plan's key, as in the catalog or nearly so
    #[arg(long, value_name = "KEY", requires = "catalog")]
    pub plan: Option<String>,
    /// Which of several plans with that key: month or year
    #[arg(long, value_name = "INTERVAL", requires = "catalog", value_parser = interval)]
    pub interval: Option<Interval>,
    /// Which of several plans with that key: a currency code
    #[arg(long, value_name = "CODE", requires = "catalog", value_parser = Currency::parse)]
    pub currency: Option<Currency>,
    /// What was used of a meter, after its aggregation; a meter that is not named was not used
    #[arg(long = "use", value_name = "METER=QTY", num_args = 1.., requires = "catalog", value_parser = used)]
    pub used: Vec<(String, Quantity)>,
    /// Rate lines `{"id","currency","price","quantity"}` (NDJSON), or - for standard input; one JSON object for each
    #[arg(long, value_name = "FILE", conflicts_with = "catalog")]
    pub batch: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct ReportFlags {
    /// The billing period, as its last run left it, such as 2026-10
    #[arg(long, value_name = "YYYY-MM", value_parser = Period::parse, required_unless_present = "run", conflicts_with = "run")]
    pub period: Option<Period>,
    /// A run, by its id: the figures as they were when it ended
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
    /// Beside each figure what came late, and both together
    #[arg(long)]
    pub restated: bool,
    #[command(flatten)]
    pub csv: CsvFlags,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// How CSV is written; a run's files keep to it for good.
#[derive(Args, Clone, Copy, Debug)]
pub struct CsvFlags {
    /// Begin each CSV file with a byte order mark, by which Excel knows UTF-8
    #[arg(long)]
    pub excel: bool,
    /// What stands between cells: `,` `;` `tab` or `|` [default: ,]
    #[arg(long, value_name = "C", value_parser = Delimiter::parse)]
    pub delimiter: Option<Delimiter>,
}

impl CsvFlags {
    /// `None`: nothing was asked for.
    pub fn format(self) -> Option<CsvFormat> {
        let format = CsvFormat { bom: self.excel, delimiter: self.delimiter.unwrap_or_default() };
        (self.excel || self.delimiter.is_some()).then_some(format)
    }
}

#[derive(Args, Debug)]
pub struct RunFlags {
    /// Only this billing period, such as 2026-10; an open one is looked at and never closed
    #[arg(long, value_name = "YYYY-MM", value_parser = Period::parse)]
    pub period: Option<Period>,
    /// Run as at this instant; with a real account only an earlier one, and only to look
    #[arg(long, value_name = "INSTANT")]
    pub as_of: Option<Timestamp>,
    #[command(flatten)]
    pub look: LookFlags,
    #[command(flatten)]
    pub csv: CsvFlags,
    /// End with 20 (`NO_GO` or `REVIEW`), 22 (insufficient data) or 21 (differences) where a run would end with 0
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// How long to wait for another run that holds the lease
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = duration)]
    pub lock_wait: Duration,
    /// Print one JSON object per period
    #[arg(long)]
    pub json: bool,
}

/// Ways to run that write nothing and send nothing but reads.
#[derive(Args, Debug)]
pub struct LookFlags {
    /// Say what a run would do, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Also ask Stripe what open windows would cost at the candidate prices; does nothing else, as --dry-run
    #[arg(long)]
    pub what_if: bool,
}

#[derive(Args, Debug)]
pub struct SandboxFlags {
    /// Where to listen: a loopback address and a port; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0", value_parser = loopback)]
    pub listen: SocketAddr,
    /// The journal that holds the account; made if it is not there
    #[arg(long, value_name = "FILE")]
    pub state: PathBuf,
    /// Let time stand at this instant, or at the latest of the journal, instead of following the machine's clock
    #[arg(long, value_name = "INSTANT")]
    pub now: Option<Timestamp>,
    /// How the account is to misbehave (TOML); without it, not at all
    #[arg(long, value_name = "FILE")]
    pub manners: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct StatusFlags {
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct GuardFlags {
    /// Only the drafts of this billing period, such as 2026-10
    #[arg(long, value_name = "YYYY-MM", value_parser = Period::parse)]
    pub period: Option<Period>,
    /// Look as at this instant; with a real account only an earlier one
    #[arg(long, value_name = "INSTANT")]
    pub as_of: Option<Timestamp>,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct DecideFlags {
    /// The policy file (TOML) [default: the one that runs go by]
    #[arg(long, value_name = "FILE")]
    pub policy: Option<PathBuf>,
    /// A closed billing period, such as 2026-10 [default: the newest]
    #[arg(long, value_name = "YYYY-MM", value_parser = Period::parse)]
    pub period: Option<Period>,
    /// End with 20 (`NO_GO` or `REVIEW`), 22 (insufficient data) or 21 (differences) where it would end with 0
    #[arg(long)]
    pub detailed_exitcode: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct ExplainFlags {
    /// The tenant's id, as in the tenants file
    #[arg(value_name = "TENANT")]
    pub tenant: String,
    /// The billing period, such as 2026-10
    #[arg(long, value_name = "YYYY-MM", value_parser = Period::parse)]
    pub period: Period,
    /// Only this meter
    #[arg(long, value_name = "METER")]
    pub meter: Option<String>,
    /// Name every record behind the figures, and what became of it
    #[arg(long)]
    pub records: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Args, Debug)]
pub struct ServeFlags {
    /// When to wake, as in a crontab, such as '5 * * * *' (a sixth field in front counts seconds)
    #[arg(long, value_name = "EXPR")]
    pub schedule: Option<String>,
    /// Print one JSON object per period
    #[arg(long)]
    pub json: bool,
}

/// The sandbox knows no passwords, so nobody beyond the machine may reach it.
fn loopback(text: &str) -> Result<SocketAddr, String> {
    let address: SocketAddr =
        text.parse().map_err(|_| "write an address and a port such as 127.0.0.1:12111".to_owned())?;
    if address.ip().is_loopback() {
        Ok(address)
    } else {
        Err("is reachable from other machines; the sandbox listens on 127.0.0.1 or [::1] only".to_owned())
    }
}

fn interval(text: &str) -> Result<Interval, String> {
    Interval::parse(text).ok_or_else(|| "write month or year".to_owned())
}

fn used(text: &str) -> Result<(String, Quantity), String> {
    let (meter, quantity) = text
        .rsplit_once('=')
        .filter(|(meter, _)| !meter.is_empty())
        .ok_or("write a meter and a quantity such as api_requests=1250.5")?;
    let quantity = Quantity::parse(quantity).map_err(|error| format!("the quantity `{quantity}` {error}"))?;
    Ok((meter.to_owned(), quantity))
}

fn duration(text: &str) -> Result<Duration, String> {
    let parsed: SignedDuration =
        text.parse().map_err(|_| "write a duration such as 90s, 5m or 2h".to_owned())?;
    Duration::try_from(parsed).map_err(|_| "must not be negative".to_owned())
}
