//! The table of limit events.
//!
//! In: the events of a period's windows so far. Out: `limit_events.csv`, for the application that warns its customers. Never
//! an instant at which something was seen: the same ledger gives the same bytes.

use crate::domain::ratio::Ratio;
use crate::domain::report::{Cell, Report, Table, number, text, word};

impl Report {
    pub(super) fn limit_rows(&self) -> Table<'_> {
        let rows = self.limits.iter().map(|row| {
            let one = &row.event;
            vec![
                word(self.period.to_string()),
                text(&one.tenant_id),
                text(&one.plan.key),
                text(&one.meter),
                Cell::Instant(one.window.start.to_string()),
                Cell::Instant(one.window.end.to_string()),
                Cell::Number(one.level.to_string()),
                Cell::Number(one.quota.to_string()),
                Cell::Number(one.used.to_string()),
                number(Ratio::share(one.used, one.quota)),
                text(if row.is_new { "new" } else { "known" }),
                text(one.plan.interval.as_str()),
            ]
        });
        Table {
            name: "limit_events",
            columns: &[
                "period",
                "tenant_id",
                "plan",
                "meter",
                "window_start",
                "window_end",
                "level",
                "quota",
                "used",
                "used_share",
                "change",
                "interval",
            ],
            rows: Box::new(rows),
        }
    }
}
