//! `report.xlsx`: the data files as one workbook that a person can read, filter, recalculate and sign.
//!
//! In: a report, facts about its run. Out: the bytes of the workbook, the same for the same input: its time is that at which the
//! run began. It is made in memory. No cell is a formula but those of the totals, and no text becomes a link.

mod cover;
mod looks;
mod number;
mod sheet;
mod totals;

use jiff::Timestamp;
use rust_xlsxwriter::{DocProperties, ExcelDateTime, Workbook, XlsxError};

use crate::domain::report::{Report, Table};
use crate::render::xlsx::looks::Looks;
use crate::render::xlsx::sheet::{Filled, LAST_ROW};
use crate::render::xlsx::totals::Tally;
use crate::render::{Facts, RenderError};

pub fn workbook(report: &Report, facts: &Facts) -> Result<Vec<u8>, RenderError> {
    let tables = report.tables().map_err(RenderError::Figures)?;
    made(report, tables, facts, LAST_ROW).map_err(|error| RenderError::Workbook(error.to_string()))
}

fn made(report: &Report, tables: Vec<Table<'_>>, facts: &Facts, last_row: u32) -> Result<Vec<u8>, XlsxError> {
    let looks = Looks::new();
    let mut tally = Tally::default();
    let filled: Result<Vec<Filled>, XlsxError> =
        tables.into_iter().map(|table| sheet::fill(table, &looks, &mut tally, last_row)).collect();
    let filled = filled?;
    let (totals, lines) = totals::sheet(&tally, &filled, &looks)?;
    let mut workbook = Workbook::new();
    workbook.push_worksheet(cover::sheet(report, facts, &lines, &filled, &looks)?);
    workbook.push_worksheet(totals);
    for one in filled {
        workbook.push_worksheet(one.sheet);
    }
    let started = facts.started_at.parse::<Timestamp>().unwrap_or_default();
    let properties = DocProperties::new()
        .set_title(format!("Billing reconciliation {}", report.period))
        .set_creation_datetime(&ExcelDateTime::from_timestamp(started.as_second())?);
    workbook.set_properties(&properties);
    workbook.save_to_buffer()
}
