//! Scope: which lines of an invoice speak of a meter, and what they come to.
//!
//! In: lines, the prices of a meter. Out: the lines that are its usage, their units and money by item, and what Stripe's own
//! prices make of them. Never a line of another price, nor a proration.

use std::collections::{BTreeMap, BTreeSet};

use super::evidence::Item;
use super::rates;
use crate::domain::invoice::InvoiceLine;
use crate::domain::money::Currency;
use crate::domain::number::{NumberError, Quantity};
use crate::domain::price::Price;

/// Which lines of an invoice speak of a meter's usage.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// Ids of all prices of the meter, whatever plan they belong to.
    pub price_ids: BTreeSet<String>,
    /// What those of them charge that are known, by id.
    pub prices: BTreeMap<String, Price>,
}

impl Scope {
    /// Usage, which a proration is not.
    pub fn holds(&self, line: &InvoiceLine) -> bool {
        !line.proration && line.price_id.as_ref().is_some_and(|id| self.price_ids.contains(id))
    }

    /// What Stripe's prices make of the units on these lines; `None` where one of them is not known.
    pub(super) fn priced(&self, lines: &[&InvoiceLine], currency: Currency) -> Option<i128> {
        let mut units: BTreeMap<(&str, &str), Quantity> = BTreeMap::new();
        for line in lines {
            let item = line.subscription_item_id.as_deref().unwrap_or_default();
            let sum = units.entry((item, line.price_id.as_deref()?)).or_default();
            *sum = sum.checked_add(line.quantity?).ok()?;
        }
        let amounts =
            units.iter().map(|((_, id), units)| rates::amount(self.prices.get(*id)?, *units, currency));
        amounts.sum()
    }
}

/// Usage and money of each subscription item.
pub(super) fn items(lines: &[&InvoiceLine]) -> Result<Vec<Item>, NumberError> {
    let mut items: BTreeMap<&str, Item> = BTreeMap::new();
    for line in lines {
        let id = line.subscription_item_id.as_deref().unwrap_or_default();
        let item = items.entry(id).or_insert_with(|| Item { id: id.to_owned(), ..Item::default() });
        item.quantity = item.quantity.checked_add(line.quantity.unwrap_or_default())?;
        item.amount += i128::from(line.amount_minor);
    }
    Ok(items.into_values().collect())
}
