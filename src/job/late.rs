//! Late usage of a period: which closed periods are to be looked at again, and what came late to their windows.
//!
//! In: closed windows with the ledger's totals, what earlier runs adjusted; for the choice of periods, how many records have
//! arrived. Out: the adjustments to write. Pure. A closed figure is never touched.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::figures::{LedgerTotals, WindowFigures};
use crate::domain::late::{Adjustment, Late, LateFault, late};
use crate::domain::period::{Period, Window};
use crate::domain::report::{Exception, ExceptionKind, came_late};
use crate::job::catalogs::Catalogs;
use crate::store::books::{Look, PeriodJob, PeriodStatus};
use crate::store::ledger::Arrivals;

/// Closed periods for which records have come since they were looked at last.
#[derive(Debug, Default)]
pub struct Touched {
    pub near: BTreeSet<Period>,
    /// Further back than one looks by oneself.
    pub far: BTreeSet<Period>,
}

/// `back` is how many closed periods, the newest first, are looked at. The jobs come oldest first.
pub fn touched<'a>(
    jobs: impl DoubleEndedIterator<Item = &'a PeriodJob>,
    looks: &BTreeMap<Period, Look>,
    arrivals: &Arrivals,
    back: usize,
) -> Touched {
    let closed = jobs.filter(|job| job.status == PeriodStatus::Closed).rev();
    let mut touched = Touched::default();
    for (number, job) in closed.enumerate() {
        let look = looks.get(&job.period);
        // Rows of an own ledger that lie further back were not counted.
        if number >= back && !look.is_some_and(|look| arrivals.reach(look.reach)) && arrivals.is_partial() {
            continue;
        }
        // One that was closed before looks were kept is looked at once.
        let is_as_it_was = look.is_some_and(|look| arrivals.within(look.reach) == look.arrived);
        if !is_as_it_was {
            let list = if number < back { &mut touched.near } else { &mut touched.far };
            list.insert(job.period);
        }
    }
    touched
}

/// The time of the closed periods that one looks back on.
pub fn to_count<'a>(
    jobs: impl DoubleEndedIterator<Item = &'a PeriodJob>,
    looks: &BTreeMap<Period, Look>,
    back: usize,
) -> Option<Window> {
    let closed = jobs.filter(|job| job.status == PeriodStatus::Closed).rev().take(back);
    let reaches = closed.filter_map(|job| looks.get(&job.period)).map(|look| look.reach);
    reaches.reduce(|all, one| Window { start: all.start.min(one.start), end: all.end.max(one.end) })
}

/// What came late to the closed windows of a period.
#[derive(Debug)]
pub struct CameLate {
    /// In the order of the windows.
    pub by_window: Vec<Late>,
    /// What this run adjusts.
    pub new: Vec<Adjustment>,
    /// What was adjusted by now.
    pub all: Vec<Adjustment>,
    /// What a person should look at, sorted.
    pub exceptions: Vec<Exception>,
}

/// What a person has to do about closed figures, each in figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Waits {
    /// Adjusted by this run, with an effect.
    pub adjusted: u64,
    /// Late, and nobody can say what it is worth.
    pub unvalued: u64,
    /// The ledger holds less of it than was closed.
    pub lost: u64,
}

pub fn find(
    closed: &[WindowFigures],
    totals: &LedgerTotals,
    catalogs: &Catalogs<'_>,
    adjusted: Vec<Adjustment>,
) -> Result<CameLate, LateFault> {
    let mut earlier: BTreeMap<(String, Window), Vec<Adjustment>> = BTreeMap::new();
    for one in &adjusted {
        earlier.entry((one.tenant_id.clone(), one.window)).or_default().push(one.clone());
    }
    let (by_window, exceptions) = (Vec::new(), Vec::new());
    let mut came = CameLate { by_window, new: Vec::new(), all: adjusted, exceptions };
    for window in closed {
        let of_window = earlier.get(&(window.tenant_id.clone(), window.window));
        let of_window = of_window.map(Vec::as_slice).unwrap_or_default();
        let late = late(window, totals, catalogs.of(window), of_window)?;
        came.exceptions.extend(came_late(window, &late));
        came.new.extend(late.adjustments.iter().cloned());
        came.by_window.push(late);
    }
    came.exceptions.sort();
    came.all.extend(came.new.iter().cloned());
    Ok(came)
}

impl CameLate {
    /// Whether there is anything that the last close does not tell: an adjustment, late usage without a value, records that
    /// are gone.
    pub fn is_news(&self, told: &[Exception]) -> bool {
        !self.new.is_empty() || !without_figures(&self.exceptions).eq(without_figures(told))
    }

    pub fn waits(&self) -> Waits {
        let adjusted = self.new.iter().filter(|one| one.has_effect()).count();
        let of = |kind| self.exceptions.iter().filter(|one| one.kind == kind).count() as u64;
        let (unvalued, lost) = (of(ExceptionKind::Unvalued), of(ExceptionKind::Lost));
        Waits { adjusted: adjusted as u64, unvalued, lost }
    }
}

/// What stands in no adjustment: it is told when it is found, and again when it has changed.
fn without_figures(exceptions: &[Exception]) -> impl Iterator<Item = &Exception> {
    exceptions.iter().filter(|one| matches!(one.kind, ExceptionKind::Unvalued | ExceptionKind::Lost))
}

/// A late usage in one line, for a person.
pub fn sentence(one: &Adjustment) -> String {
    let Adjustment { tenant_id, meter, records, quantity, amount, .. } = one;
    let noun = if *records == 1 { "record" } else { "records" };
    let next_step = match amount.minor.signum() {
        0 => "nothing: it changes no bill",
        -1 => "give it back by hand if it was charged (docs/late-usage.md)",
        _ => "bill it by hand if it is to be paid (docs/late-usage.md)",
    };
    let currency = amount.currency.code().to_uppercase();
    format!(
        "late: {tenant_id} on {meter}, {quantity} ({records} {noun}, worth {amount} {currency}): {next_step}"
    )
}
