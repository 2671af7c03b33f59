//! A reader that refuses records without end.
//!
//! In: any reader. Out: the same bytes, or an error when more than a record may have was read since the last one; and a
//! count of quotes. An unclosed quote makes the rest of a CSV one record: without the bound that record would fill the
//! memory, and without the count a short one would swallow the last records of a file unseen.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// No usage record is this long; with the read-ahead of the buffers a record may reach about a quarter more.
pub const RECORD_BYTES: u64 = 1024 * 1024;

/// What was read so far; shared with the loop that reads records.
#[derive(Clone, Default)]
pub struct Counts {
    since_record: Rc<Cell<u64>>,
    quotes: Rc<Cell<u64>>,
}

impl Counts {
    /// A record is complete.
    pub fn next_record(&self) {
        self.since_record.set(0);
    }

    /// Whether a quote is open at the end of a well-formed CSV: each one that opens has one that closes.
    pub fn quote_is_open(&self) -> bool {
        self.quotes.get() % 2 == 1
    }
}

pub struct Bounded<R> {
    inner: R,
    counts: Counts,
}

impl<R: Read> Bounded<R> {
    pub fn new(inner: R) -> (Self, Counts) {
        let counts = Counts::default();
        (Self { inner, counts: counts.clone() }, counts)
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let quotes = memchr::memchr_iter(b'"', &buffer[..read]).count() as u64;
        self.counts.quotes.set(self.counts.quotes.get() + quotes);
        let total = self.counts.since_record.get() + read as u64;
        self.counts.since_record.set(total);
        if total > RECORD_BYTES + buffer.len() as u64 {
            let problem = "record is longer than 1 MiB (in a CSV, a quote may be left open)";
            return Err(io::Error::new(io::ErrorKind::InvalidData, problem));
        }
        Ok(read)
    }
}
