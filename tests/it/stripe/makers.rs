//! What of async-stripe `src/` names: each request that it could make is known to `recording`.
//!
//! In: the sources. Out: a failure where a request is made that the recording does not hold, or one that is not listed.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::recording::REQUESTS;

/// What else of async-stripe `src/stripe` names: parts of parameters, and what requests are handed on in.
const NO_REQUESTS: [&str; 10] = [
    "CreatePreviewInvoiceSubscriptionDetails",
    "CreatePreviewInvoiceSubscriptionDetailsItems",
    "CreatePreviewInvoiceSubscriptionDetailsProrationBehavior",
    "InvoiceStatus",
    "ListIdBillingMeterEventSummaryValueGroupingWindow",
    "ListSubscriptionStatus",
    "RangeBoundsTs",
    "RangeQueryTs",
    "StripeMethod",
    "StripeRequest",
];

/// Then a new one must be listed here, and what is listed must be seen on the wire.
#[test]
fn src_stripe_makes_no_other_requests_than_those_listed() {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut named = BTreeSet::new();
    let mut files = vec![home.join("src")];
    while let Some(path) = files.pop() {
        if path.is_dir() {
            files.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            continue;
        }
        // The page's style sheet and script stand there too.
        if path.extension().is_none_or(|extension| extension != "rs") {
            continue;
        }
        let found = names_of_async_stripe(&fs::read_to_string(&path).unwrap());
        let is_adapter = path.strip_prefix(home.join("src/stripe")).is_ok();
        assert!(found.is_empty() || is_adapter, "{}: {found:?}", path.display());
        named.extend(found);
    }
    let listed = REQUESTS.iter().map(|(maker, _)| *maker).chain(NO_REQUESTS);
    assert_eq!(named, listed.map(str::to_owned).collect());
    // The only one that is made by hand.
    let made = "RequestBuilder::new(StripeMethod::Get, \"/account\")";
    assert!(fs::read_to_string(home.join("src/stripe/mod.rs")).unwrap().contains(made));
}

/// Everything that a file names of async-stripe's crates.
fn names_of_async_stripe(source: &str) -> BTreeSet<String> {
    struct Reader(BTreeSet<String>);
    impl Reader {
        fn tree(&mut self, tree: &syn::UseTree) {
            match tree {
                syn::UseTree::Path(path) => self.tree(&path.tree),
                syn::UseTree::Group(group) => group.items.iter().for_each(|one| self.tree(one)),
                syn::UseTree::Name(name) => drop(self.0.insert(name.ident.to_string())),
                syn::UseTree::Rename(name) => drop(self.0.insert(name.ident.to_string())),
                syn::UseTree::Glob(_) => drop(self.0.insert("*".to_owned())),
            }
        }
    }
    impl<'a> syn::visit::Visit<'a> for Reader {
        fn visit_item_use(&mut self, item: &'a syn::ItemUse) {
            if let syn::UseTree::Path(path) = &item.tree
                && path.ident.to_string().starts_with("stripe_")
            {
                self.tree(&path.tree);
            }
        }

        fn visit_path(&mut self, path: &'a syn::Path) {
            let parts: Vec<String> = path.segments.iter().map(|one| one.ident.to_string()).collect();
            if parts[0].starts_with("stripe_") && parts.len() > 1 {
                // A type or a constant, and perhaps what it can do.
                let is_name = |part: &&String| part.starts_with(|one: char| one.is_ascii_uppercase());
                self.0.insert(parts.iter().find(is_name).unwrap_or(&parts[1]).clone());
            }
            syn::visit::visit_path(self, path);
        }
    }
    let mut reader = Reader(BTreeSet::new());
    syn::visit::Visit::visit_file(&mut reader, &syn::parse_file(source).unwrap());
    reader.0
}

#[test]
fn a_request_of_async_stripe_is_found_however_it_is_named() {
    let source = "use stripe_billing::{invoice::{VoidInvoice as V, ListInvoice}, price::*};\n\
                  fn f() { stripe_core::customer::DeleteCustomer::new(1); crate::stripe::Stripe::new(); }";
    let found: Vec<String> = names_of_async_stripe(source).into_iter().collect();
    assert_eq!(found, ["*", "DeleteCustomer", "ListInvoice", "VoidInvoice"]);
}
