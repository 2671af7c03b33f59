//! What a data file adds up to.
//!
//! In: the rows of a table, one after the other. Out: the sum of each column of minor units, by currency. Adds up what stands in
//! the file and nothing else: a cell that is empty or says `n/a` counts for nothing. Nothing is added across currencies.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use crate::domain::report::Cell;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Where such columns stand, and the currency.
    columns: Vec<(usize, &'static str)>,
    currency: usize,
    by_column: BTreeMap<&'static str, BTreeMap<String, i128>>,
}

impl Sums {
    pub fn of(columns: &[&'static str]) -> Self {
        let Some(currency) = columns.iter().position(|column| *column == "currency") else {
            return Self::default();
        };
        let is_minor = |column: &str| column.ends_with("amount_minor") && column != "exact_amount_minor";
        let summed = columns.iter().copied().enumerate().filter(|(_, column)| is_minor(column));
        Self { columns: summed.collect(), currency, by_column: BTreeMap::new() }
    }

    /// The rows of a file are fewer than 2⁶⁴ and their cells 64 bits wide, so no sum can be too large.
    pub fn add(&mut self, row: &[Cell<'_>]) {
        let Some(currency) = row.get(self.currency).map(Cell::text) else { return };
        for (at, column) in &self.columns {
            let minor = row.get(*at).and_then(|cell| cell.text().parse::<i128>().ok());
            if let Some(minor) = minor {
                let by_currency = self.by_column.entry(column).or_default();
                let sum = by_currency.entry(currency.to_owned()).or_default();
                *sum = sum.saturating_add(minor);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.by_column.is_empty()
    }
}

impl Serialize for Sums {
    /// As text: a reader of JSON may know no integers beyond 2⁵³.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let texts = |by_currency: &BTreeMap<String, i128>| -> BTreeMap<String, String> {
            by_currency.iter().map(|(currency, minor)| (currency.clone(), minor.to_string())).collect()
        };
        serializer.collect_map(self.by_column.iter().map(|(column, sums)| (column, texts(sums))))
    }
}
