//! A strict reader of the page's markup: every element is closed, every attribute is quoted, every id is there once.
//!
//! In: a page. Out: a failing test that names the place. It knows what we write, not all of HTML.

use std::collections::BTreeSet;

const VOID: [&str; 2] = ["meta", "br"];

/// Panics at the first fault.
pub fn check(page: &str) {
    let page = page.strip_prefix("<!DOCTYPE html>").expect("a doctype");
    let (mut open, mut ids, mut named) = (Vec::new(), BTreeSet::new(), Vec::new());
    let mut rest = page;
    while let Some(at) = rest.find('<') {
        assert!(!rest[..at].contains('>') || open.last() == Some(&"style"), "a stray >: {}", &rest[..at]);
        rest = &rest[at + 1..];
        if let Some(closing) = rest.strip_prefix('/') {
            let (name, after) = closing.split_once('>').expect("an end");
            assert_eq!(open.pop(), Some(name), "closed in another order");
            rest = after;
            continue;
        }
        let (name, attributes, is_closed, after) = element(rest);
        for (key, value) in attributes {
            match key {
                "id" => assert!(ids.insert(value), "{value} is there twice"),
                "aria-labelledby" | "aria-describedby" => named.push(value),
                _ => {}
            }
        }
        rest = after;
        if name == "script" {
            rest = &rest[rest.find("</script>").expect("an end of the script")..];
        }
        if !is_closed && !VOID.contains(&name) {
            open.push(name);
        }
    }
    assert!(open.is_empty(), "never closed: {open:?}");
    assert!(named.iter().all(|name| ids.contains(name)), "{named:?}");
}

/// Name, attributes, whether it closes itself, and what follows.
fn element(text: &str) -> (&str, Vec<(&str, &str)>, bool, &str) {
    let end = text.find(|one: char| !(one.is_ascii_alphanumeric())).expect("an end");
    let (name, mut rest) = text.split_at(end);
    let mut attributes = Vec::new();
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix("/>") {
            return (name, attributes, true, after);
        }
        if let Some(after) = rest.strip_prefix('>') {
            return (name, attributes, false, after);
        }
        let is_key = |one: char| one.is_ascii_alphanumeric() || one == '-';
        let (key, after) = rest.split_at(rest.find(|one| !is_key(one)).expect("an end"));
        assert!(!key.is_empty(), "no attribute: {}", &rest[..rest.len().min(80)]);
        let Some(value) = after.strip_prefix("=\"") else {
            assert!(!after.starts_with('='), "{key} has no quotes");
            rest = after;
            continue;
        };
        let (value, after) = value.split_once('"').expect("an end of the value");
        assert!(!value.contains('<'), "{value}");
        attributes.push((key, value));
        rest = after;
    }
}

#[test]
fn a_page_that_is_not_well_formed_is_found() {
    for faulty in
        ["<p><b></p></b>", "<p>", "<p class=a></p>", "<i id=\"a\"></i><i id=\"a\"></i>", "a > b<p></p>"]
    {
        let page = format!("<!DOCTYPE html>{faulty}");
        assert!(std::panic::catch_unwind(|| check(&page)).is_err(), "{faulty}");
    }
    check("<!DOCTYPE html><p id=\"a\" hidden>1<br>2</p><rect x=\"1\"/>");
}
