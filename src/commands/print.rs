//! Printing: data on stdout, words on stderr.
//!
//! In: lines of text. Out: the same lines. A reader that closed its end (`| head`) is no fault and ends nothing; control
//! characters of other people's names never reach a terminal.

use std::io::{self, Write};

/// A line of data. Whoever has closed their end wants no more of it; any other failure loses what was asked for.
pub fn data(line: &str) -> io::Result<()> {
    match writeln!(io::stdout().lock(), "{}", printable(line)) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(io::Error::new(error.kind(), format!("standard output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// A line for a person.
pub fn words(line: &str) {
    let _reader_gone = writeln!(io::stderr().lock(), "{}", printable(line));
}

fn printable(line: &str) -> String {
    let keep = |one: char| one == '\n' || !(one.is_control() || is_bidi(one));
    line.chars().map(|one| if keep(one) { one } else { char::REPLACEMENT_CHARACTER }).collect()
}

/// Marks that turn the reading direction and can make a line look like another.
fn is_bidi(one: char) -> bool {
    matches!(one, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{061c}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_and_direction_characters_are_replaced() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}c\r"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}");
    }
}
