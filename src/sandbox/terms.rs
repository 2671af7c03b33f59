//! What stands on invoices beside prices: invoice items, tax rates, coupons, customer balances, credit grants.
//!
//! In and out: plain data as the journal holds it, and where it is found. A record never changes once it is made. Knows no
//! invoice: `settling` applies it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::records::{Metadata, Window};

/// What a subscription is told beside its items.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// Ids of its default tax rates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tax_rates: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub discounts: Vec<Discount>,
}

impl Terms {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A coupon on a subscription.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discount {
    pub id: String,
    pub coupon: String,
    /// It holds for invoices that are made later.
    pub start: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct InvoiceItem {
    pub id: String,
    pub customer: String,
    /// `None`: on the next invoice of any of the customer's subscriptions.
    pub subscription: Option<String>,
    pub created: i64,
    pub amount: i64,
    pub currency: String,
    pub description: Option<String>,
    pub period: Window,
    pub discountable: bool,
    pub metadata: Metadata,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TaxRate {
    pub id: String,
    pub created: i64,
    pub display_name: String,
    /// Of 100.
    pub percentage: String,
    pub inclusive: bool,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Coupon {
    pub id: String,
    pub created: i64,
    pub name: Option<String>,
    pub percent_off: Option<String>,
    pub amount_off: Option<i64>,
    pub currency: Option<String>,
    /// Else for ever.
    pub once: bool,
}

/// What a person adds to a customer's balance; below 0 in the customer's favour.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct BalanceTransaction {
    pub id: String,
    pub customer: String,
    pub created: i64,
    pub amount: i64,
    pub currency: String,
}

/// Prepaid usage: it takes something off metered lines until it is used up.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CreditGrant {
    pub id: String,
    pub customer: String,
    pub created: i64,
    pub amount: i64,
    pub currency: String,
    pub category: String,
    pub name: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extra {
    InvoiceItem(InvoiceItem),
    TaxRate(TaxRate),
    Coupon(Coupon),
    Balance(BalanceTransaction),
    Grant(CreditGrant),
}

/// All of them, where they are looked for.
#[derive(Default)]
pub struct Extras {
    /// By customer.
    pub items: BTreeMap<String, Vec<InvoiceItem>>,
    /// By customer.
    pub balances: BTreeMap<String, Vec<BalanceTransaction>>,
    /// By customer.
    pub grants: BTreeMap<String, Vec<CreditGrant>>,
    pub tax_rates: BTreeMap<String, TaxRate>,
    pub coupons: BTreeMap<String, Coupon>,
    /// How many were ever made.
    pub count: usize,
}

impl Extras {
    pub fn put(&mut self, extra: Extra) {
        self.count += 1;
        match extra {
            Extra::InvoiceItem(one) => self.items.entry(one.customer.clone()).or_default().push(one),
            Extra::Balance(one) => self.balances.entry(one.customer.clone()).or_default().push(one),
            Extra::Grant(one) => self.grants.entry(one.customer.clone()).or_default().push(one),
            Extra::TaxRate(one) => drop(self.tax_rates.insert(one.id.clone(), one)),
            Extra::Coupon(one) => drop(self.coupons.insert(one.id.clone(), one)),
        }
    }

    pub fn items_of(&self, customer: &str) -> &[InvoiceItem] {
        self.items.get(customer).map(Vec::as_slice).unwrap_or_default()
    }

    pub fn balances_of(&self, customer: &str) -> &[BalanceTransaction] {
        self.balances.get(customer).map(Vec::as_slice).unwrap_or_default()
    }

    pub fn grants_of(&self, customer: &str) -> &[CreditGrant] {
        self.grants.get(customer).map(Vec::as_slice).unwrap_or_default()
    }

    /// Whether an invoice of the customer can depend on those before it.
    pub fn carries_over(&self, customer: &str) -> bool {
        self.items.contains_key(customer)
            || self.balances.contains_key(customer)
            || self.grants.contains_key(customer)
    }
}
