//! `billrecon report`: a closed period's figures on stdout, as they were closed or restated with what came late.
//!
//! In: flags. Out: CSV, or one JSON object; of a run that is named also its files, where they are missing. Which run it is, and
//! of which mode, is said on stderr. Never changes a figure, nor a file that is there.

use std::path::Path;

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
    let settings = configured(&config)?;
    let reported = read(&settings, &which).await?;
    // Who asks for a run wants its files too, and the figures also where these cannot be made.
    let again = flags.run.as_ref().map(|_| reported.make_again(flags.csv.format(), &settings));
    let folder = again.as_ref().and_then(|again| again.as_ref().ok()).map(|again| again.folder.as_path());
    let statement = reported.report.statement()?;
    let table = statement.table(flags.restated)?;
    if flags.json {
        print::data(&print::json(&as_json(&reported, table, folder).to_string()))?;
    } else {
        let Reported { mode, run, .. } = &reported;
        print::words(&format!("{mode}: {}, {}, run {}", run.period, run.period_status.as_str(), run.run_id));
        let format = flags.csv.format().unwrap_or_default();
        print::data(csv_text(table, format)?.replace("\r\n", "\n").trim_end_matches('\n'))?;
    }
    if let Some(again) = again {
        print::words(&place(&again?.folder, &reported.run.run_id));
    }
    Ok(ExitCode::Done)
}

/// Where the files are, and why they may not be where one looks for them.
fn place(folder: &Path, run_id: &str) -> String {
    let shown = folder.display();
    if folder.ends_with(run_id) {
        return format!("its files are in {shown}");
    }
    let taken = folder.with_file_name(run_id);
    format!("{} holds other files, which stay; those of this report are in {shown}", taken.display())
}

fn as_json(reported: &Reported, table: Table<'_>, folder: Option<&Path>) -> Value {
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
        "reports_dir": folder,
        "rows": table.rows.map(row).collect::<Vec<_>>(),
    })
}
