//! One run: its closed records, its control totals and its files.
//!
//! In: a run, the audit log, the database, its folder. Out: a finding for each check. Stored data that cannot be read is a
//! finding, never the end; a disk or a database that does not answer ends it.

use crate::domain::figures::{WindowFigures, WindowStatus};
use crate::domain::number::NumberError;
use crate::domain::proof::{CheckName, ClosedRecords, Finding, controls_fault, ledger_fault};
use crate::domain::report::Report;
use crate::ingest::{IngestError, report_set};
use crate::job::catalogs::{Catalogs, hashes};
use crate::job::observe::Ranges;
use crate::job::verify::log::Log;
use crate::job::verify::{Proof, has_figures};
use crate::job::{Refusal, Settings, current_catalog, deliver, observe, page};
use crate::render::{Difference, Facts, differences};
use crate::store::books::{BooksView, RunFiles, RunState};
use crate::store::{Store, StoreError};

/// Tables whose rows stand in a file one by one.
const FILES: [(&str, &str); 9] = [
    ("window_lines", "lines.csv"),
    ("reconciliation", "reconciliation.csv"),
    ("run_exceptions", "exceptions.csv"),
    ("run_control_totals", "control_totals.csv"),
    ("run_evidence", "evidence.ndjson"),
    ("run_decisions", "decision.csv"),
    ("adjustments", "adjustments.csv"),
    ("run_accruals", "accruals.csv"),
    ("limit_events", "limit_events.csv"),
];

pub async fn check(
    proof: &mut Proof,
    run: &RunFiles,
    log: &Log,
    settings: &Settings,
    store: &Store,
    view: &mut BooksView,
) -> anyhow::Result<()> {
    let nothing = || Finding::NotChecked(not_closed(run));
    let Some((position, committed)) = log.event(&run.run_id, "run_committed") else {
        proof.add(CheckName::ClosedRecords, nothing());
        proof.add(CheckName::ControlTotals, nothing());
        return files(proof, run, log, settings, None);
    };
    let report = caught(made_again(run, settings, view).await)?;
    let ledger = match &report {
        Ok((report, _)) => totals(&report.windows, store, view).await,
        Err(problem) => Ok(Finding::Fails(problem.clone())),
    };
    let ledger = finding(ledger)?;
    let controls = match &report {
        Ok((report, _)) => control_totals(report),
        Err(problem) => Finding::Fails(problem.clone()),
    };
    let records = committed.get("records").and_then(|text| ClosedRecords::parse(text));
    let mut records = match records {
        Some(closed) => closed_records(run, &closed, position, view).await?,
        None => {
            Err(Finding::NotChecked("an earlier version closed it and left no hash of its rows".to_owned()))
        }
    };
    let from_files = files_of(run, log, settings, Some(&report))?;
    locate(&mut records, &from_files, &ledger, &controls);
    proof.add(CheckName::ClosedRecords, told(records));
    proof.add(CheckName::ControlTotals, worse(controls, ledger));
    from_files.add_to(proof);
    Ok(())
}

/// What the files of a run are made of.
async fn made_again(
    run: &RunFiles,
    settings: &Settings,
    view: &mut BooksView,
) -> anyhow::Result<(Report, Facts)> {
    let report = page::report(run.period, &run.run_id, view).await?;
    let before = view.manifest_before(run.period, &run.run_id).await?;
    let record = view.run(&run.run_id).await?;
    let record = record.ok_or_else(|| Refusal::BadData(format!("there is no run {}", run.run_id)))?;
    Ok((report, deliver::facts(&record, before, settings)))
}

/// A period that is looked at before it is closed leaves files, and nothing else.
fn not_closed(run: &RunFiles) -> String {
    if has_figures(run) {
        "the run closed nothing: its figures were provisional and stand in its files only".to_owned()
    } else {
        format!("the run is {}: nothing of it counts", run.state.as_str())
    }
}

/// Tables that were changed, with words; or a finding that ends the check.
type Changed = Result<Vec<(String, String)>, Finding>;

async fn closed_records(
    run: &RunFiles,
    closed: &ClosedRecords,
    position: i64,
    view: &mut BooksView,
) -> anyhow::Result<Changed> {
    let now = caught(view.closed_records(&run.run_id, closed).await.map_err(Into::into))?;
    let now = match now {
        Ok(now) => now,
        Err(problem) => return Ok(Err(Finding::Fails(problem))),
    };
    let faults = closed.faults(&now);
    if faults.is_empty() {
        let rows: u64 = closed.0.values().map(|table| table.rows).sum();
        let words = format!("{rows} rows of {} tables, as audit position {position} says", closed.0.len());
        return Ok(Err(Finding::Holds(words)));
    }
    Ok(Ok(faults))
}

/// A hash says which table; what else is known may say which tenant, window and field.
fn locate(changed: &mut Changed, files: &FromFiles, ledger: &Finding, controls: &Finding) {
    let Ok(faults) = changed else { return };
    for (table, words) in faults {
        let file = FILES.iter().find(|(of, _)| of == table).map(|(_, file)| *file);
        let again = files.differences.iter().find(|difference| Some(difference.file.as_str()) == file);
        let figures = [ledger, controls].into_iter().find(|one| matches!(one, Finding::Fails(_)));
        if let Some(difference) = again.filter(|_| matches!(files.set, Finding::Holds(_))) {
            *words = format!("{words}; {}", difference.words);
        } else if let Some(figures) = figures.filter(|_| file.is_none() || file == Some("lines.csv")) {
            *words = format!("{words}; {}", figures.words());
        }
    }
}

fn told(changed: Changed) -> Finding {
    match changed {
        Err(finding) => finding,
        Ok(faults) => {
            let words: Vec<String> = faults.into_iter().map(|(_, words)| words).collect();
            Finding::Fails(words.join("; "))
        }
    }
}

fn worse(one: Finding, other: Finding) -> Finding {
    match (one, other) {
        (Finding::Fails(words), _) | (_, Finding::Fails(words)) => Finding::Fails(words),
        (one, Finding::NotChecked(words)) => {
            Finding::Holds(format!("{}; the ledger was not looked at: {words}", one.words()))
        }
        (one, _) => one,
    }
}

fn control_totals(report: &Report) -> Finding {
    match controls_fault(&report.controls, &report.windows) {
        Err(fault) => Finding::Fails(fault.to_string()),
        Ok(Some(fault)) => Finding::Fails(fault),
        Ok(None) => {
            let words =
                "they tie, the closed windows come to them, and the ledger still holds what was closed";
            Finding::Holds(words.to_owned())
        }
    }
}

/// The closed windows against the ledger as it is now, by the meters that they closed with.
async fn totals(windows: &[WindowFigures], store: &Store, view: &mut BooksView) -> anyhow::Result<Finding> {
    let (current, catalog) = match caught(current_catalog(view).await)? {
        Ok(found) => found,
        Err(problem) => return Ok(Finding::NotChecked(problem)),
    };
    let catalogs = Catalogs::read(&catalog, &current.catalog_hash, hashes(windows), view).await?;
    let tenants = view.tenants().await?;
    let mut ranges = Ranges::new();
    for window in windows.iter().filter(|window| window.status == WindowStatus::Closed) {
        observe::add_closed(&mut ranges, window, &catalogs);
    }
    let mut snapshot = store.ledger().snapshot().await?;
    let totals = observe::totals_in(ranges, &tenants, &catalogs, &mut snapshot).await?;
    Ok(match ledger_fault(windows, &totals)? {
        Some(fault) => Finding::Fails(fault),
        None => Finding::Holds(String::new()),
    })
}

/// What the folder of a run says.
struct FromFiles {
    set: Finding,
    again: Finding,
    figures: Finding,
    differences: Vec<Difference>,
}

impl FromFiles {
    fn add_to(self, proof: &mut Proof) {
        proof.add(CheckName::Files, self.set);
        proof.add(CheckName::MadeAgain, self.again);
        proof.add(CheckName::Figures, self.figures);
    }
}

fn files(
    proof: &mut Proof,
    run: &RunFiles,
    log: &Log,
    settings: &Settings,
    report: Option<&Result<(Report, Facts), String>>,
) -> anyhow::Result<()> {
    files_of(run, log, settings, report)?.add_to(proof);
    Ok(())
}

fn files_of(
    run: &RunFiles,
    log: &Log,
    settings: &Settings,
    report: Option<&Result<(Report, Facts), String>>,
) -> anyhow::Result<FromFiles> {
    let not_there = |words: &str| FromFiles {
        set: Finding::NotChecked(words.to_owned()),
        again: Finding::NotChecked(words.to_owned()),
        figures: Finding::NotChecked(words.to_owned()),
        differences: Vec::new(),
    };
    match run.state {
        RunState::Started | RunState::Abandoned => return Ok(not_there(&not_closed(run))),
        RunState::Committed => {
            return Ok(not_there("its files are not written yet: `billrecon run` writes them"));
        }
        RunState::Finished => {}
    }
    let folder = settings.reports.join(run.period.to_string()).join(&run.run_id);
    let written =
        log.event(&run.run_id, "reports_written").and_then(|(_, mut told)| told.remove("manifest_sha256"));
    let set = report_set::files(&folder, Some(&written.unwrap_or_default()))?;
    if !folder.is_dir() {
        return Ok(FromFiles { set, ..not_there("its folder is not there") });
    }
    let figures = report_set::figures(&folder)?;
    let (again, differences) = match report {
        None => (Finding::NotChecked(not_closed(run)), Vec::new()),
        Some(Err(problem)) => {
            (Finding::Fails(format!("the files cannot be made again: {problem}")), Vec::new())
        }
        Some(Ok((report, facts))) => {
            let differences = differences(&folder, report, facts)?;
            let finding = match differences.first() {
                Some(first) => Finding::Fails(first.words.clone()),
                None => {
                    Finding::Holds("made again from the database, each is the same to the byte".to_owned())
                }
            };
            (finding, differences)
        }
    };
    Ok(FromFiles { set, again, figures, differences })
}

/// Bad data is a fault that is found; any other error is passed on.
pub fn finding(result: anyhow::Result<Finding>) -> anyhow::Result<Finding> {
    Ok(caught(result)?.unwrap_or_else(Finding::Fails))
}

fn caught<T>(result: anyhow::Result<T>) -> anyhow::Result<Result<T, String>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) if is_bad_data(&error) => Ok(Err(format!("{error:#}"))),
        Err(error) => Err(error),
    }
}

fn is_bad_data(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let store: Option<&StoreError> = cause.downcast_ref();
        let ingest: Option<&IngestError> = cause.downcast_ref();
        matches!(store, Some(StoreError::Inconsistent(_)))
            || ingest.is_some_and(|error| !matches!(error, IngestError::Io { .. }))
            || cause.is::<NumberError>()
            // There is no catalog.
            || cause.is::<Refusal>()
    })
}
