//! The sandbox's clock.
//!
//! In: how the sandbox was started. Out: Unix seconds. Embedded in the job it is told the time and never reads the wall
//! clock; `billrecon sandbox` may.

use jiff::Timestamp;

#[derive(Clone, Copy, Debug)]
pub enum Clock {
    /// The machine's clock, until a test clock is made.
    Wall,
    /// That instant, or the latest of the journal, whichever is later.
    At(Timestamp),
}

impl Clock {
    #[expect(clippy::disallowed_methods, reason = "a sandbox of its own keeps its own clock")]
    pub fn seconds(self) -> i64 {
        match self {
            Self::Wall => Timestamp::now().as_second(),
            Self::At(instant) => instant.as_second(),
        }
    }
}
