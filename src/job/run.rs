//! A run: every begun period is pushed, compared and, when it is due, closed; oldest first, one run per period.
//!
//! In: settings, options, `now`. Out: one [`PeriodOutcome`] per period. A period that cannot be finished never blocks
//! a later one. A dry run does the same up to the plan, from a database that it cannot write to.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::Context;
use jiff::{SignedDuration, Timestamp};

use crate::domain::catalog::Catalog;
use crate::domain::intent::PushMode;
use crate::domain::parking::Parking;
use crate::domain::period::Period;
use crate::domain::policy::Policy;
use crate::domain::report::CsvFormat;
use crate::domain::tenant::Tenant;
use crate::job::checks::{check_grace_period, check_key};
use crate::job::connection::{Target, Wire, check_pin};
use crate::job::doctor::database::require_one_time;
use crate::job::execute;
use crate::job::interrupt::Signals;
use crate::job::lease::{Lease, under_lease};
use crate::job::moved::moved_keys;
use crate::job::outcome::PeriodOutcome;
use crate::job::period::{Wake as PeriodWake, play};
use crate::job::seed::seed;
use crate::job::send;
use crate::job::standing::{self, Invoices, Standing};
use crate::job::{
    Refusal, Settings, alert, beside, claims, concern, current_catalog, deliver, due, late, outbox, policy,
};
use crate::store::books::{PeriodJob, PeriodStatus, Run};
use crate::store::{Access, Books, Store, StoreError};
use crate::stripe::StripeError;

#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    pub period: Option<Period>,
    /// Plan only.
    pub dry_run: bool,
    /// Stripe is also asked what open windows would cost at the candidate prices. Nothing else is done then.
    pub what_if: bool,
    /// Another time than now: a sandbox takes any, a real account only an earlier one, and only to look.
    pub as_of: Option<Timestamp>,
    pub lock_wait: Duration,
    /// How far apart two wakes can be, where that is known.
    pub longest_gap: Option<SignedDuration>,
    /// How CSV files are written.
    pub csv: CsvFormat,
}

impl RunOptions {
    /// Whether a wake writes nothing: a dry run, or a look back at a real account.
    pub fn look_only(&self, settings: &Settings, clock: Timestamp) -> bool {
        let looks_back = self.as_of.is_some_and(|now| now < clock) && settings.stripe.api_key.is_some();
        self.dry_run || self.what_if || looks_back
    }
}

/// What a wake did, and what it could not do.
#[derive(Debug, Default)]
pub struct Wake {
    /// `SANDBOX`, `TEST` or `LIVE`.
    pub mode: String,
    pub now: Timestamp,
    pub dry_run: bool,
    pub what_if: bool,
    pub outcomes: Vec<PeriodOutcome>,
    /// Periods that failed by themselves; the others were not held up.
    pub failures: Vec<anyhow::Error>,
}

impl Wake {
    /// Keeps a failure that concerns one period; passes on one that concerns them all.
    fn take<T>(&mut self, period: Period, result: anyhow::Result<T>) -> anyhow::Result<Option<T>> {
        match result.with_context(|| format!("period {period}")) {
            Ok(value) => Ok(Some(value)),
            Err(error) if concerns_all(&error) => Err(error),
            Err(error) => {
                self.failures.push(error);
                Ok(None)
            }
        }
    }
}

/// Without the database, the lease or the account nothing can go on; anything else is the trouble of one period.
fn concerns_all(error: &anyhow::Error) -> bool {
    let store = error.chain().find_map(|cause| cause.downcast_ref::<StoreError>());
    let stripe = error.chain().find_map(|cause| cause.downcast_ref::<StripeError>());
    store.is_some_and(|error| !matches!(error, StoreError::Inconsistent(_)))
        || stripe.is_some_and(StripeError::concerns_all)
}

/// One wake at `clock`, the machine's time, unless the options name another that may be taken.
pub async fn run(settings: &Settings, options: &RunOptions, clock: Timestamp) -> anyhow::Result<Wake> {
    let wake = wake_once(settings, options, clock).await;
    if let Some(error) = wake.as_ref().err().filter(|_| !options.look_only(settings, clock)) {
        alert::of_failed_wake(error, settings, options.as_of.unwrap_or(clock)).await;
    }
    wake
}

async fn wake_once(settings: &Settings, options: &RunOptions, clock: Timestamp) -> anyhow::Result<Wake> {
    // From here on: a signal that comes while Stripe or the database is asked for the first time counts too.
    let mut signals = Signals::listen()?;
    let target = signals.unless_interrupted(Target::choose(settings)).await?;
    // A wake holds much; its callers should not.
    Box::pin(run_until(signals, target, settings, options, clock)).await
}

/// The same against a Stripe that was chosen elsewhere: a stand-in in this process, a simulation.
pub async fn run_on(
    target: Target,
    settings: &Settings,
    options: &RunOptions,
    clock: Timestamp,
) -> anyhow::Result<Wake> {
    Box::pin(run_until(Signals::listen()?, target, settings, options, clock)).await
}

async fn run_until(
    mut signals: Signals,
    target: Target,
    settings: &Settings,
    options: &RunOptions,
    clock: Timestamp,
) -> anyhow::Result<Wake> {
    let now = options.as_of.unwrap_or(clock);
    if now > clock && !target.is_sandbox() {
        let text = format!("--as-of {now} lies in the future; only a sandbox can look ahead");
        return Err(Refusal::Configuration(text).into());
    }
    let dry_run = options.dry_run || options.what_if || (now < clock && !target.is_sandbox());
    let access = if dry_run { Access::ReadOnly } else { Access::Write };
    let store = signals.unless_interrupted(settings.open(access)).await?.at(now.max(clock));
    let books = store.books();
    if !dry_run {
        signals.unless_interrupted(require_one_time(&store, clock)).await?;
    }
    let options = RunOptions { dry_run, ..options.clone() };
    let wake = if dry_run {
        let work = wake_up(settings, &options, target, &store, None, now);
        Box::pin(signals.unless_interrupted(work)).await
    } else {
        let work = async |lease: &Lease| wake_up(settings, &options, target, &store, Some(lease), now).await;
        Box::pin(under_lease(&books, settings.lease_ttl, options.lock_wait, now, &mut signals, work)).await
    };
    store.close().await;
    wake
}

/// The steps of a wake. Without a lease it is a dry run.
async fn wake_up(
    settings: &Settings,
    options: &RunOptions,
    target: Target,
    store: &Store,
    lease: Option<&Lease>,
    now: Timestamp,
) -> anyhow::Result<Wake> {
    let books = store.books();
    let (dry_run, what_if) = (lease.is_none(), options.what_if);
    let mut wake = Wake { now, dry_run, what_if, ..Wake::default() };
    let pinned = books.snapshot().await?.pinned_account().await?;
    check_pin(pinned.as_ref(), &target)?;
    if let Some(lease) = lease {
        finish_dead_runs(&mut wake, settings, lease, &books, now).await?;
    }
    let rules = Rules::read(settings, options, &target, store, now).await?;
    let seed = seed(&rules.catalog, &rules.tenants, settings, now);
    let wire = Box::pin(target.connect(settings, &seed, lease.is_none(), now)).await?;
    wake.mode.clone_from(&wire.mode);
    if let (None, Some(lease)) = (&pinned, lease) {
        let mut write = books.write(lease.term()?).await?;
        write.pin_account(&wire.account, now).await?;
        write.commit().await?;
    }
    let played = play_periods(&mut wake, settings, options, &rules, &wire, store, lease).await;
    if wire.push == PushMode::Push && send::is_off(&settings.off_switch) {
        let file = settings.off_switch.display();
        tracing::warn!("pushing is switched off: what is not sent yet waits until {file} is taken away");
    }
    wire.close().await;
    played?;
    if let Some(lease) = lease {
        alert::of_wake(&wake, settings, &books).await?;
        outbox::send(settings, Some(lease), &books).await?;
    }
    Ok(wake)
}

/// Takes up what killed runs left behind.
async fn finish_dead_runs(
    wake: &mut Wake,
    settings: &Settings,
    lease: &Lease,
    books: &Books,
    now: Timestamp,
) -> anyhow::Result<()> {
    for run in deliver::committed(books).await? {
        let delivered = deliver::deliver_committed(&run, settings, lease, books, now).await;
        wake.take(run.period, delivered)?;
    }
    execute::abandon_dead_runs(lease, books, now).await
}

async fn play_periods(
    wake: &mut Wake,
    settings: &Settings,
    options: &RunOptions,
    rules: &Rules,
    wire: &Wire,
    store: &Store,
    lease: Option<&Lease>,
) -> anyhow::Result<()> {
    if rules.periods.is_empty() {
        return Ok(());
    }
    let now = wake.now;
    // What came late to a closed period is told by the ledger and the books alone.
    let standing = if rules.periods.iter().all(|period| rules.is_only_late(*period)) {
        Standing::default()
    } else {
        read_standing(rules, settings, wire, now).await?
    };
    warn(&standing, settings, options, wire);
    for period in rules.periods.clone() {
        let one = PeriodWake { settings, rules, wire, standing: &standing, store, lease, options, now };
        // The steps of a period hold much; the wake should not.
        let outcome = Box::pin(concern::period(period, play(period, &one))).await;
        let outcome = wake.take(period, outcome)?.flatten();
        wake.outcomes.extend(outcome);
    }
    Ok(())
}

/// A renewal invoice is made when what it bills has ended, and others in the window itself; those of the earliest window
/// in a period that is not closed are the first of interest.
async fn read_standing(
    rules: &Rules,
    settings: &Settings,
    wire: &Wire,
    now: Timestamp,
) -> anyhow::Result<Standing> {
    let day = SignedDuration::from_hours(24);
    let zone = &settings.time_zone;
    let windows = rules
        .periods
        .iter()
        .filter(|period| !rules.is_only_late(**period))
        .flat_map(|period| rules.tenants.iter().flat_map(move |tenant| tenant.windows(*period, zone)));
    let earliest = windows.map(|window| beside::since(&window, now)).min();
    let since = earliest.and_then(|end| end.checked_sub(day).ok());
    let claimed_twice = claims::claimed_twice(&rules.tenants, &rules.catalog);
    let invoices = since.map(|since| Invoices { since, only_drafts: false });
    let standing = standing::read(wire, &rules.catalog, &rules.tenants, invoices, now).await?;
    let mut warnings = moved_keys(&rules.tenants, &rules.catalog, &standing, now);
    warnings.splice(0..0, standing.warnings);
    Ok(Standing { claimed_twice, warnings, ..standing })
}

/// Tells once what is not as it should be and still no reason to stop.
fn warn(standing: &Standing, settings: &Settings, options: &RunOptions, wire: &Wire) {
    let key = settings.stripe.api_key.as_ref().filter(|_| !wire.account.is_sandbox());
    let gap = options.longest_gap.filter(|_| wire.push == PushMode::Push);
    let invoices = || standing.invoices.values().flatten();
    let of_key = key.and_then(check_key);
    let of_gap = gap.and_then(|gap| check_grace_period(invoices(), gap));
    for warning in standing.warnings.iter().chain(&of_key).chain(&of_gap) {
        tracing::warn!("{warning}");
    }
}

/// What holds for all periods of a wake.
pub struct Rules {
    pub catalog: Catalog,
    pub catalog_hash: String,
    pub tenants: Vec<Tenant>,
    pub tenants_version: i64,
    pub periods: Vec<Period>,
    pub jobs: BTreeMap<Period, PeriodJob>,
    /// Closed periods for which records have come since they were looked at.
    pub late: BTreeSet<Period>,
    /// What people have said about tenants.
    pub parking: Parking,
    pub policy: Policy,
    /// The run that touched each period last.
    last_runs: BTreeMap<String, Run>,
    /// A person named the period.
    pub explicit: bool,
}

impl Rules {
    async fn read(
        settings: &Settings,
        options: &RunOptions,
        target: &Target,
        store: &Store,
        now: Timestamp,
    ) -> anyhow::Result<Self> {
        // Before the books: what arrives in between is seen by the next wake, and nothing is taken for seen.
        let counted = store.ledger().snapshot().await?.arrivals(None).await?;
        let mut view = store.books().snapshot().await?;
        let (stored, catalog) = current_catalog(&mut view).await?;
        let tenants = view.tenants().await?;
        let tenants_version = view.tenants_version().await?;
        let jobs = view.period_jobs().await?;
        let parking = view.parking().await?;
        due::require_first_period(settings, target)?;
        let mut periods = match options.period {
            Some(period) => vec![due::explicit_period(period, settings, &tenants, now)?],
            None => match due::first_period(&tenants, settings)? {
                Some(first) => due::begun(first, settings, now),
                None => Vec::new(),
            },
        };
        let explicit = options.period.is_some();
        let begun = jobs.values().filter(|job| periods.contains(&job.period));
        let (looks, back) = (view.looks().await?, settings.late_usage_periods);
        // Nobody has counted the rows of an own ledger; that they are counted after the books only means another look.
        let arrivals = match late::to_count(begun.clone(), &looks, back).filter(|_| settings.ledger.is_some())
        {
            Some(near) => store.ledger().snapshot().await?.arrivals(Some(near)).await?,
            None => counted,
        };
        let touched = late::touched(begun, &looks, &arrivals, back);
        if !explicit {
            warn_of_far(&touched.far, settings.late_usage_periods);
        }
        let late = touched.near;
        periods.retain(|period| {
            let is_final = jobs.get(period).is_some_and(|job| due::is_final(job, tenants_version));
            explicit || !is_final || late.contains(period)
        });
        let mut last_runs = BTreeMap::new();
        for job in periods.iter().filter_map(|period| jobs.get(period)) {
            last_runs.extend(view.run(&job.run_id).await?.map(|run| (run.run_id.clone(), run)));
        }
        Ok(Self {
            policy: policy(settings.policy.as_ref(), &catalog)?,
            catalog,
            catalog_hash: stored.catalog_hash,
            tenants,
            tenants_version,
            periods,
            jobs,
            late,
            parking,
            last_runs,
            explicit,
        })
    }

    /// Nothing of the period is left to close; only late usage is looked for.
    pub fn is_only_late(&self, period: Period) -> bool {
        let is_final = |job| due::is_final(job, self.tenants_version);
        !self.explicit && self.late.contains(&period) && self.jobs.get(&period).is_some_and(is_final)
    }

    /// The run that touched a period last.
    pub fn last_run(&self, job: &PeriodJob) -> Option<&Run> {
        self.last_runs.get(&job.run_id)
    }

    /// A closed period is worth a word only to a person who asks for it; a parked tenant always is.
    pub fn settled(&self, job: &PeriodJob, settings: &Settings) -> Option<PeriodOutcome> {
        let outcome = PeriodOutcome::done_before(job, self.last_run(job), settings);
        (self.explicit || job.status != PeriodStatus::Closed).then_some(outcome)
    }
}

fn warn_of_far(periods: &BTreeSet<Period>, back: usize) {
    for period in periods {
        tracing::warn!(
            "usage came for {period}, which lies further back than late_usage_periods = {back} closed periods: \
             `billrecon run --period {period}` looks at it"
        );
    }
}
