//! Tenants from CSV.
//!
//! In: rows `tenant_id,name,plan,currency,stripe_customer_id,stripe_subscription_id,status,billing_anchor,started_at,
//! ended_at` and optionally `interval` and `trial_end`; a file holds all rows of each tenant that it names. Out:
//! tenants, or all faults of the file at once with their lines. A file with a fault changes nothing.

use std::collections::BTreeMap;
use std::io::Read;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::domain::catalog::PlanId;
use crate::domain::money::Currency;
use crate::domain::period::Interval;
use crate::domain::tenant::{Subscription, SubscriptionStatus, Tenant, TenantFault};
use crate::ingest::IngestError;
use crate::ingest::csv_lines::failed;
use crate::ingest::header::Header;

const REQUIRED: [&str; 3] = ["tenant_id", "plan", "currency"];
const OPTIONAL: [&str; 9] = [
    "name",
    "stripe_customer_id",
    "stripe_subscription_id",
    "status",
    "billing_anchor",
    "started_at",
    "ended_at",
    "interval",
    "trial_end",
];

/// Instants are RFC 3339; a bare date is its first instant in `zone`.
pub fn read(input: impl Read, file: &str, zone: &TimeZone) -> Result<Vec<Tenant>, IngestError> {
    let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(input);
    let names = reader.headers().map_err(|error| failed(file, &csv::ByteRecord::new(), error))?;
    let header = header(file, names.iter().map(str::to_owned).collect())?;
    let (mut rows, mut faults) = (Rows::new(), Vec::new());
    for record in reader.records() {
        let (line, row) = match record {
            Ok(record) => (line_of(record.position()), subscription(&header, &record, zone)),
            Err(error) if error.is_io_error() => return Err(failed(file, &csv::ByteRecord::new(), error)),
            Err(error) => (line_of(error.position()), Err(error.to_string())),
        };
        match row {
            Ok(row) => rows.entry(row.tenant_id.clone()).or_default().push((line, row)),
            Err(fault) => faults.push(format!("line {line}: {fault}")),
        }
    }
    let mut tenants = Vec::with_capacity(rows.len());
    for (id, rows) in rows {
        match Tenant::new(id.clone(), rows.iter().map(|(_, row)| row.clone()).collect()) {
            Ok(tenant) => tenants.push(tenant),
            Err(fault) => faults.push(of_several_rows(&id, &rows, &fault)),
        }
    }
    if faults.is_empty() { Ok(tenants) } else { Err(IngestError::Rows { file: file.to_owned(), faults }) }
}

/// Rows with their lines, by tenant.
type Rows = BTreeMap<String, Vec<(u64, Subscription)>>;

/// A fault that only the rows of a tenant together have, with the lines of those that have it.
fn of_several_rows(id: &str, rows: &[(u64, Subscription)], fault: &TenantFault) -> String {
    if let TenantFault::Overlap(ended, started) = fault {
        let second = rows.iter().rev().find(|(_, row)| row.span().start == *started);
        let first = rows
            .iter()
            .find(|(line, row)| row.span().end == *ended && second.is_none_or(|(second, _)| second != line));
        if let (Some((first, old)), Some((second, new))) = (first, second) {
            let until = old.ended_at.map_or("has no end".to_owned(), |end| format!("runs until {end}"));
            let since =
                new.started_at.map_or("has no start".to_owned(), |start| format!("starts at {start}"));
            return format!(
                "line {first}, {second}: tenant `{id}`: two subscriptions overlap: line {first} (plan {}) {until}, line \
                 {second} (plan {}) {since}; let ended_at of the one be started_at of the other, or take one out",
                old.plan.key, new.plan.key
            );
        }
    }
    let lines: Vec<String> = rows.iter().map(|(line, _)| line.to_string()).collect();
    format!("line {}: tenant `{id}`: {fault}", lines.join(", "))
}

fn header(file: &str, names: Vec<String>) -> Result<Header, IngestError> {
    if names.iter().all(String::is_empty) {
        return Err(IngestError::Empty(file.to_owned()));
    }
    let broken = |problem| IngestError::Line { file: file.to_owned(), line: 1, problem };
    let header = Header::new(names, &REQUIRED).map_err(broken)?;
    let known = |name: &String| REQUIRED.contains(&name.as_str()) || OPTIONAL.contains(&name.as_str());
    if let Some(unknown) = header.names.iter().find(|name| !known(name)) {
        let known = [REQUIRED.join(", "), OPTIONAL.join(", ")].join(", ");
        return Err(broken(format!("the column `{unknown}` is unknown; known are: {known}")));
    }
    Ok(header)
}

fn line_of(position: Option<&csv::Position>) -> u64 {
    position.map_or(0, csv::Position::line)
}

fn subscription(
    header: &Header,
    record: &csv::StringRecord,
    zone: &TimeZone,
) -> Result<Subscription, String> {
    if record.len() != header.names.len() {
        return Err(format!("the line has {} fields, the header {}", record.len(), header.names.len()));
    }
    let field =
        |name: &str| header.position(name).and_then(|position| record.get(position)).unwrap_or_default();
    let required =
        |name: &str| Some(field(name)).filter(|text| !text.is_empty()).ok_or(format!("{name} is empty"));
    let instant_of = |name: &str| instant(name, field(name), zone);
    let tenant_id = required("tenant_id")?;
    if tenant_id.len() > 255 || record.iter().any(|text| text.chars().any(char::is_control)) {
        return Err("tenant_id is longer than 255 bytes, or a field holds a control character".to_owned());
    }
    let status = Some(field("status")).filter(|text| !text.is_empty()).unwrap_or("active");
    let interval = Some(field("interval")).filter(|text| !text.is_empty()).unwrap_or("month");
    Ok(Subscription {
        tenant_id: tenant_id.to_owned(),
        name: Some(field("name")).filter(|text| !text.is_empty()).unwrap_or(tenant_id).to_owned(),
        plan: PlanId {
            key: required("plan")?.to_owned(),
            interval: Interval::parse(interval)
                .ok_or(format!("interval `{interval}` is neither month nor year"))?,
            currency: Currency::parse(required("currency")?).map_err(|error| format!("currency {error}"))?,
        },
        stripe_customer_id: field("stripe_customer_id").to_owned(),
        stripe_subscription_id: field("stripe_subscription_id").to_owned(),
        status: SubscriptionStatus::parse(status).ok_or_else(|| {
            format!(
                "status `{status}` is none of {}",
                SubscriptionStatus::ALL.map(SubscriptionStatus::as_str).join(", ")
            )
        })?,
        billing_anchor: instant_of("billing_anchor")?,
        trial_end: instant_of("trial_end")?,
        started_at: instant_of("started_at")?,
        ended_at: instant_of("ended_at")?,
    })
}

fn instant(name: &str, text: &str, zone: &TimeZone) -> Result<Option<Timestamp>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let date = text.parse::<Date>().ok().filter(|_| text.len() == "2026-10-01".len());
    let instant = match date {
        Some(date) => date.to_zoned(zone.clone()).map(|zoned| zoned.timestamp()),
        None => text.parse::<Timestamp>(),
    };
    match instant {
        Ok(instant) if (0..=4_102_444_800).contains(&instant.as_second()) => Ok(Some(instant)),
        _ => Err(format!(
            "{name} `{text}` is neither a date nor an instant between 1970 and 2100, such as 2026-10-01T00:00:00Z"
        )),
    }
}
