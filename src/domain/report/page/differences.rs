//! What the comparison comes to, and which rows are the worst.
//!
//! In: the rows of a report's comparison. Out: sums by class, cause and currency, and the rows that differ with the most money
//! first.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::domain::money::{Currency, MinorSum, MoneyError};
use crate::domain::number::Quantity;
use crate::domain::reconcile::{Cause, Class, ReconciliationRow};
use crate::domain::report::Report;

/// The rows of one class, cause and currency.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassSum {
    pub class: Class,
    pub cause: Option<Cause>,
    pub rows: u64,
    /// `None` where the rows have no money.
    pub money: Option<Difference>,
}

/// Kept apart, so that one cannot hide the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Where Stripe charges more than the ledger says.
    pub more: MinorSum,
    /// Where it charges less; 0 or below.
    pub less: MinorSum,
}

impl Report {
    pub fn class_sums(&self) -> Result<Vec<ClassSum>, MoneyError> {
        let mut sums: BTreeMap<(Class, Option<Cause>, Option<Currency>), ClassSum> = BTreeMap::new();
        for row in &self.comparison {
            let differs = row.difference_amount().zip(row.currency);
            let (class, cause) = (row.class, row.reason);
            let money = differs.map(|(_, currency)| {
                let zero = MinorSum::zero(currency);
                Difference { more: zero, less: zero }
            });
            let key = (class, cause, differs.map(|(_, currency)| currency));
            let sum = sums.entry(key).or_insert(ClassSum { class, cause, rows: 0, money });
            sum.rows += 1;
            if let (Some(money), Some((minor, currency))) = (&mut sum.money, differs) {
                let side = if minor > 0 { &mut money.more } else { &mut money.less };
                *side = side.checked_add(MinorSum { minor, currency })?;
            }
        }
        Ok(sums.into_values().collect())
    }
}

/// By money, then by units; of the same the order of the file.
pub fn worst_first(rows: &[ReconciliationRow]) -> Vec<&ReconciliationRow> {
    let mut rows: Vec<&ReconciliationRow> = rows.iter().filter(|row| row.is_difference()).collect();
    rows.sort_by_key(|row| {
        let amount = row.difference_amount().map_or(0, i128::unsigned_abs);
        Reverse((amount, row.difference_quantity().map(Quantity::magnitude)))
    });
    rows
}
