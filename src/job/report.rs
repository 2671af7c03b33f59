//! Report: what a closed period's figures are, read back from the database.
//!
//! In: a period, or a run by its id. Out: its report with the run that made it, and its files made again. The database is only
//! read, and no lease is taken; a run that closed nothing has no figures but those in its files.

use crate::domain::period::Period;
use crate::domain::report::{CsvFormat, Report};
use crate::job::connection::mode_of;
use crate::job::{Refusal, Settings, deliver, page};
use crate::render::{Delivered, Facts, RenderError, deliver_again};
use crate::store::Access;
use crate::store::books::{BooksView, PeriodStatus, Run, RunState};

/// Which figures are asked for.
#[derive(Clone, Debug)]
pub enum Which {
    /// As its last run left them.
    Period(Period),
    /// As they were when that run ended.
    Run(String),
}

#[derive(Debug)]
pub struct Reported {
    pub mode: String,
    pub run: Run,
    pub report: Report,
    facts: Facts,
}

impl Reported {
    /// The run's files, where they are not there: beside others that have their name. `format` is another than the run's.
    pub fn make_again(
        &self,
        format: Option<CsvFormat>,
        settings: &Settings,
    ) -> Result<Delivered, RenderError> {
        let csv = format.unwrap_or(self.facts.csv);
        deliver_again(&settings.reports, &self.report, &Facts { csv, ..self.facts.clone() })
    }
}

pub async fn read(settings: &Settings, which: &Which) -> anyhow::Result<Reported> {
    let store = settings.open(Access::ReadOnly).await?;
    let mut view = store.books().snapshot().await?;
    let run = match which {
        Which::Period(period) => last_run(*period, &mut view).await?,
        Which::Run(run_id) => run_of(run_id, &mut view).await?,
    };
    let report = page::report(run.period, &run.run_id, &mut view).await?;
    let before = view.manifest_before(run.period, &run.run_id).await?;
    let facts = deliver::facts(&run, before, settings);
    let pinned = view.pinned_account().await?;
    drop(view);
    store.close().await;
    let mode = pinned.map_or_else(|| "NOT PINNED".to_owned(), |account| mode_of(&account, settings.demo));
    Ok(Reported { mode, run, report, facts })
}

async fn last_run(period: Period, view: &mut BooksView) -> anyhow::Result<Run> {
    let run = view.last_committed(period).await?;
    let missing =
        || Refusal::Usage(format!("nothing of {period} is closed yet: `billrecon status` shows the periods"));
    Ok(run.ok_or_else(missing)?)
}

async fn run_of(run_id: &str, view: &mut BooksView) -> anyhow::Result<Run> {
    let shown: String = run_id.chars().take(64).collect();
    let Some(run) = view.run(run_id).await? else {
        let text = format!("there is no run `{shown}`: `billrecon status` lists the newest");
        return Err(Refusal::Usage(text).into());
    };
    let is_committed = matches!(run.state, RunState::Committed | RunState::Finished);
    if !is_committed || run.period_status == PeriodStatus::Open {
        let text = format!("the run `{shown}` closed nothing: what it saw stands in its files only");
        return Err(Refusal::Usage(text).into());
    }
    Ok(run)
}
