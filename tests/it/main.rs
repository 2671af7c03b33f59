//! The one integration binary: the real program, real databases.
mod tidy;
