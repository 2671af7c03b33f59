//! Usage lines: finds the format, judges each line, describes the rejected ones.
//!
//! In: a reader of CSV or NDJSON, and what a record is judged against. Out: one [`JudgedLine`] per line. Works line by
//! line in bounded memory. Never decides whether a record is new: that is the ledger's.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::domain::audit::sha256_hex;
use crate::domain::period::Period;
use crate::domain::usage::{
    Correction, Judged, Known, QuarantineReason, QuarantinedLine, RawRecord, Rejection, UsageRecord,
};
use crate::ingest::csv_lines::Parsed;
use crate::ingest::{IngestError, csv_lines, ndjson_lines};

/// Longer texts of a quarantined line are cut; the hash is of the whole.
const BODY_CHARS: usize = 4_096;
const FIELD_CHARS: usize = 255;

/// What lines of one file are judged against.
pub struct Judge {
    pub known: Known,
    pub zone: TimeZone,
    pub now: Timestamp,
    /// The file's name, for messages and quarantined lines.
    pub file: String,
}

/// A line's number with its record, or with why it is none.
pub struct JudgedLine {
    pub number: u64,
    pub outcome: Result<Judged, Box<QuarantinedLine>>,
}

impl JudgedLine {
    /// The tenant, and the record of it that this one corrects.
    pub fn corrects(&self) -> Option<(&str, &str)> {
        let judged = self.outcome.as_ref().ok()?;
        Some((judged.record.tenant_id.as_str(), judged.corrects.as_deref()?))
    }

    pub fn is_correction(&self) -> bool {
        self.corrects().is_some()
    }
}

impl Judge {
    /// Reads all lines until `sink` answers false.
    pub fn read(
        &self,
        input: impl Read,
        mut sink: impl FnMut(JudgedLine) -> bool,
    ) -> Result<(), IngestError> {
        let mut input = BufReader::new(input);
        let (head, first) = self.head(&mut input)?;
        let input = io::Cursor::new(head).chain(input);
        let line =
            |number, parsed: Parsed<'_>| sink(JudgedLine { number, outcome: self.judge(number, parsed) });
        match first {
            b'{' => ndjson_lines::read(input, &self.file, line),
            _ => csv_lines::read(input, &self.file, line),
        }
    }

    /// A record whose id is taken by another body, as a quarantined line.
    pub fn conflict(&self, number: u64, record: &UsageRecord) -> QuarantinedLine {
        let detail = "the ledger holds this source_event_id of the tenant with another content";
        self.refused(number, record, &Rejection::new(QuarantineReason::Conflict, detail))
    }

    /// A correction of a record that the ledger does not hold, as a quarantined line.
    pub fn unfounded(&self, number: u64, record: &UsageRecord, corrects: &str) -> QuarantinedLine {
        self.refused(number, record, &Known::unfounded(record, corrects))
    }

    fn refused(&self, number: u64, record: &UsageRecord, rejection: &Rejection) -> QuarantinedLine {
        let (quantity, occurred_at) = (record.quantity.to_string(), record.occurred_at.to_string());
        let raw = RawRecord {
            tenant_id: &record.tenant_id,
            source_event_id: &record.source_event_id,
            meter: &record.meter,
            quantity: &quantity,
            occurred_at: &occurred_at,
            outcome: &record.outcome,
            source: &record.source,
            properties: &record.properties,
        };
        self.quarantined(number, &raw, rejection)
    }

    fn judge(&self, number: u64, parsed: Parsed<'_>) -> Result<Judged, Box<QuarantinedLine>> {
        match parsed {
            Ok(raw) => self
                .known
                .judge(&raw, correction(raw.properties).as_ref(), self.now)
                .map_err(|rejection| Box::new(self.quarantined(number, &raw, &rejection))),
            Err((body, rejection)) => {
                Err(Box::new(self.line(number, &RawRecord::default(), &body, &rejection)))
            }
        }
    }

    fn quarantined(&self, number: u64, raw: &RawRecord<'_>, rejection: &Rejection) -> QuarantinedLine {
        let body = serde_json::to_string(raw).unwrap_or_default();
        self.line(number, raw, &body, rejection)
    }

    fn line(&self, number: u64, raw: &RawRecord<'_>, body: &str, rejection: &Rejection) -> QuarantinedLine {
        let period =
            raw.occurred_at.parse().map(|instant| Period::containing(instant, &self.zone).to_string());
        QuarantinedLine {
            body_hash: sha256_hex(body.as_bytes()),
            reason: rejection.reason,
            detail: clean(&rejection.detail, FIELD_CHARS),
            tenant_id: clean(raw.tenant_id, FIELD_CHARS),
            source_event_id: clean(raw.source_event_id, FIELD_CHARS),
            meter: clean(raw.meter, FIELD_CHARS),
            period: period.unwrap_or_default(),
            file: self.file.clone(),
            line: number,
            body: clean(body, BODY_CHARS),
        }
    }

    /// The bytes up to the first one that says something, without a byte order mark, and that byte: a CSV header
    /// cannot begin with a brace, and an object must. Byte by byte, because a pipe may deliver so.
    fn head(&self, input: &mut impl BufRead) -> Result<(Vec<u8>, u8), IngestError> {
        let mut head = Vec::new();
        loop {
            let bytes =
                input.fill_buf().map_err(|cause| IngestError::Io { file: self.file.clone(), cause })?;
            let Some(&byte) = bytes.first() else { return Err(IngestError::Empty(self.file.clone())) };
            input.consume(1);
            head.push(byte);
            if head.len() > BLANKS_MAX {
                let problem = "begins with nothing but blanks".to_owned();
                return Err(IngestError::Line { file: self.file.clone(), line: 1, problem });
            }
            if head == BYTE_ORDER_MARK {
                head.clear();
            } else if !byte.is_ascii_whitespace() && !BYTE_ORDER_MARK.starts_with(&head) {
                return Ok((head, byte));
            }
        }
    }
}

/// What a correction says of itself; `None` for any other record.
fn correction(properties: &str) -> Option<Correction> {
    // Nearly no record is one, and only the few that are need to be taken apart.
    if !properties.contains("correction") {
        return None;
    }
    let properties: BTreeMap<String, String> = serde_json::from_str(properties).ok()?;
    let is_correction = properties.get("kind").is_some_and(|kind| kind == "correction");
    let corrects = properties.get("corrects").filter(|id| is_correction && !id.is_empty()).cloned();
    corrects.map(|corrects| Correction { corrects, properties })
}

/// More blanks than this before the first word are no file of ours.
const BLANKS_MAX: usize = 1024 * 1024;
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

fn clean(text: &str, limit: usize) -> String {
    text.chars()
        .take(limit)
        .map(|one| if one.is_control() { char::REPLACEMENT_CHARACTER } else { one })
        .collect()
}
