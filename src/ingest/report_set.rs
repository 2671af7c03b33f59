//! The files of a run, read back by somebody who trusts nothing but their bytes.
//!
//! In: a folder. Out: whether manifest, sums and files agree, and whether their figures follow from each other. Needs no
//! database. Never writes, and never repairs.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::domain::audit::{hex, sha256_hex};
use crate::domain::proof::{Cells, FileFault, FilesProof, Finding};
use crate::domain::report::CsvFormat;
use crate::ingest::IngestError;

const MANIFEST: &str = "manifest.json";
const SUMS: &str = "SHA256SUMS";

/// As much of `manifest.json` as proves the other files.
#[derive(Deserialize)]
struct Manifest {
    files: Vec<Listed>,
    /// Empty in sets of earlier versions.
    #[serde(default)]
    totals: Vec<Total>,
    #[serde(default)]
    csv: CsvFormat,
}

#[derive(Deserialize)]
struct Total {
    currency: String,
    base_amount_minor: String,
    usage_amount_minor: String,
    late_amount_minor: String,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    rows: u64,
    bytes: u64,
    sha256: String,
}

/// Manifest, sums and every file. `manifest_sha256` is what the audit log says of the manifest.
pub fn files(folder: &Path, manifest_sha256: Option<&str>) -> Result<Finding, IngestError> {
    if !folder.is_dir() {
        return Ok(Finding::Fails(format!(
            "the folder {} is not there: it was moved or removed, or the run had another --reports",
            folder.display()
        )));
    }
    let Some(text) = read(&folder.join(MANIFEST))? else { return Ok(missing(MANIFEST)) };
    if let Some(expected) = manifest_sha256.filter(|expected| sha256_hex(&text) != **expected) {
        let found = sha256_hex(&text);
        return Ok(Finding::Fails(format!(
            "{MANIFEST} is not what the run wrote: its SHA-256 is {found}, the audit log says {expected}"
        )));
    }
    let manifest: Manifest = match serde_json::from_slice(&text) {
        Ok(manifest) => manifest,
        Err(error) => return Ok(Finding::Fails(format!("{MANIFEST}: {error}"))),
    };
    let Some(sums) = read(&folder.join(SUMS))? else { return Ok(missing(SUMS)) };
    if let Some(fault) = sums_fault(&String::from_utf8_lossy(&sums), &manifest) {
        return Ok(Finding::Fails(fault));
    }
    for listed in &manifest.files {
        if let Some(fault) = file_fault(folder, listed)? {
            return Ok(Finding::Fails(fault));
        }
    }
    let proved = if manifest_sha256.is_some() { ", which the audit log proves" } else { "" };
    let mut words = format!("{} data files are those of {MANIFEST}{proved}", manifest.files.len());
    let strange = strange(folder, &manifest)?;
    if !strange.is_empty() {
        words = format!("{words}; not of the set, and proved by nothing: {}", strange.join(", "));
    }
    Ok(Finding::Holds(words))
}

/// What somebody put beside the files of the run, sorted.
fn strange(folder: &Path, manifest: &Manifest) -> Result<Vec<String>, IngestError> {
    let mut strange = Vec::new();
    for entry in fs::read_dir(folder).map_err(|cause| failed(folder, cause))? {
        let name = entry.map_err(|cause| failed(folder, cause))?.file_name().to_string_lossy().into_owned();
        if name != MANIFEST && name != SUMS && !manifest.files.iter().any(|file| file.name == name) {
            strange.push(name);
        }
    }
    strange.sort();
    Ok(strange)
}

/// Sums and products of the figures, and what one file says of another.
pub fn figures(folder: &Path) -> Result<Finding, IngestError> {
    let mut proof = FilesProof::default();
    let format = manifest(folder).map(|manifest| manifest.csv).unwrap_or_default();
    let read: Result<Result<(), FileFault>, IngestError> = (|| {
        let steps: [(&'static str, Step); 7] = [
            ("lines.csv", FilesProof::line),
            ("summary.csv", FilesProof::summary),
            ("control_totals.csv", FilesProof::control),
            ("exceptions.csv", FilesProof::exception),
            ("adjustments.csv", FilesProof::adjustment),
            ("reconciliation.csv", FilesProof::reconciled),
            ("accruals.csv", FilesProof::accrual),
        ];
        for (name, step) in steps {
            let Some(file) = open(&folder.join(name))? else {
                // Sets of earlier versions have none.
                if name == "adjustments.csv" || name == "accruals.csv" {
                    continue;
                }
                let problem = "is not there".to_owned();
                return Ok(Err(FileFault { file: name, line: 0, column: String::new(), problem }));
            };
            if name == "adjustments.csv" {
                proof.has_adjustments();
            }
            if let Err(fault) = rows(name, file, format, |row| step(&mut proof, row)) {
                return Ok(Err(fault));
            }
        }
        Ok(proof.finish().and_then(|()| manifest_totals(folder, &proof)))
    })();
    Ok(match read? {
        Ok(()) => {
            let words = "lines, sums, control totals, exceptions and comparison follow from each other";
            Finding::Holds(words.to_owned())
        }
        Err(fault) => Finding::Fails(fault.to_string()),
    })
}

/// One that cannot be read is named with the files.
fn manifest(folder: &Path) -> Option<Manifest> {
    serde_json::from_slice(&fs::read(folder.join(MANIFEST)).ok()?).ok()
}

fn manifest_totals(folder: &Path, proof: &FilesProof) -> Result<(), FileFault> {
    let totals = manifest(folder).map(|manifest| manifest.totals).unwrap_or_default();
    let by_currency = totals
        .into_iter()
        .map(|one| (one.currency, [one.base_amount_minor, one.usage_amount_minor, one.late_amount_minor]));
    let by_currency: BTreeMap<_, _> = by_currency.collect();
    if by_currency.is_empty() { Ok(()) } else { proof.manifest(&by_currency) }
}

/// What one row of a file adds.
type Step = fn(&mut FilesProof, &Cells<'_>) -> Result<(), FileFault>;

fn rows(
    name: &'static str,
    file: File,
    format: CsvFormat,
    mut visit: impl FnMut(&Cells<'_>) -> Result<(), FileFault>,
) -> Result<(), FileFault> {
    let mut reader = csv::ReaderBuilder::new();
    let mut reader = reader.delimiter(format.delimiter.byte()).from_reader(BufReader::new(file));
    let unreadable = |line: u64, error: &csv::Error| FileFault {
        file: name,
        line,
        column: String::new(),
        problem: format!("cannot be read: {error}"),
    };
    let header = reader.headers().map_err(|error| unreadable(1, &error))?.clone();
    let mut record = csv::StringRecord::new();
    // A cell holds no line end. The reader's own count is one too low after CRLF.
    for line in 2.. {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => return Err(unreadable(line, &error)),
        }
        let by_column: BTreeMap<&str, &str> = header.iter().zip(record.iter()).collect();
        visit(&Cells { file: name, line, by_column })?;
    }
    Ok(())
}

fn sums_fault(sums: &str, manifest: &Manifest) -> Option<String> {
    let expected = manifest.files.iter().map(|file| format!("{}  {}", file.sha256, file.name));
    let mut found = sums.split_terminator('\n');
    for (line, expected) in (1..).zip(expected) {
        match found.next() {
            Some(found) if found == expected => {}
            Some(found) => {
                return Some(format!(
                    "{SUMS}, line {line}: `{found}` is written, {MANIFEST} says `{expected}`"
                ));
            }
            None => return Some(format!("{SUMS}, line {line}: is missing; {MANIFEST} says `{expected}`")),
        }
    }
    let more = found.next().map(|line| format!("{SUMS}: `{line}` is no file of {MANIFEST}"));
    more.or_else(|| (!sums.ends_with('\n')).then(|| format!("{SUMS}: the end of its last line is missing")))
}

fn file_fault(folder: &Path, listed: &Listed) -> Result<Option<String>, IngestError> {
    let Listed { name, rows, bytes, sha256 } = listed;
    // A name that leads elsewhere is no file of the set.
    let is_plain = Path::new(name).file_name().is_some_and(|file| file == name.as_str());
    let Some(mut file) = (if is_plain { open(&folder.join(name))? } else { None }) else {
        return Ok(Some(format!("{name} is not there")));
    };
    let (mut hash, mut length, mut lines) = (Sha256::new(), 0u64, 0u64);
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = file.read(&mut buffer).map_err(|cause| failed(&folder.join(name), cause))?;
        if read == 0 {
            break;
        }
        let part = &buffer[..read];
        hash.update(part);
        length += read as u64;
        lines += memchr::memchr_iter(b'\n', part).count() as u64;
    }
    let found = hex(&hash.finalize());
    if found != *sha256 {
        return Ok(Some(format!(
            "{name} is not what the run wrote: its SHA-256 is {found}, {MANIFEST} says {sha256}"
        )));
    }
    if length != *bytes {
        return Ok(Some(format!("{name}: {length} bytes, {MANIFEST} says {bytes}")));
    }
    // A cell may hold no line end, so a line is a row; a CSV has a header besides.
    let found = match Path::new(name).extension().and_then(|extension| extension.to_str()) {
        Some("csv") => lines.saturating_sub(1),
        Some("ndjson") => lines,
        _ => *rows,
    };
    Ok((found != *rows).then(|| format!("{name}: {found} rows, {MANIFEST} says {rows}")))
}

fn missing(name: &str) -> Finding {
    Finding::Fails(format!("{name} is not there"))
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, IngestError> {
    found(fs::read(path), path)
}

fn open(path: &Path) -> Result<Option<File>, IngestError> {
    found(File::open(path), path)
}

fn found<T>(result: io::Result<T>, path: &Path) -> Result<Option<T>, IngestError> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(failed(path, cause)),
    }
}

fn failed(path: &Path, cause: io::Error) -> IngestError {
    IngestError::Io { file: path.display().to_string(), cause }
}
