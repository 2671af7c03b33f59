//! Telling: the story in short dated lines of at most 80 columns.
//!
//! In: what each wake did. Out: lines on stdout. A thing that is wrong is told when it shows for the first time in its
//! month; an explanation is told only for what the job has found itself.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::commands::demo::FOLDER;
use crate::commands::demo::company::PLANTED;
use crate::commands::print;
use crate::domain::money::MinorSum;
use crate::domain::period::Period;
use crate::domain::reconcile::{Cause, ReconciliationRow, Source};
use crate::domain::report::{Exception, ExceptionKind, Money};
use crate::job::{PeriodOutcome, Settings, Wake};

const WIDTH: usize = 80;
/// As wide as a date with its two blanks.
const INDENT: usize = 18;

pub struct Telling {
    is_posted: bool,
    /// Period, tenant and reason of what was told.
    told: BTreeSet<(Period, String, String)>,
    messages: Vec<String>,
    folders: Vec<PathBuf>,
}

impl Telling {
    pub fn begin(settings: &Settings, plans: usize, tenants: u64) -> anyhow::Result<Self> {
        let text = format!(
            "DEMO SANDBOX: a made-up company with {plans} plans and {tenants} tenants bills match requests. Overage \
             is charged on Enterprise (5.00 TRY a request); on Pro 7.00 TRY is a candidate that Stripe counts at 0. \
             May it go live? The job wakes hourly; these are the hours in which something happens."
        );
        wrapped("", &text, 0)?;
        Ok(Self {
            is_posted: settings.slack_webhook.is_some(),
            told: BTreeSet::new(),
            messages: Vec::new(),
            folders: Vec::new(),
        })
    }

    /// Something that the job has no part in.
    pub fn happens(&self, now: Timestamp, text: &str) -> anyhow::Result<()> {
        print::data("")?;
        wrapped(&date(now), text, INDENT)
    }

    pub fn wake(&mut self, now: Timestamp, accepted: u64, wake: Wake) -> anyhow::Result<()> {
        if let Some(failure) = wake.failures.into_iter().next() {
            return Err(failure);
        }
        print::data("")?;
        let mut label = date(now);
        for outcome in &wake.outcomes {
            wrapped(&label, &standing(outcome), INDENT)?;
            label = String::new();
            self.news(outcome)?;
            self.verdict(outcome)?;
        }
        let _ = accepted;
        Ok(())
    }

    pub fn end(self, folder: &Path) -> anyhow::Result<()> {
        print::data("")?;
        print::data(if self.is_posted { "To Slack:" } else { "Slack would get (no webhook is set):" })?;
        for line in self.messages.iter().flat_map(|message| message.lines()) {
            wrapped("  ", line, 4)?;
        }
        print::data("")?;
        print::data("Files:")?;
        let _ = folder;
        for folder in &self.folders {
            print::data(&format!("  {}", folder.display()))?;
        }
        print::data(&format!("Look around: cd {FOLDER} && billrecon status"))?;
        Ok(())
    }

    /// What is wrong and was not told before.
    fn news(&mut self, outcome: &PeriodOutcome) -> anyhow::Result<()> {
        for one in &outcome.exceptions {
            if self.is_new(outcome.period, &one.tenant_id, &one.reason) {
                wrapped(&" ".repeat(INDENT), &exception(one), INDENT + 2)?;
            }
        }
        for row in outcome.differences.iter().filter(|row| is_worth_telling(row)) {
            if self.is_new(outcome.period, &row.tenant_id, row.source.as_str()) {
                wrapped(&" ".repeat(INDENT), &difference(row), INDENT + 2)?;
            }
        }
        Ok(())
    }

    fn verdict(&mut self, outcome: &PeriodOutcome) -> anyhow::Result<()> {
        self.messages.extend(outcome.message.clone());
        let (Some(verdict), Some(_)) = (&outcome.verdict, &outcome.message) else { return Ok(()) };
        self.folders.extend(outcome.reports_dir.clone());
        for reason in &verdict.reasons {
            wrapped(&" ".repeat(INDENT), &format!("why: {reason}"), INDENT + 2)?;
        }
        for Money { base, usage } in &outcome.money {
            wrapped(&" ".repeat(INDENT), &format!("base {base}, overage {usage}"), INDENT + 2)?;
        }
        Ok(())
    }

    fn is_new(&mut self, period: Period, tenant_id: &str, reason: &str) -> bool {
        self.told.insert((period, tenant_id.to_owned(), reason.to_owned()))
    }
}

fn date(now: Timestamp) -> String {
    format!("{}  ", now.strftime("%Y-%m-%d %H:%M"))
}

fn standing(outcome: &PeriodOutcome) -> String {
    let (counts, status) = (&outcome.counts, outcome.status.as_str());
    let verdict = outcome.verdict.as_ref().map_or("", |verdict| verdict.word.as_str());
    format!(
        "{} {status} {verdict}: {} pushed, {} closed, {} parked, {} pending",
        outcome.period, counts.pushed, counts.closed, counts.parked, counts.pending_after
    )
}

fn exception(one: &Exception) -> String {
    let planted =
        PLANTED.iter().find(|planted| planted.tenant_id == one.tenant_id && planted.reason == one.reason);
    let why = planted.map_or(one.next_step.as_str(), |planted| planted.why);
    let worth = one.amount.map(|amount| format!(", {}", money(amount.into()))).unwrap_or_default();
    let kind = if one.kind == ExceptionKind::Excluded { "not billed" } else { one.kind.as_str() };
    format!("! {} {kind} ({}{worth}): {why}", one.tenant_id, one.reason)
}

/// A draft, or a total that lags, is looked at again before anything is decided.
fn is_worth_telling(row: &ReconciliationRow) -> bool {
    let passes = matches!(row.reason, Some(Cause::DraftStale | Cause::LatencyPending));
    row.source != Source::MeterTotal && !passes
}

fn difference(row: &ReconciliationRow) -> String {
    crate::job::difference(row)
}

fn money(sum: MinorSum) -> String {
    format!("{sum} {}", sum.currency.code().to_uppercase())
}

/// A label, and a text beside it that goes on below its own first word.
fn wrapped(label: &str, text: &str, indent: usize) -> anyhow::Result<()> {
    let mut line = if label.is_empty() { " ".repeat(indent) } else { label.to_owned() };
    let mut is_fresh = true;
    for word in text.split_whitespace() {
        let blank = usize::from(!is_fresh);
        if !is_fresh && line.chars().count() + blank + word.chars().count() > WIDTH {
            print::data(&line)?;
            line = " ".repeat(indent);
            is_fresh = true;
        }
        if !is_fresh {
            line.push(' ');
        }
        line.push_str(word);
        is_fresh = false;
    }
    print::data(&line)?;
    Ok(())
}
