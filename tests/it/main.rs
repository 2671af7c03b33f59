//! The one integration binary: the real program, real databases.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    reason = "a test fails by panicking, and reads its own settings"
)]

mod audit;
mod bad_input;
mod billing;
mod cli;
mod closing;
mod corrections;
mod decide;
mod deploy;
mod docs;
mod doctor;
mod dry_run;
mod examples;
mod explain;
mod files;
mod guard;
mod guards;
mod killed;
mod late;
mod limits;
mod own_ledger;
mod page;
mod parking;
mod peers;
mod price;
mod processes;
mod rate;
mod real_data;
mod sandbox;
mod scale;
mod scenarios;
mod signals;
mod simulation;
mod slack;
mod store_conformance;
mod stripe;
mod support;
mod tidy;
mod what_if;
mod windows;
