//! Every point at which a process changes the world: `points.c` counts them in the binary under test and stops it at one.
//!
//! In: a command. Out: the same command, watched or armed; the points that a run came by. The library is compiled once, with
//! the C compiler that SQLite needs anyway. It takes Linux and a dynamic C library; elsewhere the test fails and says so.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use tempfile::TempDir;

pub const KILL: u8 = 9;
pub const STOP: u8 = 19;
pub const TERMINATE: u8 = 15;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// `fsync`, `fdatasync`
    Fsync,
    Rename,
    /// To a file or a pipe.
    Write,
    /// To a socket, `connect` included.
    Send,
    /// Folders made, files removed or cut.
    Change,
}

pub const KINDS: [Kind; 5] = [Kind::Fsync, Kind::Rename, Kind::Write, Kind::Send, Kind::Change];

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Rename => "rename",
            Self::Write => "write",
            Self::Send => "send",
            Self::Change => "change",
        }
    }
}

/// Just before the call of this kind with this number, from 1, over all threads of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    pub kind: Kind,
    pub number: usize,
}

/// Has the process write down its points.
pub fn watch(command: &mut Command, log: &Path) {
    command.env("LD_PRELOAD", library()).env("POINTS_LOG", log);
}

/// Has the process send itself a signal at a point.
pub fn arm(command: &mut Command, point: Point, signal: u8) {
    command.env("LD_PRELOAD", library()).env("POINTS_SIGNAL", signal.to_string());
    command.env("POINTS_AT", format!("{}:{}", point.kind.as_str(), point.number));
}

/// The points in their order.
pub fn read(log: &Path) -> Vec<Point> {
    let text = fs::read_to_string(log).unwrap_or_else(|error| {
        panic!("points.c was not loaded ({error}): this test takes Linux and a dynamic C library")
    });
    let mut numbers = [0; KINDS.len()];
    let mut point = |line: &str| {
        let (name, _) = line.split_once(' ').unwrap();
        let at = KINDS.iter().position(|kind| kind.as_str() == name).unwrap();
        numbers[at] += 1;
        Point { kind: KINDS[at], number: numbers[at] }
    };
    text.lines().map(&mut point).collect()
}

pub fn count(points: &[Point], kind: Kind) -> usize {
    points.iter().filter(|point| point.kind == kind).count()
}

fn library() -> &'static Path {
    static LIBRARY: OnceLock<(TempDir, PathBuf)> = OnceLock::new();
    let (_, library) = LIBRARY.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        let library = folder.path().join("points.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/killed/points.c");
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".to_owned());
        let mut command = Command::new(&compiler);
        command.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&library).arg(source);
        let made = command.arg("-ldl").output();
        let made = made.unwrap_or_else(|error| panic!("no C compiler {compiler} ({error}): set CC"));
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        (folder, library)
    });
    library
}
