//! The rows of `trend.csv`.
//!
//! In: a report of a judged period. Out: one row for each metric and period. Nothing for a period that is not judged.

use crate::domain::report::{Cell, Report, Table, number, text, word};
use crate::domain::trend::{Target, TrendRow, trend};

impl Report {
    pub fn trend(&self) -> Vec<TrendRow> {
        let judged = self.verdict.is_some();
        if judged { trend(self.period, &self.decision, &self.earlier) } else { Vec::new() }
    }

    pub(super) fn trend_rows(&self) -> Table<'_> {
        let rows = self.trend();
        Table {
            name: "trend",
            columns: &[
                "plan",
                "meter",
                "metric",
                "period",
                "value",
                "previous",
                "change",
                "change_share",
                "baseline",
                "target",
                "met",
            ],
            rows: Box::new(rows.into_iter().map(cells)),
        }
    }
}

fn cells<'a>(row: TrendRow) -> Vec<Cell<'a>> {
    vec![
        word(row.plan),
        word(row.meter),
        word(row.metric),
        word(row.period.to_string()),
        Cell::Number(row.value),
        number(row.previous),
        number(row.change),
        number(row.change_share),
        number(row.baseline),
        // Our own words, which begin with a sign.
        Cell::Number(row.target.map_or("", Target::as_str).to_owned()),
        text(row.met.map_or("", |met| if met { "true" } else { "false" })),
    ]
}
