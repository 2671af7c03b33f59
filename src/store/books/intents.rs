//! Intents: what was decided to be sent, and what became of it.
//!
//! In: intents of the domain. Out: the same. What Stripe is asked for is written once and frozen by a trigger; only
//! state, first attempt and reason move on. Never removes one.

use jiff::Timestamp;

use crate::domain::intent::{Intent, IntentState, PushKey};
use crate::domain::period::{Period, Window};
use crate::domain::report::page::PushDay;
use crate::store::books::rules::word;
use crate::store::books::runs::period;
use crate::store::books::{BooksView, BooksWrite};
use crate::store::connection::Value;
use crate::store::error::StoreError;
use crate::store::row::Row;

const COLUMNS: &[&str] = &[
    "account_id",
    "tenant_id",
    "customer_id",
    "meter",
    "segment_start",
    "segment_end",
    "sequence",
    "identifier",
    "quantity",
    "records",
    "event_at",
    "state",
    "attempted_at",
    "reason",
    "period",
    "run_id",
];

impl BooksView {
    /// All intents whose segment has an instant in common with `range`, by key and sequence, whatever period planned
    /// them.
    pub async fn intents(&mut self, range: Window) -> Result<Vec<Intent>, StoreError> {
        let sql = "SELECT account_id, tenant_id, customer_id, meter, segment_start, segment_end, sequence, identifier,
                {exact:quantity}, records, event_at, state, attempted_at, reason, period
            FROM intents WHERE segment_end > ? AND segment_start < ?
            ORDER BY tenant_id, customer_id, meter, segment_start, segment_end, account_id, sequence";
        self.tx.fetch_map(sql, vec![range.start.into(), range.end.into()], intent_of).await
    }

    /// What runs of a period planned to send, up to this one: by the day (UTC) of the run, and by meter. What became of it is
    /// not looked at, so the answer stays the same. What was unbillable was so from its start, and was never to be sent.
    pub async fn push_days(&mut self, of: Period, run_id: &str) -> Result<Vec<PushDay>, StoreError> {
        let sql = "SELECT runs.started_at, intents.meter, COUNT(*), CAST(SUM(intents.records) AS BIGINT),
                {sum:intents.quantity}
            FROM intents JOIN runs ON runs.run_id = intents.run_id
            WHERE intents.period = ? AND intents.state <> 'unbillable'
                AND runs.fence <= (SELECT fence FROM runs WHERE run_id = ?)
            GROUP BY runs.run_id, runs.started_at, intents.meter";
        let of_run =
            |mut row: Row| Ok((row.instant()?, row.text()?, row.count()?, row.count()?, row.quantity_sum()?));
        let runs = self.tx.fetch_map(sql, vec![of.to_string().into(), run_id.into()], of_run).await?;
        PushDay::of_runs(runs).map_err(|error| StoreError::inconsistent("what was pushed", error))
    }
}

impl BooksWrite {
    pub async fn add_intents(&mut self, intents: &[Intent], run_id: &str) -> Result<(), StoreError> {
        let rows = intents.iter().map(|one| row_of(one, run_id));
        self.tx.insert("intents", COLUMNS, rows, "").await.map(|_| ())
    }

    /// Moves intents on: state, first attempt, reason.
    pub async fn update_intents(&mut self, intents: &[Intent]) -> Result<(), StoreError> {
        let sql = "UPDATE intents SET state = ?, attempted_at = ?, reason = ? WHERE identifier = ?";
        for one in intents {
            let values = vec![
                one.state.as_str().into(),
                one.attempted_at.into(),
                one.reason.as_str().into(),
                one.identifier.as_str().into(),
            ];
            if self.tx.execute(sql, values).await? != 1 {
                return Err(StoreError::inconsistent("an intent that is not there", &one.identifier));
            }
        }
        Ok(())
    }
}

fn row_of(one: &Intent, run_id: &str) -> Vec<Value> {
    let key = &one.key;
    vec![
        key.account_id.as_str().into(),
        key.tenant_id.as_str().into(),
        key.customer_id.as_str().into(),
        key.meter.as_str().into(),
        key.segment.start.into(),
        key.segment.end.into(),
        one.sequence.into(),
        one.identifier.as_str().into(),
        one.quantity.into(),
        one.records.into(),
        one.timestamp.into(),
        one.state.as_str().into(),
        one.attempted_at.into(),
        one.reason.as_str().into(),
        one.period.to_string().into(),
        run_id.into(),
    ]
}

fn intent_of(mut row: Row) -> Result<Intent, StoreError> {
    Ok(Intent {
        key: PushKey {
            account_id: row.text()?,
            tenant_id: row.text()?,
            customer_id: row.text()?,
            meter: row.text()?,
            segment: Window { start: row.instant()?, end: row.instant()? },
        },
        sequence: row.integer()?,
        identifier: row.text()?,
        quantity: row.quantity()?,
        records: row.count()?,
        timestamp: row.instant()?,
        state: word(&row.text()?, IntentState::parse)?,
        attempted_at: row.optional_instant()?,
        reason: row.text()?,
        period: period(&row.text()?)?,
    })
}

/// Windows that were seen at Stripe in time.
impl BooksView {
    pub async fn observed_windows(
        &mut self,
        range: Window,
    ) -> Result<std::collections::BTreeSet<(String, Timestamp)>, StoreError> {
        let sql =
            "SELECT tenant_id, window_start FROM observed_windows WHERE window_end > ? AND window_start < ?";
        let key = |mut row: Row| Ok((row.text()?, row.instant()?));
        let values = vec![range.start.into(), range.end.into()];
        Ok(self.tx.fetch_map(sql, values, key).await?.into_iter().collect())
    }
}

impl BooksWrite {
    /// Keeps who saw a window first.
    pub async fn add_observed_windows(
        &mut self,
        windows: &[(String, Window)],
        run_id: &str,
    ) -> Result<(), StoreError> {
        let columns = &["tenant_id", "window_start", "window_end", "run_id"];
        let rows = windows.iter().map(|(tenant_id, window)| {
            vec![tenant_id.as_str().into(), window.start.into(), window.end.into(), run_id.into()]
        });
        self.tx.insert("observed_windows", columns, rows, "ON CONFLICT DO NOTHING").await.map(|_| ())
    }
}
