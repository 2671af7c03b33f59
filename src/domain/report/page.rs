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

use crate::domain::pricing::curve::PriceCurve;

/// What is in no data file, and is filled in where the page is made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PageData {
    /// What was planned to be sent for the period until the run's end, by day and meter.
    pub pushes: Vec<PushDay>,
    /// Of the plans in its windows.
    pub curves: Vec<PriceCurve>,
}
