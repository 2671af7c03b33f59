//! Stages of the work: how long each took, and on a terminal which one goes on.
//!
//! In: the spans of the job, as they open and close. Out: times by the stage's name; a line on stderr for a stage that takes over a
//! second, only where it was asked for and stderr is a terminal. Never decides anything.

use std::collections::BTreeMap;
use std::io::IsTerminal;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::span::{Attributes, Id};
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{FilterFn, LevelFilter, filter_fn};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

/// A shorter stage is over before anybody could read of it.
const WORTH_A_LINE: Duration = Duration::from_secs(1);
const LOOK_AGAIN: Duration = Duration::from_millis(250);

#[derive(Clone, Default)]
pub struct Stages(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    took: BTreeMap<&'static str, Duration>,
    /// By the span's id.
    running: BTreeMap<u64, (&'static str, Instant)>,
    line: Option<ProgressBar>,
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
        let line = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{spinner} {msg} {elapsed}");
        let line = line.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
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
        let of_job: FilterFn<fn(&Metadata<'_>) -> bool> = filter_fn(is_stage);
        Watch(self).with_filter(of_job.with_max_level_hint(LevelFilter::DEBUG))
    }

    fn draw(&self, line: &ProgressBar) {
        let longest = self.state().running.values().copied().min_by_key(|(_, since)| *since);
        match longest.filter(|(_, since)| since.elapsed() > WORTH_A_LINE) {
            Some((name, since)) => {
                line.set_message(format!("{}, {} s", words(name), since.elapsed().as_secs()));
                line.tick();
            }
            None => line.set_message(String::new()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_stage(metadata: &Metadata<'_>) -> bool {
    metadata.is_span() && *metadata.level() == Level::DEBUG && metadata.target().starts_with("billrecon::job")
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
        self.0.state().running.insert(id.into_u64(), (name, Instant::now()));
    }

    fn on_close(&self, id: Id, _: Context<'_, S>) {
        let mut state = self.0.state();
        if let Some((name, since)) = state.running.remove(&id.into_u64()) {
            *state.took.entry(name).or_default() += since.elapsed();
        }
    }
}
