//! A wake that others watch over: a dead-man's switch is pinged at its start and its end, and its vital signs are written.
//!
//! In: where to, how a wake began and ended. Out: pings, a file. Whatever goes wrong here is one warning: it changes nothing of the
//! wake and nothing of its exit code, and takes a few seconds at most. Names no tenant.

use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::commands::stages::Stages;
use crate::config::SignalsConfig;
use crate::domain::vital::Vital;
use crate::exit_code::ExitCode;
use crate::job::vitals::{self, WakeEnd};
use crate::job::{Settings, Wake};
use crate::notify::ping::{Moment, PATIENCE, PingError, ping};
use crate::render::vitals as text;

/// Whoever has sent a signal waits for the end.
const SHORT_PATIENCE: Duration = Duration::from_secs(2);

pub struct Watch {
    signals: SignalsConfig,
    stages: Stages,
    last: Mutex<Option<WakeEnd>>,
}

/// A wake that goes on.
pub struct Begun {
    now: Timestamp,
    since: Instant,
    /// The same at its start and its end, so that the check can pair them.
    id: Uuid,
    start: Option<JoinHandle<Result<(), PingError>>>,
}

impl Watch {
    pub fn new(signals: SignalsConfig, stages: Stages) -> Self {
        Self { signals, stages, last: Mutex::new(None) }
    }

    /// Nothing that only looks is watched.
    pub fn unless(looks_only: bool, signals: SignalsConfig, stages: Stages) -> Self {
        Self::new(if looks_only { SignalsConfig::default() } else { signals }, stages)
    }

    /// The ping of the start is sent beside the work.
    pub fn begin(&self, now: Timestamp) -> Begun {
        let id = Uuid::new_v4();
        let start = self.signals.ping.clone().map(|check| {
            let words = format!("{}\nthe wake of {now} begins\n", program());
            tokio::spawn(async move { ping(&check, Moment::Start, id, &words, PATIENCE).await })
        });
        self.stages.take();
        Begun { now, since: Instant::now(), id, start }
    }

    /// `wake` is `None` where it could not be done.
    pub async fn end(&self, begun: Begun, settings: &Settings, wake: Option<&Wake>, code: ExitCode) {
        let end = self.end_of(&begun, code);
        if let Some(file) = &self.signals.textfile {
            write_signs(file, settings, &end).await;
        }
        if let Some(check) = &self.signals.ping {
            ping_end(check, begun, wake, code).await;
        }
    }

    /// How the last wake ended, if there was one.
    pub fn last(&self) -> Option<WakeEnd> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn end_of(&self, begun: &Begun, code: ExitCode) -> WakeEnd {
        let took = begun.since.elapsed();
        let ended_at = begun.now.saturating_add(took).unwrap_or(begun.now);
        let before = || self.last().and_then(|last| last.last_success).or_else(|| self.written_success());
        let last_success = if is_success(code) { Some(ended_at) } else { before() };
        let stages = self.stages.take();
        let end = WakeEnd { ended_at, exit_code: code as i32, took, stages, last_success };
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(end.clone());
        end
    }

    /// A process knows its own wakes only; the file knows those of the processes before it.
    fn written_success(&self) -> Option<Timestamp> {
        let written = std::fs::read_to_string(self.signals.textfile.as_ref()?).ok()?;
        Timestamp::from_second(text::value_in(&written, Vital::LastSuccess)?).ok()
    }
}

/// All that was due was looked at, whatever was found.
fn is_success(code: ExitCode) -> bool {
    use ExitCode::{Differences, Done, InsufficientData, NotYet, Unfinished};
    matches!(code, Done | Unfinished | NotYet | Differences | InsufficientData)
}

async fn write_signs(file: &Path, settings: &Settings, end: &WakeEnd) {
    let signs = match vitals::gather(settings, Some(end), end.ended_at).await {
        Ok(signs) => signs,
        Err(error) => {
            tracing::warn!("{} lacks what the database knows: {error:#}", file.display());
            vitals::of_wake(end)
        }
    };
    let written = text::text(signs).map_err(std::io::Error::other);
    if let Err(error) = written.and_then(|text| text::write_file(file, &text)) {
        tracing::warn!("the vital signs cannot be written to {}: {error}", file.display());
    }
}

async fn ping_end(check: &SecretString, begun: Begun, wake: Option<&Wake>, code: ExitCode) {
    let Begun { now, id, start, .. } = begun;
    let is_hurried = matches!(code, ExitCode::Interrupted | ExitCode::Terminated);
    let patience = if is_hurried { SHORT_PATIENCE } else { PATIENCE };
    // In their order, and the check is told of the end even where it missed the start.
    let started = match start {
        Some(start) => tokio::time::timeout(patience, start)
            .await
            .map_or(Err(PingError::Timeout), |told| told.unwrap_or(Err(PingError::Unreachable))),
        None => Ok(()),
    };
    // Who holds the lease says how it ends; if nobody does, the check notices the silence.
    let moment = if code == ExitCode::Lease { Moment::Note } else { Moment::End(code as i32) };
    let ended = ping(check, moment, id, &words(now, wake, code), patience).await;
    if let Err(error) = ended.or(started) {
        tracing::warn!("the check at the ping's address has not heard of all of this wake: {error}");
    }
}

fn program() -> &'static str {
    concat!("billrecon ", env!("CARGO_PKG_VERSION"))
}

/// What a person reads at the check: periods and runs, no tenants.
fn words(now: Timestamp, wake: Option<&Wake>, code: ExitCode) -> String {
    let mut lines = vec![program().to_owned(), format!("the wake of {now} ended with {}", code as i32)];
    let Some(wake) = wake else { return lines.join("\n") + "\n" };
    lines.push(format!("mode {}", wake.mode));
    for outcome in &wake.outcomes {
        let verdict = outcome.verdict.as_ref().map_or("no verdict", |verdict| verdict.word.as_str());
        let run = outcome.run_id.as_deref().unwrap_or_default();
        lines.push(format!("{} {} {verdict} {run}", outcome.period, outcome.status.as_str()));
    }
    if !wake.failures.is_empty() {
        lines.push(format!("{} periods failed", wake.failures.len()));
    }
    lines.join("\n") + "\n"
}
