//! Rows of the ledger, to and from records.
//!
//! In: rows of the ledger's statements, records. Out: records, readings and totals; values to bind. Never guesses: a column that
//! holds something else is an error.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::value::RawValue;

use crate::domain::aggregation::Reading;
use crate::domain::usage::{UsageRecord, UsageTotal};
use crate::store::connection::Value;
use crate::store::error::StoreError;
use crate::store::row::Row;

/// How the properties of a record are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Properties {
    /// By an import: a JSON object of texts.
    Texts,
    /// By somebody else: any JSON object.
    Json,
}

pub(super) fn total_of(row: &mut Row) -> Result<UsageTotal, StoreError> {
    Ok(UsageTotal { records: row.count()?, quantity: row.quantity_sum()? })
}

pub(super) fn reading_of(row: &mut Row, properties: Properties) -> Result<Reading, StoreError> {
    Ok(Reading {
        source_event_id: row.text()?,
        quantity: row.quantity()?,
        occurred_at: row.instant()?,
        outcome: row.text()?,
        source: row.text()?,
        properties: properties.read(&row.text()?)?,
    })
}

pub(super) fn record_of(row: &mut Row) -> Result<UsageRecord, StoreError> {
    Ok(UsageRecord {
        tenant_id: row.text()?,
        source_event_id: row.text()?,
        meter: row.text()?,
        quantity: row.quantity()?,
        occurred_at: row.instant()?,
        outcome: row.text()?,
        source: row.text()?,
        properties: row.text()?,
    })
}

pub(super) fn row_of(record: &UsageRecord, now: Timestamp) -> Vec<Value> {
    vec![
        record.tenant_id.as_str().into(),
        record.source_event_id.as_str().into(),
        record.meter.as_str().into(),
        record.quantity.into(),
        record.occurred_at.into(),
        now.into(),
        record.outcome.as_str().into(),
        record.source.as_str().into(),
        record.properties.as_str().into(),
    ]
}

impl Properties {
    pub(super) fn read(self, text: &str) -> Result<BTreeMap<String, String>, StoreError> {
        let read = match self {
            Self::Texts => serde_json::from_str(text),
            Self::Json => of_json(text),
        };
        read.map_err(|error| StoreError::inconsistent("the properties of a record", error))
    }

    /// The same as an import writes them.
    pub(super) fn write(self, text: String) -> Result<String, StoreError> {
        if self == Self::Texts {
            return Ok(text);
        }
        let written = serde_json::to_string(&self.read(&text)?);
        written.map_err(|error| StoreError::inconsistent("the properties of a record", error))
    }
}

/// Numbers keep their digits, `null` is no property, and what is nested stays JSON.
fn of_json(text: &str) -> Result<BTreeMap<String, String>, serde_json::Error> {
    let values: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text)?;
    let mut properties = BTreeMap::new();
    for (key, value) in values {
        match value.get() {
            "null" => {}
            text if text.starts_with('"') => {
                properties.insert(key, serde_json::from_str(text)?);
            }
            text => {
                properties.insert(key, text.to_owned());
            }
        }
    }
    Ok(properties)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_of_any_json_become_texts() {
        let text = r#"{"b": 5000.10, "a": "x\u0041", "c": null, "d": true, "e": {"f": [1]}}"#;
        let written = Properties::Json.write(text.to_owned()).unwrap();
        assert_eq!(written, r#"{"a":"xA","b":"5000.10","d":"true","e":"{\"f\": [1]}"}"#);
        assert!(Properties::Texts.read(text).is_err());
        assert!(Properties::Json.read("[]").is_err());
    }
}
