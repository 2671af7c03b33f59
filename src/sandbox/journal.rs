//! The journal: an append-only file, one JSON object per line, from which the whole state is read back.
//!
//! In: a path, entries. Out: the entries of a file, and a file that holds every entry before it is answered. One process
//! at a time: the file is locked while it is open. A last line that a killed process left half written is cut off;
//! any other damage is an error with file and line. Handing a line to the operating system is enough to survive the
//! process, so nothing is synced to the disk.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Seek, SeekFrom, Write};
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
    /// Opens or makes the file, for this process alone, and hands over what it holds, entry by entry.
    pub fn open(path: &Path, take: impl FnMut(Entry)) -> Result<Self, SandboxError> {
        let failed = |cause| SandboxError::Journal { path: path.to_owned(), cause };
        let mut options = OpenOptions::new();
        options.read(true).append(true).create(true).mode(0o600);
        let mut file = options.open(path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SandboxError::InUse(path.to_owned())),
            Err(TryLockError::Error(cause)) => return Err(failed(cause)),
        }
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let whole = replay(path, BufReader::new(&file), take)?;
        file.set_len(whole).map_err(failed)?;
        let mut journal = Self { path: path.to_owned(), file };
        if whole == 0 {
            journal.write(format!("{HEADER}\n").as_bytes()).map_err(failed)?;
        }
        Ok(journal)
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

impl Drop for Journal {
    /// Closing the file is not enough: a child that is just being started still has it open.
    fn drop(&mut self) {
        if let Err(error) = self.file.unlock() {
            tracing::debug!("the sandbox's journal could not be unlocked: {error}");
        }
    }
}

/// Reads a journal without touching it; a file that is not there is empty.
pub fn read(path: &Path, take: impl FnMut(Entry)) -> Result<(), SandboxError> {
    match File::open(path) {
        Ok(file) => replay(path, BufReader::new(file), take).map(|_| ()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(SandboxError::Journal { path: path.to_owned(), cause }),
    }
}

/// Hands over the entries, and returns how many bytes of whole lines there are. Never holds more than a line.
fn replay(path: &Path, mut lines: impl BufRead, mut take: impl FnMut(Entry)) -> Result<u64, SandboxError> {
    let damaged =
        |line: usize, problem: String| SandboxError::Damaged { path: path.to_owned(), line, problem };
    let foreign = || damaged(1, "it is no journal of a sandbox".to_owned());
    let mut whole = 0;
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        let read = lines.read_until(b'\n', &mut bytes);
        let read = read.map_err(|cause| SandboxError::Journal { path: path.to_owned(), cause })?;
        let Some(line) = bytes.strip_suffix(b"\n") else {
            // A header that was never finished is cut off like any torn line.
            let is_torn = number > 1 || HEADER.as_bytes().starts_with(&bytes);
            return if is_torn { Ok(whole) } else { Err(foreign()) };
        };
        if number > 1 {
            take(serde_json::from_slice(line).map_err(|error| damaged(number, error.to_string()))?);
        } else if line != HEADER.as_bytes() {
            return Err(foreign());
        }
        whole += read as u64;
    }
    Ok(whole)
}
