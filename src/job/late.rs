//! Late usage of a period: which closed periods are to be looked at again, and what came late to their windows.
//!
//! In: closed windows with the ledger's totals, what earlier runs adjusted; for the choice of periods, how many records have
//! arrived. Out: the adjustments to write. Pure. A closed figure is never touched.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::figures::{LedgerTotals, WindowFigures};
use crate::domain::late::{Adjustment, Late, LateFault, late};
use crate::domain::period::{Period, Window};
use crate::domain::report::{Exception, came_late};
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
        // One that was closed before looks were kept is looked at once.
        let is_as_it_was =
            looks.get(&job.period).is_some_and(|look| arrivals.within(look.reach) == look.arrived);
        if !is_as_it_was {
            let list = if number < back { &mut touched.near } else { &mut touched.far };
            list.insert(job.period);
        }
    }
    touched
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
    /// What a person has to look at: adjustments with an effect, and late usage that no bill can hold.
    pub unfinished: u64,
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
    let mut came = CameLate { by_window: Vec::new(), new: Vec::new(), all: adjusted, unfinished: 0 };
    for window in closed {
        let of_window = earlier.get(&(window.tenant_id.clone(), window.window));
        let of_window = of_window.map(Vec::as_slice).unwrap_or_default();
        let late = late(window, totals, catalogs.of(window), of_window)?;
        for meter in &late.without_value {
            let tenant_id = &window.tenant_id;
            tracing::warn!(
                "late usage of tenant {tenant_id} on {meter} is more than a bill can hold: it is not adjusted"
            );
        }
        came.new.extend(late.adjustments.iter().cloned());
        came.unfinished += late.without_value.len() as u64;
        came.by_window.push(late);
    }
    came.all.extend(came.new.iter().cloned());
    came.unfinished += came.new.iter().filter(|one| one.has_effect()).count() as u64;
    Ok(came)
}

impl CameLate {
    /// Late records that no bill would have held either.
    pub fn exceptions(&self, closed: &[WindowFigures]) -> Vec<Exception> {
        let pairs = closed.iter().zip(&self.by_window);
        pairs.flat_map(|(window, late)| came_late(window, &late.excluded)).collect()
    }
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
