//! The table of late usage.
//!
//! In: what came late to closed windows, restated. Out: `adjustments.csv`, one row for each window, segment and meter: as it
//! was closed, what came late, and both together.

use crate::domain::money::MoneyError;
use crate::domain::report::{Cell, Report, Table, text, word};

impl Report {
    pub(super) fn adjustment_rows(&self) -> Result<Table<'_>, MoneyError> {
        let mut rows = Vec::with_capacity(self.adjustments.len());
        for one in &self.adjustments {
            let amounts = [one.original_amount, one.late_amount, one.amount()?];
            let mut row = vec![
                word(self.period.to_string()),
                text(&one.tenant_id),
                text(&one.plan.key),
                text(&one.meter),
                Cell::Instant(one.window.start.to_string()),
                Cell::Instant(one.window.end.to_string()),
                Cell::Instant(one.range.start.to_string()),
                Cell::Instant(one.range.end.to_string()),
                Cell::Number(one.records.to_string()),
                Cell::Number(one.original_quantity.to_string()),
                Cell::Number(one.late_quantity.to_string()),
                Cell::Number(one.quantity.to_string()),
            ];
            row.extend(amounts.map(|amount| Cell::Number(amount.minor.to_string())));
            row.extend(amounts.map(|amount| Cell::Number(amount.to_string())));
            row.push(word(one.plan.currency.to_string()));
            row.push(text(one.plan.interval.as_str()));
            rows.push(row);
        }
        Ok(Table {
            name: "adjustments",
            columns: &[
                "period",
                "tenant_id",
                "plan",
                "meter",
                "window_start",
                "window_end",
                "segment_start",
                "segment_end",
                "records",
                "original_quantity",
                "late_quantity",
                "restated_quantity",
                "original_amount_minor",
                "late_amount_minor",
                "restated_amount_minor",
                "original_amount",
                "late_amount",
                "restated_amount",
                "currency",
                "interval",
            ],
            rows: Box::new(rows.into_iter()),
        })
    }
}
