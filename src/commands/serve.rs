//! `billrecon serve`: the job by its own clock, where there is no cron.
//!
//! In: flags; the wall clock, once per wake. Out: per wake what `run` prints; an exit code only when a signal ends it. A
//! wake that fails ends nothing: the next one does what it left.

use std::future::Future;
use std::ops::ControlFlow;

use jiff::Timestamp;
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{GlobalFlags, ServeFlags};
use crate::commands::watched::Watch;
use crate::commands::{configured, run, start_logging};
use crate::config::Config;
use crate::exit_code::ExitCode;
use crate::job::{self, Interrupted, Refusal, RunOptions, Settings};
use crate::schedule::{Schedule, ScheduleError, keep_waking};

pub async fn execute(global: &GlobalFlags, flags: &ServeFlags) -> anyhow::Result<ExitCode> {
    let config = Config::load(global)?;
    let stages = start_logging(&config.log)?;
    let settings = configured(&config)?;
    let by_flag = flags.schedule.is_some();
    let expression = flags.schedule.clone().unwrap_or(config.serve.schedule);
    let schedule = Schedule { expression, time_zone: config.time_zone };
    let stop = stop()?;
    // What is wrong with a schedule is told when it is to ring.
    let longest_gap = schedule.longest_gap(clock()).ok();
    let options = RunOptions { longest_gap, ..RunOptions::default() };
    let watch = Watch::new(config.signals, stages);
    let wake = async |now| wake(&settings, &options, &watch, flags.json, now).await;
    let ended = keep_waking(&schedule, clock, stop, wake).await.map_err(|error| match error {
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

/// One wake: what a cron line would do. It breaks off only for a signal.
async fn wake(
    settings: &Settings,
    options: &RunOptions,
    watch: &Watch,
    as_json: bool,
    now: Timestamp,
) -> ControlFlow<Interrupted> {
    let begun = watch.begin(now);
    let (wake, printed) = match job::run(settings, options, now).await {
        Ok(wake) => {
            if settings.slack.destination.is_none() {
                run::print_messages(&wake);
            }
            let printed = run::print_wake(&wake, as_json).map_err(anyhow::Error::from);
            (Some(wake), printed)
        }
        Err(error) => (None, Err(error)),
    };
    let code = printed.as_ref().map_or_else(ExitCode::of, |code| *code);
    watch.end(begun, settings, wake.as_ref(), code).await;
    let error = match printed {
        Ok(code) => {
            tracing::info!("the wake of {now} ends with {}", code as i32);
            return ControlFlow::Continue(());
        }
        Err(error) => error,
    };
    if let Some(interrupted) = error.downcast_ref::<Interrupted>() {
        return ControlFlow::Break(*interrupted);
    }
    match ExitCode::of(&error) {
        // Of two replicas one works and the other waits for its next wake.
        ExitCode::Lease => tracing::info!("the wake of {now} ends with 11: {error:#}"),
        code => tracing::error!("the wake of {now} ends with {}: {error:#}", code as i32),
    }
    ControlFlow::Continue(())
}
