//! Made again: each file of a set held against the report that the database gives today.
//!
//! In: a report and a folder. Out: for each file that is another, the first place where it is. The files are read cell by
//! cell, so that the place has a line and a column; then byte by byte, by their hash. Never writes.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use crate::domain::report::{CsvFormat, Report, Table};
use crate::render::csv_file::{self, WrittenFile, cell_text};
use crate::render::{CODE_VERSION, EVIDENCE, Facts, RenderError, documents};

/// A file that is another than the one made again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    pub file: String,
    /// Where, and what stands there on either side.
    pub words: String,
}

/// All files that differ, in the order of the set. A file that is not there is no difference: somebody else says so.
pub fn differences(folder: &Path, report: &Report, facts: &Facts) -> Result<Vec<Difference>, RenderError> {
    let mut differences = Vec::new();
    let mut made = Vec::new();
    let failed = |path: &Path| {
        let path = path.to_owned();
        |cause| RenderError::Io { path, cause }
    };
    let mut differs = |file: &str, words: Option<String>| {
        let words = words.map(|words| Difference { words: format!("{file}{words}"), file: file.to_owned() });
        differences.extend(words);
    };
    let again = report.tables().map_err(RenderError::Figures)?;
    for (table, again) in report.tables().map_err(RenderError::Figures)?.into_iter().zip(again) {
        let path = folder.join(format!("{}.csv", table.name));
        let file = csv_file::made(again, facts.csv).map_err(failed(&path))?;
        if path.exists() {
            let mut words = first_cell(&path, table, facts.csv).map_err(failed(&path))?;
            if words.is_none() && has_other_bytes(&path, &file.sha256).map_err(failed(&path))? {
                words = Some(": its cells are the same, its bytes are not (line ends, quotes)".to_owned());
            }
            differs(&file.name, words);
        }
        made.push(file);
    }
    let path = folder.join(EVIDENCE);
    let file = csv_file::lines_to(&mut io::sink(), EVIDENCE, &report.evidence).map_err(failed(&path))?;
    if path.exists() {
        differs(EVIDENCE, first_line(&path, &report.evidence).map_err(failed(&path))?);
    }
    made.push(file);
    // Another version may lay out its documents in another way; data files stay the same.
    let documents =
        if facts.code_version == CODE_VERSION { documents(report, facts, &made)? } else { Vec::new() };
    for (name, bytes) in documents {
        let path = folder.join(name);
        let hash = WrittenFile::of_bytes(name, &bytes).sha256;
        if path.exists() && has_other_bytes(&path, &hash).map_err(failed(&path))? {
            differs(name, Some(": its bytes are not those that the database makes".to_owned()));
        }
    }
    Ok(differences)
}

fn first_cell(path: &Path, table: Table<'_>, format: CsvFormat) -> io::Result<Option<String>> {
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .has_headers(false)
        .delimiter(format.delimiter.byte())
        .from_reader(BufReader::new(File::open(path)?));
    let mut record = csv::ByteRecord::new();
    let header = table.columns.iter().map(|column| (*column).to_owned()).collect();
    let rows = table.rows.map(|row| row.iter().map(|cell| cell_text(cell).into_owned()).collect());
    let mut line = 0;
    for made in std::iter::once(header).chain(rows) {
        let made: Vec<String> = made;
        line += 1;
        if !reader.read_byte_record(&mut record)? {
            return Ok(Some(format!(
                ", line {line}: is not in the file; the database makes `{}`",
                made.join(",")
            )));
        }
        for (at, column) in table.columns.iter().enumerate() {
            let found = record.get(at).map(String::from_utf8_lossy).unwrap_or_default();
            let made = made.get(at).map(String::as_str).unwrap_or_default();
            if found != made {
                return Ok(Some(format!(
                    ", line {line}, column {column}{}: the file says `{found}`, the database makes `{made}`",
                    whose(table.columns, &record, at)
                )));
            }
        }
    }
    if reader.read_byte_record(&mut record)? {
        return Ok(Some(format!(", line {}: the database makes no such row", line + 1)));
    }
    Ok(None)
}

/// Tenant and meter of the row, for a person who looks for it.
fn whose(columns: &[&str], record: &csv::ByteRecord, differs: usize) -> String {
    let mut words = Vec::new();
    for name in ["tenant_id", "meter", "window_start", "measure"] {
        let at = columns.iter().position(|column| *column == name).filter(|at| *at != differs);
        let text = at.and_then(|at| record.get(at)).map(String::from_utf8_lossy);
        words.extend(text.filter(|text| !text.is_empty()).map(|text| format!("{name} {text}")));
    }
    if words.is_empty() { String::new() } else { format!(" ({})", words.join(", ")) }
}

fn has_other_bytes(path: &Path, sha256: &str) -> io::Result<bool> {
    Ok(csv_file::hash_of(File::open(path)?)? != sha256)
}

fn first_line(path: &Path, lines: &[String]) -> io::Result<Option<String>> {
    let mut made = lines.iter();
    for (line, found) in (1..).zip(BufReader::new(File::open(path)?).split(b'\n')) {
        let found = found?;
        match made.next() {
            Some(made) if made.as_bytes() == found.as_slice() => {}
            Some(made) => {
                let found = String::from_utf8_lossy(&found);
                return Ok(Some(format!(", line {line}: the file says `{found}`, the database `{made}`")));
            }
            None => return Ok(Some(format!(", line {line}: the database has no such line"))),
        }
    }
    if let Some(made) = made.next() {
        return Ok(Some(format!(": a line is not in the file: `{made}`")));
    }
    let length: u64 = lines.iter().map(|line| line.len() as u64 + 1).sum();
    Ok((fs::metadata(path)?.len() != length)
        .then(|| ": its lines are the same, its bytes are not".to_owned()))
}
