//! Ids: derived from what they name, never random, so that the same requests give the same ids.
//!
//! In: what is created, and the place in the account's history. Out: an id with Stripe's prefix.

use crate::domain::audit::sha256_hex;

/// Sixteen letters that stand for a text.
pub fn tag(text: &str) -> String {
    sha256_hex(text.as_bytes()).chars().take(16).collect()
}

pub fn derived(prefix: &str, text: &str) -> String {
    format!("{prefix}_{}", tag(text))
}
