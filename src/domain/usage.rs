//! Usage records: what a line of a file must be to become a row of the ledger, and totals over such rows.
//!
//! In: the texts of one line, the known meters and tenants, `now`. Out: a [`UsageRecord`], or a [`Rejection`] with the
//! reason under which the line is quarantined. Never drops a line, never mends one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::domain::aggregation::MeterUsage;
use crate::domain::catalog::Meter;
use crate::domain::number::{NumberError, Quantity, QuantitySum};

/// Clocks of producers run ahead of ours; Stripe accepts events five minutes ahead, so we do too.
pub const FUTURE_TOLERANCE: SignedDuration = SignedDuration::from_mins(5);
/// A record dated before 2000 comes from a zeroed or broken clock, not from a customer.
const EARLIEST_SECOND: i64 = 946_684_800;
/// Longer texts are not ids; the limit also keeps index rows of both databases in bounds.
const ID_BYTES: usize = 255;

/// One line as it was read. Absent fields are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct RawRecord<'a> {
    pub tenant_id: &'a str,
    pub source_event_id: &'a str,
    pub meter: &'a str,
    pub quantity: &'a str,
    pub occurred_at: &'a str,
    pub outcome: &'a str,
    pub source: &'a str,
    /// All other columns as a JSON object of strings with sorted keys.
    pub properties: &'a str,
}

/// One row of `usage_ledger`; unique by tenant and source event id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRecord {
    pub tenant_id: String,
    pub source_event_id: String,
    pub meter: String,
    pub quantity: Quantity,
    pub occurred_at: Timestamp,
    pub outcome: String,
    pub source: String,
    pub properties: String,
}

/// Why a line is quarantined. The text is the word in the database and in every file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum QuarantineReason {
    Malformed,
    MissingField,
    BadText,
    BadQuantity,
    Negative,
    BadTimestamp,
    Future,
    UnknownMeter,
    UnknownTenant,
    Conflict,
}

impl QuarantineReason {
    pub const ALL: [Self; 10] = [
        Self::Malformed,
        Self::MissingField,
        Self::BadText,
        Self::BadQuantity,
        Self::Negative,
        Self::BadTimestamp,
        Self::Future,
        Self::UnknownMeter,
        Self::UnknownTenant,
        Self::Conflict,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::MissingField => "missing_field",
            Self::BadText => "bad_text",
            Self::BadQuantity => "bad_quantity",
            Self::Negative => "negative",
            Self::BadTimestamp => "bad_timestamp",
            Self::Future => "future",
            Self::UnknownMeter => "unknown_meter",
            Self::UnknownTenant => "unknown_tenant",
            Self::Conflict => "conflict",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    pub reason: QuarantineReason,
    /// What is wrong, for a person.
    pub detail: String,
}

impl Rejection {
    pub fn new(reason: QuarantineReason, detail: impl Into<String>) -> Self {
        Self { reason, detail: detail.into() }
    }
}

/// A line that does not enter the ledger. Its texts are cut and cleaned, so that any database can hold them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedLine {
    /// SHA-256 of the whole line's content, whatever its column order.
    pub body_hash: String,
    pub reason: QuarantineReason,
    pub detail: String,
    pub tenant_id: String,
    pub source_event_id: String,
    pub meter: String,
    /// The month of `occurred_at` in the billing time zone, empty where that cannot be read.
    pub period: String,
    pub file: String,
    pub line: u64,
    pub body: String,
}

/// What a record with the property `kind = correction` says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Correction {
    /// The source event id of the record that it corrects.
    pub corrects: String,
    pub properties: BTreeMap<String, String>,
}

/// What a record is judged against.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub meters: BTreeMap<String, Meter>,
    pub tenants: BTreeSet<String>,
}

/// A record, and the one that it corrects: the ledger must hold that one before it takes a negative quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    pub record: UsageRecord,
    pub corrects: Option<String>,
}

impl Known {
    /// The record, or the first reason why it is none.
    pub fn judge(
        &self,
        raw: &RawRecord<'_>,
        correction: Option<&Correction>,
        now: Timestamp,
    ) -> Result<Judged, Rejection> {
        check_texts(raw)?;
        let quantity = quantity(raw.quantity)?;
        if quantity.is_negative() && correction.is_none() {
            let detail = format!(
                "quantity {quantity} is negative: only a record with kind = correction and the source event id that it \
                 corrects takes units back"
            );
            return Err(Rejection::new(QuarantineReason::Negative, detail));
        }
        let occurred_at = occurred_at(raw.occurred_at, now)?;
        let Some(meter) = self.meters.get(raw.meter) else {
            let detail = format!("the meter `{}` is not in the catalog", raw.meter);
            return Err(Rejection::new(QuarantineReason::UnknownMeter, detail));
        };
        if quantity.is_negative() && meter.aggregation.is_gauge() {
            let detail = format!(
                "quantity {quantity} is negative: a {} meter is corrected by its next reading",
                meter.aggregation.as_str()
            );
            return Err(Rejection::new(QuarantineReason::Negative, detail));
        }
        if let Some(name) = correction.and_then(|one| meter.rule.lacks(raw.outcome, &one.properties)) {
            let detail = format!(
                "the correction has no `{name}`, which the billable rule of the meter asks for: give it the outcome and the \
                 properties of the record that it corrects"
            );
            return Err(Rejection::new(QuarantineReason::Negative, detail));
        }
        if !self.tenants.contains(raw.tenant_id) {
            let detail = format!("the tenant `{}` has not been imported", raw.tenant_id);
            return Err(Rejection::new(QuarantineReason::UnknownTenant, detail));
        }
        let record = UsageRecord {
            tenant_id: raw.tenant_id.to_owned(),
            source_event_id: raw.source_event_id.to_owned(),
            meter: raw.meter.to_owned(),
            quantity,
            occurred_at,
            outcome: raw.outcome.to_owned(),
            source: raw.source.to_owned(),
            properties: raw.properties.to_owned(),
        };
        let corrects = correction.filter(|_| quantity.is_negative()).map(|one| one.corrects.clone());
        Ok(Judged { record, corrects })
    }

    /// A correction of a record that the ledger does not hold.
    pub fn unfounded(record: &UsageRecord, corrects: &str) -> Rejection {
        let detail = format!(
            "quantity {} is negative, and the tenant has no record `{corrects}` that it could correct",
            record.quantity
        );
        Rejection::new(QuarantineReason::Negative, detail)
    }
}

fn check_texts(raw: &RawRecord<'_>) -> Result<(), Rejection> {
    let required = [
        ("tenant_id", raw.tenant_id),
        ("meter", raw.meter),
        ("quantity", raw.quantity),
        ("occurred_at", raw.occurred_at),
        ("source_event_id", raw.source_event_id),
    ];
    if let Some((name, _)) = required.iter().find(|(_, text)| text.is_empty()) {
        return Err(Rejection::new(QuarantineReason::MissingField, format!("{name} is empty")));
    }
    for (name, text) in required.into_iter().chain([("outcome", raw.outcome), ("source", raw.source)]) {
        // PostgreSQL cannot store NUL, and the other controls have no place in an id.
        if text.chars().any(char::is_control) {
            return Err(Rejection::new(
                QuarantineReason::BadText,
                format!("{name} holds a control character"),
            ));
        }
        if text.len() > ID_BYTES {
            let detail = format!("{name} is {} bytes long; the limit is {ID_BYTES}", text.len());
            return Err(Rejection::new(QuarantineReason::BadText, detail));
        }
    }
    Ok(())
}

fn quantity(text: &str) -> Result<Quantity, Rejection> {
    Quantity::parse(text)
        .map_err(|error| Rejection::new(QuarantineReason::BadQuantity, format!("quantity `{text}` {error}")))
}

fn occurred_at(text: &str, now: Timestamp) -> Result<Timestamp, Rejection> {
    let instant: Timestamp = text.parse().map_err(|_| {
        let detail = format!(
            "occurred_at `{text}` is not an instant with its UTC offset, such as 2026-10-01T00:00:00Z"
        );
        Rejection::new(QuarantineReason::BadTimestamp, detail)
    })?;
    if instant.as_second() < EARLIEST_SECOND {
        let detail = format!("occurred_at {instant} lies before the year 2000");
        return Err(Rejection::new(QuarantineReason::BadTimestamp, detail));
    }
    if instant.duration_since(now) > FUTURE_TOLERANCE {
        let detail = format!("occurred_at {instant} lies in the future");
        return Err(Rejection::new(QuarantineReason::Future, detail));
    }
    Ok(instant)
}

/// Number of records and their summed quantity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UsageTotal {
    pub records: u64,
    pub quantity: QuantitySum,
}

impl UsageTotal {
    pub fn checked_add(self, more: Self) -> Result<Self, NumberError> {
        let records = self.records.checked_add(more.records).ok_or(NumberError::Overflow)?;
        Ok(Self { records, quantity: self.quantity.checked_add(more.quantity)? })
    }

    pub fn checked_sub(self, less: Self) -> Result<Self, NumberError> {
        let records = self.records.checked_sub(less.records).ok_or(NumberError::Overflow)?;
        Ok(Self { records, quantity: self.quantity.checked_sub(less.quantity)? })
    }
}

/// Totals by tenant and meter over one range of time.
pub type TotalsByMeter = BTreeMap<String, BTreeMap<String, MeterUsage>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::Aggregation;
    use crate::domain::rule::Rule;

    fn meter(key: &str, aggregation: Aggregation) -> (String, Meter) {
        let meter = Meter {
            key: key.into(),
            aggregation,
            per_source: false,
            rule: Rule::default(),
            event_name: key.into(),
        };
        (key.into(), meter)
    }

    fn known() -> Known {
        let meters = [meter("calls", Aggregation::Sum), meter("devices", Aggregation::Max)];
        Known { meters: meters.into(), tenants: ["acme".to_owned()].into() }
    }

    fn now() -> Timestamp {
        "2026-10-01T00:00:00Z".parse().unwrap()
    }

    fn raw() -> RawRecord<'static> {
        RawRecord {
            tenant_id: "acme",
            source_event_id: "e-1",
            meter: "calls",
            quantity: "1.5",
            occurred_at: "2026-10-01T02:00:00+02:00",
            properties: "{}",
            ..RawRecord::default()
        }
    }

    fn reason(raw: &RawRecord<'_>) -> QuarantineReason {
        known().judge(raw, None, now()).unwrap_err().reason
    }

    #[test]
    fn an_instant_is_read_with_its_offset() {
        let judged = known().judge(&raw(), None, now()).unwrap();
        assert_eq!(judged.record.occurred_at.to_string(), "2026-10-01T00:00:00Z");
    }

    #[test]
    fn only_a_correction_of_a_meter_that_adds_up_may_be_negative() {
        let back = RawRecord { quantity: "-1.5", ..raw() };
        let correction = Correction { corrects: "e-0".to_owned(), properties: BTreeMap::new() };
        let corrects = Some(&correction);
        assert_eq!(known().judge(&back, corrects, now()).unwrap().corrects.as_deref(), Some("e-0"));
        assert_eq!(known().judge(&raw(), corrects, now()).unwrap().corrects, None);
        for (line, corrects) in [(&back, None), (&RawRecord { meter: "devices", ..back.clone() }, corrects)] {
            assert_eq!(known().judge(line, corrects, now()).unwrap_err().reason, QuarantineReason::Negative);
        }
    }

    #[test]
    fn each_fault_of_a_line_has_its_reason() {
        use QuarantineReason as Reason;
        let long = "x".repeat(256);
        for (line, expected) in [
            (RawRecord { tenant_id: "", ..raw() }, Reason::MissingField),
            (RawRecord { source_event_id: "a\0b", ..raw() }, Reason::BadText),
            (RawRecord { source_event_id: &long, ..raw() }, Reason::BadText),
            (RawRecord { quantity: "NaN", ..raw() }, Reason::BadQuantity),
            (RawRecord { quantity: "-0.5", ..raw() }, Reason::Negative),
            (RawRecord { occurred_at: "2026-10-01", ..raw() }, Reason::BadTimestamp),
            (RawRecord { occurred_at: "0001-01-01T00:00:00Z", ..raw() }, Reason::BadTimestamp),
            (RawRecord { occurred_at: "99999-01-01T00:00:00Z", ..raw() }, Reason::BadTimestamp),
            (RawRecord { occurred_at: "2026-10-01T00:05:00.000000001Z", ..raw() }, Reason::Future),
            (RawRecord { meter: "calsl", ..raw() }, Reason::UnknownMeter),
            (RawRecord { tenant_id: "acne", ..raw() }, Reason::UnknownTenant),
        ] {
            assert_eq!(reason(&line), expected, "{line:?}");
        }
    }
}
