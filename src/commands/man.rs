//! `billrecon man`: the manual, as pages for man(1).
//!
//! In: nothing, or a folder. Out: the main page on stdout, or a file per command in the folder. Writes nowhere else, and its
//! pages hold no date: the same binary makes the same bytes.

use std::fs;
use std::io;
use std::path::Path;

use clap::CommandFactory;
use clap_mangen::Man;

use crate::cli::{Cli, ManFlags};
use crate::commands::print;
use crate::exit_code::ExitCode;
use crate::job::Refusal;

pub fn execute(flags: &ManFlags) -> anyhow::Result<ExitCode> {
    let mut root = Cli::command();
    root.build();
    match &flags.dir {
        None => print::text(&page(&root, "billrecon")?)?,
        Some(folder) => {
            fs::create_dir_all(folder).map_err(|error| cannot_create(folder, &error))?;
            let pages = write_pages(&root, "billrecon", folder)?;
            print::words(&format!("{pages} pages in {}", folder.display()));
        }
    }
    Ok(ExitCode::Done)
}

/// Its own page and those of its commands, `billrecon-import-usage.1` and so on.
fn write_pages(command: &clap::Command, name: &str, folder: &Path) -> anyhow::Result<usize> {
    let path = folder.join(format!("{name}.1"));
    fs::write(&path, page(command, name)?).map_err(|error| cannot_create(&path, &error))?;
    let mut pages = 1;
    // `help` has a page of its own for each command, which says the same.
    for one in command.get_subcommands().filter(|one| one.get_name() != "help" && !one.is_hide_set()) {
        pages += write_pages(one, &format!("{name}-{}", one.get_name()), folder)?;
    }
    Ok(pages)
}

fn page(command: &clap::Command, name: &str) -> io::Result<Vec<u8>> {
    let mut page = Vec::new();
    let source = concat!("billrecon ", env!("CARGO_PKG_VERSION"));
    Man::new(command.clone()).title(name.to_uppercase()).source(source).render(&mut page)?;
    Ok(page)
}

fn cannot_create(path: &Path, error: &io::Error) -> Refusal {
    Refusal::CannotCreate(format!("{} cannot be written: {error}", path.display()))
}
