//! What is set up in the account: prices, meters, and who subscribes to what.
//!
//! In: price names and ids. Out: `StripePrice`, `StripeMeter`, `StripeSubscription`. Only reads.

use stripe_billing::billing_meter::ListBillingMeter;
use stripe_billing::subscription::{ListSubscription, ListSubscriptionStatus};
use stripe_billing::subscription_item::ListSubscriptionItem;
use stripe_client_core::StripeRequest;
use stripe_product::price::{ListPrice, RetrievePrice};

use crate::domain::catalog::PriceRef;
use crate::domain::invoice::{Listing, StripeMeter, StripePrice, StripeSubscription, Unread};

use super::decode::{Node, Problem, meter, page, price, subscription};
use super::{MISSING, PAGE, Stripe, StripeError, segment};

impl Stripe {
    /// With its tiers; `None` where Stripe has no such price.
    pub async fn price(&self, wanted: &PriceRef) -> Result<Option<StripePrice>, StripeError> {
        match wanted {
            PriceRef::Id(id) => self.price_by_id(id).await,
            PriceRef::LookupKey(key) => self.price_by_lookup_key(key).await,
        }
    }

    /// The id of an archived price with the lookup key, for whoever wonders why none was found. Of a price that is named by
    /// its id there is nothing more to ask.
    pub async fn archived_price(&self, wanted: &PriceRef) -> Result<Option<String>, StripeError> {
        let PriceRef::LookupKey(key) = wanted else { return Ok(None) };
        let request = ListPrice::new().lookup_keys([key.clone()]).active(false).limit(PAGE);
        let first = |node: &Node<'_>| -> Result<Option<String>, Problem> {
            let page = page(node)?;
            page.data.first().map(|one| Ok(price::price(one)?.id)).transpose()
        };
        self.read(request.build(), |node, _| first(node)).await
    }

    pub async fn meters(&self) -> Result<Listing<StripeMeter>, StripeError> {
        let request_after = |cursor: Option<&str>| {
            let request = ListBillingMeter::new().limit(PAGE);
            cursor.into_iter().fold(request, ListBillingMeter::starting_after).build()
        };
        self.listing(request_after, |node, _| meter::meter(node)).await
    }

    /// All that ever had the price, ended ones too, each once. One that is read in part is among the unread ones as well.
    pub async fn subscriptions_with_price(
        &self,
        price_id: &str,
    ) -> Result<Listing<StripeSubscription>, StripeError> {
        let request_after = |cursor: Option<&str>| {
            let request = ListSubscription::new()
                .price(price_id)
                .status(ListSubscriptionStatus::All)
                // Only the object says that the customer was deleted.
                .expand(["data.customer".to_owned()])
                .limit(PAGE);
            cursor.into_iter().fold(request, ListSubscription::starting_after).build()
        };
        let decode = |node: &Node<'_>, request_id: &str| {
            Ok((subscription::subscription(node)?, request_id.to_owned()))
        };
        let Listing { read: found, mut unread } = self.listing(request_after, decode).await?;
        let mut read = Vec::new();
        for (mut one, request_id) in found {
            if one.status.is_none() {
                unread.push(in_part(&one, "its status is none that we know".to_owned(), &request_id));
            }
            if !one.items_complete
                && let Err(error) = self.complete_items(&mut one).await
            {
                if error.concerns_all() {
                    return Err(error);
                }
                let what = format!("its items cannot be read to the end: {error}");
                unread.push(in_part(&one, what, error.request_id()));
            }
            read.push(one);
        }
        Ok(Listing { read, unread })
    }

    /// Reads the items anew in large pages. Where that fails, `items_complete` stays false.
    async fn complete_items(&self, subscription: &mut StripeSubscription) -> Result<(), StripeError> {
        let request_after = |cursor: Option<&str>| {
            let request = ListSubscriptionItem::new(&*subscription.id).limit(PAGE);
            cursor.into_iter().fold(request, ListSubscriptionItem::starting_after).build()
        };
        subscription.items =
            self.list(request_after, |node, _| subscription::item(node, None)).await?.elements;
        subscription.items_complete = true;
        Ok(())
    }

    async fn price_by_id(&self, id: &str) -> Result<Option<StripePrice>, StripeError> {
        let request = RetrievePrice::new(segment(id)).expand(["tiers".to_owned()]).build();
        match self.read(request, |node, _| same_id(node, id)).await {
            Ok(price) => Ok(Some(price)),
            Err(StripeError::Refused { status: 404, code, .. }) if code == MISSING => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn price_by_lookup_key(&self, key: &str) -> Result<Option<StripePrice>, StripeError> {
        let request = ListPrice::new()
            .lookup_keys([key.to_owned()])
            .active(true)
            .expand(["data.tiers".to_owned()])
            .limit(PAGE);
        self.read(request.build(), |node, _| only_one_with_key(node, key)).await
    }
}

fn in_part(one: &StripeSubscription, what: String, request_id: &str) -> Unread {
    Unread { id: Some(one.id.clone()), subscription_id: None, what, request_id: request_id.to_owned() }
}

fn same_id(node: &Node<'_>, id: &str) -> Result<StripePrice, Problem> {
    let price = price::price(node)?;
    if price.id == id { Ok(price) } else { Err(node.problem("is another price than the one asked for")) }
}

/// Stripe lets only one active price have a lookup key; a server that ignores the filter must not choose for us.
fn only_one_with_key(node: &Node<'_>, key: &str) -> Result<Option<StripePrice>, Problem> {
    let page = page(node)?;
    let prices = page.data.iter().map(price::price).collect::<Result<Vec<_>, _>>()?;
    let all_fit = prices.iter().all(|price| price.lookup_key.as_deref() == Some(key));
    if prices.len() > 1 || !all_fit || page.has_more {
        return Err(node.problem("holds other prices than the one with the lookup key"));
    }
    Ok(prices.into_iter().next())
}
