//! The cover of the workbook: what a person has to know before the figures, and where they sign.
//!
//! In: a report, facts about its run, lines of the totals. Out: a sheet to be printed on one page. Text of strangers is made
//! printable. Never a figure that is not on another sheet.

use rust_xlsxwriter::{Formula, Worksheet, XlsxError};

use crate::domain::figures::WindowStatus;
use crate::domain::report::Report;
use crate::domain::text::printable;
use crate::render::Facts;
use crate::render::xlsx::looks::{Colour, Looks};
use crate::render::xlsx::sheet::Filled;
use crate::render::xlsx::totals::Line;

/// Characters that the merged cells show on one line, and its height in points.
const ON_A_LINE: usize = 88;
const LINE: u32 = 15;
const MOST_LINES: usize = 20;
const SIGNERS: [&str; 3] = ["prepared by", "reviewed by", "approved by"];

pub fn sheet(
    report: &Report,
    facts: &Facts,
    lines: &[Line],
    filled: &[Filled],
    looks: &Looks,
) -> Result<Worksheet, XlsxError> {
    let mut page = Page { sheet: Worksheet::new(), row: 0, looks };
    page.sheet.set_name("cover")?;
    for (at, width) in [(0, 26), (1, 40), (2, 22), (3, 30)] {
        page.sheet.set_column_width(at, width)?;
    }
    page.sheet.write_string_with_format(0, 0, "Billing reconciliation", &looks.title)?;
    page.sheet.write_string_with_format(0, 2, printable(&facts.mode), &looks.title)?;
    page.row = 2;
    page.verdict(facts)?;
    page.about(report, facts)?;
    page.money(lines)?;
    page.signatures(facts)?;
    page.legend(filled)?;
    page.sheet.set_paper_size(9).set_print_fit_to_pages(1, 1);
    Ok(page.sheet)
}

struct Page<'a> {
    sheet: Worksheet,
    row: u32,
    looks: &'a Looks,
}

impl Page<'_> {
    fn line(&mut self, label: &str, text: &str) -> Result<(), XlsxError> {
        self.sheet.write_string_with_format(self.row, 0, label, &self.looks.label)?;
        let text = printable(text);
        self.sheet.merge_range(self.row, 1, self.row, 3, &text, &self.looks.words)?;
        let lines = text.chars().count().div_ceil(ON_A_LINE).clamp(1, MOST_LINES);
        self.sheet.set_row_height(self.row, u32::try_from(lines).unwrap_or(1) * LINE)?;
        self.row += 1;
        Ok(())
    }

    fn verdict(&mut self, facts: &Facts) -> Result<(), XlsxError> {
        let (words, colour) = match facts.verdict.as_deref() {
            Some("GO") => ("GO: the price can go live", Colour::Good),
            Some("REVIEW") => ("REVIEW: a person has to decide", Colour::Warning),
            Some("NO_GO") => ("NO GO: the price must not go live", Colour::Bad),
            Some(_) => ("INSUFFICIENT DATA: nobody can say yet", Colour::Warning),
            None => ("NO VERDICT: the period is open, figures are provisional", Colour::Aside),
        };
        let look = colour.format().set_bold().set_text_wrap();
        self.sheet.write_string_with_format(self.row, 0, "verdict", &self.looks.label)?;
        self.sheet.merge_range(self.row, 1, self.row, 3, words, &look)?;
        self.row += 1;
        for reason in &facts.reasons {
            self.line("why", reason)?;
        }
        Ok(())
    }

    fn about(&mut self, report: &Report, facts: &Facts) -> Result<(), XlsxError> {
        let windows = [WindowStatus::Closed, WindowStatus::Open, WindowStatus::Parked];
        let [closed, open, parked] = windows.map(|status| report.count(status));
        let differences = report.comparison.iter().filter(|row| row.is_difference()).count();
        let recorded =
            report.ledger.recorded_at.map(|at| format!(", the newest of {at}")).unwrap_or_default();
        self.line("period", &format!("{} ({})", report.period, facts.period_status))?;
        self.line("mode", &facts.mode)?;
        self.line("Stripe account", &facts.account_id)?;
        self.line("windows", &format!("{closed} closed, {open} open, {parked} parked"))?;
        self.line("differences", &format!("{differences}"))?;
        self.line("exceptions", &format!("{}", report.exceptions.len()))?;
        self.line("ledger", &format!("{} records{recorded}", report.ledger.records))?;
        self.line("run", &facts.run_id)?;
        self.line("started", &facts.started_at)?;
        self.line("run by", &format!("{} ({})", facts.os_user, facts.holder))?;
        self.line("code", &format!("billrecon {}", facts.code_version))?;
        self.line("catalog, SHA-256", &facts.catalog_hash)?;
        self.line("rules, SHA-256", &facts.rules_hash)?;
        self.line("tolerances", &facts.tolerances)?;
        self.line("bounds", &facts.bounds)?;
        self.line("time zone", &facts.time_zone)?;
        self.row += 1;
        Ok(())
    }

    fn money(&mut self, lines: &[Line]) -> Result<(), XlsxError> {
        for (at, words) in [(0, "currency"), (1, "total"), (2, "amount")] {
            self.sheet.write_string_with_format(self.row, at, words, &self.looks.header)?;
        }
        self.row += 1;
        for line in lines {
            let currency = line.amount.currency;
            let shown = currency.code().to_uppercase();
            self.sheet.write_string_with_format(self.row, 0, shown, &self.looks.text)?;
            self.sheet.write_string_with_format(self.row, 1, line.words, &self.looks.text)?;
            let formula = Formula::new(&line.cell).set_result(line.amount.to_string());
            let decimals = usize::try_from(currency.exponent()).unwrap_or_default();
            self.sheet.write_formula_with_format(self.row, 2, formula, self.looks.number(decimals))?;
            self.row += 1;
        }
        if lines.is_empty() {
            self.line("none", "the period has no line with money")?;
        }
        self.row += 1;
        Ok(())
    }

    fn signatures(&mut self, facts: &Facts) -> Result<(), XlsxError> {
        for (at, words) in [(0, "sign-off"), (1, "name"), (2, "date"), (3, "signature")] {
            self.sheet.write_string_with_format(self.row, at, words, &self.looks.header)?;
        }
        self.row += 1;
        for signer in SIGNERS {
            self.sheet.write_string_with_format(self.row, 0, signer, &self.looks.label)?;
            for at in 1..=3 {
                self.sheet.write_blank(self.row, at, &self.looks.line)?;
            }
            self.sheet.set_row_height(self.row, 26)?;
            self.row += 1;
        }
        let command = format!("billrecon approve {} --by NAME --note TEXT", facts.run_id);
        self.line("in the audit log", &command)?;
        self.row += 1;
        Ok(())
    }

    fn legend(&mut self, filled: &[Filled]) -> Result<(), XlsxError> {
        self.line(
            "sheets",
            "totals are formulas over the sheets; each other sheet is the CSV file of its name",
        )?;
        for one in filled.iter().filter(|one| one.left_out > 0) {
            let words = format!("{} rows do not fit and stand in {}.csv only", one.left_out, one.name);
            self.line(one.name, &words)?;
        }
        self.line("amounts", "numbers of more than 15 digits are text; the CSV files are exact")?;
        for (colour, words) in Colour::ALL {
            self.sheet.write_string_with_format(self.row, 1, words, &colour.format())?;
            self.row += 1;
        }
        Ok(())
    }
}
