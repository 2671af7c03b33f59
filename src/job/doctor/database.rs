//! The database: reach, schema, privileges, clock, pooler, the way to it.
//!
//! In: settings, `now`. Out: findings, and whether there is a database of ours that can be read.

use jiff::Timestamp;

use crate::job::doctor::{Check, Finding};
use crate::job::{Refusal, Settings};
use crate::store::examine::{Facts, Schema};
use crate::store::{Store, StoreError};

/// Beyond it what is due would be decided by a wrong clock.
const SKEW_REFUSED_MS: u64 = 5 * 60 * 1_000;
const SKEW_TOLD_MS: u64 = 60 * 1_000;

pub async fn look(settings: &Settings, now: Timestamp) -> (Vec<Finding>, bool) {
    let database = &settings.database;
    let mut findings = Vec::new();
    if !database.is_safe_on_the_way() {
        findings.push(Finding::warning(
            Check::DatabaseTls,
            "the database is on another machine, and the URL does not say sslmode=verify-full: whoever stands in between can read and change everything",
            "add ?sslmode=verify-full (and sslrootcert=FILE where the server's certificate is from an authority of your own)",
        ));
    }
    if let Err(error) = own_ledger(settings).await {
        findings.push(Finding::error(
            Check::OwnLedger,
            format!("{error:#}"),
            "mend the names in [ledger], or what the role may read: docs/adopting.md",
        ));
    }
    match database.examine().await {
        Ok(facts) => {
            findings.extend(of_facts(&facts, now));
            (findings, facts.schema == Schema::Current)
        }
        Err(error) => {
            findings.push(of_error(&error));
            (findings, false)
        }
    }
}

/// The table or view is looked up, and its columns are checked.
async fn own_ledger(settings: &Settings) -> anyhow::Result<()> {
    let Some(ledger) = &settings.ledger else { return Ok(()) };
    Ok(ledger.check(&settings.database).await?)
}

/// What is due, and what Stripe still takes, is decided by the time: two clocks that differ much mean that one is wrong.
pub async fn require_one_time(store: &Store, clock: Timestamp) -> anyhow::Result<()> {
    let Some(theirs) = store.clock_ms().await? else { return Ok(()) };
    let skew = clock.as_millisecond().abs_diff(theirs);
    let text = format!(
        "this machine's clock and the database's are {} s apart: set both by NTP, then run again",
        skew / 1_000
    );
    if skew > SKEW_REFUSED_MS {
        return Err(Refusal::Configuration(text).into());
    }
    if skew > SKEW_TOLD_MS {
        tracing::warn!("{text}");
    }
    Ok(())
}

fn of_error(error: &StoreError) -> Finding {
    let check = match error {
        StoreError::Forbidden(_) => Check::DatabasePrivilege,
        StoreError::Damaged(_) | StoreError::NewerSchema(_) => Check::DatabaseSchema,
        _ => Check::DatabaseReach,
    };
    let remedy = match error {
        StoreError::BadUrl => "mend `database`",
        StoreError::Forbidden(_) => "grant it to the user of the URL: docs/operations.md has the role",
        StoreError::Damaged(_) => "restore it from a backup: docs/recovery.md",
        _ => "see that it runs, and that host, port, user and database of the URL are right",
    };
    Finding::error(check, error.to_string(), remedy)
}

fn of_facts(facts: &Facts, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    match facts.schema {
        Schema::Newer(version) => findings.push(Finding::error(
            Check::DatabaseSchema,
            format!("the schema is newer than this binary (migration {version} is unknown here)"),
            "use the newer billrecon",
        )),
        Schema::Older(version) => findings.push(Finding::warning(
            Check::DatabaseSchema,
            format!("the schema is older than this binary (migration {version} is its newest)"),
            "back the database up; the next command that writes brings it up to date, as the owner of the tables",
        )),
        Schema::Absent | Schema::Current => {}
    }
    if !facts.missing.is_empty() {
        findings.push(Finding::error(
            Check::DatabasePrivilege,
            format!("the user of the URL lacks: {}", facts.missing.join(", ")),
            "grant it: docs/operations.md has the role",
        ));
    }
    if facts.is_pooled {
        findings.push(Finding::warning(
            Check::DatabasePooler,
            "a pooler gives the statements of one session to several of the server's",
            "connect to the server itself, or through a pool in session mode; the lease holds either way",
        ));
    }
    let skew = facts.clock_ms.map(|clock| now.as_millisecond().abs_diff(clock)).unwrap_or_default();
    if skew > SKEW_TOLD_MS {
        let cause = format!("this machine's clock and the database's are {} s apart", skew / 1_000);
        let remedy = "set both by NTP: what is due, and what Stripe takes, is decided by the time";
        findings.push(if skew > SKEW_REFUSED_MS {
            Finding::error(Check::ClockSkew, cause, remedy)
        } else {
            Finding::warning(Check::ClockSkew, cause, remedy)
        });
    }
    findings
}
