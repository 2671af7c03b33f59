//! Reports as plain data: tables of typed cells that CSV, XLSX and HTML print alike.
//!
//! In: the figures, exceptions and control totals of one run. Out: tables with sorted rows. Never holds a wall clock
//! or a run id, so that the same ledger, rules and Stripe answers give the same bytes.

mod accruals;
mod adjustments;
mod comparison;
mod csv_format;
mod exception;
mod forecast;
mod limits;
pub mod page;
mod statement;
mod trend;

pub use csv_format::{CsvFormat, Delimiter};
pub use exception::{
    Exception, ExceptionKind, QuarantineCount, came_late, exceptions, not_accrued, resolved, unbillable,
};
pub use forecast::jumped;
pub use statement::Statement;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::domain::accrual::Accrual;
use crate::domain::catalog::PlanId;
use crate::domain::controls::ControlTotals;
use crate::domain::decide::{DecisionRow, Verdict};
use crate::domain::figures::{WindowFigures, WindowLine, WindowStatus};
use crate::domain::forecast::Forecast;
use crate::domain::late::Restated;
use crate::domain::limit::LimitRow;
use crate::domain::money::{Currency, MinorSum, MoneyError};
use crate::domain::period::Period;
use crate::domain::population::Counting;
use crate::domain::rating::{LineKind, RatedLine};
use crate::domain::reconcile::ReconciliationRow;
use crate::domain::report::page::PageData;
use crate::domain::trend::SaidBefore;

/// Text comes from people and is made harmless where it is printed; numbers and instants come from us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    Text(Cow<'a, str>),
    Number(String),
    Instant(String),
}

impl Cell<'_> {
    /// As it is, without what a spreadsheet needs.
    pub fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Number(text) | Self::Instant(text) => text,
        }
    }
}

/// One data file.
pub struct Table<'a> {
    /// File name without extension.
    pub name: &'static str,
    pub columns: &'static [&'static str],
    pub rows: Box<dyn Iterator<Item = Vec<Cell<'a>>> + 'a>,
}

/// What the ledger held when a run read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LedgerSeen {
    pub records: u64,
    /// When the newest of them was imported.
    pub recorded_at: Option<Timestamp>,
}

/// All that one run reports about its period.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    pub period: Period,
    pub windows: Vec<WindowFigures>,
    pub exceptions: Vec<Exception>,
    pub controls: ControlTotals,
    /// In the order of the file.
    pub comparison: Vec<ReconciliationRow>,
    /// One JSON object a line: request ids and other traces that are not lasting.
    pub evidence: Vec<String>,
    pub decision: Vec<DecisionRow>,
    /// What came late to closed windows, by all runs so far.
    pub adjustments: Vec<Restated>,
    /// What was used of windows still open when the period ended; nothing before that.
    pub accruals: Vec<Accrual>,
    /// Levels of quotas that the period's windows have reached so far, sorted.
    pub limits: Vec<LimitRow>,
    /// Of its open windows; a run that closes something shows none of them.
    pub forecasts: Vec<Forecast>,
    /// What the ledger held of the period when it was read.
    pub ledger: LedgerSeen,
    /// `None` for a period that is not judged yet.
    pub verdict: Option<Verdict>,
    /// What was said of the periods before it, the newest first.
    pub earlier: Vec<SaidBefore>,
    pub page: PageData,
}

impl Report {
    /// The CSV files of a run.
    pub fn tables(&self) -> Result<Vec<Table<'_>>, MoneyError> {
        Ok(vec![
            self.summary()?,
            self.lines(),
            self.reconciliation(),
            self.exception_rows(),
            self.adjustment_rows()?,
            self.accrual_rows(),
            self.limit_rows(),
            self.forecast_rows(),
            self.decision_rows(),
            self.trend_rows(),
            self.control_totals(),
        ])
    }

    fn lines(&self) -> Table<'_> {
        let mut lines: Vec<(&WindowFigures, &WindowLine)> = self
            .windows
            .iter()
            .flat_map(|window| window.lines.iter().map(move |line| (window, line)))
            .collect();
        lines.sort_by_key(|(window, line)| {
            let of = &line.line;
            (&window.tenant_id, &line.plan, &line.meter, window.window, line.range, of.tier, of.kind)
        });
        Table {
            name: "lines",
            columns: &[
                "period",
                "tenant_id",
                "plan",
                "meter",
                "window_start",
                "window_end",
                "tier",
                "kind",
                "quantity",
                "unit_amount_decimal",
                "exact_amount_minor",
                "amount_minor",
                "amount",
                "currency",
                "interval",
                "segment_start",
                "segment_end",
                "window_status",
                "tenant_name",
                "priced_quantity",
                "counted",
                "free_quota",
                "next_plan_amount_minor",
            ],
            rows: Box::new(lines.into_iter().map(|(window, line)| self.line_row(window, line))),
        }
    }

    fn line_row<'a>(&self, window: &'a WindowFigures, line: &'a WindowLine) -> Vec<Cell<'a>> {
        let rated = &line.line;
        vec![
            word(self.period.to_string()),
            text(&window.tenant_id),
            text(&line.plan.key),
            text(&line.meter),
            Cell::Instant(window.window.start.to_string()),
            Cell::Instant(window.window.end.to_string()),
            Cell::Number(rated.tier.map(|tier| tier.to_string()).unwrap_or_default()),
            text(rated.kind.as_str()),
            Cell::Number(rated.quantity.to_string()),
            Cell::Number(rated.unit_amount.to_string()),
            Cell::Number(rated.exact.to_string()),
            Cell::Number(rated.amount.minor.to_string()),
            Cell::Number(rated.amount.to_string()),
            word(rated.amount.currency.to_string()),
            text(line.plan.interval.as_str()),
            Cell::Instant(line.range.start.to_string()),
            Cell::Instant(line.range.end.to_string()),
            text(window.status.as_str()),
            text(&window.tenant_name),
            Cell::Number(rated.priced_quantity.to_string()),
            text(Counting::of(window).as_str()),
            number(line.free_quota),
            number(line.next_plan_bill),
        ]
    }

    fn summary(&self) -> Result<Table<'_>, MoneyError> {
        let mut plans: BTreeMap<&PlanId, PlanSum<'_>> = BTreeMap::new();
        for window in &self.windows {
            for line in &window.lines {
                let sum = plans.entry(&line.plan).or_insert_with(|| PlanSum::new(&line.plan));
                sum.tenants.insert(&window.tenant_id);
                sum.money.add(&line.line)?;
            }
        }
        let rows: Result<Vec<Vec<Cell<'_>>>, MoneyError> =
            plans.into_iter().map(|(plan, sum)| sum.row(self.period, plan)).collect();
        Ok(Table {
            name: "summary",
            columns: &[
                "period",
                "plan",
                "interval",
                "currency",
                "tenants",
                "base_amount_minor",
                "base_amount",
                "usage_amount_minor",
                "usage_amount",
                "total_amount_minor",
                "total_amount",
            ],
            rows: Box::new(rows?.into_iter()),
        })
    }

    fn control_totals(&self) -> Table<'_> {
        let cells = self.controls.0.iter().flat_map(|(meter, by_measure)| {
            by_measure.iter().map(move |(measure, total)| {
                let records =
                    if measure.counts_records() { total.records.to_string() } else { String::new() };
                vec![
                    text(meter),
                    text(measure.as_str()),
                    Cell::Number(records),
                    Cell::Number(total.quantity.to_string()),
                ]
            })
        });
        Table {
            name: "control_totals",
            columns: &["meter", "measure", "records", "quantity"],
            rows: Box::new(cells),
        }
    }

    /// Money by currency over all lines, and over what came late.
    pub fn money(&self) -> Result<Vec<Money>, MoneyError> {
        let mut sums: BTreeMap<Currency, Money> = BTreeMap::new();
        for line in self.windows.iter().flat_map(|window| &window.lines) {
            let currency = line.line.amount.currency;
            sums.entry(currency).or_insert_with(|| Money::zero(currency)).add(&line.line)?;
        }
        for one in &self.adjustments {
            let currency = one.late_amount.currency;
            let money = sums.entry(currency).or_insert_with(|| Money::zero(currency));
            money.late = money.late.checked_add(one.late_amount)?;
        }
        Ok(sums.into_values().collect())
    }

    /// Windows by status.
    pub fn count(&self, status: WindowStatus) -> u64 {
        self.windows.iter().filter(|window| window.status == status).count() as u64
    }
}

/// Base fees, usage at candidate prices, and what late usage would add to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    pub base: MinorSum,
    pub usage: MinorSum,
    pub late: MinorSum,
}

impl Money {
    fn zero(currency: Currency) -> Self {
        let zero = MinorSum::zero(currency);
        Self { base: zero, usage: zero, late: zero }
    }

    fn add(&mut self, line: &RatedLine) -> Result<(), MoneyError> {
        let side = if line.kind == LineKind::Base { &mut self.base } else { &mut self.usage };
        *side = side.checked_add(line.amount)?;
        Ok(())
    }
}

struct PlanSum<'a> {
    tenants: BTreeSet<&'a str>,
    money: Money,
}

impl<'a> PlanSum<'a> {
    fn new(plan: &PlanId) -> Self {
        Self { tenants: BTreeSet::new(), money: Money::zero(plan.currency) }
    }

    fn row(self, period: Period, plan: &'a PlanId) -> Result<Vec<Cell<'a>>, MoneyError> {
        let mut row = vec![
            word(period.to_string()),
            text(&plan.key),
            text(plan.interval.as_str()),
            word(plan.currency.to_string()),
            Cell::Number(self.tenants.len().to_string()),
        ];
        let Money { base, usage, .. } = self.money;
        for sum in [base, usage, base.checked_add(usage)?] {
            row.push(Cell::Number(sum.minor.to_string()));
            row.push(Cell::Number(sum.to_string()));
        }
        Ok(row)
    }
}

/// A number that may be unknown: then the cell is empty.
fn number<'a>(value: Option<impl ToString>) -> Cell<'a> {
    Cell::Number(number_text(value))
}

fn number_text(value: Option<impl ToString>) -> String {
    value.map(|value| value.to_string()).unwrap_or_default()
}

fn text(text: &str) -> Cell<'_> {
    Cell::Text(Cow::Borrowed(text))
}

fn word<'a>(text: String) -> Cell<'a> {
    Cell::Text(Cow::Owned(text))
}
