//! Reads one Rust file and lists everything it names: imports, paths, macros, methods, attributes, float literals.
//!
//! In: the file's path below the repository root and its text. Out: one [`Mention`] per name, with `self`, `super`,
//! `billrecon` and the file's own imports, type aliases and child modules replaced by what they stand for, so
//! that a rule never has to know how a name was spelled. Looks into macro arguments and attributes too. It never
//! expands macros, never judges, and follows no glob import (the rules refuse the globs that would hide something).

use proc_macro2::{Delimiter, Ident, Span, TokenStream, TokenTree};
use std::collections::BTreeMap;
use syn::visit::{self, Visit};
use syn::{Attribute, Lit, UseTree};

/// Alias of an alias of an alias: deeper chains do not occur, and a cycle must end somewhere.
const LONGEST_ALIAS_CHAIN: usize = 4;

/// `#[expect(clippy::..)]` and the like name a tool, not a crate.
const TOOLS: &[&str] = &["clippy", "rustdoc", "rustfmt"];

/// How a name stands in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Use,
    Path,
    Macro,
    Method,
    Attribute,
    Float,
}

/// One name in a file.
pub(super) struct Mention {
    pub line: usize,
    pub kind: Kind,
    /// Absolute where the file says enough: `["crate", "domain", "money"]`; a glob import ends in `*`.
    pub path: Vec<String>,
    /// Inside a `#[cfg(test)]` module.
    pub in_test: bool,
}

impl Mention {
    /// An import, a path or a macro: something that reaches for code elsewhere.
    pub(super) fn is_reference(&self) -> bool {
        matches!(self.kind, Kind::Use | Kind::Path | Kind::Macro)
    }
}

/// Applies `verdict` to every mention of a file; a file that does not parse is a violation itself.
pub(super) fn judge(path: &str, source: &str, verdict: impl Fn(&Mention) -> Option<String>) -> Vec<String> {
    let mentions = match mentions(path, source) {
        Ok(mentions) => mentions,
        Err(error) => return vec![unparsed(path, &error)],
    };
    let mut violations: Vec<String> = mentions
        .iter()
        .filter_map(|mention| verdict(mention).map(|text| format!("{path}:{}: {text}", mention.line)))
        .collect();
    violations.dedup();
    violations
}

pub(super) fn unparsed(path: &str, error: &syn::Error) -> String {
    format!("{path}:{}: does not parse ({error}); make it compile first", error.span().start().line)
}

/// `src/job/lease.rs` -> `["crate", "job", "lease"]`.
pub(super) fn module_of(path: &str) -> Vec<String> {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    let inside = inside.strip_suffix(".rs").unwrap_or(inside);
    let names = inside.split('/').filter(|name| !matches!(*name, "mod" | "lib" | "main"));
    std::iter::once("crate").chain(names).map(str::to_owned).collect()
}

/// True for `#[cfg(test)]`, and for nothing cleverer: `any(test, ..)` also ships.
pub(super) fn is_test_only(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg")
            && attribute.meta.require_list().is_ok_and(|list| list.tokens.to_string() == "test")
    })
}

/// A module of tests that is a file of its own, or a part of one; that it is declared as one is another test's.
pub(super) fn is_test_file(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.contains("/tests/")
}

fn mentions(path: &str, source: &str) -> syn::Result<Vec<Mention>> {
    let file = syn::parse_file(source)?;
    let mut reader = Reader {
        module: module_of(path),
        aliases: BTreeMap::new(),
        found: Vec::new(),
        in_test: is_test_file(path) || is_test_only(&file.attrs),
        in_attribute: false,
    };
    reader.visit_file(&file);
    let Reader { aliases, mut found, .. } = reader;
    for mention in &mut found {
        if mention.path.len() > 1 && mention.is_reference() {
            mention.path = unaliased(std::mem::take(&mut mention.path), &aliases);
        }
    }
    Ok(found)
}

fn unaliased(mut path: Vec<String>, aliases: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    for _ in 0..LONGEST_ALIAS_CHAIN {
        match aliases.get(&path[0]) {
            Some(target) if target[0] != path[0] => path = [target, &path[1..]].concat(),
            _ => break,
        }
    }
    path
}

struct Reader {
    module: Vec<String>,
    /// Local name -> what it stands for.
    aliases: BTreeMap<String, Vec<String>>,
    found: Vec<Mention>,
    in_test: bool,
    in_attribute: bool,
}

impl Reader {
    fn note(&mut self, kind: Kind, span: Span, path: Vec<String>) {
        let is_tool = self.in_attribute && TOOLS.contains(&path[0].as_str());
        if !is_tool {
            // One segment is a local name; `self` alone is a method's receiver.
            let path = if kind == Kind::Use || path.len() > 1 { self.absolute(&path) } else { path };
            self.found.push(Mention { line: span.start().line, kind, path, in_test: self.in_test });
        }
    }

    fn absolute(&self, path: &[String]) -> Vec<String> {
        let mut absolute = match path[0].as_str() {
            "crate" | "billrecon" => vec!["crate".to_owned()],
            "self" | "super" => self.module.clone(),
            _ => return path.to_vec(),
        };
        for (position, name) in path.iter().enumerate() {
            match name.as_str() {
                "super" if absolute.len() > 1 => drop(absolute.pop()),
                "super" | "self" => {}
                _ if position == 0 => {}
                _ => absolute.push(name.clone()),
            }
        }
        absolute
    }

    fn alias(&mut self, name: String, target: &[String]) {
        let target = self.absolute(target);
        self.aliases.entry(name).or_insert(target);
    }

    fn import(&mut self, tree: &UseTree, prefix: &[String]) {
        match tree {
            UseTree::Path(path) => self.import(&path.tree, &[prefix, &[text(&path.ident)]].concat()),
            UseTree::Name(name) => self.import_name(prefix, &name.ident, &name.ident),
            UseTree::Rename(rename) => self.import_name(prefix, &rename.ident, &rename.rename),
            UseTree::Glob(glob) => {
                self.note(Kind::Use, glob.star_token.spans[0], [prefix, &["*".to_owned()]].concat());
            }
            UseTree::Group(group) => group.items.iter().for_each(|item| self.import(item, prefix)),
        }
    }

    fn import_name(&mut self, prefix: &[String], name: &Ident, local: &Ident) {
        let mut path = prefix.to_vec();
        // `fmt::{self}` imports `fmt`.
        if name != "self" || path.is_empty() {
            path.push(text(name));
        }
        let local = if local == "self" { path[path.len() - 1].clone() } else { text(local) };
        self.alias(local, &path);
        self.note(Kind::Use, name.span(), path);
    }

    fn literal(&mut self, literal: &Lit) {
        match literal {
            Lit::Int(number) if number.suffix().starts_with('f') => {
                self.note(Kind::Float, number.span(), vec![number.to_string()]);
            }
            Lit::Float(float) => self.note(Kind::Float, float.span(), vec![float.to_string()]),
            // `#[serde(with = "crate::store::text")]` is an import as well.
            Lit::Str(string) if self.in_attribute => {
                if let Ok(path) = string.parse::<syn::Path>()
                    && path.segments.len() > 1
                {
                    self.note(Kind::Path, string.span(), names(&path));
                }
            }
            _ => {}
        }
    }

    /// Macro arguments have no syntax tree, but a path looks like a path in them too.
    fn scan(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut at = 0;
        while let Some(token) = tokens.get(at) {
            let mut next = at + 1;
            match token {
                TokenTree::Group(group) => self.scan(group.stream()),
                // The `0.1` of the tuple access `pair.0.1` is no float.
                TokenTree::Literal(literal) if !follows_dot(&tokens, at) => {
                    self.literal(&Lit::new(literal.clone()));
                }
                TokenTree::Ident(ident) => next = self.scan_path(&tokens, at, ident),
                _ => {}
            }
            at = next;
        }
    }

    fn scan_path(&mut self, tokens: &[TokenTree], at: usize, first: &Ident) -> usize {
        let mut path = vec![text(first)];
        let mut end = at + 1;
        while let [TokenTree::Punct(a), TokenTree::Punct(b), TokenTree::Ident(name), ..] = &tokens[end..]
            && (a.as_char(), b.as_char()) == (':', ':')
        {
            path.push(text(name));
            end += 3;
        }
        let kind = match &tokens[end..] {
            _ if follows_dot(tokens, at) => Kind::Method,
            [TokenTree::Punct(bang), TokenTree::Group(_), ..] if bang.as_char() == '!' => Kind::Macro,
            [TokenTree::Group(group), ..]
                if self.in_attribute && group.delimiter() == Delimiter::Parenthesis =>
            {
                Kind::Attribute
            }
            _ => Kind::Path,
        };
        self.note(kind, first.span(), path);
        end
    }
}

impl<'ast> Visit<'ast> for Reader {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        item.attrs.iter().for_each(|attribute| self.visit_attribute(attribute));
        self.import(&item.tree, &[]);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        item.attrs.iter().for_each(|attribute| self.visit_attribute(attribute));
        self.note(Kind::Use, item.ident.span(), vec![text(&item.ident)]);
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let child = [self.module.as_slice(), &[text(&item.ident)]].concat();
        self.alias(text(&item.ident), &child);
        let outside = (std::mem::replace(&mut self.module, child), self.in_test);
        self.in_test |= is_test_only(&item.attrs);
        visit::visit_item_mod(self, item);
        (self.module, self.in_test) = outside;
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        if let syn::Type::Path(target) = &*item.ty {
            self.alias(text(&item.ident), &names(&target.path));
        }
        visit::visit_item_type(self, item);
    }

    fn visit_expr_path(&mut self, expression: &'ast syn::ExprPath) {
        // `<Timestamp>::now` is `Timestamp::now`.
        if let Some(qualified) = &expression.qself
            && let syn::Type::Path(owner) = &*qualified.ty
        {
            let path = [names(&owner.path), names(&expression.path)].concat();
            self.note(Kind::Path, qualified.lt_token.span, path);
        }
        visit::visit_expr_path(self, expression);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.note(Kind::Path, path.segments[0].ident.span(), names(path));
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.note(Kind::Macro, call.path.segments[0].ident.span(), names(&call.path));
        self.scan(call.tokens.clone());
    }

    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.note(Kind::Method, call.method.span(), vec![text(&call.method)]);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        if attribute.path().is_ident("doc") {
            return;
        }
        let outside = std::mem::replace(&mut self.in_attribute, true);
        self.note(Kind::Attribute, attribute.pound_token.span, names(attribute.path()));
        visit::visit_attribute(self, attribute);
        self.in_attribute = outside;
    }

    fn visit_lit(&mut self, literal: &'ast Lit) {
        self.literal(literal);
    }

    fn visit_token_stream(&mut self, tokens: &'ast TokenStream) {
        self.scan(tokens.clone());
    }

    /// `pub(crate)` and `pub(in crate::job)` import nothing.
    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}
}

fn names(path: &syn::Path) -> Vec<String> {
    path.segments.iter().map(|segment| text(&segment.ident)).collect()
}

fn text(ident: &Ident) -> String {
    ident.to_string().trim_start_matches("r#").to_owned()
}

/// After `.` comes a field or a method; after `..` does not.
fn follows_dot(tokens: &[TokenTree], at: usize) -> bool {
    let is_dot = |back: usize| matches!(at.checked_sub(back).map(|i| &tokens[i]), Some(TokenTree::Punct(p)) if p.as_char() == '.');
    is_dot(1) && !is_dot(2)
}
