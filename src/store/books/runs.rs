//! Runs and period jobs: who did what for which period, and how far it came.
//!
//! In: a run and the counts of its period. Out: the same. A run is `committed` when its figures are closed and
//! `finished` when its files are written too; what lies between is taken up by the next wake. Never removes a run.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::domain::decide::{Verdict, VerdictWord};
use crate::domain::period::Period;
use crate::domain::report::CsvFormat;
use crate::domain::telling::Said;
use crate::store::books::rules::word;
use crate::store::books::{BooksView, BooksWrite};
use crate::store::error::StoreError;
use crate::store::row::Row;

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunState {
    /// Begun; nothing of it counts.
    Started,
    /// Its figures are closed, its files are not written.
    Committed,
    Finished,
    /// It ended before it committed anything.
    Abandoned,
}

impl RunState {
    pub fn parse(text: &str) -> Option<Self> {
        let all = [Self::Started, Self::Committed, Self::Finished, Self::Abandoned];
        all.into_iter().find(|state| state.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Started => "started",
            Self::Committed => "committed",
            Self::Finished => "finished",
            Self::Abandoned => "abandoned",
        }
    }
}

/// Where a period stands: `open → closing → partial | closed`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PeriodStatus {
    /// No window of it is closed.
    Open,
    /// Some windows are closed, others have not ended.
    Closing,
    /// All have ended, and tenants are parked.
    Partial,
    Closed,
}

impl PeriodStatus {
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Open, Self::Closing, Self::Partial, Self::Closed]
            .into_iter()
            .find(|status| status.as_str() == text)
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Closing => "closing",
            Self::Partial => "partial",
            Self::Closed => "closed",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    pub run_id: String,
    pub period: Period,
    pub state: RunState,
    pub fence: i64,
    pub holder: String,
    pub started_at: Timestamp,
    pub code_version: String,
    pub catalog_hash: String,
    /// Hash of the settings that figures depend on.
    pub rules_hash: String,
    /// The safety bounds that it kept to, as text.
    pub bounds: String,
    pub time_zone: String,
    pub period_status: PeriodStatus,
    /// `SANDBOX`, `TEST` or `LIVE`, as in every output.
    pub mode: String,
    pub account_id: String,
    /// What it tolerated, in words.
    pub tolerances: String,
    /// Who ran it, by the operating system's word; empty in runs of earlier versions.
    pub os_user: String,
    pub made_with: MadeWith,
    /// `None` until a judged period is committed.
    pub verdict: Option<Verdict>,
}

/// What a run was asked for and made with, beside catalog, rules and code. Empty in runs of earlier versions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MadeWith {
    /// The command's own, by name; none of them can hold a secret.
    pub parameters: BTreeMap<String, String>,
    /// How its CSV files are written, now and whenever they are made again.
    pub csv: CsvFormat,
    pub stripe_api_version: String,
    /// Release of the time zone database.
    pub tz_database: String,
    /// Number of the newest migration.
    pub database_schema: i64,
}

/// The counts of `billing_period_jobs`, in tenants but for `pushed` and `errors`, which count pushes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    pub tenants: u64,
    pub closed: u64,
    pub parked: u64,
    pub not_billed: u64,
    pub pending_before: u64,
    pub pushed: u64,
    pub errors: u64,
    pub pending_after: u64,
}

/// One row of `billing_period_jobs`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeriodJob {
    pub period: Period,
    pub status: PeriodStatus,
    pub counts: JobCounts,
    /// The tenants as they were when it was last looked at; see [`BooksView::tenants_version`].
    pub tenants_version: i64,
    /// The run that touched it last.
    pub run_id: String,
}

impl Run {
    /// The same run, with what its period came to.
    #[must_use]
    pub fn judged(self, period_status: PeriodStatus, verdict: Option<Verdict>) -> Self {
        Self { period_status, verdict, ..self }
    }
}

impl BooksView {
    /// What was said last, of whatever period.
    pub async fn last_said(&mut self) -> Result<Option<Said>, StoreError> {
        let sql = "SELECT verdict, period_status FROM runs
            WHERE verdict <> '' AND state IN ('committed', 'finished') ORDER BY fence DESC, period DESC LIMIT 1";
        let said = |mut row: Row| {
            let word = word(&row.text()?, VerdictWord::parse)?;
            let is_partial = row.text()? == PeriodStatus::Partial.as_str();
            Ok(Said { word, is_partial })
        };
        Ok(self.tx.fetch_map(sql, Vec::new(), said).await?.pop())
    }

    pub async fn period_jobs(&mut self) -> Result<BTreeMap<Period, PeriodJob>, StoreError> {
        let sql =
            "SELECT period, status, tenants, closed, parked, not_billed, pending_before, pushed, errors,
            pending_after, tenants_version, run_id FROM billing_period_jobs";
        let rows = self.tx.fetch(sql, Vec::new()).await?;
        rows.into_iter().map(|row| job_of(row).map(|job| (job.period, job))).collect()
    }

    /// Runs in one state, oldest first.
    pub async fn runs(&mut self, state: RunState) -> Result<Vec<Run>, StoreError> {
        let sql =
            "SELECT run_id, period, state, fence, holder, started_at, code_version, catalog_hash, rules_hash,
            bounds, time_zone, period_status, mode, account_id, tolerances, os_user, made_with, verdict, reasons FROM runs WHERE state = ? ORDER BY fence, period, run_id";
        let rows = self.tx.fetch(sql, vec![state.as_str().into()]).await?;
        rows.into_iter().map(run_of).collect()
    }

    pub async fn run(&mut self, run_id: &str) -> Result<Option<Run>, StoreError> {
        let sql =
            "SELECT run_id, period, state, fence, holder, started_at, code_version, catalog_hash, rules_hash,
            bounds, time_zone, period_status, mode, account_id, tolerances, os_user, made_with, verdict, reasons FROM runs WHERE run_id = ?";
        self.tx.fetch(sql, vec![run_id.into()]).await?.pop().map(run_of).transpose()
    }

    /// The newest run whose figures are closed.
    pub async fn last_committed(&mut self, period: Period) -> Result<Option<Run>, StoreError> {
        let sql = "SELECT run_id FROM runs
            WHERE period = ? AND period_status <> 'open' AND state IN ('committed', 'finished')
            ORDER BY fence DESC LIMIT 1";
        self.newest_of(sql, period).await
    }

    /// The newest run that said something about a period.
    pub async fn last_judged(&mut self, period: Period) -> Result<Option<Run>, StoreError> {
        let sql = "SELECT run_id FROM runs WHERE period = ? AND verdict <> '' ORDER BY fence DESC LIMIT 1";
        self.newest_of(sql, period).await
    }

    async fn newest_of(&mut self, sql: &'static str, period: Period) -> Result<Option<Run>, StoreError> {
        match self.tx.fetch(sql, vec![period.to_string().into()]).await?.pop() {
            Some(mut row) => self.run(&row.text()?).await,
            None => Ok(None),
        }
    }

    /// The newest runs in any state.
    pub async fn newest_runs(&mut self) -> Result<Vec<Run>, StoreError> {
        let sql =
            "SELECT run_id, period, state, fence, holder, started_at, code_version, catalog_hash, rules_hash,
            bounds, time_zone, period_status, mode, account_id, tolerances, os_user, made_with, verdict, reasons FROM runs ORDER BY fence DESC, period DESC, run_id DESC LIMIT 5";
        self.tx.fetch(sql, Vec::new()).await?.into_iter().map(run_of).collect()
    }
}

impl BooksWrite {
    pub async fn start_run(&mut self, run: &Run) -> Result<(), StoreError> {
        let sql =
            "INSERT INTO runs (run_id, period, state, fence, holder, started_at, code_version, catalog_hash,
            rules_hash, bounds, time_zone, period_status, mode, account_id, tolerances, os_user, made_with, manifest_sha256)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '')";
        let made_with = serde_json::to_string(&run.made_with);
        let made_with =
            made_with.map_err(|error| StoreError::inconsistent("what a run was made with", error))?;
        let values = vec![
            run.run_id.as_str().into(),
            run.period.to_string().into(),
            run.state.as_str().into(),
            run.fence.into(),
            run.holder.as_str().into(),
            run.started_at.into(),
            run.code_version.as_str().into(),
            run.catalog_hash.as_str().into(),
            run.rules_hash.as_str().into(),
            run.bounds.as_str().into(),
            run.time_zone.as_str().into(),
            run.period_status.as_str().into(),
            run.mode.as_str().into(),
            run.account_id.as_str().into(),
            run.tolerances.as_str().into(),
            run.os_user.as_str().into(),
            made_with.into(),
        ];
        self.tx.execute(sql, values).await.map(|_| ())
    }

    /// Records that a run's figures are closed, with the status that its period has now.
    pub async fn commit_run(
        &mut self,
        run_id: &str,
        job: &PeriodJob,
        verdict: Option<&Verdict>,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE runs SET state = 'committed', period_status = ?, verdict = ?, reasons = ? WHERE run_id = ?";
        let word = verdict.map_or("", |verdict| verdict.word.as_str());
        let reasons = serde_json::Value::from(verdict.map(|one| one.reasons.clone()).unwrap_or_default());
        let values = vec![job.status.as_str().into(), word.into(), reasons.to_string().into(), run_id.into()];
        self.tx.execute(sql, values).await?;
        self.save_job(job).await
    }

    /// Writes how far a period has come.
    pub async fn save_job(&mut self, job: &PeriodJob) -> Result<(), StoreError> {
        let counts = &job.counts;
        let values = vec![
            job.period.to_string().into(),
            job.status.as_str().into(),
            counts.tenants.into(),
            counts.closed.into(),
            counts.parked.into(),
            counts.not_billed.into(),
            counts.pending_before.into(),
            counts.pushed.into(),
            counts.errors.into(),
            counts.pending_after.into(),
            job.tenants_version.into(),
            job.run_id.as_str().into(),
        ];
        let sql = "INSERT INTO billing_period_jobs (period, status, tenants, closed, parked, not_billed,
                pending_before, pushed, errors, pending_after, tenants_version, run_id)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (period) DO UPDATE SET status = excluded.status, tenants = excluded.tenants,
                closed = excluded.closed, parked = excluded.parked, not_billed = excluded.not_billed,
                pending_before = excluded.pending_before, pushed = excluded.pushed, errors = excluded.errors,
                pending_after = excluded.pending_after, tenants_version = excluded.tenants_version, run_id = excluded.run_id";
        self.tx.execute(sql, values).await.map(|_| ())
    }

    /// Records that a closed period was looked at again and nothing of it is left to close.
    pub async fn keep_closed(&mut self, period: Period, tenants_version: i64) -> Result<(), StoreError> {
        let sql = "UPDATE billing_period_jobs SET tenants_version = ? WHERE period = ?";
        self.tx.execute(sql, vec![tenants_version.into(), period.to_string().into()]).await.map(|_| ())
    }

    pub async fn finish_run(&mut self, run_id: &str, manifest_sha256: &str) -> Result<(), StoreError> {
        let sql = "UPDATE runs SET state = 'finished', manifest_sha256 = ? WHERE run_id = ?";
        self.tx.execute(sql, vec![manifest_sha256.into(), run_id.into()]).await.map(|_| ())
    }

    pub async fn abandon_run(&mut self, run_id: &str) -> Result<(), StoreError> {
        let sql = "UPDATE runs SET state = 'abandoned' WHERE run_id = ? AND state = 'started'";
        self.tx.execute(sql, vec![run_id.into()]).await.map(|_| ())
    }
}

fn job_of(mut row: Row) -> Result<PeriodJob, StoreError> {
    Ok(PeriodJob {
        period: period(&row.text()?)?,
        status: word(&row.text()?, PeriodStatus::parse)?,
        counts: JobCounts {
            tenants: row.count()?,
            closed: row.count()?,
            parked: row.count()?,
            not_billed: row.count()?,
            pending_before: row.count()?,
            pushed: row.count()?,
            errors: row.count()?,
            pending_after: row.count()?,
        },
        tenants_version: row.integer()?,
        run_id: row.text()?,
    })
}

fn run_of(mut row: Row) -> Result<Run, StoreError> {
    Ok(Run {
        run_id: row.text()?,
        period: period(&row.text()?)?,
        state: word(&row.text()?, RunState::parse)?,
        fence: row.integer()?,
        holder: row.text()?,
        started_at: row.instant()?,
        code_version: row.text()?,
        catalog_hash: row.text()?,
        rules_hash: row.text()?,
        bounds: row.text()?,
        time_zone: row.text()?,
        period_status: word(&row.text()?, PeriodStatus::parse)?,
        mode: row.text()?,
        account_id: row.text()?,
        tolerances: row.text()?,
        os_user: row.text()?,
        made_with: serde_json::from_str(&row.text()?)
            .map_err(|error| StoreError::inconsistent("what a run was made with", error))?,
        verdict: verdict_of(&row.text()?, &row.text()?)?,
    })
}

fn verdict_of(text: &str, reasons: &str) -> Result<Option<Verdict>, StoreError> {
    if text.is_empty() {
        return Ok(None);
    }
    let reasons = serde_json::from_str(reasons);
    let reasons = reasons.map_err(|error| StoreError::inconsistent("the reasons of a verdict", error))?;
    Ok(Some(Verdict { word: word(text, VerdictWord::parse)?, reasons }))
}

pub(in crate::store::books) fn period(text: &str) -> Result<Period, StoreError> {
    Period::parse(text).map_err(|error| StoreError::inconsistent("a period", error))
}
