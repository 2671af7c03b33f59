//! The Stripe that a wake speaks to: the account of a key, or the sandbox; and the pin that keeps a database with it.
//!
//! In: settings, the pin, what the sandbox is to know. Out: a [`Wire`], or a refusal that says what to set. Both ends take
//! the same way: only the base URL differs. Never shows a key.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::domain::intent::PushMode;
use crate::domain::invoice::Account;
use crate::job::{Refusal, Settings};
use crate::sandbox::{Clock, Sandbox, Seed, State};
use crate::store::Database;
use crate::stripe::{Limits, Stripe, Target as StripeTarget};

/// Any test key is the sandbox's one account.
const SANDBOX_KEY: &str = "sk_test_billrecon_sandbox";

/// Where Stripe is, before the lease is taken.
pub enum Target {
    /// A key was given; its account has answered.
    Remote(Box<Stripe>, Account),
    /// The sandbox's journal.
    Embedded(PathBuf),
}

/// An account that answers.
pub struct Wire {
    pub stripe: Stripe,
    pub account: Account,
    /// The account as every output names it: `SANDBOX`, `TEST` or `LIVE`.
    pub mode: String,
    pub push: PushMode,
    /// Lives as long as the wake.
    sandbox: Option<Sandbox>,
}

impl Target {
    pub async fn choose(settings: &Settings) -> anyhow::Result<Self> {
        let stripe = &settings.stripe;
        let Some(api_key) = &stripe.api_key else {
            return Ok(Self::Embedded(embedded_state(settings)?));
        };
        let target = StripeTarget { api_base: stripe.api_base.clone(), api_key: api_key.clone() };
        let stripe = Stripe::with_limits(target, limits(settings))?;
        let account = stripe.account().await?;
        Ok(Self::Remote(Box::new(stripe), account))
    }

    /// Whether no real bill can come of it, so that a run may choose its own time.
    pub fn is_sandbox(&self) -> bool {
        match self {
            Self::Remote(_, account) => account.is_sandbox(),
            Self::Embedded(_) => true,
        }
    }

    /// Starts the sandbox where it stands in. The lease must have been won before.
    pub async fn connect(
        self,
        settings: &Settings,
        seed: &Seed,
        dry_run: bool,
        now: Timestamp,
    ) -> anyhow::Result<Wire> {
        let (stripe, account, sandbox) = match self {
            Self::Remote(stripe, account) => (*stripe, account, None),
            Self::Embedded(journal) => {
                let state = if dry_run { State::MemoryFrom(journal) } else { State::File(journal) };
                let sandbox = Sandbox::start(state, Clock::At(now), seed).await?;
                let target =
                    StripeTarget { api_base: sandbox.base_url(), api_key: SANDBOX_KEY.to_owned().into() };
                let stripe = Stripe::with_limits(target, limits(settings))?;
                let account = stripe.account().await?;
                (stripe, account, Some(sandbox))
            }
        };
        let default = if account.is_sandbox() { PushMode::Push } else { PushMode::Observe };
        let push = settings.push_mode.unwrap_or(default);
        let mode = mode_of(&account, settings.demo);
        Ok(Wire { stripe, account, mode, push, sandbox })
    }
}

impl Wire {
    /// Ends the sandbox, so that its journal is whole and free.
    pub async fn close(self) {
        if let Some(sandbox) = self.sandbox {
            sandbox.stop().await;
        }
    }
}

fn limits(settings: &Settings) -> Limits {
    Limits { pace: settings.stripe.pace, ..Limits::default() }
}

/// The account as every output names it.
pub fn mode_of(account: &Account, demo: bool) -> String {
    let word = match (account.is_sandbox(), account.livemode) {
        (true, _) => "SANDBOX",
        (false, true) => "LIVE",
        (false, false) => "TEST",
    };
    if demo { format!("DEMO {word}") } else { word.to_owned() }
}

/// Where the sandbox keeps its state. On PostgreSQL somebody must have asked for it.
fn embedded_state(settings: &Settings) -> Result<PathBuf, Refusal> {
    let stripe = &settings.stripe;
    if let (Database::Postgres(_), false) = (&settings.database, stripe.sandbox) {
        let text = "there is no Stripe key: set BILLRECON_STRIPE_API_KEY (or …_FILE), or ask for the sandbox with \
                    BILLRECON_STRIPE_SANDBOX=1; with PostgreSQL it never stands in by itself";
        return Err(Refusal::Configuration(text.to_owned()));
    }
    Ok(match (&stripe.sandbox_state, &settings.database) {
        (Some(path), _) => path.clone(),
        (None, Database::Sqlite(path)) => beside(path),
        (None, Database::Postgres(_)) => PathBuf::from("billrecon.sandbox"),
    })
}

fn beside(database: &Path) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(".sandbox");
    PathBuf::from(name)
}

/// Refuses another account than the pinned one.
pub fn check_pin(pinned: Option<&Account>, target: &Target) -> Result<(), Refusal> {
    let Some(pinned) = pinned else { return Ok(()) };
    let text = match target {
        Target::Embedded(_) if pinned.is_sandbox() => return Ok(()),
        Target::Remote(_, account) if account == pinned => return Ok(()),
        Target::Embedded(_) => format!(
            "this database belongs to the Stripe account {}, and there is no key: set BILLRECON_STRIPE_API_KEY (or \
             …_FILE) to a key of that account",
            pinned.id
        ),
        Target::Remote(_, account) => format!(
            "this database belongs to {}, but the key belongs to {}: use a key of that account and mode, or another \
             database",
            name(pinned),
            name(account)
        ),
    };
    Err(Refusal::Configuration(text))
}

fn name(account: &Account) -> String {
    let mode = if account.livemode { "live mode" } else { "test mode" };
    if account.is_sandbox() { "the sandbox".to_owned() } else { format!("{} in {mode}", account.id) }
}
