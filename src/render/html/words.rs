//! Numbers and names as the page shows them.
//!
//! In: exact decimal text, names that people chose. Out: the same with digits in groups of three, and without characters that
//! could change what stands around them. Never rounds.

use crate::domain::money::MinorSum;
use crate::domain::text::printable;

/// Characters of a name that are shown; the whole stands in the data files.
const NAME_SHOWN: usize = 80;
/// A narrow space at which no line is broken.
const GROUP: char = '\u{202f}';

/// `-1234567.50` as `-1 234 567.50`; what is no number stays.
pub fn grouped(number: &str) -> String {
    let (sign, rest) = number.strip_prefix('-').map_or(("", number), |rest| ("-", rest));
    let (whole, fraction) = rest.split_once('.').map_or((rest, None), |(whole, part)| (whole, Some(part)));
    if whole.is_empty() || !whole.bytes().all(|byte| byte.is_ascii_digit()) {
        return number.to_owned();
    }
    let mut text = sign.to_owned();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(GROUP);
        }
        text.push(digit);
    }
    fraction.map(|fraction| format!("{text}.{fraction}")).unwrap_or(text)
}

/// `1 234.50 TRY`
pub fn money(sum: MinorSum) -> String {
    format!("{}\u{a0}{}", grouped(&sum.to_string()), sum.currency.code().to_uppercase())
}

/// A name that cannot change what stands around it, cut where it is too long for a table.
pub fn name(text: &str) -> String {
    let mut shown: String = printable(text).chars().take(NAME_SHOWN).collect();
    if text.chars().nth(NAME_SHOWN).is_some() {
        shown.push('…');
    }
    shown
}

/// The same of a text of ours that may hold such a name.
pub fn clean(text: &str) -> String {
    printable(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        for (number, shown) in [
            ("0", "0"),
            ("999", "999"),
            ("-1234.5", "-1\u{202f}234.5"),
            ("1234567", "1\u{202f}234\u{202f}567"),
            ("n/a", "n/a"),
            ("", ""),
            ("2026-10", "2026-10"),
        ] {
            assert_eq!(grouped(number), shown);
        }
    }

    #[test]
    fn a_name_cannot_turn_the_text_around_it() {
        assert_eq!(name("a\u{202e}b\0c\nd\u{2066}e"), "a\u{fffd}b\u{fffd}c\u{fffd}d\u{fffd}e");
        assert_eq!(name("Åsa 🙂 ağ"), "Åsa 🙂 ağ");
        assert_eq!(name(&"x".repeat(10_000)).chars().count(), NAME_SHOWN + 1);
    }
}
