//! Render: tables become files, as a set that is whole or absent.
//!
//! In: tables of plain data, facts about the run. Out: a folder with data files, the documents made of them, `SHA256SUMS` and,
//! last, `manifest.json`. The set is written to a `.partial` folder and renamed, so that no reader ever sees half of it. Never
//! overwrites a set that is there, and never computes a figure.

mod again;
mod csv_file;
mod html;
mod manifest;
mod place;
mod sums;
pub mod vitals;
mod xlsx;

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

pub use again::{Difference, differences};
pub use csv_file::{WrittenFile, text as csv_text};
pub use html::page;
pub use manifest::Facts;

use crate::domain::audit::sha256_hex;
use crate::domain::money::MoneyError;
use crate::domain::report::{CsvFormat, Report, Table};
use crate::render::place::{Place, Put, create};

#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("{} cannot be made: {cause}", path.display())]
    CannotCreate { path: PathBuf, cause: io::Error },
    #[error("{} is no safe place for reports: {problem}", path.display())]
    Unsafe { path: PathBuf, problem: &'static str },
    #[error("{} cannot be written: {cause}", path.display())]
    Io { path: PathBuf, cause: io::Error },
    #[error("{} holds other files than this run's: move it away, then run again", .0.display())]
    Foreign(PathBuf),
    #[error("a report cannot be made: {0}")]
    Figures(MoneyError),
    #[error("report.xlsx cannot be made: {0}")]
    Workbook(String),
}

/// A set that is in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    pub folder: PathBuf,
    pub manifest_sha256: String,
}

/// Writes the set to `<reports>/<period>/<run id>/`. A set that is there already is kept if it is the same.
/// `fence` is the writer's term.
pub fn deliver(reports: &Path, report: &Report, facts: &Facts, fence: i64) -> Result<Delivered, RenderError> {
    let place = Place::make(reports, report.period)?;
    place.remove_partial(fence)?;
    let partial = place.partial(&facts.run_id, fence)?;
    let folder = place.of(&facts.run_id);
    cleared(&partial, || {
        let manifest_sha256 = write_set(&partial, report, facts)?;
        match place.put(&partial, &folder)? {
            Put::There => Ok(Delivered { folder: folder.clone(), manifest_sha256 }),
            Put::Taken => Err(RenderError::Foreign(folder.clone())),
        }
    })
}

/// Writes the set again, for somebody who only reads the database: where its name is taken by other files, beside them as
/// `<run id>-r2`, `-r3` and so on.
pub fn deliver_again(reports: &Path, report: &Report, facts: &Facts) -> Result<Delivered, RenderError> {
    let place = Place::make(reports, report.period)?;
    let name = format!("{}.{}", facts.run_id, std::process::id());
    let partial = place.partial(&name, 0)?;
    cleared(&partial, || {
        let manifest_sha256 = write_set(&partial, report, facts)?;
        let mut folder = place.of(&facts.run_id);
        for number in 2.. {
            if place.put(&partial, &folder)? == Put::There {
                break;
            }
            folder = place.of(&format!("{}-r{number}", facts.run_id));
        }
        Ok(Delivered { folder, manifest_sha256 })
    })
}

/// Writes one table to a file of its own, where there is none yet, and says how many rows it has.
pub fn table_file(path: &Path, table: Table<'_>) -> Result<u64, RenderError> {
    let file = create(path).map_err(|cause| RenderError::CannotCreate { path: path.to_owned(), cause })?;
    let written = csv_file::write(file, table, CsvFormat::default());
    Ok(written.map_err(|cause| RenderError::Io { path: path.to_owned(), cause })?.rows)
}

/// Does the work, and leaves nothing of the folder but what has a name: on a full disk half a set would be in the way.
fn cleared<T>(partial: &Path, work: impl FnOnce() -> Result<T, RenderError>) -> Result<T, RenderError> {
    let done = work();
    match fs::remove_dir_all(partial) {
        Err(cause) if done.is_ok() && cause.kind() != io::ErrorKind::NotFound => {
            Err(RenderError::Io { path: partial.to_owned(), cause })
        }
        _ => done,
    }
}

fn write_set(partial: &Path, report: &Report, facts: &Facts) -> Result<String, RenderError> {
    let mut files = Vec::new();
    for table in report.tables().map_err(RenderError::Figures)? {
        let path = partial.join(format!("{}.csv", table.name));
        let written = create(&path).and_then(|file| csv_file::write(file, table, facts.csv));
        files.push(written.map_err(|cause| RenderError::Io { path, cause })?);
    }
    let path = partial.join(EVIDENCE);
    let written = create(&path).and_then(|file| csv_file::write_lines(file, EVIDENCE, &report.evidence));
    files.push(written.map_err(|cause| RenderError::Io { path, cause })?);
    for (name, bytes) in documents(report, facts, &files)? {
        write(&partial.join(name), &bytes)?;
        files.push(WrittenFile::of_bytes(name, &bytes));
    }
    let sums: String = files.iter().map(|file| format!("{}  {}\n", file.sha256, file.name)).collect();
    write(&partial.join("SHA256SUMS"), sums.as_bytes())?;
    let manifest = manifest::text(report, facts, &files).map_err(RenderError::Figures)?;
    write(&partial.join("manifest.json"), manifest.as_bytes())?;
    let synced = File::open(partial).and_then(|folder| folder.sync_all());
    synced.map_err(|cause| RenderError::Io { path: partial.to_owned(), cause })?;
    Ok(sha256_hex(manifest.as_bytes()))
}

const EVIDENCE: &str = "evidence.ndjson";
const WORKBOOK: &str = "report.xlsx";
const PAGE: &str = "report.html";
const CODE_VERSION: &str = env!("CARGO_PKG_VERSION");

/// What people read, made of the report and of the data files that are written. The page is the last, since it lists the others.
fn documents(
    report: &Report,
    facts: &Facts,
    files: &[WrittenFile],
) -> Result<Vec<(&'static str, Vec<u8>)>, RenderError> {
    let workbook = xlsx::workbook(report, facts)?;
    // The page lists all files but itself.
    let mut listed = files.to_vec();
    listed.push(WrittenFile::of_bytes(WORKBOOK, &workbook));
    let page = page(report, facts, &listed).map_err(RenderError::Figures)?;
    Ok(vec![(WORKBOOK, workbook), (PAGE, page.into_bytes())])
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), RenderError> {
    let written = create(path).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|cause| RenderError::Io { path: path.to_owned(), cause })
}
