//! The sheet of totals: formulas over the other sheets, with the result that the files give beside them for who does not recalculate.
//!
//! In: the rows of the data sheets as they pass by. Out: for each currency the sums of whole minor units, and from them the amounts.
//! Nothing is added across currencies. A sum that a sheet cannot make, because rows or digits do not fit it, is text and says so.

use std::collections::{BTreeMap, BTreeSet};

use rust_xlsxwriter::utility::column_number_to_name;
use rust_xlsxwriter::{Formula, Worksheet, XlsxError};

use crate::domain::money::{Currency, MinorSum};
use crate::domain::report::Cell;
use crate::render::xlsx::looks::Looks;
use crate::render::xlsx::number::is_exact_sum;
use crate::render::xlsx::sheet::Filled;

/// One kind of total.
struct Total {
    words: &'static str,
    sheet: &'static str,
    column: &'static str,
    /// Only rows whose cell in a column is, or is not, a word.
    only: Option<(&'static str, bool, &'static str)>,
}

const fn all(words: &'static str, sheet: &'static str, column: &'static str) -> Total {
    Total { words, sheet, column, only: None }
}

/// Of the rows that were compared: what is out of scope has one side only.
const fn compared(words: &'static str, column: &'static str) -> Total {
    Total { words, sheet: "reconciliation", column, only: Some(("class", false, "out_of_scope")) }
}

/// In the order of the sheet. The first four are on the cover too.
const TOTALS: &[Total] = &[
    Total { words: "base fees", sheet: "lines", column: "amount_minor", only: Some(("kind", true, "base")) },
    Total {
        words: "usage at candidate prices",
        sheet: "lines",
        column: "amount_minor",
        only: Some(("kind", false, "base")),
    },
    all("all lines", "lines", "amount_minor"),
    all("late usage", "adjustments", "late_amount_minor"),
    all("base fees, by plan", "summary", "base_amount_minor"),
    all("usage, by plan", "summary", "usage_amount_minor"),
    all("all lines, by plan", "summary", "total_amount_minor"),
    all("what came late, as it was closed", "adjustments", "original_amount_minor"),
    all("what came late, restated", "adjustments", "restated_amount_minor"),
    all("used of windows that were still open", "accruals", "amount_minor"),
    compared("compared, by the ledger", "ledger_amount_minor"),
    compared("compared, by Stripe", "stripe_amount_minor"),
    compared("difference, Stripe less ledger", "difference_amount_minor"),
    all("difference that nothing explains", "reconciliation", "unexplained_amount_minor"),
    all("exceptions with money", "exceptions", "amount_minor"),
    all("forecast", "forecast", "forecast_amount_minor"),
];
pub const ON_THE_COVER: usize = 4;

#[derive(Default)]
struct Sum {
    minor: i128,
    /// Of the amounts without their signs: no order of adding goes beyond it.
    sizes: u128,
}

/// Which columns of a sheet make which totals.
pub struct Summed {
    total: usize,
    at: usize,
    currency: usize,
    only: Option<(usize, bool, &'static str)>,
}

/// Sums as the rows pass by.
#[derive(Default)]
pub struct Tally {
    sums: BTreeMap<(Currency, usize), Sum>,
    /// Totals of sheets that lack rows.
    lacking: BTreeSet<usize>,
}

/// What of a table is summed.
pub fn summed(name: &str, columns: &[&str]) -> Vec<Summed> {
    let find = |wanted: &str| columns.iter().position(|column| *column == wanted);
    let of_table = TOTALS.iter().enumerate().filter(|(_, total)| total.sheet == name);
    let summed = of_table.filter_map(|(number, total)| {
        let only = match total.only {
            Some((column, is, word)) => Some((find(column)?, is, word)),
            None => None,
        };
        Some(Summed { total: number, at: find(total.column)?, currency: find("currency")?, only })
    });
    summed.collect()
}

impl Tally {
    pub fn add(&mut self, summed: &[Summed], row: &[Cell<'_>]) {
        let text = |at: usize| row.get(at).map_or("", Cell::text);
        for one in summed {
            let counts = one.only.is_none_or(|(at, is, word)| (text(at) == word) == is);
            let (Ok(minor), Ok(currency)) =
                (text(one.at).parse::<i64>(), Currency::parse(text(one.currency)))
            else {
                continue;
            };
            if counts {
                let sum = self.sums.entry((currency, one.total)).or_default();
                sum.minor = sum.minor.saturating_add(minor.into());
                sum.sizes = sum.sizes.saturating_add(minor.unsigned_abs().into());
            }
        }
    }

    /// The sheet whose rows make a total, or why they do not.
    fn over<'f>(&self, number: usize, sum: &Sum, filled: &'f [Filled]) -> Result<&'f Filled, &'static str> {
        match filled.iter().find(|one| one.name == TOTALS[number].sheet) {
            Some(_) if !is_exact_sum(sum.sizes) => Err("too many digits for a sheet"),
            Some(range) if !self.lacking.contains(&number) => Ok(range),
            _ => Err("not all rows fit the sheet"),
        }
    }

    /// A row of the table is not on its sheet.
    pub fn lacks(&mut self, summed: &[Summed]) {
        self.lacking.extend(summed.iter().map(|one| one.total));
    }
}

const HEADER: [(&str, u16); 8] = [
    ("total", 40),
    ("currency", 10),
    ("decimals", 10),
    ("sheet", 16),
    ("column", 26),
    ("sum in minor units", 20),
    ("amount", 20),
    ("rows", 44),
];
const MINOR: u16 = 5;
const AMOUNT: u16 = 6;
const ROWS: u16 = 7;

/// Where the amount of a total stands, and what it is.
pub struct Line {
    pub words: &'static str,
    pub amount: MinorSum,
    pub cell: String,
}

/// The sheet, and the lines that the cover repeats.
pub fn sheet(tally: &Tally, filled: &[Filled], looks: &Looks) -> Result<(Worksheet, Vec<Line>), XlsxError> {
    let mut sheet = Worksheet::new();
    sheet.set_name("totals")?;
    for (at, (words, width)) in (0..).zip(HEADER) {
        sheet.write_string_with_format(0, at, words, &looks.header)?;
        sheet.set_column_width(at, width)?;
    }
    let mut lines = Vec::new();
    for (row, ((currency, number), sum)) in (1u32..).zip(&tally.sums) {
        let total = &TOTALS[*number];
        let amount = MinorSum { minor: sum.minor, currency: *currency };
        write(&mut sheet, row, total, amount, tally.over(*number, sum, filled), looks)?;
        if *number < ON_THE_COVER {
            lines.push(Line { words: total.words, amount, cell: format!("=totals!G{}", row + 1) });
        }
    }
    sheet.set_freeze_panes(1, 0)?;
    sheet.set_landscape().set_paper_size(9).set_print_fit_to_pages(1, 0);
    Ok((sheet, lines))
}

/// A formula over the rows of a sheet, or the reason why it cannot be one.
fn write(
    sheet: &mut Worksheet,
    row: u32,
    total: &Total,
    amount: MinorSum,
    over: Result<&Filled, &str>,
    looks: &Looks,
) -> Result<(), XlsxError> {
    let currency = amount.currency;
    for (at, text) in [(0, total.words), (1, currency.code()), (3, total.sheet), (4, total.column)] {
        sheet.write_string_with_format(row, at, text, &looks.text)?;
    }
    sheet.write_number_with_format(row, 2, currency.exponent(), looks.number(0))?;
    let words = match over {
        Ok(range) => {
            let formula = Formula::new(sum_of(total, range, row)).set_result(amount.minor.to_string());
            sheet.write_formula_with_format(row, MINOR, formula, looks.number(0))?;
            let formula = Formula::new(format!("=F{0}/10^C{0}", row + 1)).set_result(amount.to_string());
            let decimals = usize::try_from(currency.exponent()).unwrap_or_default();
            sheet.write_formula_with_format(row, AMOUNT, formula, looks.number(decimals))?;
            rows_in_words(total)
        }
        Err(why) => {
            sheet.write_string_with_format(row, MINOR, amount.minor.to_string(), &looks.text)?;
            sheet.write_string_with_format(row, AMOUNT, amount.to_string(), &looks.text)?;
            format!("no formula, {why}: see {}.csv", total.sheet)
        }
    };
    sheet.write_string_with_format(row, ROWS, words, &looks.text).map(drop)
}

fn sum_of(total: &Total, range: &Filled, row: u32) -> String {
    let column = |wanted: &str| {
        let at = range.columns.iter().position(|column| *column == wanted).unwrap_or_default();
        let letters = column_number_to_name(u16::try_from(at).unwrap_or_default());
        format!("{0}!${letters}$2:${letters}${1}", range.name, range.rows.max(1) + 1)
    };
    let mut formula = format!("=SUMIFS({},{},$B{}", column(total.column), column("currency"), row + 1);
    if let Some((of, is, word)) = total.only {
        let sign = if is { "" } else { "<>" };
        formula = format!("{formula},{},\"{sign}{word}\"", column(of));
    }
    formula + ")"
}

fn rows_in_words(total: &Total) -> String {
    match total.only {
        None => "all rows in that currency".to_owned(),
        Some((column, true, word)) => format!("rows in that currency whose {column} is {word}"),
        Some((column, false, word)) => format!("rows in that currency whose {column} is not {word}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::report::Table;
    use crate::render::xlsx::sheet::fill;

    /// What the total of all lines comes to and what it is made of, where a sheet ends at `last_row`.
    fn all_lines(amounts: &[&str], last_row: u32) -> (Filled, i128, Result<String, &'static str>) {
        let row = |amount: &&str| {
            let cell = |text: &str| Cell::Text(text.to_owned().into());
            vec![cell("base"), Cell::Number((*amount).to_owned()), cell("try")]
        };
        let columns = &["kind", "amount_minor", "currency"];
        let table = Table { name: "lines", columns, rows: Box::new(amounts.iter().map(row)) };
        let (looks, mut tally) = (Looks::new(), Tally::default());
        let filled = fill(table, &looks, &mut tally, last_row).unwrap();
        let number = TOTALS.iter().position(|total| total.words == "all lines").unwrap();
        let sum = &tally.sums[&(Currency::parse("try").unwrap(), number)];
        let over = tally.over(number, sum, std::slice::from_ref(&filled));
        let over = over.map(|range| sum_of(&TOTALS[number], range, 4));
        sheet(&tally, std::slice::from_ref(&filled), &looks).unwrap();
        (filled, sum.minor, over)
    }

    #[test]
    fn a_total_is_a_formula_over_all_rows() {
        let (filled, sum, over) = all_lines(&["1", "-5", "3"], 1_048_575);
        assert_eq!((filled.rows, filled.left_out, sum), (3, 0, -1));
        assert_eq!(over.unwrap(), "=SUMIFS(lines!$B$2:$B$4,lines!$C$2:$C$4,$B5)");
    }

    #[test]
    fn rows_beyond_the_end_of_a_sheet_are_counted_and_their_total_is_the_files() {
        let (filled, sum, over) = all_lines(&["1", "2", "3", "4"], 4);
        assert_eq!((filled.rows, filled.left_out), (3, 1));
        assert_eq!((sum, over), (10, Err("not all rows fit the sheet")));
    }

    #[test]
    fn a_sum_that_a_float_may_not_hold_is_no_formula() {
        let most = "999999999999999";
        assert!(all_lines(&[most], 9).2.is_ok());
        let (_, sum, over) = all_lines(&[most, "-999999999999999", "1"], 9);
        assert_eq!((sum, over), (1, Err("too many digits for a sheet")));
    }
}
