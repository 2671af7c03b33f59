//! The job: the only place that knows the order of the steps.
//!
//! In: settings, `now`. Out: what was done, as values for the commands to print. Observe (reads) → plan (pure) →
//! execute (writes): a dry run stops before execute.

mod ages;
mod alert;
pub mod approve;
mod beside;
mod bounds;
pub mod catalog_change;
mod catalogs;
pub mod checks;
mod claims;
mod compare;
mod concern;
mod connection;
pub mod decide;
mod deliver;
pub mod doctor;
mod due;
mod edges;
mod evidence;
mod execute;
pub mod explain;
pub mod guard;
pub mod import;
mod intents;
mod interrupt;
mod judge;
mod late;
pub mod lease;
mod limits;
mod made_with;
mod mapping;
mod message;
mod moved;
mod notes;
mod observe;
mod outbox;
mod outcome;
mod page;
pub mod parking;
mod period;
mod person;
mod plan;
pub mod price;
pub mod progress;
mod push;
mod reading;
pub mod remind;
pub mod report;
mod run;
mod seed;
mod send;
mod stage;
mod stake;
mod standing;
pub mod status;
mod told;
pub mod unlock;
pub mod verify;
pub mod vitals;
mod what_if;

pub use connection::Target;
pub use interrupt::{Interrupted, Signals};
pub use late::sentence as late_usage;
pub use message::{SlackSettings, difference};
pub use outcome::{PeriodOutcome, Unfinished, exception};
pub use plan::Purpose;
pub use run::{RunOptions, Wake, run, run_on};
pub use what_if::{Outcome, WhatIf};

use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use secrecy::SecretString;

use crate::domain::bounds::Bounds;
use crate::domain::catalog::Catalog;
use crate::domain::intent::PushMode;
use crate::domain::period::Period;
use crate::domain::policy::Policy;
use crate::domain::reconcile::Tolerances;
use crate::store::books::{BooksView, StoredCatalog};
use crate::store::ledger::OwnLedger;
use crate::store::{Access, Database, Store};
use crate::stripe::Pace;

/// What the job refuses to begin, and why.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Configuration(String),
    #[error("{0}")]
    CannotCreate(String),
    /// What was named is not there, or what is stored or written does not hold.
    #[error("{0}")]
    BadData(String),
    #[error("{0}")]
    NotPermitted(String),
}

/// The settings that the job works by.
#[derive(Clone, Debug)]
pub struct Settings {
    pub database: Database,
    /// Usage lies in a table of the user's own.
    pub ledger: Option<OwnLedger>,
    pub reports: PathBuf,
    pub time_zone: TimeZone,
    pub time_zone_name: String,
    pub first_period: Option<Period>,
    /// How many closed periods, the newest first, are looked at again when usage came for them.
    pub late_usage_periods: usize,
    /// How long after a window's end it is final, where no invoice says so.
    pub settle_delay: SignedDuration,
    pub lease_ttl: Duration,
    pub rules_hash: String,
    /// `None`: the policy that is built in.
    pub policy: Option<PolicyFile>,
    pub bounds: Bounds,
    pub stripe: StripeSettings,
    /// `None`: the account decides.
    pub push_mode: Option<PushMode>,
    /// While this file is there nothing is pushed.
    pub off_switch: PathBuf,
    /// By how much the two sides may differ and still agree.
    pub tolerances: Tolerances,
    pub slack: SlackSettings,
    /// Whether the one who ran may approve too.
    pub runner_may_approve: bool,
    /// Every output says DEMO.
    pub demo: bool,
}

/// What decides, as somebody wrote it. The names in it are those of a catalog, which is read later.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFile {
    pub file: String,
    pub text: String,
}

/// The plan that the policy judges which is built in.
const JUDGED_PLAN: &str = "pro";

/// The policy, checked against a catalog.
fn policy(file: Option<&PolicyFile>, catalog: &Catalog) -> Result<Policy, Refusal> {
    let Some(PolicyFile { file, text }) = file else { return Ok(Policy::default_for(JUDGED_PLAN)) };
    let checked = crate::ingest::policy::read(text, file, catalog);
    checked.map_err(|error| Refusal::Configuration(error.to_string()))
}

/// Which Stripe the job speaks to.
#[derive(Clone, Debug)]
pub struct StripeSettings {
    /// `None`: the sandbox.
    pub api_key: Option<SecretString>,
    pub api_base: String,
    /// The sandbox was asked for.
    pub sandbox: bool,
    /// Where the sandbox keeps its state; `None`: beside the database.
    pub sandbox_state: Option<PathBuf>,
    pub pace: Pace,
}

impl Settings {
    #[tracing::instrument(level = "debug", name = "open", skip_all)]
    pub async fn open(&self, access: Access) -> anyhow::Result<Store> {
        let store = Store::open(&self.database, access).await?;
        Ok(match self.ledger.clone() {
            Some(ledger) => store.with_own_ledger(ledger),
            None => store,
        })
    }
}

/// The name under which this process holds the lease.
pub fn holder_name() -> String {
    let host = gethostname::gethostname();
    format!("{}/{}", host.to_string_lossy(), std::process::id())
}

/// The current catalog, parsed; a database without one is not set up.
async fn current_catalog(view: &mut BooksView) -> anyhow::Result<(StoredCatalog, Catalog)> {
    let Some(stored) = view.catalog().await? else {
        let text = "no catalog has been imported: run `billrecon import catalog FILE` first";
        return Err(Refusal::Configuration(text.to_owned()).into());
    };
    let catalog = crate::ingest::catalog::read(&stored.body, "the stored catalog")?;
    Ok((stored, catalog))
}

/// A run's id: when it began, and some letters that make it unique.
fn new_run_id(now: Timestamp) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{}-{}", now.strftime("%Y%m%dT%H%M%SZ"), &random[..8])
}
