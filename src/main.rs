//! The program: arguments → configuration → command → exit code.
//!
//! In: the command line and, once, the clock. Out: a process exit code. Never does anything else.

use billrecon::cli::Cli;
use billrecon::commands;
use billrecon::exit_code::ExitCode;
use clap::Parser;

fn main() {
    let cli = Cli::parse();
    std::process::exit(run(&cli) as i32);
}

#[expect(clippy::disallowed_methods, reason = "the one place that reads the wall clock")]
fn run(cli: &Cli) -> ExitCode {
    let now = jiff::Timestamp::now();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return commands::failed(&error.into()),
    };
    let code = runtime.block_on(commands::execute(cli, now));
    // A reader that waits for standard input cannot be stopped; the process ends without it.
    runtime.shutdown_background();
    code
}
