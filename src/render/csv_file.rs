//! One data file: CSV (RFC 4180, UTF-8 without BOM, a header row, CRLF), or lines of JSON.
//!
//! In: a table, or lines. Out: the file with its row count and SHA-256. Text that a spreadsheet would take for a formula gets an
//! apostrophe in front (OWASP "CSV injection"); numbers come from our own formatter and stay numbers.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::domain::audit::hex;
use crate::domain::report::{Cell, Table};

/// A data file as the manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WrittenFile {
    pub name: String,
    /// Without the header.
    pub rows: u64,
    pub bytes: u64,
    pub sha256: String,
}

pub fn write(file: File, table: Table<'_>) -> io::Result<WrittenFile> {
    let name = format!("{}.csv", table.name);
    let mut hashing = Hashing::new(BufWriter::new(file));
    let rows = write_rows(&mut hashing, table)?;
    hashing.out.flush()?;
    hashing.out.get_ref().sync_all()?;
    Ok(WrittenFile { name, rows, bytes: hashing.bytes, sha256: hex(&hashing.hash.finalize()) })
}

/// The SHA-256 of the file that a table makes, and its length, without writing it.
pub fn hash(table: Table<'_>) -> io::Result<(String, u64)> {
    let mut hashing = Hashing::new(io::sink());
    write_rows(&mut hashing, table)?;
    Ok((hex(&hashing.hash.finalize()), hashing.bytes))
}

/// The same of a file that is there.
pub fn hash_of(mut file: File) -> io::Result<(String, u64)> {
    let mut hashing = Hashing::new(io::sink());
    io::copy(&mut file, &mut hashing)?;
    Ok((hex(&hashing.hash.finalize()), hashing.bytes))
}

/// A table as text, for a terminal or a pipe.
pub fn text(table: Table<'_>) -> io::Result<String> {
    let mut bytes = Vec::new();
    write_rows(&mut bytes, table)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

/// The number of rows.
fn write_rows(out: &mut impl Write, table: Table<'_>) -> io::Result<u64> {
    let mut rows = 0;
    let mut csv = csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(out);
    csv.write_record(table.columns)?;
    for row in table.rows {
        csv.write_record(row.iter().map(|cell| cell_text(cell).into_owned()))?;
        rows += 1;
    }
    csv.flush()?;
    Ok(rows)
}

/// A file of lines that are ready, one JSON object each.
pub fn write_lines(file: File, name: &str, lines: &[String]) -> io::Result<WrittenFile> {
    let mut hashing = Hashing::new(BufWriter::new(file));
    for line in lines {
        hashing.write_all(line.as_bytes())?;
        hashing.write_all(b"\n")?;
    }
    hashing.out.flush()?;
    hashing.out.get_ref().sync_all()?;
    Ok(WrittenFile {
        name: name.to_owned(),
        rows: lines.len() as u64,
        bytes: hashing.bytes,
        sha256: hex(&hashing.hash.finalize()),
    })
}

/// A cell as it stands in the file.
pub fn cell_text<'a>(cell: &'a Cell<'_>) -> Cow<'a, str> {
    match cell {
        Cell::Text(text) => harmless(text),
        Cell::Number(text) | Cell::Instant(text) => Cow::Borrowed(text),
    }
}

/// What begins a formula in one spreadsheet or another: `= + - @`, control characters, and the wide forms of the signs,
/// which East Asian versions of Excel take for the signs themselves.
const FORMULA_STARTS: [char; 12] = ['=', '+', '-', '@', '\t', '\r', '\n', '\0', '＝', '＋', '－', '＠'];

fn harmless(text: &str) -> Cow<'_, str> {
    if text.starts_with(FORMULA_STARTS) { Cow::Owned(format!("'{text}")) } else { Cow::Borrowed(text) }
}

struct Hashing<W> {
    out: W,
    hash: Sha256,
    bytes: u64,
}

impl<W> Hashing<W> {
    fn new(out: W) -> Self {
        Self { out, hash: Sha256::new(), bytes: 0 }
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_would_be_a_formula_gets_an_apostrophe() {
        for text in ["=HYPERLINK(\"http://x\")", "+1", "-1", "@SUM(A1)", "\tx", "\rx", "\nx", "＝1"] {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        assert_eq!(harmless("acme = good"), "acme = good");
        assert_eq!(cell_text(&Cell::Number("-5".to_owned())), "-5");
    }
}
