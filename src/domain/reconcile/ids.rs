//! Ids: what a row of the comparison speaks of and what proves its reason, in one text that can be taken apart again.
//!
//! In: ids as Stripe and the ledger have them. Out: the text of the column `evidence`, and from it the same ids. A source event
//! id may hold a space: inside of an id it is written `%20`, a percent sign `%25`, and an id that is just `and` `%61nd`; what no
//! file may show, such as a mark that turns the direction of reading, is written as its bytes in the same way. Never a part that
//! looks like the whole: of proofs that are left out the number is told.

use std::fmt;

use crate::domain::text::printable;

/// As many proofs as a person looks at; all are in the ledger.
const MOST: usize = 8;

/// The text of the column `evidence`: ids with a space between, the one that the row speaks of first.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ids(String);

impl Ids {
    pub fn of<T: AsRef<str>>(ids: impl IntoIterator<Item = T>) -> Self {
        let written = ids.into_iter().map(|id| escaped(id.as_ref()));
        Self(written.collect::<Vec<String>>().join(" "))
    }

    /// As they stand in the database.
    pub fn written(text: String) -> Self {
        Self(text)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn iter(&self) -> impl Iterator<Item = String> {
        parts(&self.0).0.into_iter().map(unescaped)
    }

    /// The meter, invoice or subscription that the row speaks of.
    pub fn first(&self) -> String {
        self.iter().next().unwrap_or_default()
    }

    /// What proved its reason.
    pub fn proofs(&self) -> Proofs {
        let (_, more) = parts(&self.0);
        Proofs { first: self.iter().skip(1).collect(), more }
    }

    #[must_use]
    pub fn proven_by(&self, proofs: &Proofs) -> Self {
        Self(format!("{}{proofs}", self.0))
    }
}

/// The ids that prove a cause, as many of them as a person looks at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proofs {
    first: Vec<String>,
    more: usize,
}

impl Proofs {
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.extend(other.first);
        Self { more: self.more + other.more, ..self }
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

impl FromIterator<String> for Proofs {
    fn from_iter<I: IntoIterator<Item = String>>(all: I) -> Self {
        let mut proofs = Self::default();
        proofs.extend(all);
        proofs
    }
}

/// Each after a space.
impl fmt::Display for Proofs {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.first.iter().try_for_each(|id| write!(out, " {}", escaped(id)))?;
        if self.more > 0 { write!(out, " and {} more", self.more) } else { Ok(()) }
    }
}

/// The ids as they are written, and how many more there were.
fn parts(text: &str) -> (Vec<&str>, usize) {
    let mut words: Vec<&str> = text.split(' ').collect();
    if let [.., "and", more, "more"] = words[..] {
        let more = more.parse().unwrap_or(0);
        words.truncate(words.len() - 3);
        return (words, more);
    }
    (words, 0)
}

fn escaped(id: &str) -> String {
    if id == "and" {
        return "%61nd".to_owned();
    }
    let mut written = String::new();
    let mut bytes = [0; 4];
    for one in id.chars() {
        let shown = one.encode_utf8(&mut bytes);
        if matches!(one, '%' | ' ') || printable(shown) != *shown {
            written.extend(shown.bytes().map(|byte| format!("%{byte:02X}")));
        } else {
            written.push(one);
        }
    }
    written
}

fn unescaped(written: &str) -> String {
    let mut parts = written.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let code = part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok());
        match code {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend(&part.as_bytes()[2..]);
            }
            // Nobody writes it, and it is kept as it is.
            None => bytes.extend(format!("%{part}").as_bytes()),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn proofs(count: usize) -> Proofs {
        (0..count).map(|number| format!("e{number}")).collect()
    }

    #[test]
    fn what_is_left_out_is_counted_and_survives_its_text() {
        let meter = Ids::of(["mtr_1"]);
        assert_eq!(meter.proven_by(&proofs(2)).as_str(), "mtr_1 e0 e1");
        let of_ten = meter.proven_by(&proofs(10));
        assert_eq!(of_ten.as_str(), "mtr_1 e0 e1 e2 e3 e4 e5 e6 e7 and 2 more");
        assert_eq!(of_ten.iter().last().unwrap(), "e7");
        for count in [0, 1, 8, 9, 5000] {
            assert_eq!(meter.proven_by(&proofs(count)).proofs(), proofs(count), "{count}");
        }
        assert!(proofs(5).and(proofs(10)).to_string().ends_with(" e4 e0 e1 e2 and 7 more"));
    }

    #[test]
    fn a_space_inside_of_an_id_parts_nothing_and_no_id_counts_others() {
        let ids = Ids::of(["mtr_1", "call 7", "50%", "%20", "a%2520b"]);
        assert_eq!(ids.as_str(), "mtr_1 call%207 50%25 %2520 a%252520b");
        assert_eq!(ids.iter().collect::<Vec<_>>(), ["mtr_1", "call 7", "50%", "%20", "a%2520b"]);
        // What a file may not show can be told from anything else.
        let turned = Ids::of(["a\u{202e}b", "\u{0}", "👩\u{200d}👩"]);
        assert_eq!(turned.as_str(), "a%E2%80%AEb %00 👩%E2%80%8D👩");
        assert_eq!(turned.iter().collect::<Vec<_>>(), ["a\u{202e}b", "\u{0}", "👩\u{200d}👩"]);
        assert_eq!(Ids::of(["a b", "c"]).first(), "a b");
        assert_ne!(Ids::of(["a b"]), Ids::of(["a", "b"]));
        let words = Ids::of(["mtr_1", "and", "2", "more"]);
        assert_eq!(words.iter().collect::<Vec<_>>(), ["mtr_1", "and", "2", "more"]);
    }

    proptest! {
        #[test]
        fn whatever_ids_hold_they_come_back(ids in prop::collection::vec("(and|more|%61nd|[ %0125,\"\u{202e}\u{0}\u{200d}\\PC]{0,6})", 1..6)) {
            let written = Ids::of(&ids);
            prop_assert_eq!(written.iter().collect::<Vec<_>>(), ids.clone());
            prop_assert_eq!(&Ids::written(written.as_str().to_owned()), &written);
            let proofs: Proofs = ids.into_iter().collect();
            prop_assert_eq!(Ids::of(["mtr_1"]).proven_by(&proofs).proofs(), proofs);
        }
    }
}
