//! `billrecon init`: a folder to begin in. It asks nothing, and never changes a file that is there.
//!
//! In: a folder. Out: a configuration in which every setting is commented out, an example catalog, a `.gitignore` for what is
//! no source, and the next step in words.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use crate::cli::InitFlags;
use crate::commands::print;
use crate::config::example;
use crate::domain::text::shell_word;
use crate::exit_code::ExitCode;
use crate::job::Refusal;

const CATALOG: &str = include_str!("init/catalog.toml");
const GITIGNORE: &str = include_str!("init/gitignore");

pub fn execute(flags: &InitFlags) -> anyhow::Result<ExitCode> {
    let folder = &flags.folder;
    let failed = |path: &Path, error: &std::io::Error| {
        Refusal::CannotCreate(format!("{} cannot be made: {error}", path.display()))
    };
    fs::create_dir_all(folder).map_err(|error| failed(folder, &error))?;
    for (name, text) in [
        ("billrecon.toml", example()),
        ("catalog.toml", CATALOG.to_owned()),
        (".gitignore", GITIGNORE.to_owned()),
    ] {
        let path = folder.join(name);
        let is_new = write_new(&path, &text).map_err(|error| failed(&path, &error))?;
        let what = if is_new { "made" } else { "was there, and stays as it is:" };
        print::words(&format!("{what} {}", path.display()));
    }
    let there = if folder == Path::new(".") {
        String::new()
    } else {
        format!("cd {} && ", shell_word(&folder.to_string_lossy()))
    };
    print::words(&format!(
        "next: put your plans and prices into catalog.toml, then\n  {there}billrecon import catalog catalog.toml\n\
         docs/quickstart.md goes on from there; `billrecon doctor` says what is missing at any time"
    ));
    Ok(ExitCode::Done)
}

/// Whether it was not there before.
fn write_new(path: &Path, text: &str) -> std::io::Result<bool> {
    match OpenOptions::new().write(true).create_new(true).mode(0o640).open(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}
