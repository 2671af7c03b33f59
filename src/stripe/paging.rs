//! Lists, page after page.
//!
//! In: how to ask for the page after an id, and how to read an element. Out: all elements, each once. A list that does
//! not advance is an error, so that no server can keep us here; a page that fails fails the list. An element that is not
//! understood fails it too, or is kept apart where the others are of use without it.

use std::collections::BTreeSet;

use stripe_client_core::RequestBuilder;

use crate::domain::invoice::{Listing, Unread};

use super::decode::invoice::subscription_id;
use super::decode::{Node, Problem, page};
use super::{Stripe, StripeError};

/// Ten million elements: far above any account that one run can work through.
const MOST_PAGES: usize = 100_000;

/// A whole list.
pub(super) struct Listed<T> {
    pub elements: Vec<T>,
    /// Of the last page.
    pub request_id: String,
}

struct ReadPage<T> {
    elements: Vec<(Option<String>, T)>,
    has_more: bool,
    request_id: String,
}

impl Stripe {
    /// A list whose elements stand each for itself.
    pub(super) async fn listing<T>(
        &self,
        request_after: impl Fn(Option<&str>) -> RequestBuilder,
        decode: impl Fn(&Node<'_>, &str) -> Result<T, Problem>,
    ) -> Result<Listing<T>, StripeError> {
        let tolerant = |node: &Node<'_>, request_id: &str| {
            Ok(decode(node, request_id).map_err(|problem| self.unread(node, &problem, request_id)))
        };
        let mut listing = Listing { read: Vec::new(), unread: Vec::new() };
        for element in self.list(request_after, tolerant).await?.elements {
            match element {
                Ok(element) => listing.read.push(element),
                Err(unread) => {
                    let id = unread.id.as_deref().unwrap_or("one without an id");
                    tracing::warn!(
                        "{id} of a list of Stripe's is not understood: {} (request {})",
                        unread.what,
                        unread.request_id
                    );
                    listing.unread.push(unread);
                }
            }
        }
        Ok(listing)
    }

    /// What can still be read of it, so that it is known whom it concerns.
    fn unread(&self, node: &Node<'_>, problem: &Problem, request_id: &str) -> Unread {
        let fields = node.fields().ok();
        Unread {
            id: fields.as_ref().and_then(|fields| fields.get("id").text_if_any().ok()?),
            subscription_id: fields.and_then(|fields| subscription_id(&fields).ok()?),
            what: self.transport.shown(&problem.to_string()),
            request_id: request_id.to_owned(),
        }
    }

    pub(super) async fn list<T>(
        &self,
        request_after: impl Fn(Option<&str>) -> RequestBuilder,
        decode: impl Fn(&Node<'_>, &str) -> Result<T, Problem>,
    ) -> Result<Listed<T>, StripeError> {
        let mut all = Vec::new();
        let mut seen = BTreeSet::new();
        let mut cursor: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let request = request_after(cursor.as_deref());
            let page = self.read(request, |node, request_id| read_page(node, request_id, &decode)).await?;
            let last = page.elements.last().and_then(|(id, _)| id.clone());
            let ids: Vec<String> = page.elements.iter().filter_map(|(id, _)| id.clone()).collect();
            // A list that grows at its head while we read shows some elements again.
            let is_new = |id: &Option<String>| id.as_ref().is_none_or(|id| !seen.contains(id));
            all.extend(page.elements.into_iter().filter(|(id, _)| is_new(id)).map(|(_, element)| element));
            if !page.has_more {
                return Ok(Listed { elements: all, request_id: page.request_id });
            }
            let seen_before = seen.len();
            seen.extend(ids);
            if last.is_none() || seen.len() == seen_before {
                let what = "the list says that it has more, but its next page brings nothing new";
                return Err(StripeError::Undecodable { what: what.to_owned(), request_id: page.request_id });
            }
            cursor = last;
        }
        let what = format!("the list has more than {MOST_PAGES} pages");
        Err(StripeError::Undecodable { what, request_id: String::new() })
    }
}

fn read_page<T>(
    node: &Node<'_>,
    request_id: &str,
    decode: &impl Fn(&Node<'_>, &str) -> Result<T, Problem>,
) -> Result<ReadPage<T>, Problem> {
    let page = page(node)?;
    let id = |node: &Node<'_>| node.fields().ok().and_then(|fields| fields.get("id").text_if_any().ok()?);
    let element = |node: &Node<'_>| Ok((id(node), decode(node, request_id)?));
    Ok(ReadPage {
        elements: page.data.iter().map(element).collect::<Result<_, Problem>>()?,
        has_more: page.has_more,
        request_id: request_id.to_owned(),
    })
}
