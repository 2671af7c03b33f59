//! Printing: data on stdout, words on stderr.
//!
//! In: lines of text. Out: the same lines. A reader that closed its end (`| head`) is no fault and ends nothing; control
//! characters of other people's names never reach a terminal.

use std::io::{self, Write};

use crate::commands::logging;

/// A line of data. Whoever has closed their end wants no more of it; any other failure loses what was asked for.
pub fn data(line: &str) -> io::Result<()> {
    told(writeln!(io::stdout().lock(), "{}", printable(line)))
}

/// What billrecon itself has made, as it is: a script, a page.
pub fn text(bytes: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    told(stdout.write_all(bytes).and_then(|()| stdout.flush()))
}

fn told(written: io::Result<()>) -> io::Result<()> {
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(io::Error::new(error.kind(), format!("standard output cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// A line for a person.
pub fn words(line: &str) {
    if logging::is_json() {
        let _reader_gone = writeln!(io::stderr().lock(), "{}", logging::line(line));
        return;
    }
    let _reader_gone = writeln!(io::stderr().lock(), "{}", printable(line));
}

/// JSON that means the same and holds no such character: in its strings each is escaped, elsewhere it is a blank.
pub fn json(text: &str) -> String {
    let escaped = |one: char| match one {
        '\t' | '\r' | '\n' => " ".to_owned(),
        one if one.is_control() || is_bidi(one) => format!("\\u{:04x}", u32::from(one)),
        one => one.to_string(),
    };
    text.chars().map(escaped).collect()
}

/// A table as lines: the first column to the left, the others, which hold numbers, to the right.
pub fn aligned<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let mut cells = vec![format!("{:<width$}", row[0], width = widths[0])];
        cells.extend((1..N).map(|column| format!("{:>width$}", row[column], width = widths[column])));
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
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
    fn json_means_the_same_without_characters_that_a_terminal_obeys() {
        let text = "{\t\"a\u{85}\":\r[\"\u{202e}b\", \"\\t\"]}";
        let safe = json(text);
        assert_eq!(safe, "{ \"a\\u0085\": [\"\\u202eb\", \"\\t\"]}");
        let value = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(value(&safe), value(text));
    }

    #[test]
    fn control_and_direction_characters_are_replaced() {
        assert_eq!(printable("a\u{1b}[2Jb\u{202e}c\r"), "a\u{fffd}[2Jb\u{fffd}c\u{fffd}");
    }
}
