//! Approve: a person's word that a run's figures are right, as a row of the audit log.
//!
//! In: a run, who approves it, a note. Out: the approval, or why it was refused. What does not hold is never approved; a
//! second person's word is another row, and nothing that was written is written anew.

use std::time::Duration;

use jiff::Timestamp;

use crate::domain::audit::AuditEvent;
use crate::domain::proof::OsUser;
use crate::job::interrupt::Signals;
use crate::job::lease::{Lease, under_lease};
use crate::job::verify::{Proof, Subject, verify_in};
use crate::job::{Refusal, Settings, person};
use crate::store::books::{Approval, Run};
use crate::store::{Access, Store};

#[derive(Clone, Debug)]
pub struct Request {
    pub run_id: String,
    pub by: String,
    pub note: String,
    pub lock_wait: Duration,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Approved {
    pub approval: Approval,
    /// `partial`: tenants of the period are parked, and the approval is not about them.
    pub period_status: String,
    /// The same person had said so before; nothing was added.
    pub again: bool,
}

pub async fn approve(settings: &Settings, request: &Request, now: Timestamp) -> anyhow::Result<Approved> {
    let mut signals = Signals::listen()?;
    let store = signals.unless_interrupted(settings.open(Access::Write)).await?;
    let books = store.books();
    // It may read for long, and nobody else should have to wait for that.
    let proof = signals.unless_interrupted(Box::pin(holding(settings, request, &store))).await?;
    let work = async |lease: &Lease| decide(settings, request, proof, &store, lease, now).await;
    let approved = under_lease(&books, settings.lease_ttl, request.lock_wait, now, &mut signals, work).await;
    store.close().await;
    approved
}

/// The proof of a run that can be approved.
async fn holding(settings: &Settings, request: &Request, store: &Store) -> anyhow::Result<Proof> {
    let run_id = &request.run_id;
    let proofs = verify_in(store, settings, &Subject::Run(run_id.clone()), None).await?;
    let proof = proofs.into_iter().next().unwrap_or_default();
    if proof.closed_manifest.is_none() {
        let text = format!("run {run_id} closed nothing that could be approved, or is not finished");
        return Err(Refusal::Usage(text).into());
    }
    match proof.first_fault() {
        None => Ok(proof),
        Some(fault) => {
            let text = format!("run {run_id} is not approved, because it does not hold: {fault}");
            Err(Refusal::BadData(text).into())
        }
    }
}

async fn decide(
    settings: &Settings,
    request: &Request,
    mut proof: Proof,
    store: &Store,
    lease: &Lease,
    now: Timestamp,
) -> anyhow::Result<Approved> {
    let books = store.books();
    // Whatever is closed, imported or said leaves a row in the log.
    if books.snapshot().await?.audit_head().await? != proof.head {
        proof = Box::pin(holding(settings, request, store)).await?;
    }
    let Some(run) = books.snapshot().await?.run(&request.run_id).await? else {
        return Err(Refusal::Usage(format!("there is no run {}", request.run_id)).into());
    };
    let os_user = person::os_user();
    if !settings.runner_may_approve {
        refuse_runner(&run, request, &os_user)?;
    }
    let approval = Approval {
        run_id: run.run_id.clone(),
        recorded_at: now,
        by: request.by.clone(),
        note: request.note.clone(),
        os_user: os_user.to_string(),
    };
    let period_status = run.period_status.as_str().to_owned();
    if let Some(before) = said_before(&proof, &approval) {
        return Ok(Approved { approval: before, period_status, again: true });
    }
    let event = AuditEvent::RunApproved {
        period: run.period,
        status: period_status.clone(),
        manifest_sha256: proof.closed_manifest.unwrap_or_default(),
        by: approval.by.clone(),
        note: approval.note.clone(),
        os_user: approval.os_user.clone(),
    };
    let mut write = books.write(lease.term()?).await?;
    write.audit(&event, &run.run_id, now).await?;
    write.commit().await?;
    Ok(Approved { approval, period_status, again: false })
}

fn said_before(proof: &Proof, approval: &Approval) -> Option<Approval> {
    let same = |one: &&Approval| one.by == approval.by && one.os_user == approval.os_user;
    proof.approvals.iter().find(same).cloned()
}

/// Two pairs of eyes: neither the one who types may be the one who ran, nor the one who is named.
fn refuse_runner(run: &Run, request: &Request, os_user: &OsUser) -> Result<(), Refusal> {
    let run_id = &run.run_id;
    let Some(runner) = OsUser::parse(&run.os_user) else {
        return Err(Refusal::NotPermitted(format!(
            "run {run_id} does not say who ran it, and approval.runner_may_approve is false: run the next period with \
             this version, or allow it"
        )));
    };
    if os_user.is(&runner) || request.by.trim().eq_ignore_ascii_case(&runner.name) {
        return Err(Refusal::NotPermitted(format!(
            "run {run_id} was made by {runner}, and approval.runner_may_approve is false: another person has to approve it"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::period::Period;
    use crate::store::books::{MadeWith, PeriodStatus, RunState};

    fn refused(runner: &str, typed_by: &str, by: &str) -> bool {
        let run = Run {
            run_id: "r-1".to_owned(),
            period: Period::parse("2026-09").unwrap(),
            state: RunState::Finished,
            fence: 1,
            holder: "host/1".to_owned(),
            started_at: "2026-10-01T03:00:00Z".parse().unwrap(),
            code_version: String::new(),
            catalog_hash: String::new(),
            rules_hash: String::new(),
            bounds: String::new(),
            tolerances: String::new(),
            time_zone: "UTC".to_owned(),
            period_status: PeriodStatus::Closed,
            mode: "SANDBOX".to_owned(),
            account_id: String::new(),
            os_user: runner.to_owned(),
            made_with: MadeWith::default(),
            verdict: None,
        };
        let (by, note) = (by.to_owned(), "seen".to_owned());
        let request = Request { run_id: run.run_id.clone(), by, note, lock_wait: Duration::ZERO };
        refuse_runner(&run, &request, &OsUser::parse(typed_by).unwrap()).is_err()
    }

    #[test]
    fn another_person_may_approve_and_the_runner_may_not_under_any_name() {
        assert!(!refused("ada (uid 1000)", "bob (uid 1001)", "Bob"));
        assert!(refused("ada (uid 1000)", "ada (uid 1000)", "Bob"));
        assert!(refused("ada (uid 1000)", "bob (uid 1001)", " ADA "));
        assert!(refused("uid 1000", "uid 1000", "Bob"));
        // An earlier version did not say who ran: in doubt nobody is taken for another.
        assert!(refused("", "bob (uid 1001)", "Bob"));
    }
}
