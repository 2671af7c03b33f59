//! A table of the page: headers with a scope, cells that sort by their exact value, a box of its own to scroll in.
//!
//! In: a caption, columns, rows of cells. Out: markup. A table without rows is a sentence.

use maud::{Markup, html};

use crate::domain::money::MinorSum;
use crate::domain::report::page::Said;
use crate::render::html::words::{clean, grouped, money, name};

/// A longer table has a box of its own on a screen.
const TALL: usize = 15;

/// How a column sorts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Text,
    Number,
}

pub struct Column(pub &'static str, pub Sort);

pub enum Cell {
    Text(String),
    /// An id or a word of the data files.
    Code(String),
    /// What a person chose to be called, with its id.
    Tenant {
        id: String,
        name: String,
    },
    /// As it is shown, and as it sorts.
    Number {
        shown: String,
        key: String,
    },
    Other(Markup),
}

impl Cell {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub fn code(text: impl Into<String>) -> Self {
        Self::Code(text.into())
    }

    pub fn tenant(id: &str, name: &str) -> Self {
        Self::Tenant { id: id.to_owned(), name: name.to_owned() }
    }

    pub fn number(number: &impl ToString) -> Self {
        let key = number.to_string();
        Self::Number { shown: grouped(&key), key }
    }

    /// `None` is "not known", which is not 0.
    pub fn known(number: Option<impl ToString>) -> Self {
        number.map_or(Self::text("unknown"), |number| Self::number(&number))
    }

    pub fn money(sum: MinorSum) -> Self {
        Self::Number { shown: money(sum), key: sum.to_string() }
    }

    pub fn said(said: Said) -> Self {
        match said {
            Said::Nothing(text) => Self::Text(text),
            Said::Number(number) => Self::number(&number),
            Said::Percent { text, number } => Self::Number { shown: text, key: number },
            Said::Money { amount } => Self::money(amount),
        }
    }
}

pub struct Table {
    pub caption: String,
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<Cell>>,
    /// How many rows there are in all, and the file that holds them.
    pub all: Option<(usize, &'static str)>,
    /// What is said where there is no row.
    pub nothing: &'static str,
}

impl Table {
    pub fn markup(&self) -> Markup {
        if self.rows.is_empty() {
            return html! { p.nothing { (self.nothing) } };
        }
        html! {
            div.scroll.tall[self.rows.len() > TALL] tabindex="0" role="group" aria-label=(self.caption) {
                table.sorts {
                    caption { (self.caption) }
                    thead { tr {
                        @for Column(title, sort) in &self.columns {
                            th scope="col" .n[*sort == Sort::Number] data-sort=(sort.word()) { (title) }
                        }
                    } }
                    tbody { @for row in &self.rows { (self.row(row)) } }
                }
            }
            @if let Some((all, file)) = self.all.filter(|(all, _)| *all > self.rows.len()) {
                p.more { "The first " (grouped(&self.rows.len().to_string())) " of " (grouped(&all.to_string()))
                    "; all are in " code { (file) } "." }
            }
        }
    }
}

impl Table {
    /// The first cell names the row.
    fn row(&self, row: &[Cell]) -> Markup {
        html! { tr {
            @for (index, (cell, Column(_, sort))) in row.iter().zip(&self.columns).enumerate() {
                @if index == 0 {
                    th scope="row" .n[*sort == Sort::Number] data-v=[key(cell)] { (content(cell)) }
                } @else {
                    td .n[*sort == Sort::Number] data-v=[key(cell)] { (content(cell)) }
                }
            }
        } }
    }
}

impl Sort {
    fn word(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Number => "number",
        }
    }
}

/// Only where it is another than what is shown.
fn key(cell: &Cell) -> Option<&str> {
    match cell {
        Cell::Number { shown, key } if shown != key => Some(key),
        _ => None,
    }
}

fn content(cell: &Cell) -> Markup {
    html! {
        @match cell {
            Cell::Text(text) => { (clean(text)) },
            Cell::Code(text) => { @if !text.is_empty() { code { bdi { (name(text)) } } } },
            Cell::Tenant { id, name: called } => {
                code { bdi { (name(id)) } }
                @if !called.is_empty() && called != id { " " bdi.called { (name(called)) } }
            },
            Cell::Number { shown, .. } => { (shown) },
            Cell::Other(markup) => { (markup) },
        }
    }
}
