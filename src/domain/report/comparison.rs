//! The tables of the comparison and of the decision.
//!
//! In: reconciliation rows and metrics. Out: `reconciliation.csv` and `decision.csv`. What is not known is an empty cell,
//! never a 0.

use crate::domain::metric::Metric;
use crate::domain::money::{Currency, MinorSum};
use crate::domain::reconcile::{Age, Cause, ItemKind, ReconciliationRow};
use crate::domain::report::{Cell, Report, Table, number, text, word};

impl Report {
    pub(super) fn reconciliation(&self) -> Table<'_> {
        Table {
            name: "reconciliation",
            columns: &[
                "period",
                "tenant_id",
                "plan",
                "meter",
                "window_start",
                "window_end",
                "source",
                "class",
                "ledger_quantity",
                "stripe_quantity",
                "difference_quantity",
                "ledger_amount_minor",
                "stripe_amount_minor",
                "difference_amount_minor",
                "currency",
                "reason",
                "evidence",
                "ledger_amount",
                "stripe_amount",
                "difference_amount",
                "explained_quantity",
                "unexplained_quantity",
                "explained_amount_minor",
                "unexplained_amount_minor",
                "next_step",
                "item",
                "within_tolerance",
                "change",
                "age_runs",
            ],
            rows: Box::new(self.comparison.iter().map(|row| self.comparison_row(row))),
        }
    }

    fn comparison_row<'a>(&self, row: &'a ReconciliationRow) -> Vec<Cell<'a>> {
        let instant =
            |at: Option<jiff::Timestamp>| Cell::Instant(at.map(|at| at.to_string()).unwrap_or_default());
        let money = |minor: Option<i128>| {
            number(minor.zip(row.currency).map(|(minor, currency)| MinorSum { minor, currency }))
        };
        vec![
            word(self.period.to_string()),
            text(&row.tenant_id),
            text(&row.plan),
            text(&row.meter),
            instant(row.window.map(|window| window.start)),
            instant(row.window.map(|window| window.end)),
            text(row.source.as_str()),
            text(row.class.as_str()),
            number(row.ledger_quantity),
            number(row.stripe_quantity),
            number(row.difference_quantity()),
            number(row.ledger_amount),
            number(row.stripe_amount),
            number(row.difference_amount()),
            text(row.currency.as_ref().map_or("", Currency::code)),
            text(row.reason.map_or("", Cause::as_str)),
            text(row.evidence.as_str()),
            money(row.ledger_amount),
            money(row.stripe_amount),
            money(row.difference_amount()),
            number(row.explained_quantity),
            number(row.unexplained_quantity()),
            number(row.explained_amount),
            number(row.unexplained_amount()),
            text(&row.next_step),
            text(row.item.map_or("", ItemKind::as_str)),
            text(if row.within_tolerance() { "true" } else { "" }),
            text(row.age.map_or("", Age::as_str)),
            number(row.age.map(Age::runs)),
        ]
    }

    pub(super) fn decision_rows(&self) -> Table<'_> {
        let rows = self.decision.iter().map(|row| {
            vec![
                text(&row.plan),
                text(&row.meter),
                text(&row.metric),
                Cell::Number(row.value.clone()),
                // Our own sign: an apostrophe would make `=` something else.
                Cell::Number(row.operator.clone()),
                Cell::Number(row.threshold.clone()),
                word(row.passed.map(|passed| passed.to_string()).unwrap_or_default()),
                word(row.required.to_string()),
                Cell::Number(row.population.to_string()),
                text(Metric::of_row(&row.metric).map_or("", |(metric, _)| metric.formula())),
            ]
        });
        Table {
            name: "decision",
            columns: &[
                "plan",
                "meter",
                "metric",
                "value",
                "operator",
                "threshold",
                "passed",
                "required",
                "population",
                "formula",
            ],
            rows: Box::new(rows),
        }
    }
}
