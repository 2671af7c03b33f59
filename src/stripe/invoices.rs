//! Preview invoices and the invoices that Stripe has made, with all their lines.
//!
//! In: a subscription, or a span of time. Out: [`Invoice`]s. Where not every line can be read, `lines_complete` is false:
//! the lines that are there are never passed off as all.

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use jiff::Timestamp;
use stripe_billing::invoice::{CreatePreviewInvoice, ListInvoice};
use stripe_billing::invoice_line_item::ListInvoiceInvoiceLineItem;
use stripe_client_core::StripeRequest;
use stripe_shared::InvoiceStatus;
use stripe_types::{RangeBoundsTs, RangeQueryTs};

use crate::domain::invoice::{Invoice, Listing};
use crate::domain::period::Window;

use super::decode::invoice::{FoundInvoice, invoice, line, preview};
use super::{PAGE, Stripe, StripeError, segment};

/// What Stripe answers where no further invoice is to come.
const NOTHING_UPCOMING: &str = "invoice_upcoming_none";

impl Stripe {
    /// The next invoice of a subscription; `None` where there will be none.
    pub async fn preview(&self, subscription_id: &str) -> Result<Option<Invoice>, StripeError> {
        self.previewed(CreatePreviewInvoice::new().subscription(subscription_id)).await
    }

    /// A preview with all its lines.
    pub(super) async fn previewed(
        &self,
        request: CreatePreviewInvoice,
    ) -> Result<Option<Invoice>, StripeError> {
        match self.read(request.build(), preview).await {
            Ok(found) => {
                let id = found.lines_url.as_deref().and_then(invoice_of_lines).map(str::to_owned);
                self.with_all_lines(found, id).await.map(Some)
            }
            Err(StripeError::Refused { code, .. }) if code == NOTHING_UPCOMING => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All invoices that were created in `[start, end)`, whatever their status; those that are of interest with all their
    /// lines, each of which may cost a request of its own.
    pub async fn invoices(
        &self,
        created: Window,
        is_of_interest: impl Fn(&Invoice) -> bool,
    ) -> Result<Listing<Invoice>, StripeError> {
        self.listed(ListInvoice::new(), created, is_of_interest).await
    }

    /// Those of them that are drafts.
    pub async fn drafts(
        &self,
        created: Window,
        is_of_interest: impl Fn(&Invoice) -> bool,
    ) -> Result<Listing<Invoice>, StripeError> {
        self.listed(ListInvoice::new().status(InvoiceStatus::Draft), created, is_of_interest).await
    }

    async fn listed(
        &self,
        request: ListInvoice,
        created: Window,
        is_of_interest: impl Fn(&Invoice) -> bool,
    ) -> Result<Listing<Invoice>, StripeError> {
        // Creation times are whole seconds, so both edges of a half-open span go up.
        let created = RangeQueryTs::Bounds(RangeBoundsTs {
            gte: Some(second_at_or_after(created.start)),
            lt: Some(second_at_or_after(created.end)),
            ..RangeBoundsTs::default()
        });
        let request_after = |cursor: Option<&str>| {
            let request = request.clone().created(created).limit(PAGE);
            cursor.into_iter().fold(request, ListInvoice::starting_after).build()
        };
        let listed = self.listing(request_after, invoice).await?;
        let whole = listed.read.into_iter().map(|found| {
            let id = is_of_interest(&found.invoice).then(|| found.invoice.id.clone());
            self.with_all_lines(found, id)
        });
        let read = stream::iter(whole.collect::<Vec<_>>()).buffered(self.at_a_time()).try_collect().await?;
        Ok(Listing { read, unread: listed.unread })
    }

    /// Reads the lines anew in large pages where the answer held only the first of them. A preview makes up new ids each
    /// time, so its second page may fail: then the invoice stays incomplete.
    async fn with_all_lines(&self, found: FoundInvoice, id: Option<String>) -> Result<Invoice, StripeError> {
        let mut invoice = found.invoice;
        let Some(id) = id.filter(|_| !invoice.lines_complete) else {
            return Ok(invoice);
        };
        let id = segment(&id);
        let request_after = |cursor: Option<&str>| {
            let request = ListInvoiceInvoiceLineItem::new(&*id).limit(PAGE);
            cursor.into_iter().fold(request, ListInvoiceInvoiceLineItem::starting_after).build()
        };
        match self.list(request_after, |node, _| line(node)).await {
            Ok(listed) if listed.elements.len() >= invoice.lines.len() => {
                invoice.lines = listed.elements;
                invoice.lines_complete = true;
            }
            Ok(_) => tracing::warn!(invoice = invoice.id, "the list of its lines holds fewer than itself"),
            Err(error) if error.concerns_all() => return Err(error),
            Err(error) => tracing::warn!(invoice = invoice.id, %error, "its lines cannot be read to the end"),
        }
        Ok(invoice)
    }
}

/// The id in `/v1/invoices/ID/lines`; any other URL is not followed.
fn invoice_of_lines(url: &str) -> Option<&str> {
    let id = url.strip_prefix("/v1/invoices/")?.strip_suffix("/lines")?;
    let plain = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    // `upcoming` is an endpoint that was removed in 2025-03-31.basil.
    (plain && !id.is_empty() && id != "upcoming").then_some(id)
}

fn second_at_or_after(instant: Timestamp) -> i64 {
    let second = instant.as_second();
    // Before 1970 the second is cut towards zero, which is upwards already.
    if instant.subsec_nanosecond() > 0 { second.saturating_add(1) } else { second }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_lines_of_an_invoice_are_followed() {
        assert_eq!(invoice_of_lines("/v1/invoices/upcoming_in_1/lines"), Some("upcoming_in_1"));
        for url in [
            "https://evil.example/v1/invoices/in_1/lines",
            "/v1/invoices/upcoming/lines",
            "/v1/invoices/upcoming/lines?subscription=sub_1",
            "/v1/invoices/in_1/../../account/lines",
            "/v1/invoices//lines",
            "/v1/customers/in_1/lines",
        ] {
            assert_eq!(invoice_of_lines(url), None, "{url}");
        }
    }

    #[test]
    fn the_edges_of_a_span_are_whole_seconds_that_lose_nothing() {
        for (text, second) in [
            ("2026-10-01T00:00:00Z", 1_790_812_800),
            ("2026-10-01T00:00:00.000000001Z", 1_790_812_801),
            ("1969-12-31T23:59:59.5Z", 0),
            ("1969-12-31T23:59:58.5Z", -1),
        ] {
            assert_eq!(second_at_or_after(text.parse().unwrap()), second, "{text}");
        }
    }
}
