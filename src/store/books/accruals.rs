//! Accruals: what a run reported of windows that were open at the end of its period.
//!
//! In: accruals of a run. Out: the same, in their order. Never computes.

use crate::domain::accrual::Accrual;
use crate::domain::money::MinorAmount;
use crate::domain::number::QuantitySum;
use crate::domain::period::Window;
use crate::store::books::rules::plan_id;
use crate::store::books::{BooksView, BooksWrite};
use crate::store::error::StoreError;
use crate::store::row::Row;

const COLUMNS: &[&str] = &[
    "run_id",
    "position",
    "tenant_id",
    "plan",
    "plan_interval",
    "currency",
    "meter",
    "window_start",
    "window_end",
    "accrued_until",
    "records",
    "quantity",
    "amount_minor",
];

impl BooksWrite {
    pub async fn save_accruals(&mut self, run_id: &str, accruals: &[Accrual]) -> Result<(), StoreError> {
        let rows = (0i64..).zip(accruals).map(|(position, one)| {
            vec![
                run_id.into(),
                position.into(),
                one.tenant_id.as_str().into(),
                one.plan.key.as_str().into(),
                one.plan.interval.as_str().into(),
                one.plan.currency.code().into(),
                one.meter.as_str().into(),
                one.window.start.into(),
                one.window.end.into(),
                one.until.into(),
                one.records.into(),
                one.quantity.to_string().into(),
                one.amount.minor.into(),
            ]
        });
        self.tx.insert("run_accruals", COLUMNS, rows, "").await.map(|_| ())
    }
}

impl BooksView {
    pub async fn accruals(&mut self, run_id: &str) -> Result<Vec<Accrual>, StoreError> {
        let sql =
            "SELECT tenant_id, plan, plan_interval, currency, meter, window_start, window_end, accrued_until,
                records, quantity, amount_minor
            FROM run_accruals WHERE run_id = ? ORDER BY position";
        self.tx.fetch_map(sql, vec![run_id.into()], accrual_of).await
    }
}

fn accrual_of(mut row: Row) -> Result<Accrual, StoreError> {
    let (tenant_id, plan, meter) = (row.text()?, plan_id(&mut row)?, row.text()?);
    let window = Window { start: row.instant()?, end: row.instant()? };
    let (until, records) = (row.instant()?, row.count()?);
    let quantity = QuantitySum::parse(&row.text()?);
    let quantity = quantity.map_err(|error| StoreError::inconsistent("an accrual", error))?;
    let amount = MinorAmount::new(row.integer()?, plan.currency);
    Ok(Accrual { tenant_id, plan, meter, window, until, records, quantity, amount })
}
