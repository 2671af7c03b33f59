//! The Stripe adapter against a server of our own on a loopback port that behaves well, badly, or not at all.
//!
//! In: scripted answers. Out: what the adapter made of them, and every request that it really sent. Waits between
//! attempts are none and timeouts are short, so no test depends on how fast the machine is.

mod catalog;
mod direct;
pub mod fake;
mod invoices;
mod makers;
mod pace;
mod recording;
mod sending;
mod simulated;
mod stopping;
mod tls;
mod transport;
mod unread;

use std::time::Duration;

use billrecon::domain::period::Window;
use billrecon::stripe::{Limits, Stripe, Target};
use secrecy::SecretString;

use fake::Fake;

/// The key of every test: it must never be seen anywhere but in the Authorization header.
const CANARY: &str = "sk_test_canary51HbQyzGoldenSecret";

fn limits() -> Limits {
    Limits { first_wait: Duration::ZERO, longest_wait: Duration::ZERO, ..Limits::default() }
}

fn stripe(fake: &Fake) -> Stripe {
    stripe_within(fake, limits())
}

fn stripe_within(fake: &Fake, limits: Limits) -> Stripe {
    Stripe::with_limits(target(&fake.url()), limits).unwrap()
}

fn target(api_base: &str) -> Target {
    Target { api_base: api_base.to_owned(), api_key: SecretString::from(CANARY) }
}

fn october() -> Window {
    Window { start: "2026-10-01T00:00:00Z".parse().unwrap(), end: "2026-11-01T00:00:00Z".parse().unwrap() }
}
