//! Behaviour of an account as a whole.
