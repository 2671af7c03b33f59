//! Limit events, and what windows used before.
//!
//! In: events of a run, in the transaction of that run. Out: those that are known, with whether a report has told them; and
//! the closed windows of a few labels. Triggers in the database refuse to change or remove an event. Never computes.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::domain::figures::Disposition;
use crate::domain::history::{PastWindow, WINDOWS};
use crate::domain::limit::{LimitEvent, LimitRow};
use crate::domain::number::QuantitySum;
use crate::domain::period::{Period, Window};
use crate::store::books::layout::stretches_of;
use crate::store::books::rules::plan_id;
use crate::store::books::runs::period;
use crate::store::books::{BooksView, BooksWrite};
use crate::store::connection::Value;
use crate::store::error::StoreError;
use crate::store::row::Row;

/// An event that a run has written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredLimit {
    pub event: LimitEvent,
    /// The label of the run that wrote it.
    pub period: Period,
    /// The `now` of that run.
    pub reached_at: Timestamp,
    /// That run or a later one of the period has left its files.
    pub is_told: bool,
}

const COLUMNS: &[&str] = &[
    "tenant_id",
    "window_start",
    "window_end",
    "meter",
    "level",
    "period",
    "plan",
    "plan_interval",
    "currency",
    "quota",
    "used",
    "reached_at",
    "run_id",
];

impl BooksWrite {
    pub async fn add_limit_events(
        &mut self,
        (period, run_id): (Period, &str),
        events: &[LimitEvent],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let rows = events.iter().map(|one| {
            vec![
                one.tenant_id.as_str().into(),
                one.window.start.into(),
                one.window.end.into(),
                one.meter.as_str().into(),
                i64::from(one.level).into(),
                period.to_string().into(),
                one.plan.key.as_str().into(),
                one.plan.interval.as_str().into(),
                one.plan.currency.code().into(),
                one.quota.into(),
                one.used.into(),
                now.into(),
                run_id.into(),
            ]
        });
        self.tx.insert("limit_events", COLUMNS, rows, "").await.map(|_| ())
    }
}

impl BooksView {
    /// Those of all windows, of whatever label, that have an instant in common with `range`.
    pub async fn limit_events(
        &mut self,
        period: Period,
        range: Window,
    ) -> Result<Vec<StoredLimit>, StoreError> {
        let sql =
            "SELECT e.tenant_id, e.plan, e.plan_interval, e.currency, e.meter, e.window_start, e.window_end,
                e.level, {exact:quota}, {exact:used}, e.period, e.reached_at, runs.fence
            FROM limit_events e JOIN runs ON runs.run_id = e.run_id
            WHERE e.window_end > ? AND e.window_start < ?";
        let told = self.told(period, i64::MAX).await?;
        let values = vec![range.start.into(), range.end.into()];
        self.tx.fetch_map(sql, values, |row| stored_of(row, told)).await
    }

    /// Those of one tenant and label.
    pub async fn limit_events_of(
        &mut self,
        period: Period,
        tenant_id: &str,
    ) -> Result<Vec<StoredLimit>, StoreError> {
        let sql =
            "SELECT e.tenant_id, e.plan, e.plan_interval, e.currency, e.meter, e.window_start, e.window_end,
                e.level, {exact:quota}, {exact:used}, e.period, e.reached_at, runs.fence
            FROM limit_events e JOIN runs ON runs.run_id = e.run_id WHERE e.tenant_id = ? AND e.period = ?";
        let told = self.told(period, i64::MAX).await?;
        let values = vec![tenant_id.into(), period.to_string().into()];
        self.tx.fetch_map(sql, values, |row| stored_of(row, told)).await
    }

    /// Those that a run knew, in the order of its file: its own and what runs before it wrote. A period has one run in a term,
    /// so terms order them. Told for the first time is what no earlier run that left its files has seen: one that died in
    /// between has told nobody.
    pub async fn limit_rows(&mut self, period: Period, run_id: &str) -> Result<Vec<LimitRow>, StoreError> {
        let Some(run) = self.run(run_id).await? else { return Ok(Vec::new()) };
        let sql =
            "SELECT e.tenant_id, e.plan, e.plan_interval, e.currency, e.meter, e.window_start, e.window_end,
                e.level, {exact:quota}, {exact:used}, e.period, e.reached_at, runs.fence
            FROM limit_events e JOIN runs ON runs.run_id = e.run_id WHERE e.period = ? AND runs.fence <= ?";
        let told = self.told(period, run.fence).await?;
        let row = |row: Row| {
            let stored = stored_of(row, told)?;
            Ok(LimitRow { event: stored.event, is_new: !stored.is_told })
        };
        let values = vec![period.to_string().into(), run.fence.into()];
        let mut rows = self.tx.fetch_map(sql, values, row).await?;
        rows.sort();
        Ok(rows)
    }

    /// The term of the newest run before `fence` whose files are there, or are going to be.
    async fn told(&mut self, period: Period, fence: i64) -> Result<i64, StoreError> {
        let sql = "SELECT COALESCE(MAX(fence), 0) FROM runs
            WHERE period = ? AND state IN ('committed', 'finished') AND fence < ?";
        let newest =
            self.tx.fetch_map(sql, vec![period.to_string().into(), fence.into()], |mut row| row.integer());
        Ok(newest.await?.pop().unwrap_or_default())
    }

    /// The closed windows of these labels, of the tenants from the first to the last, with what was billed for: by tenant,
    /// the newest first. Trials are left out.
    pub async fn past_windows(
        &mut self,
        labels: [Period; WINDOWS],
        [first, last]: [&str; 2],
    ) -> Result<Vec<PastWindow>, StoreError> {
        let sql = "SELECT w.tenant_id, w.window_start, w.window_end, w.catalog_hash, w.stretches, u.meter,
                {exact:quantity}, u.reading_records, {exact:readings}
            FROM billing_windows w LEFT JOIN window_usage u
                ON u.tenant_id = w.tenant_id AND u.window_start = w.window_start AND u.disposition = ?
            WHERE w.period IN (?, ?, ?, ?, ?, ?) AND w.tenant_id >= ? AND w.tenant_id <= ?
                AND w.status = 'closed' AND w.trial = 0
            ORDER BY w.tenant_id, w.window_start DESC, w.window_end, u.position";
        let labels = labels.map(|label| Value::from(label.to_string()));
        let values = [Disposition::Billable.as_str().into()].into_iter().chain(labels);
        let mut windows: Vec<PastWindow> = Vec::new();
        let add = |row: Row| add_past(&mut windows, row);
        self.tx.fetch_map(sql, values.chain([first.into(), last.into()]).collect(), add).await?;
        Ok(windows)
    }
}

/// `told`: the newest term whose run has told what it knew.
fn stored_of(mut row: Row, told: i64) -> Result<StoredLimit, StoreError> {
    let (tenant_id, plan, meter) = (row.text()?, plan_id(&mut row)?, row.text()?);
    let window = Window { start: row.instant()?, end: row.instant()? };
    let level = u8::try_from(row.integer()?).map_err(|error| StoreError::inconsistent("a level", error))?;
    let (quota, used) = (row.quantity()?, row.quantity()?);
    let event = LimitEvent { tenant_id, plan, meter, window, level, quota, used };
    Ok(StoredLimit {
        event,
        period: period(&row.text()?)?,
        reached_at: row.instant()?,
        is_told: row.integer()? <= told,
    })
}

/// Several rows are one window: one for each meter and segment, or one without usage.
fn add_past(windows: &mut Vec<PastWindow>, mut row: Row) -> Result<(), StoreError> {
    let tenant_id = row.text()?;
    let window = Window { start: row.instant()?, end: row.instant()? };
    let (catalog_hash, stretches) = (row.text()?, row.text()?);
    if windows.last().is_none_or(|last| last.tenant_id != tenant_id || last.window != window) {
        let stretches = stretches_of(&stretches)?;
        windows.push(PastWindow { tenant_id, window, catalog_hash, stretches, used: BTreeMap::new() });
    }
    let (Some(last), Some(meter)) = (windows.last_mut(), row.optional_text()?) else { return Ok(()) };
    let (sum, is_gauge) = (row.quantity()?, row.optional_integer()?.is_some());
    let used: QuantitySum = if is_gauge { row.quantity()?.into() } else { sum.into() };
    let total = last.used.entry(meter).or_default();
    let more = total.checked_add(used.max(QuantitySum::ZERO));
    *total = more.map_err(|error| StoreError::inconsistent("usage of a closed window", error))?;
    Ok(())
}
