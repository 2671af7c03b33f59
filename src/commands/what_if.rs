//! What Stripe would bill at other prices, for a person and for a program.
//!
//! In: the rows of a period. Out: a table that says WHAT-IF on every line, or JSON. A terminal shows what needs a look first.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::commands::print;
use crate::commands::run::SHOWN;
use crate::domain::money::{Currency, MinorAmount, MinorSum};
use crate::job::{Outcome, WhatIf};

const HEAD: [&str; 6] =
    ["tenant, meter", "Stripe units", "Stripe amount", "our rating", "ledger units", "ledger amount"];

pub fn json(one: &WhatIf) -> Value {
    let answer = one.answer.as_ref().ok();
    let minor = |amount: MinorAmount| amount.minor;
    json!({
        "tenant_id": one.tenant_id, "plan": one.plan, "meter": one.meter,
        "window_start": one.window.start.to_string(), "window_end": one.window.end.to_string(),
        "subscription_id": one.subscription_id, "price_id": one.price_id,
        "outcome": one.outcome().as_str(), "reason": one.reason(),
        "stripe_quantity": answer.map(|answer| answer.quantity.to_string()),
        "stripe_amount_minor": answer.map(|answer| minor(answer.amount)),
        "rated_amount_minor": answer.map(|answer| minor(answer.rated)),
        "ledger_quantity": one.ledger.0.to_string(), "ledger_amount_minor": one.ledger.1.map(minor),
        "currency": one.currency.code(),
    })
}

pub fn text(all: &[WhatIf]) -> Vec<String> {
    if all.is_empty() {
        return vec!["  WHAT-IF: no open window is billed by a shadow price".to_owned()];
    }
    let head = "  WHAT-IF: what Stripe would bill now at the candidate prices; nothing is charged by it";
    let mut lines = vec![head.to_owned()];
    let mut sorted: Vec<&WhatIf> = all.iter().collect();
    sorted.sort_by_key(|one| one.outcome());
    sorted.truncate(SHOWN);
    let mut cells = vec![HEAD.map(str::to_owned)];
    cells.extend(sorted.iter().map(|one| row(one)));
    let said = sorted.iter().map(|one| said(one));
    let said = std::iter::once(String::new()).chain(said);
    let table = print::aligned(&cells).into_iter().zip(said);
    lines.extend(table.map(|(line, said)| format!("  WHAT-IF  {line}  {said}").trim_end().to_owned()));
    if all.len() > SHOWN {
        lines.push(format!("  WHAT-IF: … and {} more in run --what-if --json", all.len() - SHOWN));
    }
    lines.extend(totals(all));
    lines
}

fn row(one: &WhatIf) -> [String; 6] {
    let answer = one.answer.as_ref().ok();
    let shown = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    [
        format!("{}, {}", one.tenant_id, one.meter),
        shown(answer.map(|answer| answer.quantity.to_string())),
        shown(answer.map(|answer| answer.amount.to_string())),
        shown(answer.map(|answer| answer.rated.to_string())),
        one.ledger.0.to_string(),
        shown(one.ledger.1.map(|amount| amount.to_string())),
    ]
}

fn said(one: &WhatIf) -> String {
    let currency = one.currency.code().to_uppercase();
    match (one.outcome().as_str(), one.reason()) {
        (word, reason) if reason.is_empty() => format!("{currency}  {word}"),
        (word, reason) => format!("{currency}  {word}: {reason}"),
    }
}

/// By currency, over the rows that have an answer; then how many rows have which outcome.
fn totals(all: &[WhatIf]) -> Vec<String> {
    let mut sums: BTreeMap<Currency, [i128; 3]> = BTreeMap::new();
    for one in all {
        let Ok(answer) = &one.answer else { continue };
        let ledger = one.ledger.1.map_or(0, |amount| amount.minor);
        let sum = sums.entry(one.currency).or_default();
        // 2⁶⁴ amounts fit.
        for (sum, minor) in sum.iter_mut().zip([answer.amount.minor, answer.rated.minor, ledger]) {
            *sum += i128::from(minor);
        }
    }
    let line = |(currency, sums): (Currency, [i128; 3])| {
        let [stripe, ours, ledger] = sums.map(|minor| MinorSum { minor, currency });
        let code = currency.code().to_uppercase();
        format!("  WHAT-IF total in {code}: Stripe {stripe}, our rating {ours}, ledger {ledger}")
    };
    let mut lines: Vec<String> = sums.into_iter().map(line).collect();
    let count = |outcome: &Outcome| {
        let rows = all.iter().filter(|one| one.outcome() == *outcome).count();
        format!("{rows} {}", outcome.as_str())
    };
    lines.push(format!("  WHAT-IF rows: {}", Outcome::ALL.iter().map(count).collect::<Vec<_>>().join(", ")));
    lines
}
