//! Numbers of a workbook: the one place where a figure becomes a binary float, because the format knows no other number.
//!
//! In: a decimal as text. Out: the float that shows the same digits, and how many stand behind the point; or nothing where a
//! float would show others. Nothing is computed here, and nothing is read back from it.

/// So many decimal digits every double keeps.
const DIGITS: usize = 15;
/// The first whole number with more of them.
const TOO_LARGE: u128 = 1_000_000_000_000_000;

/// `None`: the text is no decimal, or has more digits than a double keeps; it is then written as text.
pub fn exact(text: &str) -> Option<(f64, usize)> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = unsigned.split_once('.').unwrap_or((unsigned, ""));
    let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !are_digits(whole) || !are_digits(fraction) || unsigned.ends_with('.') {
        return None;
    }
    let digits = format!("{whole}{}", fraction.trim_end_matches('0'));
    if digits.trim_start_matches('0').len() > DIGITS || fraction.len() > DIGITS {
        return None;
    }
    Some((text.parse().ok()?, fraction.len()))
}

/// Whether a sum of whole numbers stays one: of no more digits, however it is added up.
pub fn is_exact_sum(of_sizes: u128) -> bool {
    of_sizes < TOO_LARGE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fifteen_digits_are_a_number_and_sixteen_are_text() {
        assert_eq!(exact("999999999999999"), Some((999_999_999_999_999.0, 0)));
        assert_eq!(exact("-0.50"), Some((-0.5, 2)));
        assert_eq!(exact("000.000000000000001"), Some((0.000_000_000_000_001, 15)));
        assert_eq!(exact("1234567890123.500"), Some((1_234_567_890_123.5, 3)));
        for text in ["", "-", "n/a", "1e5", "1.", ".5", "+1", "=1", "1234567890123456", "0.1234567890123456"]
        {
            assert_eq!(exact(text), None, "{text}");
        }
        assert!(is_exact_sum(999_999_999_999_999) && !is_exact_sum(1_000_000_000_000_000));
    }
}
