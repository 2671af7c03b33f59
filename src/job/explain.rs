//! Explain: how a tenant's figures of a period came about, from the records to the lines.
//!
//! In: a tenant, a period, the database, read-only. Out: an [`Explanation`]. What is closed is told as it was closed, with
//! the catalog of then; the rest is told as the ledger stands. Never asks Stripe, never writes.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::aggregation::{Reading, Tally};
use crate::domain::catalog::{Catalog, Meter, UsagePrice};
use crate::domain::controls;
use crate::domain::figures::{
    Disposition, LedgerTotals, SegmentUsage, WindowFigures, WindowLine, WindowStatus,
};
use crate::domain::period::{Period, Window};
use crate::domain::tenant::{Tenant, TenantWindow};
use crate::domain::usage::{UsageRecord, UsageTotal};
use crate::job::catalogs::Catalogs;
use crate::job::connection::mode_of;
use crate::job::{Refusal, Settings, current_catalog};
use crate::store::Access;
use crate::store::ledger::LedgerSnapshot;

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
    pub late: BTreeMap<String, UsageTotal>,
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
}

impl Fate {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Counted => "counted",
            Self::Superseded => "superseded",
            Self::Excluded(disposition) => disposition.as_str(),
        }
    }
}

pub async fn explain(settings: &Settings, question: &Question) -> anyhow::Result<Explanation> {
    let store = settings.open(Access::ReadOnly).await?;
    let mut view = store.books().snapshot().await?;
    let (current, catalog) = current_catalog(&mut view).await?;
    let tenants = view.tenants().await?;
    let tenant = find(&tenants, &question.tenant_id)?;
    let stored = view.windows_of(question.period, tenant.id()).await?;
    let pinned = view.pinned_account().await?;
    let catalogs = Catalogs::read(&catalog, &current.catalog_hash, &stored, &mut view).await?;
    drop(view);
    let laid = tenant.windows(question.period, &settings.time_zone);
    let mut snapshot = store.ledger().snapshot().await?;
    let totals = totals(tenant, &laid, &stored, &catalog, &mut snapshot).await?;
    let mut windows = Vec::new();
    for figures in figures(&laid, stored, (&catalog, &current.catalog_hash), &totals) {
        let catalog = catalogs.of(&figures);
        windows.push(window(figures, &laid, catalog, question, &totals, &mut snapshot).await?);
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

fn find<'a>(tenants: &'a [Tenant], id: &str) -> Result<&'a Tenant, Refusal> {
    let found = tenants.iter().find(|tenant| tenant.id() == id);
    found.ok_or_else(|| {
        let id: String = id.chars().take(64).collect();
        Refusal::Usage(format!(
            "there is no tenant `{id}`: it is the tenant_id of the tenants file that is asked for"
        ))
    })
}

/// Every piece of time that a figure or what came late to it speaks of.
async fn totals(
    tenant: &Tenant,
    laid: &[TenantWindow<'_>],
    stored: &[WindowFigures],
    catalog: &Catalog,
    snapshot: &mut LedgerSnapshot,
) -> anyhow::Result<LedgerTotals> {
    let mut ranges: BTreeSet<Window> =
        stored.iter().flat_map(|window| window.accounted.iter().copied()).collect();
    for window in laid {
        ranges.extend(window.accounted.iter().chain(&window.gaps));
        ranges.extend(window.segments.iter().map(|segment| segment.range));
    }
    let mut totals = LedgerTotals::new();
    for range in ranges {
        totals.insert(range, snapshot.totals(&catalog.meters, range, [tenant.id(); 2]).await?);
    }
    Ok(totals)
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
    figures: WindowFigures,
    laid: &[TenantWindow<'_>],
    catalog: &Catalog,
    question: &Question,
    totals: &LedgerTotals,
    snapshot: &mut LedgerSnapshot,
) -> anyhow::Result<ExplainedWindow> {
    let mut parts = parts(&figures, catalog, question.meter.as_deref());
    if question.records {
        for part in &mut parts {
            let records = snapshot.records(part.range, &figures.tenant_id, &part.key).await?;
            part.records = fates(records, part)?;
        }
    }
    let is_closed = figures.status == WindowStatus::Closed;
    Ok(ExplainedWindow {
        trial: laid.iter().any(|one| one.window == figures.window && one.trial),
        base: figures.lines.iter().find(|line| line.meter.is_empty()).cloned(),
        late: if is_closed { controls::late(&figures, totals)? } else { BTreeMap::new() },
        parts,
        figures,
    })
}

/// By time and meter, in the order of time.
fn parts(figures: &WindowFigures, catalog: &Catalog, only: Option<&str>) -> Vec<Part> {
    let mut parts: BTreeMap<(Window, &str), Part> = BTreeMap::new();
    for usage in figures.usage.iter().filter(|usage| only.is_none_or(|only| only == usage.meter)) {
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

fn fates(records: Vec<(UsageRecord, Reading)>, part: &Part) -> anyhow::Result<Vec<ExplainedRecord>> {
    let excluded = part.usage.iter().map(|usage| usage.disposition);
    // Where the whole meter is excluded, its rule no longer matters.
    let whole = excluded.clone().find(|one| !matches!(one, Disposition::Billable | Disposition::NotBillable));
    let counted = match &part.meter {
        Some(meter) if meter.aggregation.is_gauge() => {
            let mut tally = Tally::new(meter);
            for (_, reading) in &records {
                tally.add(reading.clone())?;
            }
            Some(tally.counted_ids())
        }
        _ => None,
    };
    let fate = |reading: &Reading| {
        let admits = |meter: &Meter| meter.rule.admits(&reading.outcome, &reading.properties);
        match (whole, &counted) {
            (Some(disposition), _) => Fate::Excluded(disposition),
            _ if !part.meter.as_ref().is_none_or(admits) => Fate::Excluded(Disposition::NotBillable),
            (None, Some(ids)) if !ids.contains(&reading.source_event_id) => Fate::Superseded,
            (None, _) => Fate::Counted,
        }
    };
    Ok(records
        .into_iter()
        .map(|(record, reading)| ExplainedRecord { fate: fate(&reading), record })
        .collect())
}
