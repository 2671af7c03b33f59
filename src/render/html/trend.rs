//! How the metrics move from one closed period to the next.
//!
//! In: the trend rows of a judged report. Out: a chart of the shares for each pair of plan and meter, and a table of the newest
//! period beside the one before.

use std::collections::BTreeSet;

use maud::{Markup, html};

use crate::domain::metric::Metric;
use crate::domain::period::Period;
use crate::domain::ratio::Ratio;
use crate::domain::report::Report;
use crate::domain::report::page::Said;
use crate::domain::trend::{Target, TrendRow};
use crate::render::html::chart::{About, Colour, Line, Plane, plane};
use crate::render::html::metrics::text_of;
use crate::render::html::table::{Cell, Column, Sort, Table};
use crate::render::html::words::clean;

const PAIRS_DRAWN: usize = 4;
const ROWS_SHOWN: usize = 120;
const DRAWN: [(Metric, Colour); 3] = [
    (Metric::ShareAt100, Colour::Bad),
    (Metric::ShareAt80, Colour::Warn),
    (Metric::EnterpriseCandidateShare, Colour::Main),
];
/// Beside those that the policy has a rule for.
const TOLD: [Metric; 8] = [
    Metric::Tenants,
    Metric::ShareAt80,
    Metric::ShareAt100,
    Metric::MeanUsed,
    Metric::P95Linear,
    Metric::EnterpriseCandidates,
    Metric::WouldBeOverage,
    Metric::OverageShareOfPlanMrr,
];

pub fn over_periods(report: &Report) -> Markup {
    let rows = report.trend();
    let periods: BTreeSet<Period> = rows.iter().map(|row| row.period).collect();
    if rows.is_empty() {
        return html! { p.nothing { "An open period has no trend: it is not judged yet." } };
    }
    let pairs: BTreeSet<(&str, &str)> =
        rows.iter().map(|row| (row.plan.as_str(), row.meter.as_str())).collect();
    let ruled: BTreeSet<&str> = report
        .decision
        .iter()
        .filter(|row| !row.operator.is_empty())
        .map(|row| row.metric.as_str())
        .collect();
    let is_told = |row: &&TrendRow| {
        let named = Metric::of_row(&row.metric).is_some_and(|(metric, _)| TOLD.contains(&metric));
        row.period == report.period && (named || row.target.is_some() || ruled.contains(row.metric.as_str()))
    };
    let told: Vec<&TrendRow> = rows.iter().filter(is_told).collect();
    html! {
        @if periods.len() < 2 {
            p { "This is the first judged period, so there is nothing to compare it with." }
        } @else {
            @for (index, pair) in pairs.iter().take(PAIRS_DRAWN).enumerate() {
                (chart(index, *pair, &rows, &periods))
            }
            @if pairs.len() > PAIRS_DRAWN {
                p.more { "The first " (PAIRS_DRAWN) " of " (pairs.len()) " pairs of plan and meter are drawn." }
            }
        }
        (table(&told).markup())
        p.more { "Every metric of every period stands in " code { "trend.csv" } "." }
    }
}

fn chart(index: usize, (plan, meter): (&str, &str), rows: &[TrendRow], periods: &BTreeSet<Period>) -> Markup {
    let place = |period: &Period| (0i64..).zip(periods).find(|(_, one)| *one == period).map(|(at, _)| at);
    let line = |(metric, colour): (Metric, Colour)| {
        let of_metric =
            rows.iter().filter(|row| row.plan == plan && row.meter == meter && row.metric == metric.as_str());
        let point =
            |row: &TrendRow| Some((place(&row.period)?, Ratio::parse(&row.value).ok()?.thousandths()?));
        Line { name: metric.as_str().to_owned(), colour, points: of_metric.filter_map(point).collect() }
    };
    let lines: Vec<Line> = DRAWN.into_iter().map(line).filter(|line| !line.points.is_empty()).collect();
    if lines.is_empty() {
        return html! {};
    }
    let words = |metric: Metric| {
        let of_metric =
            rows.iter().filter(|row| row.plan == plan && row.meter == meter && row.metric == metric.as_str());
        let said: Vec<String> = of_metric
            .map(|row| format!("{} in {}", text_of(Said::of(&row.metric, &row.value)), row.period))
            .collect();
        format!("{}: {}", metric.as_str(), said.join(", "))
    };
    let told: Vec<String> = DRAWN.into_iter().map(|(metric, _)| words(metric)).collect();
    let about = About {
        id: format!("trend-{index}"),
        title: format!("Shares of {}, {} over closed periods", clean(plan), clean(meter)),
        description: format!("{}.", told.join("; ")),
    };
    let name = |at: i64| {
        let at = usize::try_from(at).ok();
        at.and_then(|at| periods.iter().nth(at)).map(ToString::to_string).unwrap_or_default()
    };
    let drawing = Plane {
        lines,
        columns: Vec::new(),
        marks: Vec::new(),
        levels: Vec::new(),
        x_name: "period",
        x_label: &name,
        y_label: &|share| format!("{} %", share / 10),
        x_labels: periods.len(),
    };
    html! {
        h3 { code { (clean(plan)) } ", " code { (clean(meter)) } }
        figure { (plane(&about, &drawing)) }
    }
}

fn table(rows: &[&TrendRow]) -> Table {
    let said = |row: &TrendRow, value: Option<&String>| {
        value.map_or(Cell::text("n/a"), |value| Cell::said(Said::of(&row.metric, value)))
    };
    let row = |row: &&TrendRow| {
        let share = row
            .change_share
            .map(|share| Cell::Number { shown: share.as_percent().to_string(), key: share.to_string() });
        vec![
            Cell::code(&row.metric),
            Cell::code(&row.plan),
            Cell::code(&row.meter),
            said(row, row.previous.as_ref()),
            said(row, Some(&row.value)),
            said(row, row.change.as_ref()),
            share.unwrap_or(Cell::text("n/a")),
            Cell::text(row.target.map_or("", Target::as_str)),
            Cell::text(row.met.map_or("", |met| if met { "✓ met" } else { "✗ not met" })),
        ]
    };
    Table {
        caption: "This period beside the closed one before".to_owned(),
        columns: vec![
            Column("Metric", Sort::Text),
            Column("Plan", Sort::Text),
            Column("Meter", Sort::Text),
            Column("Before", Sort::Number),
            Column("Now", Sort::Number),
            Column("Change", Sort::Number),
            Column("Of before", Sort::Number),
            Column("Target once live", Sort::Text),
            Column("Target", Sort::Text),
        ],
        rows: rows.iter().take(ROWS_SHOWN).map(row).collect(),
        all: Some((rows.len(), "trend.csv")),
        nothing: "No metric of this period is told of.",
    }
}
