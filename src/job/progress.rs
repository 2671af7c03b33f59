//! Progress: how far a stage of many like steps has come.
//!
//! In: how many steps there are, and each that is done. Out: events for whoever shows them to a person; the logs leave them out.
//! Never decides anything.

/// The events' target; their fields are `done` and `of`.
pub const TARGET: &str = "billrecon::job::progress";

pub struct Progress {
    done: u64,
    of: u64,
}

impl Progress {
    /// Within the span of its stage.
    pub fn of(steps: usize) -> Self {
        let progress = Self { done: 0, of: u64::try_from(steps).unwrap_or(u64::MAX) };
        progress.tell();
        progress
    }

    pub fn step(&mut self) {
        self.steps(1);
    }

    pub fn steps(&mut self, done: usize) {
        self.done = self.done.saturating_add(u64::try_from(done).unwrap_or(u64::MAX));
        self.tell();
    }

    fn tell(&self) {
        tracing::debug!(target: TARGET, done = self.done, of = self.of);
    }
}
