//! The figures that the page of a report shows beside those of the data files: ranks, shares and sums.
//!
//! In: a report. Out: what a table or a chart of the page needs, exact and in a fixed order. Nothing is added across
//! currencies or meters. Never a text for people, and never more than is asked for: the rest stands in the data files.

mod differences;
mod pushes;
mod quota;
mod said;
mod sums;

pub use differences::{ClassSum, worst_first};
pub use pushes::PushDay;
pub use quota::{Buckets, QuotaUse};
pub use said::Said;
pub use sums::{ExceptionSum, MeterSum, Payer};
