//! Deliver: writes the files of a run and records that they are there.
//!
//! In: a run and its report. Out: the folder of the files. The report of a closing run is read back from the database,
//! so that the files of an undisturbed run and of one taken up after a crash come from the same source.

use std::path::PathBuf;

use jiff::Timestamp;

use crate::domain::audit::AuditEvent;
use crate::domain::report::Report;
use crate::job::lease::Lease;
use crate::job::{Settings, page};
use crate::render::{self, Facts};
use crate::store::Books;
use crate::store::books::{Run, RunState};

/// Runs that closed their figures and died before their files were written.
pub async fn committed(books: &Books) -> anyhow::Result<Vec<Run>> {
    let committed = books.snapshot().await?.runs(RunState::Committed).await?;
    for run in &committed {
        tracing::warn!(
            "run {} of {} had closed but not written its files; they are written now",
            run.run_id,
            run.period
        );
    }
    Ok(committed)
}

/// Writes the files of a committed run from the database.
#[tracing::instrument(level = "debug", name = "files", skip_all)]
pub async fn deliver_committed(
    run: &Run,
    settings: &Settings,
    lease: &Lease,
    books: &Books,
    now: Timestamp,
) -> anyhow::Result<PathBuf> {
    let report = page::report(run.period, &run.run_id, &mut books.snapshot().await?).await?;
    deliver(run, &report, settings, lease, books, now).await
}

#[tracing::instrument(level = "debug", name = "files", skip_all)]
pub async fn deliver(
    run: &Run,
    report: &Report,
    settings: &Settings,
    lease: &Lease,
    books: &Books,
    now: Timestamp,
) -> anyhow::Result<PathBuf> {
    // A run that has lost the lease leaves no files either.
    let term = lease.term()?;
    books.prove(term).await?;
    let before = books.snapshot().await?.manifest_before(run.period, &run.run_id).await?;
    let facts = facts(run, before, settings);
    let delivered = match render::deliver(&settings.reports, report, &facts, term.fence) {
        Ok(delivered) => delivered,
        Err(error) => {
            // A successor removes what a run that lost the lease has begun to write: then that is what is wrong.
            books.prove(lease.term()?).await?;
            return Err(error.into());
        }
    };
    let mut write = books.write(lease.term()?).await?;
    write.finish_run(&run.run_id, &delivered.manifest_sha256).await?;
    let event = AuditEvent::ReportsWritten { period: run.period, manifest_sha256: delivered.manifest_sha256 };
    write.audit(&event, &run.run_id, now).await?;
    write.commit().await?;
    Ok(delivered.folder)
}

/// What the files say of their run. `before` is the manifest of the period's set before it.
pub fn facts(run: &Run, before: Option<String>, settings: &Settings) -> Facts {
    let verdict = run.verdict.clone();
    let made_with = run.made_with.clone();
    Facts {
        run_id: run.run_id.clone(),
        mode: run.mode.clone(),
        account_id: run.account_id.clone(),
        os_user: run.os_user.clone(),
        period_status: run.period_status.as_str().to_owned(),
        verdict: verdict.as_ref().map(|verdict| verdict.word.as_str().to_owned()),
        reasons: verdict.map(|verdict| verdict.reasons).unwrap_or_default(),
        started_at: run.started_at.to_string(),
        holder: run.holder.clone(),
        code_version: run.code_version.clone(),
        catalog_hash: run.catalog_hash.clone(),
        rules_hash: run.rules_hash.clone(),
        bounds: run.bounds.clone(),
        time_zone: run.time_zone.clone(),
        tolerances: run.tolerances.clone(),
        database_engine: settings.database.engine(),
        database_schema: made_with.database_schema,
        stripe_api_version: made_with.stripe_api_version,
        tz_database: made_with.tz_database,
        parameters: made_with.parameters,
        csv: made_with.csv,
        manifest_before: before,
    }
}
