//! The journal: an append-only file, one JSON object per line, from which the whole state is read back.
//!
//! In: a path, entries. Out: the entries of a file, and a file that holds every entry before it is answered. One process
//! at a time: the file is locked while it is open. A last line that a killed process left half written is cut off;
//! any other damage is an error with file and line. Handing a line to the operating system is enough to survive the
//! process, so nothing is synced to the disk.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::error::SandboxError;
use super::records::Entry;

/// The first line, so that no other file is mistaken for a journal.
const HEADER: &str = r#"{"journal":"billrecon sandbox","version":1}"#;

pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Journal {
    /// Opens or makes the file, for this process alone, and reads what it holds.
    pub fn open(path: &Path) -> Result<(Self, Vec<Entry>), SandboxError> {
        let failed = |cause| SandboxError::Journal { path: path.to_owned(), cause };
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let mut file = options.open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SandboxError::InUse(path.to_owned())),
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).and_then(|_| file.read_to_end(&mut bytes)).map_err(failed)?;
        let (entries, whole) = parse(path, &bytes)?;
        file.set_len(whole as u64).map_err(failed)?;
        let mut journal = Self { path: path.to_owned(), file };
        if whole == 0 {
            journal.write(format!("{HEADER}\n").as_bytes()).map_err(failed)?;
        }
        Ok((journal, entries))
    }

    /// Writes entries in one go.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), SandboxError> {
        let mut bytes = Vec::new();
        for entry in entries {
            serde_json::to_writer(&mut bytes, entry).map_err(|error| self.failed(error.into()))?;
            bytes.push(b'\n');
        }
        self.write(&bytes).map_err(|cause| self.failed(cause))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.file.flush()
    }

    fn failed(&self, cause: io::Error) -> SandboxError {
        SandboxError::Journal { path: self.path.clone(), cause }
    }
}

/// Reads a journal without touching it; a file that is not there is empty.
pub fn read(path: &Path) -> Result<Vec<Entry>, SandboxError> {
    match fs::read(path) {
        Ok(bytes) => Ok(parse(path, &bytes)?.0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(cause) => Err(SandboxError::Journal { path: path.to_owned(), cause }),
    }
}

/// The entries, and how many bytes of whole lines there are.
fn parse(path: &Path, bytes: &[u8]) -> Result<(Vec<Entry>, usize), SandboxError> {
    let whole = memchr::memrchr(b'\n', bytes).map_or(0, |last| last + 1);
    let damaged =
        |line, problem: String| SandboxError::Damaged { path: path.to_owned(), line: line + 1, problem };
    // A header that was never finished is cut off like any torn line.
    if whole == 0 && HEADER.as_bytes().starts_with(bytes) {
        return Ok((Vec::new(), 0));
    }
    let mut entries = Vec::new();
    for (index, line) in bytes[..whole.saturating_sub(1)].split(|byte| *byte == b'\n').enumerate() {
        if index > 0 {
            entries.push(serde_json::from_slice(line).map_err(|error| damaged(index, error.to_string()))?);
        } else if line != HEADER.as_bytes() {
            return Err(damaged(index, "it is no journal of a sandbox".to_owned()));
        }
    }
    Ok((entries, whole))
}
