//! Text of strangers, made so that nothing in it acts where it is shown: in a file, on a page, in a message.
//!
//! In: text from outside. Out: the same text with U+FFFD in the place of each character that is not there to be read. Never
//! shortens it, and never judges what the visible characters may mean to a program: that is up to who prints them.

use std::borrow::Cow;

/// Nothing of the result breaks a line, turns the direction of reading or hides.
///
/// The joiners U+200C and U+200D stay after a character beyond ASCII: Persian names and emoji are written with them.
pub fn printable(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
        return Cow::Borrowed(text);
    }
    let mut is_joinable = false;
    let shown: String = text
        .chars()
        .map(|one| {
            let is_joiner = matches!(one, '\u{200c}' | '\u{200d}');
            let acts = if is_joiner { !is_joinable } else { acts(one) };
            is_joinable = !is_joiner && !acts && !one.is_ascii();
            if acts { char::REPLACEMENT_CHARACTER } else { one }
        })
        .collect();
    if shown == text { Cow::Borrowed(text) } else { Cow::Owned(shown) }
}

/// As a shell reads it back, as one word: for commands that somebody copies.
pub fn shell_word(text: &str) -> Cow<'_, str> {
    let is_plain = |one: char| one.is_ascii_alphanumeric() || "._-/@".contains(one);
    if !text.is_empty() && !text.starts_with('-') && text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', "'\\''")))
}

/// Control characters, marks of direction, line and paragraph separators, what has no width, and what is no character at all.
fn acts(one: char) -> bool {
    one.is_control()
        || matches!(
            one,
            '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{fffe}'..='\u{ffff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_there_to_be_read_stays() {
        for text in [
            "",
            "acme",
            "Ärger ılık",
            "日本",
            "🧾",
            "👩\u{200d}🚀",
            "می\u{200c}خواهم",
            "a\u{fe0f}",
            "\u{fffd}",
        ] {
            assert!(matches!(printable(text), Cow::Borrowed(same) if same == text), "{text:?}");
        }
    }

    #[test]
    fn a_tenants_id_is_one_word_to_a_shell() {
        assert_eq!(shell_word("acme-1.eu"), "acme-1.eu");
        assert_eq!(shell_word("a b"), "'a b'");
        assert_eq!(shell_word("it's"), "'it'\\''s'");
        assert_eq!(shell_word("-x"), "'-x'");
    }

    #[test]
    fn what_acts_is_shown_as_a_replacement_character() {
        let acting = "\0\t\n\r\u{1b}\u{7f}\u{85}\u{9b}\u{61c}\u{200b}\u{200e}\u{200f}\u{2028}\u{2029}\u{202a}\u{202e}\
                      \u{2060}\u{2066}\u{2069}\u{feff}\u{ffff}\u{e0041}";
        for one in acting.chars() {
            assert_eq!(printable(&format!("ä{one}b")), "ä\u{fffd}b", "{one:?}");
        }
        // A joiner joins nothing to a letter of ASCII, at the start, or twice.
        assert_eq!(printable("a\u{200d}b"), "a\u{fffd}b");
        assert_eq!(printable("\u{200c}b"), "\u{fffd}b");
        assert_eq!(printable("ä\u{200d}\u{200d}b"), "ä\u{200d}\u{fffd}b");
    }

    proptest! {
        #[test]
        fn as_many_characters_come_out_and_twice_is_as_once(text in any::<String>()) {
            let shown = printable(&text);
            prop_assert_eq!(shown.chars().count(), text.chars().count());
            prop_assert!(!shown.chars().any(acts));
            prop_assert_eq!(printable(&shown), shown.clone());
        }
    }
}
