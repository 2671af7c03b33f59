//! What can go wrong between us and Stripe, and how foreign text is made fit to be shown.
//!
//! In: statuses, codes and messages from outside. Out: one [`StripeError`], whose texts are short, free of control
//! characters and free of keys. It never decides whether a request is repeated: `retry` does.

use std::fmt;

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
    Unauthorized { status: u16, message: String, request_id: String, hints: Hints },
    /// Another 4xx: this request is wrong as it stands.
    #[error("Stripe refused the request ({status}{}): {message}{}", coded(code), request(request_id))]
    Refused { status: u16, code: String, message: String, request_id: String, hints: Hints },
    /// 429, again and again.
    #[error("Stripe is limiting our rate ({reason}): {message}{}; run again later", request(request_id))]
    RateLimited { reason: RateLimit, message: String, request_id: String, hints: Hints },
    /// No answer, or one of a server in trouble.
    #[error("Stripe cannot be reached or is in trouble: {why}{}; run again later", request(request_id))]
    Unavailable { status: Option<u16>, why: String, request_id: String, hints: Hints },
    /// Nothing was sent: so many requests before this one failed alike.
    #[error(
        "{failures} requests in a row failed alike, so Stripe is asked nothing more in this run; the last of them: {last}"
    )]
    CircuitOpen { failures: u32, last: Box<StripeError> },
    /// An answer of success that we do not understand; `what` names the field.
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
            // Its last failure is another request's.
            Self::CircuitOpen { .. } | Self::Configuration(_) => "",
        }
    }

    /// Whether Stripe told an old trouble of its own again, because it had stored it under the request's key.
    pub(super) fn is_stored_trouble(&self) -> bool {
        matches!(self, Self::Unavailable { hints, .. } if hints.replayed)
    }
}

/// What the headers of an answer say about trying again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// `Stripe-Should-Retry`.
    pub should_retry: Option<bool>,
    /// `Idempotent-Replayed`: the answer was stored under the request's key, nothing was done now.
    pub replayed: bool,
}

/// Which limit a 429 speaks of: `Stripe-Rate-Limited-Reason`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RateLimit {
    GlobalRate,
    GlobalConcurrency,
    EndpointRate,
    EndpointConcurrency,
    /// One object has too much to do, or another request holds it.
    ResourceSpecific,
    /// A word that we do not know.
    Other(String),
    Unnamed,
}

const REASONS: [(&str, RateLimit); 5] = [
    ("global-rate", RateLimit::GlobalRate),
    ("global-concurrency", RateLimit::GlobalConcurrency),
    ("endpoint-rate", RateLimit::EndpointRate),
    ("endpoint-concurrency", RateLimit::EndpointConcurrency),
    ("resource-specific", RateLimit::ResourceSpecific),
];

impl RateLimit {
    /// `word` must be fit to be shown.
    pub(super) fn of(word: String) -> Self {
        match REASONS.into_iter().find(|(name, _)| *name == word) {
            Some((_, reason)) => reason,
            None if word.is_empty() => Self::Unnamed,
            None => Self::Other(word),
        }
    }
}

impl fmt::Display for RateLimit {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = REASONS.into_iter().find(|(_, reason)| reason == self).map(|(name, _)| name);
        match (self, name) {
            (_, Some(name)) => out.write_str(name),
            (Self::Other(word), None) => out.write_str(word),
            _ => out.write_str("no reason given"),
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
    fn each_reason_of_a_limit_keeps_its_word() {
        for (word, reason) in REASONS {
            assert_eq!((RateLimit::of(word.to_owned()), reason.to_string().as_str()), (reason.clone(), word));
        }
        assert_eq!(RateLimit::of("lunar-rate".to_owned()).to_string(), "lunar-rate");
        assert_eq!(RateLimit::of(String::new()), RateLimit::Unnamed);
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
