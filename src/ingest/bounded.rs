//! A reader that refuses records without end.
//!
//! In: any reader. Out: the same bytes, or an error when more than a record may have was read since the last one. An
//! unclosed quote makes the rest of a CSV one record; without this bound that record would fill the memory.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// No usage record is this long; with the read-ahead of the buffers a record may reach about a quarter more.
pub const RECORD_BYTES: u64 = 1024 * 1024;

/// Counts the bytes read since the last record; shared with the loop that reads records.
#[derive(Clone, Default)]
pub struct SinceRecord(Rc<Cell<u64>>);

impl SinceRecord {
    pub fn reset(&self) {
        self.0.set(0);
    }
}

pub struct Bounded<R> {
    inner: R,
    since_record: SinceRecord,
}

impl<R: Read> Bounded<R> {
    pub fn new(inner: R) -> (Self, SinceRecord) {
        let since_record = SinceRecord::default();
        (Self { inner, since_record: since_record.clone() }, since_record)
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let total = self.since_record.0.get() + read as u64;
        self.since_record.0.set(total);
        if total > RECORD_BYTES + buffer.len() as u64 {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "record is longer than 1 MiB; is a quote left open?",
            ));
        }
        Ok(read)
    }
}
