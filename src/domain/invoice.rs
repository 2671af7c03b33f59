//! What Stripe holds and answers, in our own types: prices, meters, subscriptions, invoices and their lines.
//!
//! In: nothing; the Stripe adapter builds these from answers that it has understood. Out: plain values with the few
//! questions that the job asks of them. Never a guess: what an answer left out is `None`, and what could not be read is
//! an error of the adapter or an [`Unread`], and never a value here. Shapes: Stripe's API reference of 2026-09-30.endive.

use jiff::Timestamp;

use crate::domain::money::Currency;
use crate::domain::number::{Quantity, UnitAmount};
use crate::domain::period::Window;
use crate::domain::price::{Price, Tier, Transform};
use crate::domain::tenant::SubscriptionStatus;

/// A list of Stripe's, and what of it is not understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<T> {
    pub read: Vec<T>,
    pub unread: Vec<Unread>,
}

/// One object of a list that is not understood, or not wholly. The others go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unread {
    /// `None`: not even that can be read.
    pub id: Option<String>,
    /// The subscription that an invoice belongs to, where that can be read.
    pub subscription_id: Option<String>,
    /// What is wrong, for a person.
    pub what: String,
    pub request_id: String,
}

/// The account that a key belongs to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    pub id: String,
    pub livemode: bool,
}

impl Account {
    /// The sandbox of billrecon, embedded or served to others.
    pub fn is_sandbox(&self) -> bool {
        self.id.starts_with("acct_sandbox")
    }
}

/// A price as Stripe has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripePrice {
    pub id: String,
    pub lookup_key: Option<String>,
    pub active: bool,
    pub livemode: bool,
    pub currency: Currency,
    /// `None` for a licensed price.
    pub meter_id: Option<String>,
    /// `month`, `year`, `week` or `day`, or `3 month` for one of every three; empty for a one-off price.
    pub interval: String,
    pub scheme: StripeScheme,
    /// How quantities are divided before they are priced.
    pub transform: Option<Transform>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StripeScheme {
    PerUnit(UnitAmount),
    Graduated(Vec<StripeTier>),
    Volume(Vec<StripeTier>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripeTier {
    /// Inclusive; `None` is open.
    pub up_to: Option<Quantity>,
    pub unit_amount: UnitAmount,
    pub flat_amount: UnitAmount,
}

impl StripePrice {
    /// Whether it can never charge anything, whatever the quantity.
    pub fn is_zero(&self) -> bool {
        match &self.scheme {
            StripeScheme::PerUnit(unit_amount) => unit_amount.is_zero(),
            StripeScheme::Graduated(tiers) | StripeScheme::Volume(tiers) => {
                tiers.iter().all(|tier| tier.unit_amount.is_zero() && tier.flat_amount.is_zero())
            }
        }
    }

    /// In the words of the catalog's prices.
    pub fn price(&self) -> Price {
        let tier = |tier: &StripeTier| Tier {
            flat_amount: Some(tier.flat_amount),
            ..Tier::new(tier.up_to, tier.unit_amount)
        };
        match &self.scheme {
            StripeScheme::PerUnit(unit_amount) => {
                Price::PerUnit { unit_amount: *unit_amount, transform: self.transform }
            }
            StripeScheme::Graduated(tiers) => Price::Graduated(tiers.iter().map(tier).collect()),
            StripeScheme::Volume(tiers) => Price::Volume(tiers.iter().map(tier).collect()),
        }
    }

    /// The units that it gives away before the first one that costs something; `None` if it never costs anything.
    pub fn free_units(&self) -> Option<Quantity> {
        let tiers = match &self.scheme {
            StripeScheme::PerUnit(unit_amount) => {
                return (!unit_amount.is_zero()).then_some(Quantity::ZERO);
            }
            StripeScheme::Graduated(tiers) | StripeScheme::Volume(tiers) => tiers,
        };
        let mut free = Quantity::ZERO;
        for tier in tiers {
            if !tier.unit_amount.is_zero() || !tier.flat_amount.is_zero() {
                return Some(free);
            }
            free = tier.up_to?;
        }
        None
    }
}

/// How a meter's events become one number. Pre-aggregating meters overwrite instead of adding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MeterFormula {
    Sum,
    Count,
    Last,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripeMeter {
    pub id: String,
    pub event_name: String,
    /// `None`: one that we do not know.
    pub formula: Option<MeterFormula>,
    pub pre_aggregates: bool,
    pub active: bool,
    /// `None`: the answer does not say.
    pub livemode: Option<bool>,
    pub payload_keys: PayloadKeys,
}

/// Where a meter looks in an event for whom it counts, and how much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadKeys {
    pub customer: String,
    pub value: String,
}

impl Default for PayloadKeys {
    /// Those of a meter that was told nothing else.
    fn default() -> Self {
        Self { customer: "stripe_customer_id".to_owned(), value: "value".to_owned() }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StripeSubscription {
    pub id: String,
    pub customer_id: String,
    /// The answer shows the customer, and that it is deleted.
    pub customer_deleted: bool,
    /// `None`: one that we do not know.
    pub status: Option<SubscriptionStatus>,
    pub items: Vec<SubscriptionItem>,
    /// `false`: there are more items than could be read.
    pub items_complete: bool,
}

impl StripeSubscription {
    /// It has ended and bills nobody any more.
    pub fn is_over(&self) -> bool {
        matches!(self.status, Some(SubscriptionStatus::Canceled | SubscriptionStatus::IncompleteExpired))
    }
}

/// One price on a subscription, with the period that it is in now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionItem {
    pub id: String,
    pub price_id: String,
    /// Of the price; `None` for a licensed one, and where the answer does not say.
    pub meter_id: Option<String>,
    pub current_period: Window,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvoiceStatus {
    Draft,
    Open,
    Paid,
    Uncollectible,
    Void,
}

/// A preview invoice, or one that Stripe has made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invoice {
    /// `upcoming_in_…` for a preview: not lasting.
    pub id: String,
    pub subscription_id: Option<String>,
    pub customer_id: Option<String>,
    pub status: InvoiceStatus,
    /// `subscription_cycle`, `upcoming`, …
    pub billing_reason: String,
    pub created: Timestamp,
    /// When Stripe makes it final, or has: from then on it takes no usage. `None` where the answer does not say.
    pub finalizes_at: Option<Timestamp>,
    pub money: InvoiceMoney,
    pub lines: Vec<InvoiceLine>,
    /// `false`: there are more lines than could be read, so sums over them mean nothing.
    pub lines_complete: bool,
    /// Stripe's id of the request that answered.
    pub request_id: String,
}

impl Invoice {
    /// Whether Stripe takes no more usage for it.
    pub fn has_left_draft(&self) -> bool {
        self.status != InvoiceStatus::Draft
    }
}

/// What an invoice says of its money as a whole, in minor units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvoiceMoney {
    pub currency: Currency,
    /// After discounts, credit grants and tax.
    pub total: i64,
    /// On top of the lines; a tax that their amounts include is not in it.
    pub tax: i64,
    /// What discounts take off.
    pub discount: i64,
    /// What credit grants take off before the total.
    pub credit_grants: i64,
    /// What credit notes take off the amount due, once there is one.
    pub credit_notes: i64,
    /// The customer's balance before; below 0 it is in the customer's favour. `None` where the answer does not say.
    pub starting_balance: Option<i64>,
    /// The balance afterwards; `None` until the invoice is final.
    pub ending_balance: Option<i64>,
    /// What Stripe charges in the end.
    pub amount_due: i64,
}

impl InvoiceMoney {
    /// What the customer's balance adds to the amount due; below 0: takes off it. Until the invoice is final, what it
    /// would add now.
    pub fn of_balance(&self) -> i128 {
        let Some(starting) = self.starting_balance.map(i128::from) else { return 0 };
        if let Some(ending) = self.ending_balance {
            return starting - i128::from(ending);
        }
        let before = i128::from(self.total) - i128::from(self.credit_notes);
        (before + starting).max(0) - before
    }
}

/// One line, amount before discounts and tax, in minor units.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvoiceLine {
    pub id: String,
    pub amount_minor: i64,
    pub currency: Currency,
    /// `quantity_decimal`, else `quantity`.
    pub quantity: Option<Quantity>,
    pub price_id: Option<String>,
    pub subscription_item_id: Option<String>,
    /// The invoice item that somebody has added by hand, or that a change of the subscription has made.
    pub invoice_item_id: Option<String>,
    /// The time whose service it bills.
    pub period: Window,
    pub proration: bool,
    pub description: String,
}

/// A meter's total of one customer in a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MeterTotal {
    pub quantity: Quantity,
    pub request_id: String,
}
