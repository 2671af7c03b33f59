//! Ids: what proves a cause, as many of it as a person looks at.
//!
//! In: all of the ids. Out: their text in `evidence`, and back. Never a part that looks like the whole: of what is left out the
//! number is told.

use std::fmt;

/// As many as a person looks at; all are in the ledger.
const MOST: usize = 8;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ids {
    first: Vec<String>,
    more: usize,
}

impl Ids {
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.extend(other.first);
        Self { more: self.more + other.more, ..self }
    }

    /// Those of an evidence, which begins with the id of what is compared.
    pub fn of_evidence(evidence: &str) -> Self {
        let words: Vec<&str> = evidence.split(' ').skip(1).collect();
        let (ids, more) = match words[..] {
            [ref ids @ .., "and", more, "more"] => (ids, more.parse().unwrap_or(0)),
            ref ids => (ids, 0),
        };
        Self { first: ids.iter().map(|id| (*id).to_owned()).collect(), more }
    }

    fn extend(&mut self, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            if self.first.len() < MOST {
                self.first.push(id);
            } else {
                self.more += 1;
            }
        }
    }
}

impl FromIterator<String> for Ids {
    fn from_iter<I: IntoIterator<Item = String>>(all: I) -> Self {
        let mut ids = Self::default();
        ids.extend(all);
        ids
    }
}

/// Each after a space.
impl fmt::Display for Ids {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.iter().try_for_each(|id| write!(out, " {id}"))?;
        if self.more > 0 { write!(out, " and {} more", self.more) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: usize) -> Ids {
        (0..count).map(|number| format!("e{number}")).collect()
    }

    #[test]
    fn what_is_left_out_is_counted_and_survives_its_text() {
        assert_eq!(format!("mtr_1{}", ids(2)), "mtr_1 e0 e1");
        assert_eq!(format!("mtr_1{}", ids(10)), "mtr_1 e0 e1 e2 e3 e4 e5 e6 e7 and 2 more");
        for count in [0, 1, 8, 9, 5000] {
            assert_eq!(Ids::of_evidence(&format!("mtr_1{}", ids(count))), ids(count), "{count}");
        }
        assert!(ids(5).and(ids(10)).to_string().ends_with(" e4 e0 e1 e2 and 7 more"));
    }
}
