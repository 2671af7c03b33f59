//! How long the simulation of 50 prices over 100,000 tenants takes.
fn main() {}
