//! `billrecon rate --batch`: many prices with quantities, one answer a line.
//!
//! In: NDJSON. Out: for each line its amount, or why it has none. Bounded memory; no bytes of a line stop the others.

use std::io::{self, BufWriter, Write};

use serde_json::json;

use super::{line_json, open};
use crate::commands::print;
use crate::domain::quote::{amount_of, exact_of};
use crate::domain::rating::RatingError;
use crate::exit_code::ExitCode;
use crate::ingest::price_lines::{self, Asked, PriceRequest};

pub fn execute(file: &str) -> anyhow::Result<ExitCode> {
    let (name, input) = open(file)?;
    let mut output = BufWriter::new(io::stdout().lock());
    let mut written = Ok(());
    let read = price_lines::read(input, &name, |asked, more| {
        // Whoever asks line by line and waits gets each answer at once.
        written =
            writeln!(output, "{}", answer(asked)).and_then(|()| if more { Ok(()) } else { output.flush() });
        written.is_ok()
    });
    match written.and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(ExitCode::Done),
        written => written?,
    }
    read?;
    Ok(ExitCode::Done)
}

fn answer(Asked { id, request }: Asked<'_>) -> String {
    let id = print::json(id);
    let fields = match request.and_then(|request| rated(&request).map_err(|error| error.to_string())) {
        Ok(fields) => fields,
        Err(problem) => json!({ "error": problem }),
    };
    let fields = print::json(&fields.to_string());
    format!("{{\"id\":{id},{}", fields.strip_prefix('{').unwrap_or_default())
}

fn rated(request: &PriceRequest) -> Result<serde_json::Value, RatingError> {
    let PriceRequest { price, currency, quantity } = request;
    let lines = price.rate(*quantity, *currency)?;
    Ok(json!({
        "amount_minor": amount_of(&lines, *currency)?.minor,
        "exact_amount_minor": exact_of(&lines)?.to_string(),
        "currency": currency.code(),
        "lines": lines.iter().map(|line| line_json(line, "")).collect::<Vec<_>>(),
    }))
}
