//! `billrecon serve`: the job by its own clock, where there is no cron.
//!
//! In: flags; the wall clock, once per wake. Out: per wake what `run` prints; answers over HTTP; an exit code only when a signal ends
//! it. A wake that fails ends nothing, not even by a panic: the next one does what it left.

mod http;

use std::any::Any;
use std::future::Future;
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt as _;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Mutex;

use crate::cli::{GlobalFlags, ServeFlags};
use crate::commands::serve::http::{Known, Pulse};
use crate::commands::watched::Watch;
use crate::commands::{configured, run, start_logging};
use crate::config::{Config, ServeConfig};
use crate::exit_code::ExitCode;
use crate::job::guard::{GuardOptions, guard};
use crate::job::remind::remind;
use crate::job::{self, Interrupted, Refusal, RunOptions, Settings};
use crate::schedule::{Alarm, AlarmClock, Schedule, ScheduleError, keep_waking};

/// What a wake is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Work {
    Run,
    Guard,
    Remind,
}

/// What every wake needs.
struct Desk {
    settings: Settings,
    options: RunOptions,
    watch: Arc<Watch>,
    pulse: Arc<Pulse>,
    as_json: bool,
}

pub async fn execute(global: &GlobalFlags, flags: &ServeFlags) -> anyhow::Result<ExitCode> {
    let mut config = Config::load(global)?;
    let stages = start_logging(&config.log)?;
    let settings = configured(&config)?;
    let by_flag = flags.schedule.is_some();
    if let Some(expression) = &flags.schedule {
        config.serve.schedule.clone_from(expression);
    }
    let alarms = alarms(&config.serve, &config.time_zone);
    // What is wrong with a schedule is told when it is to ring.
    let longest_gap = alarms.first().and_then(|alarm| alarm.schedule.longest_gap(clock()).ok());
    let options = RunOptions { longest_gap, ..RunOptions::default() };
    let (watch, pulse) = (Arc::new(Watch::new(config.signals, stages)), Arc::new(Pulse::new()));
    let known = Known { settings: settings.clone(), pulse: pulse.clone(), watch: watch.clone() };
    let server =
        listener(&config.serve).await?.map(|listener| tokio::spawn(http::serve(listener, Arc::new(known))));
    let desk = Desk { settings, options, watch, pulse, as_json: flags.json };
    let ended = keep_serving(&alarms, &desk).await;
    if let Some(server) = server {
        server.abort();
    }
    let ended = ended.map_err(|error| match error {
        ScheduleError::Expression { .. } | ScheduleError::Never { .. } if by_flag => {
            Refusal::Usage(error.to_string()).into()
        }
        error => anyhow::Error::from(error),
    })?;
    Err(ended.into())
}

#[expect(
    clippy::disallowed_methods,
    reason = "`serve` reads the wall clock for each wake, as main does for a run"
)]
fn clock() -> Timestamp {
    Timestamp::now()
}

fn alarms(config: &ServeConfig, time_zone: &TimeZone) -> Vec<Alarm<Work>> {
    let alarm = |work, expression: &String| {
        let schedule = Schedule { expression: expression.clone(), time_zone: time_zone.clone() };
        Alarm { work, schedule }
    };
    let run = alarm(Work::Run, &config.schedule);
    let guard = config.guard.iter().map(|expression| alarm(Work::Guard, expression));
    let remind = config.reminders.iter().map(|expression| alarm(Work::Remind, expression));
    std::iter::once(run).chain(guard).chain(remind).collect()
}

/// An address that nobody asked for may be taken by another `serve` of this machine.
async fn listener(config: &ServeConfig) -> anyhow::Result<Option<TcpListener>> {
    let Some(address) = config.listen else { return Ok(None) };
    match TcpListener::bind(address).await {
        Ok(listener) => {
            let address = listener.local_addr()?;
            tracing::info!("http://{address} has /health, /ready and /metrics");
            Ok(Some(listener))
        }
        Err(error) if config.listen_was_set => {
            let text = format!("serve.listen {address} cannot be used: {error}; free it, or name another");
            Err(Refusal::Configuration(text).into())
        }
        Err(error) => {
            tracing::warn!(
                "{address} cannot be used ({error}), so nothing is answered over HTTP: set serve.listen"
            );
            Ok(None)
        }
    }
}

async fn keep_serving(alarms: &[Alarm<Work>], desk: &Desk) -> Result<Interrupted, ScheduleError> {
    let alarm_clock = Mutex::new(None);
    let ring = async |at: Timestamp| {
        desk.pulse.waits_until(at);
        let rung = ring(&alarm_clock, at).await;
        desk.pulse.is_at_work();
        rung
    };
    let stop = stop().map_err(|error| ScheduleError::Clock(error.to_string()))?;
    let wake = async |now, work| supervised(now, Box::pin(desk.wake(now, work))).await;
    let ended = keep_waking(alarms, clock, ring, stop, wake).await;
    if let Some(clock) = alarm_clock.into_inner() {
        clock.stop().await;
    }
    ended
}

/// A fault of ours ends one wake, as it would end one process of cron's: what it left undone the next one does.
async fn supervised(
    now: Timestamp,
    wake: impl Future<Output = ControlFlow<Interrupted>>,
) -> ControlFlow<Interrupted> {
    AssertUnwindSafe(wake).catch_unwind().await.unwrap_or_else(|panic| {
        let (code, words) = (ExitCode::Internal as i32, words_of(&*panic));
        tracing::error!("the wake of {now} ends with {code}: a fault in billrecon: {words}");
        ControlFlow::Continue(())
    })
}

/// An alarm clock that has failed is replaced by a new one, once.
async fn ring(alarm_clock: &Mutex<Option<AlarmClock>>, at: Timestamp) -> Result<(), ScheduleError> {
    let mut held = alarm_clock.lock().await;
    for is_last in [false, true] {
        if held.is_none() {
            *held = Some(AlarmClock::start().await?);
        }
        let seconds = at.as_second() - clock().as_second();
        let rung = match &*held {
            Some(clock) => clock.ring_after(seconds).await,
            None => Ok(()),
        };
        match rung {
            Err(error) if !is_last => {
                tracing::warn!("{error}; a new one is tried");
                *held = None;
            }
            rung => return rung,
        }
    }
    Ok(())
}

/// Listens from now on, so that a signal that comes between a wake and its end is heard after it.
fn stop() -> std::io::Result<impl Future<Output = Interrupted>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => Interrupted::Interrupt,
            _ = terminate.recv() => Interrupted::Terminate,
        }
    })
}

impl Desk {
    /// One wake: what a cron line would do. It breaks off only for a signal.
    async fn wake(&self, now: Timestamp, work: Work) -> ControlFlow<Interrupted> {
        let (what, done) = match work {
            Work::Run => ("wake", Box::pin(self.run(now)).await),
            Work::Guard => ("look at drafts", Box::pin(self.guard(now)).await),
            Work::Remind => ("reminder", remind(&self.settings, now).await.map(|_| ExitCode::Done)),
        };
        let error = match done {
            Ok(code) => {
                tracing::info!("the {what} of {now} ends with {}", code as i32);
                return ControlFlow::Continue(());
            }
            Err(error) => error,
        };
        if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
            return ControlFlow::Break(*interrupted);
        }
        match ExitCode::of(&error) {
            // Of two replicas one works and the other waits for its next wake.
            ExitCode::Lease => tracing::info!("the {what} of {now} ends with 11: {error:#}"),
            code => tracing::error!("the {what} of {now} ends with {}: {error:#}", code as i32),
        }
        ControlFlow::Continue(())
    }

    async fn run(&self, now: Timestamp) -> anyhow::Result<ExitCode> {
        let begun = self.watch.begin(now);
        let (wake, printed) = match job::run(&self.settings, &self.options, now).await {
            Ok(wake) => {
                if self.settings.slack.destination.is_none() {
                    run::print_messages(&wake);
                }
                let printed = run::print_wake(&wake, self.as_json).map_err(anyhow::Error::from);
                (Some(wake), printed)
            }
            Err(error) => (None, Err(error)),
        };
        let code = printed.as_ref().map_or_else(ExitCode::of, |code| *code);
        self.watch.end(begun, &self.settings, wake.as_ref(), code).await;
        printed
    }

    /// What it finds goes to Slack; the log says how much.
    async fn guard(&self, now: Timestamp) -> anyhow::Result<ExitCode> {
        let guarded = guard(&self.settings, &GuardOptions::default(), now).await?;
        if !guarded.needs_attention() {
            return Ok(ExitCode::Done);
        }
        tracing::warn!(
            "of {} drafts, {} need somebody: billrecon guard",
            guarded.drafts,
            guarded.findings.len()
        );
        Ok(ExitCode::Unfinished)
    }
}

/// What a panic says, as far as it is text.
fn words_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_ends_its_wake_and_not_the_process() {
        let after = |word: Option<&'static str>| {
            supervised(Timestamp::UNIX_EPOCH, async move {
                tokio::task::yield_now().await;
                word.map_or(ControlFlow::Break(Interrupted::Terminate), |word| panic!("{word}"))
            })
        };
        assert_eq!(after(Some("broken")).await, ControlFlow::Continue(()));
        assert_eq!(after(None).await, ControlFlow::Break(Interrupted::Terminate));
        let panic = std::panic::catch_unwind(|| panic!("two {}", "words")).unwrap_err();
        assert_eq!(words_of(&*panic), "two words");
    }
}
