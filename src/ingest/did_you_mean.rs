//! What somebody may have meant.
//!
//! In: a word and the known ones. Out: the nearest of them as a hint, if one is near. Never replaces a word by another.

/// The known word that is nearest, when less than about a third of its letters are off.
pub fn closest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: String = word.chars().take(64).flat_map(char::to_lowercase).collect();
    let near = |one: &&str| strsim::damerau_levenshtein(&word, &one.to_lowercase());
    let nearest = known.into_iter().min_by_key(near)?;
    (near(&nearest) <= (nearest.len().min(word.len()) / 3).max(1)).then_some(nearest)
}

/// `: did you mean …?`, or all known words.
pub fn hint<'a>(word: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> String {
    match closest(word, known.clone()) {
        Some(meant) => format!("did you mean `{meant}`?"),
        None => format!("known are {}", known.into_iter().collect::<Vec<_>>().join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_word_leads_to_the_right_one_and_a_foreign_one_to_none() {
        let known = ["unit_amount", "unit_amount_decimal", "tiers", "tiers_mode", "up_to"];
        for (word, meant) in [
            ("unit_amont", Some("unit_amount")),
            ("unit_amount_decmial", Some("unit_amount_decimal")),
            ("tier_mode", Some("tiers_mode")),
            ("Tiers", Some("tiers")),
            ("upto", Some("up_to")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(closest(word, known), meant, "{word}");
        }
    }
}
