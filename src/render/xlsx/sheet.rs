//! A sheet with the rows of one data file.
//!
//! In: a table. Out: a sheet with its header, frozen and with filters, and its rows. Text is text, whatever it looks like; a number
//! is one where a float shows all its digits. What does not fit a sheet is counted, never dropped in silence.

use rust_xlsxwriter::{IgnoreError, Worksheet, XlsxError};

use crate::domain::report::{Cell, Table};
use crate::domain::text::printable;
use crate::render::xlsx::looks::{Looks, colour};
use crate::render::xlsx::number::exact;
use crate::render::xlsx::totals::{Tally, summed};

/// The last row of a sheet, counted from 0.
pub const LAST_ROW: u32 = 1_048_575;
/// UTF-16 units that a cell takes, less the words that tell of the rest.
const MOST_UNITS: usize = 32_700;
/// In characters.
const WIDTHS: std::ops::RangeInclusive<usize> = 8..=44;

/// A sheet, and what it holds.
pub struct Filled {
    pub sheet: Worksheet,
    pub name: &'static str,
    pub columns: &'static [&'static str],
    pub rows: u32,
    /// Rows of the file that are not in it.
    pub left_out: usize,
}

/// `last_row` is [`LAST_ROW`].
pub fn fill(table: Table<'_>, looks: &Looks, tally: &mut Tally, last_row: u32) -> Result<Filled, XlsxError> {
    let Table { name, columns, rows } = table;
    let mut sheet = Worksheet::new();
    sheet.set_name(name)?;
    let mut widths: Vec<usize> = columns.iter().map(|column| column.len() + 3).collect();
    for (at, column) in (0..).zip(columns) {
        sheet.write_string_with_format(0, at, *column, &looks.header)?;
    }
    let sums = summed(name, columns);
    let (mut filled, mut left_out) = (0, 0);
    for row in rows {
        tally.add(&sums, &row);
        // The last row is kept for the words about the rest.
        if filled + 1 >= last_row {
            left_out += 1;
            tally.lacks(&sums);
            continue;
        }
        filled += 1;
        for ((at, cell), width) in (0..).zip(&row).zip(&mut widths) {
            *width = (*width).max(cell.text().chars().take(*WIDTHS.end()).count() + 1);
            write(&mut sheet, filled, at, cell, name, looks)?;
        }
    }
    if left_out > 0 {
        let words = format!("{left_out} more rows do not fit a sheet: {name}.csv has them all");
        sheet.write_string_with_format(filled + 1, 0, words, &looks.label)?;
    }
    finish(&mut sheet, name, columns, &widths, filled)?;
    Ok(Filled { sheet, name, columns, rows: filled, left_out })
}

fn write(
    sheet: &mut Worksheet,
    row: u32,
    column: u16,
    cell: &Cell<'_>,
    name: &str,
    looks: &Looks,
) -> Result<(), XlsxError> {
    let text = cell.text();
    if text.is_empty() {
        return Ok(());
    }
    if let (Cell::Number(_), Some((number, decimals))) = (cell, exact(text)) {
        return sheet.write_number_with_format(row, column, number, looks.number(decimals)).map(drop);
    }
    sheet.write_string_with_format(row, column, cut(&printable(text), name), &looks.text).map(drop)
}

/// A cell takes no more.
fn cut(text: &str, name: &str) -> String {
    let mut units = 0;
    let fits = |one: &char| {
        units += one.len_utf16();
        units <= MOST_UNITS
    };
    let fitting: String = text.chars().take_while(fits).collect();
    if fitting.len() == text.len() {
        fitting
    } else {
        format!("{fitting}… (the rest stands in {name}.csv)")
    }
}

fn finish(
    sheet: &mut Worksheet,
    name: &str,
    columns: &[&str],
    widths: &[usize],
    filled: u32,
) -> Result<(), XlsxError> {
    let (last_row, last_column) = (filled.max(1), u16::try_from(columns.len()).unwrap_or(1).max(1) - 1);
    for ((at, column), width) in (0..).zip(columns).zip(widths) {
        let width = width.clamp(WIDTHS.start(), WIDTHS.end());
        sheet.set_column_width(at, u16::try_from(*width).unwrap_or_default())?;
        colour(sheet, name, column, at, last_row)?;
    }
    sheet.set_freeze_panes(1, 0)?;
    sheet.autofilter(0, 0, filled, last_column)?;
    // Ids that look like numbers are right as they are.
    sheet.ignore_error_range(1, 0, last_row, last_column, IgnoreError::NumberStoredAsText)?;
    sheet.set_landscape().set_paper_size(9).set_print_fit_to_pages(1, 0);
    sheet.set_repeat_rows(0, 0)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_text_too_long_for_a_cell_says_where_its_rest_is() {
        let long = "ä🧾".repeat(20_000);
        let cut = super::cut(&long, "exceptions");
        assert!(cut.encode_utf16().count() <= 32_767);
        let (start, end) = cut.split_once('…').unwrap();
        assert!(long.starts_with(start) && start.len() > 60_000);
        assert_eq!(end, " (the rest stands in exceptions.csv)");
        assert_eq!(super::cut("short", "lines"), "short");
    }
}
