//! A statement of what a period was closed with, tenant by tenant, and what it comes to with late usage.
//!
//! In: a report. Out: one row for each tenant, plan and meter, base fees apart, and a total for each currency. The original
//! figures are those of the closed windows, whatever came later; nothing is rewritten, and nothing is rated here.

use std::collections::BTreeMap;

use crate::domain::catalog::PlanId;
use crate::domain::figures::{Disposition, WindowStatus};
use crate::domain::late::{LateFault, aggregate};
use crate::domain::money::{Currency, MinorSum, MoneyError};
use crate::domain::number::QuantitySum;
use crate::domain::period::Period;
use crate::domain::report::{Cell, Report, Table, text, word};

pub struct Statement<'a> {
    period: Period,
    rows: BTreeMap<(&'a str, &'a PlanId, &'a str), Row>,
}

struct Row {
    original_quantity: QuantitySum,
    late_quantity: QuantitySum,
    original: MinorSum,
    late: MinorSum,
}

impl Row {
    fn zero(currency: Currency) -> Self {
        Self {
            original_quantity: QuantitySum::ZERO,
            late_quantity: QuantitySum::ZERO,
            original: MinorSum::zero(currency),
            late: MinorSum::zero(currency),
        }
    }
}

impl Report {
    pub fn statement(&self) -> Result<Statement<'_>, LateFault> {
        let mut statement = Statement { period: self.period, rows: BTreeMap::new() };
        let closed = self.windows.iter().filter(|window| window.status == WindowStatus::Closed);
        for window in closed {
            let billable = window.usage.iter().filter(|usage| usage.disposition == Disposition::Billable);
            for (usage, plan) in billable.filter_map(|usage| Some((usage, usage.plan.as_ref()?))) {
                let row = statement.row(&window.tenant_id, plan, &usage.meter);
                row.original_quantity = row.original_quantity.checked_add(aggregate(usage))?;
            }
            for line in &window.lines {
                let row = statement.row(&window.tenant_id, &line.plan, &line.meter);
                row.original = row.original.checked_add(line.line.amount)?;
            }
        }
        for one in &self.adjustments {
            let row = statement.row(&one.tenant_id, &one.plan, &one.meter);
            row.late_quantity = row.late_quantity.checked_add(one.late_quantity)?;
            row.late = row.late.checked_add(one.late_amount)?;
        }
        Ok(statement)
    }
}

impl<'a> Statement<'a> {
    fn row(&mut self, tenant_id: &'a str, plan: &'a PlanId, meter: &'a str) -> &mut Row {
        self.rows.entry((tenant_id, plan, meter)).or_insert_with(|| Row::zero(plan.currency))
    }

    /// The rows, then the totals. Restated or not, the original figures are the same.
    pub fn table(&self, restated: bool) -> Result<Table<'_>, LateFault> {
        let mut rows = Vec::new();
        let mut totals: BTreeMap<Currency, Row> = BTreeMap::new();
        for ((tenant_id, plan, meter), row) in &self.rows {
            let kind = if meter.is_empty() { "base" } else { "usage" };
            let mut cells = vec![
                word(self.period.to_string()),
                text(tenant_id),
                text(&plan.key),
                text(plan.interval.as_str()),
                text(meter),
                text(kind),
                word(plan.currency.to_string()),
            ];
            let quantities = [
                row.original_quantity,
                row.late_quantity,
                row.original_quantity.checked_add(row.late_quantity)?,
            ];
            cells.extend(wanted(
                quantities.map(|one| if meter.is_empty() { String::new() } else { one.to_string() }),
                restated,
            ));
            cells.extend(amounts(row, restated)?);
            rows.push(cells);
            let total = totals.entry(plan.currency).or_insert_with(|| Row::zero(plan.currency));
            total.original = total.original.checked_add(row.original)?;
            total.late = total.late.checked_add(row.late)?;
        }
        for (currency, total) in totals {
            let mut cells = vec![word(self.period.to_string())];
            cells.extend(["", "", "", "", "total"].map(text));
            cells.push(word(currency.to_string()));
            cells.extend(wanted([const { String::new() }; 3], restated));
            cells.extend(amounts(&total, restated)?);
            rows.push(cells);
        }
        let columns = if restated { RESTATED } else { ORIGINAL };
        Ok(Table { name: "statement", columns, rows: Box::new(rows.into_iter()) })
    }
}

const ORIGINAL: &[&str] = &[
    "period",
    "tenant_id",
    "plan",
    "interval",
    "meter",
    "kind",
    "currency",
    "quantity",
    "amount_minor",
    "amount",
];

const RESTATED: &[&str] = &[
    "period",
    "tenant_id",
    "plan",
    "interval",
    "meter",
    "kind",
    "currency",
    "original_quantity",
    "late_quantity",
    "restated_quantity",
    "original_amount_minor",
    "late_amount_minor",
    "restated_amount_minor",
    "original_amount",
    "late_amount",
    "restated_amount",
];

/// All three, or the original one only.
fn wanted<'c>(texts: [String; 3], restated: bool) -> impl Iterator<Item = Cell<'c>> {
    texts.into_iter().take(if restated { 3 } else { 1 }).map(Cell::Number)
}

fn amounts<'c>(row: &Row, restated: bool) -> Result<impl Iterator<Item = Cell<'c>>, MoneyError> {
    let sums = [row.original, row.late, row.original.checked_add(row.late)?];
    let minor = wanted(sums.map(|sum| sum.minor.to_string()), restated);
    Ok(minor.chain(wanted(sums.map(|sum| sum.to_string()), restated)))
}
