//! Progress of an import on a terminal.
//!
//! In: the bytes read. Out: a bar on stderr, only on a terminal. Never writes to a file or a pipe.

use std::io::{IsTerminal, Read};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A bar over `length` bytes, or a count where the length is not known.
pub fn bar(length: Option<u64>) -> ProgressBar {
    let target = if std::io::stderr().is_terminal() {
        ProgressDrawTarget::stderr()
    } else {
        ProgressDrawTarget::hidden()
    };
    let template = match length {
        Some(_) => "{msg} lines [{bar:30}] {bytes}/{total_bytes} {eta}",
        None => "{msg} lines {bytes}",
    };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::with_draw_target(length, target).with_style(style)
}

/// Reads through the bar.
pub fn through(bar: &ProgressBar, reader: impl Read + Send + 'static) -> Box<dyn Read + Send> {
    Box::new(bar.wrap_read(reader))
}
