//! The head of the page: what was decided, about what, and why.
//!
//! In: a report and facts about its run. Out: the banner of a run that is not live, and the verdict with its reasons.

use maud::{Markup, html};

use crate::domain::decide::VerdictWord;
use crate::domain::figures::WindowStatus;
use crate::domain::reason::sentence;
use crate::domain::report::Report;
use crate::render::html::words::{clean, grouped};
use crate::render::manifest::Facts;

/// More reasons than these are not read.
const REASONS_SHOWN: usize = 30;

/// As people read it: `NO GO`.
pub fn word(report: &Report) -> String {
    match &report.verdict {
        Some(verdict) => verdict.word.as_str().replace('_', " "),
        None => "PROVISIONAL".to_owned(),
    }
}

/// Nobody is to take a test for the truth, so it stands above all.
pub fn banner(facts: &Facts) -> Markup {
    let mode = clean(&facts.mode);
    let says = if mode.contains("SANDBOX") {
        "a simulation of Stripe: no customer is billed by it"
    } else if mode.contains("TEST") {
        "a test account of Stripe: no customer is billed by it"
    } else {
        "the live account"
    };
    html! { p.banner .live[mode == "LIVE"] { strong { (mode.to_uppercase()) } " " span { (says) } } }
}

pub fn head(report: &Report, facts: &Facts) -> Markup {
    let (symbol, class, means) = look(report);
    let reasons = report.verdict.as_ref().map(|verdict| verdict.reasons.as_slice()).unwrap_or_default();
    let why = match (&report.verdict, reasons.last()) {
        (None, _) => {
            "The period is open: it was looked at, nothing is closed, and every figure can still change."
        }
        (Some(_), None) => "Every rule of the policy holds.",
        (Some(_), Some(reason)) => sentence(reason),
    };
    html! {
        header.verdict.(class) {
            p.what { "Billing reconciliation, period " strong { (report.period) } }
            h1 { span.symbol aria-hidden="true" { (symbol) } " " (word(report)) }
            p.means { (means) }
            p.why { (clean(why)) }
            @if reasons.len() > 1 {
                details open {
                    summary { "All " (reasons.len()) " reasons" }
                    ul { @for reason in reasons.iter().take(REASONS_SHOWN) { li { (clean(sentence(reason))) } } }
                    @if reasons.len() > REASONS_SHOWN { p { "The others stand in " code { "manifest.json" } "." } }
                }
            }
            dl.facts {
                @for (name, value) in facts_of(report, facts) { div { dt { (name) } dd { bdi { (value) } } } }
            }
        }
    }
}

/// A symbol and a colour beside the word: none of them is needed to understand it.
fn look(report: &Report) -> (&'static str, &'static str, &'static str) {
    match report.verdict.as_ref().map(|verdict| verdict.word) {
        Some(VerdictWord::Go) => ("✓", "good", "The figures support charging for overage."),
        Some(VerdictWord::Review) => ("!", "warn", "Somebody has to decide: look at the reasons first."),
        Some(VerdictWord::NoGo) => ("✗", "bad", "Do not charge for overage on these figures."),
        Some(VerdictWord::InsufficientData) => ("?", "unsure", "There is not enough to decide on."),
        None => ("…", "unsure", "No verdict: an open period is never judged."),
    }
}

fn facts_of(report: &Report, facts: &Facts) -> Vec<(&'static str, String)> {
    let count = |status| grouped(&report.count(status).to_string());
    let windows = format!(
        "{} closed, {} open, {} parked",
        count(WindowStatus::Closed),
        count(WindowStatus::Open),
        count(WindowStatus::Parked)
    );
    [
        ("Mode", facts.mode.to_uppercase()),
        ("Period status", facts.period_status.clone()),
        ("Windows", windows),
        ("Usage records", grouped(&report.ledger.records.to_string())),
        ("Account", facts.account_id.clone()),
        ("As of", facts.started_at.clone()),
        ("Run", facts.run_id.clone()),
        ("Billing time zone", facts.time_zone.clone()),
        ("Tolerances", facts.tolerances.clone()),
        ("Catalog", facts.catalog_hash.chars().take(12).collect()),
        ("Rules", facts.rules_hash.chars().take(12).collect()),
        ("Version", facts.code_version.clone()),
    ]
    .into_iter()
    .map(|(name, value)| (name, clean(&value)))
    .filter(|(_, value)| !value.is_empty())
    .collect()
}
