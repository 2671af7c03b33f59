//! Which verdicts are told: all, those that say something new, or those for which somebody has something to do.
//!
//! In: what is said of a period, and what was said before. Out: whether it is told. Alerts are told whatever this says.

use crate::domain::decide::VerdictWord;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Notify {
    #[default]
    All,
    /// What says something else than what was said last.
    Changes,
    /// All but a `GO` of a period that is closed as a whole.
    Problems,
}

/// What is said of a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Said {
    pub word: VerdictWord,
    /// Tenants are parked.
    pub is_partial: bool,
}

impl Notify {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "all" => Some(Self::All),
            "changes" => Some(Self::Changes),
            "problems" => Some(Self::Problems),
            _ => None,
        }
    }

    /// `before`: of the newest period that was judged before, or of this one by an earlier run.
    pub fn tells(self, now: Said, before: Option<Said>) -> bool {
        match self {
            Self::All => true,
            Self::Changes => before != Some(now),
            Self::Problems => now.is_partial || now.word != VerdictWord::Go,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(word: VerdictWord, is_partial: bool) -> Said {
        Said { word, is_partial }
    }

    #[test]
    fn a_change_is_another_word_another_status_or_the_first_word_at_all() {
        let go = said(VerdictWord::Go, false);
        assert!(Notify::Changes.tells(go, None));
        assert!(!Notify::Changes.tells(go, Some(go)));
        assert!(Notify::Changes.tells(go, Some(said(VerdictWord::Go, true))));
        assert!(Notify::Changes.tells(go, Some(said(VerdictWord::NoGo, false))));
    }

    #[test]
    fn only_go_of_a_whole_period_is_no_problem() {
        assert!(!Notify::Problems.tells(said(VerdictWord::Go, false), None));
        assert!(Notify::Problems.tells(said(VerdictWord::Go, true), None));
        for word in [VerdictWord::Review, VerdictWord::NoGo, VerdictWord::InsufficientData] {
            assert!(Notify::Problems.tells(said(word, false), Some(said(word, false))));
        }
    }

    #[test]
    fn the_words_of_the_settings_are_three() {
        assert_eq!(Notify::parse("all"), Some(Notify::All));
        assert_eq!(Notify::parse("changes"), Some(Notify::Changes));
        assert_eq!(Notify::parse("problems"), Some(Notify::Problems));
        assert_eq!(Notify::parse("All"), None);
    }
}
