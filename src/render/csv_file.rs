//! One data file: CSV (RFC 4180, UTF-8, a header row, CRLF) in the format that was asked for, or lines of JSON.
//!
//! In: a table, or lines. Out: the file with its row count, its sums and its SHA-256. In text of strangers nothing acts: see
//! [`printable`]; and what a spreadsheet would take for a formula gets an apostrophe in front (OWASP "CSV injection").
//! Numbers come from our own formatter and stay numbers.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufWriter, Write};

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::domain::audit::hex;
use crate::domain::report::{Cell, CsvFormat, Table};
use crate::domain::text::printable;
use crate::render::sums::Sums;

/// A file as the manifest lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WrittenFile {
    pub name: String,
    /// What its columns or keys are: a new one with every change of meaning.
    pub schema: String,
    /// Without the header; 0 where a file has no rows.
    pub rows: u64,
    pub bytes: u64,
    pub sha256: String,
    /// Text cells that are not as they were: see the module.
    pub escaped: u64,
    /// Of each column of minor units, by currency.
    #[serde(skip_serializing_if = "Sums::is_empty")]
    pub sums: Sums,
}

impl WrittenFile {
    /// A file of bytes that somebody else has made.
    pub fn of_bytes(name: &str, bytes: &[u8]) -> Self {
        Self {
            name: name.to_owned(),
            schema: schema(name),
            rows: 0,
            bytes: bytes.len() as u64,
            sha256: hex(&Sha256::digest(bytes)),
            escaped: 0,
            sums: Sums::default(),
        }
    }
}

/// `billrecon.lines.v1` of `lines.csv`. Columns are only ever added at the end; whatever else changes makes a v2. A document keeps
/// its extension: there may be one report in several forms.
fn schema(name: &str) -> String {
    let data = [".csv", ".ndjson"].iter().find_map(|end| name.strip_suffix(end));
    format!("billrecon.{}.v1", data.unwrap_or(name))
}

pub fn write(file: File, table: Table<'_>, format: CsvFormat) -> io::Result<WrittenFile> {
    let mut out = BufWriter::new(file);
    let written = write_to(&mut out, table, format)?;
    out.flush()?;
    out.get_ref().sync_all()?;
    Ok(written)
}

/// The same without writing it.
pub fn made(table: Table<'_>, format: CsvFormat) -> io::Result<WrittenFile> {
    write_to(&mut io::sink(), table, format)
}

/// The SHA-256 of a file that is there.
pub fn hash_of(mut file: File) -> io::Result<String> {
    let mut hashing = Hashing::new(io::sink());
    io::copy(&mut file, &mut hashing)?;
    Ok(hex(&hashing.hash.finalize()))
}

/// A table as text, for a terminal or a pipe.
pub fn text(table: Table<'_>, format: CsvFormat) -> io::Result<String> {
    let mut bytes = Vec::new();
    write_to(&mut bytes, table, format)?;
    String::from_utf8(bytes).map_err(io::Error::other)
}

fn write_to(out: &mut impl Write, table: Table<'_>, format: CsvFormat) -> io::Result<WrittenFile> {
    let name = format!("{}.csv", table.name);
    let mut hashing = Hashing::new(out);
    if format.bom {
        hashing.write_all(CsvFormat::BOM.as_bytes())?;
    }
    let (mut rows, mut escaped, mut sums) = (0, 0, Sums::of(table.columns));
    let mut writer = csv::WriterBuilder::new();
    writer.terminator(csv::Terminator::CRLF).delimiter(format.delimiter.byte());
    let mut csv = writer.from_writer(&mut hashing);
    csv.write_record(table.columns)?;
    for row in table.rows {
        for cell in &row {
            let text = cell_text(cell);
            escaped += u64::from(matches!((cell, &text), (Cell::Text(_), Cow::Owned(_))));
            csv.write_field(text.as_bytes())?;
        }
        csv.write_record(None::<&[u8]>)?;
        sums.add(&row);
        rows += 1;
    }
    csv.flush()?;
    drop(csv);
    let schema = schema(&name);
    let sha256 = hex(&hashing.hash.finalize());
    Ok(WrittenFile { name, schema, rows, bytes: hashing.bytes, sha256, escaped, sums })
}

/// A file of lines that are ready, one JSON object each.
pub fn write_lines(file: File, name: &str, lines: &[String]) -> io::Result<WrittenFile> {
    let mut out = BufWriter::new(file);
    let written = lines_to(&mut out, name, lines)?;
    out.flush()?;
    out.get_ref().sync_all()?;
    Ok(written)
}

/// The same to anywhere.
pub fn lines_to(out: &mut impl Write, name: &str, lines: &[String]) -> io::Result<WrittenFile> {
    let mut hashing = Hashing::new(out);
    for line in lines {
        hashing.write_all(line.as_bytes())?;
        hashing.write_all(b"\n")?;
    }
    let file = WrittenFile::of_bytes(name, &[]);
    let sha256 = hex(&hashing.hash.finalize());
    Ok(WrittenFile { rows: lines.len() as u64, bytes: hashing.bytes, sha256, ..file })
}

/// A cell as it stands in the file.
pub fn cell_text<'a>(cell: &'a Cell<'_>) -> Cow<'a, str> {
    match cell {
        Cell::Text(text) => harmless(text),
        Cell::Number(text) | Cell::Instant(text) => Cow::Borrowed(text),
    }
}

/// What begins a formula in one spreadsheet or another: `= + - @`, and the wide forms of these signs, which East Asian versions
/// of Excel take for the signs themselves. Control characters do too; none is left by then.
const FORMULA_STARTS: [char; 8] = ['=', '+', '-', '@', '＝', '＋', '－', '＠'];

fn harmless(text: &str) -> Cow<'_, str> {
    let text = printable(text);
    if text.starts_with(FORMULA_STARTS) { Cow::Owned(format!("'{text}")) } else { text }
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
        for text in ["=HYPERLINK(\"http://x\")", "+1", "-1", "@SUM(A1)", "＝1"] {
            assert_eq!(harmless(text), format!("'{text}"));
        }
        assert_eq!(harmless("acme = good"), "acme = good");
        assert_eq!(harmless("\t=1\n\0"), "\u{fffd}=1\u{fffd}\u{fffd}");
        assert_eq!(cell_text(&Cell::Number("-5".to_owned())), "-5");
    }

    #[test]
    fn cells_with_an_escape_are_counted_and_numbers_are_none() {
        let cells = ["=1", "a\u{202e}b", "plain", "'=quoted"].map(|text| Cell::Text(text.into()));
        let rows = cells.into_iter().map(|cell| vec![cell, Cell::Number("-5".to_owned())]);
        let table = Table { name: "lines", columns: &["tenant_id", "quantity"], rows: Box::new(rows) };
        let file = made(table, CsvFormat::default()).unwrap();
        assert_eq!((file.rows, file.escaped), (4, 2));
    }
}
