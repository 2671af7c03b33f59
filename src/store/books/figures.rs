//! Closed windows with their usage and lines.
//!
//! In: the figures of windows that close or park. Out: the same figures, to the digit: an amount that is no longer the
//! rounded product of its line is an error. A closed window is written once and never touched again.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::domain::figures::{Disposition, SegmentUsage, WindowFigures, WindowLine, WindowStatus};
use crate::domain::number::QuantitySum;
use crate::domain::period::{Period, Window};
use crate::domain::rating::{LineKind, RatedLine, Split};
use crate::domain::tenant::ParkReason;
use crate::domain::usage::UsageTotal;
use crate::store::books::layout::{ranges_of, ranges_text, stretches_of, stretches_text};
use crate::store::books::rules::{plan_id, word};
use crate::store::books::{BooksView, BooksWrite};
use crate::store::connection::Value;
use crate::store::error::StoreError;
use crate::store::row::Row;

/// Window starts by tenant: the key of all three tables.
type Windows = BTreeMap<(String, i64), WindowFigures>;

/// A closed window, and the time whose usage it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClosedWindow {
    pub window: Window,
    pub accounted: Vec<Window>,
}

impl BooksWrite {
    /// Writes windows that close, and those that are parked. Parked ones are written again whenever they are looked
    /// at; a closed one is refused by its key.
    pub async fn save_windows(
        &mut self,
        period: Period,
        windows: &[WindowFigures],
        run_id: &str,
    ) -> Result<(), StoreError> {
        let sql = "DELETE FROM billing_windows WHERE period = ? AND status = 'parked'";
        self.tx.execute(sql, vec![period.to_string().into()]).await?;
        let heads = windows.iter().map(|window| head_row(period, window, run_id));
        self.tx.insert("billing_windows", HEAD_COLUMNS, heads, "").await?;
        let closed = || windows.iter().filter(|window| window.status == WindowStatus::Closed);
        let mut fault = None;
        let usage = closed()
            .flat_map(|window| {
                (0i64..).zip(&window.usage).map(move |(position, one)| (window, position, one))
            })
            .map_while(|(window, position, one)| {
                usage_row(period, window, position, one).map_err(|error| fault = Some(error)).ok()
            });
        self.tx.insert("window_usage", USAGE_COLUMNS, usage, "").await?;
        if let Some(fault) = fault {
            return Err(fault);
        }
        let lines = closed().flat_map(|window| {
            (0i64..).zip(&window.lines).map(move |(position, one)| line_row(period, window, position, one))
        });
        self.tx.insert("window_lines", LINE_COLUMNS, lines, "").await.map(|_| ())
    }
}

impl BooksView {
    /// Tenant and start of the windows of a period that are parked.
    pub async fn parked_keys(&mut self, period: Period) -> Result<BTreeSet<(String, Timestamp)>, StoreError> {
        let sql =
            "SELECT tenant_id, window_start FROM billing_windows WHERE period = ? AND status = 'parked'";
        let key = |mut row: Row| Ok((row.text()?, row.instant()?));
        Ok(self.tx.fetch_map(sql, vec![period.to_string().into()], key).await?.into_iter().collect())
    }

    /// The closed windows, of whatever period, that have an instant in common with `range`, by tenant.
    pub async fn closed_windows(
        &mut self,
        range: Window,
    ) -> Result<BTreeMap<String, Vec<ClosedWindow>>, StoreError> {
        let sql = "SELECT tenant_id, window_start, window_end, accounted FROM billing_windows
            WHERE window_end > ? AND window_start < ? AND status = 'closed'";
        let mut windows: BTreeMap<String, Vec<ClosedWindow>> = BTreeMap::new();
        for mut row in self.tx.fetch(sql, vec![range.start.into(), range.end.into()]).await? {
            let tenant_id = row.text()?;
            let window = Window { start: row.instant()?, end: row.instant()? };
            let accounted = ranges_of(&row.text()?)?;
            windows.entry(tenant_id).or_default().push(ClosedWindow { window, accounted });
        }
        Ok(windows)
    }

    /// The closed and parked windows of a period. Parked ones come without usage: it is not final.
    pub async fn windows(&mut self, period: Period) -> Result<Vec<WindowFigures>, StoreError> {
        self.windows_of(period, "").await
    }

    /// Those that were there when a run had ended: without what later runs closed or parked.
    pub async fn windows_as_of(
        &mut self,
        period: Period,
        run_id: &str,
    ) -> Result<Vec<WindowFigures>, StoreError> {
        let sql = "SELECT tenant_id, window_start FROM billing_windows WHERE period = ? AND run_id IN
            (SELECT run_id FROM runs WHERE fence > (SELECT fence FROM runs WHERE run_id = ?))";
        let key = |mut row: Row| Ok((row.text()?, row.instant()?));
        let later = self.tx.fetch_map(sql, vec![period.to_string().into(), run_id.into()], key).await?;
        let later: BTreeSet<(String, Timestamp)> = later.into_iter().collect();
        let mut windows = self.windows(period).await?;
        windows.retain(|window| !later.contains(&(window.tenant_id.clone(), window.window.start)));
        Ok(windows)
    }

    /// Those of one tenant; no id stands for all.
    pub async fn windows_of(
        &mut self,
        period: Period,
        tenant_id: &str,
    ) -> Result<Vec<WindowFigures>, StoreError> {
        let of_period =
            || vec![Value::from(period.to_string()), Value::from(tenant_id), Value::from(tenant_id)];
        let mut windows = Windows::new();
        let sql = "SELECT tenant_id, window_start, window_start, window_end, accounted, tenant_name, status, park_reason,
            not_billed, full_cycle, catalog_hash, trial, stretches, paying FROM billing_windows WHERE period = ? AND (? = '' OR tenant_id = ?)";
        windows.extend(self.tx.fetch_map(sql, of_period(), head_of).await?);
        let sql = "SELECT tenant_id, window_start, segment_start, segment_end, meter, disposition, plan, plan_interval,
            currency, records, {exact:quantity}, {exact:free}, {exact:capped}, reading_records, {exact:readings} FROM window_usage
            WHERE period = ? AND (? = '' OR tenant_id = ?)
            ORDER BY tenant_id, window_start, position";
        let usage = |mut row: Row| {
            let window = owner(&mut windows, &mut row)?;
            let usage = usage_of(row).map_err(|error| of_tenant(window, error))?;
            window.usage.push(usage);
            Ok(())
        };
        self.tx.fetch_map(sql, of_period(), usage).await?;
        let sql = "SELECT tenant_id, window_start, segment_start, segment_end, meter, kind, tier, plan, plan_interval,
            currency, {exact:quantity}, {exact:priced_quantity}, {exact:unit_amount}, amount_minor, free_quota,
            next_plan_minor FROM window_lines
            WHERE period = ? AND (? = '' OR tenant_id = ?)
            ORDER BY tenant_id, window_start, position";
        let lines = |mut row: Row| {
            let window = owner(&mut windows, &mut row)?;
            let line = line_of(row).map_err(|error| of_tenant(window, error))?;
            window.lines.push(line);
            Ok(())
        };
        self.tx.fetch_map(sql, of_period(), lines).await?;
        Ok(windows.into_values().collect())
    }
}

const HEAD_COLUMNS: &[&str] = &[
    "tenant_id",
    "window_start",
    "window_end",
    "period",
    "tenant_name",
    "status",
    "accounted",
    "park_reason",
    "not_billed",
    "full_cycle",
    "catalog_hash",
    "trial",
    "stretches",
    "run_id",
    "paying",
];

fn head_row(period: Period, window: &WindowFigures, run_id: &str) -> Vec<Value> {
    vec![
        window.tenant_id.as_str().into(),
        window.window.start.into(),
        window.window.end.into(),
        period.to_string().into(),
        window.tenant_name.as_str().into(),
        window.status.as_str().into(),
        ranges_text(&window.accounted).into(),
        window.park.map_or("", ParkReason::as_str).into(),
        i64::from(window.not_billed).into(),
        i64::from(window.full_cycle).into(),
        window.catalog_hash.as_str().into(),
        i64::from(window.trial).into(),
        stretches_text(&window.stretches).into(),
        run_id.into(),
        i64::from(window.paying).into(),
    ]
}

fn head_of(mut row: Row) -> Result<((String, i64), WindowFigures), StoreError> {
    let key = (row.text()?, row.integer()?);
    let window = WindowFigures {
        tenant_id: key.0.clone(),
        window: Window { start: row.instant()?, end: row.instant()? },
        accounted: ranges_of(&row.text()?)?,
        tenant_name: row.text()?,
        status: word(&row.text()?, WindowStatus::parse)?,
        park: ParkReason::parse(&row.text()?),
        not_billed: row.integer()? != 0,
        full_cycle: row.integer()? != 0,
        catalog_hash: row.text()?,
        trial: row.integer()? != 0,
        stretches: stretches_of(&row.text()?)?,
        paying: row.integer()? != 0,
        usage: Vec::new(),
        lines: Vec::new(),
    };
    Ok((key, window))
}

fn owner<'a>(windows: &'a mut Windows, row: &mut Row) -> Result<&'a mut WindowFigures, StoreError> {
    let key = (row.text()?, row.integer()?);
    let missing = || StoreError::inconsistent("figures without their window", &key.0);
    windows.get_mut(&key).ok_or_else(missing)
}

/// Says whose figures are not what was written.
fn of_tenant(window: &WindowFigures, error: StoreError) -> StoreError {
    let place = format!("tenant {}, window from {}", window.tenant_id, window.window.start);
    match error {
        StoreError::Inconsistent(problem) => StoreError::inconsistent(&place, problem),
        other => other,
    }
}

const USAGE_COLUMNS: &[&str] = &[
    "tenant_id",
    "window_start",
    "position",
    "period",
    "segment_start",
    "segment_end",
    "meter",
    "disposition",
    "plan",
    "plan_interval",
    "currency",
    "records",
    "quantity",
    "free",
    "capped",
    "reading_records",
    "readings",
];

/// Usage in a gap has no plan, which is stored as empty texts.
fn usage_row(
    period: Period,
    window: &WindowFigures,
    position: i64,
    usage: &SegmentUsage,
) -> Result<Vec<Value>, StoreError> {
    let stored = |sum: QuantitySum| {
        sum.to_quantity().map_err(|error| StoreError::inconsistent("usage of a closed window", error))
    };
    let readings = usage.readings.unwrap_or_default().quantity;
    let split = usage.split.unwrap_or_default();
    let plan = usage.plan.as_ref();
    let mut row = window_key(period, window, position, usage.range);
    row.extend([
        usage.meter.as_str().into(),
        usage.disposition.as_str().into(),
        plan.map_or("", |plan| plan.key.as_str()).into(),
        plan.map_or("", |plan| plan.interval.as_str()).into(),
        plan.map_or("", |plan| plan.currency.code()).into(),
        usage.total.records.into(),
        stored(usage.total.quantity)?.into(),
        split.free.into(),
        split.capped.into(),
        usage.readings.map_or(Value::OptionalInteger(None), |readings| readings.records.into()),
        stored(readings)?.into(),
    ]);
    Ok(row)
}

fn usage_of(mut row: Row) -> Result<SegmentUsage, StoreError> {
    let range = Window { start: row.instant()?, end: row.instant()? };
    let meter = row.text()?;
    let disposition = word(&row.text()?, Disposition::parse)?;
    let plan = if disposition == Disposition::OutsideSubscription {
        let _empty = (row.text()?, row.text()?, row.text()?);
        None
    } else {
        Some(plan_id(&mut row)?)
    };
    let total = UsageTotal { records: row.count()?, quantity: row.quantity()?.into() };
    let (free, capped) = (row.quantity()?, row.quantity()?);
    let reading_records = row.optional_integer()?.and_then(|records| u64::try_from(records).ok());
    let quantity = row.quantity()?.into();
    let readings = reading_records.map(|records| UsageTotal { records, quantity });
    let split = None;
    let usage = SegmentUsage {
        range,
        plan,
        meter,
        disposition,
        total,
        readings,
        taken_back: QuantitySum::ZERO,
        split,
    };
    if disposition != Disposition::Billable {
        return Ok(usage);
    }
    let wrong = |error| StoreError::inconsistent("a quota", error);
    let above = usage.used().to_quantity().and_then(|used| used.checked_sub(free)).map_err(wrong)?;
    let billed = above.checked_sub(capped).map_err(wrong)?;
    Ok(SegmentUsage { split: Some(Split { free, billed, capped }), ..usage })
}

const LINE_COLUMNS: &[&str] = &[
    "tenant_id",
    "window_start",
    "position",
    "period",
    "segment_start",
    "segment_end",
    "meter",
    "kind",
    "tier",
    "plan",
    "plan_interval",
    "currency",
    "quantity",
    "priced_quantity",
    "unit_amount",
    "amount_minor",
    "free_quota",
    "next_plan_minor",
];

fn line_row(period: Period, window: &WindowFigures, position: i64, line: &WindowLine) -> Vec<Value> {
    let mut row = window_key(period, window, position, line.range);
    row.extend([
        line.meter.as_str().into(),
        line.line.kind.as_str().into(),
        Value::OptionalInteger(line.line.tier.map(i64::from)),
        line.plan.key.as_str().into(),
        line.plan.interval.as_str().into(),
        line.plan.currency.code().into(),
        line.line.quantity.into(),
        line.line.priced_quantity.into(),
        line.line.unit_amount.into(),
        line.line.amount.minor.into(),
        text(line.free_quota).into(),
        text(line.next_plan_bill).into(),
    ]);
    row
}

/// Empty where there is none.
fn text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn known<T, E: std::fmt::Display>(
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, StoreError> {
    let value = (!text.is_empty()).then(|| parse(text)).transpose();
    value.map_err(|error| StoreError::inconsistent("a line", error))
}

fn line_of(mut row: Row) -> Result<WindowLine, StoreError> {
    let range = Window { start: row.instant()?, end: row.instant()? };
    let meter = row.text()?;
    let kind = word(&row.text()?, LineKind::parse)?;
    let tier = row.optional_integer()?.and_then(|tier| u32::try_from(tier).ok());
    let plan = plan_id(&mut row)?;
    let quantities = [row.quantity()?, row.quantity()?];
    let (unit_amount, amount_minor) = (row.unit_amount()?, row.integer()?);
    let line = RatedLine::new(kind, tier, quantities, unit_amount, plan.currency);
    let line = line.map_err(|error| StoreError::inconsistent("a line", error))?;
    if line.amount.minor != amount_minor {
        let problem = format!(
            "{amount_minor} is stored, but {} x {unit_amount} makes {}",
            quantities[1], line.amount.minor
        );
        return Err(StoreError::inconsistent("a closed line", problem));
    }
    let free_quota = known(&row.text()?, |text| QuantitySum::parse(text)?.to_quantity())?;
    let next_plan_bill = known(&row.text()?, str::parse)?;
    Ok(WindowLine { range, plan, meter, line, free_quota, next_plan_bill })
}

fn window_key(period: Period, window: &WindowFigures, position: i64, range: Window) -> Vec<Value> {
    vec![
        window.tenant_id.as_str().into(),
        window.window.start.into(),
        position.into(),
        period.to_string().into(),
        range.start.into(),
        range.end.into(),
    ]
}
