//! Each command where nobody reads, nobody can see a colour, or the window is narrow.
//!
//! In: one call of every command that there is. Out: no panic, no escape code, the same exit code whoever listens. A command that
//! is new and not called here fails a test.

use std::collections::BTreeSet;
use std::process::{Command, Stdio};

use clap::CommandFactory;

use super::streams::without_reader;
use crate::signals::terminal::on_a_terminal;
use crate::support::{Ended, Engine, Workspace};

/// In an order in which each finds what it needs. What would stay until a signal comes is called with a word that ends it.
const CALLS: [(&[&str], i32); 25] = [
    (&["init", "new"], 0),
    (&["config", "show", "--origin"], 0),
    (&["doctor"], 0),
    (&["import", "catalog", "catalog.toml"], 0),
    (&["import", "tenants", "tenants.csv"], 0),
    (&["import", "usage", "usage.csv"], 0),
    (&["run", "--period", "2026-09"], 0),
    (&["serve", "--schedule", "never"], 2),
    (&["status"], 0),
    (&["guard"], 0),
    (&["explain", "acme", "--period", "2026-09"], 0),
    (&["report", "--period", "2026-09"], 0),
    (&["verify", "--period", "2026-09"], 0),
    (&["approve", "1", "--by", "me", "--note", "read"], 2),
    (&["decide", "--period", "2026-09"], 0),
    (&["price", "suggest"], 0),
    (&["price", "simulate", "--prices", "0.02"], 0),
    (&["rate", "--catalog", "catalog.toml", "--plan", "pro", "--use", "b2b.match_request=1200"], 0),
    (&["park", "acme", "--note", "asked"], 0),
    (&["unpark", "acme", "--note", "answered"], 0),
    (&["unlock", "--force"], 0),
    (&["demo"], 0),
    (&["sandbox", "--state", "journal", "--listen", "nowhere"], 2),
    (&["completions", "zsh"], 0),
    (&["man"], 0),
];

fn company() -> Workspace {
    Workspace::with_watched_company(Engine::Sqlite)
}

/// The calls and what they are to end with, `prepare` having had the command before.
fn call_all(workspace: &Workspace, mut prepare: impl FnMut(Command) -> Command) -> Vec<Ended> {
    let call = |(arguments, code): &(&[&str], i32)| {
        let ended = Ended::of(prepare(workspace.command(arguments)).output().unwrap());
        assert!(!ended.stderr.contains("panicked"), "{arguments:?}: {ended:?}");
        assert_eq!(ended.code, Some(*code), "{arguments:?}: {ended:?}");
        ended
    };
    CALLS.iter().map(call).collect()
}

/// `import usage` and so on, as far as it can be called.
fn leaves(command: &clap::Command, name: &str, all: &mut BTreeSet<String>) {
    for one in command.get_subcommands() {
        leaves(one, format!("{name} {}", one.get_name()).trim_start(), all);
    }
    if !command.has_subcommands() {
        all.insert(name.to_owned());
    }
}

#[test]
fn every_command_is_called_here() {
    let mut all = BTreeSet::new();
    leaves(&billrecon::cli::Cli::command(), "", &mut all);
    let called = |name: &String| {
        let words: Vec<&str> = name.split(' ').collect();
        CALLS.iter().any(|(arguments, _)| arguments.starts_with(&words))
    };
    assert_eq!(all.iter().filter(|name| !called(name)).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn no_command_minds_that_nobody_reads_what_it_says() {
    call_all(&company(), |command| {
        let mut command = without_reader(command);
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        command.stderr(writer);
        command
    });
}

#[test]
fn no_command_colours_what_goes_to_a_pipe() {
    for ended in call_all(&company(), |command| command) {
        assert!(!ended.stdout.contains('\u{1b}') && !ended.stderr.contains('\u{1b}'), "{ended:?}");
    }
}

#[test]
fn every_command_keeps_to_a_window_of_forty_columns_and_to_its_own_colour_where_none_is_wanted() {
    let workspace = company();
    let on_screen = |command: Command| {
        let mut command = on_a_terminal(&command, "/dev/null");
        command.stdout(Stdio::piped());
        command
    };
    let without_colour = |command: Command| {
        let mut command = on_screen(command);
        command.env("NO_COLOR", "1");
        command
    };
    for ended in call_all(&workspace, without_colour) {
        // The cursor may be moved on a terminal, as progress does.
        assert!(!ended.stdout.contains("panicked") && !is_coloured(&ended.stdout), "{ended:?}");
    }
    for name in billrecon::cli::Cli::command().get_subcommands().map(clap::Command::get_name) {
        let help = || workspace.command(&[name, "--help"]);
        let shown = |mut command: Command| Ended::of(command.output().unwrap()).expect(0).stdout;
        assert!(is_coloured(&shown(on_screen(help()))), "{name}: a terminal shows no headings");
        let plain = shown(without_colour(help()));
        assert!(!is_coloured(&plain), "{plain}");
        // The line of usage and long words are not cut.
        let wide = plain.lines().filter(|line| line.chars().count() > 40 && !line.starts_with("Usage: "));
        let wide: Vec<_> = wide.filter(|line| line.split_whitespace().all(|word| word.len() < 24)).collect();
        assert!(wide.is_empty(), "{name}: {wide:#?}");
    }
}

fn is_coloured(screen: &str) -> bool {
    screen.split("\u{1b}[").skip(1).any(|rest| {
        let end = rest.find(|letter: char| letter.is_ascii_alphabetic());
        end.is_some_and(|end| end > 0 && rest[end..].starts_with('m'))
    })
}
