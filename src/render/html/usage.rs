//! Usage against quota: every tenant in one chart, the highest in a table, and how many went how far.
//!
//! In: shares of quotas and buckets. Out: charts and tables.

use maud::{Markup, html};

use crate::domain::report::Report;
use crate::domain::report::page::{Buckets, QuotaUse};
use crate::render::html::chart::{About, Bar, Colour, Plane, bars, plane};
use crate::render::html::table::{Cell, Column, Sort, Table};
use crate::render::html::words::{clean, grouped};

const ROWS_SHOWN: usize = 50;
/// Columns of the chart; of more tenants every n-th is drawn.
const COLUMNS: usize = 100;
/// In thousandths of the quota; a higher share is drawn up to here.
const HIGHEST: i64 = 2_500;
const BUCKETS_SHOWN: usize = 12;
const BUCKET_NAMES: [&str; 5] = ["0 to 20 %", "20 to 50 %", "50 to 80 %", "80 to 100 %", "100 % and above"];
const BUCKET_COLOURS: [Colour; 5] = [Colour::Good, Colour::Good, Colour::Good, Colour::Warn, Colour::Bad];

pub fn against_quota(report: &Report) -> Markup {
    let all = report.quota_use();
    let row = |one: &QuotaUse<'_>| {
        let share = one.share.as_percent().to_string();
        vec![
            Cell::tenant(one.tenant_id, one.tenant_name),
            Cell::code(&one.plan.key),
            Cell::code(one.meter),
            Cell::number(&one.used),
            Cell::number(&one.quota),
            Cell::Number { shown: share, key: one.share.to_string() },
        ]
    };
    let table = Table {
        caption: "The highest shares of a quota".to_owned(),
        columns: vec![
            Column("Tenant", Sort::Text),
            Column("Plan", Sort::Text),
            Column("Meter", Sort::Text),
            Column("Used", Sort::Number),
            Column("Quota", Sort::Number),
            Column("Share", Sort::Number),
        ],
        rows: all.iter().take(ROWS_SHOWN).map(row).collect(),
        all: Some((all.len(), "lines.csv")),
        nothing: "No window of this period has a free quota.",
    };
    html! {
        @if !all.is_empty() { (curve(&all)) }
        (table.markup())
    }
}

fn curve(all: &[QuotaUse<'_>]) -> Markup {
    let thousandths = |one: &QuotaUse<'_>| one.share.thousandths().unwrap_or(i64::MAX);
    let shown = all.len().min(COLUMNS);
    let drawn = (0..shown).filter_map(|index| all.get(index * all.len() / shown));
    let colour = |share: i64| match share {
        1_000.. => Colour::Bad,
        800.. => Colour::Warn,
        _ => Colour::Good,
    };
    let columns: Vec<(i64, i64, Colour)> = (0..)
        .zip(drawn)
        .map(|(at, one)| (at, thousandths(one).clamp(0, HIGHEST), colour(thousandths(one))))
        .collect();
    let at_least = |share: i64| all.iter().filter(|one| thousandths(one) >= share).count();
    let is_cut = all.iter().any(|one| thousandths(one) > HIGHEST);
    let description = format!(
        "{} quotas, the highest share first. {} are used up to 100 % or more, {} up to 80 % or more. The highest share is \
         {}, the lowest {}.",
        all.len(),
        at_least(1_000),
        at_least(800),
        all.first().map(|one| one.share.as_percent().to_string()).unwrap_or_default(),
        all.last().map(|one| one.share.as_percent().to_string()).unwrap_or_default(),
    );
    let count = all.len();
    let drawing = Plane {
        lines: Vec::new(),
        columns,
        marks: Vec::new(),
        levels: vec![800, 1_000],
        x_name: "quotas, the highest share first",
        x_label: &|at| place(at, shown, count),
        y_label: &|share| format!("{} %", share / 10),
        x_labels: 6,
    };
    let about = About { id: "quota-chart".to_owned(), title: "Usage against quota".to_owned(), description };
    html! {
        p { (about.description) }
        figure {
            (plane(&about, &drawing))
            figcaption {
                "Broken lines: 80 % and 100 % of the quota."
                @if is_cut { " Shares above 250 % are drawn up to 250 %." }
                @if count > COLUMNS { " One column stands for several quotas." }
            }
        }
    }
}

/// Which quota stands at a place of the chart.
fn place(at: i64, shown: usize, count: usize) -> String {
    let at = usize::try_from(at).unwrap_or_default();
    grouped(&(at.saturating_mul(count) / shown.max(1)).to_string())
}

pub fn buckets(report: &Report) -> Markup {
    let all = report.buckets();
    if all.is_empty() {
        return html! {
            p.nothing { "Nobody is counted: no paying tenant was on a judged plan with a quota for a whole closed window." }
        };
    }
    html! {
        p { "Paying tenants that were on the plan for a whole window." }
        @for (index, one) in all.iter().take(BUCKETS_SHOWN).enumerate() { (of_pair(index, one)) }
        @if all.len() > BUCKETS_SHOWN {
            p.more { "The first " (BUCKETS_SHOWN) " of " (all.len()) " pairs of plan and meter; all are in " code { "decision.csv" } "." }
        }
    }
}

fn of_pair(index: usize, buckets: &Buckets<'_>) -> Markup {
    let named = || BUCKET_NAMES.iter().zip(buckets.tenants);
    let words: Vec<String> = named().map(|(name, tenants)| format!("{name}: {tenants}")).collect();
    let (plan, meter) = (clean(buckets.plan), clean(buckets.meter));
    let about = About {
        id: format!("buckets-{index}"),
        title: format!("Tenants of {plan} by their share of the quota of {meter}"),
        description: format!("Tenants by share of the quota: {}.", words.join(", ")),
    };
    let drawn: Vec<Bar> = named()
        .zip(BUCKET_COLOURS)
        .map(|((name, tenants), colour)| Bar {
            label: (*name).to_owned(),
            value: i64::try_from(tenants).unwrap_or(i64::MAX),
            text: format!("{} tenants", grouped(&tenants.to_string())),
            colour,
        })
        .collect();
    html! {
        h3 { code { (plan) } ", " code { (meter) } }
        (bars(&about, &drawn))
    }
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn a_column_of_the_chart_names_the_quota_that_it_stands_for() {
        assert_eq!((place(0, 3, 3), place(2, 3, 3)), ("0".to_owned(), "2".to_owned()));
        assert_eq!(place(50, 100, 50_000), "25\u{202f}000");
    }
}
