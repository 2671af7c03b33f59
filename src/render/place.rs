//! Place: where a set of files goes, so that it appears whole, once, and nowhere else.
//!
//! In: the folder of reports, a period, the name of a run. Out: a folder to write to, and its move to its name. Folders and files
//! are their owner's alone. Never follows a symlink below the folder of reports, and never replaces a set that is there.

use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::domain::period::Period;
use crate::render::RenderError;

/// What became of a set that was to take its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is there now, or was there with the same bytes.
    There,
    /// Something else has its name.
    Taken,
}

/// The folder of a period.
pub struct Place {
    folder: PathBuf,
}

impl Place {
    /// Makes the folder where it is not there. The folder of reports itself may be a symlink: somebody chose it.
    pub fn make(reports: &Path, period: Period) -> Result<Self, RenderError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            |cause| RenderError::CannotCreate { path, cause }
        };
        private_folders(true).create(reports).map_err(failed(reports))?;
        let above = fs::metadata(reports).map_err(failed(reports))?;
        let is_shared = check_who_may_write(reports, &above)?;
        let folder = reports.join(period.to_string());
        match private_folders(false).create(&folder) {
            Err(cause) if cause.kind() != io::ErrorKind::AlreadyExists => return Err(failed(&folder)(cause)),
            _ => {}
        }
        let found = fs::symlink_metadata(&folder).map_err(failed(&folder))?;
        if found.is_symlink() {
            return Err(RenderError::Unsafe { path: folder, problem: "it is a symlink" });
        }
        if !found.is_dir() {
            return Err(failed(&folder)(io::ErrorKind::NotADirectory.into()));
        }
        // Whoever owns the folder can put anything in the place of a set.
        if is_shared && found.uid() != rustix::process::geteuid().as_raw() {
            return Err(RenderError::Unsafe { path: folder, problem: "it belongs to another user" });
        }
        check_who_may_write(&folder, &found)?;
        Ok(Self { folder })
    }

    pub fn of(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A new folder to write to. `fence` is the writer's: a run that lost its lease in the middle must not meet its successor
    /// in one folder. Whoever has no term, and only reads the database, takes 0.
    pub fn partial(&self, name: &str, fence: i64) -> Result<PathBuf, RenderError> {
        let path = self.folder.join(format!("{name}.{fence}.partial"));
        let made = private_folders(false).create(&path);
        made.map_err(|cause| RenderError::CannotCreate { path: path.clone(), cause })?;
        Ok(path)
    }

    /// Removes what earlier terms began. Their writers have lost the lease, but may not know it yet: so each folder is
    /// renamed first, and what its writer adds or renames from now on has no place to be. A later term's stays.
    pub fn remove_partial(&self, fence: i64) -> Result<(), RenderError> {
        let remove = || {
            let paths: Vec<PathBuf> =
                fs::read_dir(&self.folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
            for path in paths.into_iter().filter(|path| term_of(path).is_some_and(|term| term <= fence)) {
                let aside = path.with_extension(format!("{fence}.partial"));
                fs::rename(&path, &aside)?;
                fs::remove_dir_all(aside)?;
            }
            Ok(())
        };
        remove().map_err(|cause| RenderError::CannotCreate { path: self.folder.clone(), cause })
    }

    /// Gives a folder that is written its name, unless something has it.
    pub fn put(&self, partial: &Path, folder: &Path) -> Result<Put, RenderError> {
        // A folder that is there and not empty makes the rename fail, and so does anything that is no folder.
        let cause = match fs::rename(partial, folder).and_then(|()| File::open(&self.folder)?.sync_all()) {
            Ok(()) => return Ok(Put::There),
            Err(cause) => cause,
        };
        if !partial.exists() || fs::symlink_metadata(folder).is_err() {
            return Err(RenderError::Io { path: folder.to_owned(), cause });
        }
        Ok(if same_files(partial, folder).unwrap_or(false) { Put::There } else { Put::Taken })
    }
}

/// A new file of our own; what has its name is never opened.
pub fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Reports show what customers owe: only their owner may read them.
fn private_folders(recursive: bool) -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.recursive(recursive).mode(0o700);
    builder
}

/// `RUN.FENCE.partial`
fn term_of(path: &Path) -> Option<i64> {
    let name = path.file_name()?.to_str()?.strip_suffix(".partial")?;
    name.rsplit_once('.')?.1.parse().ok()
}

/// Where anyone may write, anyone may rename what others have written, unless the sticky bit is set. Says whether anyone may.
fn check_who_may_write(path: &Path, found: &Metadata) -> Result<bool, RenderError> {
    let anyone = found.mode() & 0o002 != 0;
    if anyone && found.mode() & 0o1000 == 0 {
        let problem = "anyone may write there; take that away: chmod o-w";
        return Err(RenderError::Unsafe { path: path.to_owned(), problem });
    }
    Ok(anyone)
}

/// Whether every file of the set is there with the same bytes, in a folder and in files that are no symlinks.
fn same_files(partial: &Path, folder: &Path) -> io::Result<bool> {
    if !fs::symlink_metadata(folder)?.is_dir() {
        return Ok(false);
    }
    for entry in fs::read_dir(partial)? {
        let entry = entry?;
        if read(&entry.path())? != read(&folder.join(entry.file_name()))? {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // Without NONBLOCK a pipe of somebody's would keep us waiting.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut file = OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(path)?;
    file.read_to_end(&mut bytes)?;
    Ok(bytes)
}
