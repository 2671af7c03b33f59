//! Manners: how an account misbehaves, so that a client can be tried against Stripe's worst days.
//!
//! In: a script, as values. Out: values that the rest of the sandbox asks. The default is no misbehaviour at all. Never
//! a random source and never the wall clock: what happens follows from the script and from what is asked.

/// One hour, unless the account's settings say otherwise.
const DRAFT: i64 = 3_600;

#[derive(Clone, Debug)]
pub struct Manners {
    /// How many seconds a renewal invoice stays a draft; Stripe allows up to 72 hours.
    pub draft_seconds: i64,
}

impl Default for Manners {
    fn default() -> Self {
        Self { draft_seconds: DRAFT }
    }
}
