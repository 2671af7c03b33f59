//! CSV headers: which column is which.
//!
//! In: a header row, the required and optional names. Out: positions by name. Never guesses a column: a missing or
//! double name is an error that shows what was found and what may have been meant.

use std::collections::BTreeMap;

/// How many letters a name may be off to be taken for another.
const TYPING_ERRORS: usize = 2;

/// Positions of the columns by name.
#[derive(Debug)]
pub struct Header {
    pub names: Vec<String>,
    positions: BTreeMap<String, usize>,
}

impl Header {
    pub fn new(names: Vec<String>, required: &[&str]) -> Result<Self, String> {
        let mut positions = BTreeMap::new();
        for (position, name) in names.iter().enumerate() {
            if positions.insert(name.clone(), position).is_some() {
                return Err(format!("the header names the column `{name}` twice"));
            }
        }
        let missing: Vec<&&str> = required.iter().filter(|name| !positions.contains_key(**name)).collect();
        if missing.is_empty() {
            return Ok(Self { names, positions });
        }
        let hints: Vec<String> = missing.iter().map(|name| hint(name, &names)).collect();
        Err(format!("the header lacks {}; it has: {}", hints.join(", "), names.join(", ")))
    }

    pub fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }
}

fn hint(missing: &str, names: &[String]) -> String {
    let close =
        names.iter().find(|name| strsim::damerau_levenshtein(missing, &name.to_lowercase()) <= TYPING_ERRORS);
    match close {
        Some(name) => format!("`{missing}` (is `{name}` meant?)"),
        None => format!("`{missing}`"),
    }
}
