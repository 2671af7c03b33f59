//! Usage from CSV (RFC 4180, UTF-8 with or without BOM).
//!
//! In: a reader. Out: one call per line with its fields, or with why it has none. Columns beyond the known ones become
//! properties. Never fails on a line, only on the header, on reading, and on a record without end.

use std::collections::BTreeMap;
use std::io::Read;

use crate::domain::usage::{QuarantineReason, RawRecord, Rejection};
use crate::ingest::IngestError;
use crate::ingest::bounded::Bounded;
use crate::ingest::header::Header;

const REQUIRED: [&str; 5] = ["tenant_id", "meter", "quantity", "occurred_at", "source_event_id"];
const OPTIONAL: [&str; 2] = ["outcome", "source"];

/// A line's number and its fields, or its raw text and why it has no fields.
pub type Parsed<'a> = Result<RawRecord<'a>, (String, Rejection)>;

pub fn read<R: Read>(
    input: R,
    file: &str,
    mut line: impl FnMut(u64, Parsed<'_>) -> bool,
) -> Result<(), IngestError> {
    let (bounded, counts) = Bounded::new(input);
    let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(bounded);
    let mut record = csv::ByteRecord::new();
    if !reader.read_byte_record(&mut record).map_err(|error| failed(file, &record, error))? {
        return Err(IngestError::Empty(file.to_owned()));
    }
    let header = header(file, &record)?;
    let mut emit = |record: &csv::ByteRecord| {
        let properties = properties(&header, record);
        line(line_of(record), fields(&header, record, &properties))
    };
    // A record over several lines may be one that an open quote has made of many: it waits until its end is sure.
    let mut held: Option<csv::ByteRecord> = None;
    loop {
        counts.next_record();
        let more = reader.read_byte_record(&mut record).map_err(|error| failed(file, &record, error))?;
        if let Some(held) = held.take() {
            if !more && counts.quote_is_open() {
                let problem = "a quote is left open; it hides the lines that follow".to_owned();
                return Err(IngestError::Line { file: file.to_owned(), line: line_of(&held), problem });
            }
            if !emit(&held) {
                return Ok(());
            }
        }
        if !more {
            return Ok(());
        }
        if record.as_slice().contains(&b'\n') {
            held = Some(record.clone());
        } else if !emit(&record) {
            return Ok(());
        }
    }
}

fn line_of(record: &csv::ByteRecord) -> u64 {
    record.position().map_or(1, csv::Position::line)
}

fn header(file: &str, record: &csv::ByteRecord) -> Result<Header, IngestError> {
    let wrong = |problem: String| IngestError::Line { file: file.to_owned(), line: 1, problem };
    let names: Result<Vec<String>, _> = record.iter().map(|name| String::from_utf8(name.to_vec())).collect();
    let names = names.map_err(|_| wrong("the header is not UTF-8".to_owned()))?;
    Header::new(names, &REQUIRED).map_err(wrong)
}

fn fields<'a>(header: &Header, record: &'a csv::ByteRecord, properties: &'a str) -> Parsed<'a> {
    let malformed = |detail: String| {
        let raw: Vec<_> = record.iter().map(String::from_utf8_lossy).collect();
        let body = serde_json::to_string(&raw).unwrap_or_default();
        Err((body, Rejection::new(QuarantineReason::Malformed, detail)))
    };
    if record.len() != header.names.len() {
        return malformed(format!("the line has {} fields, the header {}", record.len(), header.names.len()));
    }
    if record.iter().any(|field| std::str::from_utf8(field).is_err()) {
        return malformed("the line is not UTF-8".to_owned());
    }
    let field = |name: &str| {
        let bytes = header.position(name).and_then(|position| record.get(position));
        bytes.and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default()
    };
    Ok(RawRecord {
        tenant_id: field("tenant_id"),
        source_event_id: field("source_event_id"),
        meter: field("meter"),
        quantity: field("quantity"),
        occurred_at: field("occurred_at"),
        outcome: field("outcome"),
        source: field("source"),
        properties,
    })
}

/// Other columns as a JSON object of strings; an empty cell is no property.
fn properties(header: &Header, record: &csv::ByteRecord) -> String {
    if header.names.len() == REQUIRED.len() {
        return "{}".to_owned();
    }
    let known = |name: &str| REQUIRED.contains(&name) || OPTIONAL.contains(&name);
    let others: BTreeMap<&str, _> = header
        .names
        .iter()
        .zip(record)
        .filter(|(name, value)| !known(name) && !value.is_empty())
        .map(|(name, value)| (name.as_str(), String::from_utf8_lossy(value)))
        .collect();
    serde_json::to_string(&others).unwrap_or_default()
}

/// Data that is wrong has a line; a file that cannot be read has a cause.
pub(in crate::ingest) fn failed(file: &str, record: &csv::ByteRecord, error: csv::Error) -> IngestError {
    let (line, problem) = (line_of(record), error.to_string());
    match error.into_kind() {
        csv::ErrorKind::Io(cause) if cause.kind() != std::io::ErrorKind::InvalidData => {
            IngestError::Io { file: file.to_owned(), cause }
        }
        _ => IngestError::Line { file: file.to_owned(), line, problem },
    }
}
