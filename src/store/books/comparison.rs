//! The comparison of a run: reconciliation rows, evidence, metrics.
//!
//! In: rows of the domain. Out: the same, in the order in which they were written. Quantities and amounts are decimal
//! text: nothing here is added up in SQL. Rows of closed windows stay for all later reports of their period.

use crate::domain::decide::DecisionRow;
use crate::domain::money::Currency;
use crate::domain::number::QuantitySum;
use crate::domain::period::{Period, Window};
use crate::domain::reconcile::{Age, Cause, Class, Ids, ItemKind, ReconciliationRow, Source};
use crate::store::books::rules::word;
use crate::store::books::{BooksView, BooksWrite};
use crate::store::connection::Value;
use crate::store::error::StoreError;
use crate::store::row::Row;

/// A row, and whether its window closed with it.
#[derive(Debug)]
pub struct ComparedRow {
    pub row: ReconciliationRow,
    pub closed: bool,
}

const COLUMNS: &[&str] = &[
    "run_id",
    "position",
    "period",
    "closed",
    "tenant_id",
    "plan",
    "meter",
    "window_start",
    "window_end",
    "source",
    "class",
    "ledger_quantity",
    "stripe_quantity",
    "ledger_amount_minor",
    "stripe_amount_minor",
    "currency",
    "reason",
    "evidence",
    "explained_quantity",
    "explained_amount_minor",
    "next_step",
    "item",
    "age_runs",
];

impl BooksWrite {
    pub async fn save_comparison(
        &mut self,
        period: Period,
        run_id: &str,
        rows: &[ComparedRow],
        evidence: &[String],
    ) -> Result<(), StoreError> {
        let values = (0i64..).zip(rows).map(|(position, one)| row_of(period, run_id, position, one));
        self.tx.insert("reconciliation", COLUMNS, values, "").await?;
        let columns = &["run_id", "position", "body"];
        let bodies = (0i64..)
            .zip(evidence)
            .map(|(position, body)| vec![run_id.into(), position.into(), body.as_str().into()]);
        self.tx.insert("run_evidence", columns, bodies, "").await.map(|_| ())
    }

    pub async fn save_decision(&mut self, run_id: &str, rows: &[DecisionRow]) -> Result<(), StoreError> {
        let columns = &[
            "run_id",
            "position",
            "plan",
            "meter",
            "metric",
            "value",
            "operator",
            "threshold",
            "passed",
            "required",
            "population",
        ];
        let values = (0i64..).zip(rows).map(|(position, one)| {
            vec![
                run_id.into(),
                position.into(),
                one.plan.as_str().into(),
                one.meter.as_str().into(),
                one.metric.as_str().into(),
                one.value.as_str().into(),
                one.operator.as_str().into(),
                one.threshold.as_str().into(),
                one.passed.map_or(String::new(), |passed| passed.to_string()).into(),
                i64::from(one.required).into(),
                one.population.into(),
            ]
        });
        self.tx.insert("run_decisions", columns, values, "").await.map(|_| ())
    }
}

impl BooksView {
    /// The rows of windows that closed in earlier runs of the period, or with this one, and all others of this run. No run
    /// stands for the newest.
    pub async fn comparison(
        &mut self,
        period: Period,
        run_id: &str,
    ) -> Result<Vec<ReconciliationRow>, StoreError> {
        let sql = "SELECT run_id, tenant_id, plan, meter, window_start, window_end, source, class,
                ledger_quantity, stripe_quantity, ledger_amount_minor, stripe_amount_minor, currency, reason,
                evidence, explained_quantity, explained_amount_minor, next_step, item, age_runs
            FROM reconciliation WHERE period = ? AND (run_id = ? OR closed = 1 AND run_id NOT IN
                (SELECT run_id FROM runs WHERE fence > (SELECT fence FROM runs WHERE run_id = ?)))";
        let values = vec![period.to_string().into(), run_id.into(), run_id.into()];
        let of_run = |mut row: Row| {
            let is_own = row.text()? == run_id;
            let compared = compared_of(row)?;
            Ok(if is_own { compared } else { compared.of_closed() })
        };
        self.tx.fetch_map(sql, values, of_run).await
    }

    /// The rows that a run found and that no closed window has.
    pub async fn rows_beside(&mut self, run_id: &str) -> Result<Vec<ReconciliationRow>, StoreError> {
        let sql = "SELECT tenant_id, plan, meter, window_start, window_end, source, class, ledger_quantity,
                stripe_quantity, ledger_amount_minor, stripe_amount_minor, currency, reason, evidence,
                explained_quantity, explained_amount_minor, next_step, item, age_runs
            FROM reconciliation WHERE run_id = ? AND closed = 0 ORDER BY position";
        self.tx.fetch_map(sql, vec![run_id.into()], compared_of).await
    }

    pub async fn evidence(&mut self, run_id: &str) -> Result<Vec<String>, StoreError> {
        let sql = "SELECT body FROM run_evidence WHERE run_id = ? ORDER BY position";
        self.tx.fetch_map(sql, vec![run_id.into()], |mut row| row.text()).await
    }

    pub async fn decision(&mut self, run_id: &str) -> Result<Vec<DecisionRow>, StoreError> {
        let sql = "SELECT plan, meter, metric, value, operator, threshold, passed, required, population
            FROM run_decisions WHERE run_id = ? ORDER BY position";
        self.tx.fetch_map(sql, vec![run_id.into()], decision_of).await
    }
}

fn row_of(period: Period, run_id: &str, position: i64, one: &ComparedRow) -> Vec<Value> {
    let row = &one.row;
    vec![
        run_id.into(),
        position.into(),
        period.to_string().into(),
        i64::from(one.closed).into(),
        row.tenant_id.as_str().into(),
        row.plan.as_str().into(),
        row.meter.as_str().into(),
        row.window.map(|window| window.start).into(),
        row.window.map(|window| window.end).into(),
        row.source.as_str().into(),
        row.class.as_str().into(),
        text(row.ledger_quantity.as_ref()).into(),
        text(row.stripe_quantity.as_ref()).into(),
        text(row.ledger_amount.as_ref()).into(),
        text(row.stripe_amount.as_ref()).into(),
        row.currency.as_ref().map_or("", Currency::code).into(),
        row.reason.map_or("", Cause::as_str).into(),
        row.evidence.as_str().into(),
        text(row.explained_quantity.as_ref()).into(),
        text(row.explained_amount.as_ref()).into(),
        row.next_step.as_str().into(),
        row.item.map_or("", ItemKind::as_str).into(),
        row.age.map(Age::runs).into(),
    ]
}

fn text(value: Option<&impl ToString>) -> String {
    value.map(ToString::to_string).unwrap_or_default()
}

fn compared_of(mut row: Row) -> Result<ReconciliationRow, StoreError> {
    let (tenant_id, plan, meter) = (row.text()?, row.text()?, row.text()?);
    let (start, end) = (row.optional_instant()?, row.optional_instant()?);
    let (source, class) = (word(&row.text()?, Source::parse)?, word(&row.text()?, Class::parse)?);
    let quantity = |text: String| known(&text, |text| QuantitySum::parse(text)?.to_quantity());
    let amount = |text: String| known(&text, str::parse::<i128>);
    let compared = ReconciliationRow {
        tenant_id,
        plan,
        meter,
        window: start.zip(end).map(|(start, end)| Window { start, end }),
        source,
        class,
        ledger_quantity: quantity(row.text()?)?,
        stripe_quantity: quantity(row.text()?)?,
        ledger_amount: amount(row.text()?)?,
        stripe_amount: amount(row.text()?)?,
        currency: known(&row.text()?, Currency::parse)?,
        reason: known(&row.text()?, |text| Cause::parse(text).ok_or("an unknown reason"))?,
        evidence: Ids::written(row.text()?),
        explained_quantity: quantity(row.text()?)?,
        explained_amount: amount(row.text()?)?,
        next_step: row.text()?,
        item: known(&row.text()?, |text| ItemKind::parse(text).ok_or("an unknown item"))?,
        age: None,
    };
    Ok(compared.aged(row.optional_count()?))
}

/// Empty text is what is not known.
fn known<T, E: std::fmt::Display>(
    text: &str,
    parse: impl FnOnce(&str) -> Result<T, E>,
) -> Result<Option<T>, StoreError> {
    let value = (!text.is_empty()).then(|| parse(text)).transpose();
    value.map_err(|error| StoreError::inconsistent("a reconciliation row", error))
}

fn decision_of(mut row: Row) -> Result<DecisionRow, StoreError> {
    Ok(DecisionRow {
        plan: row.text()?,
        meter: row.text()?,
        metric: row.text()?,
        value: row.text()?,
        operator: row.text()?,
        threshold: row.text()?,
        passed: known(&row.text()?, str::parse::<bool>)?,
        required: row.integer()? != 0,
        population: row.count()?,
    })
}
