//! Pushes by day.
//!
//! In: what was planned to be sent, by day and meter. Out: a chart for each meter and a table.

use std::collections::BTreeMap;

use jiff::Span;
use maud::{Markup, html};

use crate::domain::report::Report;
use crate::domain::report::page::PushDay;
use crate::render::html::chart::{About, Colour, Plane, plane};
use crate::render::html::table::{Cell, Column, Sort, Table};
use crate::render::html::words::{clean, grouped};

const METERS_DRAWN: usize = 6;
/// The end of the calendar is farther.
const DAYS_MAX: i64 = 10_000;
const ROWS_SHOWN: usize = 150;

pub fn by_day(report: &Report) -> Markup {
    if report.page.pushes.is_empty() {
        return html! {
            p.nothing { "Nothing was planned to be sent to Stripe for this period: it was only observed, or there was no usage." }
        };
    }
    let mut by_meter: BTreeMap<&str, Vec<&PushDay>> = BTreeMap::new();
    for one in &report.page.pushes {
        by_meter.entry(&one.meter).or_default().push(one);
    }
    let row = |one: &PushDay| {
        let units = if report.is_gauge(&one.meter) {
            Cell::text("readings do not add up")
        } else {
            Cell::number(&one.quantity)
        };
        vec![
            Cell::text(one.day.to_string()),
            Cell::code(&one.meter),
            Cell::number(&one.pushes),
            Cell::number(&one.records),
            units,
        ]
    };
    let table = Table {
        caption: "What was planned to be sent, by day (UTC) and meter".to_owned(),
        columns: vec![
            Column("Day", Sort::Text),
            Column("Meter", Sort::Text),
            Column("Pushes", Sort::Number),
            Column("Usage records", Sort::Number),
            Column("Units", Sort::Number),
        ],
        rows: report.page.pushes.iter().take(ROWS_SHOWN).map(row).collect(),
        all: None,
        nothing: "Nothing was planned to be sent.",
    };
    html! {
        p { "By the day of the run that planned it; whether it arrived is told by the comparison above." }
        @for (index, (meter, days)) in by_meter.iter().take(METERS_DRAWN).enumerate() { (chart(index, meter, days)) }
        @if by_meter.len() > METERS_DRAWN { p.more { "The first " (METERS_DRAWN) " of " (by_meter.len()) " meters are drawn." } }
        (table.markup())
        @if report.page.pushes.len() > ROWS_SHOWN {
            p.more { "The first " (ROWS_SHOWN) " of " (report.page.pushes.len()) " rows; the others are in the database only." }
        }
    }
}

fn chart(index: usize, meter: &str, days: &[&PushDay]) -> Markup {
    let records = |one: &PushDay| i64::try_from(one.records).unwrap_or(i64::MAX);
    let Some(first) = days.first().map(|one| one.day) else { return html! {} };
    let place = |one: &PushDay| i64::from((one.day - first).get_days());
    let columns: Vec<_> = days.iter().map(|one| (place(one), records(one), Colour::Main)).collect();
    let words: Vec<String> =
        days.iter().take(31).map(|one| format!("{} on {}", one.records, one.day)).collect();
    let meter = clean(meter);
    let about = About {
        id: format!("pushes-{index}"),
        title: format!("Usage records of {meter} by the day of their push"),
        description: format!("Usage records by day: {}.", words.join(", ")),
    };
    let name = |at: i64| first.saturating_add(Span::new().days(at.clamp(0, DAYS_MAX))).to_string();
    let drawing = Plane {
        x_labels: columns.last().map_or(1, |(last, ..)| usize::try_from(last + 1).unwrap_or(1)).min(6),
        lines: Vec::new(),
        columns,
        marks: Vec::new(),
        levels: Vec::new(),
        x_name: "day of the run",
        x_label: &name,
        y_label: &|records| grouped(&records.to_string()),
    };
    html! { h3 { code { (meter) } } figure { (plane(&about, &drawing)) } }
}
