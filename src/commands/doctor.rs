//! `billrecon doctor`: what is not as it should be, with what to do.
//!
//! In: flags, the surroundings. Out: nothing and 0 where all is well; else a line per finding, or one JSON object. It ends with 3 where
//! there are warnings only, else with the code that a run would end with.

use jiff::Timestamp;
use serde_json::json;

use crate::cli::{DoctorFlags, GlobalFlags};
use crate::commands::{configured, print, start_logging};
use crate::config::{Config, nearest_variable, unknown_variables, zone_files};
use crate::exit_code::ExitCode;
use crate::job::doctor::{Check, Finding, Severity, Surroundings, doctor};
use crate::schedule::{Schedule, next_wake};

pub async fn execute(global: &GlobalFlags, flags: &DoctorFlags, now: Timestamp) -> anyhow::Result<ExitCode> {
    let findings = match prepare(global, now) {
        Ok((settings, around)) => Box::pin(doctor(&settings, &around, now)).await,
        Err(error) => vec![Finding::of_configuration(&error)],
    };
    if flags.json {
        print::data(&print::json(&as_json(&findings)))?;
    } else {
        for one in &findings {
            let line =
                format!("{}: {}: {}; {}", one.severity.as_str(), one.check.as_str(), one.cause, one.remedy);
            print::data(&line.replace('\n', " "))?;
        }
    }
    Ok(code(&findings, flags.strict))
}

fn prepare(global: &GlobalFlags, now: Timestamp) -> anyhow::Result<(crate::job::Settings, Surroundings)> {
    let config = Config::load(global)?;
    start_logging(&config.log)?;
    let settings = configured(&config)?;
    let schedule =
        Schedule { expression: config.serve.schedule.clone(), time_zone: config.time_zone.clone() };
    let unknown = unknown_variables().into_iter().map(|name| {
        let near = nearest_variable(&name);
        (name, near)
    });
    let comes = next_wake(&schedule.expression, &schedule.time_zone, now);
    let gap = comes.and_then(|_| schedule.longest_gap(now));
    let around = Surroundings {
        file: config.file,
        unknown_variables: unknown.collect(),
        longest_gap: gap.map_err(|error| error.to_string()),
        zone_files: zone_files(),
    };
    Ok((settings, around))
}

fn as_json(findings: &[Finding]) -> String {
    let one = |one: &Finding| {
        json!({
            "severity": one.severity.as_str(), "check": one.check.as_str(), "cause": one.cause, "remedy": one.remedy,
        })
    };
    json!({"findings": findings.iter().map(one).collect::<Vec<_>>()}).to_string()
}

/// Of the first error; warnings are errors to who is strict.
fn code(findings: &[Finding], strict: bool) -> ExitCode {
    match findings.first() {
        None => ExitCode::Done,
        Some(one) if one.severity == Severity::Warning && !strict => ExitCode::Unfinished,
        Some(one) => of_check(one.check),
    }
}

fn of_check(check: Check) -> ExitCode {
    match check {
        Check::DatabaseReach | Check::StripeReach | Check::Slack => ExitCode::TryAgain,
        Check::DatabasePrivilege => ExitCode::Permission,
        Check::ReportsFolder => ExitCode::CannotCreate,
        Check::Disk => ExitCode::Io,
        _ => ExitCode::Configuration,
    }
}
