//! Money: the totals of each currency, who pays most for usage, what came late and what is still open.
//!
//! In: sums of a report. Out: tables and charts, each currency apart.

use maud::{Markup, html};

use crate::domain::money::{Currency, MoneyError};
use crate::domain::report::page::{MeterSum, Payer};
use crate::domain::report::{Money, Report};
use crate::render::html::chart::{About, Bar, Colour, bars};
use crate::render::html::table::{Cell, Column, Sort, Table};
use crate::render::html::words::{money, name};

/// Tenants in the page, all currencies together; each has at least a few.
const PAYERS_SHOWN: usize = 50;
const PAYERS_DRAWN: usize = 10;
const SUMS_SHOWN: usize = 50;

pub fn by_currency(report: &Report) -> Result<Markup, MoneyError> {
    let row = |one: &Money| {
        Ok(vec![
            Cell::text(one.base.currency.code().to_uppercase()),
            Cell::money(one.base),
            Cell::money(one.usage),
            Cell::money(one.base.checked_add(one.usage)?),
            Cell::money(one.late),
        ])
    };
    let rows: Result<Vec<Vec<Cell>>, MoneyError> = report.money()?.iter().map(row).collect();
    let table = Table {
        caption: "Lines of this period at the candidate prices".to_owned(),
        columns: vec![
            Column("Currency", Sort::Text),
            Column("Base fees", Sort::Number),
            Column("Usage", Sort::Number),
            Column("Together", Sort::Number),
            Column("Late usage, beside it", Sort::Number),
        ],
        rows: rows?,
        all: None,
        nothing: "No window of this period has a line.",
    };
    Ok(html! {
        p { "Currencies are never added to each other. Usage is at the candidate price, which Stripe may not charge yet." }
        (table.markup())
    })
}

pub fn payers(report: &Report) -> Result<Markup, MoneyError> {
    let payers = report.payers()?;
    if payers.is_empty() {
        return Ok(html! { p.nothing { "No tenant would pay for usage in this period." } });
    }
    let shown = (PAYERS_SHOWN / payers.len()).max(5);
    Ok(html! { @for (currency, list) in &payers { (in_currency(*currency, list, shown)) } })
}

fn in_currency(currency: Currency, list: &[Payer<'_>], shown: usize) -> Markup {
    let code = currency.code().to_uppercase();
    let drawn: Vec<Bar> = list.iter().take(PAYERS_DRAWN).map(bar).collect();
    let words: Vec<String> = drawn.iter().map(|bar| format!("{} {}", bar.label, bar.text)).collect();
    let about = About {
        id: format!("payers-{}", currency.code()),
        title: format!("The tenants that pay most for usage, in {code}"),
        description: format!("Usage at the candidate price by tenant: {}.", words.join(", ")),
    };
    let row = |one: &Payer<'_>| {
        vec![Cell::tenant(one.tenant_id, one.tenant_name), Cell::money(one.usage), Cell::money(one.base)]
    };
    let table = Table {
        caption: format!("Tenants by what they would pay for usage, in {code}"),
        columns: vec![
            Column("Tenant", Sort::Text),
            Column("Usage", Sort::Number),
            Column("Base fee", Sort::Number),
        ],
        rows: list.iter().take(shown).map(row).collect(),
        all: Some((list.len(), "lines.csv")),
        nothing: "No tenant would pay for usage in this currency.",
    };
    html! { h3 { (code) } (bars(&about, &drawn)) (table.markup()) }
}

fn bar(one: &Payer<'_>) -> Bar {
    let label: String = name(one.tenant_id).chars().take(24).collect();
    Bar {
        label,
        value: i64::try_from(one.usage.minor).unwrap_or(i64::MAX),
        text: money(one.usage),
        colour: Colour::Main,
    }
}

pub fn late_and_accrued(report: &Report) -> Result<Markup, MoneyError> {
    let late = report.late_sums()?;
    let accrued = report.accrual_sums()?;
    Ok(html! {
        h3 { "Late usage" }
        p { "It came after its window was closed. The closed figures stay; each row says what it adds to them." }
        (sums(&late, "Late usage by meter and currency", "adjustments.csv", "No usage has come late.").markup())
        h3 { "Accruals" }
        p { "Used in windows that were still open when the period ended; they are billed later." }
        (sums(&accrued, "Accruals by meter and currency", "accruals.csv", "No window was open across the period's end.").markup())
    })
}

fn sums(all: &[MeterSum<'_>], caption: &str, file: &'static str, nothing: &'static str) -> Table {
    let row = |sum: &MeterSum<'_>| {
        vec![
            Cell::code(sum.meter),
            Cell::number(&sum.rows),
            Cell::number(&sum.records),
            Cell::number(&sum.quantity),
            Cell::money(sum.amount),
        ]
    };
    Table {
        caption: caption.to_owned(),
        columns: vec![
            Column("Meter", Sort::Text),
            Column("Rows", Sort::Number),
            Column("Usage records", Sort::Number),
            Column("Units", Sort::Number),
            Column("Amount", Sort::Number),
        ],
        rows: all.iter().take(SUMS_SHOWN).map(row).collect(),
        all: Some((all.len(), file)),
        nothing,
    }
}
