//! Price: closed usage at prices that nobody has set yet.
//!
//! In: which plan, meter and periods, the database, read-only. Out: a suggestion, or a simulation, as values to print. Never
//! writes to the database, never asks Stripe.

pub mod simulate;
pub mod suggest;

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::catalog::{Catalog, Plan, PlanId, UsagePrice};
use crate::domain::figures::WindowFigures;
use crate::domain::money::Currency;
use crate::domain::period::{Interval, Period};
use crate::domain::pricing::bill::Selection;
use crate::ingest::did_you_mean;
use crate::job::connection::mode_of;
use crate::job::{Refusal, Settings, current_catalog};
use crate::store::Access;
use crate::store::books::{BooksView, PeriodJob, PeriodStatus, StoredCatalog};

/// The plan whose price is asked for where nobody says which.
const USUAL_PLAN: &str = "pro";

/// What is to be priced, as far as somebody has said.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub plan: Option<String>,
    pub meter: Option<String>,
    pub currency: Option<Currency>,
    pub interval: Option<Interval>,
    /// The first and the last; `None`: the newest that is closed.
    pub periods: Option<(Period, Period)>,
}

/// What is priced: closed windows with the label of each, and what the current catalog says.
struct Source {
    mode: String,
    stored: StoredCatalog,
    catalog: Catalog,
    periods: Vec<Period>,
    windows: Vec<WindowFigures>,
    labels: Vec<Period>,
}

/// A plan key and a meter of the catalog.
struct Names {
    plan: String,
    meter: String,
}

impl Names {
    fn selection(&self, wanted: &Wanted) -> Selection<'_> {
        let Wanted { currency, interval, .. } = *wanted;
        Selection { plan: &self.plan, meter: &self.meter, currency, interval }
    }
}

impl Source {
    async fn read(settings: &Settings, span: Option<(Period, Period)>) -> anyhow::Result<(Self, BooksView)> {
        let store = settings.open(Access::ReadOnly).await?;
        let mut view = store.books().snapshot().await?;
        let (stored, catalog) = current_catalog(&mut view).await?;
        let pinned = view.pinned_account().await?;
        let mode = pinned.map_or_else(|| "NOT PINNED".to_owned(), |account| mode_of(&account, settings.demo));
        let periods = closed_periods(span, &view.period_jobs().await?)?;
        let (mut windows, mut labels) = (Vec::new(), Vec::new());
        for period in &periods {
            windows.extend(view.windows(*period).await?);
            labels.resize(windows.len(), *period);
        }
        Ok((Self { mode, stored, catalog, periods, windows, labels }, view))
    }

    fn windows(&self) -> impl Iterator<Item = (Period, &WindowFigures)> {
        self.labels.iter().copied().zip(&self.windows)
    }
}

/// All of a span, each of which must be closed; of none, the newest.
fn closed_periods(
    span: Option<(Period, Period)>,
    jobs: &BTreeMap<Period, PeriodJob>,
) -> Result<Vec<Period>, Refusal> {
    const HINT: &str = "`billrecon status` shows the periods";
    let is_closed = |period: &Period| {
        jobs.get(period).is_some_and(|job| matches!(job.status, PeriodStatus::Closed | PeriodStatus::Partial))
    };
    let Some((from, to)) = span else {
        let newest = jobs.keys().rev().find(|period| is_closed(period)).copied();
        let missing = || Refusal::Usage(format!("no period is closed yet: {HINT}"));
        return Ok(vec![newest.ok_or_else(missing)?]);
    };
    let all: Vec<Period> =
        std::iter::successors(Some(from), |one| Some(one.next())).take_while(|one| *one <= to).collect();
    match all.iter().find(|period| !is_closed(period)) {
        Some(open) => Err(Refusal::Usage(format!("{open} is not closed: {HINT}"))),
        None if all.is_empty() => Err(Refusal::Usage(format!("{from} comes after {to}"))),
        None => Ok(all),
    }
}

impl Wanted {
    /// The plan and the meter that are meant, in the current catalog.
    fn names(&self, catalog: &Catalog) -> Result<Names, Refusal> {
        let is_allowed = |id: &PlanId| {
            self.currency.is_none_or(|one| one == id.currency)
                && self.interval.is_none_or(|one| one == id.interval)
        };
        let plans: Vec<&Plan> = catalog.plans.values().filter(|plan| is_allowed(&plan.id)).collect();
        let plan = self.plan_key(&plans)?;
        let of_plan = plans.iter().filter(|one| one.id.key == plan).flat_map(|one| &one.usage);
        let meter = self.meter_key(&plan, &of_plan.collect::<Vec<_>>())?;
        Ok(Names { plan, meter })
    }

    fn plan_key(&self, plans: &[&Plan]) -> Result<String, Refusal> {
        let keys: BTreeSet<&str> = plans.iter().map(|plan| plan.id.key.as_str()).collect();
        let refused = |text: String| Err(Refusal::Usage(format!("{text}; it has: {}", listed(&keys))));
        match &self.plan {
            Some(wanted) if keys.contains(wanted.as_str()) => Ok(wanted.clone()),
            Some(wanted) => {
                let meant = did_you_mean::closest(wanted, keys.iter().copied());
                refused(format!("the catalog has no such plan `{}`{}", short(wanted), hint(meant)))
            }
            None if keys.contains(USUAL_PLAN) => Ok(USUAL_PLAN.to_owned()),
            None => {
                let with_quota = plans.iter().filter(|plan| plan.usage.values().any(has_quota));
                let with_quota: BTreeSet<&str> = with_quota.map(|plan| plan.id.key.as_str()).collect();
                match (with_quota.len(), with_quota.first()) {
                    (1, Some(only)) => Ok((*only).to_owned()),
                    _ => refused("say which plan of the catalog with --plan".to_owned()),
                }
            }
        }
    }

    fn meter_key(&self, plan: &str, sold: &[(&String, &UsagePrice)]) -> Result<String, Refusal> {
        let keys: BTreeSet<&str> = sold.iter().map(|(meter, _)| meter.as_str()).collect();
        let refused = |text: String| Err(Refusal::Usage(format!("{text}; it sells: {}", listed(&keys))));
        match &self.meter {
            Some(wanted) if keys.contains(wanted.as_str()) => Ok(wanted.clone()),
            Some(wanted) => {
                let meant = did_you_mean::closest(wanted, keys.iter().copied());
                refused(format!(
                    "the plan `{plan}` does not sell the meter `{}`{}",
                    short(wanted),
                    hint(meant)
                ))
            }
            None => {
                let with_quota = sold.iter().filter(|(_, price)| has_quota(price));
                let with_quota: BTreeSet<&str> = with_quota.map(|(meter, _)| meter.as_str()).collect();
                let among = if with_quota.is_empty() { &keys } else { &with_quota };
                match (among.len(), among.first()) {
                    (1, Some(only)) => Ok((*only).to_owned()),
                    _ => refused(format!("say which meter of the plan `{plan}` with --meter")),
                }
            }
        }
    }
}

fn has_quota(price: &UsagePrice) -> bool {
    price.free_quota.is_some_and(|quota| !quota.is_zero())
}

fn hint(meant: Option<&str>) -> String {
    meant.map(|meant| format!(": did you mean `{meant}`?")).unwrap_or_default()
}

fn listed(names: &BTreeSet<&str>) -> String {
    if names.is_empty() { "none".to_owned() } else { names.iter().copied().collect::<Vec<_>>().join(", ") }
}

fn short(text: &str) -> String {
    text.chars().take(64).collect()
}
