//! billrecon closes usage-billing periods and proves them: see `ARCHITECTURE.md` for the map and the walkthroughs.
//!
//! Imports point one way: `main → commands → job → {ingest, store, render, notify} → domain`; `tests/it/tidy`
//! holds that.

pub mod analytics;
pub mod cli;
pub mod commands;
pub mod config;
pub mod domain;
pub mod exit_code;
pub mod ingest;
pub mod job;
pub mod notify;
pub mod render;
pub mod sandbox;
pub mod schedule;
pub mod store;
pub mod stripe;
