//! Warnings of a period: levels of quotas that were reached, forecasts of open windows, jumps.
//!
//! In: what the books hold of events and of the windows before; the figures of the windows in hand. Out: the events to write,
//! the rows of `limit_events.csv` and `forecast.csv`, jumps as exceptions. Reading is a step of observe, the rest is pure.
//! Never stops anything: a warning decides nothing.

use std::collections::BTreeMap;

use crate::domain::figures::{Stretch, WindowFigures, stretches};
use crate::domain::forecast::{Forecast, forecasts};
use crate::domain::history::{History, PastWindow, jumps, labels, whole};
use crate::domain::limit::{LimitEvent, LimitRow, reached};
use crate::domain::period::{Interval, Period, Window};
use crate::domain::report::{Exception, ExceptionKind, jumped};
use crate::job::due::PeriodWindows;
use crate::job::plan::{Known, Purpose};
use crate::store::StoreError;
use crate::store::books::{BooksView, StoredLimit};

/// What the books hold.
#[derive(Debug)]
pub struct KnownLimits {
    events: Vec<StoredLimit>,
    /// Closed windows before the period, by the interval that they were read for.
    past: Vec<(Interval, PastWindow)>,
}

impl KnownLimits {
    /// One statement for the history of all monthly windows in hand, and one for the yearly ones: six labels, from the first
    /// tenant to the last. So its cost is that of six closed periods, however long the company has been there.
    pub async fn read(
        period: Period,
        reach: Window,
        windows: &PeriodWindows<'_>,
        view: &mut BooksView,
    ) -> Result<Self, StoreError> {
        let mut ends: BTreeMap<Interval, [&str; 2]> = BTreeMap::new();
        for window in windows.due.iter().chain(&windows.open).filter(|one| !one.trial) {
            let stretches: Vec<Stretch> = stretches(window);
            let Some(plan) = whole(&stretches, window.window) else { continue };
            let id = window.tenant.id();
            let [first, last] = ends.entry(plan.interval).or_insert([id, id]);
            (*first, *last) = ((*first).min(id), (*last).max(id));
        }
        let mut past = Vec::new();
        for (interval, ends) in ends {
            let windows = view.past_windows(labels(period, interval), ends).await?;
            past.extend(windows.into_iter().map(|window| (interval, window)));
        }
        Ok(Self { events: view.limit_events(period, reach).await?, past })
    }

    /// The catalog versions that the windows before closed with.
    pub fn catalog_hashes(&self) -> impl Iterator<Item = &str> {
        self.past.iter().map(|(_, one)| one.catalog_hash.as_str())
    }
}

#[derive(Debug)]
pub struct Warned {
    /// What this run writes.
    pub new: Vec<LimitEvent>,
    /// What it reports, sorted: all of the period so far.
    pub limits: Vec<LimitRow>,
    /// Of windows that are open in the report.
    pub forecasts: Vec<Forecast>,
    pub jumps: Vec<Exception>,
}

/// `told`: the exceptions of the last close. The jumps of windows that closed before stay what they were.
pub fn warn(
    known: &Known<'_>,
    (limits, told): (&KnownLimits, &[Exception]),
    (closing, open): (&[WindowFigures], &[WindowFigures]),
    purpose: Purpose,
) -> Warned {
    let catalog = known.catalogs.current;
    let new = reached(closing.iter().chain(open), catalog, limits.events.iter().map(|one| one.event.key()));
    let of_period = limits.events.iter().filter(|one| one.period == known.period);
    let stored = of_period.map(|one| LimitRow { event: one.event.clone(), is_new: !one.is_told });
    let written = new.iter().map(|event| LimitRow { event: event.clone(), is_new: true });
    let mut rows: Vec<LimitRow> = stored.chain(written).collect();
    rows.sort();
    let past = limits.past.iter().map(|(interval, one)| (*interval, one));
    let history = History::new(past, |hash| known.catalogs.version(hash));
    let shown = if purpose == Purpose::Look { open } else { &[] };
    let mut expected: Vec<Forecast> =
        shown.iter().flat_map(|window| forecasts(window, catalog, &history, known.now)).collect();
    expected.sort_by(|one, other| one.key().cmp(&other.key()));
    let found = closing.iter().flat_map(|window| jumps(window, catalog, &history));
    let found: Vec<Exception> = found.map(|one| jumped(&one)).collect();
    let before = told.iter().filter(|one| one.kind == ExceptionKind::Jump).cloned();
    Warned { new, limits: rows, forecasts: expected, jumps: before.chain(found).collect() }
}
