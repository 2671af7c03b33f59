//! Whether `points.c` sees every call: strace counts the same run from outside of the process.
//!
//! In: strace, which `scripts/test --judges` installs, and the right to trace an own process. Out: the same numbers, for all
//! threads together. Where tracing is forbidden the test fails and says what to allow; the kills themselves need none of it.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use super::month::{Month, Stage};
use super::points::{self, Kind};
use crate::support::{ENGINES, Ended, Engine};

const CALLS: &str = "trace=?fsync,?fdatasync,?rename,?renameat,?renameat2,?write,?writev,?pwrite64,?pwritev,?pwritev2,\
    ?sendto,?sendmsg,?sendmmsg,?connect,?sendfile,?copy_file_range,?splice,?fallocate,?mkdir,?mkdirat,?rmdir,?unlink,\
    ?unlinkat,?truncate,?ftruncate,?link,?linkat,?symlink,?symlinkat,?sync_file_range,?io_uring_enter";

#[test]
fn strace_sees_as_many_points_as_are_counted() {
    if std::env::var_os("BILLRECON_TEST_JUDGES").is_none() {
        // The judges' way of asking; the daily loop needs no right to trace.
        return;
    }
    for engine in ENGINES {
        let (counted, seen) = counted_and_seen(engine);
        assert_eq!(counted, seen, "{engine:?}");
    }
}

fn counted_and_seen(engine: Engine) -> (BTreeMap<Kind, usize>, BTreeMap<Kind, usize>) {
    let month = Month::new(engine);
    let workspace = month.copy();
    let stage = Stage::new(&workspace);
    let (log, trace) = (workspace.path("points.log"), workspace.path("trace"));
    let mut watched = stage.command(&[]);
    points::watch(&mut watched, &log);
    // strace itself must not be counted, so its child gets the variables.
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-y", "-e", "signal=none", "-e", CALLS, "-o"]).arg(&trace);
    for (name, value) in watched.get_envs() {
        match value {
            Some(value) if matches!(name.to_str(), Some("LD_PRELOAD" | "POINTS_LOG")) => {
                command.arg("-E").arg(format!("{}={}", name.display(), value.display()));
            }
            Some(value) => drop(command.env(name, value)),
            None => drop(command.env_remove(name)),
        }
    }
    command.arg(watched.get_program()).args(watched.get_args()).current_dir(workspace.folder.path());
    let output = command.output().unwrap_or_else(|error| panic!("no strace ({error}): install the package"));
    let ended = Ended::of(output);
    assert_eq!(ended.code, Some(3), "strace must be allowed to trace (SYS_PTRACE in a container): {ended:?}");
    let mut counted = BTreeMap::new();
    for point in points::read(&log) {
        *counted.entry(point.kind).or_default() += 1;
    }
    let mut seen = BTreeMap::new();
    for kind in fs::read_to_string(&trace).unwrap().lines().filter_map(kind_of) {
        *seen.entry(kind).or_default() += 1;
    }
    (counted, seen)
}

/// `PID call(FD<target>, …`, begun here; how it went on is no call.
fn kind_of(line: &str) -> Option<Kind> {
    let (_, call) = line.split_once(' ')?;
    let (name, rest) = call.trim_start().split_once('(')?;
    let target = rest.split_once('<').map_or("", |(_, target)| target);
    let is_ours = target.starts_with("anon_inode:[eventfd]") || rest.contains("points.log>");
    let on_file = match name {
        _ if is_ours || name.contains(' ') => return None,
        "fsync" | "fdatasync" => Kind::Fsync,
        "connect" | "sendto" | "sendmsg" => Kind::Send,
        "write" | "writev" | "pwrite64" => Kind::Write,
        _ if name.starts_with("rename") => Kind::Rename,
        "mkdir" | "rmdir" | "unlink" | "unlinkat" | "ftruncate" => Kind::Change,
        other => panic!("the binary calls {other}, which points.c does not count"),
    };
    let is_socket = ["socket:", "TCP", "UNIX"].iter().any(|kind| target.starts_with(kind));
    Some(if is_socket && matches!(on_file, Kind::Write) { Kind::Send } else { on_file })
}
