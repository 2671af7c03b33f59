//! Analytics: fleet tables in polars, which joins, groups, ranks and counts the minor units that it is given.
//!
//! In: columns of plain integers. Out: one row of plain integers per group. It never prices and never adds money up: sums of
//! 64 bits wrap silently there. Nothing outside of this room names polars.

mod spread;

pub use spread::{Bills, Changes, Spread, spreads};

/// Polars refused what it was given: a fault in billrecon.
#[derive(Debug, thiserror::Error)]
#[error("the table of bills cannot be made: {0}")]
pub struct AnalyticsError(String);

impl From<polars::error::PolarsError> for AnalyticsError {
    fn from(error: polars::error::PolarsError) -> Self {
        Self(error.to_string())
    }
}
