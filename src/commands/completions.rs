//! `billrecon completions`: what a shell reads to complete the words of a command line.
//!
//! In: a shell. Out: its script on stdout. Reads no configuration and no database.

use clap::CommandFactory;

use crate::cli::{Cli, CompletionsFlags};
use crate::commands::print;
use crate::exit_code::ExitCode;

pub fn execute(flags: &CompletionsFlags) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    // Into memory: the library panics where its output cannot be written.
    clap_complete::generate(flags.shell, &mut Cli::command(), "billrecon", &mut script);
    print::text(&script)?;
    Ok(ExitCode::Done)
}
