//! The one integration binary: the real program, real databases.

mod closing;
mod support;
mod tidy;
