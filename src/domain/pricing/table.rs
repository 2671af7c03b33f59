//! Every simulated bill as a row of a file.
//!
//! In: a fleet and its bills at each offer. Out: one table. Never computes a figure.

use std::borrow::Cow;

use crate::domain::pricing::bill::{Bill, Fleet};
use crate::domain::pricing::simulate::{Offer, Simulated};
use crate::domain::report::{Cell, Table};

const COLUMNS: &[&str] = &[
    "candidate",
    "period",
    "tenant_id",
    "plan",
    "interval",
    "meter",
    "window_start",
    "window_end",
    "currency",
    "used",
    "usage_amount_minor",
    "bill_minor",
    "bill_in_force_minor",
    "change_minor",
    "next_plan_bill_minor",
    "better_on_next_plan",
    "shock",
];

/// In the order of the offers, then of the fleet.
pub fn table<'a>(meter: &'a str, fleet: &'a Fleet<'a>, offers: &'a [(Vec<Simulated>, Offer)]) -> Table<'a> {
    let rows = offers.iter().flat_map(move |(simulated, offer)| {
        let bills = fleet.bills.iter().zip(simulated);
        bills.map(move |(bill, one)| row(offer, meter, bill, one))
    });
    Table { name: "simulation", columns: COLUMNS, rows: Box::new(rows) }
}

fn row<'a>(offer: &Offer, meter: &'a str, bill: &Bill<'a>, one: &Simulated) -> Vec<Cell<'a>> {
    let text = |text: &'a str| Cell::Text(Cow::Borrowed(text));
    let minor = |minor: i64| Cell::Number(minor.to_string());
    vec![
        Cell::Text(Cow::Owned(offer.to_string())),
        Cell::Number(bill.period.to_string()),
        text(bill.tenant_id),
        text(&bill.plan.key),
        text(bill.plan.interval.as_str()),
        text(meter),
        Cell::Instant(bill.window.start.to_string()),
        Cell::Instant(bill.window.end.to_string()),
        text(bill.plan.currency.code()),
        Cell::Number(bill.used.to_string()),
        minor(one.usage_minor),
        minor(one.bill_minor),
        minor(bill.in_force_minor),
        minor(one.change_minor),
        Cell::Number(bill.next_plan_minor.map(|next| next.to_string()).unwrap_or_default()),
        Cell::Number(match bill.next_plan_minor {
            Some(_) => one.is_better_on_next_plan.to_string(),
            None => String::new(),
        }),
        Cell::Number(one.is_shock.to_string()),
    ]
}
