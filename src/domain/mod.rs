//! The pure core, in reading order = the way of the data: number → money → period → tenant → catalog → usage →
//! rating → figures → decide → report → audit.
//!
//! In: values. Out: values. Never a database, network, file, environment variable or clock: `now` is an argument.

pub mod audit;
pub mod catalog;
pub mod controls;
pub mod decide;
pub mod figures;
pub mod intent;
pub mod invoice;
pub mod money;
pub mod number;
pub mod period;
pub mod rating;
pub mod reconcile;
pub mod report;
pub mod tenant;
pub mod usage;
