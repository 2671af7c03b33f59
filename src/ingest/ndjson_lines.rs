//! Usage from NDJSON: one JSON object a line.
//!
//! In: a reader. Out: one call per line with its fields, or with why it has none. A number keeps its text, so no digit
//! is lost; other fields become properties. Never fails on a line, only on reading and on a line that is too long.

use std::collections::BTreeMap;
use std::fmt;
use std::io::Read;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::usage::{QuarantineReason, RawRecord, Rejection};
use crate::ingest::IngestError;
use crate::ingest::csv_lines::Parsed;
use crate::ingest::text_lines::{self, Line};

pub fn read<R: Read>(
    input: R,
    file: &str,
    mut line: impl FnMut(u64, Parsed<'_>) -> bool,
) -> Result<(), IngestError> {
    let mut too_long = None;
    text_lines::read(input, file, |number, text, _| {
        let Line::Text(text) = text else {
            too_long = Some(number);
            return false;
        };
        match object(text) {
            Ok(mut fields) => {
                let known = take_known(&mut fields);
                let properties = serde_json::to_string(&fields).unwrap_or_default();
                line(number, Ok(known.raw(&properties)))
            }
            Err(detail) => {
                let rejection = Rejection::new(QuarantineReason::Malformed, detail);
                line(number, Err((String::from_utf8_lossy(text).into_owned(), rejection)))
            }
        }
    })?;
    // Not set aside: a file with such a line is none of usage, and the line is too much to keep.
    too_long.map_or(Ok(()), |line| {
        let problem = "record is longer than 1 MiB".to_owned();
        Err(IngestError::Line { file: file.to_owned(), line, problem })
    })
}

fn object(text: &[u8]) -> Result<BTreeMap<String, String>, String> {
    let text = std::str::from_utf8(text).map_err(|_| "the line is not UTF-8".to_owned())?;
    let fields: Fields =
        serde_json::from_str(text).map_err(|error| format!("the line is no JSON object: {error}"))?;
    Ok(fields.0)
}

#[derive(Default)]
struct Known {
    tenant_id: String,
    source_event_id: String,
    meter: String,
    quantity: String,
    occurred_at: String,
    outcome: String,
    source: String,
}

fn take_known(fields: &mut BTreeMap<String, String>) -> Known {
    let mut take = |name: &str| fields.remove(name).unwrap_or_default();
    Known {
        tenant_id: take("tenant_id"),
        source_event_id: take("source_event_id"),
        meter: take("meter"),
        quantity: take("quantity"),
        occurred_at: take("occurred_at"),
        outcome: take("outcome"),
        source: take("source"),
    }
}

impl Known {
    fn raw<'a>(&'a self, properties: &'a str) -> RawRecord<'a> {
        RawRecord {
            tenant_id: &self.tenant_id,
            source_event_id: &self.source_event_id,
            meter: &self.meter,
            quantity: &self.quantity,
            occurred_at: &self.occurred_at,
            outcome: &self.outcome,
            source: &self.source,
            properties,
        }
    }
}

/// A JSON object whose values are kept as text: strings without quotes, all else as written. A null or empty value is
/// no field; a name that stands twice is an error, because one of the two would be lost.
struct Fields(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
        let mut fields = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            let text = match serde_json::from_str::<String>(value.get()) {
                Ok(text) => text,
                Err(_) if value.get() == "null" => continue,
                // Half a surrogate pair: such a text cannot be stored.
                Err(error) if value.get().starts_with('"') => return Err(serde::de::Error::custom(error)),
                Err(_) => value.get().to_owned(),
            };
            if fields.insert(name.clone(), text).is_some() {
                return Err(serde::de::Error::custom(format!("the field `{name}` stands twice")));
            }
        }
        fields.retain(|_, text: &mut String| !text.is_empty());
        Ok(Fields(fields))
    }
}
