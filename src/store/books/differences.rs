//! The differences of a period from run to run: since when each is there, how many runs saw it, and since when it is gone.
//!
//! In: what a run has followed. Out: the same for the next run. One row for each, whatever number of runs saw it; reports
//! never read them, they have the number of runs in rows of their own.

use crate::domain::period::Period;
use crate::domain::reconcile::{Cause, Class, Followed, KnownDifference, Source};
use crate::store::books::rules::word;
use crate::store::books::{BooksView, BooksWrite};
use crate::store::connection::Value;
use crate::store::error::StoreError;
use crate::store::row::Row;

const COLUMNS: &[&str] = &[
    "period",
    "tenant_id",
    "meter",
    "source",
    "subject",
    "first_seen",
    "last_seen",
    "runs",
    "gone_at",
    "class",
    "reason",
];

impl BooksWrite {
    pub async fn save_differences(&mut self, period: Period, all: &Followed) -> Result<(), StoreError> {
        let rows = all.seen.iter().chain(&all.agreed).chain(&all.vanished).chain(&all.superseded);
        let rows = rows.map(|one| row_of(period, one));
        let suffix = "ON CONFLICT (period, tenant_id, meter, source, subject) DO UPDATE SET
            first_seen = excluded.first_seen, last_seen = excluded.last_seen, runs = excluded.runs,
            gone_at = excluded.gone_at, class = excluded.class, reason = excluded.reason";
        self.tx.insert("differences", COLUMNS, rows, suffix).await.map(|_| ())
    }
}

impl BooksView {
    pub async fn differences(&mut self, period: Period) -> Result<Vec<KnownDifference>, StoreError> {
        let sql = "SELECT tenant_id, meter, source, subject, first_seen, last_seen, runs, gone_at, class,
                reason
            FROM differences WHERE period = ?";
        self.tx.fetch_map(sql, vec![period.to_string().into()], difference_of).await
    }
}

fn row_of(period: Period, one: &KnownDifference) -> Vec<Value> {
    vec![
        period.to_string().into(),
        one.tenant_id.as_str().into(),
        one.meter.as_str().into(),
        one.source.as_str().into(),
        one.subject.as_str().into(),
        one.first_seen.into(),
        one.last_seen.into(),
        one.runs.into(),
        one.gone_at.into(),
        one.class.as_str().into(),
        one.reason.map_or("", Cause::as_str).into(),
    ]
}

fn difference_of(mut row: Row) -> Result<KnownDifference, StoreError> {
    Ok(KnownDifference {
        tenant_id: row.text()?,
        meter: row.text()?,
        source: word(&row.text()?, Source::parse)?,
        subject: row.text()?,
        first_seen: row.instant()?,
        last_seen: row.instant()?,
        runs: row.count()?,
        gone_at: row.optional_instant()?,
        class: word(&row.text()?, Class::parse)?,
        reason: Some(row.text()?)
            .filter(|text| !text.is_empty())
            .map(|text| word(&text, Cause::parse))
            .transpose()?,
    })
}
