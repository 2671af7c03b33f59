//! Telling: the story in short dated lines of at most 80 columns.
//!
//! In: what each wake did. Out: lines on stdout. A thing that is wrong is told when it shows for the first time; an
//! explanation is told only for what the job has found itself.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::commands::demo::FOLDER;
use crate::commands::demo::company::{PLANTED, Planted};
use crate::commands::print;
use crate::domain::money::{Currency, MinorSum};
use crate::domain::number::Quantity;
use crate::domain::reconcile::{Cause, ReconciliationRow, Source};
use crate::domain::report::{Exception, ExceptionKind, Money};
use crate::job::{PeriodOutcome, Settings, Wake};

const WIDTH: usize = 80;

pub struct Telling {
    is_posted: bool,
    /// Whether the last wake had nothing but its own line.
    was_quiet: bool,
    /// Tenant and reason of what was told.
    told: BTreeSet<(String, String)>,
    messages: Vec<String>,
    /// Verdict and folder of each judged period.
    folders: Vec<String>,
}

impl Telling {
    pub fn begin(settings: &Settings, tenants: u64) -> anyhow::Result<Self> {
        let text = format!(
            "DEMO SANDBOX: a made-up company with {tenants} tenants sells match requests through a sandbox of Stripe. \
             Pro (999 TRY) has 100 free, Enterprise (2499 TRY) 1000, Starter has none. Stripe charges Enterprise 5.00 \
             TRY for each more; 7.00 TRY for Pro is a candidate that Stripe counts at 0. Should it go live? The job \
             wakes hourly; this is when something happens."
        );
        wrapped(&text, 0, 0)?;
        let is_posted = settings.slack.destination.is_some();
        Ok(Self {
            is_posted,
            was_quiet: false,
            told: BTreeSet::new(),
            messages: Vec::new(),
            folders: Vec::new(),
        })
    }

    /// Something that the job has no part in.
    pub fn happens(&mut self, now: Timestamp, text: &str) -> anyhow::Result<()> {
        print::data("")?;
        self.was_quiet = false;
        wrapped(&format!("{}  {text}", date(now)), 0, 18)
    }

    /// `month` is the one whose export was imported just before; `is_last` tells of what has not changed, too.
    pub fn wake(&mut self, wake: Wake, month: &str, accepted: u64, is_last: bool) -> anyhow::Result<()> {
        if let Some(failure) = wake.failures.into_iter().next() {
            return Err(failure);
        }
        let mut lines = Vec::new();
        let mut begins = date(wake.now);
        for outcome in &wake.outcomes {
            let is_of_month = outcome.period.to_string() == month;
            let news = self.news(outcome);
            if is_of_month || !news.is_empty() || (is_last && outcome.verdict.is_some()) {
                let records = if is_of_month { accepted } else { 0 };
                lines.push((format!("{begins:16}  {}", standing(outcome, records)), 0, 18));
                begins.clear();
            }
            lines.extend(news.into_iter().chain(self.verdict(outcome)).map(|line| (line, 4, 6)));
        }
        let is_quiet = lines.len() == 1;
        if !(is_quiet && self.was_quiet) {
            print::data("")?;
        }
        self.was_quiet = is_quiet;
        lines.iter().try_for_each(|(line, first, others)| wrapped(line, *first, *others))
    }

    pub fn end(self) -> anyhow::Result<()> {
        let webhook = if self.is_posted { "for your webhook" } else { "no webhook is set" };
        print::data(&format!("\nOne Slack message per judged period ({webhook}):"))?;
        for message in &self.messages {
            // Its last line names the files, which follow here.
            for line in message.lines().filter(|line| !line.starts_with("run ")) {
                wrapped(line, 2, 4)?;
            }
        }
        print::data("\nFiles of the judged periods:")?;
        for folder in &self.folders {
            print::data(&format!("  {folder}"))?;
        }
        print::data("  report.html shows all of it in a browser, report.xlsx is for finance to sign")?;
        print::data("  reconciliation.csv says what differs, exceptions.csv who waits for what")?;
        Ok(print::data(&format!("Look around: cd {FOLDER} && billrecon status"))?)
    }

    /// What is wrong and was not told before.
    fn news(&mut self, outcome: &PeriodOutcome) -> Vec<String> {
        let mut lines = Vec::new();
        for one in &outcome.exceptions {
            if self.is_new(&one.tenant_id, &one.reason) {
                lines.push(exception(one));
            }
        }
        for row in outcome.differences.iter().filter(|row| is_worth_telling(row)) {
            if self.is_new(&row.tenant_id, row.source.as_str()) {
                lines.push(difference(row));
            }
        }
        lines
    }

    /// Why the verdict of this run is what it is, and the money.
    fn verdict(&mut self, outcome: &PeriodOutcome) -> Vec<String> {
        let (Some(verdict), Some(message)) = (&outcome.verdict, &outcome.message) else { return Vec::new() };
        self.messages.push(message.clone());
        self.folders.extend(outcome.reports_dir.iter().map(|folder| folder.display().to_string()));
        let reasons = verdict.reasons.iter().map(|reason| format!("why: {reason}"));
        reasons.chain(outcome.money.iter().map(|money| revenue(outcome, money))).collect()
    }

    fn is_new(&mut self, tenant_id: &str, reason: &str) -> bool {
        self.told.insert((tenant_id.to_owned(), reason.to_owned()))
    }
}

fn date(now: Timestamp) -> String {
    now.strftime("%Y-%m-%d %H:%M").to_string()
}

fn standing(outcome: &PeriodOutcome, records: u64) -> String {
    let counts = &outcome.counts;
    let mut text = format!("{} {}", outcome.period, outcome.status.as_str());
    if let Some(verdict) = &outcome.verdict {
        text.push_str(&format!(": {}", verdict.word.as_str()));
    }
    let counted = [
        (records, if records == 1 { "record in" } else { "records in" }),
        (counts.pushed, "pushed"),
        (outcome.newly_closed, "closed"),
        (counts.parked, "parked"),
    ];
    let counted: Vec<String> = counted
        .iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    if !counted.is_empty() {
        text.push_str(&format!(", {}", counted.join(", ")));
    }
    text
}

fn exception(one: &Exception) -> String {
    let is_planted = |why: &&Planted| why.tenant_id == one.tenant_id && why.reason == one.reason;
    let why = PLANTED.iter().find(is_planted).map_or(one.next_step.as_str(), |planted| planted.why);
    let worth = one.amount.map(|amount| format!(", worth {}", in_currency(amount.into())));
    let kind = if one.kind == ExceptionKind::Excluded { "not billed" } else { one.kind.as_str() };
    format!("{} {kind}, {}{}: {why}", one.tenant_id, one.reason, worth.unwrap_or_default())
}

/// A draft, or a total that lags, is looked at again before anything is decided; a meter's total has no money.
fn is_worth_telling(row: &ReconciliationRow) -> bool {
    let passes = matches!(row.reason, Some(Cause::DraftStale | Cause::LatencyPending));
    row.source != Source::MeterTotal && !passes
}

fn difference(row: &ReconciliationRow) -> String {
    let units = |quantity: Option<_>| quantity.map_or("?".to_owned(), |one: Quantity| one.to_string());
    let money =
        row.difference_amount().filter(|minor| *minor != 0).zip(row.currency).map(|(minor, currency)| {
            let sum = MinorSum { minor: minor.saturating_abs(), currency };
            format!(": {} too {}", in_currency(sum), if minor > 0 { "much" } else { "little" })
        });
    let [ledger, stripe] = [row.ledger_quantity, row.stripe_quantity].map(units);
    let (source, money) = (row.source.as_str(), money.unwrap_or_default());
    format!("{} ledger {ledger}, Stripe's {source} {stripe}{money}", row.tenant_id)
}

/// What Pro would have brought is in the decision; what is left was charged.
fn revenue(outcome: &PeriodOutcome, Money { base, usage, .. }: &Money) -> String {
    let name = format!("would_be_overage_minor_{}", usage.currency.code());
    let would_be =
        outcome.decision.iter().find(|row| row.metric == name).and_then(|row| row.value.parse().ok());
    let would_be = MinorSum { minor: would_be.unwrap_or(0), ..*usage };
    let charged = MinorSum { minor: usage.minor - would_be.minor, ..*usage };
    format!(
        "money: base fees {}, Enterprise overage {}; would-be overage revenue from Pro {}",
        in_currency(*base),
        in_currency(charged),
        in_currency(would_be)
    )
}

fn in_currency(sum: MinorSum) -> String {
    format!("{sum} {}", Currency::code(&sum.currency).to_uppercase())
}

/// A text in lines of [`WIDTH`]; the first begins at one column, the others at another.
fn wrapped(text: &str, first: usize, others: usize) -> anyhow::Result<()> {
    // The blanks within a label stay: only single ones are places to break at.
    let mut line = " ".repeat(first);
    let mut is_empty = true;
    for word in text.split(' ') {
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            print::data(&line)?;
            line = " ".repeat(others);
            is_empty = true;
        }
        if !is_empty {
            line.push(' ');
        }
        line.push_str(word);
        is_empty = false;
    }
    Ok(print::data(&line)?)
}
