//! Which part of the program may name which: the import table, and what the pure domain may reach at all.
//!
//! In: a file's path and text. Out: one line per reference that the tables below do not allow. It never looks at the
//! compiled program, so a `pub use` that hands a type on counts where it is written, not where it is used.

use super::mentions::{Kind, Mention, judge, module_of};

const ALL_ROOMS: &[&str] = &[
    "main",
    "commands",
    "cli",
    "config",
    "exit_code",
    "job",
    "ingest",
    "store",
    "stripe",
    "analytics",
    "render",
    "notify",
    "schedule",
    "sandbox",
    "domain",
];

/// Everything below the commands.
const BELOW_COMMANDS: &[&str] = &[
    "cli",
    "config",
    "exit_code",
    "job",
    "ingest",
    "store",
    "stripe",
    "analytics",
    "render",
    "notify",
    "schedule",
    "sandbox",
    "domain",
];

/// Room -> the rooms it may name besides itself. DESIGN.md section 3 in one table.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("main", ALL_ROOMS),
    ("commands", BELOW_COMMANDS),
    ("cli", &["domain"]),
    ("config", &["cli", "domain"]),
    // It gives every error type its code, so it has to know them all.
    ("exit_code", BELOW_COMMANDS),
    ("job", &["ingest", "store", "stripe", "analytics", "render", "notify", "sandbox", "domain"]),
    ("ingest", &["domain"]),
    ("store", &["domain"]),
    ("stripe", &["domain"]),
    ("analytics", &["domain"]),
    ("render", &["domain"]),
    ("notify", &["domain"]),
    // An alarm clock: what it wakes, and when it is now, it is handed by the command.
    ("schedule", &["domain"]),
    ("sandbox", &["domain"]),
    ("domain", &[]),
];

/// The other witness computes with its own numbers, or it would repeat our mistakes.
const HIDDEN_FROM_SANDBOX: &[&str] = &["number", "money", "rating"];

const DOMAIN_STD: &[&str] = &[
    "borrow",
    "cmp",
    "collections",
    "convert",
    "error",
    "fmt",
    "iter",
    "mem",
    "num",
    "ops",
    "str",
    "string",
    "vec",
];
const DOMAIN_CRATES: &[&str] =
    &["Self", "core", "alloc", "serde", "thiserror", "jiff", "ethnum", "iso_currency", "sha2"];
/// Only inside `#[cfg(test)]`; `prop` comes with proptest's prelude.
const DOMAIN_TEST_CRATES: &[&str] = &["proptest", "prop"];
const DOMAIN_REFUSED_MACROS: &[&str] = &[
    "println",
    "eprintln",
    "print",
    "eprint",
    "dbg",
    "env",
    "option_env",
    "include",
    "include_str",
    "include_bytes",
    "todo",
    "unimplemented",
];
const PRIMITIVES: &[&str] = &[
    "bool", "char", "str", "u8", "u16", "u32", "u64", "u128", "usize", "i8", "i16", "i32", "i64", "i128",
    "isize", "f32", "f64",
];

/// The top-level module that a file belongs to; `src/main.rs` is a room of its own.
pub(super) fn room_of(path: &str) -> String {
    match module_of(path).get(1) {
        Some(room) => room.clone(),
        None => "main".to_owned(),
    }
}

/// Holds [`MAY_NAME`], and the sandbox's blind spot.
pub(super) fn import_table(path: &str, source: &str) -> Vec<String> {
    // lib.rs only declares the rooms.
    if path == "src/lib.rs" {
        return Vec::new();
    }
    let room = room_of(path);
    let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == room) else {
        return vec![format!(
            "{path}:1: `{room}` is no room of the import table; add it there or move the file"
        )];
    };
    judge(path, source, |mention| {
        let inside = mention.is_reference() && mention.path[0] == "crate";
        let named = mention.path.get(1).map(String::as_str);
        match named {
            _ if !inside => None,
            // In macro arguments a lone `crate` is part of `pub(crate)`.
            None if mention.kind != Kind::Use => None,
            None | Some("*") => Some("names the whole crate; name one room".to_owned()),
            Some(named) if room == "sandbox" && named == "domain" => hidden_from_sandbox(mention),
            Some(named) if named == room || allowed.contains(&named) => None,
            Some(named) => Some(format!(
                "`{room}` may not name `crate::{named}` (it may name {}); take the value as an argument, or move \
                 its type to `domain`",
                if allowed.is_empty() { "only itself".to_owned() } else { allowed.join(", ") }
            )),
        }
    })
}

fn hidden_from_sandbox(mention: &Mention) -> Option<String> {
    let module = mention.path.get(2)?;
    // `domain::*` or a type handed on by `domain` itself would hide where it comes from.
    let is_module = module.starts_with(|first: char| first.is_ascii_lowercase());
    if is_module && !HIDDEN_FROM_SANDBOX.contains(&module.as_str()) {
        return None;
    }
    Some(format!(
        "`sandbox` may not name `domain::{module}` (never {}, and always by module); compute it here, independently",
        HIDDEN_FROM_SANDBOX.join(", ")
    ))
}

/// `domain` is pure: it reaches only what cannot do I/O, tell the time or read the environment.
pub(super) fn domain_reaches_only_pure_code(path: &str, source: &str) -> Vec<String> {
    if room_of(path) != "domain" {
        return Vec::new();
    }
    judge(path, source, |mention| {
        let last = mention.path[mention.path.len() - 1].as_str();
        if mention.kind == Kind::Macro && DOMAIN_REFUSED_MACROS.contains(&last) {
            return Some(format!(
                "`{last}!` does not belong in pure code; return a value or an error instead"
            ));
        }
        if !mention.is_reference() || is_pure(mention) {
            return None;
        }
        Some(format!(
            "`{}` is not on the domain's allow-list; do the I/O outside and take its result as an argument",
            mention.path.join("::")
        ))
    })
}

fn is_pure(mention: &Mention) -> bool {
    let root = mention.path[0].as_str();
    let next = mention.path.get(1).map(String::as_str);
    // A type or a generic of this file, or a name whose `use` was judged already.
    let is_local = root.starts_with(|first: char| first.is_uppercase()) || PRIMITIVES.contains(&root);
    let is_one_name = mention.kind != Kind::Use && next.is_none();
    match root {
        _ if is_local || is_one_name => true,
        "crate" => next == Some("domain"),
        "std" => next.is_some_and(|module| DOMAIN_STD.contains(&module)),
        _ => DOMAIN_CRATES.contains(&root) || (mention.in_test && DOMAIN_TEST_CRATES.contains(&root)),
    }
}
