//! A preview with other prices: what Stripe would bill if some items had them.
//!
//! In: a subscription, items and the prices that they are to have. Out: the next invoice as it would be. It changes nothing: a
//! preview is a POST that only reads, and carries no Idempotency-Key, which would bring back an old answer.

use stripe_billing::invoice::{
    CreatePreviewInvoice, CreatePreviewInvoiceSubscriptionDetails,
    CreatePreviewInvoiceSubscriptionDetailsItems,
    CreatePreviewInvoiceSubscriptionDetailsProrationBehavior as Prorations,
};

use crate::domain::invoice::Invoice;

use super::{Stripe, StripeError};

/// Stripe takes no more in one preview ("create a preview invoice").
pub const ITEMS_AT_MOST: usize = 20;

/// An item, and the price that it is to have instead of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    pub item_id: String,
    pub price_id: String,
}

impl Stripe {
    /// The next invoice of a subscription with these prices; `None` where there will be none.
    pub async fn preview_with(
        &self,
        subscription_id: &str,
        replaced: &[Replaced],
    ) -> Result<Option<Invoice>, StripeError> {
        let item = |one: &Replaced| {
            let mut item = CreatePreviewInvoiceSubscriptionDetailsItems::new();
            item.id = Some(one.item_id.clone());
            item.price = Some(one.price_id.clone());
            item
        };
        let mut details = CreatePreviewInvoiceSubscriptionDetails::new();
        details.items = Some(replaced.iter().map(item).collect());
        details.proration_behavior = Some(Prorations::None);
        let request = CreatePreviewInvoice::new().subscription(subscription_id);
        self.previewed(request.subscription_details(details)).await
    }
}
