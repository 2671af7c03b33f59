//! What the ledger and Stripe disagree about, and what a person should look at.
//!
//! In: the comparison and the exceptions of a report. Out: tables by class and by kind, a chart, the worst rows.

use std::collections::BTreeMap;

use maud::{Markup, html};

use crate::domain::money::{MinorSum, MoneyError};
use crate::domain::reconcile::{Age, Cause, Class, ReconciliationRow};
use crate::domain::report::Report;
use crate::domain::report::page::{ClassSum, worst_first};
use crate::render::html::chart::{About, Bar, Colour, bars};
use crate::render::html::table::{Cell, Column, Sort, Table};
use crate::render::html::words::grouped;

const WORST_SHOWN: usize = 20;
const EXCEPTIONS_SHOWN: usize = 50;

pub fn by_class(report: &Report) -> Result<Markup, MoneyError> {
    if report.comparison.is_empty() {
        return Ok(html! { p.nothing { "Nothing was compared with Stripe." } });
    }
    let sums = report.class_sums()?;
    let worst = worst_first(&report.comparison);
    let words = match worst.len() {
        0 => "No row differs.".to_owned(),
        count => {
            format!("{} rows differ, of {}.", grouped_count(count), grouped_count(report.comparison.len()))
        }
    };
    Ok(html! {
        p { (words) " Matched rows are equal to the unit and to the minor unit, or within the tolerances above." }
        (chart(&sums))
        (class_table(&sums).markup())
        (worst_table(&worst).markup())
    })
}

fn grouped_count(count: usize) -> String {
    grouped(&count.to_string())
}

fn chart(sums: &[ClassSum]) -> Markup {
    let mut rows: BTreeMap<Class, u64> = BTreeMap::new();
    for sum in sums {
        *rows.entry(sum.class).or_default() += sum.rows;
    }
    let words: Vec<String> = rows.iter().map(|(class, rows)| format!("{} {rows}", class.as_str())).collect();
    let about = About {
        id: "class-chart".to_owned(),
        title: "Compared rows by class".to_owned(),
        description: format!("Rows of the comparison by class: {}.", words.join(", ")),
    };
    let drawn: Vec<Bar> = rows
        .into_iter()
        .map(|(class, rows)| Bar {
            label: class.as_str().to_owned(),
            value: i64::try_from(rows).unwrap_or(i64::MAX),
            text: format!("{} rows", grouped(&rows.to_string())),
            colour: colour(class),
        })
        .collect();
    bars(&about, &drawn)
}

fn colour(class: Class) -> Colour {
    match class {
        Class::Matched => Colour::Good,
        Class::OutOfScope => Colour::Main,
        Class::Incomplete => Colour::Warn,
        Class::QuantityMismatch | Class::AmountMismatch | Class::MissingInStripe | Class::MissingInLedger => {
            Colour::Bad
        }
    }
}

fn class_table(sums: &[ClassSum]) -> Table {
    let money = |sum: Option<MinorSum>| sum.map_or(Cell::text("no money"), Cell::money);
    let row = |sum: &ClassSum| {
        vec![
            Cell::code(sum.class.as_str()),
            Cell::code(sum.cause.map_or("", Cause::as_str)),
            Cell::number(&sum.rows),
            money(sum.money.map(|money| money.more)),
            money(sum.money.map(|money| money.less)),
        ]
    };
    Table {
        caption: "Compared rows by class, cause and currency".to_owned(),
        columns: vec![
            Column("Class", Sort::Text),
            Column("Cause", Sort::Text),
            Column("Rows", Sort::Number),
            Column("Stripe charges more", Sort::Number),
            Column("Stripe charges less", Sort::Number),
        ],
        rows: sums.iter().map(row).collect(),
        all: None,
        nothing: "Nothing was compared with Stripe.",
    }
}

fn worst_table(worst: &[&ReconciliationRow]) -> Table {
    let row = |row: &&ReconciliationRow| {
        let money = row.difference_amount().zip(row.currency);
        let age = row.age.map_or(String::new(), |age| match age {
            Age::New => "new".to_owned(),
            Age::Known { runs } | Age::Gone { runs } => format!("{} in {runs} runs", age.as_str()),
        });
        vec![
            Cell::code(if row.tenant_id.is_empty() { row.evidence.first() } else { row.tenant_id.clone() }),
            Cell::code(&row.meter),
            Cell::Other(html! {
                code { (row.class.as_str()) } " by " (row.source.as_str().replace('_', " "))
                @if let Some(cause) = row.reason { br; "cause: " code { (cause.as_str()) } }
            }),
            Cell::known(row.ledger_quantity),
            Cell::known(row.stripe_quantity),
            money.map_or(Cell::text("no money"), |(minor, currency)| {
                Cell::money(MinorSum { minor, currency })
            }),
            Cell::text(age),
            Cell::text(row.next_step.clone()),
        ]
    };
    Table {
        caption: "The worst differences, the most money first".to_owned(),
        columns: vec![
            Column("Tenant or id", Sort::Text),
            Column("Meter", Sort::Text),
            Column("Class", Sort::Text),
            Column("Ledger, units", Sort::Number),
            Column("Stripe, units", Sort::Number),
            Column("Stripe less ledger", Sort::Number),
            Column("Age", Sort::Text),
            Column("What to do", Sort::Text),
        ],
        rows: worst.iter().take(WORST_SHOWN).map(row).collect(),
        all: Some((worst.len(), "reconciliation.csv")),
        nothing: "There is no difference to look at.",
    }
}

pub fn exceptions(report: &Report) -> Markup {
    let sums = report.exception_sums();
    let row = |sum: &crate::domain::report::page::ExceptionSum<'_>| {
        vec![
            Cell::code(sum.kind.as_str()),
            Cell::code(sum.reason),
            Cell::number(&sum.rows),
            Cell::number(&sum.tenants),
            Cell::number(&sum.records),
        ]
    };
    let table = Table {
        caption: "What a person should look at; each row is in exceptions.csv with its next step".to_owned(),
        columns: vec![
            Column("Kind", Sort::Text),
            Column("Reason", Sort::Text),
            Column("Rows", Sort::Number),
            Column("Tenants", Sort::Number),
            Column("Usage records", Sort::Number),
        ],
        rows: sums.iter().take(EXCEPTIONS_SHOWN).map(row).collect(),
        all: Some((sums.len(), "exceptions.csv")),
        nothing: "There is no exception: nobody is parked, and all usage has its place.",
    };
    table.markup()
}
