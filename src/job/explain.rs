//! Explain: how a tenant's figures of a period came about, from the records to the lines.
//!
//! In: a tenant, a period, the database, read-only. Out: an [`Explanation`]. What is closed is told as it was closed, with
//! the catalog of then; the rest is told as the ledger stands. Never asks Stripe, never writes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::domain::aggregation::Tally;
use crate::domain::catalog::{Catalog, Meter, UsagePrice};
use crate::domain::figures::{
    Disposition, LedgerTotals, SegmentUsage, WindowFigures, WindowLine, WindowStatus,
};
use crate::domain::late::{self, Late};
use crate::domain::number::{NumberError, QuantitySum};
use crate::domain::period::{Period, Window};
use crate::domain::tenant::{Tenant, TenantWindow};
use crate::domain::usage::{UsageRecord, UsageTotal};
use crate::ingest::did_you_mean;
use crate::job::catalogs::{Catalogs, hashes};
use crate::job::connection::mode_of;
use crate::job::observe::{self, Ranges};
use crate::job::{Refusal, Settings, current_catalog};
use crate::store::Access;
use crate::store::books::StoredLimit;
use crate::store::ledger::{LedgerSnapshot, StoredRecord};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    pub tenant_id: String,
    pub period: Period,
    /// Only this meter.
    pub meter: Option<String>,
    /// With the records behind each figure.
    pub records: bool,
}

#[derive(Debug)]
pub struct Explanation {
    pub mode: String,
    pub tenant_id: String,
    pub tenant_name: String,
    pub period: Period,
    pub windows: Vec<ExplainedWindow>,
}

#[derive(Debug)]
pub struct ExplainedWindow {
    pub figures: WindowFigures,
    pub trial: bool,
    pub parts: Vec<Part>,
    pub base: Option<WindowLine>,
    /// By meter: what came after the window was closed.
    pub late: BTreeMap<String, CameLate>,
    /// By meter: what was closed, and the ledger holds no more.
    pub lost: BTreeMap<String, UsageTotal>,
    /// Levels of its quotas that runs saw reached.
    pub limits: Vec<StoredLimit>,
}

/// What came late on a meter.
#[derive(Clone, Copy, Debug, Default)]
pub struct CameLate {
    /// Its units are no sum where the meter is a gauge, and left at 0 there.
    pub total: UsageTotal,
    /// Of a gauge: by how much it would stand higher.
    pub higher: Option<QuantitySum>,
}

/// One meter in one segment or gap.
#[derive(Debug)]
pub struct Part {
    pub range: Window,
    pub key: String,
    /// `None`: the catalog does not know it.
    pub meter: Option<Meter>,
    /// What it is rated by; `None` where it is not sold.
    pub price: Option<UsagePrice>,
    /// What is billed, and what is excluded.
    pub usage: Vec<SegmentUsage>,
    pub lines: Vec<WindowLine>,
    /// In the order of time; only if they were asked for.
    pub records: Vec<ExplainedRecord>,
}

#[derive(Debug)]
pub struct ExplainedRecord {
    pub record: UsageRecord,
    pub fate: Fate,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Counted,
    /// Another reading of the gauge counts.
    Superseded,
    Excluded(Disposition),
    /// It came after the window was closed.
    Late,
    /// Imported at the same instant as others, of which some are late.
    Unsure,
}

impl Fate {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Superseded => "superseded",
            Self::Excluded(disposition) => disposition.as_str(),
            Self::Late => "late",
            Self::Unsure => "late_or_not",
        }
    }
}

pub async fn explain(
    settings: &Settings,
    question: &Question,
    now: Timestamp,
) -> anyhow::Result<Explanation> {
    let store = settings.open(Access::ReadOnly).await?.at(now);
    let mut view = store.books().snapshot().await?;
    let (current, catalog) = current_catalog(&mut view).await?;
    let tenants = view.tenants().await?;
    let tenant = find(&tenants, &question.tenant_id)?;
    let stored = view.windows_of(question.period, tenant.id()).await?;
    let pinned = view.pinned_account().await?;
    let mut limits = view.limit_events_of(question.period, tenant.id()).await?;
    limits.sort_by(|one, other| one.event.cmp(&other.event));
    limits.retain(|one| question.meter.as_ref().is_none_or(|meter| one.event.meter == *meter));
    let catalogs = Catalogs::read(&catalog, &current.catalog_hash, hashes(&stored), &mut view).await?;
    drop(view);
    let laid = tenant.windows(question.period, &settings.time_zone);
    let mut snapshot = store.ledger().snapshot().await?;
    let totals = totals(tenant, &laid, &stored, &catalogs, &mut snapshot).await?;
    let figures = figures(&laid, stored, (&catalog, &current.catalog_hash), &totals);
    if let Some(meter) = &question.meter {
        known(meter, &catalog, &figures, &totals)?;
    }
    let mut windows = Vec::new();
    for figures in figures {
        let catalog = catalogs.of(&figures);
        let mut one = window(figures, &laid, catalog, question, &totals, &mut snapshot).await?;
        one.limits = limits.extract_if(.., |limit| limit.event.window == one.figures.window).collect();
        windows.push(one);
    }
    drop(snapshot);
    store.close().await;
    Ok(Explanation {
        mode: pinned.map_or_else(|| "NOT PINNED".to_owned(), |account| mode_of(&account, settings.demo)),
        tenant_id: tenant.id().to_owned(),
        tenant_name: tenant.name().to_owned(),
        period: question.period,
        windows,
    })
}

pub(in crate::job) fn find<'a>(tenants: &'a [Tenant], id: &str) -> Result<&'a Tenant, Refusal> {
    let found = tenants.iter().find(|tenant| tenant.id() == id);
    found.ok_or_else(|| {
        let id: String = id.chars().take(64).collect();
        Refusal::Usage(format!(
            "there is no tenant `{id}`: it is the tenant_id of the tenants file that is asked for"
        ))
    })
}

/// A meter that was misspelt must not look like one without usage.
fn known(
    meter: &str,
    catalog: &Catalog,
    figures: &[WindowFigures],
    totals: &LedgerTotals,
) -> Result<(), Refusal> {
    let in_figures = figures.iter().flat_map(|one| one.usage.iter().map(|usage| usage.meter.as_str()));
    let in_ledger = totals.values().flat_map(|tenants| tenants.values().flat_map(|meters| meters.keys()));
    let known: BTreeSet<&str> =
        catalog.meters.keys().chain(in_ledger).map(String::as_str).chain(in_figures).collect();
    if known.contains(meter) {
        return Ok(());
    }
    let meter: String = meter.chars().take(64).collect();
    let meant = did_you_mean::closest(&meter, known.iter().copied());
    let meant = meant.map(|meant| format!(": did you mean `{meant}`?")).unwrap_or_default();
    let known = known.into_iter().collect::<Vec<_>>().join(", ");
    Err(Refusal::Usage(format!("there is no meter `{meter}`{meant} (there are: {known})")))
}

/// Every piece of time that a figure or what came late to it speaks of.
async fn totals(
    tenant: &Tenant,
    laid: &[TenantWindow<'_>],
    stored: &[WindowFigures],
    catalogs: &Catalogs<'_>,
    snapshot: &mut LedgerSnapshot,
) -> anyhow::Result<LedgerTotals> {
    let mut ranges = Ranges::new();
    for window in laid {
        for range in observe::pieces(window) {
            ranges.entry((range, None)).or_default().insert(tenant.id());
        }
    }
    for window in stored.iter().filter(|window| window.status == WindowStatus::Closed) {
        observe::add_closed(&mut ranges, window, catalogs);
    }
    observe::totals_in(ranges, std::slice::from_ref(tenant), catalogs, snapshot).await
}

/// Closed windows as they were closed; the others as they would be now.
fn figures(
    laid: &[TenantWindow<'_>],
    stored: Vec<WindowFigures>,
    catalog: (&Catalog, &str),
    totals: &LedgerTotals,
) -> Vec<WindowFigures> {
    let (mut figures, parked): (Vec<_>, Vec<_>) =
        stored.into_iter().partition(|window| window.status == WindowStatus::Closed);
    let is_closed: BTreeSet<Window> = figures.iter().map(|one| one.window).collect();
    for window in laid.iter().filter(|one| !is_closed.contains(&one.window)) {
        let mut one = WindowFigures::new(window, catalog, totals, WindowStatus::Open);
        let known = parked.iter().find(|parked| parked.window == one.window).and_then(|parked| parked.park);
        if let (None, Some(reason)) = (one.park, known) {
            one.set_aside(reason);
        }
        if !window.segments.is_empty() || !one.usage.is_empty() {
            figures.push(one);
        }
    }
    figures.sort_by_key(|one| one.window);
    figures
}

async fn window(
    mut figures: WindowFigures,
    laid: &[TenantWindow<'_>],
    catalog: Option<&Catalog>,
    question: &Question,
    totals: &LedgerTotals,
    snapshot: &mut LedgerSnapshot,
) -> anyhow::Result<ExplainedWindow> {
    let is_closed = figures.status == WindowStatus::Closed;
    let (mut late, mut lost) = Default::default();
    if is_closed {
        let found = late::late(&figures, totals, catalog, &[])?;
        (late, lost) = (by_meter(&found, catalog)?, found.lost);
    }
    // Of a version that cannot be read no meter and no price is told.
    let unknown = Catalog::default();
    let catalog = catalog.unwrap_or(&unknown);
    if let Some(only) = &question.meter {
        late.retain(|meter, _| meter == only);
        lost.retain(|meter, _| meter == only);
        figures.usage.retain(|usage| usage.meter == *only);
        // A base fee is of no meter.
        figures.lines.retain(|line| line.meter == *only);
    }
    let mut parts = parts(&figures, catalog);
    if question.records {
        for part in &mut parts {
            let records = snapshot.records(part.range, &figures.tenant_id, &part.key).await?;
            part.records = fates(records, part, is_closed)?;
        }
    }
    Ok(ExplainedWindow {
        trial: laid.iter().any(|one| one.window == figures.window && one.trial),
        base: figures.lines.iter().find(|line| line.meter.is_empty()).cloned(),
        late,
        lost,
        limits: Vec::new(),
        parts,
        figures,
    })
}

/// All that is late, whether it was adjusted, excluded or has no value.
fn by_meter(late: &Late, catalog: Option<&Catalog>) -> Result<BTreeMap<String, CameLate>, NumberError> {
    let meters = catalog.map(|catalog| &catalog.meters);
    let is_gauge = |meter: &str| {
        meters.and_then(|meters| meters.get(meter)).is_some_and(|meter| meter.aggregation.is_gauge())
    };
    let excluded = late.excluded.iter().map(|one| (one.meter.as_str(), one.total));
    let mut all: BTreeMap<String, CameLate> = BTreeMap::new();
    for (meter, mut total) in late.billable.iter().map(|(meter, total)| (&**meter, *total)).chain(excluded) {
        let one = all.entry(meter.to_owned()).or_default();
        if is_gauge(meter) {
            let changes = late.adjustments.iter().filter(|one| one.meter == meter);
            let higher =
                changes.map(|one| one.quantity).try_fold(QuantitySum::ZERO, QuantitySum::checked_add)?;
            (one.higher, total.quantity) = (Some(higher), QuantitySum::ZERO);
        }
        one.total = one.total.checked_add(total)?;
    }
    Ok(all)
}

/// By time and meter, in the order of time.
fn parts(figures: &WindowFigures, catalog: &Catalog) -> Vec<Part> {
    let mut parts: BTreeMap<(Window, &str), Part> = BTreeMap::new();
    for usage in &figures.usage {
        let plan = usage.plan.as_ref().and_then(|plan| catalog.plans.get(plan));
        let price = plan.and_then(|plan| plan.usage.get(&usage.meter));
        let part = parts.entry((usage.range, &usage.meter)).or_insert_with(|| Part {
            range: usage.range,
            key: usage.meter.clone(),
            meter: catalog.meters.get(&usage.meter).cloned(),
            price: price.and_then(|price| price.for_part(usage.range, figures.window).ok()),
            usage: Vec::new(),
            lines: Vec::new(),
            records: Vec::new(),
        });
        part.usage.push(usage.clone());
    }
    for line in &figures.lines {
        if let Some(part) = parts.get_mut(&(line.range, line.meter.as_str())) {
            part.lines.push(line.clone());
        }
    }
    parts.into_values().collect()
}

fn fates(stored: Vec<StoredRecord>, part: &Part, is_closed: bool) -> anyhow::Result<Vec<ExplainedRecord>> {
    let excluded = part.usage.iter().map(|usage| usage.disposition);
    // Where the whole meter is excluded, its rule no longer matters.
    let whole = excluded.clone().find(|one| !matches!(one, Disposition::Billable | Disposition::NotBillable));
    let late = if is_closed { late_by_time(&stored, part) } else { BTreeMap::new() };
    let counted = match &part.meter {
        Some(meter) if meter.aggregation.is_gauge() => Some(counted_ids(&stored, part, meter, &late)?),
        _ => None,
    };
    let fate = |one: &StoredRecord| {
        let reading = &one.reading;
        let admits = |meter: &Meter| meter.rule.admits(&reading.outcome, &reading.properties);
        match (late.get(&one.recorded_at), whole, &counted) {
            (Some(late), _, _) => *late,
            (None, Some(disposition), _) => Fate::Excluded(disposition),
            _ if !part.meter.as_ref().is_none_or(admits) => Fate::Excluded(Disposition::NotBillable),
            (None, None, Some(ids)) if !ids.contains(&reading.source_event_id) => Fate::Superseded,
            (None, None, _) => Fate::Counted,
        }
    };
    Ok(stored.into_iter().map(|one| ExplainedRecord { fate: fate(&one), record: one.record }).collect())
}

/// By the instant of their import, what is known of the records that a closed part did not count: how many they are, and
/// that they are the newest.
fn late_by_time(stored: &[StoredRecord], part: &Part) -> BTreeMap<Timestamp, Fate> {
    let closed: u64 = part.usage.iter().map(|usage| usage.total.records).sum();
    let mut late = (stored.len() as u64).saturating_sub(closed);
    let mut imported: BTreeMap<Timestamp, u64> = BTreeMap::new();
    for one in stored {
        *imported.entry(one.recorded_at).or_default() += 1;
    }
    let mut fates = BTreeMap::new();
    for (at, records) in imported.into_iter().rev() {
        if late == 0 {
            break;
        }
        fates.insert(at, if records <= late { Fate::Late } else { Fate::Unsure });
        late = late.saturating_sub(records);
    }
    fates
}

/// The readings of a gauge that count. Those that may be late take part only where the others do not come to what was
/// closed.
fn counted_ids(
    stored: &[StoredRecord],
    part: &Part,
    meter: &Meter,
    late: &BTreeMap<Timestamp, Fate>,
) -> anyhow::Result<BTreeSet<String>> {
    let tally = |takes_part: &dyn Fn(Option<&Fate>) -> bool| -> anyhow::Result<_> {
        let mut tally = Tally::new(meter);
        for one in stored.iter().filter(|one| takes_part(late.get(&one.recorded_at))) {
            tally.add(one.reading.clone())?;
        }
        let ids = tally.counted_ids();
        Ok((ids, tally.finish()?.readings))
    };
    let (ids, readings) = tally(&|fate| fate.is_none())?;
    let closed = part.usage.iter().find_map(|usage| usage.readings);
    if late.values().any(|fate| *fate == Fate::Unsure) && readings != closed {
        return Ok(tally(&|fate| fate != Some(&Fate::Late))?.0);
    }
    Ok(ids)
}
