//! Adjustments: what came late to closed windows. Rows that are only ever added.
//!
//! In: adjustments of a run, in the transaction of that run. Out: those of a period, up to now or up to a run. Triggers in
//! the database refuse to change or remove one. Never computes.

use crate::domain::late::Adjustment;
use crate::domain::money::MinorAmount;
use crate::domain::period::{Period, Window};
use crate::store::books::rules::plan_id;
use crate::store::books::{BooksView, BooksWrite};
use crate::store::error::StoreError;
use crate::store::row::Row;

const COLUMNS: &[&str] = &[
    "tenant_id",
    "window_start",
    "window_end",
    "segment_start",
    "segment_end",
    "meter",
    "period",
    "plan",
    "plan_interval",
    "currency",
    "records",
    "quantity",
    "amount_minor",
    "run_id",
];

impl BooksWrite {
    pub async fn add_adjustments(
        &mut self,
        period: Period,
        run_id: &str,
        adjustments: &[Adjustment],
    ) -> Result<(), StoreError> {
        let rows = adjustments.iter().map(|one| {
            vec![
                one.tenant_id.as_str().into(),
                one.window.start.into(),
                one.window.end.into(),
                one.range.start.into(),
                one.range.end.into(),
                one.meter.as_str().into(),
                period.to_string().into(),
                one.plan.key.as_str().into(),
                one.plan.interval.as_str().into(),
                one.plan.currency.code().into(),
                one.records.into(),
                one.quantity.into(),
                one.amount.minor.into(),
                run_id.into(),
            ]
        });
        self.tx.insert("adjustments", COLUMNS, rows, "").await.map(|_| ())
    }
}

impl BooksView {
    /// All of a period, by window.
    pub async fn adjustments(&mut self, period: Period) -> Result<Vec<Adjustment>, StoreError> {
        let sql = "SELECT tenant_id, window_start, window_end, segment_start, segment_end, meter, plan, plan_interval,
                currency, records, {exact:quantity}, amount_minor
            FROM adjustments WHERE period = ? ORDER BY tenant_id, window_start, window_end, segment_start, meter, run_id";
        self.tx.fetch_map(sql, vec![period.to_string().into()], adjustment_of).await
    }

    /// Those that a run knew: its own and what runs before it wrote. A period has one run in a term, so terms order them.
    pub async fn adjustments_of_run(
        &mut self,
        period: Period,
        run_id: &str,
    ) -> Result<Vec<Adjustment>, StoreError> {
        let sql = "SELECT tenant_id, window_start, window_end, segment_start, segment_end, meter, plan, plan_interval,
                currency, records, {exact:quantity}, amount_minor
            FROM adjustments WHERE period = ? AND run_id IN
                (SELECT run_id FROM runs WHERE fence <= (SELECT fence FROM runs WHERE run_id = ?))
            ORDER BY tenant_id, window_start, window_end, segment_start, meter, run_id";
        self.tx.fetch_map(sql, vec![period.to_string().into(), run_id.into()], adjustment_of).await
    }
}

fn adjustment_of(mut row: Row) -> Result<Adjustment, StoreError> {
    let tenant_id = row.text()?;
    let window = Window { start: row.instant()?, end: row.instant()? };
    let range = Window { start: row.instant()?, end: row.instant()? };
    let (meter, plan) = (row.text()?, plan_id(&mut row)?);
    let (records, quantity) = (row.count()?, row.quantity()?);
    let amount = MinorAmount::new(row.integer()?, plan.currency);
    Ok(Adjustment { tenant_id, window, range, plan, meter, records, quantity, amount })
}
