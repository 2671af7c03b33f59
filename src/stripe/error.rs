//! What can go wrong between us and Stripe, and how foreign text is made fit to be shown.
//!
//! In: statuses, codes and messages from outside. Out: one [`StripeError`], whose texts are short, free of control
//! characters and free of keys. It never decides whether a request is repeated: `retry` does.

use secrecy::{ExposeSecret, SecretString};

/// Longer messages are cut: a report line is no place for a page of HTML.
const SHOWN_CHARS: usize = 300;
/// Codes and request ids are short; a longer one is none.
const WORD_CHARS: usize = 100;
/// A shorter key is one of a sandbox (`x`, `test`); to strike it out would spoil ordinary words.
const SECRET_BYTES: usize = 8;
/// How Stripe's secrets begin wherever they stand, also glued to other text.
const KEY_STARTS: [&str; 7] =
    ["sk_live_", "sk_test_", "rk_live_", "rk_test_", "whsec_", "pk_live_", "pk_test_"];
/// The same where a word begins; elsewhere these three letters are part of ordinary words (`task_`, `risk_`).
const KEY_WORDS: [&str; 2] = ["sk_", "rk_"];

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StripeError {
    /// 401 or 403: no other request would fare better.
    #[error(
        "Stripe refused the key ({status}): {message}{}; check the key and what it is permitted to do",
        request(request_id)
    )]
    Unauthorized { status: u16, message: String, request_id: String },
    /// Another 4xx: this request is wrong as it stands.
    #[error("Stripe refused the request ({status}{}): {message}{}", coded(code), request(request_id))]
    Refused { status: u16, code: String, message: String, request_id: String },
    /// 429, again and again.
    #[error("Stripe is limiting our rate: {message}{}; run again later", request(request_id))]
    RateLimited { message: String, request_id: String },
    /// No answer, or one of a server in trouble.
    #[error("Stripe cannot be reached or is in trouble: {why}{}; run again later", request(request_id))]
    Unavailable { status: Option<u16>, why: String, request_id: String },
    /// An answer that we do not understand; `what` names the field.
    #[error("Stripe's answer cannot be understood: {what}{}", request(request_id))]
    Undecodable { what: String, request_id: String },
    #[error("Stripe settings: {0}")]
    Configuration(String),
}

impl StripeError {
    /// Whether every other request would fail alike, so that the run has to stop.
    pub fn concerns_all(&self) -> bool {
        matches!(self, Self::Unauthorized { .. } | Self::Configuration(_))
    }

    /// Stripe's id of the failed request; empty where there is none.
    pub fn request_id(&self) -> &str {
        match self {
            Self::Unauthorized { request_id, .. }
            | Self::Refused { request_id, .. }
            | Self::RateLimited { request_id, .. }
            | Self::Unavailable { request_id, .. }
            | Self::Undecodable { request_id, .. } => request_id,
            Self::Configuration(_) => "",
        }
    }
}

fn request(request_id: &str) -> String {
    if request_id.is_empty() { String::new() } else { format!(" (request {request_id})") }
}

fn coded(code: &str) -> String {
    if code.is_empty() { String::new() } else { format!(", {code}") }
}

/// Makes text from outside fit to be shown: no key, no control character, not long.
pub(super) fn shown(text: &str, key: &SecretString) -> String {
    let own = key.expose_secret();
    let secret = own.len() >= SECRET_BYTES;
    let text = if secret { text.replace(own, REDACTED) } else { text.to_owned() };
    shortened(&without_keys(&text), SHOWN_CHARS)
}

/// The same for a code or an id.
pub(super) fn shown_word(text: &str, key: &SecretString) -> String {
    shortened(&shown(text, key), WORD_CHARS)
}

const REDACTED: &str = "[redacted]";

fn without_keys(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut before: Option<char> = None;
    while let Some(first) = rest.chars().next() {
        let starts_word = before.is_none_or(|one| !one.is_alphanumeric());
        let starts_key = KEY_STARTS.iter().any(|start| rest.starts_with(start))
            || (starts_word && KEY_WORDS.iter().any(|start| rest.starts_with(start)));
        if starts_key {
            let end = rest.find(|one: char| !is_of_a_key(one)).unwrap_or(rest.len());
            out.push_str(REDACTED);
            rest = &rest[end..];
            before = Some(']');
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
            before = Some(first);
        }
    }
    out
}

/// Stripe masks keys with stars itself.
fn is_of_a_key(one: char) -> bool {
    one.is_ascii_alphanumeric() || matches!(one, '_' | '*')
}

fn shortened(text: &str, limit: usize) -> String {
    let clean = |one: char| if one.is_control() { ' ' } else { one };
    let mut short: String = text.chars().take(limit).map(clean).collect();
    if text.chars().nth(limit).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown_by(key: &str, text: &str) -> String {
        shown(text, &SecretString::from(key))
    }

    #[test]
    fn nothing_that_looks_like_a_key_is_shown() {
        for (text, expected) in [
            ("Invalid API Key provided: sk_test_****1234", "Invalid API Key provided: [redacted]"),
            ("(rk_live_51abc) and whsec_abc.", "([redacted]) and [redacted]."),
            ("key=sk_51abc", "key=[redacted]"),
            ("gluedsk_live_51abc", "glued[redacted]"),
            ("a risk_level of task_1", "a risk_level of task_1"),
            ("own secret hunter2-hunter2 shown", "own secret [redacted] shown"),
        ] {
            assert_eq!(shown_by("hunter2-hunter2", text), expected);
        }
    }

    #[test]
    fn a_shown_text_is_one_short_line() {
        assert_eq!(shown_by("a", "a\r\nb\u{1b}[31m"), "a  b [31m");
        let long = "é".repeat(400);
        assert_eq!(shown_by("", &long).chars().count(), SHOWN_CHARS + 1);
        // The key is taken out before the text is cut, or half of it would stay.
        let at_the_edge = format!("{}sk_live_{}", "x".repeat(290), "y".repeat(40));
        assert!(!shown_by("", &at_the_edge).contains("sk_"));
    }
}
