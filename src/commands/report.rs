//! `billrecon report`: a closed period's figures on stdout, as they were closed or restated with what came late.
//!
//! In: flags. Out: CSV, or one JSON object. Which run it is, and of which mode, is said on stderr. Never writes a file, and never
//! changes a figure.

use serde_json::{Value, json};

use crate::cli::{GlobalFlags, ReportFlags};
use crate::commands::{configured, print, start_logging};
use crate::config::Config;
use crate::domain::report::Table;
use crate::exit_code::ExitCode;
use crate::job::report::{Reported, Which, read};
use crate::render::csv_text;

pub async fn execute(global: &GlobalFlags, flags: &ReportFlags) -> anyhow::Result<ExitCode> {
    let config = Config::load(global)?;
    start_logging(&config.log)?;
    let which = match (&flags.run, flags.period) {
        (Some(run_id), _) => Which::Run(run_id.clone()),
        (None, Some(period)) => Which::Period(period),
        // The command line asks for one of them.
        (None, None) => return Ok(ExitCode::Usage),
    };
    let reported = read(&configured(&config)?, &which).await?;
    let statement = reported.report.statement()?;
    let table = statement.table(flags.restated)?;
    if flags.json {
        print::data(&print::json(&as_json(&reported, table).to_string()))?;
    } else {
        let Reported { mode, run, .. } = &reported;
        print::words(&format!("{mode}: {}, {}, run {}", run.period, run.period_status.as_str(), run.run_id));
        print::data(csv_text(table)?.replace("\r\n", "\n").trim_end_matches('\n'))?;
    }
    Ok(ExitCode::Done)
}

fn as_json(reported: &Reported, table: Table<'_>) -> Value {
    let columns = table.columns;
    let row = |cells: Vec<_>| -> Value {
        let named = columns.iter().zip(cells);
        named
            .map(|(name, cell): (_, crate::domain::report::Cell<'_>)| {
                ((*name).to_owned(), cell.text().into())
            })
            .collect::<serde_json::Map<String, Value>>()
            .into()
    };
    json!({
        "mode": reported.mode,
        "run_id": reported.run.run_id,
        "period": reported.run.period.to_string(),
        "status": reported.run.period_status.as_str(),
        "rows": table.rows.map(row).collect::<Vec<_>>(),
    })
}
