//! Stages of the work: how long each took, and on a terminal which one goes on.
//!
//! In: the spans of the job, as they open and close, and how far each has come. Out: times by the stage's name; a line on stderr for a
//! stage that takes over a second, with a bar where its steps are counted, only where it was asked for and stderr is a terminal.
//! Never decides anything.

use std::collections::BTreeMap;
use std::fmt;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, LevelFilter, filter_fn};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use crate::job::progress;

/// A shorter stage is over before anybody could read of it.
const WORTH_A_LINE: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(250);

const NOTHING: &str = "";
const WAITING: &str = "{spinner} {msg}";
/// As wide as the window is.
const COUNTING: &str = "{spinner} {msg} {wide_bar} {pos}/{len}";

#[derive(Clone, Default)]
pub struct Stages(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    took: BTreeMap<&'static str, Duration>,
    /// By the span's id.
    running: BTreeMap<u64, Running>,
    line: Option<ProgressBar>,
}

#[derive(Clone, Copy)]
struct Running {
    name: &'static str,
    since: Instant,
    steps: Steps,
}

/// How many steps are done, and how many there are; 0: they are not counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Steps {
    done: u64,
    of: u64,
}

/// Takes the line away when the work is over.
pub struct Shown(Option<(ProgressBar, tokio::task::JoinHandle<()>)>);

impl Drop for Shown {
    fn drop(&mut self) {
        if let Some((line, looking)) = self.0.take() {
            looking.abort();
            line.finish_and_clear();
        }
    }
}

impl Stages {
    /// How long each stage took since this was asked last.
    pub fn take(&self) -> BTreeMap<&'static str, Duration> {
        std::mem::take(&mut self.state().took)
    }

    /// Shows stages from now on, if somebody sees it.
    pub fn show(&self) -> Shown {
        if !std::io::stderr().is_terminal() {
            return Shown(None);
        }
        let line =
            ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr()).with_style(style(NOTHING));
        self.state().line = Some(line.clone());
        let (stages, shown) = (self.clone(), line.clone());
        let looking = async move {
            loop {
                tokio::time::sleep(LOOK_AGAIN).await;
                stages.draw(&shown);
            }
        };
        Shown(Some((line, tokio::spawn(looking))))
    }

    /// Writes something else to the terminal, without the line in its way.
    pub fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        let line = self.state().line.clone();
        match line {
            Some(line) => line.suspend(write),
            None => write(),
        }
    }

    pub fn layer<S>(self) -> impl Layer<S>
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let of_job: FilterFn<fn(&Metadata<'_>) -> bool> = filter_fn(is_of_stage);
        Watch(self).with_filter(of_job.with_max_level_hint(LevelFilter::DEBUG))
    }

    fn draw(&self, line: &ProgressBar) {
        let longest = self.longest(WORTH_A_LINE);
        let Some(Running { name, since, steps }) = longest else {
            line.set_style(style(NOTHING));
            return line.tick();
        };
        line.set_length(steps.of);
        line.set_position(steps.done);
        line.set_style(style(if steps.of == 0 { WAITING } else { COUNTING }));
        line.set_message(format!("{}, {} s", words(name), since.elapsed().as_secs()));
        line.tick();
    }

    /// The stage that goes on for longest, if it does so for this long.
    fn longest(&self, at_least: Duration) -> Option<Running> {
        let longest = self.state().running.values().copied().min_by_key(|one| one.since);
        longest.filter(|one| one.since.elapsed() > at_least)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn style(template: &'static str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// A stage, or a step of one.
fn is_of_stage(metadata: &Metadata<'_>) -> bool {
    let is_of_job = metadata.target().starts_with("billrecon::job");
    *metadata.level() == Level::DEBUG
        && if metadata.is_span() { is_of_job } else { metadata.target() == progress::TARGET }
}

/// What a person reads of a stage.
fn words(name: &'static str) -> &'static str {
    match name {
        "open" => "opening the database",
        "observe" => "reading the ledger",
        "rate" => "rating",
        "map" => "finding customers",
        "read" => "reading from Stripe",
        "push" => "pushing usage",
        "compare" => "comparing",
        "plan" => "planning",
        "commit" => "writing figures",
        "files" => "writing reports",
        name => name,
    }
}

struct Watch(Stages);

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Watch {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, _: Context<'_, S>) {
        let name = attributes.metadata().name();
        let running = Running { name, since: Instant::now(), steps: Steps::default() };
        self.0.state().running.insert(id.into_u64(), running);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let Some(span) = context.event_span(event) else { return };
        if let Some(running) = self.0.state().running.get_mut(&span.id().into_u64()) {
            event.record(&mut running.steps);
        }
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let mut state = self.0.state();
        if let Some(Running { name, since, .. }) = state.running.remove(&id.into_u64()) {
            *state.took.entry(name).or_default() += since.elapsed();
        }
    }
}

impl Visit for Steps {
    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "done" => self.done = value,
            "of" => self.of = value,
            _ => {}
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::progress::Progress;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[test]
    fn a_stage_knows_how_many_of_its_steps_are_done_until_it_ends() {
        let stages = Stages::default();
        let steps = || stages.longest(Duration::ZERO).map(|one| (one.name, one.steps));
        tracing::subscriber::with_default(
            tracing_subscriber::registry().with(stages.clone().layer()),
            || {
                let span = tracing::debug_span!(target: "billrecon::job::reading", "read");
                let entered = span.entered();
                assert_eq!(steps(), Some(("read", Steps { done: 0, of: 0 })));
                let mut progress = Progress::of(3);
                progress.step();
                progress.steps(2);
                assert_eq!(steps(), Some(("read", Steps { done: 3, of: 3 })));
                drop(entered);
                assert_eq!(steps(), None);
            },
        );
        assert_eq!(stages.take().into_keys().collect::<Vec<_>>(), ["read"]);
    }
}
