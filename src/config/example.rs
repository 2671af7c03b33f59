//! The configuration that `init` writes: every setting, commented out, with its default.
//!
//! In: the table of settings. Out: text that is a `billrecon.toml` and sets nothing. Never looks at what is set.

use std::fmt::Write as _;

use crate::config::keys::{KEYS, Key, Kind, SECRETS};

const WIDTH: usize = 100;

const HEAD: &str = "\
# billrecon: flags win over the environment, the environment over this file, the file over the defaults.
# What is commented out shows the default, or an example where there is none. Relative paths start at this folder.
# `billrecon config show --origin` says what is set, and where; `billrecon doctor` whether it is well.
";

/// The text of the file.
pub fn example() -> String {
    let mut text = format!(
        "{HEAD}#\n# A secret never stands here: each has a variable, or a file that `NAME_FILE` names.\n"
    );
    for secret in SECRETS {
        text += &format!("#   {}: {}\n", secret.variable, secret.meaning);
    }
    let mut table = "";
    for key in KEYS {
        let of_key = key.path.rsplit_once('.').map_or("", |(table, _)| table);
        if of_key != table {
            table = of_key;
            // Without a table there is no own ledger, so this one is commented out too.
            let mark = if table.starts_with("ledger") { "# " } else { "" };
            text += &format!("\n{mark}[{table}]\n");
        }
        text += &setting(key);
    }
    text
}

fn setting(key: &Key) -> String {
    let mut text = "\n".to_owned();
    let mut line = "#".to_owned();
    for word in key.meaning.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            let _infallible = writeln!(text, "{line}");
            "#".clone_into(&mut line);
        }
        line.push(' ');
        line.push_str(word);
    }
    let name = key.path.rsplit('.').next().unwrap_or(key.path);
    let shown = if key.default.is_empty() { key.example } else { key.default };
    let shown = match key.kind {
        Kind::Text | Kind::SecretFile => format!("\"{shown}\""),
        Kind::Flag | Kind::Whole => shown.to_owned(),
    };
    text + &format!("{line}\n# {name} = {shown}\n")
}
