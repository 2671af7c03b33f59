//! Control totals, and the files of the set.
//!
//! In: the control totals of a report, the files that were written. Out: two tables.

use maud::{Markup, html};

use crate::domain::report::Report;
use crate::render::csv_file::WrittenFile;
use crate::render::html::table::{Cell, Column, Sort, Table};

const ROWS_SHOWN: usize = 120;

pub fn controls(report: &Report) -> Markup {
    let all: Vec<_> = report
        .controls
        .0
        .iter()
        .flat_map(|(meter, measures)| measures.iter().map(move |(measure, total)| (meter, measure, total)))
        .collect();
    let rows = all.iter().take(ROWS_SHOWN).map(|(meter, measure, total)| {
        let records = measure.counts_records();
        vec![
            Cell::code(*meter),
            Cell::code(measure.as_str()),
            if records { Cell::number(&total.records) } else { Cell::text("units only") },
            Cell::number(&total.quantity),
        ]
    });
    let table = Table {
        caption: "No record and no unit is lost between the ledger and the bill".to_owned(),
        columns: vec![
            Column("Meter", Sort::Text),
            Column("Measure", Sort::Text),
            Column("Usage records", Sort::Number),
            Column("Units", Sort::Number),
        ],
        rows: rows.collect(),
        all: Some((all.len(), "control_totals.csv")),
        nothing: "The ledger holds no usage of this period.",
    };
    html! {
        p { "In usage records: accepted = in_window + late + excluded + parked, less what is lost. In units: used = free + billed + "
            "capped + parked." }
        (table.markup())
    }
}

pub fn of_set(files: &[WrittenFile]) -> Markup {
    let row = |file: &WrittenFile| {
        vec![
            Cell::code(&file.name),
            Cell::number(&file.rows),
            Cell::number(&file.bytes),
            Cell::code(&file.sha256),
        ]
    };
    let table = Table {
        caption: "Files beside this page".to_owned(),
        columns: vec![
            Column("File", Sort::Text),
            Column("Rows", Sort::Number),
            Column("Bytes", Sort::Number),
            Column("SHA-256", Sort::Text),
        ],
        rows: files.iter().map(row).collect(),
        all: None,
        nothing: "There are no files beside this page.",
    };
    html! {
        (table.markup())
        p { "This page itself is listed in " code { "SHA256SUMS" } " and " code { "manifest.json" }
            "; " code { "billrecon verify RUN" } " proves all of them." }
    }
}
