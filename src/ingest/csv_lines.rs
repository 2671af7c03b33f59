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
    let (bounded, since_record) = Bounded::new(input);
    let mut reader = csv::ReaderBuilder::new().flexible(true).has_headers(false).from_reader(bounded);
    let mut record = csv::ByteRecord::new();
    if !reader.read_byte_record(&mut record).map_err(|error| failed(file, &record, &error))? {
        return Err(IngestError::Empty(file.to_owned()));
    }
    let header = header(file, &record)?;
    loop {
        since_record.reset();
        if !reader.read_byte_record(&mut record).map_err(|error| failed(file, &record, &error))? {
            return Ok(());
        }
        let number = record.position().map_or(0, csv::Position::line);
        let properties = properties(&header, &record);
        if !line(number, fields(&header, &record, &properties)) {
            return Ok(());
        }
    }
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

fn failed(file: &str, record: &csv::ByteRecord, error: &csv::Error) -> IngestError {
    let line = record.position().map_or(1, csv::Position::line);
    IngestError::Line { file: file.to_owned(), line, problem: error.to_string() }
}
