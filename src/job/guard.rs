//! Guard: which draft renewal invoices would go out wrong, while there is still time to hold them.
//!
//! In: settings, `now`. Out: a [`Guarded`] to print, and where there is a Slack an alert. Never changes a figure and never sends
//! usage: it reads lists, and of those drafts only that differ what a run reads to name the cause. The cause is the run's, too.

mod causes;
mod draft;
mod finding;
mod windows;

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::catalog::Catalog;
use crate::domain::intent::PushMode;
use crate::domain::parking::Parking;
use crate::domain::period::Period;
use crate::domain::tenant::Tenant;
use crate::job::claims::claimed_twice;
use crate::job::connection::{Target, Wire, check_pin};
use crate::job::due::{explicit_period, require_first_period};
use crate::job::interrupt::Signals;
use crate::job::reading::owners;
use crate::job::seed::seed;
use crate::job::stage::LONGEST_DRAFT;
use crate::job::standing::{self, Invoices, Standing};
use crate::job::{Refusal, Settings, alert, current_catalog, due};
use crate::store::{Access, Store};

pub use finding::{Disagreement, Draft, Finding, Outcome};

#[derive(Clone, Debug, Default)]
pub struct GuardOptions {
    /// Only the drafts of this period's windows.
    pub period: Option<Period>,
    /// Another time than now: a sandbox takes any, a real account only an earlier one.
    pub as_of: Option<Timestamp>,
}

/// What the guard has seen.
#[derive(Debug)]
pub struct Guarded {
    /// `SANDBOX`, `TEST` or `LIVE`.
    pub mode: String,
    pub livemode: bool,
    pub is_sandbox: bool,
    pub now: Timestamp,
    /// How many drafts were looked at.
    pub drafts: usize,
    /// All but those that agree; what is wrong first, and of that the worst money.
    pub findings: Vec<Finding>,
}

impl Guarded {
    pub fn of(&self, outcome: Outcome) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(move |one| one.outcome == outcome)
    }

    /// Whether a person or a run has something to do before the drafts go out.
    pub fn needs_attention(&self) -> bool {
        self.findings.iter().any(|one| one.outcome != Outcome::Settles)
    }
}

pub async fn guard(settings: &Settings, options: &GuardOptions, clock: Timestamp) -> anyhow::Result<Guarded> {
    let mut signals = Signals::listen()?;
    let work = async {
        let target = Target::choose(settings).await?;
        let now = options.as_of.unwrap_or(clock);
        if now > clock && !target.is_sandbox() {
            let text = format!("--as-of {now} lies in the future; only a sandbox can look ahead");
            return Err(Refusal::Configuration(text).into());
        }
        let store = settings.open(Access::ReadOnly).await?.at(now.max(clock));
        let guarded = Box::pin(look(settings, options, target, &store, now)).await;
        store.close().await;
        let guarded = guarded?;
        // Who looks back only looks.
        if now >= clock || guarded.is_sandbox {
            alert::of_drafts(&guarded, settings).await;
        }
        Ok(guarded)
    };
    signals.unless_interrupted(work).await
}

/// What holds for all drafts.
struct Rules {
    catalog: Catalog,
    catalog_hash: String,
    tenants: Vec<Tenant>,
    /// Who is held, and what was released.
    parking: Parking,
    first_period: Option<Period>,
}

/// What a draft is looked at with.
struct Case<'a> {
    settings: &'a Settings,
    rules: &'a Rules,
    standing: &'a Standing,
    /// The tenant of each subscription.
    owners: &'a BTreeMap<&'a str, &'a str>,
    wire: &'a Wire,
    store: &'a Store,
    now: Timestamp,
}

async fn look(
    settings: &Settings,
    options: &GuardOptions,
    target: Target,
    store: &Store,
    now: Timestamp,
) -> anyhow::Result<Guarded> {
    let mut view = store.books().snapshot().await?;
    check_pin(view.pinned_account().await?.as_ref(), &target)?;
    let (stored, catalog) = current_catalog(&mut view).await?;
    let tenants = view.tenants().await?;
    let parking = view.parking().await?;
    drop(view);
    require_first_period(settings, &target)?;
    let first_period = due::first_period(&tenants, settings)?;
    let period = options.period.map(|period| explicit_period(period, settings, &tenants, now)).transpose()?;
    let rules = Rules { catalog, catalog_hash: stored.catalog_hash, tenants, parking, first_period };
    let seed = seed(&rules.catalog, &rules.tenants, settings, now);
    let mut wire = Box::pin(target.connect(settings, &seed, true, now)).await?;
    let guarded = judge(settings, period, &rules, &mut wire, store, now).await;
    wire.close().await;
    guarded
}

async fn judge(
    settings: &Settings,
    period: Option<Period>,
    rules: &Rules,
    wire: &mut Wire,
    store: &Store,
    now: Timestamp,
) -> anyhow::Result<Guarded> {
    let standing = read_standing(rules, wire, now).await?;
    let owners = owners(&rules.tenants);
    let case = Case { settings, rules, standing: &standing, owners: &owners, wire, store, now };
    let found = windows::candidates(&case, period).await?;
    let mut findings = found.without_window;
    let mut differing = Vec::new();
    for one in found.candidates {
        match draft::compare(&one, &case) {
            Ok(Ok(None)) => {}
            Ok(Ok(Some(doubt))) => differing.push((one, doubt)),
            Ok(Err(why)) => findings.push(Finding::uncompared(Draft::of(&one), why)),
            Err(error) => findings.push(Finding::uncompared(Draft::of(&one), error.to_string())),
        }
    }
    findings.extend(causes::findings(&differing, &case).await?);
    let unread = draft::unread(&standing, &owners);
    let drafts = found.drafts + unread.len();
    findings.extend(unread);
    findings.sort_by_cached_key(Finding::rank);
    Ok(Guarded {
        mode: wire.mode.clone(),
        livemode: wire.account.livemode && !wire.account.is_sandbox(),
        is_sandbox: wire.account.is_sandbox(),
        now,
        drafts,
        findings,
    })
}

/// Drafts only. Here a price that differs from the catalog is what is looked for and no reason to refuse, so all is read as
/// for one who only observes.
async fn read_standing(rules: &Rules, wire: &mut Wire, now: Timestamp) -> anyhow::Result<Standing> {
    let since = now.checked_sub(LONGEST_DRAFT).unwrap_or(Timestamp::MIN);
    let push = std::mem::replace(&mut wire.push, PushMode::Observe);
    let invoices = Some(Invoices { since, only_drafts: true });
    let standing = standing::read(wire, &rules.catalog, &rules.tenants, invoices, now).await;
    wire.push = push;
    let claimed_twice = claimed_twice(&rules.tenants, &rules.catalog);
    Ok(Standing { claimed_twice, ..standing? })
}
