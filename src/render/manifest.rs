//! `manifest.json`: what a set of files is, for an auditor.
//!
//! In: facts about the run and the files written. Out: JSON text. It is no data file: it names the run and its time.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::json;

use crate::domain::figures::WindowStatus;
use crate::domain::money::MoneyError;
use crate::domain::report::{CsvFormat, Report};
use crate::render::csv_file::WrittenFile;

/// What the manifest says beside the files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Facts {
    pub run_id: String,
    /// `SANDBOX`, `TEST` or `LIVE`.
    pub mode: String,
    pub account_id: String,
    /// Who ran it, by the operating system's word.
    pub os_user: String,
    pub period_status: String,
    /// Absent for an open period.
    pub verdict: Option<String>,
    pub reasons: Vec<String>,
    pub started_at: String,
    pub holder: String,
    pub code_version: String,
    pub catalog_hash: String,
    pub rules_hash: String,
    /// The safety bounds that the run kept to.
    pub bounds: String,
    pub time_zone: String,
    pub tolerances: String,
    pub database_engine: &'static str,
    /// Number of the newest migration, as all that follows of runs of earlier versions 0 or empty.
    pub database_schema: i64,
    pub stripe_api_version: String,
    /// Release of the time zone database.
    pub tz_database: String,
    /// What the command was asked for: nothing that could be a secret.
    pub parameters: BTreeMap<String, String>,
    /// How the CSV files are written; it stands beside the run.
    #[serde(skip)]
    pub csv: CsvFormat,
    /// SHA-256 of the manifest of the period's set before this one; it stands beside the run.
    #[serde(skip)]
    pub manifest_before: Option<String>,
}

pub fn text(report: &Report, facts: &Facts, files: &[WrittenFile]) -> Result<String, MoneyError> {
    let totals = report.money()?.into_iter().map(|money| {
        json!({
            "currency": money.base.currency.code(),
            "base_amount_minor": money.base.minor.to_string(),
            "usage_amount_minor": money.usage.minor.to_string(),
            "late_amount_minor": money.late.minor.to_string(),
        })
    });
    let manifest = json!({
        "schema": "billrecon.manifest.v1",
        "period": report.period.to_string(),
        "run": facts,
        "previous_manifest_sha256": facts.manifest_before,
        "csv": facts.csv,
        "windows": {
            "closed": report.count(WindowStatus::Closed),
            "open": report.count(WindowStatus::Open),
            "parked": report.count(WindowStatus::Parked),
        },
        "ledger": {
            "records": report.ledger.records,
            "recorded_at": report.ledger.recorded_at.map(|at| at.to_string()),
        },
        "totals": totals.collect::<Vec<_>>(),
        "exceptions": report.exceptions.len(),
        "adjustments": report.adjustments.len(),
        "escaped": files.iter().map(|file| file.escaped).sum::<u64>(),
        "differences": report.comparison.iter().filter(|row| row.is_difference()).count(),
        "files": files,
    });
    Ok(format!("{manifest:#}\n"))
}
