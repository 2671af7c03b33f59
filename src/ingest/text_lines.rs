//! Lines of text in bounded memory.
//!
//! In: a reader. Out: one call per line that is not blank, without the blanks around it and without a byte order mark; of
//! a line that is too long only that it is. Never fails on a line's content, only on reading.

use std::io::{BufRead, BufReader, Read};

use crate::ingest::IngestError;
use crate::ingest::bounded::RECORD_BYTES;

pub enum Line<'a> {
    Text(&'a [u8]),
    /// More than 1 MiB.
    TooLong,
}

/// `line` gets the line's number, the line, and whether more was read already; it answers whether to go on.
pub fn read<R: Read>(
    input: R,
    file: &str,
    mut line: impl FnMut(u64, Line<'_>, bool) -> bool,
) -> Result<(), IngestError> {
    let failed = |cause| IngestError::Io { file: file.to_owned(), cause };
    let mut reader = BufReader::new(input);
    let mut bytes = Vec::new();
    for number in 1.. {
        bytes.clear();
        // One byte more, for the end of the line.
        let bounded = reader.by_ref().take(RECORD_BYTES + 1).read_until(b'\n', &mut bytes);
        if bounded.map_err(failed)? == 0 {
            break;
        }
        if bytes.len() as u64 > RECORD_BYTES && !bytes.ends_with(b"\n") {
            reader.skip_until(b'\n').map_err(failed)?;
            if !line(number, Line::TooLong, !reader.buffer().is_empty()) {
                break;
            }
            continue;
        }
        let text = bytes.strip_prefix("\u{feff}".as_bytes()).filter(|_| number == 1).unwrap_or(&bytes);
        let text = text.trim_ascii();
        if !text.is_empty() && !line(number, Line::Text(text), !reader.buffer().is_empty()) {
            break;
        }
    }
    Ok(())
}
