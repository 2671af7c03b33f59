//! Decide: a closed period judged again, by the same or by another policy.
//!
//! In: a period, a policy. Out: what it says of the figures as the last run that judged them left them, and of what that run knew
//! beside them. Reads only: what was decided then stands.

use crate::domain::decide::{Decision, Verdict};
use crate::domain::period::Period;
use crate::domain::trend::{TrendRow, trend};
use crate::job::catalogs::{Catalogs, hashes};
use crate::job::connection::mode_of;
use crate::job::judge::decide_on;
use crate::job::{PolicyFile, Refusal, Settings, current_catalog, policy};
use crate::store::Access;
use crate::store::books::{BooksView, Run};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// `None`: the newest period that was judged.
    pub period: Option<Period>,
    /// `None`: the one that runs go by.
    pub policy: Option<PolicyFile>,
}

#[derive(Debug)]
pub struct Answer {
    pub mode: String,
    pub period: Period,
    /// The run whose figures are judged, and what it said.
    pub run_id: String,
    pub then: Verdict,
    /// Where the policy stands; `None`: built in.
    pub policy_file: Option<String>,
    pub decision: Decision,
    /// Ledger and Stripe disagree somewhere, whatever the policy makes of it.
    pub differs: bool,
    pub trend: Vec<TrendRow>,
}

pub async fn decide(settings: &Settings, question: &Question) -> anyhow::Result<Answer> {
    let store = settings.open(Access::ReadOnly).await?;
    let mut view = store.books().snapshot().await?;
    let (current, catalog) = current_catalog(&mut view).await?;
    let file = question.policy.as_ref().or(settings.policy.as_ref());
    let policy = policy(file, &catalog)?;
    let (run, then) = judged_run(question.period, &mut view).await?;
    let Some(facts) = view.facts(&run.run_id).await? else {
        let text =
            format!("{} was judged by an earlier version, which kept no facts to judge again", run.period);
        return Err(Refusal::BadData(text).into());
    };
    let figures = view.windows_as_of(run.period, &run.run_id).await?;
    let catalogs = Catalogs::read(&catalog, &current.catalog_hash, hashes(&figures), &mut view).await?;
    let earlier = view.judged_before(run.period, run.fence).await?;
    let before = earlier.facts_without_gap(run.period);
    let decision = decide_on(&policy, &facts, &before, &figures, &catalogs)?;
    let trend = trend(run.period, &decision.rows, &earlier.said());
    let pinned = view.pinned_account().await?;
    drop(view);
    store.close().await;
    Ok(Answer {
        mode: pinned.map_or_else(|| "NOT PINNED".to_owned(), |account| mode_of(&account, settings.demo)),
        period: run.period,
        run_id: run.run_id,
        then,
        policy_file: file.map(|policy| policy.file.clone()),
        decision,
        differs: !facts.differences.is_empty(),
        trend,
    })
}

async fn judged_run(period: Option<Period>, view: &mut BooksView) -> anyhow::Result<(Run, Verdict)> {
    let named = match period {
        Some(period) => vec![period],
        None => view.period_jobs().await?.into_keys().rev().collect(),
    };
    for period in named {
        if let Some(mut run) = view.last_judged(period).await?
            && let Some(verdict) = run.verdict.take()
        {
            return Ok((run, verdict));
        }
    }
    let what =
        period.map_or("no period has been closed".to_owned(), |period| format!("{period} is not closed"));
    Err(Refusal::Usage(format!("{what}, so there is nothing to judge: `billrecon status` shows the periods"))
        .into())
}
