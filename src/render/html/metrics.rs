//! Metrics against thresholds.
//!
//! In: the rows of the decision. Out: a table of those that the policy asks for, and one of all others.

use maud::{Markup, html};

use crate::domain::decide::DecisionRow;
use crate::domain::metric::Metric;
use crate::domain::report::Report;
use crate::domain::report::page::Said;
use crate::render::html::table::{Cell, Column, Sort, Table};
use crate::render::html::words::clean;

const RULES_SHOWN: usize = 150;
const OTHERS_SHOWN: usize = 250;

pub fn against_thresholds(report: &Report) -> Markup {
    let (ruled, others): (Vec<_>, Vec<_>) = report.decision.iter().partition(|row| !row.operator.is_empty());
    let ruled_table = Table {
        caption: "What the policy asks for".to_owned(),
        columns: vec![
            Column("Metric", Sort::Text),
            Column("Plan", Sort::Text),
            Column("Meter", Sort::Text),
            Column("Value", Sort::Number),
            Column("Asked", Sort::Text),
            Column("Result", Sort::Text),
            Column("Rule", Sort::Text),
            Column("Population", Sort::Number),
        ],
        rows: ruled.iter().take(RULES_SHOWN).map(|row| ruled_row(row, report.verdict.is_some())).collect(),
        all: Some((ruled.len(), "decision.csv")),
        nothing: "The policy has no rule for any plan of this period.",
    };
    let other_table = Table {
        caption: "For information".to_owned(),
        columns: vec![
            Column("Metric", Sort::Text),
            Column("Plan", Sort::Text),
            Column("Meter", Sort::Text),
            Column("Value", Sort::Number),
            Column("Population", Sort::Number),
        ],
        rows: others.iter().take(OTHERS_SHOWN).map(|row| other_row(row)).collect(),
        all: Some((others.len(), "decision.csv")),
        nothing: "There are no other metrics.",
    };
    html! {
        @if report.verdict.is_none() {
            p { "The period is open: these values are provisional, and no rule is applied to them." }
        }
        (ruled_table.markup())
        details { summary { "All other metrics" } (other_table.markup()) }
    }
}

fn ruled_row(row: &DecisionRow, is_judged: bool) -> Vec<Cell> {
    let asked = format!("{} {}", sign(&row.operator), text_of(Said::of(&row.metric, &row.threshold)));
    let (word, class) = match row.passed {
        _ if !is_judged => ("not judged", "muted"),
        Some(true) => ("✓ holds", "good"),
        Some(false) => ("✗ fails", if row.required { "bad" } else { "warn" }),
        None => ("n/a", "muted"),
    };
    vec![
        metric(row),
        Cell::code(&row.plan),
        Cell::code(&row.meter),
        Cell::said(Said::of(&row.metric, &row.value)),
        Cell::text(asked),
        Cell::Other(html! { span.mark.(class) { (word) } }),
        Cell::text(if row.required { "required" } else { "advisory" }),
        Cell::number(&row.population),
    ]
}

fn other_row(row: &DecisionRow) -> Vec<Cell> {
    vec![
        metric(row),
        Cell::code(&row.plan),
        Cell::code(&row.meter),
        Cell::said(Said::of(&row.metric, &row.value)),
        Cell::number(&row.population),
    ]
}

fn metric(row: &DecisionRow) -> Cell {
    let formula = Metric::of_row(&row.metric).map_or("", |(metric, _)| metric.formula());
    Cell::Other(html! { code { (clean(&row.metric)) } @if !formula.is_empty() { br; small { (formula) } } })
}

/// As it is said in a table.
pub fn text_of(said: Said) -> String {
    match Cell::said(said) {
        Cell::Text(text) | Cell::Number { shown: text, .. } => text,
        _ => String::new(),
    }
}

fn sign(operator: &str) -> &str {
    match operator {
        ">=" => "≥",
        "<=" => "≤",
        other => other,
    }
}
