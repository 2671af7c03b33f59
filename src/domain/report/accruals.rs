//! The table of accruals.
//!
//! In: what was used of windows that were still open when the period ended. Out: `accruals.csv`.

use crate::domain::report::{Cell, Report, Table, text, word};

impl Report {
    pub(super) fn accrual_rows(&self) -> Table<'_> {
        let rows = self.accruals.iter().map(|one| {
            vec![
                word(self.period.to_string()),
                text(&one.tenant_id),
                text(&one.plan.key),
                text(&one.meter),
                Cell::Instant(one.window.start.to_string()),
                Cell::Instant(one.window.end.to_string()),
                Cell::Instant(one.until.to_string()),
                Cell::Number(one.records.to_string()),
                Cell::Number(one.quantity.to_string()),
                Cell::Number(one.amount.minor.to_string()),
                Cell::Number(one.amount.to_string()),
                word(one.amount.currency.to_string()),
                text(one.plan.interval.as_str()),
            ]
        });
        Table {
            name: "accruals",
            columns: &[
                "period",
                "tenant_id",
                "plan",
                "meter",
                "window_start",
                "window_end",
                "accrued_until",
                "records",
                "quantity",
                "amount_minor",
                "amount",
                "currency",
                "interval",
            ],
            rows: Box::new(rows),
        }
    }
}
