//! Verify: recomputes what a run left behind, and names the first thing that does not hold.
//!
//! In: settings, a run (or all, or a folder). Out: one [`Proof`] for each, with a finding per check, in this order: the audit
//! log, (for all runs) the ledger, the closed records, the control totals, the files, the files made again from the database,
//! the figures of the files. Reads only, and takes no lease.

mod ledger;
mod log;
mod run;

use std::path::Path;

use crate::domain::period::Period;
use crate::domain::proof::{Check, CheckName, Finding, first_fault};
use crate::ingest::report_set;
use crate::job::verify::log::Log;
use crate::job::{Refusal, Settings};
use crate::store::books::{Approval, RunFiles, RunState};
use crate::store::{Access, Store};

pub use log::Head;

/// What is to be verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    Run(String),
    /// Its newest run.
    Period(Period),
    /// The log, the whole ledger, and every run.
    All,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proof {
    /// Empty: what no run has.
    pub run_id: String,
    pub period: Option<Period>,
    pub checks: Vec<Check>,
    /// The manifest's hash, where the run closed something and its files are written.
    pub closed_manifest: Option<String>,
    pub approvals: Vec<Approval>,
    /// Where the audit log ends; to be kept elsewhere.
    pub head: Option<Head>,
}

impl Proof {
    pub fn first_fault(&self) -> Option<&str> {
        first_fault(&self.checks)
    }

    fn add(&mut self, name: CheckName, finding: Finding) {
        self.checks.push(Check { name, finding });
    }
}

pub async fn verify(
    settings: &Settings,
    subject: &Subject,
    kept: Option<&Head>,
) -> anyhow::Result<Vec<Proof>> {
    let store = settings.open(Access::ReadOnly).await?;
    let proofs = verify_in(&store, settings, subject, kept).await;
    store.close().await;
    proofs
}

/// A folder of files by itself: no database, no settings.
pub fn verify_files(folder: &Path) -> anyhow::Result<Proof> {
    let mut proof = Proof::default();
    proof.add(CheckName::Files, report_set::files(folder, None)?);
    proof.add(CheckName::Figures, report_set::figures(folder)?);
    Ok(proof)
}

/// The same on a database that is open already.
pub(in crate::job) async fn verify_in(
    store: &Store,
    settings: &Settings,
    subject: &Subject,
    kept: Option<&Head>,
) -> anyhow::Result<Vec<Proof>> {
    let mut view = store.books().snapshot().await?;
    let log = Log::read(&mut view).await?;
    let mut first = Proof { head: log.head(), ..Proof::default() };
    first.add(CheckName::AuditLog, log.check(kept));
    let mut proofs = Vec::new();
    let runs: Vec<&RunFiles> = match subject {
        Subject::All => {
            let found = if let Some(table) = store.ledger().own_table() {
                Ok(ledger::of_own(table))
            } else {
                let mut snapshot = store.ledger().snapshot().await?;
                ledger::check(&log, &view.tenants().await?, &mut snapshot).await
            };
            first.add(CheckName::Ledger, run::finding(found.map_err(Into::into))?);
            proofs.push(std::mem::take(&mut first));
            log.runs.iter().filter(|run| has_figures(run)).collect()
        }
        Subject::Run(run_id) => vec![log.runs.iter().find(|run| run.run_id == *run_id).ok_or_else(|| {
            Refusal::Usage(format!("there is no run {run_id}: `billrecon status` lists the newest"))
        })?],
        Subject::Period(period) => vec![
            log.runs
                .iter()
                .rfind(|run| run.period == *period && has_figures(run))
                .ok_or_else(|| Refusal::Usage(format!("no run of {period} has figures or files yet")))?,
        ],
    };
    for one in runs {
        let mut proof = Proof {
            run_id: one.run_id.clone(),
            period: Some(one.period),
            closed_manifest: log.closed_manifest(one),
            approvals: log.approvals(&one.run_id),
            ..std::mem::take(&mut first)
        };
        run::check(&mut proof, one, &log, settings, store, &mut view).await?;
        proofs.push(proof);
    }
    Ok(proofs)
}

/// Neither begun only, nor abandoned.
fn has_figures(run: &RunFiles) -> bool {
    matches!(run.state, RunState::Committed | RunState::Finished)
}
