//! A gate in front of a process: its stderr is a full socket, so its first word there holds it until somebody reads.
//!
//! In: a command. Out: a child that stops at its first log line, which `run` writes when it has won the lease and has
//! not yet read anything. No hook in the binary is needed, and no clock.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::{Child, Command, Stdio};
use std::thread::{self, JoinHandle};

use crate::support::Ended;

pub struct Gated {
    pub child: Child,
    reading_end: UnixStream,
    filler: usize,
}

impl Gated {
    pub fn spawn(mut command: Command) -> Self {
        let (mut writing_end, reading_end) = UnixStream::pair().unwrap();
        let filler = fill(&mut writing_end);
        let stderr = Stdio::from(OwnedFd::from(writing_end));
        let child = command.stdout(Stdio::piped()).stderr(stderr).spawn().unwrap();
        Self { child, reading_end, filler }
    }

    /// Lets the process go on; its end can be waited for.
    pub fn open(self) -> JoinHandle<Ended> {
        thread::spawn(move || {
            let Self { mut child, mut reading_end, filler } = self;
            let mut stdout = child.stdout.take().unwrap();
            let words = thread::spawn(move || {
                let mut bytes = Vec::new();
                reading_end.read_to_end(&mut bytes).unwrap();
                String::from_utf8(bytes.split_off(filler)).unwrap()
            });
            let mut data = String::new();
            stdout.read_to_string(&mut data).unwrap();
            let status = child.wait().unwrap();
            Ended { code: status.code(), stdout: data, stderr: words.join().unwrap() }
        })
    }
}

/// Writes until nothing more fits; the number of bytes.
fn fill(stream: &mut UnixStream) -> usize {
    stream.set_nonblocking(true).unwrap();
    let mut filled = 0;
    // Down to single bytes, so that not even a short line finds room.
    for size in [65_536, 4_096, 256, 16, 1] {
        loop {
            match stream.write(&vec![b'.'; size]) {
                Ok(written) => filled += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("{error}"),
            }
        }
    }
    stream.set_nonblocking(false).unwrap();
    filled
}
