//! Looks: how cells of the workbook are shown.
//!
//! In: nothing. Out: formats by what a cell is for, and which words have which colour. A colour repeats what a word says and
//! never says it alone.

use rust_xlsxwriter::{
    Color, ConditionalFormatCell, ConditionalFormatCellRule, Format, FormatAlign, FormatBorder, Worksheet,
    XlsxError,
};

const FILL: Color = Color::RGB(0x001F_3A5F);

/// The most decimals that a number in a cell has.
const MOST_DECIMALS: usize = 15;

pub struct Looks {
    pub header: Format,
    pub text: Format,
    pub title: Format,
    pub label: Format,
    /// Long text in a cell of its own.
    pub words: Format,
    pub line: Format,
    /// By the number of decimals, which an amount has from its currency.
    numbers: Vec<Format>,
}

impl Looks {
    pub fn new() -> Self {
        let text = Format::new().set_num_format("@");
        let number = |decimals: usize| {
            let point = if decimals == 0 { "" } else { "." };
            Format::new().set_num_format(format!("#,##0{point}{}", "0".repeat(decimals)))
        };
        Self {
            header: Format::new()
                .set_bold()
                .set_font_color(Color::White)
                .set_background_color(FILL)
                .set_align(FormatAlign::Top),
            title: Format::new().set_bold().set_font_size(18),
            label: Format::new().set_bold().set_align(FormatAlign::Top),
            words: text.clone().set_text_wrap().set_align(FormatAlign::Top).set_align(FormatAlign::Left),
            line: Format::new().set_border_bottom(FormatBorder::Thin),
            numbers: (0..=MOST_DECIMALS).map(number).collect(),
            text,
        }
    }

    pub fn number(&self, decimals: usize) -> &Format {
        &self.numbers[decimals.min(MOST_DECIMALS)]
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Good,
    Warning,
    Bad,
    Aside,
}

impl Colour {
    pub const ALL: [(Self, &str); 4] = [
        (Self::Good, "agrees or passes"),
        (Self::Warning, "somebody should look"),
        (Self::Bad, "differs, fails or is not billed"),
        (Self::Aside, "not compared"),
    ];

    /// As Excel itself colours good, neutral and bad cells: dark text on a light ground.
    pub fn format(self) -> Format {
        let (ground, text) = match self {
            Self::Good => (0x00C6_EFCE, 0x0000_6100),
            Self::Warning => (0x00FF_EB9C, 0x007F_4F00),
            Self::Bad => (0x00FF_C7CE, 0x009C_0006),
            Self::Aside => (0x00E7_E6E6, 0x0044_4444),
        };
        Format::new().set_background_color(Color::RGB(ground)).set_font_color(Color::RGB(text))
    }

    /// Of a word in a column of a data file.
    fn words(file: &str, column: &str) -> &'static [(&'static str, Self)] {
        match (file, column) {
            ("reconciliation", "class") => &[
                ("matched", Self::Good),
                ("quantity_mismatch", Self::Bad),
                ("amount_mismatch", Self::Bad),
                ("missing_in_stripe", Self::Bad),
                ("missing_in_ledger", Self::Bad),
                ("incomplete", Self::Warning),
                ("out_of_scope", Self::Aside),
            ],
            ("decision", "passed") | ("trend", "met") => &[("true", Self::Good), ("false", Self::Bad)],
            ("exceptions", "kind") => &[
                ("parked", Self::Bad),
                ("unbillable", Self::Bad),
                ("lost", Self::Bad),
                ("quarantined", Self::Warning),
                ("unvalued", Self::Warning),
                ("jump", Self::Warning),
                ("resolved", Self::Good),
            ],
            ("lines", "window_status") => &[("open", Self::Warning)],
            ("limit_events", "change") => &[("new", Self::Warning)],
            _ => &[],
        }
    }
}

/// Colours the words of a column in the given rows.
pub fn colour(
    sheet: &mut Worksheet,
    file: &str,
    column: &str,
    at: u16,
    last_row: u32,
) -> Result<(), XlsxError> {
    for (word, colour) in Colour::words(file, column) {
        let rule = ConditionalFormatCell::new()
            .set_rule(ConditionalFormatCellRule::EqualTo(*word))
            .set_format(colour.format());
        sheet.add_conditional_format(1, at, last_row, at, &rule)?;
    }
    Ok(())
}
