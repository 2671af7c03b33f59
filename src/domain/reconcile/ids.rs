//! Ids: what a row of the comparison speaks of and what proves its reason, in one text that can be taken apart again.
//!
//! In: ids as Stripe and the ledger have them. Out: the text of the column `evidence`, and from it the same ids. A source event
//! id may hold a space: inside of an id it is written `%20`, and a percent sign `%25`. Never changes anything else.

/// In their order, with a space between.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ids(String);

impl Ids {
    pub fn of<T: AsRef<str>>(ids: impl IntoIterator<Item = T>) -> Self {
        let written = ids.into_iter().map(|id| id.as_ref().replace('%', "%25").replace(' ', "%20"));
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
        self.0.split(' ').map(|id| id.replace("%20", " ").replace("%25", "%"))
    }

    /// The meter, invoice or subscription that the row speaks of.
    pub fn first(&self) -> String {
        self.iter().next().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_space_inside_of_an_id_parts_nothing() {
        let ids = Ids::of(["mtr_1", "call 7", "50%", "%20", "a%2520b"]);
        assert_eq!(ids.as_str(), "mtr_1 call%207 50%25 %2520 a%252520b");
        assert_eq!(ids.iter().collect::<Vec<_>>(), ["mtr_1", "call 7", "50%", "%20", "a%2520b"]);
        assert_eq!(Ids::of(["a b", "c"]).first(), "a b");
        assert_ne!(Ids::of(["a b"]), Ids::of(["a", "b"]));
    }

    proptest! {
        #[test]
        fn whatever_ids_hold_they_come_back(ids in prop::collection::vec("[ %025,\"\\PC]{0,6}", 1..5)) {
            let written = Ids::of(&ids);
            prop_assert_eq!(written.iter().collect::<Vec<_>>(), ids);
            prop_assert_eq!(Ids::written(written.as_str().to_owned()), written);
        }
    }
}
