//! Lines of text in bounded memory.
//!
//! In: a reader. Out: one call per line that is not blank, without the blanks around it and without a byte order mark.
//! Never fails on a line's content, only on reading and on a line without end.

use std::io::{BufRead, BufReader, Read};

use crate::ingest::IngestError;
use crate::ingest::bounded::Bounded;

/// `line` gets the line's number, its bytes, and whether more was read already; it answers whether to go on.
pub fn read<R: Read>(
    input: R,
    file: &str,
    mut line: impl FnMut(u64, &[u8], bool) -> bool,
) -> Result<(), IngestError> {
    let (bounded, counts) = Bounded::new(input);
    let mut reader = BufReader::new(bounded);
    let mut bytes = Vec::new();
    for number in 1.. {
        counts.next_record();
        bytes.clear();
        let problem = |error: std::io::Error| IngestError::Line {
            file: file.to_owned(),
            line: number,
            problem: error.to_string(),
        };
        if reader.read_until(b'\n', &mut bytes).map_err(problem)? == 0 {
            break;
        }
        let text = bytes.strip_prefix("\u{feff}".as_bytes()).filter(|_| number == 1).unwrap_or(&bytes);
        let text = text.trim_ascii();
        if !text.is_empty() && !line(number, text, !reader.buffer().is_empty()) {
            break;
        }
    }
    Ok(())
}
