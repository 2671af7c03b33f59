//! Ingest: files of other people become values of the domain.
//!
//! In: CSV, NDJSON and TOML text. Out: judged usage lines, tenants, a catalog, a policy, prices with quantities. Never writes to a database, and never
//! drops a line: what is not understood comes out as quarantined, or as an error with file and line.

mod bounded;
pub mod catalog;
mod csv_lines;
pub mod did_you_mean;
mod fields;
mod header;
mod ndjson_lines;
mod node;
pub mod policy;
mod price;
pub mod price_lines;
pub mod report_set;
pub mod tenants;
mod text_lines;
pub mod usage;

use crate::domain::catalog::CatalogFault;

/// How many faults of one file are told at once.
const FAULTS_SHOWN: usize = 20;

#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    #[error("{file}: {cause}")]
    Io { file: String, cause: std::io::Error },
    #[error("{0}: is empty; expected a CSV header or NDJSON objects")]
    Empty(String),
    #[error("{file}: line {line}: {problem}")]
    Line { file: String, line: u64, problem: String },
    #[error("{file}: {problem}")]
    Toml { file: String, problem: String },
    #[error("{file}: line {line}, column {column}: {fault}")]
    Catalog { file: String, line: usize, column: usize, fault: CatalogFault },
    #[error("{file}: {problem}")]
    Conflict { file: String, problem: String },
    #[error("{file}: nothing was imported:\n{}", shown(faults))]
    Rows { file: String, faults: Vec<String> },
}

fn shown(faults: &[String]) -> String {
    let mut lines: Vec<String> = faults.iter().take(FAULTS_SHOWN).map(|fault| format!("  {fault}")).collect();
    if faults.len() > FAULTS_SHOWN {
        lines.push(format!("  … and {} more", faults.len() - FAULTS_SHOWN));
    }
    lines.join("\n")
}

/// Both counted from 1, columns in characters.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}
