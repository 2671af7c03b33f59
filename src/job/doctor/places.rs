//! Files and folders: who may read and change them, what they lie on, how much room there is.
//!
//! In: settings. Out: findings. What is not there yet is judged by the folder that would take it; nothing is made.

use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{Access as Asked, access, statfs, statvfs};

use crate::domain::text::shell_word;
use crate::job::Settings;
use crate::job::doctor::{Check, Finding, Surroundings};
use crate::store::Database;

/// A close writes its figures, its files and SQLite's log; below this it may stop in the middle, and go on when there is room.
const ROOM_NEEDED: u64 = 32 * 1024 * 1024;
/// A year of a mid-sized company's reports.
const ROOM_WANTED: u64 = 256 * 1024 * 1024;

const READABLE_BY_OTHERS: u32 = 0o004;
const WRITABLE_BY_OTHERS: u32 = 0o002;

pub fn look(settings: &Settings, around: &Surroundings) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Some(file) = &around.file {
        findings.extend(loose(
            file,
            WRITABLE_BY_OTHERS,
            "whoever can write to it decides where figures and keys go",
        ));
    }
    let mut places = vec![&settings.reports];
    if let Database::Sqlite(file) = &settings.database {
        findings.extend(loose(file, READABLE_BY_OTHERS | WRITABLE_BY_OTHERS, "it says what customers owe"));
        findings.extend(network(file));
        findings.extend(unwritable(file, Check::DatabaseReach));
        places.push(file);
    }
    findings.extend(reports(&settings.reports));
    findings.extend(room(&places));
    findings
}

/// Modes beyond those that are safe.
fn loose(file: &Path, refused: u32, why: &str) -> Option<Finding> {
    let mode = std::fs::metadata(file).ok()?.permissions().mode() & 0o777;
    (mode & refused != 0).then(|| {
        let cause = format!("{} has mode {mode:o}: {why}", file.display());
        Finding::warning(
            Check::FileMode,
            cause,
            format!("chmod {:o} {}", mode & !0o007, shell_word(&file.to_string_lossy())),
        )
    })
}

/// SQLite's locks are not to be relied on there, and its shared memory does not work between machines.
fn network(file: &Path) -> Option<Finding> {
    let kind = statfs(nearest(file)).ok()?.f_type;
    let name = network_file_system(kind)?;
    Some(Finding::error(
        Check::NetworkFileSystem,
        format!(
            "{} lies on {name}, where SQLite's locks do not hold: two runs could write at once",
            file.display()
        ),
        "move it to a local disk, or use PostgreSQL",
    ))
}

/// Magic numbers of statfs(2); their type differs from system to system.
fn network_file_system(kind: impl TryInto<i64>) -> Option<&'static str> {
    Some(match kind.try_into().ok()? & 0xffff_ffff {
        0x6969 => "NFS",
        0x517b => "SMB",
        0xff53_4d42 => "CIFS",
        0xfe53_4d42 => "SMB2",
        0x0102_1997 => "a 9p file system",
        0x0bd0_0bd0 => "Lustre",
        0x00c3_6400 => "Ceph",
        0x5346_414f => "AFS",
        0x7461_636f => "OCFS2",
        0x0116_1970 => "GFS2",
        _ => return None,
    })
}

fn unwritable(file: &Path, check: Check) -> Option<Finding> {
    let place = nearest(file);
    let asked = if place.is_dir() { Asked::WRITE_OK | Asked::EXEC_OK } else { Asked::WRITE_OK };
    access(&place, asked).err().map(|error| {
        let cause = format!("{} cannot be written: {error}", place.display());
        Finding::error(check, cause, "give it to the user that runs billrecon, or name another place")
    })
}

fn reports(folder: &Path) -> Option<Finding> {
    let place = nearest(folder);
    if !place.is_dir() {
        let cause = format!("{} is no folder", place.display());
        return Some(Finding::error(Check::ReportsFolder, cause, "name another place in `reports`"));
    }
    let mode = std::fs::metadata(&place).map(|data| data.mode() & 0o7777).unwrap_or_default();
    if folder.is_dir() && mode & WRITABLE_BY_OTHERS != 0 {
        let cause =
            format!("{} has mode {mode:o}: anybody could put other figures into it", folder.display());
        return Some(Finding::warning(
            Check::ReportsFolder,
            cause,
            format!("chmod 750 {}", shell_word(&folder.to_string_lossy())),
        ));
    }
    unwritable(folder, Check::ReportsFolder)
}

fn room(places: &[&PathBuf]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut seen = Vec::new();
    for place in places {
        let there = nearest(place);
        let Ok(stat) = statvfs(&there) else { continue };
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if seen.contains(&stat.f_fsid) || free >= ROOM_WANTED {
            continue;
        }
        seen.push(stat.f_fsid);
        let cause = format!("only {} MiB are left where {} lies", free / 1024 / 1024, place.display());
        let remedy = "make room; what was half done goes on when there is some";
        findings.push(if free < ROOM_NEEDED {
            Finding::error(Check::Disk, cause, remedy)
        } else {
            Finding::warning(Check::Disk, cause, remedy)
        });
    }
    findings
}

/// The path itself, or the nearest folder above it that is there.
fn nearest(path: &Path) -> PathBuf {
    let here = if path.is_absolute() { path.to_owned() } else { Path::new(".").join(path) };
    here.ancestors().find(|one| one.exists()).map_or_else(|| PathBuf::from("."), Path::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_of_other_machines_are_known_and_local_ones_are_not_among_them() {
        for (kind, name) in [(0x6969_i64, "NFS"), (0xff53_4d42, "CIFS"), (-11_317_950, "CIFS")] {
            assert_eq!(network_file_system(kind), Some(name), "{kind:x}");
        }
        // ext4, xfs, btrfs, tmpfs, overlayfs, zfs
        for kind in [0xef53_i64, 0x5846_5342, 0x9123_683e, 0x0102_1994, 0x794c_7630, 0x2fc1_2fc1] {
            assert_eq!(network_file_system(kind), None, "{kind:x}");
        }
    }
}
