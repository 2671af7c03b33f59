//! `report.html`: one page that finance reads, prints and keeps.
//!
//! In: a report, facts about its run, the files of its set. Out: one self-contained page. It asks for nothing from anywhere,
//! and its policy forbids it to. Never computes a figure; what is too long for a page is cut, and the file that has all is
//! named.

mod chart;
mod differences;
mod files;
mod glossary;
mod metrics;
mod money;
mod pricing;
mod pushes;
mod table;
mod trend;
mod usage;
mod verdict;
mod words;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use crate::domain::money::MoneyError;
use crate::domain::report::Report;
use crate::render::csv_file::WrittenFile;
use crate::render::manifest::Facts;

const STYLE: &str = include_str!("html/style.css");
const SCRIPT: &str = include_str!("html/sort.js");

/// The page as text, always the same for the same report, run and files.
pub fn page(report: &Report, facts: &Facts, files: &[WrittenFile]) -> Result<String, MoneyError> {
    let sections = [
        Section::new("money", "Money by currency", money::by_currency(report)?),
        Section::new("metrics", "Metrics against thresholds", metrics::against_thresholds(report)),
        Section::new("quota", "Usage against quota", usage::against_quota(report)),
        Section::new("buckets", "Tenants by share of quota", usage::buckets(report)),
        Section::new("differences", "Ledger against Stripe", differences::by_class(report)?),
        Section::new("exceptions", "Exceptions", differences::exceptions(report)),
        Section::new("top", "Tenants that pay most for usage", money::payers(report)?),
        Section::new("trend", "Trend over closed periods", trend::over_periods(report)),
        Section::new("curves", "Price curves", pricing::curves(report)),
        Section::new("pushes", "Pushes by day", pushes::by_day(report)),
        Section::new("late", "Late usage and accruals", money::late_and_accrued(report)?),
        Section::new("controls", "Control totals", files::controls(report)),
        Section::new("files", "Files of this set", files::of_set(files)),
        Section::new("words", "Words", glossary::words()),
    ];
    let title = format!("{} {}: {}", verdict::word(report), report.period, words::clean(&facts.mode));
    let policy = format!(
        "default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
        base64(&Sha256::digest(SCRIPT.as_bytes()))
    );
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                (verdict::banner(facts))
                main {
                    (verdict::head(report, facts))
                    nav aria-label="Sections" { ul {
                        @for one in &sections { li { a href={ "#" (one.id) } { (one.title) } } }
                    } }
                    @for one in &sections {
                        section id=(one.id) aria-labelledby={ (one.id) "-title" } {
                            h2 id={ (one.id) "-title" } { (one.title) }
                            (one.content)
                        }
                    }
                }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    Ok(page.into_string())
}

struct Section {
    id: &'static str,
    title: &'static str,
    content: Markup,
}

impl Section {
    fn new(id: &'static str, title: &'static str, content: Markup) -> Self {
        Self { id, title, content }
    }
}

/// RFC 4648, as a content security policy writes a hash.
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for part in bytes.chunks(3) {
        let at = |index: usize| u32::from(part.get(index).copied().unwrap_or_default());
        let group = (at(0) << 16) | (at(1) << 8) | at(2);
        for digit in 0..4 {
            let value = (group >> (18 - 6 * digit)) & 63;
            text.push(if digit > part.len() { '=' } else { char::from(DIGITS[value as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_become_base64_as_the_standard_says() {
        for (bytes, text) in
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")]
        {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
