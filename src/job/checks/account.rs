//! Checks of what stands around the catalog: subscriptions, the grace period of invoices, the key.
//!
//! In: subscriptions, invoices, how far apart wakes are, a key. Out: warnings only: each of these concerns some tenants, or
//! none yet. Never shows a key.

use jiff::SignedDuration;
use secrecy::{ExposeSecret, SecretString};

use crate::domain::invoice::{Invoice, StripeSubscription};
use crate::domain::reconcile::Scope;

use super::{CheckName, Finding, Severity};

/// Stripe's own, where the account's invoice settings say nothing else ("configure grace period").
const USUAL_GRACE: SignedDuration = SignedDuration::from_hours(1);

/// Two items on one meter would each be billed for all of its usage. The tenant is parked (`double_meter`). A subscription that has
/// ended bills nobody any more.
pub fn check_items(subscription: &StripeSubscription, meter: &str, scope: &Scope) -> Option<Finding> {
    let items = subscription.items.iter().filter(|item| scope.price_ids.contains(&item.price_id));
    let ids: Vec<&str> = items.map(|item| item.id.as_str()).collect();
    if subscription.is_over() || ids.len() < 2 {
        return None;
    }
    let text = format!(
        "has {} items on the meter `{meter}` ({}), and Stripe bills each of them for all of its usage: remove all but \
         one; until then its tenant is parked",
        ids.len(),
        ids.join(", ")
    );
    let place = format!("subscription `{}`", subscription.id);
    Some(Finding { severity: Severity::Warn, check: CheckName::TwoItems, place, text })
}

/// No setting of Stripe's tells how long a renewal invoice takes usage, but the invoices do. What was used in a window's last
/// minutes can only be sent by a wake in that time.
pub fn check_grace_period<'a>(
    invoices: impl Iterator<Item = &'a Invoice>,
    longest_gap: SignedDuration,
) -> Option<Finding> {
    let renewals = invoices.filter(|invoice| invoice.billing_reason == "subscription_cycle");
    let with_grace = renewals.filter_map(|invoice| {
        let grace = invoice.finalizes_at?.duration_since(invoice.created);
        (!grace.is_negative()).then_some((grace, invoice.id.as_str()))
    });
    let shortest = with_grace.min();
    let grace = shortest.map_or(USUAL_GRACE, |(grace, _)| grace);
    if longest_gap <= grace {
        return None;
    }
    let seen = shortest.map_or("Stripe's usual time".to_owned(), |(_, id)| format!("as for `{id}`"));
    let text = format!(
        "two wakes can be {longest_gap:#} apart, but Stripe holds a renewal invoice as a draft for {grace:#} only \
         ({seen}): what is used in a window's last minutes may come too late to be billed. Wake more often, or lengthen the \
         grace period in Stripe's invoice settings"
    );
    let place = "serve.schedule".to_owned();
    Some(Finding { severity: Severity::Warn, check: CheckName::GracePeriod, place, text })
}

/// A full key may do anything in the account; the job needs little.
pub fn check_key(key: &SecretString) -> Option<Finding> {
    if !key.expose_secret().starts_with("sk_") {
        return None;
    }
    let text = "this is a full secret key (sk_…), which may do anything in the account: make a restricted one (rk_…) with the \
                permissions that docs/stripe.md lists";
    let place = "Stripe key".to_owned();
    Some(Finding { severity: Severity::Warn, check: CheckName::KeyKind, place, text: text.to_owned() })
}
