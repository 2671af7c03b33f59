//! `billrecon rate`: a calculator that anybody can check us with.
//!
//! In: a catalog file with a plan and quantities, or lines of prices with quantities. Out: the lines that an invoice would
//! have, and their total. Never reads a configuration, a database or the network.

mod batch;
mod table;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};

use serde_json::{Value, json};

use crate::cli::RateFlags;
use crate::commands::print;
use crate::domain::quote::{MeterQuote, Quote, QuoteError};
use crate::domain::rating::{LineKind, RatedLine};
use crate::exit_code::ExitCode;
use crate::ingest::{IngestError, catalog, did_you_mean};
use crate::job::Refusal;

pub fn execute(flags: &RateFlags) -> anyhow::Result<ExitCode> {
    match (&flags.batch, &flags.catalog, &flags.plan) {
        (Some(file), _, _) => batch::execute(file),
        (None, Some(file), Some(plan)) => {
            let quote = quote(flags, file, plan)?;
            print::data(&if flags.json { print::json(&as_json(&quote)) } else { table::of(&quote) })?;
            Ok(ExitCode::Done)
        }
        _ => Err(Refusal::Usage("say --catalog FILE --plan KEY, or --batch FILE".to_owned()).into()),
    }
}

fn quote(flags: &RateFlags, file: &str, plan: &str) -> anyhow::Result<Quote> {
    let mut used = BTreeMap::new();
    for (meter, quantity) in &flags.used {
        if used.insert(meter.clone(), *quantity).is_some() {
            return Err(Refusal::Usage(format!("--use names the meter `{meter}` twice")).into());
        }
    }
    let (name, mut input) = open(file)?;
    let mut text = String::new();
    input.read_to_string(&mut text).map_err(|cause| match cause.kind() {
        std::io::ErrorKind::InvalidData => {
            IngestError::Toml { file: name.clone(), problem: "is not UTF-8".to_owned() }
        }
        _ => IngestError::Io { file: name.clone(), cause },
    })?;
    let catalog = catalog::read(&text, &name)?;
    let plans = || catalog.plans.keys().map(|id| id.key.as_str());
    let plan = catalog.plan_named(plan, flags.interval, flags.currency).map_err(|error| match error {
        QuoteError::UnknownPlan { wanted, known, .. } => {
            let hint = did_you_mean::closest(&wanted, plans()).map(str::to_owned);
            QuoteError::UnknownPlan { hint: hint.filter(|hint| *hint != wanted), wanted, known }
        }
        other => other,
    })?;
    Ok(Quote::of(plan, &used).map_err(|error| match error {
        QuoteError::NotSold { plan, meter, sold, .. } => {
            let hint = did_you_mean::closest(&meter, sold.iter().map(String::as_str)).map(str::to_owned);
            QuoteError::NotSold { plan, meter, sold, hint }
        }
        other => other,
    })?)
}

/// A file or standard input, with the name that messages use.
fn open(path: &str) -> Result<(String, Box<dyn Read>), IngestError> {
    if path == "-" {
        return Ok(("standard input".to_owned(), Box::new(std::io::stdin().lock())));
    }
    let file = File::open(path).map_err(|cause| IngestError::Io { file: path.to_owned(), cause })?;
    Ok((path.to_owned(), Box::new(BufReader::new(file))))
}

fn as_json(quote: &Quote) -> String {
    let base = quote.base.iter().map(|line| line_json(line, ""));
    let usage = quote.meters.iter().flat_map(|one| one.lines.iter().map(|line| line_json(line, &one.meter)));
    let units = |one: &MeterQuote| {
        json!({
            "meter": one.meter, "used": one.used.to_string(), "free": one.split.free.to_string(),
            "billed": one.split.billed.to_string(), "capped": one.split.capped.to_string(),
        })
    };
    json!({
        "plan": quote.plan.key, "interval": quote.plan.interval.as_str(),
        "currency": quote.total.currency.code(), "amount_minor": quote.total.minor,
        "amount": quote.total.to_string(), "lines": base.chain(usage).collect::<Vec<_>>(),
        "units": quote.meters.iter().map(units).collect::<Vec<_>>(),
    })
    .to_string()
}

/// A line of a plan names its meter; a price by itself has none, and a base fee neither.
fn line_json(line: &RatedLine, meter: &str) -> Value {
    let mut fields = json!({
        "kind": line.kind.as_str(), "tier": line.tier, "quantity": line.quantity.to_string(),
        "priced_quantity": line.priced_quantity.to_string(), "unit_amount_decimal": line.unit_amount.to_string(),
        "exact_amount_minor": line.exact.to_string(), "amount_minor": line.amount.minor,
    });
    if line.kind == LineKind::Base || !meter.is_empty() {
        fields["meter"] = meter.into();
    }
    fields
}
