//! How long a function and a file may be, and that every file says first what it is for.
//!
//! In: a file's path and text. Out: one line per function or file that is too long or has no header. It never counts
//! a file's `#[cfg(test)]` modules, so that tests beside the code do not push the code out.

use super::mentions::{is_test_only, unparsed};
use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

const LONGEST_FUNCTION: usize = 70;
const LONGEST_FILE: usize = 400;

/// From `fn` to the closing brace; methods and nested functions too.
pub(super) fn long_functions(path: &str, source: &str) -> Vec<String> {
    let mut functions = Functions::default();
    match syn::parse_file(source) {
        Ok(file) => functions.visit_file(&file),
        Err(error) => return vec![unparsed(path, &error)],
    }
    let too_long = functions.0.into_iter().filter(|function| function.lines > LONGEST_FUNCTION);
    let say = |Function { name, line, lines }| {
        format!(
            "{path}:{line}: `{name}` has {lines} lines, more than {LONGEST_FUNCTION}; split it by what it does"
        )
    };
    too_long.map(say).collect()
}

pub(super) fn long_files(path: &str, source: &str) -> Vec<String> {
    let file = match syn::parse_file(source) {
        Ok(file) => file,
        Err(error) => return vec![unparsed(path, &error)],
    };
    let lines = source.lines().count() - test_lines(&file);
    if lines <= LONGEST_FILE {
        return Vec::new();
    }
    let what = "lines without its tests, more than";
    vec![format!("{path}:1: the file has {lines} {what} {LONGEST_FILE}; split it by what it does")]
}

pub(super) fn missing_headers(path: &str, source: &str) -> Vec<String> {
    if source.starts_with("//!") {
        return Vec::new();
    }
    vec![format!(
        "{path}:1: the file opens without `//!`; say what goes in, what comes out, what it never does"
    )]
}

fn test_lines(file: &syn::File) -> usize {
    let lines = |item: &syn::Item| match item {
        syn::Item::Mod(module) if is_test_only(&module.attrs) => {
            // The whole item's span would start at `mod`; the attribute goes with it.
            let first = module.attrs.first().map_or(module.mod_token.span, Spanned::span);
            lines_between(first, module.span())
        }
        _ => 0,
    };
    file.items.iter().map(lines).sum()
}

fn lines_between(first: Span, last: Span) -> usize {
    last.end().line - first.start().line + 1
}

struct Function {
    name: String,
    line: usize,
    lines: usize,
}

#[derive(Default)]
struct Functions(Vec<Function>);

impl Functions {
    fn note(&mut self, signature: &syn::Signature, body: &syn::Block) {
        let start = signature.fn_token.span;
        self.0.push(Function {
            name: signature.ident.to_string(),
            line: start.start().line,
            lines: lines_between(start, body.brace_token.span.close()),
        });
    }
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        self.note(&function.sig, &function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        self.note(&function.sig, &function.block);
        visit::visit_impl_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'ast syn::TraitItemFn) {
        if let Some(body) = &function.default {
            self.note(&function.sig, body);
        }
        visit::visit_trait_item_fn(self, function);
    }
}
