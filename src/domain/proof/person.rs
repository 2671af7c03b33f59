//! Who typed a command, by the operating system's word.
//!
//! In: a number and a name, or their text. Out: whether two of them are one person. Never asks the system itself: whoever
//! runs a job must not be taken for another because a variable says so.

use std::fmt;

/// `name (uid 1000)`; in a container the number may have no name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OsUser {
    pub uid: u32,
    pub name: String,
}

impl OsUser {
    pub fn parse(text: &str) -> Option<Self> {
        let (name, rest) = text.split_once("(uid ").or_else(|| Some(("", text.strip_prefix("uid ")?)))?;
        let uid = rest.strip_suffix(')').unwrap_or(rest).parse().ok()?;
        Some(Self { uid, name: name.trim_end().to_owned() })
    }

    /// Machines number their users each for itself, so a name says more; without one the number has to do.
    pub fn is(&self, other: &Self) -> bool {
        if self.name.is_empty() || other.name.is_empty() {
            return self.uid == other.uid;
        }
        self.name == other.name
    }
}

impl fmt::Display for OsUser {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { uid, name } = self;
        if name.is_empty() { write!(out, "uid {uid}") } else { write!(out, "{name} (uid {uid})") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(text: &str) -> OsUser {
        OsUser::parse(text).unwrap()
    }

    #[test]
    fn a_user_is_read_back_as_it_was_written() {
        for text in ["ada (uid 1000)", "uid 1000", "a b (uid 0)"] {
            assert_eq!(user(text).to_string(), text);
        }
        for text in ["", "ada", "ada (uid x)", "ada (uid 1000) "] {
            assert_eq!(OsUser::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn names_tell_people_apart_and_numbers_only_where_there_is_no_name() {
        assert!(user("ada (uid 1000)").is(&user("ada (uid 1001)")));
        assert!(!user("ada (uid 1000)").is(&user("bob (uid 1000)")));
        assert!(user("ada (uid 1000)").is(&user("uid 1000")));
        assert!(!user("uid 1001").is(&user("uid 1000")));
    }
}
