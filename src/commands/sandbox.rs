//! `billrecon sandbox`: serves the sandbox to others until a signal ends it.
//!
//! In: where to listen, the journal, the clock, the manners. Out: one line on stdout, the address, once it is ready. Reads no
//! configuration and no database.

use std::future::pending;

use crate::cli::SandboxFlags;
use crate::commands::print;
use crate::exit_code::ExitCode;
use crate::job::Signals;
use crate::sandbox::{Clock, Local, Manners, Sandbox, Seed, State};

pub async fn execute(flags: &SandboxFlags) -> anyhow::Result<ExitCode> {
    let mut signals = Signals::listen()?;
    let clock = flags.now.map_or(Clock::Wall, Clock::At);
    let state = State::File(flags.state.clone());
    let manners = flags.manners.as_deref().map_or_else(|| Ok(Manners::default()), Manners::read)?;
    let local = Local::open(state, clock, &Seed::default(), manners)?;
    let sandbox = Sandbox::listen(flags.listen, local).await?;
    print::data(sandbox.base_url().trim_end_matches('/'))?;
    let ended = signals.unless_interrupted(pending()).await;
    sandbox.stop().await;
    ended
}
