//! Render: tables become files, as a set that is whole or absent.
//!
//! In: tables of plain data, facts about the run. Out: a folder with data files, `SHA256SUMS` and, last, `manifest.json`.
//! The set is written to a `.partial` folder and renamed, so that no reader ever sees half of it. Never overwrites a
//! set that is there, and never computes a figure.

mod again;
mod csv_file;
mod html;
mod manifest;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub use again::{Difference, differences};
pub use csv_file::{WrittenFile, text as csv_text};
pub use html::page;
pub use manifest::Facts;

use crate::domain::audit::sha256_hex;
use crate::domain::money::MoneyError;
use crate::domain::report::{Report, Table};

#[derive(Debug, thiserror::Error)]
pub enum RenderError {
    #[error("{} cannot be made: {cause}", path.display())]
    CannotCreate { path: PathBuf, cause: io::Error },
    #[error("{} cannot be written: {cause}", path.display())]
    Io { path: PathBuf, cause: io::Error },
    #[error("{} holds other files than this run's: move it away, then run again", .0.display())]
    Foreign(PathBuf),
    #[error("a report cannot be made: {0}")]
    Figures(MoneyError),
}

/// A set that is in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivered {
    pub folder: PathBuf,
    pub manifest_sha256: String,
}

/// Writes the set to `<reports>/<period>/<run id>/`. A set that is there already is kept if it is the same.
/// `fence` is the writer's: a run that lost its lease in the middle must not meet its successor in one folder.
pub fn deliver(reports: &Path, report: &Report, facts: &Facts, fence: i64) -> Result<Delivered, RenderError> {
    let parent = reports.join(report.period.to_string());
    let folder = parent.join(&facts.run_id);
    let partial = parent.join(format!("{}.{fence}.partial", facts.run_id));
    make_folder(&parent)?;
    remove_partial(&parent, fence)
        .map_err(|cause| RenderError::CannotCreate { path: parent.clone(), cause })?;
    make_folder(&partial)?;
    let manifest_sha256 = write_set(&partial, report, facts)?;
    // A folder that is there and not empty makes the rename fail.
    match fs::rename(&partial, &folder).and_then(|()| File::open(&parent)?.sync_all()) {
        Ok(()) => Ok(Delivered { folder, manifest_sha256 }),
        Err(_) if partial.exists() && folder.exists() => keep(folder, &partial, manifest_sha256),
        Err(cause) => Err(RenderError::Io { path: folder, cause }),
    }
}

/// Writes one table to a file of its own, where there is none yet, and says how many rows it has.
pub fn table_file(path: &Path, table: Table<'_>) -> Result<u64, RenderError> {
    let file = create(path).map_err(|cause| RenderError::CannotCreate { path: path.to_owned(), cause })?;
    let written = csv_file::write(file, table);
    Ok(written.map_err(|cause| RenderError::Io { path: path.to_owned(), cause })?.rows)
}

/// Removes what earlier terms began. Their writers have lost the lease, but may not know it yet: so each folder is
/// renamed first, and what its writer adds or renames from now on has no place to be. A later term's stays.
fn remove_partial(parent: &Path, fence: i64) -> io::Result<()> {
    let paths: Vec<PathBuf> =
        fs::read_dir(parent)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    for path in paths.into_iter().filter(|path| term_of(path).is_some_and(|term| term <= fence)) {
        let aside = path.with_extension(format!("{fence}.partial"));
        fs::rename(&path, &aside)?;
        fs::remove_dir_all(aside)?;
    }
    Ok(())
}

/// `RUN.FENCE.partial`
fn term_of(path: &Path) -> Option<i64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".partial")?;
    name.rsplit_once('.')?.1.parse().ok()
}

fn write_set(partial: &Path, report: &Report, facts: &Facts) -> Result<String, RenderError> {
    let mut files = Vec::new();
    for table in report.tables().map_err(RenderError::Figures)? {
        let path = partial.join(format!("{}.csv", table.name));
        let written = create(&path).and_then(|file| csv_file::write(file, table));
        files.push(written.map_err(|cause| RenderError::Io { path, cause })?);
    }
    let path = partial.join("evidence.ndjson");
    let written =
        create(&path).and_then(|file| csv_file::write_lines(file, "evidence.ndjson", &report.evidence));
    files.push(written.map_err(|cause| RenderError::Io { path, cause })?);
    files.push(write_page(partial, report, facts, &files)?);
    let sums: String = files.iter().map(|file| format!("{}  {}\n", file.sha256, file.name)).collect();
    write(&partial.join("SHA256SUMS"), sums.as_bytes())?;
    let manifest = manifest::text(report, facts, &files).map_err(RenderError::Figures)?;
    write(&partial.join("manifest.json"), manifest.as_bytes())?;
    let synced = File::open(partial).and_then(|folder| folder.sync_all());
    synced.map_err(|cause| RenderError::Io { path: partial.to_owned(), cause })?;
    Ok(sha256_hex(manifest.as_bytes()))
}

/// The page lists the files before it, so it is the last of them.
fn write_page(
    partial: &Path,
    report: &Report,
    facts: &Facts,
    files: &[WrittenFile],
) -> Result<WrittenFile, RenderError> {
    let text = page(report, facts, files).map_err(RenderError::Figures)?;
    write(&partial.join("report.html"), text.as_bytes())?;
    Ok(WrittenFile {
        name: "report.html".to_owned(),
        rows: 0,
        bytes: text.len() as u64,
        sha256: sha256_hex(text.as_bytes()),
    })
}

/// The set of this run was delivered before, and the process ended before it could say so.
fn keep(folder: PathBuf, partial: &Path, manifest_sha256: String) -> Result<Delivered, RenderError> {
    let same = same_files(partial, &folder).unwrap_or(false);
    let removed = fs::remove_dir_all(partial);
    removed.map_err(|cause| RenderError::Io { path: partial.to_owned(), cause })?;
    if same { Ok(Delivered { folder, manifest_sha256 }) } else { Err(RenderError::Foreign(folder)) }
}

/// Whether every file of the set is there with the same bytes.
fn same_files(partial: &Path, folder: &Path) -> io::Result<bool> {
    for entry in fs::read_dir(partial)? {
        let entry = entry?;
        if fs::read(entry.path())? != fs::read(folder.join(entry.file_name()))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Reports show what customers owe: only their owner may read them.
fn make_folder(path: &Path) -> Result<(), RenderError> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|cause| RenderError::CannotCreate { path: path.to_owned(), cause })
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), RenderError> {
    let written = create(path).and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    written.map_err(|cause| RenderError::Io { path: path.to_owned(), cause })
}
