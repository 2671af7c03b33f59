//! What a run reported beside the figures of its windows.
//!
//! In: exceptions and control totals of a run. Out: the same, and with everything else of that run its whole report.
//! Never computes.

use crate::domain::controls::{ControlTotals, Measure};
use crate::domain::late::restated;
use crate::domain::money::{Currency, MinorAmount};
use crate::domain::number::QuantitySum;
use crate::domain::period::Period;
use crate::domain::report::page::PageData;
use crate::domain::report::{Exception, ExceptionKind, Report};
use crate::domain::usage::UsageTotal;
use crate::store::books::rules::word;
use crate::store::books::{BooksView, BooksWrite};
use crate::store::connection::Value;
use crate::store::error::StoreError;
use crate::store::row::Row;

impl BooksWrite {
    /// Keeps what a run reports beside the lines.
    pub async fn save_report(
        &mut self,
        run_id: &str,
        exceptions: &[Exception],
        controls: &ControlTotals,
    ) -> Result<(), StoreError> {
        let rows = (0i64..).zip(exceptions).map(|(position, one)| exception_row(run_id, position, one));
        self.tx.insert("run_exceptions", EXCEPTION_COLUMNS, rows, "").await?;
        let mut rows = Vec::new();
        for (meter, by_measure) in &controls.0 {
            rows.extend(by_measure.iter().map(|(measure, total)| {
                vec![
                    run_id.into(),
                    meter.as_str().into(),
                    measure.as_str().into(),
                    total.records.into(),
                    total.quantity.to_string().into(),
                ]
            }));
        }
        let columns = &["run_id", "meter", "measure", "records", "quantity"];
        self.tx.insert("run_control_totals", columns, rows, "").await.map(|_| ())
    }
}

impl BooksView {
    /// Those of the newest run with closed figures, in the order of the file.
    pub async fn last_exceptions(&mut self, period: Period) -> Result<Vec<Exception>, StoreError> {
        match self.last_committed(period).await? {
            Some(run) => self.exceptions(&run.run_id).await,
            None => Ok(Vec::new()),
        }
    }

    async fn exceptions(&mut self, run_id: &str) -> Result<Vec<Exception>, StoreError> {
        let sql = "SELECT tenant_id, kind, reason, plan, meter, tenant_name, records, quantity, next_step,
            amount, currency FROM run_exceptions WHERE run_id = ? ORDER BY position";
        self.tx.fetch_map(sql, vec![run_id.into()], exception_of).await
    }

    /// What a committed run reports: the period as it stood when the run had ended, also where later ones went on.
    pub async fn report(&mut self, period: Period, run_id: &str) -> Result<Report, StoreError> {
        let windows = self.windows_as_of(period, run_id).await?;
        let exceptions = self.exceptions(run_id).await?;
        let sql = "SELECT meter, measure, records, quantity FROM run_control_totals WHERE run_id = ?";
        let mut controls = ControlTotals::default();
        for mut row in self.tx.fetch(sql, vec![run_id.into()]).await? {
            let (meter, measure) = (row.text()?, word(&row.text()?, Measure::parse)?);
            let records = row.count()?;
            let quantity = QuantitySum::parse(&row.text()?);
            let quantity = quantity.map_err(|error| StoreError::inconsistent("a control total", error))?;
            controls.0.entry(meter).or_default().insert(measure, UsageTotal { records, quantity });
        }
        let mut comparison = self.comparison(period, run_id).await?;
        comparison.sort();
        let evidence = self.evidence(run_id).await?;
        let decision = self.decision(run_id).await?;
        let adjustments = restated(&windows, &self.adjustments_of_run(period, run_id).await?);
        let adjustments = adjustments.map_err(|error| StoreError::inconsistent("an adjustment", error))?;
        let accruals = self.accruals(run_id).await?;
        let limits = self.limit_rows(period, run_id).await?;
        let ledger = self.ledger_seen(run_id).await?;
        let run = self.run(run_id).await?;
        let fence = run.as_ref().map_or(0, |run| run.fence);
        let earlier = self.judged_before(period, fence).await?.said();
        let verdict = run.and_then(|run| run.verdict);
        Ok(Report {
            period,
            windows,
            exceptions,
            controls,
            comparison,
            evidence,
            decision,
            adjustments,
            accruals,
            limits,
            forecasts: Vec::new(),
            ledger,
            verdict,
            earlier,
            page: PageData::default(),
        })
    }
}

const EXCEPTION_COLUMNS: &[&str] = &[
    "run_id",
    "position",
    "tenant_id",
    "kind",
    "reason",
    "plan",
    "meter",
    "tenant_name",
    "records",
    "quantity",
    "next_step",
    "amount",
    "currency",
];

fn exception_row(run_id: &str, position: i64, one: &Exception) -> Vec<Value> {
    vec![
        run_id.into(),
        position.into(),
        one.tenant_id.as_str().into(),
        one.kind.as_str().into(),
        one.reason.as_str().into(),
        one.plan.as_str().into(),
        one.meter.as_str().into(),
        one.tenant_name.as_str().into(),
        one.records.into(),
        one.quantity.as_str().into(),
        one.next_step.as_str().into(),
        one.amount.map_or(String::new(), |amount| amount.minor.to_string()).into(),
        one.amount.as_ref().map_or("", |amount| amount.currency.code()).into(),
    ]
}

fn exception_of(mut row: Row) -> Result<Exception, StoreError> {
    Ok(Exception {
        tenant_id: row.text()?,
        kind: word(&row.text()?, ExceptionKind::parse)?,
        reason: row.text()?,
        plan: row.text()?,
        meter: row.text()?,
        tenant_name: row.text()?,
        records: row.count()?,
        quantity: row.text()?,
        next_step: row.text()?,
        amount: amount_of(&mut row)?,
    })
}

/// Minor units and currency; both empty where there is none.
fn amount_of(row: &mut Row) -> Result<Option<MinorAmount>, StoreError> {
    let (minor, currency) = (row.text()?, row.text()?);
    if minor.is_empty() {
        return Ok(None);
    }
    let minor = minor.parse().map_err(|error| StoreError::inconsistent("an amount", error))?;
    let currency =
        Currency::parse(&currency).map_err(|error| StoreError::inconsistent("an amount", error))?;
    Ok(Some(MinorAmount::new(minor, currency)))
}
