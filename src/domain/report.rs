//! Reports as plain data: tables of typed cells that CSV, XLSX and HTML print alike.
//!
//! In: the figures, exceptions and control totals of one run. Out: tables with sorted rows. Never holds a wall clock
//! or a run id, so that the same ledger, rules and Stripe answers give the same bytes.

mod comparison;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use crate::domain::catalog::{Catalog, PlanId};
use crate::domain::controls::{ControlTotals, Measure};
use crate::domain::decide::{DecisionRow, Verdict};
use crate::domain::figures::{Disposition, SegmentUsage, WindowFigures, WindowLine, WindowStatus};
use crate::domain::intent::{Intent, IntentState};
use crate::domain::money::{Currency, MinorAmount, MinorSum, MoneyError};
use crate::domain::number::Quantity;
use crate::domain::period::Period;
use crate::domain::rating::{LineKind, RatedLine};
use crate::domain::reconcile::ReconciliationRow;
use crate::domain::tenant::ParkReason;

/// Text comes from people and is made harmless where it is printed; numbers and instants come from us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell<'a> {
    Text(Cow<'a, str>),
    Number(String),
    Instant(String),
}

/// One data file.
pub struct Table<'a> {
    /// File name without extension.
    pub name: &'static str,
    pub columns: &'static [&'static str],
    pub rows: Box<dyn Iterator<Item = Vec<Cell<'a>>> + 'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ExceptionKind {
    Excluded,
    Parked,
    Quarantined,
    /// It could no longer be sent to Stripe when it was due.
    Unbillable,
}

impl ExceptionKind {
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Excluded, Self::Parked, Self::Quarantined, Self::Unbillable];
        all.into_iter().find(|kind| kind.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Excluded => "excluded",
            Self::Parked => "parked",
            Self::Quarantined => "quarantined",
            Self::Unbillable => "unbillable",
        }
    }
}

/// Something that a person should look at. The field order is the order of the rows in the file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exception {
    pub tenant_id: String,
    pub kind: ExceptionKind,
    pub reason: String,
    pub plan: String,
    pub meter: String,
    pub tenant_name: String,
    pub records: u64,
    /// Decimal text; empty where the records have no readable quantity.
    pub quantity: String,
    pub next_step: String,
    /// What the quantity is worth at the candidate price; only for what is unbillable.
    pub amount: Option<MinorAmount>,
}

/// Quarantined records of a period, counted by tenant, meter and reason; texts as they stood in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantineCount {
    pub tenant_id: String,
    pub meter: String,
    pub reason: String,
    pub records: u64,
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
    /// `None` for a period that is not judged yet.
    pub verdict: Option<Verdict>,
}

/// Collects what a person should look at, sorted.
pub fn exceptions(windows: &[&WindowFigures], quarantine: &[QuarantineCount]) -> Vec<Exception> {
    let mut exceptions: Vec<Exception> = quarantine.iter().map(quarantined).collect();
    for window in windows {
        if let Some(reason) = window.park {
            exceptions.push(parked(window, reason));
        }
        let excluded = window.usage.iter().filter(|usage| usage.disposition != Disposition::Billable);
        exceptions.extend(excluded.map(|usage| Exception {
            tenant_id: window.tenant_id.clone(),
            kind: ExceptionKind::Excluded,
            reason: usage.disposition.as_str().to_owned(),
            plan: usage.plan.as_ref().map(|plan| plan.key.clone()).unwrap_or_default(),
            meter: usage.meter.clone(),
            tenant_name: window.tenant_name.clone(),
            records: usage.total.records,
            quantity: usage.total.quantity.to_string(),
            next_step: excluded_next_step(usage.disposition).to_owned(),
            amount: None,
        }));
    }
    exceptions.sort();
    exceptions
}

/// What can no longer be sent to Stripe, with what it is worth at the candidate price; `None` for other intents.
pub fn unbillable(intent: &Intent, windows: &[&WindowFigures], catalog: &Catalog) -> Option<Exception> {
    if intent.state != IntentState::Unbillable {
        return None;
    }
    let key = &intent.key;
    let window = windows.iter().find(|window| {
        window.tenant_id == key.tenant_id && window.window.intersection(key.segment).is_some()
    });
    let usage = window.and_then(|window| {
        window.usage.iter().find(|usage| usage.range == key.segment && usage.meter == key.meter)
    });
    let plan = usage.and_then(|usage| usage.plan.clone());
    Some(Exception {
        tenant_id: key.tenant_id.clone(),
        kind: ExceptionKind::Unbillable,
        reason: intent.reason.clone(),
        plan: plan.as_ref().map(|plan| plan.key.clone()).unwrap_or_default(),
        meter: key.meter.clone(),
        tenant_name: window.map(|window| window.tenant_name.clone()).unwrap_or_default(),
        records: intent.records,
        quantity: intent.quantity.to_string(),
        next_step: "bill it by hand if it is to be paid: Stripe takes it no more".to_owned(),
        amount: usage.and_then(|usage| worth(intent.quantity, usage, catalog)),
    })
}

/// What a bill loses without these units.
fn worth(quantity: Quantity, usage: &SegmentUsage, catalog: &Catalog) -> Option<MinorAmount> {
    let plan = catalog.plans.get(usage.plan.as_ref()?)?;
    let price = plan.usage.get(&usage.meter)?;
    let used = usage.total.quantity.to_quantity().ok()?;
    let currency = plan.id.currency;
    let bill = |used: Quantity| -> Option<i64> {
        let lines = price.rate(used, currency).ok()?;
        lines.iter().map(|line| line.amount.minor).try_fold(0i64, i64::checked_add)
    };
    let rest = used.checked_sub(quantity).ok()?;
    Some(MinorAmount::new(bill(used)?.checked_sub(bill(rest)?)?, currency))
}

fn parked(window: &WindowFigures, reason: ParkReason) -> Exception {
    Exception {
        tenant_id: window.tenant_id.clone(),
        kind: ExceptionKind::Parked,
        reason: reason.as_str().to_owned(),
        plan: window.last_plan().map(|plan| plan.key.clone()).unwrap_or_default(),
        meter: String::new(),
        tenant_name: window.tenant_name.clone(),
        records: window.usage.iter().map(|usage| usage.total.records).sum(),
        quantity: String::new(),
        next_step: reason.next_step().to_owned(),
        amount: None,
    }
}

fn quarantined(count: &QuarantineCount) -> Exception {
    Exception {
        tenant_id: count.tenant_id.clone(),
        kind: ExceptionKind::Quarantined,
        reason: count.reason.clone(),
        plan: String::new(),
        meter: count.meter.clone(),
        tenant_name: String::new(),
        records: count.records,
        quantity: String::new(),
        next_step: "mend the records at their source and import them again; they are not billed".to_owned(),
        amount: None,
    }
}

fn excluded_next_step(disposition: Disposition) -> &'static str {
    match disposition {
        Disposition::NoAccess => "the plan sells no access to this meter: stop the usage or change the plan",
        Disposition::OutsideSubscription => {
            "the tenant had no plan at that time: mend started_at or ended_at"
        }
        Disposition::Billable => "",
    }
}

impl Report {
    /// The CSV files of a run.
    pub fn tables(&self) -> Result<Vec<Table<'_>>, MoneyError> {
        Ok(vec![
            self.summary()?,
            self.lines(),
            self.reconciliation(),
            self.exception_rows(),
            self.decision_rows(),
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
            (&window.tenant_id, &line.plan, &line.meter, window.window, line.range, of.kind, of.tier)
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

    fn exception_rows(&self) -> Table<'_> {
        let period = self.period;
        Table {
            name: "exceptions",
            columns: &[
                "period",
                "tenant_id",
                "plan",
                "meter",
                "kind",
                "reason",
                "records",
                "quantity",
                "tenant_name",
                "next_step",
                "amount_minor",
                "amount",
                "currency",
            ],
            rows: Box::new(self.exceptions.iter().map(move |one| {
                vec![
                    word(period.to_string()),
                    text(&one.tenant_id),
                    text(&one.plan),
                    text(&one.meter),
                    text(one.kind.as_str()),
                    text(&one.reason),
                    Cell::Number(one.records.to_string()),
                    Cell::Number(one.quantity.clone()),
                    text(&one.tenant_name),
                    text(&one.next_step),
                    number(one.amount.map(|amount| amount.minor)),
                    number(one.amount),
                    word(number_text(one.amount.map(|amount| amount.currency))),
                ]
            })),
        }
    }

    fn control_totals(&self) -> Table<'_> {
        let cells = self.controls.0.iter().flat_map(|(meter, by_measure)| {
            by_measure.iter().map(move |(measure, total)| {
                let counts_records = *measure < Measure::Used;
                let records = if counts_records { total.records.to_string() } else { String::new() };
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

    /// Money by currency over all lines, for the terminal.
    pub fn money(&self) -> Result<Vec<Money>, MoneyError> {
        let mut sums: BTreeMap<Currency, Money> = BTreeMap::new();
        for line in self.windows.iter().flat_map(|window| &window.lines) {
            let currency = line.line.amount.currency;
            sums.entry(currency).or_insert_with(|| Money::zero(currency)).add(&line.line)?;
        }
        Ok(sums.into_values().collect())
    }

    /// Windows by status.
    pub fn count(&self, status: WindowStatus) -> u64 {
        self.windows.iter().filter(|window| window.status == status).count() as u64
    }
}

/// Base fees, and usage at candidate prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Money {
    pub base: MinorSum,
    pub usage: MinorSum,
}

impl Money {
    fn zero(currency: Currency) -> Self {
        Self { base: MinorSum::zero(currency), usage: MinorSum::zero(currency) }
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
        let Money { base, usage } = self.money;
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
